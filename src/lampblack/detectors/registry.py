"""Names to detectors, and a model folder to a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lampblack.detectors.ama import AMADetector
from lampblack.detectors.autoencoder import AutoencoderDetector
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.lamp import LAMPDetector
from lampblack.detectors.lampblack import LampblackDetector
from lampblack.detectors.toll import TollDetector
from lampblack.model.folder import load_model
from lampblack.model.parameters import OwnNetworks

DETECTORS: dict[str, type[ReconstructionDetector]] = {
    "ama": AMADetector,
    "autoencoder": AutoencoderDetector,
    "lamp": LAMPDetector,
    "lampblack": LampblackDetector,
    "toll": TollDetector,
}


def recommended(**parameters: Any) -> ReconstructionDetector:
    """The detector for a newcomer: a `LampblackDetector` with its defaults, or with `parameters`.

    It is what `lampblack fit` fits where no detector is named. docs/methods/lampblack.md says why.
    """
    return LampblackDetector(**parameters)


def load(
    path: str | Path, *, networks: OwnNetworks | None = None, device: str = "auto"
) -> ReconstructionDetector:
    """A fitted detector from a model folder; nothing of the folder's is run as code.

    networks: the (encoder, decoder) that it was fitted with, where they were the user's own; their
    weights come from the folder. device: where to put it. Raises ModelFileError, naming the file,
    where one is missing, changed, newer or unknown.
    """
    model = load_model(path, networks=networks, device=device)
    by_class = {cls.__name__: cls for cls in DETECTORS.values()}
    return by_class[model.detector].of_model(model)
