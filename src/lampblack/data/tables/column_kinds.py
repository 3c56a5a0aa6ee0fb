"""The kinds of column a table may have, and the Arrow type that holds each."""

from typing import Final, get_args

import pyarrow as pa

from lampblack.choices import ColumnKind

COLUMN_KINDS: Final[tuple[ColumnKind, ...]] = get_args(ColumnKind)

ARROW_TYPES: Final[dict[ColumnKind, pa.DataType]] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "date": pa.timestamp("us"),
}
