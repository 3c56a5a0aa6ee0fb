"""The model that a command was given: a folder, or the one file of a portable model."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lampblack.exceptions import InvalidInput, ModelFileError
from lampblack.persistence import is_model_folder
from lampblack.persistence.portable import is_portable
from lampblack.results import ScoringModel

if TYPE_CHECKING:
    from lampblack.model.model import Model


def load_model(path: Path, device: str) -> ScoringModel:
    """The model at `path`; a portable one is run by onnxruntime, and torch is not loaded."""
    refuse_missing(path)
    if not is_portable(path):
        from lampblack.model.folder import load_model

        return load_model(path, device=device)
    if device not in ("auto", "cpu"):
        raise InvalidInput(f"--device {device}: a portable model runs on the CPU; leave it out")
    from lampblack.portable import load_portable

    return load_portable(path)


def refuse_missing(path: Path) -> None:
    """Raise ModelFileError where there is nothing at `path`, naming a model beside it."""
    if path.exists():
        return
    near = _models_like(path)
    hint = f"; there is {' and '.join(map(str, near))}" if near else ""
    raise ModelFileError(
        f"{path} does not exist; give a model folder (from lampblack fit) or an .onnx file (from "
        f"lampblack export){hint}"
    )


def _models_like(path: Path) -> list[Path]:
    """Models beside `path` that have its name but for the ending, or nearly its name."""
    try:
        beside = [entry for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []
    names = sorted(entry.name for entry in beside if is_portable(entry) or is_model_folder(entry))
    same = [name for name in names if Path(name).stem == path.stem]
    found = same or get_close_matches(path.name, names, n=1, cutoff=0.75)
    return [path.with_name(name) for name in found]


def as_explaining(model: ScoringModel) -> Model | None:
    """The model as one that explains its scores, where it does."""
    explaining: Any = model
    return explaining if hasattr(model, "explain") else None


def refuse_explanations(path: Path, **given: object) -> None:
    """Raise InvalidInput for an option that a portable model cannot serve."""
    for name, value in given.items():
        if value and is_portable(path):
            raise InvalidInput(
                f"--{name}: {path} is a portable model, which scores and does not explain; "
                "give the model folder"
            )
