"""A portable model on disk: one ONNX file, sealed so that a single changed byte is noticed.

An ONNX file is a sequence of protobuf fields. The last two of this one are entries of the
metadata: `lampblack`, what a model is besides its graph, and `lampblack.sha256`, the hash of every
byte before it. To the file's other readers they are metadata like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from lampblack.exceptions import ModelFileError, Place, Remedy
from lampblack.persistence.config import FORMAT as FOLDER_FORMAT
from lampblack.persistence.config import ModelConfig, first_fault
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
        fields = list(_fields(content))
    except ValueError:
        fields = []
    produced = any(f.number == PRODUCER_NAME and f.value(content) == PRODUCER for f in fields)
    if not produced and PRODUCER not in content[:64]:
        raise ModelFileError(
            f"{name} is not a portable model: it is no ONNX file that lampblack export wrote",
            names=Place(name),
        )
    entries = [_key_and_value(f.value(content)) for f in fields[-2:] if f.number == METADATA]
    if [key for key, _ in entries] != [FACTS, HASH] or (
        hashlib.sha256(content[: fields[-1].start]).hexdigest().encode() != entries[1][1]
    ):
        raise ModelFileError.of(name, "is damaged or was changed", remedy="export the model again")
    return _parse_facts(name, entries[0][1])


def _parse_facts(name: str, document: bytes) -> PortableFacts:
    try:
        raw = json.loads(document)
        version, folder_version = int(raw["format"]), int(raw["config"]["format"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ModelFileError.of(
            name, "does not say what model it is", remedy="export it again"
        ) from None
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
        return PortableFacts.model_validate(raw)
    except ValidationError as error:
        raise ModelFileError(first_fault(error), at=Place(name)) from None


class _Field(NamedTuple):
    """A field of a protobuf message: its number, where it starts, and where its bytes lie."""

    number: int
    start: int
    first: int
    end: int

    def value(self, content: bytes) -> bytes:
        return content[self.first : self.end]


def _fields(content: bytes) -> Iterator[_Field]:
    """The fields of a message in order. Raises ValueError where it is none, or cut short."""
    position = 0
    while position < len(content):
        start = position
        tag, position = _varint(content, position)
        number, kind = tag >> 3, tag & 7
        if kind == 0:  # a whole number
            first = position
            _, position = _varint(content, position)
        elif kind == 2:  # a length, and as many bytes
            length, first = _varint(content, position)
            position = first + length
        else:
            raise ValueError(f"a field of kind {kind}, which no ONNX file has at its top")
        if not number or position > len(content):
            raise ValueError("cut short")
        yield _Field(number, start, first, position)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, least first, and the position behind it."""
    value = shift = 0
    while position < len(content) and shift < 64:
        byte = content[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("cut short")


def _key_and_value(entry: bytes) -> tuple[bytes, bytes]:
    try:
        fields = {field.number: field.value(entry) for field in _fields(entry)}
    except ValueError:
        return b"", b""
    return fields.get(KEY, b""), fields.get(VALUE, b"")


def _entry(key: bytes, value: bytes) -> bytes:
    """An entry of the metadata as ModelProto holds it."""
    return _bytes_field(METADATA, _bytes_field(KEY, key) + _bytes_field(VALUE, value))


def _bytes_field(number: int, value: bytes) -> bytes:
    return _as_varint(number << 3 | 2) + _as_varint(len(value)) + value


def _as_varint(value: int) -> bytes:
    parts: list[int] = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
