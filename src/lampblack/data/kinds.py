"""The kinds of column a table may have, and the Arrow type that holds each."""

from typing import Final, Literal, get_args

import pyarrow as pa

Kind = Literal["number", "boolean", "category", "date"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

ARROW_TYPES: Final[dict[Kind, pa.DataType]] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "date": pa.timestamp("us"),
}
