"""The model in use: a folder run by torch, or an .onnx file run without it."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lampblack.calibration import Calibration
from lampblack.data.kind import AnyKind, Samples
from lampblack.exceptions import InvalidInput, MissingExtra, ModelFileError
from lampblack.explanation import Explanation

Values = npt.NDArray[np.float64]
ATTEMPTS, PAUSE = 4, 0.15  # a folder is replaced in two renames; what is read between is torn


class Scorer(Protocol):
    """What the service asks of a model: one of a folder, or a portable one."""

    @property
    def kind(self) -> AnyKind: ...

    @property
    def schema(self) -> Any: ...

    @property
    def calibration(self) -> Calibration: ...

    @property
    def reading(self) -> Mapping[str, Any]: ...

    def anomaly_score(self, X: object) -> Values: ...


@dataclass(frozen=True, eq=False)
class Engine:
    """A loaded model and what it is.

    runtime: "torch" or "onnx". digest: of everything in its files: the same digest, the same
    scores. detector: its name. card: its model card, Markdown.
    """

    scorer: Scorer
    runtime: str
    digest: str
    detector: str
    card: str

    @property
    def kind(self) -> AnyKind:
        """The kind of data that it takes."""
        return self.scorer.kind

    @property
    def schema(self) -> Any:
        """The columns or images that it takes."""
        return self.scorer.schema

    @property
    def calibration(self) -> Calibration:
        """Its threshold and where it is from."""
        return self.scorer.calibration

    @property
    def promised(self) -> float | None:
        """The false-alarm rate that it promises, if any."""
        held_out = self.calibration.origin == "held-out"
        return self.calibration.promised if held_out else None

    @property
    def explains(self) -> bool:
        """Whether it can say what a score is made of."""
        return hasattr(self.scorer, "explain")

    def score(self, samples: Samples) -> Values:
        """Anomaly scores (n,) of checked samples."""
        return self.scorer.anomaly_score(samples)

    def explain(self, samples: Samples) -> Explanation:
        """What every part adds to each score."""
        explanation: Explanation = self.scorer.explain(samples)  # type: ignore[attr-defined]
        return explanation


def load_engine(path: Path, device: str = "auto") -> Engine:
    """The model at `path`. Raises ModelFileError, or MissingExtra where onnxruntime is missing.

    A folder that is being replaced while it is read is read again.
    """
    for attempt in range(ATTEMPTS):
        try:
            before = digest_of(path)
            engine = _load(path, before, device)
            if digest_of(path) == before:
                return engine
        except ModelFileError:
            if attempt == ATTEMPTS - 1:
                raise
        time.sleep(PAUSE)
    raise ModelFileError(f"{path} kept changing while it was read; try again")


def digest_of(path: Path) -> str:
    """A hash of a model: of its manifest, which hashes every other file, or of the .onnx file."""
    from lampblack.persistence.folder import MANIFEST

    try:
        content = (path / MANIFEST if path.is_dir() else path).read_bytes()
    except OSError:
        return ""  # loading says what is wrong
    return hashlib.sha256(content).hexdigest()


def _load(path: Path, digest: str, device: str) -> Engine:
    if path.suffix == ".onnx":
        return _load_portable(path, digest)
    from lampblack.model.folder import load_model
    from lampblack.persistence.config import read_config
    from lampblack.persistence.parts import CARD

    config = read_config(path)
    card = (path / CARD).read_text(encoding="utf-8")
    return Engine(load_model(path, device=device), "torch", digest, config.detector, card)


def _load_portable(path: Path, digest: str) -> Engine:
    from importlib.util import find_spec

    if find_spec("onnxruntime") is None:
        raise MissingExtra(f"{path.name} needs onnxruntime", extra="onnx")
    from lampblack.persistence.card import model_card
    from lampblack.portable import load_portable  # type: ignore[import-not-found,unused-ignore]

    scorer: Any = load_portable(path)
    config = scorer.facts.config
    with contextlib.suppress(InvalidInput):  # zeros may lie anywhere; the graph has run
        scorer.anomaly_score(
            scorer.kind.blank(scorer.schema)
        )  # once, so that no client pays for it
    return Engine(scorer, "onnx", digest, config.detector, model_card(config))
