"""Parquet files in batches of rows. The types come from the file, except those that are told."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from lampblack.data.tables.column_kinds import ColumnType
from lampblack.data.tables.layout import RowFormat, Source, check_names
from lampblack.data.tables.parsing import (
    Mask,
    RowNumbers,
    SkippedRow,
    is_unicode,
    parse_columns,
    with_columns,
    without_numbers,
)
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting

BUFFER_BYTES: Final = 1 << 18
NOT_UNICODE: Final = "the text is not UTF-8"


@dataclass(frozen=True)
class ParquetLayout:
    """A Parquet file, its columns, and the size of its values before compression."""

    path: Path
    names: tuple[str, ...]
    row_bytes: float
    n_bytes: int


def find_parquet_layout(source: Source) -> ParquetLayout:
    """Read the names of the columns; raise InvalidInput if the file is damaged."""
    try:
        with parquet.ParquetFile(source.path) as file:
            names, metadata = tuple(file.schema_arrow.names), file.metadata
            groups = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
    except (pa.ArrowException, OSError):
        raise _damaged(source.path) from None
    check_names(source.path, names)
    return ParquetLayout(source.path, names, sum(groups) / max(1, metadata.num_rows), sum(groups))


def parquet_tables(layout: ParquetLayout, batch_rows: int, batch_bytes: int) -> Iterator[pa.Table]:
    """Batches of at most `batch_rows` rows and about `batch_bytes`, pandas' notes dropped."""
    rows = int(min(batch_rows, max(1, batch_bytes // max(1, layout.row_bytes))))
    try:
        with parquet.ParquetFile(
            layout.path,
            pre_buffer=False,  # with it, a row group is held whole
            buffer_size=BUFFER_BYTES,
            page_checksum_verification=True,
        ) as file:
            for batch in file.iter_batches(rows, use_threads=False):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None)
    except (pa.ArrowException, OSError):
        raise _damaged(layout.path) from None


def told(
    path: Path, table: pa.Table, format: RowFormat, numbers: RowNumbers
) -> tuple[pa.Table, Mask, list[SkippedRow]]:
    """Columns converted to the kinds that are told, and the spellings of missing values.

    Returns the table, which rows have a cell that cannot be parsed, and these cells.
    """
    texts: dict[str, ColumnType] = {}
    columns, known = table.columns, format.told
    for index, column in enumerate(table.schema):
        type_ = known.get(column.name)
        if _is_text(column.type) and (format.missing or type_):
            texts[column.name] = type_ or ColumnType("category")
            columns[index] = columns[index].cast(pa.string())
        elif type_ is not None:
            columns[index] = _converted(path, columns[index], column.name, type_)
        columns[index] = without_numbers(columns[index], format.missing)
    return parse_columns(with_columns(table, columns), texts, format.nulls, numbers)


def unicode_only(
    table: pa.Table, names: Collection[str], numbers: RowNumbers
) -> tuple[pa.Table, Mask, list[SkippedRow]]:
    """Text of these columns as UTF-8: Parquet promises it, and not every writer keeps it.

    Returns the table with other text missing, which rows have such a cell, and these cells.
    """
    bad = np.zeros(len(table), dtype=np.bool_)
    cells: list[SkippedRow] = []
    columns = table.columns
    for index, column in enumerate(table.schema):
        if column.name not in names or not _is_text(column.type) or _is_valid(columns[index]):
            continue
        text = columns[index]
        if pa.types.is_dictionary(text.type):
            text = text.cast(text.type.value_type)
        mask = np.array([not is_unicode(value) for value in text.cast(pa.large_binary())])
        found = (SkippedRow(int(row), column.name, NOT_UNICODE) for row in numbers[mask])
        bad, cells = bad | mask, [*cells, *found]
        clean = pc.if_else(pa.array(mask), pa.scalar(None, text.type), text)
        columns[index] = clean.cast(column.type)
    return (with_columns(table, columns) if cells else table), bad, cells


def _is_valid(values: pa.ChunkedArray) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(check(kind) for check in text)


def _converted(
    path: Path, values: pa.ChunkedArray, name: str, column: ColumnType
) -> pa.ChunkedArray:
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if column.kind == "category":
        return values  # the schema writes any number as text in one way
    if column.kind == "date" and pa.types.is_temporal(values.type):
        return values  # with its time zone, or without
    try:
        return pc.cast(values, column.arrow, safe=False)
    except pa.ArrowException:
        raise InvalidInput(
            f"column {name!r} of type {values.type} cannot be read as {column.kind}",
            at=Place(path),
            names=Place(column=name),
            remedy=Remedy("tell another type (", Setting("types"), ")"),
        ) from None


def _damaged(path: Path) -> InvalidInput:
    what = "is a truncated or damaged Parquet file"
    return InvalidInput(what, at=Place(path), remedy="copy or write it again")
