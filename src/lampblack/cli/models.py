"""The model that a command was given: a folder, or the one file of a portable model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lampblack.detectors.results import ScoringModel
from lampblack.exceptions import InvalidInput
from lampblack.persistence.portable import is_portable

if TYPE_CHECKING:
    from lampblack.detectors.base import ReconstructionDetector

__all__ = ["ScoringModel", "as_detector", "load_model", "refuse_explanations"]


def load_model(path: Path, device: str) -> ScoringModel:
    """The model at `path`; a portable one is run by onnxruntime, and torch is not loaded."""
    if not is_portable(path):
        from lampblack.detectors.registry import load

        return load(path, device=device)
    if device not in ("auto", "cpu"):
        raise InvalidInput(f"--device {device}: a portable model runs on the CPU; leave it out")
    from lampblack.portable import load_portable

    return load_portable(path)


def as_detector(model: ScoringModel) -> ReconstructionDetector | None:
    """The model as a detector, where it is one: it explains its scores."""
    detector: Any = model
    return detector if hasattr(model, "explain") else None


def refuse_explanations(path: Path, **given: Any) -> None:
    """Raise InvalidInput for an option that a portable model cannot serve."""
    for name, value in given.items():
        if value and is_portable(path):
            raise InvalidInput(
                f"--{name}: {path} is a portable model, which scores and does not explain; "
                "give the model folder"
            )
