"""The kinds of column a table may have, and the Arrow type that holds each."""

from typing import Final, Literal, get_args

import pyarrow as pa

ColumnKind = Literal["number", "boolean", "category", "date"]

COLUMN_KINDS: Final[tuple[ColumnKind, ...]] = get_args(ColumnKind)

ARROW_TYPES: Final[dict[ColumnKind, pa.DataType]] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "date": pa.timestamp("us"),
}
