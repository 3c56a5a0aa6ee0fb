"""The kinds of column a table may have, the Arrow type that holds each, and how text spells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, get_args

import pyarrow as pa
from pyarrow import csv

from lampblack.choices import ColumnKind

COLUMN_KINDS: Final[tuple[ColumnKind, ...]] = get_args(ColumnKind)

ARROW_TYPES: Final[dict[ColumnKind, pa.DataType]] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.string(),
    "date": pa.timestamp("us"),
}
ZONED: Final = pa.timestamp("us", "UTC")

MISSING: Final[tuple[str, ...]] = tuple(csv.ConvertOptions().null_values)


@dataclass(frozen=True)
class ColumnType:
    """What a column holds, and how text spells it.

    spelling: of numbers an example such as "$1,234.5", of dates a format such as "%d/%m/%Y"; None
    is the plain one, 1234.5 and ISO 8601. zoned: whether dates have a time zone; None is unknown,
    or no date.

    >>> ColumnType.of("date:%d/%m/%Y").spelling, str(ColumnType("number", "1.234,5 €"))
    ('%d/%m/%Y', 'number:1.234,5 €')
    """

    kind: ColumnKind
    spelling: str | None = None
    zoned: bool | None = None

    @classmethod
    def of(cls, text: str) -> ColumnType:
        """The type that a user writes. Raises ValueError where there is none of that kind."""
        name, _, spelling = text.partition(":")
        kind = next((kind for kind in COLUMN_KINDS if kind == name), None)
        if kind is None or (spelling and kind not in ("number", "date")):
            raise ValueError(f"{text!r} is no type")
        zoned = "%z" in spelling if kind == "date" and spelling else None
        return cls(kind, spelling or None, zoned)

    def __str__(self) -> str:
        return self.kind if self.spelling is None else f"{self.kind}:{self.spelling}"

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that holds its values."""
        return ZONED if self.zoned else ARROW_TYPES[self.kind]


def nulls(missing: tuple[str, ...] = (), not_missing: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The spellings of a missing value: pyarrow's own but for some that are text, and others.

    >>> "NA" in nulls(), "NA" in nulls(not_missing=("NA",)), "?" in nulls(("?",))
    (True, False, True)
    """
    return tuple(
        text
        for text in dict.fromkeys(MISSING + tuple(missing))
        if not text or text not in not_missing
    )
