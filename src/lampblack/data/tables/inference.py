"""A whole CSV file, with the type of each column inferred from all of its values."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lampblack.choices import ColumnKind
from lampblack.data.tables.column_kinds import ARROW_TYPES
from lampblack.data.tables.csv_rows import read_table
from lampblack.data.tables.layout import CsvLayout
from lampblack.data.tables.parsing import (
    MISSING,
    BadRows,
    RowNumbers,
    are_dates,
    are_numbers,
    cut,
    parse,
    parse_columns,
    shown,
    with_columns,
    without,
    without_nan,
    without_numbers,
)
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting

ENOUGH: Final = 0.5
FOREIGN: Final = {
    "numbers with a decimal comma": r"^[+-]?\d{1,3}(\.?\d{3})*,\d+$",
    "numbers with separated thousands": r"^[+-]?\d{1,3}([, ']\d{3})+(\.\d+)?$",
    "dates in another order": r"^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?$",
}


def read_inferred(layout: CsvLayout, bad: BadRows) -> tuple[pa.Table, RowNumbers]:
    """The rows, in the types of `ARROW_TYPES`, and their numbers.

    A text column of which at least half, but not all, of the values are numbers is refused; where
    bad rows are skipped, it becomes a column of numbers.
    """
    told = layout.format.types
    table, numbers, wrong = read_table(layout, told)
    times = [column.name for column in table.schema if pa.types.is_time(column.type)]
    if times:  # a time of day is no date: its text is kept as it is written
        table, numbers, wrong = read_table(layout, [*told, *times])
    bad.report(wrong)
    kinds: dict[str, ColumnKind] = dict(told)
    for column in table.schema:
        if column.name not in told and pa.types.is_string(column.type):
            kinds[column.name] = _kind_of_text(layout, column.name, table, numbers, bad)
    table, mask, cells = parse_columns(table, kinds, layout.format.missing, numbers)
    bad.report(cells)
    if mask.any():
        table, numbers = table.filter(pa.array(~mask)), numbers[~mask]
    missing = layout.format.missing
    settled = [without_numbers(_settled(column), missing) for column in table.columns]
    return with_columns(table, settled), numbers


def _kind_of_text(
    layout: CsvLayout, name: str, table: pa.Table, numbers: RowNumbers, bad: BadRows
) -> ColumnKind:
    """Number or date where at least half of the values are such, else category.

    Raises InvalidInput where the others are not, or where the text is a number or a date in a
    spelling that is not read: a category of such values would learn nothing, in silence.
    """
    missing = MISSING + layout.format.missing
    counts = pc.value_counts(without(pc.utf8_trim_whitespace(table[name]), missing).drop_null())
    values, weights = counts.field("values"), counts.field("counts")
    total = pc.sum(weights).as_py() or 0

    def count(which: pa.Array) -> int:
        return pc.sum(weights.filter(which)).as_py() or 0

    spelled: dict[ColumnKind, pa.Array] = {"number": are_numbers(values), "date": are_dates(values)}
    for kind, mask in spelled.items():
        good = count(mask)
        if good and good >= ENOUGH * total:
            if good < total and bad.action == "fail":
                raise _not_all(layout, name, table, numbers, kind, total - good, total)
            return kind
    for what, pattern in FOREIGN.items():
        if total and count(pc.match_substring_regex(values, pattern)) >= ENOUGH * total:
            raise InvalidInput(
                f"column {name!r} seems to hold {what}, such as {shown(values[0].as_py())}",
                at=Place(layout.source.path),
                names=Place(column=name),
                remedy=("write them as 1234.5 or 2026-12-31", _keep_text(name)),
            )
    return "category"


def _not_all(
    layout: CsvLayout,
    name: str,
    table: pa.Table,
    numbers: RowNumbers,
    kind: ColumnKind,
    wrong: int,
    total: int,
) -> InvalidInput:
    _, mask = parse(table[name], kind, layout.format.missing)
    assert mask is not None
    first, row = table[name][int(mask.argmax())].as_py(), int(numbers[mask.argmax()])
    missing = Setting("missing", [cut(first)])
    return InvalidInput(
        f"{wrong} of {total} values are not {kind}s, the first {shown(first)} in row {row}",
        at=Place(layout.source.path, column=name),
        names=Place(row=row),
        remedy=(
            "correct them",
            Remedy("name it as missing (", missing, ")", joint=", "),
            _keep_text(name),
        ),
    )


def _keep_text(name: str) -> Remedy:
    return Remedy("keep the column as text (", Setting("types", {name: "category"}), ")")


def _settled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """One of the types of `ARROW_TYPES` (or null) for an inferred one."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return without_nan(values.cast(ARROW_TYPES["number"], safe=False))
    if pa.types.is_temporal(values.type):
        return values.cast(ARROW_TYPES["date"], safe=False)
    return values
