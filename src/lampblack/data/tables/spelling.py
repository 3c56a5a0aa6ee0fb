"""The type of a column as a user writes it, checked."""

from __future__ import annotations

from lampblack.data.tables.column_kinds import ColumnType
from lampblack.data.tables.dates import check_format
from lampblack.data.tables.numerals import NumberSpelling


def read_type(text: str) -> ColumnType:
    """The type that "date:%d/%m/%Y" means. Raises ValueError, in one line, where it is none."""
    column = ColumnType.of(text)
    if column.spelling is not None:
        if column.kind == "date":
            check_format(column.spelling)
        else:
            NumberSpelling.of(column.spelling)
    return column
