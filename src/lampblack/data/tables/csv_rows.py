"""CSV files in blocks: typed while every cell converts, as text from the first that does not.

Row numbers count the rows of data from 1. Quoted newlines and blank lines do not disturb them:
Arrow numbers parsed rows, not lines, and a blank line is no row (except in a file of one column,
where it is a missing value).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from pyarrow import csv

from lampblack.data.tables.column_kinds import ColumnType
from lampblack.data.tables.delimiters import SPACES
from lampblack.data.tables.layout import LONGEST_ROW, CsvLayout, unreadable
from lampblack.data.tables.lines import rows_of
from lampblack.data.tables.parsing import (
    RowNumbers,
    SkippedRow,
    is_unicode,
    parse,
    with_columns,
    without,
    without_nan,
    without_numbers,
)
from lampblack.exceptions import InvalidInput, Place

TAIL_BYTES: Final = 1 << 16


@dataclass
class _WrongRows:
    """Rows with a wrong number of fields, as Arrow's parser meets them."""

    header: bool
    found: list[SkippedRow] = field(default_factory=list)
    last: tuple[int, str] = (0, "")

    def __call__(self, row: csv.InvalidRow) -> str:
        number = row.number - self.header
        fields = "1 field" if row.actual_columns == 1 else f"{row.actual_columns} fields"
        self.found.append(SkippedRow(number, None, f"{fields} instead of {row.expected_columns}"))
        self.last = number, row.text
        return "skip"

    def take(self, up_to: int | None = None) -> list[SkippedRow]:
        """The rows found so far, up to a number: later ones belong to later blocks."""
        taken = [row for row in self.found if up_to is None or row.row <= up_to]
        self.found = self.found[len(taken) :]
        return taken

    def number(self, start: int, count: int) -> RowNumbers:
        """The numbers of `count` good rows, of which none is below `start`."""
        candidates = np.arange(start, start + count + len(self.found), dtype=np.int64)
        wrong = np.array([row.row for row in self.found], dtype=np.int64)
        return np.setdiff1d(candidates, wrong, assume_unique=True)[:count]


def read_table(
    layout: CsvLayout, texts: Collection[str]
) -> tuple[pa.Table, RowNumbers, list[SkippedRow]]:
    """The whole file, types inferred except for the columns that are to stay text.

    Returns the rows, their numbers, and the rows with a wrong number of fields. A column that is
    not UTF-8 is refused.
    """
    types = dict.fromkeys(texts, pa.string())
    wrong = _WrongRows(layout.format.header)
    with unreadable(layout.source.path):
        try:
            with layout.source.open() as stream:
                table = _read(layout, stream, types, None)
        except pa.ArrowInvalid:  # again, in one thread: only then Arrow numbers the wrong rows
            types = dict.fromkeys(texts, pa.binary())
            with layout.source.open() as stream:
                table = _read(layout, stream, types, wrong)
    numbers = wrong.number(1, len(table))
    _refuse_open_quote(layout, table, numbers, wrong.last)
    return _decoded(layout, table, numbers), numbers, wrong.take()


def _read(
    layout: CsvLayout,
    stream: pa.NativeFile,
    types: Mapping[str, pa.DataType],
    wrong: _WrongRows | None,
) -> pa.Table:
    stream = rows_of(layout, stream)
    block_bytes = layout.block_bytes if wrong is None else LONGEST_ROW
    options = _options(layout, types, wrong, block_bytes, use_threads=wrong is None)
    return csv.read_csv(stream, *options)


def typed_tables(layout: CsvLayout, known: Mapping[str, ColumnType]) -> Iterator[pa.Table]:
    """Blocks with columns of the given types, the others as text.

    Raises ArrowInvalid at the first block that does not convert.
    """
    text = ColumnType("category")
    spelled = {name: column for name, column in known.items() if column.spelling is not None}
    types = {
        name: (text if name in spelled else known.get(name, text)).arrow for name in layout.names
    }
    last, rows = None, 0
    with layout.source.open() as stream:
        for table in _blocks(layout, stream, types, None, layout.block_bytes):
            if len(table):
                last, rows = table, rows + len(table)
                tidy = _tidy(table, layout.format.missing)
                yield _spelled(tidy, spelled, layout.format.nulls)
    if last is not None:
        _refuse_open_quote(layout, last, np.array([rows]), (0, ""))


def text_tables(
    layout: CsvLayout, skip: int = 0
) -> Iterator[tuple[pa.Table, RowNumbers, list[SkippedRow]]]:
    """Blocks of text, without the first `skip` good rows: rows, their numbers, wrong rows.

    Wrong rows are those with a wrong number of fields; they come with the block they precede, and
    the last block, which holds those that no row follows, is empty.
    """
    block_bytes, reported = layout.block_bytes, 0
    while True:
        seen = 0
        try:
            for table, numbers, wrong in _text_blocks(layout, block_bytes):
                new, seen = max(0, skip - seen), seen + len(table)
                fresh = [row for row in wrong if row.row > reported]
                yield _decoded(layout, table.slice(new), numbers[new:]), numbers[new:], fresh
                skip, reported = max(skip, seen), max([reported, *(row.row for row in fresh)])
            return
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or block_bytes >= LONGEST_ROW:
                raise
            block_bytes = min(LONGEST_ROW, 8 * block_bytes)


def _text_blocks(
    layout: CsvLayout, block_bytes: int
) -> Iterator[tuple[pa.Table, RowNumbers, list[SkippedRow]]]:
    types = dict.fromkeys(layout.names, pa.binary())
    wrong = _WrongRows(layout.format.header)
    last = pa.table({name: pa.array([], pa.binary()) for name in layout.names})
    numbers = np.zeros(1, dtype=np.int64)
    with layout.source.open() as stream:
        for table in _blocks(layout, stream, types, wrong, block_bytes):
            if len(table):
                last, numbers = table, wrong.number(int(numbers[-1]) + 1, len(table))
                yield table, numbers, wrong.take(up_to=int(numbers[-1]))
    _refuse_open_quote(layout, last, numbers, wrong.last)
    yield last.slice(0, 0), numbers[:0], wrong.take()


def _blocks(
    layout: CsvLayout,
    stream: pa.NativeFile,
    types: Mapping[str, pa.DataType],
    wrong: _WrongRows | None,
    block_bytes: int,
) -> Iterator[pa.Table]:
    stream = rows_of(layout, stream)
    options = _options(layout, types, wrong, block_bytes, use_threads=False)
    for batch in csv.open_csv(stream, *options):
        yield pa.Table.from_batches([batch])


def _options(
    layout: CsvLayout,
    types: Mapping[str, pa.DataType],
    wrong: _WrongRows | None,
    block_bytes: int,
    *,
    use_threads: bool,
) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
    reading = csv.ReadOptions(
        use_threads=use_threads,
        block_size=block_bytes,
        column_names=layout.names,
        skip_rows_after_names=int(layout.format.header),
    )
    parsing = csv.ParseOptions(
        delimiter="\t" if layout.delimiter == SPACES else layout.delimiter,
        newlines_in_values=True,
        ignore_empty_lines=len(layout.names) > 1,
        invalid_row_handler=wrong,
    )
    converting = csv.ConvertOptions(
        column_types=types,
        null_values=layout.format.nulls,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return reading, parsing, converting


def _tidy(table: pa.Table, missing: tuple[str, ...]) -> pa.Table:
    """Make missing what Arrow leaves: empty quotes, the user's spellings in quotes, and NaN."""
    columns = table.columns
    for index, column in enumerate(columns):
        if pa.types.is_string(column.type):
            columns[index] = without(column, missing)
        elif pa.types.is_floating(column.type):
            columns[index] = without_numbers(without_nan(column), missing)
    return with_columns(table, columns)


def _spelled(
    table: pa.Table, spelled: Mapping[str, ColumnType], nulls: tuple[str, ...]
) -> pa.Table:
    """The columns of a spelling of their own parsed. Raises ArrowInvalid where a cell is not."""
    columns = table.columns
    for name, column in spelled.items():
        index = table.column_names.index(name)
        columns[index], wrong = parse(columns[index], column, nulls)
        if wrong is not None:
            raise pa.ArrowInvalid("a cell is of another spelling")
    return with_columns(table, columns)


def _decoded(layout: CsvLayout, table: pa.Table, numbers: RowNumbers) -> pa.Table:
    """Text from bytes; raise InvalidInput naming the first cell that is not UTF-8."""
    columns = table.columns
    for index, column in enumerate(columns):
        if pa.types.is_binary(column.type):
            try:
                columns[index] = column.cast(pa.string())
            except pa.ArrowInvalid:
                broken = next(i for i, value in enumerate(column) if not is_unicode(value))
                row = int(numbers[broken])
                raise InvalidInput(
                    "is not UTF-8 text",
                    at=Place(layout.source.path, row, table.column_names[index]),
                    remedy="save the file as UTF-8",
                ) from None
    return with_columns(table, columns)


def _refuse_open_quote(
    layout: CsvLayout, table: pa.Table, numbers: RowNumbers, wrong: tuple[int, str]
) -> None:
    """Refuse a quote that is never closed: Arrow takes the rest of the file for one value.

    table, numbers: a last part of the rows. wrong: the last row with a wrong number of fields.
    """
    row, text = wrong
    is_open = bool(re.search("[\r\n]", text)) and text.count('"') % 2 == 1
    if len(table) and numbers[-1] > row:
        row, value = int(numbers[-1]), table[table.num_columns - 1][-1].as_py()
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        is_open = bool(re.search("[\r\n]", text)) and not _ends_with_quote(layout)
    if is_open:
        raise InvalidInput(
            'a quote (") is never closed',
            at=Place(layout.source.path, row),
            remedy="close it or remove it",
        )


def _ends_with_quote(layout: CsvLayout) -> bool:
    tail = b""
    with layout.source.open() as stream:
        while chunk := stream.read(TAIL_BYTES):
            tail = (tail + chunk)[-TAIL_BYTES:]
    return tail.rstrip(b"\r\n").endswith(b'"')
