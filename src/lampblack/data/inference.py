"""A whole CSV file, with the type of each column inferred from all of its values."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lampblack.data.csv_rows import read_table
from lampblack.data.kinds import ARROW_TYPES, Kind
from lampblack.data.layout import CsvLayout
from lampblack.data.parsing import (
    MISSING,
    BadRows,
    RowNumbers,
    are_numbers,
    parse,
    parse_columns,
    shown,
    with_columns,
    without,
    without_nan,
)
from lampblack.exceptions import InvalidInput

ENOUGH: Final = 0.5


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
    kinds: dict[str, Kind] = dict(told)
    for column in table.schema:
        if column.name not in told and pa.types.is_string(column.type):
            kinds[column.name] = _kind_of_text(layout, column.name, table, numbers, bad)
    table, mask, cells = parse_columns(table, kinds, layout.format.missing, numbers)
    bad.report(cells)
    if mask.any():
        table, numbers = table.filter(pa.array(~mask)), numbers[~mask]
    return with_columns(table, map(_settled, table.columns)), numbers


def _kind_of_text(
    layout: CsvLayout, name: str, table: pa.Table, numbers: RowNumbers, bad: BadRows
) -> Kind:
    """Number if the values are, perhaps with spellings that Arrow does not infer."""
    missing = MISSING + layout.format.missing
    counts = pc.value_counts(without(pc.utf8_trim_whitespace(table[name]), missing).drop_null())
    numeric = are_numbers(counts.field("values"))
    total = pc.sum(counts.field("counts")).as_py() or 0
    good = pc.sum(counts.field("counts").filter(numeric)).as_py() or 0
    if not good or good < ENOUGH * total:
        return "category"
    if good < total and bad.action == "fail":
        _, mask = parse(table[name], "number", layout.format.missing)
        assert mask is not None
        first = shown(table[name][int(mask.argmax())].as_py())
        raise InvalidInput(
            f"{layout.source.path}: column {name!r}: {total - good} of {total} values are not "
            f"numbers, the first {first} in row {numbers[mask.argmax()]}; correct them, name it "
            f"as missing (--missing {first}), or keep the column as text (--types {name}=category)"
        )
    return "number"


def _settled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """One of the types of `ARROW_TYPES` (or null) for an inferred one."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return without_nan(values.cast(ARROW_TYPES["number"], safe=False))
    if pa.types.is_temporal(values.type):
        return values.cast(ARROW_TYPES["date"], safe=False)
    return values
