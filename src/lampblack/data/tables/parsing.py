"""From text to numbers, truth values and dates, one column at a time, and the cells that are none.

Arrow converts a column or fails; here the cells at fault are found. Spellings are accepted
leniently: spaces around, a leading '+', '1e5', dates with nanoseconds (cut to microseconds).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from lampblack.choices import OnBadRow
from lampblack.data.tables.column_kinds import MISSING, ColumnType
from lampblack.data.tables.dates import parse_dates
from lampblack.data.tables.numerals import DECIMAL, HEXADECIMAL, NumberSpelling
from lampblack.exceptions import SKIP_BAD_ROWS, InvalidInput, Place, Remedy

Mask = npt.NDArray[np.bool_]
RowNumbers = npt.NDArray[np.int64]

TRUE: Final = csv.ConvertOptions().true_values
FALSE: Final = csv.ConvertOptions().false_values
NOUNS: Final = {"number": "a number", "boolean": "true or false", "date": "a date"}


@dataclass(frozen=True)
class SkippedRow:
    """A row left out: its number in the file, the column at fault (if it is one), and why."""

    row: int
    column: str | None
    reason: str

    def __str__(self) -> str:
        column = "" if self.column is None else f", column {self.column!r}"
        return f"row {self.row}{column}: {self.reason}"


@dataclass
class BadRows:
    """What becomes of rows that cannot be used: the first is an error, or they are collected."""

    path: Path
    action: OnBadRow
    skipped: list[SkippedRow] = field(default_factory=list)

    def report(self, found: Iterable[SkippedRow]) -> None:
        """Take the rows found in one go; a row with several faults counts once."""
        rows = {bad.row: bad for bad in reversed(list(found))}
        ordered = [rows[number] for number in sorted(rows)]
        if ordered and self.action == "fail":
            first = ordered[0]
            raise InvalidInput(
                first.reason,
                at=Place(self.path, first.row, first.column),
                remedy=("correct it", Remedy(*SKIP_BAD_ROWS.parts, joint=" or ")),
            )
        self.skipped += ordered


def parse_columns(
    table: pa.Table, types: Mapping[str, ColumnType], nulls: tuple[str, ...], numbers: RowNumbers
) -> tuple[pa.Table, Mask, list[SkippedRow]]:
    """Parse the text columns named in `types`.

    Returns the table with these columns replaced, which rows have a cell that cannot be parsed
    (null in the table), and these cells. `numbers` are the row numbers in the file.
    """
    bad = np.zeros(len(table), dtype=np.bool_)
    cells: list[SkippedRow] = []
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for name, column in types.items():
        text = columns[name]
        columns[name], mask = parse(text, column, nulls)
        if mask is not None:
            bad |= mask
            cells += bad_cells(name, text, mask, column, numbers)
    return with_columns(table, columns.values()), bad, cells


def with_columns(table: pa.Table, columns: Iterable[pa.ChunkedArray]) -> pa.Table:
    """A table of the same names with other columns; in one go, as there may be thousands."""
    return pa.Table.from_arrays(list(columns), table.column_names)


def bad_cells(
    name: str, text: pa.ChunkedArray, mask: Mask, column: ColumnType, numbers: RowNumbers
) -> list[SkippedRow]:
    """Name each marked cell of a column."""
    values = text.filter(pa.array(mask)).to_pylist()
    noun = described(column)
    return [
        SkippedRow(int(row), name, f"{shown(value)} is not {noun}")
        for row, value in zip(numbers[mask], values, strict=True)
    ]


def described(column: ColumnType) -> str:
    """What a cell of a column should be, as "a date with a time zone".

    >>> described(ColumnType("date", "%d/%m/%Y", False)), described(ColumnType("number"))
    ('a date without a time zone, as %d/%m/%Y', 'a number')
    """
    zone = {True: " with a time zone", False: " without a time zone", None: ""}[column.zoned]
    spelling = "" if column.spelling is None else f", as {column.spelling}"
    return f"{NOUNS[column.kind]}{zone}{spelling}"


def shown(value: str) -> str:
    """A cell as a message shows it: quoted, on one line, cut when long."""
    return repr(cut(value))


def cut(value: str) -> str:
    """A text, or the beginning of a long one."""
    return value if len(value) <= 40 else value[:37] + "..."


def parse(
    text: pa.ChunkedArray, column: ColumnType, nulls: tuple[str, ...]
) -> tuple[pa.ChunkedArray, Mask | None]:
    """The values of a text column, and which cells have none though they are not missing.

    nulls: the spellings of a missing value. In text that stays text the usual ones are left, which
    a file may have in quotes: whether they are missing there is the schema's to say.
    """
    if column.kind == "category":
        return without(text, tuple(each for each in nulls if each not in MISSING)), None
    trimmed = without(pc.utf8_trim_whitespace(text), nulls)
    if column.kind == "number":
        values = _numbers(trimmed, column.spelling)
    elif column.kind == "boolean":
        values = _booleans(trimmed)
    else:
        values = parse_dates(trimmed, column)
    if values.null_count == trimmed.null_count:
        return without_nan(values), None
    mask = pc.and_(pc.is_valid(trimmed), pc.is_null(values)).to_numpy()
    return without_nan(values), mask


def without_nan(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """NaN, which only an unusual spelling leaves in a column read from text, is missing."""
    if values.type != pa.float64() or not pc.any(pc.is_nan(values)).as_py():
        return values
    return _only(values, pc.invert(pc.is_nan(values)))


def without(text: pa.ChunkedArray, missing: tuple[str, ...]) -> pa.ChunkedArray:
    """Empty cells and the given spellings become missing values."""
    found = pc.is_in(text, value_set=pa.array({"", *missing}, text.type))
    if not pc.any(found).as_py():
        return text
    return pc.if_else(found, pa.scalar(None, text.type), text)


def number_codes(missing: tuple[str, ...]) -> list[float]:
    """The numbers, not NaN, that are spellings of a missing value.

    >>> number_codes(("?", "-999", "nan"))
    [-999.0]
    """
    codes = [float(text) for text in missing if re.match(DECIMAL.replace("(?i:", "(?:"), text)]
    return [code for code in codes if code == code]


def without_numbers(values: pa.ChunkedArray, missing: tuple[str, ...]) -> pa.ChunkedArray:
    """Numbers that are spellings of a missing value, however written, become missing values."""
    codes = number_codes(missing)
    if not codes or not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        return values
    numbers = values.cast(pa.float64(), safe=False)
    found = pc.is_in(numbers, value_set=pa.array(codes, pa.float64()))
    return pc.if_else(found, pa.scalar(None, values.type), values)


def is_unicode(value: pa.Scalar) -> bool:
    """Whether bytes are UTF-8 text."""
    try:
        (value.as_py() or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _numbers(trimmed: pa.ChunkedArray, spelling: str | None) -> pa.ChunkedArray:
    if spelling is not None:
        return NumberSpelling.of(spelling).parse(trimmed)
    try:
        return pc.cast(trimmed, pa.float64())
    except pa.ArrowInvalid:
        pass
    decimal = _only(trimmed, pc.match_substring_regex(trimmed, DECIMAL))
    hexadecimal = _only(trimmed, pc.match_substring_regex(trimmed, HEXADECIMAL))
    floats = pc.replace_substring_regex(decimal, r"^\+", "").cast(pa.float64())
    integers = hexadecimal.cast(pa.int64()).cast(pa.float64(), safe=False)
    return pc.coalesce(floats, integers)


def _booleans(trimmed: pa.ChunkedArray) -> pa.ChunkedArray:
    true = pc.is_in(trimmed, value_set=pa.array(TRUE, trimmed.type))
    false = pc.is_in(trimmed, value_set=pa.array(FALSE, trimmed.type))
    return _only(true, pc.or_(true, false))


def _only(values: pa.ChunkedArray, mask: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values where the mask is true, null elsewhere."""
    return pc.if_else(mask, values, pa.scalar(None, values.type))
