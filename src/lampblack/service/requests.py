"""From the bytes of a request to samples that the model's schema has checked."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.data.images.decoding import decode_bytes
from lampblack.data.images.schema import ImageSchema, to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.data.kind import Samples
from lampblack.data.tables.files import iter_rows
from lampblack.data.tables.layout import GZIP, PARQUET, ZIP, RowFormat, Source
from lampblack.data.tables.parsing import described, parse
from lampblack.data.tables.schema import Column, Schema
from lampblack.exceptions import InvalidInput, Place
from lampblack.service.body import Upload
from lampblack.service.parquet import read_bounded
from lampblack.service.refusal import Refusal, not_taken, too_large, unfit, unreadable
from lampblack.service.settings import ServiceSettings

JSON, CSV, MULTIPART = "application/json", "text/csv", "multipart/form-data"
PARQUET_TYPES = ("application/vnd.apache.parquet", "application/x-parquet")
ANY = "application/octet-stream"
LONGEST_LINE = 1 << 20
Cells: TypeAlias = list[Any]  # of a column in JSON
Columns: TypeAlias = dict[str, Cells]
BODY = "the body"  # what messages call a request that is no form


@dataclass(frozen=True)
class Wanted:
    """What the query says of a request: a column that names rows, columns to leave out."""

    id_column: str | None = None
    exclude: tuple[str, ...] = ()
    resize: bool = False


@dataclass(frozen=True)
class Received:
    """Checked samples with what names them.

    keys: the value of the id column for each row, or the name of each image file; None where rows
    are known by their number alone. table: the model's columns as they came, for reasons.
    """

    samples: Samples
    keys: list[object] | None
    table: pa.Table | None = None


def refuse_json(content: bytes, schema: ImageSchema, wanted: Wanted, most: int) -> Received:
    """Images cannot be JSON."""
    raise not_taken(
        "this model takes images; send image files, one as the body or several as a form"
    )


def read_json(content: bytes, schema: Schema, wanted: Wanted, most: int) -> Received:
    """Rows from a JSON body: {"rows": [{...}, ...]} or {"columns": {name: [...], ...}}."""
    _refuse_resize(wanted)
    columns = _columns(_parsed(content, most), schema, most)
    names, _ = _chosen(columns.keys(), schema, wanted)
    table = pa.table({name: _arrow(name, columns[name], schema) for name in names})
    keys = None
    if wanted.id_column is not None:
        keys = [_json_key(key, row) for row, key in enumerate(columns[wanted.id_column], start=1)]
    return Received(schema.read_table(table), keys, table)


def read_rows(
    uploads: Sequence[Upload],
    schema: Schema,
    reading: Mapping[str, Any],
    wanted: Wanted,
    settings: ServiceSettings,
) -> Received:
    """Rows from one file. reading: how the fitted file was written."""
    if len(uploads) > 1:
        raise unfit("this model takes one file of rows at a time")
    _refuse_resize(wanted)
    (upload,) = uploads
    if upload.content_type.startswith("image/"):
        raise not_taken("this model takes rows; send JSON, CSV or Parquet")
    if not upload.content:
        raise unfit(f"{upload.name} is empty (0 bytes)")
    if upload.content.startswith((GZIP, ZIP)):
        raise not_taken(f"{upload.name} is compressed; decompress it first")
    format_ = RowFormat.of_reading(reading).under(schema.missing)
    if upload.content.startswith(PARQUET):
        return _read_parquet(upload, schema, format_, wanted, settings.max_rows)
    if upload.content_type in PARQUET_TYPES:
        raise unfit(f"{upload.name} is not a Parquet file")
    return _read_csv(upload, schema, format_, wanted, settings.max_rows)


# JSON.


def _parsed(content: bytes, most: int) -> object:
    if not content.strip():
        raise unreadable("the body is empty; send rows")
    if content.count(b"{") + content.count(b"[") > 2 * most + 1000:
        raise too_large(f"the body holds more than {most:,} rows; send it in parts")
    try:
        return json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        raise unreadable("the body is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise unreadable(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise unreadable("the body is nested too deeply") from None
    except ValueError:
        raise unreadable("the body holds a number that is too long") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise unreadable(f"the body has the key {twice!r} twice in one object")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise unreadable(f"the body holds {name}, which is not JSON; use null")


def _columns(document: object, schema: Schema, most: int) -> Columns:
    """The values by column."""
    if isinstance(document, dict) and document.keys() == {"rows"}:
        columns = _from_rows(document["rows"], schema, most)
    elif isinstance(document, dict) and document.keys() == {"columns"}:
        columns = document["columns"]
        if not isinstance(columns, dict) or not columns:
            raise unfit("columns must be an object of lists, one for each column")
        for name, values in columns.items():
            if not isinstance(values, list):
                raise unfit(f"column {name!r} must be a list of values", column=name)
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            first = len(next(iter(columns.values())))
            name = next(n for n, values in columns.items() if len(values) != first)
            raise unfit(
                f"column {name!r} has {len(columns[name])} values and others have {first}",
                column=name,
            )
    else:
        raise unfit('the body must be {"rows": [{...}, ...]} or {"columns": {name: [...], ...}}')
    count = len(next(iter(columns.values()), []))
    if not count:
        raise unfit("there are no rows; send at least one")
    if count > most:
        raise too_large(f"{count:,} rows are more than {most:,}; send them in parts")
    return columns


def _from_rows(rows: object, schema: Schema, most: int) -> Columns:
    if not isinstance(rows, list) or not rows:
        raise unfit("rows must be a list of at least one object")
    if len(rows) > most:
        raise too_large(f"{len(rows):,} rows are more than {most:,}; send them in parts")
    names = list(rows[0]) if isinstance(rows[0], dict) else []
    known = set(names)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise unfit(f"row {number} is not an object of values by column", row=number)
        if row.keys() != known:
            name = next(iter(known ^ row.keys()))
            what = "lacks" if name in known else "has"
            raise unfit(
                f"row {number} {what} column {name!r}, unlike row 1; null says that a value is "
                "missing",
                row=number,
                column=name,
            )
    if not names:
        schema.check_names([])
    return {name: [row[name] for row in rows] for name in names}


def _arrow(name: str, values: Cells, schema: Schema) -> pa.Array:
    """One column's JSON values as Arrow holds them."""
    column = next(c for c in schema.columns if c.name == name)
    if str in set(map(type, values)):
        gone = set(schema.missing)
        values = [None if isinstance(v, str) and v in gone else v for v in values]
    try:
        return _CONVERSIONS[column.kind](column, values)
    except UnicodeEncodeError:
        raise unfit(f"column {name!r} holds text that is not Unicode", column=name) from None


def _numbers(column: Column, values: Cells) -> pa.Array:
    if column.spelling is not None and str in set(map(type, values)):
        return _spelled_numbers(column, values)
    _refuse_types(column, values, (int, float), "a number")
    try:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    except OverflowError:
        row = next(i for i, v in enumerate(values, 1) if isinstance(v, int) and abs(v) > 10**308)
        raise unfit(
            f"column {column.name!r}, row {row}: the number is too large", row, column.name
        ) from None


def _spelled_numbers(column: Column, values: Cells) -> pa.Array:
    """Numbers, some of them as text in the spelling of the fitted ones."""
    plain = [None if isinstance(v, str) else v for v in values]
    numbers = _numbers(column, plain)
    return pc.coalesce(
        numbers, _from_text(column, [v if isinstance(v, str) else None for v in values])
    )


def _booleans(column: Column, values: Cells) -> pa.Array:
    _refuse_types(column, values, (bool,), "true or false")
    return pa.array(values, pa.bool_())


def _categories(column: Column, values: Cells) -> pa.Array:
    _refuse_types(column, values, (str, bool, int, float), "text")
    texts: list[str | None] = []
    for row, value in enumerate(values, start=1):
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, float):
            if not value.is_integer() or abs(value) >= 2.0**53:
                raise _wrong(column, value, row, "text")
            texts.append(str(int(value)))
        else:
            texts.append(value if value is None else str(value))
    return pa.array(texts, pa.string())


def _dates(column: Column, values: Cells) -> pa.Array:
    _refuse_types(column, values, (str,), described(column.type))
    return _from_text(column, values)


def _from_text(column: Column, values: Cells) -> pa.Array:
    """Text as the column's numbers or dates. Raises Refusal, naming the first row that is none."""
    text = pa.chunked_array([pa.array(values, pa.string())])
    parsed, _ = parse(text, column.type, ())
    wrong = pc.and_(pc.is_valid(text), pc.is_null(parsed)).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        iso = " (ISO 8601)" if column.kind == "date" and column.spelling is None else ""
        raise _wrong(column, values[row], row + 1, described(column.type) + iso)
    return parsed.combine_chunks()


_CONVERSIONS = {
    "number": _numbers,
    "boolean": _booleans,
    "category": _categories,
    "date": _dates,
}


def _refuse_types(column: Column, values: Cells, types: tuple[type, ...], noun: str) -> None:
    allowed = {*types, type(None)}
    if set(map(type, values)) <= allowed:
        return
    row, value = next((i, v) for i, v in enumerate(values, 1) if type(v) not in allowed)
    raise _wrong(column, value, row, noun)


def _json_key(key: object, row: int) -> object:
    if isinstance(key, float):
        return str(key)
    if isinstance(key, dict | list):
        raise unfit(f"row {row}: the id must be text or a number", row)
    return key


def _wrong(column: Column, value: object, row: int, noun: str) -> Refusal:
    nouns: dict[type, str] = {dict: "an object", list: "a list"}
    shown = nouns.get(type(value)) or json.dumps(value)
    if len(shown) > 40:
        shown = shown[:37] + "..."
    return unfit(f"column {column.name!r}, row {row}: {shown} is not {noun}", row, column.name)


# Files of rows.


def _read_csv(
    upload: Upload, schema: Schema, format_: RowFormat, wanted: Wanted, most: int
) -> Received:
    _refuse_long_lines(upload, most)
    source = Source(Path(upload.name), parquet=False, gzip=False, content=upload.content)
    told = {name: kind for name, kind in format_.types.items() if name in schema.types}
    stream = iter_rows(source, replace(format_, types=told), kinds=schema.types)
    _, keep = _chosen(stream.columns, schema, wanted)  # before all rows are read
    tables, count = [], 0
    for rows in stream:
        count += len(rows.table)
        if count > most:
            raise too_large(f"{upload.name} has more than {most:,} rows; send it in parts")
        tables.append(rows.table.select([*schema.names, *keep]))
    return _of_table(pa.concat_tables(tables).combine_chunks(), schema, wanted)


def _refuse_long_lines(upload: Upload, most: int) -> None:
    """What a file of so many rows cannot be: Arrow's memory grows with lines and their length."""
    values = np.frombuffer(upload.content, np.uint8)
    ends = np.flatnonzero((values == 10) | (values == 13))
    if len(ends) > 2 * (2 * most + 1000):  # CR LF counts twice
        raise too_large(f"{upload.name} has more than {most:,} rows; send it in parts")
    edges = np.concatenate([[-1], ends, [len(values)]])
    if np.diff(edges).max() > LONGEST_LINE:
        raise too_large(f"a line of {upload.name} is longer than {LONGEST_LINE >> 20} MiB")


def _read_parquet(
    upload: Upload, schema: Schema, format_: RowFormat, wanted: Wanted, most: int
) -> Received:
    table = read_bounded(
        upload, lambda names: _chosen(names, schema, wanted), schema, format_, most
    )
    return _of_table(table, schema, wanted)


def _of_table(table: pa.Table, schema: Schema, wanted: Wanted) -> Received:
    """The rows of a table that has the model's columns and the id."""
    known = table.select(schema.names)
    keys = None if wanted.id_column is None else _keys(table.column(wanted.id_column))
    return Received(schema.read_table(known), keys, known)


def _chosen(names: Collection[str], schema: Schema, wanted: Wanted) -> tuple[list[str], list[str]]:
    """The model's columns, and the id where it is not one of them.

    Raises InvalidInput where columns are missing or unexpected, naming them.
    """
    for name in (*wanted.exclude, *([wanted.id_column] if wanted.id_column is not None else [])):
        if name not in names:
            what = f"the query names column {name!r}, which is not there"
            raise InvalidInput(what, names=Place(column=name))
    needed = [name for name in wanted.exclude if name in schema.names]
    if needed:
        what = f"exclude: the model needs column {needed[0]!r}"
        raise InvalidInput(what, names=Place(column=needed[0]))
    apart = {*wanted.exclude, wanted.id_column} - set(schema.names)
    schema.check_names([name for name in names if name not in apart])
    outside = wanted.id_column is not None and wanted.id_column not in schema.names
    return schema.names, [wanted.id_column] if outside and wanted.id_column else []


def _keys(values: pa.ChunkedArray) -> list[object]:
    """The values of an id column as JSON has them: whole numbers as such, all else as text."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        keys: list[object] = values.to_pylist()
        return keys
    if pa.types.is_floating(kind):
        return [
            None if v is None or v != v else int(v) if abs(v) < 2**53 and v == int(v) else str(v)
            for v in values.to_pylist()
        ]
    return [None if value is None else str(value) for value in values.to_pylist()]


# Images.


def read_images(
    uploads: Sequence[Upload],
    schema: ImageSchema,
    reading: Mapping[str, Any],
    wanted: Wanted,
    settings: ServiceSettings,
) -> Received:
    if wanted.id_column is not None or wanted.exclude:
        raise unfit("id and exclude are for rows, not for images")
    most = settings.max_images
    if len(uploads) > most:
        raise too_large(f"{len(uploads)} images are more than {most}; send them in parts")
    if wanted.resize:
        schema = schema.model_copy(update={"resize": True})
    images = [decode_bytes(upload.content, upload.name, schema) for upload in uploads]
    if any(image.dtype != np.uint8 for image in images):
        images = [to_unit(image) for image in images]
    return Received(ArrayImages(np.stack(images)), [upload.name for upload in uploads])


def _refuse_resize(wanted: Wanted) -> None:
    if wanted.resize:
        raise unfit("resize is for images, and this model takes rows")
