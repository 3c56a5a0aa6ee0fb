"""What the service answers: the shapes that its OpenAPI document shows, and their making."""

from __future__ import annotations

import base64
import io
import json
from importlib.metadata import version
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from lampblack.choices import KindName
from lampblack.data.images.schema import ImageSchema
from lampblack.data.tables.schema import Schema
from lampblack.explanation import Explanation, TableExplanation
from lampblack.persistence.card import promise_of
from lampblack.service.engine import Engine
from lampblack.service.requests import Received

Values = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]
Content: TypeAlias = dict[str, object]  # of an object in JSON


class Json(JSONResponse):
    """JSON in ASCII, whatever text it holds, and never with NaN."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


class Error(BaseModel):
    """Why a request was refused."""

    error: str = Field(description="One sentence: what is wrong, where, what to do.")
    row: int | None = Field(None, description="The row at fault, counted from 1.")
    column: str | None = Field(None, description="The column at fault.")


class Result(BaseModel):
    """One sample."""

    row: int = Field(ge=1, description="Its position in the request, from 1.")
    id: str | int | bool | None = Field(
        None, description="The value of the id column, or the name of the image file."
    )
    anomaly_score: float = Field(ge=0, description="Higher is more anomalous.")
    p_value: float | None = Field(
        gt=0, le=1, description="Conformal p-value; null where the model promises no rate."
    )
    decision: Literal["anomaly", "normal"]


class Scores(BaseModel):
    """Scores and decisions."""

    model: str = Field(description="The digest of the model that scored.")
    threshold: float = Field(description="A sample that scores higher is an anomaly.")
    false_alarm_rate: float | None = Field(description="What the model promises, if anything.")
    samples: int = Field(ge=1)
    alarms: int = Field(ge=0)
    results: list[Result]


class Reason(BaseModel):
    """What one column did to a score."""

    column: str
    value: str | float | bool | None = Field(description="What the row holds there.")
    amount: float = Field(ge=0, description="How much of the score it answers for.")
    share: float = Field(ge=0, description="The same, as a share of the score.")


class Place(BaseModel):
    """A pixel, counted from 0 at the top left."""

    column: int
    row: int


class Explained(Result):
    """One sample with its reasons, or with its heat map."""

    reasons: list[Reason] | None = Field(None, description="Tables: strongest first.")
    heat_map: str | None = Field(
        None, description="Images: a PNG as a data URL; light pixels answer for the score."
    )
    strongest_at: Place | None = Field(None, description="Images: the pixel that answers for most.")


class Explanations(BaseModel):
    """Scores of all samples, and reasons of those that score highest."""

    model: str
    threshold: float
    false_alarm_rate: float | None
    samples: int = Field(ge=1)
    alarms: int = Field(ge=0)
    results: list[Explained] = Field(description="Those explained, highest score first.")


class ColumnInfo(BaseModel):
    """A column that the model takes."""

    name: str
    kind: Literal["number", "boolean", "category", "date"]
    nullable: bool = Field(description="Whether values may be missing.")


class ImageInfo(BaseModel):
    """The images that the model takes."""

    channels: int
    height: int
    width: int
    resize: bool = Field(description="Whether images of another size are brought to this one.")


class Model(BaseModel):
    """The model in use."""

    digest: str
    detector: str
    runtime: Literal["torch", "onnx"]
    lampblack: str
    kind: KindName
    threshold: float
    false_alarm_rate: float | None
    promise: str
    explains: bool = Field(description="Whether /v1/explain gives reasons.")
    columns: list[ColumnInfo] | None = None
    ignored: list[str] | None = Field(None, description="Columns that may be there, unused.")
    images: ImageInfo | None = None
    card: str = Field(description="The model card, Markdown.")


class Reloaded(BaseModel):
    """What a reload did."""

    changed: bool = Field(description="Whether the files held another model.")
    model: str = Field(description="The digest of the model in use.")


class State(BaseModel):
    """Health or readiness."""

    status: Literal["ok", "ready", "loading", "draining"]


def columns_info(schema: Schema) -> Content:
    """The columns that a model takes."""
    columns = [column.model_dump() for column in schema.columns]
    return {"columns": columns, "ignored": list(schema.ignored)}


def images_info(schema: ImageSchema) -> Content:
    """The images that a model takes."""
    return {"images": schema.model_dump()}


def model_info(engine: Engine, of_schema: Content) -> Content:
    """The answer of /v1/model. of_schema: what it takes."""
    facts = engine.calibration
    info: Content = {
        "digest": engine.digest,
        "detector": engine.detector,
        "runtime": engine.runtime,
        "lampblack": version("lampblack"),
        "kind": engine.kind.name,
        "threshold": facts.threshold,
        "false_alarm_rate": engine.promised,
        "promise": promise_of(facts.origin, facts.requested, facts.promised),
        "explains": engine.explains,
        "card": engine.card,
    }
    return info | of_schema


def scores_answer(engine: Engine, received: Received, scores: Values) -> Content:
    """The answer of /v1/score."""
    every = np.arange(len(scores))
    return {**_head(engine, scores), "results": _results(engine, received, scores, every)}


def explanations_answer(
    engine: Engine, received: Received, scores: Values, chosen: Positions, details: list[Content]
) -> Content:
    """The answer of /v1/explain: `chosen` are the positions of samples, `details` their reasons."""
    results = _results(engine, received, scores, chosen)
    explained = [one | detail for one, detail in zip(results, details, strict=True)]
    return {**_head(engine, scores), "results": explained}


def _head(engine: Engine, scores: Values) -> Content:
    threshold = engine.calibration.threshold
    return {
        "model": engine.digest,
        "threshold": threshold,
        "false_alarm_rate": engine.promised,
        "samples": len(scores),
        "alarms": int((scores > threshold).sum()),
    }


def _results(
    engine: Engine, received: Received, scores: Values, chosen: Positions
) -> list[Content]:
    """What is said of the samples at these positions."""
    some = scores[chosen]
    promised = engine.promised is not None
    columns: dict[str, list[object]] = {
        "row": (chosen + 1).tolist(),
        "anomaly_score": some.tolist(),
        "p_value": engine.calibration.p_values(some).tolist() if promised else [None] * len(some),
        "decision": np.where(some > engine.calibration.threshold, "anomaly", "normal").tolist(),
    }
    if received.keys is not None:
        columns["id"] = [received.keys[i] for i in chosen.tolist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def reasons(
    received: Received, explanation: TableExplanation, chosen: Positions, top: int
) -> list[Content]:
    """The columns that did most to raise each score, with their values."""
    assert received.table is not None
    table = received.table
    return [
        {
            "reasons": [
                {
                    "column": reason.column,
                    "value": _cell(table.column(reason.column)[row]),
                    "amount": reason.amount,
                    "share": reason.share,
                }
                for reason in explanation.top(i, top)
            ]
        }
        for i, row in enumerate(chosen.tolist())
    ]


def _cell(value: pa.Scalar) -> str | float | bool | None:
    plain = value.as_py()
    if plain is None or plain != plain:
        return None
    if isinstance(plain, bool | int | float):
        return plain if isinstance(plain, bool) else float(plain)
    return str(plain)


def heat_maps(
    received: Received, explanation: Explanation, chosen: Positions, top: int
) -> list[Content]:
    """Each map on one scale for all, and its strongest pixel."""
    from PIL import Image

    from lampblack.data.images.heat import coloured, peak

    blame = explanation.blame()
    highest = peak(blame)
    details: list[Content] = []
    for values in blame:
        file = io.BytesIO()
        Image.fromarray(coloured(values, highest)).save(file, "PNG")
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        details.append(
            {
                "heat_map": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
                "strongest_at": {"column": int(column), "row": int(row)},
            }
        )
    return details
