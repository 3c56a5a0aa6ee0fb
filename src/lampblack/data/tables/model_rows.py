"""The rows of a file as a fitted schema takes them; bad rows are refused, or skipped, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.tables.files import column_names, iter_rows
from lampblack.data.tables.filters import parse_where
from lampblack.data.tables.layout import RowFormat
from lampblack.data.tables.names import known_names
from lampblack.data.tables.parsing import SkippedRow
from lampblack.data.tables.schema import Rows, Schema, the_one
from lampblack.exceptions import InvalidInput, Place, Setting

Numbers = npt.NDArray[np.int64]


class Choice(Protocol):
    """Which rows and columns of a file to leave out."""

    @property
    def exclude(self) -> Sequence[str]:
        """Columns that are not looked at."""

    @property
    def where(self) -> str | None:
        """The condition that rows must meet."""

    @property
    def skip_bad_rows(self) -> bool:
        """Whether a row that cannot be used is skipped rather than an error."""


@dataclass(frozen=True)
class Batch:
    """Rows of a file: `table` has the model's columns, `others` what else was asked for.

    rows: the table as the schema has checked and converted it.
    """

    rows: Rows
    table: pa.Table
    others: pa.Table
    numbers: Numbers


def key_of(batch: Batch, id_column: str | None) -> pa.Array:
    """What names each row: a column's value, or its number in the file. Text is of one type."""
    if id_column is None:
        return pa.array(batch.numbers)
    source = batch.others if id_column in batch.others.column_names else batch.table
    key = source.column(id_column).combine_chunks()
    if pa.types.is_dictionary(key.type):
        key = key.dictionary_decode()
    return key.cast(pa.string()) if pa.types.is_large_string(key.type) else key


class ModelRows:
    """The rows of a file, batch by batch, as a fitted schema takes them.

    keep: columns outside the model that the caller needs (a key, a label). Columns that were left
    out when the model was fitted, or that `selection` excludes, are dropped; any other that the
    model does not know is refused. may_be_empty: a file without rows has none, and is no error.
    `skipped` grows while the rows are read.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        row_format: RowFormat,
        selection: Choice,
        keep: tuple[str, ...] = (),
        *,
        may_be_empty: bool = False,
    ) -> None:
        names = column_names(path, row_format)
        excluded = known_names(selection.exclude, names, Setting("exclude"))
        needed = [name for name in excluded if name in schema.names]
        if needed:
            raise InvalidInput(
                Setting("exclude", needed),
                ": the model needs it",
                names=the_one(needed),
                remedy="fit again to leave it out",
            )
        used = parse_where(selection.where, names).columns if selection.where else ()
        for name in keep:
            if name not in names:
                what = f"there is no column {name!r}; there are {names[:20]}"
                raise InvalidInput(what, at=Place(path), names=Place(column=name))
        allowed = {*schema.ignored, *excluded, *used, *keep} - set(schema.names)
        try:
            schema.check_names([name for name in names if name not in allowed])
        except InvalidInput as error:
            raise error.at(path) from None
        self.path, self.schema, self.keep = path, schema, keep
        self._skip = selection.skip_bad_rows
        self._stream = iter_rows(
            path,
            _as_fitted(row_format, schema),
            kinds=schema.types,
            where=selection.where,
            on_bad_row="skip" if selection.skip_bad_rows else "fail",
            used=(*schema.names, *keep),
            may_be_empty=may_be_empty,
        )
        self._refused: list[SkippedRow] = []

    @property
    def skipped(self) -> list[SkippedRow]:
        """Rows left out so far, in the file's order."""
        return sorted([*self._stream.skipped, *self._refused], key=lambda row: row.row)

    def __iter__(self) -> Iterator[Batch]:
        for rows in self._stream:
            checked, table, numbers, refused = usable_rows(
                self.path, self.schema, rows.table, rows.row_numbers, skip=self._skip
            )
            self._refused += refused
            if table.num_rows:
                known = table.select(self.schema.names)
                yield Batch(checked, known, table.select(self.keep), numbers)


def _as_fitted(row_format: RowFormat, schema: Schema) -> RowFormat:
    """How to read a file whose columns are spelled, and miss values, as a schema knows them."""
    spelled = {name: str(t) for name, t in schema.types.items() if t.spelling is not None}
    under = row_format.under(schema.missing)
    return replace(under, types={**under.types, **spelled})


def usable_rows(
    path: Path, schema: Schema, table: pa.Table, numbers: Numbers, *, skip: bool
) -> tuple[Rows, pa.Table, Numbers, list[SkippedRow]]:
    """The rows that the schema takes, their numbers in the file, and those that it does not.

    Without `skip`, the first row that it does not take is an error, naming row and column.
    """
    known = table.select(schema.names)
    try:
        return schema.read_table(known), table, numbers, []
    except InvalidInput as error:
        try:
            refused = schema.refused(known)
        except InvalidInput:
            refused = []
        if not refused:
            raise error.at(path) from None
        if not skip:
            raise refused[0].error(path, int(numbers[refused[0].row])) from None
        skips = [SkippedRow(int(numbers[r.row]), r.column, r.reason) for r in refused]
        keep = np.ones(len(table), dtype=bool)
        keep[[r.row for r in refused]] = False
        kept = table.filter(pa.array(keep))
        return schema.read_table(kept.select(schema.names)), kept, numbers[keep], skips
