"""The columns that a detector was fitted on, and the check of every later table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from lampblack.choices import ColumnKind
from lampblack.data.kind import InMemory
from lampblack.data.names import listed
from lampblack.data.tables.column_kinds import COLUMN_KINDS, MISSING, ColumnType
from lampblack.data.tables.conversion import (
    NOUNS,
    as_dates,
    as_numbers,
    as_text,
    has_missing,
    is_text,
    is_zoned,
    kind_of_type,
    plain,
)
from lampblack.data.tables.numerals import NumberSpelling
from lampblack.data.tables.parsing import number_codes
from lampblack.data.tables.spelling import read_type
from lampblack.data.tables.text_types import say_kept, say_missing, say_read, understand
from lampblack.data.tables.zones import find_zone
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
# What is wrong with a value, and what to do about it.
INFINITE = ("the value is infinite", "correct it or make it a missing value")
HUGE = (f"the value is beyond ±{number(LARGEST)}", "correct it or rescale the column")
ABSENT = (
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
    """One column as the user knows it.

    spelling, zoned: see `ColumnType`. Dates whose `zoned` is None are of a former format, which
    took both as UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: ColumnKind
    nullable: bool
    spelling: str | None = None
    zoned: bool | None = None

    @model_validator(mode="after")
    def _is_a_type(self) -> Column:
        read_type(str(self.type))
        if self.kind != "date" and self.zoned is not None:
            raise ValueError(f"column {self.name!r} holds no dates and has a time zone")
        return self

    @property
    def type(self) -> ColumnType:
        """What it holds, and how text spells it."""
        return ColumnType(self.kind, self.spelling, self.zoned)


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
    missing: the texts, and numbers as text, that stand for a missing value, whichever way a row
    comes. timezone: in which zoned times have their phases of day, week and year; None is UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str] = "table"

    columns: tuple[Column, ...]
    named: bool
    ignored: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    timezone: str | None = None

    @model_validator(mode="after")
    def _zone_is_known(self) -> Schema:
        if self.timezone is not None:
            find_zone(self.timezone)
        return self

    @property
    def types(self) -> dict[str, ColumnType]:
        """What each column holds, and how text spells it."""
        return {column.name: column.type for column in self.columns}

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

    def in_zone(self, timezone: str | None) -> Schema:
        """The same, whose zoned times have local phases. Raises InvalidInput where it has none."""
        if timezone is None:
            return self
        try:
            find_zone(timezone)
        except ValueError as error:
            what, remedy = f": {error}", "name one such as Europe/Berlin"
            raise InvalidInput(Setting("timezone", timezone), what, remedy=remedy) from None
        if not any(column.zoned for column in self.columns):
            raise InvalidInput(
                Setting("timezone", timezone),
                " has no meaning here: no column holds times that say their zone, and others are "
                "taken as they stand",
                remedy=("leave it out", "write the times with their zone, as 12:00:00Z"),
            )
        return self.model_copy(update={"timezone": timezone})

    @classmethod
    def of_array(cls, X: npt.NDArray[np.floating], missing: tuple[str, ...] = MISSING) -> Schema:
        """The schema of an array (n, d) of numbers. missing: as in the schema."""
        gone = np.isnan(_without_codes(X, missing)).any(axis=0)
        columns = (
            Column(name=f"x{i}", kind="number", nullable=bool(nullable))
            for i, nullable in enumerate(np.atleast_1d(gone))
        )
        return cls(columns=tuple(columns), named=False, missing=missing)

    @classmethod
    def of_table(
        cls,
        table: pa.Table,
        types: Mapping[str, str | ColumnType] | None = None,
        missing: tuple[str, ...] = MISSING,
    ) -> Schema:
        """The schema of a table, `types` overriding what some columns seem to be.

        missing: as in the schema. Text that is all numbers or dates in one spelling is read as
        such; it is said, and so is what only looks like it (ReadingWarning). Raises InvalidInput
        where a column repeats, has no usable type, or `types` names no column.
        """
        refuse_repeated_names(table.column_names)
        told = _told_types(types or {}, table.column_names)
        columns = []
        for name in table.column_names:
            values = plain(name, table.column(name))
            column = settled_type(name, values, told.get(name), missing)
            nullable = has_missing(values, column.kind, missing)
            if nullable and column.kind == "category" and is_text(values.type):
                say_missing(name, values.cast(pa.string()), missing)
            columns.append(
                Column(
                    name=name,
                    kind=column.kind,
                    nullable=nullable,
                    spelling=column.spelling,
                    zoned=column.zoned,
                )
            )
        return cls(columns=tuple(columns), named=True, missing=missing)

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
        rows = Rows(_without_codes(X, self.missing))
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

    def lacking(self, table: pa.Table, known: Set[str] = frozenset()) -> set[str]:
        """The names of the columns, beside those that are known, of which a value is missing."""
        return {
            c.name
            for c in self.columns
            if c.name not in known
            and has_missing(plain(c.name, table.column(c.name)), c.kind, self.missing)
        }

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
        values = {name: plain(name, table.column(name)) for name in self.names}
        flat = self.of_kind("number", "boolean")
        numbers = np.empty((table.num_rows, len(flat)), dtype=np.float64)
        for i, c in enumerate(flat):
            numbers[:, i] = as_numbers(c.name, values[c.name], c.type, self.missing)
        return Rows(
            numbers,
            tuple(
                as_text(c.name, values[c.name], c.type, self.missing)
                for c in self.of_kind("category")
            ),
            tuple(
                as_dates(c.name, values[c.name], c.type, self.missing) for c in self.of_kind("date")
            ),
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
                    yield from _fault(column, np.isnan(values), ABSENT)
        for column, texts in zip(self.of_kind("category"), rows.categories, strict=True):
            if not column.nullable:
                yield from _fault(column, texts.is_null().to_numpy(zero_copy_only=False), ABSENT)
        for column, moments in zip(self.of_kind("date"), rows.dates, strict=True):
            if not column.nullable:
                yield from _fault(column, np.isnat(moments), ABSENT)


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


def _fault(
    column: Column, wrong: npt.NDArray[np.bool_], reason: tuple[str, str]
) -> Iterator[RefusedRow]:
    for row in np.flatnonzero(wrong):
        yield RefusedRow(int(row), column.name, *reason)


def _without_codes(
    X: npt.NDArray[np.floating], missing: tuple[str, ...]
) -> npt.NDArray[np.floating]:
    """An array (n, d) with NaN for the numbers that stand for a missing value."""
    codes = number_codes(missing)
    return np.where(np.isin(X, codes), np.asarray(np.nan, X.dtype), X) if codes else X


def _told_types(
    types: Mapping[str, str | ColumnType], names: Sequence[str]
) -> dict[str, ColumnType]:
    """The types that a user says. Raises InvalidInput where one is none, or of no column."""
    told = {}
    for name, text in types.items():
        if name not in names:
            what = f"types names {name!r}, which is not there; there are {listed(names)}"
            raise InvalidInput(what, names=Place(column=name))
        try:
            told[name] = read_type(str(text)) if isinstance(text, str) else text
        except ValueError as error:
            raise InvalidInput(
                f"types: column {name!r}: {error}",
                names=Place(column=name),
                remedy=f"use one of {', '.join(COLUMN_KINDS)}, date:%d/%m/%Y or number:$1,234.5",
            ) from None
    return told


def settled_type(
    name: str, values: pa.ChunkedArray, told: ColumnType | None, missing: tuple[str, ...]
) -> ColumnType:
    """What a plain column holds: as told, as its type implies, or as its text shows.

    Text that the source itself says to be text is read as numbers only where they have marks:
    codes are often written in digits.
    """
    kind = told.kind if told is not None else kind_of_type(name, values.type)
    spelling = None if told is None else told.spelling
    if not pa.types.is_string(values.type):
        zoned = is_zoned(values.type) if kind == "date" else None
        return ColumnType(kind, spelling, zoned)
    if told is not None and (spelling or kind not in ("number", "date")):
        return told
    understood = understand(values, missing, told=kind if told is not None else None)
    if told is not None:
        if understood.problem is not None:
            raise understood.refusal(name, Place())
        if understood.type == ColumnType("number"):
            return ColumnType("number", str(NumberSpelling()))  # text, which is said to be numbers
        return understood.type
    if understood.is_text:
        return ColumnType("category")
    if understood.problem is not None and understood.type.kind == "date":
        raise understood.refusal(name, Place())
    plain_numbers = understood.type == ColumnType("number")
    if understood.problem is not None or understood.wrong or plain_numbers:
        say_kept(name, understood)
        return ColumnType("category")
    say_read(name, understood)
    return understood.type
