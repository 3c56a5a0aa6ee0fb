"""What a model consists of, as files and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import skops.io
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lampblack.exceptions import ModelFileError
from lampblack.persistence.config import CONFIG, ModelConfig, parse_config
from lampblack.persistence.folder import read_folder, write_folder

TRUSTED = ("lampblack.data.scaling.ColumnScaler", "numpy.dtype")  # beside skops' own list
WEIGHTS, ENCODER = "weights.safetensors", "encoder.skops"
CALIBRATION, CARD = "calibration.safetensors", "README.md"


@dataclass(frozen=True)
class ModelParts:
    """A model taken apart: config, weights by name, the encoder's state, calibration scores."""

    config: ModelConfig
    weights: dict[str, Tensor]
    encoder: dict[str, Any]
    calibration_scores: Tensor
    card: str = ""

    def write(self, path: Path) -> None:
        """Write the model folder; see `write_folder`."""
        weights = {name: value.cpu().contiguous() for name, value in self.weights.items()}
        write_folder(
            path,
            {
                CONFIG: (self.config.model_dump_json(indent=1) + "\n").encode(),
                WEIGHTS: save_tensors(weights),
                ENCODER: skops.io.dumps(self.encoder),
                CALIBRATION: save_tensors({"scores": self.calibration_scores}),
                CARD: self.card.encode(),
            },
        )

    @classmethod
    def read(cls, path: Path) -> ModelParts:
        """Read a model folder. Raises ModelFileError, naming the file that is at fault."""
        files = read_folder(path)
        for name in (CONFIG, WEIGHTS, ENCODER, CALIBRATION, CARD):
            if name not in files:
                raise ModelFileError(f"{path / name} is missing; this is not a complete model")
        config = parse_config(path / CONFIG, files[CONFIG])
        try:
            weights = load_tensors(files[WEIGHTS])
            scores = load_tensors(files[CALIBRATION])["scores"]
        except (SafetensorError, KeyError, ValueError) as error:
            raise ModelFileError(
                f"{path}: weights or calibration cannot be read: {error}"
            ) from None
        encoder = _read_encoder(path / ENCODER, files[ENCODER])
        return cls(config, weights, encoder, scores, files[CARD].decode(errors="replace"))


def _read_encoder(path: Path, content: bytes) -> dict[str, Any]:
    try:
        state = skops.io.loads(content, trusted=list(TRUSTED))
    except Exception as error:  # whatever a hostile archive makes skops raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelFileError(f"{path} cannot be read safely: {reason}") from None
    if not isinstance(state, dict) or set(state) != {"scaling", "levels", "cycles", "pipeline"}:
        raise ModelFileError(f"{path} does not hold an encoder")
    return state
