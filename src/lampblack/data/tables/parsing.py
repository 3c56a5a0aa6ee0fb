"""From text to numbers, truth values and dates, one column at a time, and the cells that are none.

Arrow converts a column or fails; here the cells at fault are found. Spellings are accepted
leniently: spaces around, a leading '+', '1e5', dates with a time zone (converted to UTC) or with
nanoseconds (cut to microseconds).
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

from lampblack.choices import ColumnKind, OnBadRow
from lampblack.data.tables.column_kinds import ARROW_TYPES
from lampblack.exceptions import SKIP_BAD_ROWS, InvalidInput, Place, Remedy

Mask = npt.NDArray[np.bool_]
RowNumbers = npt.NDArray[np.int64]

MISSING: Final[tuple[str, ...]] = tuple(csv.ConvertOptions().null_values)
TRUE: Final = csv.ConvertOptions().true_values
FALSE: Final = csv.ConvertOptions().false_values
NOUNS: Final = {"number": "a number", "boolean": "true or false", "date": "a date"}

DECIMAL: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"
HEXADECIMAL: Final = r"^0[xX][0-9a-fA-F]{1,16}$"  # Arrow's inference takes these for integers
ZONED: Final = r":.*(Z|[+-]\d{2}(:?\d{2})?)$"
ISO_DATE: Final = (
    r"^\d{4}-\d{2}-\d{2}([ T]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
)


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
    table: pa.Table, kinds: Mapping[str, ColumnKind], missing: tuple[str, ...], numbers: RowNumbers
) -> tuple[pa.Table, Mask, list[SkippedRow]]:
    """Parse the text columns named in `kinds`.

    Returns the table with these columns replaced, which rows have a cell that cannot be parsed
    (null in the table), and these cells. `numbers` are the row numbers in the file.
    """
    bad = np.zeros(len(table), dtype=np.bool_)
    cells: list[SkippedRow] = []
    columns = dict(zip(table.column_names, table.columns, strict=True))
    for name, kind in kinds.items():
        text = columns[name]
        columns[name], mask = parse(text, kind, missing)
        if mask is not None:
            bad |= mask
            cells += bad_cells(name, text, mask, kind, numbers)
    return with_columns(table, columns.values()), bad, cells


def with_columns(table: pa.Table, columns: Iterable[pa.ChunkedArray]) -> pa.Table:
    """A table of the same names with other columns; in one go, as there may be thousands."""
    return pa.Table.from_arrays(list(columns), table.column_names)


def bad_cells(
    name: str, text: pa.ChunkedArray, mask: Mask, kind: ColumnKind, numbers: RowNumbers
) -> list[SkippedRow]:
    """Name each marked cell of a column."""
    values = text.filter(pa.array(mask)).to_pylist()
    return [
        SkippedRow(int(row), name, f"{shown(value)} is not {NOUNS[kind]}")
        for row, value in zip(numbers[mask], values, strict=True)
    ]


def shown(value: str) -> str:
    """A cell as a message shows it: quoted, on one line, cut when long."""
    return repr(cut(value))


def cut(value: str) -> str:
    """A text, or the beginning of a long one."""
    return value if len(value) <= 40 else value[:37] + "..."


def parse(
    text: pa.ChunkedArray, kind: ColumnKind, missing: tuple[str, ...]
) -> tuple[pa.ChunkedArray, Mask | None]:
    """The values of a text column, and which cells have none though they are not missing.

    `missing` are spellings of a missing value beside pyarrow's own.
    """
    if kind == "category":
        return without(text, missing), None
    trimmed = without(pc.utf8_trim_whitespace(text), MISSING + missing)
    values = {"number": _numbers, "boolean": _booleans, "date": _dates}[kind](trimmed)
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


def without_numbers(values: pa.ChunkedArray, missing: tuple[str, ...]) -> pa.ChunkedArray:
    """Numbers that are spellings of a missing value, however written, become missing values."""
    codes = [float(text) for text in missing if re.match(DECIMAL.replace("(?i:", "(?:"), text)]
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


def are_numbers(trimmed: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Which trimmed texts are spelled as numbers."""
    return pc.match_substring_regex(trimmed, f"{DECIMAL}|{HEXADECIMAL}")


def are_dates(trimmed: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Which trimmed texts are spelled as ISO dates."""
    return pc.match_substring_regex(trimmed, ISO_DATE)


def _numbers(trimmed: pa.ChunkedArray) -> pa.ChunkedArray:
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


def _dates(trimmed: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return pc.cast(trimmed, ARROW_TYPES["date"])
    except pa.ArrowInvalid:
        pass
    plain = pc.replace_substring_regex(trimmed, r"(\.\d{6})\d+", r"\1")
    plain = _only(plain, pc.match_substring_regex(plain, ISO_DATE))
    zoned = pc.match_substring_regex(plain, ZONED)
    local = _cast_each(_only(plain, pc.invert(zoned)), pa.timestamp("us"))
    universal = _cast_each(_only(plain, zoned), pa.timestamp("us", "UTC"))
    return pc.coalesce(local, universal.cast(pa.timestamp("us")))


def _only(values: pa.ChunkedArray, mask: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values where the mask is true, null elsewhere."""
    return pc.if_else(mask, values, pa.scalar(None, values.type))


def _cast_each(values: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """Cast, with null for what looks like a date and is none, such as the 31st of February."""
    try:
        return pc.cast(values, to)
    except pa.ArrowInvalid:
        return pa.chunked_array([[_cast_one(value, to) for value in values]], to)


def _cast_one(value: pa.Scalar, to: pa.DataType) -> pa.Scalar | None:
    try:
        return value.cast(to).as_py()
    except pa.ArrowInvalid:
        return None
