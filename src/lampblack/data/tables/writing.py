"""Writing a table in pieces, so that the file appears whole or not at all."""

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
from pyarrow import csv, parquet

from lampblack.exceptions import InvalidInput, Place

STANDARD_OUTPUT: Final = "-"


class RowWriter:
    """Takes tables of one schema, one after the other."""

    def __init__(self, path: str | Path, writer: Any, schema: pa.Schema) -> None:
        self._path = path
        self._writer = writer
        self._schema = schema

    def write(self, table: pa.Table) -> None:
        """Append rows; their columns are those of the schema, in its order."""
        with unwritable(self._path):
            self._writer.write_table(table.cast(self._schema))


@contextmanager
def open_writer(path: str | Path, schema: pa.Schema) -> Iterator[RowWriter]:
    """Write CSV (.csv, .tsv, also .gz) or Parquet (.parquet, .pq), as the name says.

    The rows go to a temporary file in the same folder, which takes the final name when all are
    written; on any exception it is removed, and a file of that name is left as it was.
    The path "-" is the standard output, as CSV. Raises InvalidInput if nothing can be written.
    """
    if str(path) == STANDARD_OUTPUT:
        _check_csv_types(path, schema)
        with _csv_writer(path, sys.stdout.buffer, schema, ".csv") as writer:
            yield writer
        sys.stdout.buffer.flush()
        return
    final = Path(os.path.realpath(path))
    opener = _opener(Path(path))
    if not final.parent.is_dir():
        what = f"the folder {final.parent} does not exist"
        raise InvalidInput(what, at=Place(path), remedy="create it first")
    if final.is_dir():
        raise InvalidInput("is a folder", at=Place(path), remedy="give the name of a file")
    if opener is _csv_writer:
        _check_csv_types(path, schema)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        with unwritable(path):
            file = temporary.open("xb")
        with file, opener(path, file, schema, final.name.lower()) as writer:
            yield writer
        with unwritable(path):
            _sync(temporary)
            temporary.replace(final)
            with contextlib.suppress(OSError):  # not every system syncs folders
                _sync(final.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def opened_late(output: str | None) -> Iterator[Callable[[pa.Table], None]]:
    """A writer that opens with the first table, whose schema it takes; no table makes no file."""
    writer: RowWriter | None = None
    with ExitStack() as stack:

        def write(table: pa.Table) -> None:
            nonlocal writer
            if writer is None:
                assert output is not None
                writer = stack.enter_context(open_writer(output, table.schema))
            writer.write(table)

        yield write


Opener = Callable[
    [str | Path, IO[bytes], pa.Schema, str], contextlib.AbstractContextManager[RowWriter]
]


def _opener(path: Path) -> Opener:
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        return _parquet_writer
    if name.removesuffix(".gz").endswith((".csv", ".tsv")):
        return _csv_writer
    what = "the name must end in .csv, .csv.gz, .tsv, .tsv.gz or .parquet"
    raise InvalidInput(what, at=Place(path))


@contextmanager
def _csv_writer(
    path: str | Path, file: IO[bytes], schema: pa.Schema, name: str
) -> Iterator[RowWriter]:
    schema = _without_dictionaries(schema)
    options = csv.WriteOptions(delimiter="\t" if ".tsv" in name[-7:] else ",")
    with ExitStack() as stack:
        with unwritable(path):
            sink = pa.PythonFile(file, "w")
            if name.endswith(".gz"):
                sink = stack.enter_context(pa.CompressedOutputStream(sink, "gzip"))
            writer = csv.CSVWriter(sink, schema, write_options=options)
        yield RowWriter(path, writer, schema)
        with unwritable(path):
            writer.close()
            stack.close()


@contextmanager
def _parquet_writer(
    path: str | Path, file: IO[bytes], schema: pa.Schema, name: str
) -> Iterator[RowWriter]:
    with unwritable(path):
        writer = parquet.ParquetWriter(pa.PythonFile(file, "w"), schema, write_page_checksum=True)
    try:
        yield RowWriter(path, writer, schema)
    finally:
        with unwritable(path):
            writer.close()


def _without_dictionaries(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        pa.field(column.name, column.type.value_type)
        if pa.types.is_dictionary(column.type)
        else column
        for column in schema
    )


def _check_csv_types(path: str | Path, schema: pa.Schema) -> None:
    for column in _without_dictionaries(schema):
        try:
            csv.write_csv(pa.schema([column]).empty_table(), pa.BufferOutputStream())
        except pa.ArrowException:
            raise InvalidInput(
                f"column {column.name!r} of type {column.type} cannot be written as CSV",
                at=Place(path),
                names=Place(column=column.name),
                remedy="write a .parquet file",
            ) from None


@contextmanager
def unwritable(path: str | Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into one line."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        what = f"cannot be written ({reason})"
        raise InvalidInput(what, at=Place(path), remedy="choose another place") from None


def _sync(path: Path) -> None:
    """Make what was written, or a new name in a folder, survive a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
