"""The parts of a filter: comparisons of columns, evaluated on a table by Arrow's functions.

Each gives true, false or null for every row; null is the answer of a comparison with a missing
value, and 'and', 'or' and 'not' treat it as unknown.
"""

import ast
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from lampblack.choices import ColumnKind

Scalar = str | bool | int | float

COMPARISONS: Final[dict[type[ast.cmpop], tuple[str, Callable[..., pa.ChunkedArray]]]] = {
    ast.Eq: ("==", pc.equal),
    ast.NotEq: ("!=", pc.not_equal),
    ast.Lt: ("<", pc.less),
    ast.LtE: ("<=", pc.less_equal),
    ast.Gt: (">", pc.greater),
    ast.GtE: (">=", pc.greater_equal),
}
HOLDS: Final = {
    "number": "numbers",
    "boolean": "true or false",
    "category": "text",
    "date": "dates",
}


class Refusal(Exception):
    """Why a filter cannot be used; `Filter` and `parse_where` add the filter's text."""


class Condition(Protocol):
    """A part of a filter that is true, false or unknown (null) for each row."""

    def mask(self, table: pa.Table) -> pa.ChunkedArray: ...

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        """Each column used, with the kind that its constants ask for, in order of appearance."""


@dataclass(frozen=True)
class ColumnName:
    name: str


@dataclass(frozen=True)
class Compare:
    """A column against a constant or another column."""

    operator: type[ast.cmpop]
    left: str
    right: Scalar | ColumnName

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        symbol, compare = COMPARISONS[self.operator]
        left, kind = _column(table, self.left)
        if not isinstance(self.right, ColumnName):
            return compare(left, _constant(self.left, kind, self.right))
        right, other = _column(table, self.right.name)
        if kind is None or other is None:
            return pa.chunked_array([pa.nulls(len(left), pa.bool_())])
        if kind != other:
            raise Refusal(
                f"column {self.left!r} holds {HOLDS[kind]} and column {self.right.name!r} "
                f"{HOLDS[other]}; compare columns of one type"
            )
        if kind == "category" and symbol not in ("==", "!="):
            raise Refusal(f"columns of text cannot be put in order by {symbol}; use == or !=")
        return compare(left, right)

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        if isinstance(self.right, ColumnName):
            yield from ((self.left, None), (self.right.name, None))
        else:
            yield self.left, kind_of(self.right)


@dataclass(frozen=True)
class Among:
    column: str
    values: tuple[Scalar, ...]

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        column, kind = _column(table, self.column)
        constants = [_constant(self.column, kind, value) for value in self.values]
        if kind is None:
            return pa.chunked_array([pa.nulls(len(column), pa.bool_())])
        if kind == "number":
            column = column.cast(pa.float64(), safe=False)
        known = pa.array([c.as_py() for c in constants], column.type)
        found = pc.is_in(column, value_set=known)
        return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        yield self.column, kind_of(self.values[0]) if self.values else None


@dataclass(frozen=True)
class Missing:
    column: str

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        return pc.is_null(table[self.column], nan_is_null=True)

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        yield self.column, None


@dataclass(frozen=True)
class Truth:
    column: str

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        column, kind = _column(table, self.column)
        if kind not in ("boolean", None):
            raise Refusal(
                f"column {self.column!r} holds {HOLDS[kind]} and is no condition by itself; "
                "compare it with something"
            )
        return column.cast(pa.bool_())

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        yield self.column, "boolean"


@dataclass(frozen=True)
class Negation:
    part: Condition

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        return pc.invert(self.part.mask(table))

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        return self.part.wanted()


@dataclass(frozen=True)
class Joined:
    join: Callable[..., pa.ChunkedArray]
    parts: tuple[Condition, ...]

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        return reduce(self.join, (part.mask(table) for part in self.parts))

    def wanted(self) -> Iterator[tuple[str, ColumnKind | None]]:
        for part in self.parts:
            yield from part.wanted()


def kind_of(value: Scalar) -> ColumnKind:
    if isinstance(value, bool):
        return "boolean"
    return "category" if isinstance(value, str) else "number"


def _column(table: pa.Table, name: str) -> tuple[pa.ChunkedArray, ColumnKind | None]:
    """A column in a type that compares well, and its kind (None: every value is missing)."""
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    match column.type:
        case kind if pa.types.is_null(kind):
            return column, None
        case kind if pa.types.is_boolean(kind):
            return column, "boolean"
        case kind if pa.types.is_signed_integer(kind) or kind in (pa.float32(), pa.float64()):
            return column, "number"
        case kind if pa.types.is_unsigned_integer(kind) or pa.types.is_floating(kind):
            return column.cast(pa.float64(), safe=False), "number"
        case kind if pa.types.is_decimal(kind):
            return column.cast(pa.float64(), safe=False), "number"
        case kind if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return column, "category"
        case kind if pa.types.is_string_view(kind):
            return column.cast(pa.string()), "category"
        case kind if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            return column.cast(pa.timestamp("us"), safe=False), "date"
    raise Refusal(f"column {name!r} is of type {column.type}, which cannot be compared")


def _constant(name: str, kind: ColumnKind | None, value: Scalar) -> pa.Scalar:
    """The constant as Arrow's, if it is comparable with a column of that kind."""
    if kind == "date" and isinstance(value, str):
        try:
            return pa.scalar(value.strip()).cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            raise Refusal(
                f"column {name!r} holds dates and {value!r} is none; write it as '2024-01-31' "
                "or '2024-01-31 12:00:00'"
            ) from None
    if kind is not None and kind != kind_of(value):
        raise Refusal(
            f"column {name!r} holds {HOLDS[kind]} and is compared with {value!r}; "
            f"compare it with {HOLDS[kind]}"
        )
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return pa.scalar(_as_float(value))
    return pa.scalar(value)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
