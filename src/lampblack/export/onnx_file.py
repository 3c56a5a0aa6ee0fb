"""A fitted detector to one ONNX file that holds all that scoring takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.schema import listed, the_one
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import ExportError, MissingExtra, ModelFileError, Remedy, Setting
from lampblack.model.folder import to_parts
from lampblack.persistence.portable import (
    MOST_BYTES,
    CategoryTexts,
    PortableFacts,
    read_portable,
    sealed,
)

NUMBERS, CODES, CATEGORIES, IMAGES, WHITE = "numbers", "codes", "categories", "images", "white"
EXAMPLES = 3  # samples with which the module is traced; one or two could be taken for a constant


def export_onnx(detector: ReconstructionDetector, path: str | Path) -> None:
    """Write a fitted detector as a portable model, which `lampblack.load_portable` reads.

    One ONNX file with preprocessing, networks, score and decision as a graph, and threshold,
    calibration scores and schema beside it; docs/portable.md names its inputs and outputs. Before
    it is written, the graph's scores of made-up samples are compared with the detector's.

    Raises ExportError for what no graph can hold, naming the column (dates, text of which no value
    repeats) or the network, and ModelFileError where anything but a portable model stands at
    `path`. Needs the extra `onnx`.
    """
    check_is_fitted(detector)
    path = Path(path)
    _check_target(path)
    refuse_what_no_graph_holds(detector)
    content = to_bytes(detector)
    from lampblack.export.comparison import compare  # needs onnxruntime

    compare(detector, content)
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def refuse_what_no_graph_holds(detector: ReconstructionDetector) -> None:
    """Raise ExportError, naming the columns, for dates and for text of which no value repeats."""
    encoder = detector.encoder_
    if not isinstance(encoder, TableEncoder):
        return
    dates = [column.name for column in encoder.schema.of_kind("date")]
    for names, what in ((dates, "dates"), (encoder.unrepeated, "text of which no value repeats")):
        if names:
            verb = "holds" if len(names) == 1 else "hold"
            raise ExportError(
                f"{listed(names)} {verb} {what}, which a portable model cannot take",
                names=the_one(names),
                remedy=(
                    Remedy("fit again without (", Setting("exclude", names), ")"),
                    "score with the model folder",
                ),
            )


def to_bytes(detector: ReconstructionDetector) -> bytes:
    """The file's content."""
    try:
        from lampblack.export.conversion import put_texts_in_front, to_onnx
    except ModuleNotFoundError as error:
        raise MissingExtra(f"exporting needs {error.name}", extra="onnx") from None
    from lampblack.export.graph import DetectorGraph

    module = DetectorGraph(detector).eval()
    model = to_onnx(module, _examples(detector), module.outputs, shared=[WHITE])
    encoder = detector.encoder_
    texts = None
    if isinstance(encoder, TableEncoder) and encoder.levels:
        texts = texts_of_no_level(encoder.levels)
        put_texts_in_front(model, CODES, CATEGORIES, encoder.levels, texts.missing)
    if model.ByteSize() > MOST_BYTES:
        raise ExportError(
            f"the graph takes {model.ByteSize() / 2**30:.1f} GiB, and one ONNX file holds 2; "
            "fit again with a smaller network or memory_size"
        )
    facts = PortableFacts(
        config=to_parts(detector).config,
        calibration_scores=detector.calibration_.scores.tolist(),
        categories=texts,
        versions={name: version(name) for name in ("lampblack", "onnx", "onnxscript", "torch")},
    )
    return sealed(model.SerializeToString(deterministic=True), facts)


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


def _examples(detector: ReconstructionDetector) -> dict[str, Tensor]:
    """Inputs of the module, by name."""
    encoder = detector.encoder_
    if not isinstance(encoder, TableEncoder):
        return {IMAGES: torch.zeros(EXAMPLES, *encoder.shape), WHITE: torch.ones(1)}
    inputs = {}
    numbers = len(encoder.schema.of_kind("number", "boolean"))
    if numbers:
        inputs[NUMBERS] = torch.from_numpy(np.zeros((EXAMPLES, numbers)))
    if encoder.levels:
        inputs[CODES] = torch.zeros(EXAMPLES, len(encoder.levels), dtype=torch.int64)
    return inputs


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
