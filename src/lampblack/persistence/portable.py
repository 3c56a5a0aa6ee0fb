"""A portable model on disk: one ONNX file, sealed so that a single changed byte is noticed.

An ONNX file is a sequence of protobuf fields. The last two of this one are entries of the
metadata: `lampblack`, what a model is besides its graph, and `lampblack.sha256`, the hash of every
byte before it. To the file's other readers they are metadata like any other.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lampblack.choices import DETECTOR_CLASSES
from lampblack.exceptions import ModelFileError, Place, Remedy
from lampblack.persistence.config import FORMAT as FOLDER_FORMAT
from lampblack.persistence.config import FORMER, ModelConfig, first_fault
from lampblack.persistence.protobuf import bytes_field, fields
from lampblack.persistence.regular import read_regular

FORMAT = 1
SUFFIX = ".onnx"
PRODUCER = b"lampblack"
FACTS, HASH = b"lampblack", b"lampblack.sha256"
PRODUCER_NAME, METADATA = 2, 14  # numbers of fields in ONNX's ModelProto
KEY, VALUE = 1, 2  # and in StringStringEntryProto
MOST_BYTES = (1 << 31) - 1  # of a protobuf message


class CategoryTexts(BaseModel):
    """Texts that stand for what is no level of any category: a missing value, and any other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    missing: str
    other: str


class PortableFacts(BaseModel):
    """What a portable model is besides its graph.

    config: that of the model folder it was exported from. calibration_scores: ascending.
    categories: see there; None where there is no such column. cycles: those of each column of
    dates whose phases the graph takes, "day", "week" or "year". versions: those that exported it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    config: ModelConfig
    calibration_scores: list[float]
    categories: CategoryTexts | None
    cycles: list[list[Literal["day", "week", "year"]]] = []
    versions: dict[str, str]


def is_portable(path: Path) -> bool:
    """Whether a path names a portable model rather than a model folder, by its ending."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def sealed(graph: bytes, facts: PortableFacts) -> bytes:
    """The file of a portable model from its serialized graph, whose producer is `lampblack`."""
    document = json.dumps(facts.model_dump(mode="json"), ensure_ascii=False, allow_nan=False)
    content = graph + _entry(FACTS, document.encode())
    return content + _entry(HASH, hashlib.sha256(content).hexdigest().encode())


def read_portable(path: Path) -> tuple[bytes, PortableFacts]:
    """A portable model's file and its facts, after every byte of it was checked.

    Needs neither onnx nor onnxruntime. Raises ModelFileError, in one line, where the file is
    missing, damaged, foreign, or of a newer lampblack.
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        is_one = "a portable model is written by lampblack export"
        raise ModelFileError(f"{path} {what}; {is_one}", names=Place(path))
    content = read_regular(path, follow_links=True)
    return content, parse_portable(str(path), content)


def parse_portable(name: str, content: bytes) -> PortableFacts:
    """The facts of a portable model's file; `name` is the file's, for messages."""
    try:
        parts = list(fields(content))
    except ValueError:
        parts = []
    produced = any(f.number == PRODUCER_NAME and f.value(content) == PRODUCER for f in parts)
    if not produced and PRODUCER not in content[:64]:
        raise ModelFileError(
            f"{name} is not a portable model: it is no ONNX file that lampblack export wrote",
            names=Place(name),
        )
    entries = [_key_and_value(f.value(content)) for f in parts[-2:] if f.number == METADATA]
    if [key for key, _ in entries] != [FACTS, HASH] or (
        hashlib.sha256(content[: parts[-1].start]).hexdigest().encode() != entries[1][1]
    ):
        raise ModelFileError.of(name, "is damaged or was changed", remedy="export the model again")
    return _parse_facts(name, entries[0][1])


def _parse_facts(name: str, document: bytes) -> PortableFacts:
    try:
        raw = json.loads(document)
        version, folder_version = int(raw["format"]), int(raw["config"]["format"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ModelFileError.of(
            name, "does not say what model it is", remedy="export it again"
        ) from None
    if version < 1 or folder_version < FORMER:
        raise ModelFileError(
            f"{name} has format {version}, of models of format {folder_version}, which no released "
            "lampblack wrote or reads",
            names=Place(name),
            remedy=Remedy("export the model again", joint=": "),
        )
    if version > FORMAT or folder_version > FOLDER_FORMAT:
        raise ModelFileError(
            f"{name} has format {version}, of models of format {folder_version}, written by a "
            f"newer lampblack; this version reads up to {FORMAT} and {FOLDER_FORMAT}",
            names=Place(name),
            remedy=(
                Remedy("upgrade lampblack", joint=": "),
                "export the model with this version",
            ),
        )
    try:
        facts = PortableFacts.model_validate(raw)
    except ValidationError as error:
        raise ModelFileError(first_fault(error), at=Place(name)) from None
    if facts.config.detector not in DETECTOR_CLASSES:
        what = f"{name} is of an unknown detector {facts.config.detector!r}"
        raise ModelFileError(what, names=Place(name))
    return facts


def _key_and_value(entry: bytes) -> tuple[bytes, bytes]:
    try:
        values = {field.number: field.value(entry) for field in fields(entry)}
    except ValueError:
        return b"", b""
    return values.get(KEY, b""), values.get(VALUE, b"")


def _entry(key: bytes, value: bytes) -> bytes:
    """An entry of the metadata as ModelProto holds it."""
    return bytes_field(METADATA, bytes_field(KEY, key) + bytes_field(VALUE, value))
