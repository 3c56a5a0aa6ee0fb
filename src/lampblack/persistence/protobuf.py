"""Fields of protobuf messages, read without a library and without copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # kinds of fields


class Field(NamedTuple):
    """A field of a message: its number and kind, where it starts, and where its bytes lie.

    number_value: of a field that is a whole number, else 0.
    """

    number: int
    kind: int
    start: int
    first: int
    end: int
    number_value: int

    def value(self, content: bytes) -> bytes:
        """Its bytes, of the content that it was read from."""
        return content[self.first : self.end]


def fields(content: bytes, first: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message at [first, end), in order.

    Raises ValueError where it is none, or cut short.
    """
    position = first
    end = len(content) if end is None else end
    while position < end:
        start, value = position, 0
        tag, position = _varint(content, position, end)
        number, kind = tag >> 3, tag & 7
        first = position
        if kind == VARINT:
            value, position = _varint(content, position, end)
        elif kind == BYTES:
            length, first = _varint(content, position, end)
            position = first + length
        elif kind in (FIXED64, FIXED32):
            position += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"a field of kind {kind}, which no ONNX file has")
        if not number or position > end:
            raise ValueError("cut short")
        yield Field(number, kind, start, first, position, value)


def whole_numbers(content: bytes, field: Field) -> list[int]:
    """Those of a field that repeats, whether they lie one by one or packed."""
    if field.kind == VARINT:
        return [field.number_value]
    values, position = [], field.first
    while position < field.end:
        value, position = _varint(content, position, field.end)
        values.append(value)
    return values


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, least first, and the position behind it."""
    value = shift = 0
    while position < end and shift < 64:
        byte = content[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("cut short")


def bytes_field(number: int, value: bytes) -> bytes:
    """A field of bytes as a message holds it."""
    return _as_varint(number << 3 | BYTES) + _as_varint(len(value)) + value


def _as_varint(value: int) -> bytes:
    parts: list[int] = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
