"""Rows that stay in their file: read anew whenever some are asked for, and never held whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.choices import OnBadRow
from lampblack.data.kind import Advance, Split
from lampblack.data.names import listed
from lampblack.data.tables.files import column_names, iter_rows
from lampblack.data.tables.layout import RowFormat, find_source
from lampblack.data.tables.parquet_rows import find_parquet_layout
from lampblack.data.tables.parsing import SkippedRow
from lampblack.data.tables.schema import Rows, Schema, the_one
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting

if TYPE_CHECKING:
    from lampblack.data.tables.encoder import TableEncoder

MOST_ENCODED = 200_000  # rows on which the encoder is fitted, where training sees fewer
WINDOW = 1 << 24  # values held at a time: 128 MiB of float64

LARGE = 1 << 30  # bytes of a Parquet file's values above which it is not read whole

Positions = npt.NDArray[np.int64]
Dates = npt.NDArray[np.datetime64]


def find_rows(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    where: str | None = None,
    missing: Sequence[str] = (),
    not_missing: Sequence[str] = (),
    on_bad_row: OnBadRow = "fail",
) -> StoredRows:
    """The rows of a Parquet file that may be larger than memory, for `fit` and for scores.

    columns: those to use, None for all. types: as for a detector. where: a condition on rows.
    missing: further spellings of a missing value; not_missing: usual ones that are text.
    on_bad_row: "fail", or "skip" rows that cannot be used.
    The file is read once, for the number of rows, their types and what may be missing, and again
    whenever rows are asked for; it must not change meanwhile. Raises InvalidInput.

    >>> import lampblack
    >>> rows = lampblack.find_rows("pump.parquet")  # doctest: +SKIP
    >>> lampblack.recommended().fit(rows)  # doctest: +SKIP
    """
    path = Path(path)
    if not find_source(path).parquet:
        raise InvalidInput(
            "rows can stay in a Parquet file alone",
            at=Place(path),
            remedy=(
                "write it as one",
                Remedy("read it whole (leave out ", Setting("stream"), ")"),
            ),
        )
    format_ = RowFormat(
        types=dict(types or {}), missing=tuple(missing), not_missing=tuple(not_missing)
    )
    tables = FileTables(path, format_, columns, where, on_bad_row)
    return StoredRows.scan(path, tables)


def is_large(path: Path) -> bool:
    """Whether a file is Parquet and holds more than 1 GiB of values."""
    source = find_source(path)
    return source.parquet and find_parquet_layout(source).n_bytes > LARGE


class FileTables(Iterable[pa.Table]):
    """The usable rows of a Parquet file in pieces; which those are is found in the first reading.

    `skipped` are the rows left out, with reasons.
    """

    def __init__(
        self,
        path: Path,
        row_format: RowFormat,
        columns: Sequence[str] | None,
        where: str | None,
        on_bad_row: OnBadRow,
    ) -> None:
        self._path, self._skip = path, on_bad_row == "skip"
        names = column_names(path, row_format)
        self._columns = names if columns is None else list(columns)
        unknown = [name for name in self._columns if name not in names]
        if unknown:
            what = f"there is no {listed(unknown)}; there are {listed(names)}"
            raise InvalidInput(what, at=Place(path), names=the_one(unknown))
        self._stream = iter_rows(
            path, row_format, kinds={}, where=where, on_bad_row=on_bad_row, used=self._columns
        )
        self._refused: list[SkippedRow] = []
        self._known = False
        self._format = row_format
        self._schema: Schema | None = None

    @property
    def skipped(self) -> list[SkippedRow]:
        """The rows left out, in the file's order."""
        return sorted([*self._stream.skipped, *self._refused], key=lambda row: row.row)

    def schema_of(self, table: pa.Table) -> Schema:
        """The columns as the first rows show them; a hole may be anywhere."""
        if self._schema is None:
            types = {n: t for n, t in self._format.told.items() if n in self._columns}
            found = Schema.of_table(table, types, self._format.nulls)
            self._schema = _every_nullable(found)
        return self._schema

    def __iter__(self) -> Iterator[pa.Table]:
        for rows in self._stream:
            table = rows.table.select(self._columns)
            if not self._known:
                self._look(table, rows.row_numbers)
            refused = [row.row for row in self._refused]
            bad = np.isin(rows.row_numbers, refused) if refused else np.zeros(0, bool)
            yield table.filter(pa.array(~bad)) if bad.any() else table
        self._known = True

    def _look(self, table: pa.Table, numbers: Positions) -> None:
        """Note the rows that cannot be used, or raise InvalidInput for the first."""
        try:
            found = self.schema_of(table).refused(table)
        except InvalidInput as error:
            raise error.at(self._path) from None
        if found and not self._skip:
            raise found[0].error(self._path, int(numbers[found[0].row]))
        self._refused += [SkippedRow(int(numbers[r.row]), r.column, r.reason) for r in found]


class StoredRows:
    """Rows of tables that can be read again and again, in the same order, by position.

    tables: the file's rows, in pieces. positions: which of them these are, in this order; None is
    all of them in the file's. Every question reads the file once, or once for every `window` rows.
    """

    def __init__(
        self,
        path: Path,
        tables: Iterable[pa.Table],
        schema: Schema,
        count: int,
        positions: Positions | None = None,
    ) -> None:
        self.path, self.schema = path, schema
        self._tables, self._count, self._positions = tables, count, positions

    @classmethod
    def scan(cls, path: Path, tables: FileTables) -> StoredRows:
        """Read all rows once, for their number, their types and what may be missing."""
        schema: Schema | None = None
        nullable: set[str] = set()
        count = 0
        for table in tables:
            schema = tables.schema_of(table)
            nullable |= schema.lacking(table, nullable)
            count += len(table)
        if schema is None or not count:
            what = "no row can be used"
            raise InvalidInput(what, at=Place(path), remedy="give a file with rows")
        columns = (
            column.model_copy(update={"nullable": column.name in nullable})
            for column in schema.columns
        )
        return cls(path, tables, schema.model_copy(update={"columns": tuple(columns)}), count)

    def __len__(self) -> int:
        return self._count if self._positions is None else len(self._positions)

    @property
    def skipped(self) -> list[SkippedRow]:
        """The rows of the file that were left out because they cannot be used."""
        return self._tables.skipped if isinstance(self._tables, FileTables) else []

    @property
    def window(self) -> int:
        """How many rows are held at a time."""
        return max(1, WINDOW // len(self.schema.columns))

    def under(self, schema: Schema) -> StoredRows:
        """The same rows, checked against another schema."""
        return StoredRows(self.path, self._tables, schema, self._count, self._positions)

    def take(self, index: Positions) -> StoredRows:
        chosen = index if self._positions is None else self._positions[index]
        return StoredRows(self.path, self._tables, self.schema, self._count, chosen)

    def chunks(self, size: int) -> Iterator[Rows]:
        if self._positions is None:
            yield from _rebatched(map(self.schema.read_table, self._tables), size)
            return
        window = -(-self.window // size) * size
        for start in range(0, len(self), window):
            yield from self._gather(self._positions[start : start + window]).chunks(size)

    def in_memory(self) -> Rows:
        """All of these rows."""
        if self._positions is None:
            return joined_rows([self.schema.read_table(table) for table in self._tables])
        return self._gather(self._positions)

    @property
    def stored(self) -> bool:
        return True

    @property
    def to_decode(self) -> int:
        return 0

    def reader(self, encoder: TableEncoder) -> RowReader:
        return RowReader(self, encoder)

    def drawn(
        self, split: Split, *, seen: int, least: int, advance: Advance
    ) -> tuple[Rows, Split, StoredRows | None]:
        """Rows in memory for a fit, the split of those, and what training reads from the file.

        Where the rows that training sees fit into `window`, that many, or `least` if that is more,
        are drawn at random from those that may train, in one reading of the file, and the fit is
        that of a table of them. Otherwise training reads batches from the file, and the encoder and
        the score learn from `least` of its rows. Where all rows fit, the fit has the bits of one in
        memory.
        """
        held = len(split.calibration) + len(split.validation)
        room = max(1, self.window - held)
        beyond = min(seen, len(split.train)) > room
        least = max(MOST_ENCODED, least)
        train = split.train[: min(least if beyond else max(seen, least), room)]
        kept = np.sort(np.concatenate([train, split.validation, split.calibration]))
        part = Split(*(np.searchsorted(kept, index) for index in (train, *split[1:])))
        return self.take(kept).in_memory(), part, self.take(split.train) if beyond else None

    def digest(self) -> str:
        """A hash of the file's name, size and time of change, and of the schema."""
        facts = self.path.stat()
        text = repr((str(self.path), facts.st_size, facts.st_mtime_ns, self.schema))
        return hashlib.sha256(text.encode()).hexdigest()

    def _gather(self, positions: Positions) -> Rows:
        """The file's rows at these positions, in this order, in one reading of the file."""
        order = np.argsort(positions, kind="stable")
        wanted = positions[order]
        flat = len(self.schema.of_kind("number", "boolean"))
        numbers = np.empty((len(positions), flat))  # filled in place: they are most of the memory
        others: list[Rows] = []
        first = end = 0
        for table in self._tables:
            start, end = np.searchsorted(wanted, [first, first + len(table)])
            if end > start:
                index = pa.array(wanted[start:end] - first)
                found = self.schema.read_table(table.take(index))
                numbers[order[start:end]] = found.numbers
                others.append(Rows(np.empty((end - start, 0)), found.categories, found.dates))
            first += len(table)
            if end == len(wanted):
                break
        if end < len(wanted):
            what = "has fewer rows than before; it changed while in use"
            raise InvalidInput(what, at=Place(self.path))
        if not others:
            return self.schema.read_table(next(iter(self._tables)).slice(0, 0))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        gathered = Rows(np.empty((len(order), 0)), *_columns(others)).take(place)
        return Rows(numbers, gathered.categories, gathered.dates)


class RowReader:
    """Encoded rows in batches, for a training that takes more than memory holds.

    Batches are read together, as many as `StoredRows.window` holds: the bounded buffer. Any
    positions may be asked for, so the order is a random one of the whole file, not of the buffer.
    """

    def __init__(self, rows: StoredRows, encoder: TableEncoder) -> None:
        self._rows, self._encoder = rows, encoder

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, positions: Sequence[Positions]) -> Iterator[npt.NDArray[np.float32]]:
        waiting: list[Positions] = []
        for batch in positions:
            if waiting and sum(map(len, waiting)) + len(batch) > self._rows.window:
                yield from self._together(waiting)
                waiting = []
            waiting.append(batch)
        if waiting:
            yield from self._together(waiting)

    def digest(self) -> str:
        return self._rows.digest()

    def _together(self, positions: list[Positions]) -> Iterator[npt.NDArray[np.float32]]:
        rows = self._rows.take(np.concatenate(positions)).in_memory()
        first = 0
        for batch in positions:
            index = np.arange(first, first + len(batch))
            yield self._encoder.values(rows.take(index))
            first += len(batch)


def _every_nullable(schema: Schema) -> Schema:
    columns = (column.model_copy(update={"nullable": True}) for column in schema.columns)
    return schema.model_copy(update={"columns": tuple(columns)})


def joined_rows(parts: list[Rows]) -> Rows:
    """Rows of one schema, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Rows(np.concatenate([part.numbers for part in parts]), *_columns(parts))


def _columns(parts: list[Rows]) -> tuple[tuple[pa.Array, ...], tuple[Dates, ...]]:
    """Categories and dates of the parts, one after the other."""
    first = parts[0]
    texts = range(len(first.categories)), [part.categories for part in parts]
    dates = range(len(first.dates)), [part.dates for part in parts]
    return (
        tuple(pa.concat_arrays([part[i] for part in texts[1]]) for i in texts[0]),
        tuple(np.concatenate([part[i] for part in dates[1]]) for i in dates[0]),
    )


def _rebatched(parts: Iterator[Rows], size: int) -> Iterator[Rows]:
    """The same rows, exactly `size` at a time but for the last."""
    rest: Rows | None = None
    for part in parts:
        rows = part if rest is None or not len(rest) else joined_rows([rest, part])
        whole = len(rows) - len(rows) % size
        pieces = list(rows.chunks(size))
        yield from pieces[: whole // size]
        rest = pieces[-1] if whole < len(rows) else None
    if rest is not None and len(rest):
        yield rest
