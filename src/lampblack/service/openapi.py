"""The OpenAPI document: FastAPI's, with bodies and examples from the model's own schema."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from lampblack.data.images.schema import ImageSchema
from lampblack.data.tables.schema import LARGEST, Column, Schema
from lampblack.service.answers import Content, Error
from lampblack.service.requests import ANY, CSV, JSON, MULTIPART, PARQUET_TYPES
from lampblack.service.settings import ServiceSettings

Responses = dict[int | str, Content]

_SAID = {
    400: "The body is not what its Content-Type says.",
    408: "The body did not arrive in time.",
    409: "The model on disk cannot be used, or another reload is running; nothing changed.",
    413: "More bytes, rows or images than the service takes at once.",
    415: "A Content-Type or Content-Encoding that is not taken, or not by this model.",
    422: "Rows or images that do not fit the model, or a query that is unknown or cannot be used.",
    501: "The engine gives no reasons.",
    503: "Not loaded yet, too busy, or past the deadline; Retry-After says when to come again.",
}


def _responses(*statuses: int) -> Responses:
    return {status: {"model": Error, "description": _SAID[status]} for status in statuses}


MODEL = _responses(422, 503)
RELOAD = _responses(409, 422, 503)
SCORING = _responses(400, 408, 413, 415, 422, 503)
EXPLAINING = _responses(400, 408, 413, 415, 422, 501, 503)
METRICS: Responses = {
    200: {
        "description": "Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
_EXAMPLES: dict[str, tuple[object, str]] = {
    "number": (1.5, "1.5"),
    "boolean": (True, "true"),
    "category": ("text", "text"),
    "date": ("2026-01-31T12:00:00", "2026-01-31T12:00:00"),
}


def document(app: FastAPI, bodies: dict[str, Content], *, secured: bool) -> Content:
    """The document. bodies: those that are taken, by content type."""
    made = get_openapi(
        title="lampblack", version=version("lampblack"), routes=app.routes,
        description="Scores, decisions and reasons of one anomaly detector.",
    )  # fmt: skip
    for path in ("/v1/score", "/v1/explain"):
        body = {"required": True, "content": bodies}
        made["paths"][path]["post"]["requestBody"] = body
    schemas = made["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    if secured:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in made["paths"].items():
            for operation in methods.values() if path not in ("/healthz", "/readyz") else ():
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _refused("No token, or not the right one.")
    else:
        for methods in made["paths"].values():
            for operation in methods.values():
                operation["responses"]["403"] = _refused("A page of another origin calls.")
                operation["responses"]["421"] = _refused("The Host is no name of this machine.")
    return made


def _refused(description: str) -> Content:
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": description, "content": content}


_FILE: Content = {"type": "string", "format": "binary"}


def _several(most: int | None = None) -> Content:
    least = {"type": "array", "items": _FILE, "minItems": 1}
    return least if most is None else {**least, "maxItems": most}


def any_bodies() -> dict[str, Content]:
    """Before a model is loaded."""
    return {JSON: {"schema": {"type": "object"}}, MULTIPART: {"schema": _form(_several())}}


def bodies_of_rows(schema: Schema, settings: ServiceSettings) -> dict[str, Content]:
    """The bodies that a model of a table takes, by content type."""
    return {
        JSON: {"schema": _rows_schema(schema, settings.max_rows), "examples": _examples(schema)},
        CSV: {"schema": {"type": "string"}, "example": example_csv(schema)},
        PARQUET_TYPES[0]: {"schema": _FILE},
        ANY: {"schema": _FILE},
        MULTIPART: {"schema": _form(_FILE)},
    }


def bodies_of_images(schema: ImageSchema, settings: ServiceSettings) -> dict[str, Content]:
    """The bodies that a model of images takes, by content type."""
    names = ("png", "jpeg", "bmp", "tiff", "webp")
    kinds: dict[str, Content] = {f"image/{name}": {"schema": _FILE} for name in names}
    form = _form(_several(settings.max_images))
    return {**kinds, ANY: {"schema": _FILE}, MULTIPART: {"schema": form}}


def _form(file: Content) -> Content:
    return {"type": "object", "properties": {"file": file}, "required": ["file"]}


def _rows_schema(schema: Schema, most: int) -> Content:
    values = {column.name: _value_schema(column) for column in schema.columns}
    ignored: Content = {name: {} for name in schema.ignored if name not in values}
    record = {
        "type": "object",
        "properties": {**values, **ignored},
        "required": list(values),
        "additionalProperties": False,
    }
    lists = {
        name: {"type": "array", "items": value, "minItems": 1, "maxItems": most}
        for name, value in {**values, **ignored}.items()
    }
    by_column = {**record, "properties": lists}
    rows = {"type": "array", "items": record, "minItems": 1, "maxItems": most}
    return {
        "oneOf": [
            _only("rows", rows, "A list of rows; null says that a value is missing."),
            _only("columns", by_column, "A list of values for each column, all of one length."),
        ]
    }


def _only(name: str, value: Content, description: str) -> Content:
    return {
        "type": "object",
        "description": description,
        "properties": {name: value},
        "required": [name],
        "additionalProperties": False,
    }


def _value_schema(column: Column) -> Content:
    kinds = {
        "number": ["number"],
        "boolean": ["boolean"],
        "category": ["string", "integer", "boolean"],
        "date": ["string"],
    }[column.kind]
    value: Content = {"type": [*kinds, "null"] if column.nullable else kinds}
    if column.kind == "number":
        value |= {"minimum": -LARGEST, "maximum": LARGEST}
    if column.kind == "date":
        value |= {"format": "date-time"}
    return value


def _examples(schema: Schema) -> Content:
    row = {column.name: _EXAMPLES[column.kind][0] for column in schema.columns}
    return {
        "rows": {"value": {"rows": [row]}},
        "columns": {"value": {"columns": {name: [value] for name, value in row.items()}}},
    }


def example_csv(schema: Schema) -> str:
    """A header and a row."""
    names = [_quoted(column.name) for column in schema.columns]
    cells = [_EXAMPLES[column.kind][1] for column in schema.columns]
    return f"{','.join(names)}\n{','.join(cells)}\n"


def _quoted(name: str) -> str:
    if not any(mark in name for mark in ',"\r\n'):
        return name
    return '"' + name.replace('"', '""') + '"'
