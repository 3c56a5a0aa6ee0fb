"""config.json: what a model is, apart from its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lampblack.data.kinds import kind_named
from lampblack.exceptions import ModelFileError, Place, Remedy
from lampblack.persistence.folder import read_folder
from lampblack.persistence.former import upgraded

FORMAT, FORMER = 4, 3  # 1 and 2 were of no release
CONFIG = "config.json"


class CalibrationFacts(BaseModel):
    """Where a threshold came from; its scores lie in calibration.safetensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Literal["held-out", "training"]
    requested: float = Field(gt=0, le=0.5)
    promised: float = Field(gt=0, le=1)
    threshold: float = Field(allow_inf_nan=False)


class ModelConfig(BaseModel):
    """config.json: everything about a model that is neither weights nor scores.

    detector: the registered class name. parameters: of its constructor. filled_in: the defaults
    that stood in for those that were None. own_networks: whether the user brought the networks,
    which a folder cannot hold. kind: of data. data: the schema, as its kind writes it. reading: how
    the fitted file was written (header, delimiter, missing values, types), which later files are
    taken to share. history: a record an epoch. notes: warnings given while fitting. versions,
    threads: those that fitted it; the same ones give the same bits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    detector: str
    parameters: dict[str, Any]
    filled_in: dict[str, Any] = {}
    own_networks: bool
    kind: str
    data: dict[str, Any]
    rows: dict[str, int]
    calibration: CalibrationFacts
    reading: dict[str, bool | str | list[str] | dict[str, str] | None] = {}
    history: list[dict[str, int | float]]
    notes: list[str]
    versions: dict[str, str]
    threads: int

    @model_validator(mode="before")
    @classmethod
    def _of_a_former_format(cls, raw: object) -> object:
        return upgraded(raw)

    @model_validator(mode="after")
    def _nothing_given_is_filled_in(self) -> ModelConfig:
        for name in self.filled_in:
            if name not in self.parameters or self.parameters[name] is not None:
                raise ValueError(f"filled_in holds {name}, which was not left out")
        return self

    @model_validator(mode="after")
    def _data_are_of_the_kind(self) -> ModelConfig:
        self.schema_of_data()
        return self

    @model_validator(mode="after")
    def _types_are_by_column(self) -> ModelConfig:
        if not isinstance(self.reading.get("types"), dict | None):
            raise ValueError("the types of reading are not given by column")
        return self

    def schema_of_data(self) -> Any:
        """The schema of the fitted samples."""
        return kind_named(self.kind).read_schema(self.data)


def read_config(path: Path) -> ModelConfig:
    """The configuration of a model folder, every file of which is checked. Loads no torch."""
    files = read_folder(path)
    if CONFIG not in files:
        raise ModelFileError.of(path / CONFIG, "is missing; this is not a complete model")
    return parse_config(path / CONFIG, files[CONFIG])


def parse_config(path: Path, content: bytes) -> ModelConfig:
    """config.json, refused with a sentence where its format is newer or its content unknown."""
    try:
        raw = json.loads(content)
        version = int(raw["format"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError.of(path, "is not the configuration of a model") from None
    if version > FORMAT:
        raise ModelFileError(
            f"{path} has format {version}, written by a newer lampblack; "
            f"this version reads formats up to {FORMAT}",
            names=Place(path),
            remedy=Remedy("upgrade lampblack", joint=": "),
        )
    if version < FORMER:
        raise ModelFileError(
            f"{path} has format {version}, which no released lampblack wrote or reads",
            names=Place(path),
            remedy=Remedy("fit the model again", joint=": "),
        )
    try:
        return ModelConfig.model_validate(raw)
    except ValidationError as error:
        raise ModelFileError(first_fault(error), at=Place(path)) from None


def first_fault(error: ValidationError) -> str:
    """Where the first thing that is wrong is, and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what
