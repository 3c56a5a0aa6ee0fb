"""A whole CSV file, with the type of each column inferred from all of its values."""

import pyarrow as pa

from lampblack.choices import ColumnKind
from lampblack.data.tables.column_kinds import ARROW_TYPES, ZONED, ColumnType
from lampblack.data.tables.csv_rows import read_table
from lampblack.data.tables.layout import CsvLayout
from lampblack.data.tables.numerals import NumberSpelling
from lampblack.data.tables.parsing import (
    BadRows,
    RowNumbers,
    cut,
    parse,
    parse_columns,
    shown,
    with_columns,
    without_nan,
    without_numbers,
)
from lampblack.data.tables.text_types import Understood, keep_text, say_read, understand
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting


def read_inferred(
    layout: CsvLayout, bad: BadRows
) -> tuple[pa.Table, RowNumbers, dict[str, ColumnType]]:
    """The rows, in the types of `ARROW_TYPES` or `ZONED`, their numbers, and the types of text.

    A text column of which at least half, but not all, of the values are numbers is refused; where
    bad rows are skipped, it becomes a column of numbers.
    """
    told = layout.format.told
    table, numbers, wrong = read_table(layout, list(told))
    again = [column.name for column in table.schema if _is_to_read_again(column.type, layout)]
    if again:
        table, numbers, wrong = read_table(layout, [*told, *again])
    bad.report(wrong)
    types = dict(told)
    decimal = layout.format.decimal or _decimal_of(table, layout)
    for column in table.schema:
        known = told.get(column.name)
        if known is not None and (known.spelling or known.kind not in ("number", "date")):
            continue
        if pa.types.is_string(column.type):
            kind = None if known is None else known.kind
            types[column.name] = _type_of_text(
                layout, column.name, table, numbers, bad, kind, decimal
            )
    table, mask, cells = parse_columns(table, types, layout.format.nulls, numbers)
    bad.report(cells)
    if mask.any():
        table, numbers = table.filter(pa.array(~mask)), numbers[~mask]
    missing = layout.format.missing
    values = [without_numbers(_settled(column), missing) for column in table.columns]
    return with_columns(table, values), numbers, types


def _decimal_of(table: pa.Table, layout: CsvLayout) -> str:
    """The comma where a column shows it for certain, by which the others are read too."""
    for column in table.columns:
        if pa.types.is_string(column.type):
            found = understand(column, layout.format.nulls).type
            spelling = found.spelling if found.kind == "number" else None
            if spelling is not None and NumberSpelling.of(spelling).decimal == ",":
                return ","
    return "."


def _is_to_read_again(inferred: pa.DataType, layout: CsvLayout) -> bool:
    """Whether a column is kept as it is written: a time of day is no date, 1.234 may be 1234."""
    if layout.format.decimal == "," and pa.types.is_floating(inferred):
        return True
    return bool(pa.types.is_time(inferred))


def _type_of_text(
    layout: CsvLayout,
    name: str,
    table: pa.Table,
    numbers: RowNumbers,
    bad: BadRows,
    told: ColumnKind | None,
    decimal: str,
) -> ColumnType:
    """Number or date where at least half of the values are such, else category.

    told: the kind that the user says. Raises InvalidInput where the others are not, or where the
    text is a number or a date in a spelling that is not read: a category of such values would learn
    nothing, in silence.
    """
    understood = understand(table[name], layout.format.nulls, told=told, decimal=decimal)
    if understood.problem is not None:
        raise understood.refusal(name, Place(layout.source.path))
    if understood.wrong and told is None and bad.action == "fail":
        raise _not_all(layout, name, table, numbers, understood)
    if understood.type.spelling is not None and told is None:
        say_read(name, understood)
    return understood.type


def _not_all(
    layout: CsvLayout, name: str, table: pa.Table, numbers: RowNumbers, understood: Understood
) -> InvalidInput:
    column = understood.type
    _, mask = parse(table[name], column, layout.format.nulls)
    assert mask is not None
    first, row = table[name][int(mask.argmax())].as_py(), int(numbers[mask.argmax()])
    missing = Setting("missing", [cut(first)])
    spelled = "" if column.spelling is None else f" as {column.spelling}"
    return InvalidInput(
        f"{understood.wrong} of {understood.total} values are not {column.kind}s{spelled}, the "
        f"first {shown(first)} in row {row}",
        at=Place(layout.source.path, column=name),
        names=Place(row=row),
        remedy=(
            "correct them",
            Remedy("name it as missing (", missing, ")", joint=", "),
            keep_text(name),
        ),
    )


def _settled(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """One of the types of `ARROW_TYPES`, `ZONED` (or null) for an inferred one."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return without_nan(values.cast(ARROW_TYPES["number"], safe=False))
    if pa.types.is_temporal(values.type):
        zoned = pa.types.is_timestamp(values.type) and values.type.tz is not None
        return values.cast(ZONED if zoned else ARROW_TYPES["date"], safe=False)
    return values
