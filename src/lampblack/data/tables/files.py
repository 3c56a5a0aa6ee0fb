"""Files of rows, CSV or Parquet: read whole to fit a model, or as a stream of batches to score.

Both give `FileRows`: an Arrow table and the number of each row in the file, so that a message or a
score can point at it. A CSV file gives the Arrow types of `ARROW_TYPES`; a column of missing
values only is of type null in a whole file. A Parquet file keeps its own types.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.choices import OnBadRow
from lampblack.data.tables.column_kinds import ColumnType
from lampblack.data.tables.csv_rows import text_tables, typed_tables
from lampblack.data.tables.filters import Filter, parse_where
from lampblack.data.tables.inference import read_inferred
from lampblack.data.tables.layout import (
    GIVE_HEADER,
    CsvLayout,
    RowFormat,
    Source,
    check_types,
    find_layout,
    find_source,
    unreadable,
)
from lampblack.data.tables.parquet_rows import (
    ParquetLayout,
    find_parquet_layout,
    parquet_tables,
    told,
    unicode_only,
)
from lampblack.data.tables.parsing import BadRows, RowNumbers, SkippedRow, parse_columns
from lampblack.data.tables.spelling import read_type
from lampblack.exceptions import InvalidInput, Place, Setting

BATCH_BYTES: Final = 1 << 25


Block = tuple[pa.Table, RowNumbers]


@dataclass(frozen=True)
class FileRows:
    """Rows of a file: `row_numbers` count its rows of data from 1.

    `skipped` are the rows left out; in the batches of a stream it is empty (see `RowStream`).
    types: of columns whose text was read in a spelling of its own.
    """

    table: pa.Table
    row_numbers: RowNumbers
    skipped: list[SkippedRow] = field(default_factory=list)
    types: Mapping[str, ColumnType] = field(default_factory=dict)


class RowStream(Iterable[FileRows]):
    """Batches of rows. `columns` are the file's; `skipped` grows while the stream is read.

    Iterating again reads the file again, and empties `skipped`.
    """

    def __init__(
        self,
        batches: Callable[[], Iterator[FileRows]],
        columns: tuple[str, ...],
        skipped: list[SkippedRow],
    ) -> None:
        self.columns = columns
        self.skipped = skipped
        self._batches = batches

    def __iter__(self) -> Iterator[FileRows]:
        self.skipped.clear()
        return self._batches()


def column_names(path: str | Path | Source, format: RowFormat) -> list[str]:
    """The names of the columns; raises InvalidInput if the file cannot be read."""
    return list(_find(path, format).names)


def read_rows(
    path: str | Path,
    format: RowFormat,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    on_bad_row: OnBadRow = "fail",
) -> FileRows:
    """Read a whole file, or some of its columns; a CSV file's types are inferred from all rows.

    A text column of which half or more are numbers is refused, or with on_bad_row="skip" becomes
    a column of numbers without the other rows; so are dates. Columns that are not asked for are
    read as text and judge no row. Raises InvalidInput in one line.
    """
    layout, chosen, bad = _prepare(path, format, where, on_bad_row)
    names = layout.names if columns is None else tuple(columns)
    others = {n: "category" for n in layout.names if n not in names}
    told = replace(format, types={**others, **format.types})
    types: Mapping[str, ColumnType] = told.told
    if isinstance(layout, CsvLayout):
        table, numbers, types = read_inferred(replace(layout, format=told), bad)
    else:
        table, numbers = _joined(
            list(_refuse_empty(_parquet_blocks(layout, told, names, bad, 1 << 20), layout, bad))
        )
    if not len(table):
        raise _no_rows(path, bad)
    if chosen is not None:
        asked = {
            name: ColumnType(kind)
            for name, kind in chosen.kinds.items()
            if name in others and pa.types.is_string(table[name].type)
        }
        block = iter([(table, numbers)])
        ((table, numbers),) = _chosen_blocks(block, chosen, asked, format, bad)
        if not len(table):
            raise InvalidInput(
                f"no row of {path} passes ",
                Setting("where", where),
                names=Place(path),
                remedy="change the condition",
            )
    types = {name: column for name, column in types.items() if name in names}
    return FileRows(table.select(names), numbers, bad.skipped, types)


def iter_rows(
    path: str | Path | Source,
    format: RowFormat,
    *,
    kinds: Mapping[str, str | ColumnType],
    where: str | None = None,
    on_bad_row: OnBadRow = "fail",
    batch_rows: int = 65536,
    used: Collection[str] | None = None,
    may_be_empty: bool = False,
) -> RowStream:
    """Stream a file in batches of at most `batch_rows` rows, fewer where rows are wide.

    path: of the file, or a `Source`: a CSV file that is in memory. kinds: the types of the columns
    that a model knows; other columns of a CSV file come as text. used: columns whose text in a
    Parquet file must be UTF-8, by default those of `kinds`. may_be_empty: a file without rows is a
    stream of none, and no error. What can be seen from the head of the file is refused at once,
    the rest while the stream is read. The stream can be pickled, and reads the file where it is
    read.
    """
    layout, chosen, bad = _prepare(path, format, where, on_bad_row)
    known = {
        name: read_type(column) if isinstance(column, str) else column
        for name, column in kinds.items()
        if name in layout.names
    }
    told_and_known = {**format.told, **known}
    asked: dict[str, ColumnType] = {}
    if chosen is not None and isinstance(layout, CsvLayout):
        asked = {n: ColumnType(k) for n, k in chosen.kinds.items() if n not in told_and_known}

    batches = partial(
        _batches,
        layout,
        told_and_known if isinstance(layout, CsvLayout) else known if used is None else used,
        format,
        chosen,
        asked,
        bad,
        batch_rows,
        may_be_empty=may_be_empty,
    )
    return RowStream(batches, layout.names, bad.skipped)


def _batches(
    layout: CsvLayout | ParquetLayout,
    known: Any,
    format: RowFormat,
    chosen: Filter | None,
    asked: Mapping[str, ColumnType],
    bad: BadRows,
    batch_rows: int,
    *,
    may_be_empty: bool,
) -> Iterator[FileRows]:
    """The batches of a file. known: kinds of a CSV file's columns, names of a Parquet file's."""
    if isinstance(layout, CsvLayout):
        blocks = _csv_blocks(layout, known, bad)
    else:
        blocks = _parquet_blocks(layout, format, known, bad, batch_rows)
    if not may_be_empty:
        blocks = _refuse_empty(blocks, layout, bad)
    if chosen is not None:
        blocks = _chosen_blocks(blocks, chosen, asked, format, bad)
    for table, numbers in _rebatched(blocks, batch_rows):
        yield FileRows(table, numbers)


def _refuse_empty(
    blocks: Iterator[Block], layout: CsvLayout | ParquetLayout, bad: BadRows
) -> Iterator[Block]:
    """The same blocks; an error at the end of a file that has no row, not even a bad one."""
    rows = 0
    for block in blocks:
        yield block
        rows += len(block[0])
    if not rows and not bad.skipped:
        raise _no_rows(layout.source.path if isinstance(layout, CsvLayout) else layout.path, bad)


def _prepare(
    path: str | Path | Source, format: RowFormat, where: str | None, on_bad_row: OnBadRow
) -> tuple[CsvLayout | ParquetLayout, Filter | None, BadRows]:
    """What the head of the file and the arguments say, checked against each other."""
    layout = _find(path, format)
    name = path.path if isinstance(path, Source) else Path(path)
    check_types(name, layout.names, format.types)
    chosen = None if where is None else parse_where(where, layout.names)
    return layout, chosen, BadRows(name, on_bad_row)


def _find(path: str | Path | Source, format: RowFormat) -> CsvLayout | ParquetLayout:
    source = find_source(path)
    return find_parquet_layout(source) if source.parquet else find_layout(source, format)


def _no_rows(path: str | Path, bad: BadRows) -> InvalidInput:
    if not bad.skipped:
        return InvalidInput("no rows", at=Place(path), remedy=GIVE_HEADER)
    what = f"no row can be used, the first because {bad.skipped[0].reason}"
    return InvalidInput(what, at=Place(path), remedy="correct the file")


def _csv_blocks(
    layout: CsvLayout, kinds: Mapping[str, ColumnType], bad: BadRows
) -> Iterator[Block]:
    """Blocks as Arrow converts them; from the first that it cannot, parsed from text."""
    done = 0
    with unreadable(layout.source.path):
        try:
            for table in typed_tables(layout, kinds):
                yield table, np.arange(done + 1, done + 1 + len(table), dtype=np.int64)
                done += len(table)
        except pa.ArrowInvalid:
            for block in _parsed_blocks(layout, kinds, bad, done):
                yield block
                done += len(block[0])


def _parsed_blocks(
    layout: CsvLayout, kinds: Mapping[str, ColumnType], bad: BadRows, done: int
) -> Iterator[Block]:
    kinds = {name: kinds.get(name, ColumnType("category")) for name in layout.names}
    for table, numbers, wrong in text_tables(layout, skip=done):
        table, mask, cells = parse_columns(table, kinds, layout.format.nulls, numbers)
        bad.report([*wrong, *cells])
        yield _only((table, numbers), ~mask)


def _parquet_blocks(
    layout: ParquetLayout,
    format: RowFormat,
    used: Collection[str],
    bad: BadRows,
    batch_rows: int,
) -> Iterator[Block]:
    done = 0
    with unreadable(layout.path):
        for table in parquet_tables(layout, batch_rows, BATCH_BYTES):
            numbers = np.arange(done + 1, done + 1 + len(table), dtype=np.int64)
            done += len(table)
            table, broken, texts = unicode_only(table, used, numbers)
            table, mask, cells = told(layout.path, table, format, numbers)
            bad.report([*texts, *cells])
            yield _only((table, numbers), ~(mask | broken))


def _chosen_blocks(
    blocks: Iterator[Block],
    chosen: Filter,
    asked: Mapping[str, ColumnType],
    format: RowFormat,
    bad: BadRows,
) -> Iterator[Block]:
    """The rows that pass. Columns that came as text are compared as the kind that is asked."""
    for table, numbers in blocks:
        view, mask, cells = parse_columns(table, asked, format.nulls, numbers)
        bad.report(cells)
        yield _only((table, numbers), chosen.keep(view) & ~mask)


def _only(block: Block, mask: npt.NDArray[np.bool_]) -> Block:
    table, numbers = block
    return block if mask.all() else (table.filter(pa.array(mask)), numbers[mask])


def _joined(blocks: list[Block]) -> Block:
    tables, numbers = zip(*blocks, strict=True)
    return pa.concat_tables(tables).combine_chunks(), np.concatenate(numbers)


def _rebatched(blocks: Iterator[Block], batch_rows: int) -> Iterator[Block]:
    """Blocks of exactly `batch_rows` rows but the last; fewer where rows are wide."""
    waiting: list[Block] = []
    rows = size = 0
    for block in blocks:
        waiting.append(block)
        rows, size = rows + len(block[0]), size + block[0].nbytes
        if size >= BATCH_BYTES or rows >= batch_rows:
            table, numbers = _joined(waiting)
            end = rows if size >= BATCH_BYTES else rows - rows % batch_rows
            yield from _slices((table.slice(0, end), numbers[:end]), batch_rows)
            rest = table.slice(end)
            waiting, rows, size = [(rest, numbers[end:])], len(rest), rest.nbytes
    if rows:
        yield from _slices(_joined(waiting), batch_rows)


def _slices(block: Block, batch_rows: int) -> Iterator[Block]:
    table, numbers = block
    for start in range(0, len(table), batch_rows):
        yield table.slice(start, batch_rows), numbers[start : start + batch_rows]
