"""What a model consists of, as files and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lampblack.exceptions import ModelFileError, Place
from lampblack.persistence.config import CONFIG, ModelConfig, parse_config
from lampblack.persistence.folder import read_folder, write_folder

WEIGHTS, ENCODER = "weights.safetensors", "encoder.json"
CALIBRATION, CARD = "calibration.safetensors", "README.md"


@dataclass(frozen=True)
class ModelParts:
    """A model taken apart: config, weights by name, the encoder's state, calibration scores.

    weights: those of the networks, "networks.", and what the score has learned, "score.". encoder:
    empty where nothing is learned of the data.
    """

    config: ModelConfig
    weights: dict[str, Tensor]
    encoder: dict[str, Any]
    calibration_scores: Tensor
    card: str = ""

    def write(self, path: Path) -> None:
        """Write the model folder; see `write_folder`."""
        weights = {name: value.cpu().contiguous() for name, value in self.weights.items()}
        files = {
            CONFIG: (self.config.model_dump_json(indent=1) + "\n").encode(),
            WEIGHTS: save_tensors(weights),
            CALIBRATION: save_tensors({"scores": self.calibration_scores}),
            CARD: self.card.encode(),
        }
        if self.encoder:
            files[ENCODER] = (json.dumps(self.encoder, allow_nan=False) + "\n").encode()
        write_folder(path, files)

    @classmethod
    def read(cls, path: Path) -> ModelParts:
        """Read a model folder. Raises ModelFileError, naming the file that is at fault."""
        files = read_folder(path)
        _require(path, files, CONFIG, WEIGHTS, CALIBRATION, CARD)
        config = parse_config(path / CONFIG, files[CONFIG])
        encoder = _read_json(path / ENCODER, files[ENCODER]) if ENCODER in files else {}
        weights = _read_tensors(path / WEIGHTS, files[WEIGHTS])
        scores = _read_tensors(path / CALIBRATION, files[CALIBRATION]).get("scores")
        if scores is None:
            raise ModelFileError.of(path / CALIBRATION, "does not hold calibration scores")
        try:
            card = files[CARD].decode()
        except UnicodeDecodeError:
            raise ModelFileError.of(path / CARD, "is not text in UTF-8") from None
        return cls(config, weights, encoder, scores, card)


def _require(path: Path, files: dict[str, bytes], *names: str) -> None:
    for name in names:
        if name not in files:
            raise ModelFileError.of(path / name, "is missing; this is not a complete model")


def _read_tensors(path: Path, content: bytes) -> dict[str, Tensor]:
    try:
        return load_tensors(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError.of(path, f"does not hold tensors: {reason}") from None


def _read_json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        state = json.loads(content)
    except (ValueError, RecursionError):
        state = None
    if not isinstance(state, dict):
        raise ModelFileError(f"{path} does not hold an encoder", names=Place(path))
    return state
