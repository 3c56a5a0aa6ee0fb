"""Parquet in memory, bounded before it is decoded: a small file can describe terabytes.

Arrow allocates what a file's page headers ask for, and what its dictionaries and shared prefixes
unfold to. So the headers are walked first and their sizes added up; text stays a dictionary until
the length of what it stands for is known; and encodings that share prefixes are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from lampblack.data.names import wrong_column
from lampblack.data.tables.layout import RowFormat
from lampblack.data.tables.parquet_rows import told
from lampblack.data.tables.schema import Schema
from lampblack.exceptions import InvalidInput, Place
from lampblack.service.body import Upload
from lampblack.service.refusal import Refusal, too_large, unfit

MOST_UNFOLDED = 1 << 28  # bytes of the decoded columns together
MOST_COLUMNS = 10_000
THRIFT_STRING, THRIFT_CONTAINER = 1 << 24, 100_000
DELTA_BYTE_ARRAY = 7
DATA_PAGES = {5: 2, 8: 4}  # field of a page header, and the field of its encoding in there

Choose = Callable[[Collection[str]], tuple[list[str], list[str]]]


def read_bounded(
    upload: Upload, choose: Choose, schema: Schema, format_: RowFormat, most_rows: int
) -> pa.Table:
    """The columns that `choose` takes of those that are there.

    Raises Refusal: 413 where rows or bytes are too many, 422 where the file is damaged or holds
    what cannot be used.
    """
    try:
        table = _read(upload, choose, most_rows)
    except InvalidInput:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError):
        raise unfit(
            f"{upload.name} is a truncated or damaged Parquet file; write it again"
        ) from None
    known = {name: kind for name, kind in format_.types.items() if name in schema.names}
    known |= {name: str(each) for name, each in schema.types.items() if each.spelling is not None}
    numbers = np.arange(1, len(table) + 1)
    format_ = replace(format_, types=known)
    table, _, cells = told(Path(upload.name), table, format_, numbers)
    if cells:
        place = Place(upload.name, cells[0].row, cells[0].column)
        raise InvalidInput(cells[0].reason, at=place, remedy="correct it")
    return table


def _read(upload: Upload, choose: Choose, most_rows: int) -> pa.Table:
    limits = {
        "thrift_string_size_limit": THRIFT_STRING,
        "thrift_container_size_limit": THRIFT_CONTAINER,
    }
    buffer = pa.py_buffer(upload.content)
    with parquet.ParquetFile(pa.BufferReader(buffer), **limits) as file:
        metadata, kinds = file.metadata, file.schema_arrow
    if metadata.num_rows > most_rows:
        raise too_large(f"{upload.name} has {metadata.num_rows:,} rows, more than {most_rows:,}")
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    if sum(groups) != metadata.num_rows:
        raise ValueError("the row groups do not add up")
    if not metadata.num_rows:
        raise unfit(f"{upload.name} has no rows")
    if metadata.num_columns > MOST_COLUMNS:
        raise too_large(f"{upload.name} has more than {MOST_COLUMNS:,} columns")
    model, keep = choose(kinds.names)
    used = [*model, *keep]
    for name in used:
        if pa.types.is_nested(kinds.field(name).type):
            raise wrong_column(name, "is nested", "give one value for each row")
    _refuse_bombs(upload, metadata, set(used))
    texts = [name for name in used if _is_text(kinds.field(name).type)]
    with parquet.ParquetFile(
        pa.BufferReader(buffer), read_dictionary=texts, page_checksum_verification=True, **limits
    ) as file:
        table = file.read(columns=used, use_threads=False).replace_schema_metadata(None)
    unfolded = sum(_unfolded(table.column(name)) for name in used)
    if unfolded > MOST_UNFOLDED or len(table) != metadata.num_rows:
        raise _bomb(upload)
    columns = [
        c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in table.columns
    ]
    plain = pa.table(dict(zip(table.column_names, columns, strict=True)))
    plain.validate(full=True)  # text may not be UTF-8
    return plain


def _refuse_bombs(upload: Upload, metadata: parquet.FileMetaData, used: set[str]) -> None:
    """Add up what the pages of the used columns say that they unpack to."""
    total = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            if chunk.path_in_schema not in used:
                continue
            start = chunk.data_page_offset
            if chunk.has_dictionary_page and chunk.dictionary_page_offset:
                start = min(start, chunk.dictionary_page_offset)
            stop = start + chunk.total_compressed_size
            if not 0 <= start <= stop <= len(upload.content):
                raise ValueError("a column lies outside the file")
            for size in _page_sizes(upload.content, start, stop):
                total += size
                if total > MOST_UNFOLDED:
                    raise _bomb(upload)


def _page_sizes(content: bytes, start: int, stop: int) -> list[int]:
    """What each page of a column chunk unpacks to, in bytes."""
    sizes = []
    while start < stop:
        header, start = _struct(content, start)
        unpacked, packed = header.get(2), header.get(3)
        if not (isinstance(unpacked, int) and isinstance(packed, int)) or min(unpacked, packed) < 0:
            raise ValueError("a page without its size")
        for field, encoding in DATA_PAGES.items():
            page = header.get(field)
            if isinstance(page, dict) and page.get(encoding) == DELTA_BYTE_ARRAY:
                what = "the file uses the encoding DELTA_BYTE_ARRAY"
                raise InvalidInput(what, remedy="write it without")
        sizes.append(unpacked)
        start += packed
    return sizes


def _unfolded(values: pa.ChunkedArray) -> int:
    """Bytes of a column when every value stands for itself."""
    total = 0
    for chunk in values.chunks:
        if pa.types.is_dictionary(chunk.type):
            lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
            total += pc.sum(lengths.take(chunk.indices)).as_py() or 0
        else:
            total += chunk.nbytes
    return total


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
    )


def _bomb(upload: Upload) -> Refusal:
    return too_large(f"{upload.name} unpacks to more than {MOST_UNFOLDED >> 20} MiB")


# Thrift's compact protocol, as far as page headers need it.

Value = int | bool | bytes | dict[int, "Value"] | None
MOST_NESTED = 8


def _struct(content: bytes, at: int, depth: int = 0) -> tuple[dict[int, Value], int]:
    """A struct's fields by number, and where it ends."""
    if depth > MOST_NESTED:
        raise ValueError("nested too deeply")
    fields: dict[int, Value] = {}
    number = 0
    while True:
        head = content[at]
        at += 1
        if not head:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _zigzag(content, at)
        fields[number], at = _value(content, at, head & 15, depth)


def _value(content: bytes, at: int, kind: int, depth: int) -> tuple[Value, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return content[at], at + 1
    if kind in (4, 5, 6):
        return _zigzag(content, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        size, at = _varint(content, at)
        return content[at : at + size], at + size
    if kind == 12:
        return _struct(content, at, depth + 1)
    raise ValueError("a page header with lists or maps, which the format does not have")


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number that is too long")


def _zigzag(content: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(content, at)
    return (value >> 1) ^ -(value & 1), at
