"""A fitted detector to one ONNX file that holds all that scoring takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from lampblack.exceptions import (
    ExportError,
    InvalidInput,
    MissingExtra,
    ModelFileError,
    Remedy,
)
from lampblack.export.graph_inputs import BEGINNINGS, CATEGORIES, CODES, WHITE
from lampblack.model.folder import to_parts
from lampblack.model.model import Model, as_model
from lampblack.persistence.graph_check import RefusedGraph, check_graph
from lampblack.persistence.portable import (
    MOST_BYTES,
    CategoryTexts,
    PortableFacts,
    read_portable,
    sealed,
)


def export_onnx(detector: object, path: str | Path) -> None:
    """Write a fitted detector as a portable model, which `lampblack.load_portable` reads.

    detector: a fitted one, or a `Model`.

    One ONNX file with preprocessing, networks, score and decision as a graph, and threshold,
    calibration scores and schema beside it; docs/portable.md names its inputs and outputs. Before
    it is written, the graph's scores of made-up samples are compared with the detector's.

    Raises ExportError for what no graph can hold, naming the column (dates, text of which no value
    repeats) or the network, and ModelFileError where anything but a portable model stands at
    `path`. Needs the extra `onnx`.
    """
    model = as_model(detector)
    if not isinstance(model, Model):
        raise InvalidInput(f"{type(detector).__name__} is not fitted yet; call fit first")
    path = Path(path)
    _check_target(path)
    BEGINNINGS[model.kind.name].refuse(model.encoder)
    content = to_bytes(model)
    from lampblack.export.comparison import compare  # needs onnxruntime

    compare(model, content)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def to_bytes(model: Model) -> bytes:
    """The file's content."""
    try:
        from lampblack.export.conversion import put_texts_in_front, to_onnx
    except ModuleNotFoundError as error:
        raise MissingExtra(f"exporting needs {error.name}", extra="onnx") from None
    from lampblack.export.graph import ModelGraph

    beginning, encoder = BEGINNINGS[model.kind.name], model.encoder
    module = ModelGraph(model).eval()
    graph = to_onnx(module, beginning.examples(encoder), module.outputs, shared=[WHITE])
    levels, texts = beginning.levels(encoder), None
    if levels:
        texts = texts_of_no_level(levels)
        put_texts_in_front(graph, CODES, CATEGORIES, levels, texts.missing)
    if graph.ByteSize() > MOST_BYTES:
        raise ExportError(
            f"the graph takes {graph.ByteSize() / 2**30:.1f} GiB, and one ONNX file holds 2; "
            "fit again with a smaller network or memory_size"
        )
    facts = PortableFacts(
        config=to_parts(model).config,
        calibration_scores=model.calibration.scores.tolist(),
        categories=texts,
        cycles=beginning.cycles(encoder),
        versions={name: version(name) for name in ("lampblack", "onnx", "onnxscript", "torch")},
    )
    content = sealed(graph.SerializeToString(deterministic=True), facts)
    try:
        check_graph(content)
    except RefusedGraph as error:
        raise ExportError(
            f"the graph holds {error}, which is not read again from a file; networks of one's own "
            "use other layers, or save the model as a folder"
        ) from None
    return content


def texts_of_no_level(levels: Sequence[Sequence[str]]) -> CategoryTexts:
    """Texts for a missing value and for any other that are no column's level.

    >>> texts_of_no_level([["a", "b"]])
    CategoryTexts(missing='', other='(other)')
    >>> texts_of_no_level([["", "(other)"]])
    CategoryTexts(missing='(missing)', other='(other)_')
    """
    known = {level for column in levels for level in column}
    missing = "" if "" not in known else "(missing)"
    while missing in known:
        missing += "_"
    other = "(other)"
    while other in known:
        other += "_"
    return CategoryTexts(missing=missing, other=other)


def _check_target(path: Path) -> None:
    """Raise ModelFileError where no portable model can be written."""
    if not path.absolute().parent.is_dir():
        raise ModelFileError(f"the folder {path.absolute().parent} does not exist; create it first")
    if path.suffix.lower() != ".onnx":
        raise ModelFileError(f"{path}: a portable model's name ends in .onnx")
    if path.exists():
        try:
            read_portable(path)
        except ModelFileError as error:
            keep = "it is not written over: choose another name or remove it"
            raise error.with_remedy(Remedy(keep, joint="; ")) from None
