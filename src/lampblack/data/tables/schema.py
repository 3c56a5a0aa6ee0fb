"""The columns that a detector was fitted on, and the check of every later table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from lampblack.choices import ColumnKind
from lampblack.data.kind import InMemory
from lampblack.data.names import listed, wrong_column
from lampblack.data.tables.column_kinds import COLUMN_KINDS
from lampblack.exceptions import (
    SKIP_BAD_ROWS,
    InvalidInput,
    Place,
    Remedy,
    SchemaMismatch,
    Setting,
)
from lampblack.number_text import number

LARGEST = 1e100  # beyond it, sums of squares overflow
NOUNS: dict[ColumnKind, str] = {
    "number": "numbers",
    "boolean": "true/false values",
    "category": "text",
    "date": "dates",
}


# What is wrong with a value, and what to do about it.
INFINITE = ("the value is infinite", "correct it or make it a missing value")
HUGE = (f"the value is beyond ±{number(LARGEST)}", "correct it or rescale the column")
MISSING = (
    "the value is missing, and the fitted data had no missing value there",
    "fill it or leave the row out",
)


LEAVE_OUT = Remedy("leave out what it does not know (", Setting("exclude"), ")", joint=": ")
NAME_ROWS = Remedy("name rows by one such column (", Setting("id_column"), ")")


@dataclass(frozen=True)
class RefusedRow:
    """A row (counted from 0) that cannot be scored, the column at fault, and why."""

    row: int
    column: str
    what: str
    remedy: str

    @property
    def reason(self) -> str:
        """What is wrong and what to do, as one text."""
        return f"{self.what}; {self.remedy}"

    def error(self, path: Path, number: int) -> InvalidInput:
        """The error for this row, which has this number in a file whose bad rows may be skipped."""
        place = Place(path, number, self.column)
        return InvalidInput(self.what, at=place, remedy=(self.remedy, SKIP_BAD_ROWS))


class Column(BaseModel):
    """One column as the user knows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: ColumnKind
    nullable: bool


@dataclass(frozen=True)
class Rows(InMemory):
    """Checked rows, column by column, in the schema's order.

    numbers: (n, number and boolean columns) float64, or float32 as it was given, NaN where missing.
    categories: one string array (n,) per category column, null where missing.
    dates: one datetime64[us] array (n,) per date column, NaT where missing.
    """

    numbers: npt.NDArray[np.floating]
    categories: tuple[pa.Array, ...] = ()
    dates: tuple[npt.NDArray[np.datetime64], ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: npt.NDArray[np.int64]) -> Rows:
        return Rows(
            self.numbers[index],
            tuple(values.take(pa.array(index)) for values in self.categories),
            tuple(values[index] for values in self.dates),
        )

    def slice(self, start: int, stop: int) -> Rows:
        """The rows from start to stop, without copying them."""
        return Rows(
            self.numbers[start:stop],
            tuple(values.slice(start, stop - start) for values in self.categories),
            tuple(values[start:stop] for values in self.dates),
        )

    def chunks(self, size: int) -> Iterator[Rows]:
        """The rows in order, `size` at a time, without copying them."""
        return (self.slice(start, start + size) for start in range(0, len(self), size))


class Schema(BaseModel):
    """The columns of a table: names, kinds, and whether values may be missing.

    `named` is False for arrays, whose columns are called x0, x1, ...; `ignored` are columns that
    were left out on purpose when the detector was fitted, and that new data may hold or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str] = "table"

    columns: tuple[Column, ...]
    named: bool
    ignored: tuple[str, ...] = ()

    @property
    def feature_names(self) -> list[str] | None:
        return self.names if self.named else None

    @property
    def n_features(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [column.name for column in self.columns]

    def of_kind(self, *kinds: ColumnKind) -> list[Column]:
        """The columns of these kinds, in order."""
        return [column for column in self.columns if column.kind in kinds]

    @classmethod
    def of_array(cls, X: npt.NDArray[np.floating]) -> Schema:
        """The schema of an array (n, d) of numbers."""
        nullable = [bool(missing) for missing in np.atleast_1d(np.isnan(X).any(axis=0))]
        columns = (
            Column(name=f"x{i}", kind="number", nullable=missing)
            for i, missing in enumerate(nullable)
        )
        return cls(columns=tuple(columns), named=False)

    @classmethod
    def of_table(cls, table: pa.Table, types: Mapping[str, ColumnKind] | None = None) -> Schema:
        """The schema of a table, `types` overriding the kind of some columns.

        Raises InvalidInput where a column repeats, has no usable type, or `types` names no column.
        """
        refuse_repeated_names(table.column_names)
        types = types or {}
        for name, kind in types.items():
            if name not in table.column_names:
                raise InvalidInput(
                    f"types names {name!r}, which is not there; "
                    f"there are {listed(table.column_names)}",
                    names=Place(column=name),
                )
            if kind not in COLUMN_KINDS:
                raise InvalidInput(
                    f"types: column {name!r}: unknown type {kind!r}",
                    names=Place(column=name),
                    remedy=f"use one of {', '.join(COLUMN_KINDS)}",
                )
        kinds = {name: types.get(name) or _kind_of(table, name) for name in table.column_names}
        columns = (
            Column(name=name, kind=kind, nullable=_has_missing(table.column(name)))
            for name, kind in kinds.items()
        )
        return cls(columns=tuple(columns), named=True)

    def read_array(self, X: npt.NDArray[np.floating]) -> Rows:
        """Check an array (n, d) of numbers and take it as rows."""
        for column in self.columns:
            if column.kind not in ("number", "boolean"):
                raise SchemaMismatch(
                    f"column {column.name!r} holds {NOUNS[column.kind]}, which an array of numbers "
                    "cannot hold",
                    names=Place(column=column.name),
                    remedy="pass a table with the columns' names",
                )
        rows = Rows(X)
        self._refuse_faults(rows)
        return rows

    def read_table(self, table: pa.Table) -> Rows:
        """Check a table, put its columns in order by name, and take it as rows.

        Raises SchemaMismatch for a missing, extra or retyped column, an infinite value, or a
        value missing where the fitted data had none; it names the column and the row.
        """
        rows = self._convert(table)
        self._refuse_faults(rows)
        return rows

    def refused(self, table: pa.Table) -> list[RefusedRow]:
        """The rows that `read_table` would refuse, each once, in order; other faults are raised."""
        faults = list(self._faults(self._convert(table)))
        first = {fault.row: fault for fault in reversed(faults)}
        return [first[row] for row in sorted(first)]

    def check_names(self, names: Sequence[str]) -> None:
        """Raise SchemaMismatch unless these are the schema's columns, in any order."""
        refuse_repeated_names(names)
        given, known = set(names), set(self.names)
        missing = [name for name in self.names if name not in given]
        extra = [name for name in names if name not in known and name not in self.ignored]
        place = the_one([*missing, *extra])
        if missing and extra:
            what = f"missing: {listed(missing)}; unexpected: {listed(extra)}; renamed?"
            raise SchemaMismatch(what, names=place)
        if missing:
            what = f"missing: {listed(missing)}; the model was fitted on {listed(self.names)}"
            raise SchemaMismatch(what, names=place)
        if extra:
            raise SchemaMismatch(
                f"unexpected: {listed(extra)}; the model was fitted without",
                names=place,
                remedy=(LEAVE_OUT, NAME_ROWS),
            )

    def _convert(self, table: pa.Table) -> Rows:
        """A table's values as rows, types checked but not values."""
        self.check_names(table.column_names)
        flat = self.of_kind("number", "boolean")
        numbers = np.empty((table.num_rows, len(flat)), dtype=np.float64)
        for i, column in enumerate(flat):
            numbers[:, i] = _as_numbers(table.column(column.name), column)
        return Rows(
            numbers,
            tuple(_as_text(table.column(c.name), c) for c in self.of_kind("category")),
            tuple(_as_dates(table.column(c.name), c) for c in self.of_kind("date")),
        )

    def _refuse_faults(self, rows: Rows) -> None:
        for fault in self._faults(rows):
            place = Place(row=fault.row + 1, column=fault.column)
            raise SchemaMismatch(fault.what, at=place, remedy=fault.remedy)

    def _faults(self, rows: Rows) -> Iterator[RefusedRow]:
        """Values that no score can be given for: infinite, huge, or missing where none was."""
        low = float(rows.numbers.min(initial=0))  # NaN if one value is
        high = float(rows.numbers.max(initial=0))
        if not (low >= -LARGEST and high <= LARGEST):  # else the usual case: nothing to look for
            for i, column in enumerate(self.of_kind("number", "boolean")):
                values = rows.numbers[:, i]
                yield from _fault(column, np.isinf(values), INFINITE)
                yield from _fault(column, np.abs(values).astype(np.float64) > LARGEST, HUGE)
                if not column.nullable:
                    yield from _fault(column, np.isnan(values), MISSING)
        for column, texts in zip(self.of_kind("category"), rows.categories, strict=True):
            if not column.nullable:
                yield from _fault(column, texts.is_null().to_numpy(zero_copy_only=False), MISSING)
        for column, moments in zip(self.of_kind("date"), rows.dates, strict=True):
            if not column.nullable:
                yield from _fault(column, np.isnat(moments), MISSING)


def the_one(names: Sequence[str]) -> Place:
    """The column at fault, where it is one alone."""
    return Place(column=names[0] if len(names) == 1 else None)


def refuse_repeated_names(names: Sequence[str]) -> None:
    """Raise InvalidInput where a name occurs twice."""
    repeated = (
        [name for i, name in enumerate(names) if name in names[:i]]
        if (len(set(names)) < len(names))
        else []
    )
    if repeated:
        what = f"{listed(repeated)}: the name occurs more than once"
        raise InvalidInput(what, names=the_one(repeated), remedy="rename one")


def _kind_of(table: pa.Table, name: str) -> ColumnKind:
    """The kind that a column's type implies."""
    kind = table.schema.field(name).type
    if pa.types.is_boolean(kind):
        return "boolean"
    if (
        is_number(kind)
        or pa.types.is_null(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_time(kind)
    ):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "date"
    if is_text(kind):
        return "category"
    what = f"has type {kind}, which cannot be used"
    raise wrong_column(name, what, "give numbers, true/false values, text or dates", "leave it out")


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type are numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type are text, plain or as categories."""
    if pa.types.is_dictionary(kind):
        return True
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _has_missing(values: pa.ChunkedArray) -> bool:
    if values.null_count:
        return True
    return pa.types.is_floating(values.type) and bool(pc.any(pc.is_nan(values)).as_py())


def _fault(
    column: Column, wrong: npt.NDArray[np.bool_], reason: tuple[str, str]
) -> Iterator[RefusedRow]:
    for row in np.flatnonzero(wrong):
        yield RefusedRow(int(row), column.name, *reason)


def _changed(column: Column, kind: pa.DataType, example: object = None) -> SchemaMismatch:
    shown = f" (such as {example!r})" if example is not None else ""
    return SchemaMismatch(
        f"column {column.name!r} held {NOUNS[column.kind]} when the model was fitted "
        f"and now holds {_noun(kind)}{shown}",
        names=Place(column=column.name),
        remedy="convert it",
    )


def _noun(kind: pa.DataType) -> str:
    """What values of an Arrow type are called in a message."""
    if is_text(kind):
        return NOUNS["category"]
    if is_number(kind):
        return NOUNS["number"]
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return NOUNS["date"]
    return NOUNS["boolean"] if pa.types.is_boolean(kind) else str(kind)


def _as_numbers(values: pa.ChunkedArray, column: Column) -> npt.NDArray[np.float64]:
    """A number or boolean column as float64 (n,), NaN where missing."""
    kind = values.type
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), None, values)
    if column.kind == "boolean" and is_number(kind):
        distinct = pc.unique(values.drop_null()).to_pylist()
        if not set(distinct) <= {0, 1}:
            raise _changed(column, kind, next(v for v in distinct if v not in (0, 1)))
    elif pa.types.is_duration(kind) or pa.types.is_time(kind):
        unit = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[kind.unit]
        width = pa.int32() if kind in (pa.time32("s"), pa.time32("ms")) else pa.int64()
        seconds = values.cast(width).cast(pa.float64())
        return _numpy(seconds) * unit
    elif not (is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise _changed(column, kind, next((v for v in values.to_pylist() if v is not None), None))
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    return _numpy(values.cast(pa.float64(), safe=False))


def _numpy(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _as_text(values: pa.ChunkedArray, column: Column) -> pa.Array:
    """A category column as one string array (n,)."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.cast(kind.value_type)
        kind = kind.value_type
    if is_text(kind):
        return _canonical(values.cast(pa.string()).combine_chunks())
    if not (is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and not (
        pa.types.is_null(kind)
    ):
        if not pa.types.is_floating(kind):
            raise _changed(column, kind)
        values = pc.if_else(pc.is_finite(values), values, pc.if_else(pc.is_nan(values), None, 0.5))
        values = values.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
        if pc.all(whole, skip_nulls=True).as_py() is False:
            raise _changed(column, kind, values.drop_null()[0].as_py())
        values = values.cast(pa.int64())
    return values.cast(pa.string()).combine_chunks()


def _canonical(text: pa.Array) -> pa.Array:
    """Text (n,) in which whole numbers and truth values are written in one way.

    A file may write 3 as "3.0" and true as "True" where a frame holds an integer or a boolean; the
    category must be the same one. Leading zeros stay: "06" is a code.
    """
    encoded = text.dictionary_encode()
    levels = pc.replace_substring_regex(encoded.dictionary, r"^(-?\d+)\.0+$", r"\1")
    truth = pc.match_substring_regex(levels, "^(?i:true|false)$")
    levels = pc.if_else(truth, pc.utf8_lower(levels), levels)
    return levels.take(encoded.indices)


def _as_dates(values: pa.ChunkedArray, column: Column) -> npt.NDArray[np.datetime64]:
    """A date column as datetime64[us] (n,) in UTC, NaT where missing."""
    kind = values.type
    if is_text(kind):
        text = _as_text(values, column)
        try:
            values = pa.chunked_array([text.cast(pa.timestamp("us"))])
        except pa.ArrowInvalid:
            raise _changed(column, pa.string(), _first_undated(text)) from None
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise _changed(column, kind)
    try:
        coarse = not pa.types.is_timestamp(kind) or kind.unit != "ns"
        moments = values.cast(pa.timestamp("us"), safe=coarse)
    except pa.ArrowInvalid:
        what = "a date lies out of range"
        place = Place(column=column.name)
        raise InvalidInput(what, at=place, remedy="correct it") from None
    return np.asarray(moments.to_numpy(), dtype="datetime64[us]")


def _first_undated(text: pa.Array) -> str | None:
    for value in text:
        try:
            value.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            return str(value.as_py())
    return None
