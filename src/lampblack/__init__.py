"""lampblack: find what normal data cannot explain.

Reconstruction-based anomaly detection for tables and images, with thresholds that keep their
promise and reasons for every alarm. Importing this package loads no torch; its names do when first
used.

Public are the names in `lampblack.__all__`, and those in `__all__` of `lampblack.diagnostics` and
`lampblack.scale`; the changelog says what changes. All else is internal and may change in any
version.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lampblack.data.images.folders import find_images
    from lampblack.data.tables.layout import RowFormat
    from lampblack.data.tables.stored import find_rows
    from lampblack.detectors.ama import AMADetector
    from lampblack.detectors.autoencoder import AutoencoderDetector
    from lampblack.detectors.lamp import LAMPDetector
    from lampblack.detectors.lampblack import LampblackDetector
    from lampblack.detectors.registry import load, recommended
    from lampblack.detectors.toll import TollDetector
    from lampblack.diagnostics.diagnosis import diagnose
    from lampblack.exceptions import (
        CalibrationWarning,
        CollapseWarning,
        ExportError,
        ImageWarning,
        InvalidInput,
        LampblackError,
        LampblackWarning,
        MissingExtra,
        ModelFileError,
        ReadingWarning,
        SchemaMismatch,
        TrainingError,
        TrainingWarning,
        UnreadableImage,
    )
    from lampblack.export.onnx_file import export_onnx
    from lampblack.portable import load_portable
    from lampblack.scale.partitions import Scoring
    from lampblack.scale.runs import score_files
    from lampblack.training.callbacks import Callback

__version__ = "0.2.0.dev0"

_HOMES = {
    "AMADetector": "lampblack.detectors.ama",
    "AutoencoderDetector": "lampblack.detectors.autoencoder",
    "CalibrationWarning": "lampblack.exceptions",
    "Callback": "lampblack.training.callbacks",
    "CollapseWarning": "lampblack.exceptions",
    "ExportError": "lampblack.exceptions",
    "ImageWarning": "lampblack.exceptions",
    "InvalidInput": "lampblack.exceptions",
    "LAMPDetector": "lampblack.detectors.lamp",
    "LampblackDetector": "lampblack.detectors.lampblack",
    "LampblackError": "lampblack.exceptions",
    "LampblackWarning": "lampblack.exceptions",
    "MissingExtra": "lampblack.exceptions",
    "ModelFileError": "lampblack.exceptions",
    "RowFormat": "lampblack.data.tables.files",
    "SchemaMismatch": "lampblack.exceptions",
    "Scoring": "lampblack.scale",
    "TollDetector": "lampblack.detectors.toll",
    "TrainingError": "lampblack.exceptions",
    "ReadingWarning": "lampblack.exceptions",
    "TrainingWarning": "lampblack.exceptions",
    "UnreadableImage": "lampblack.exceptions",
    "diagnose": "lampblack.diagnostics",
    "export_onnx": "lampblack.export.onnx_file",
    "find_images": "lampblack.data.images.folders",
    "find_rows": "lampblack.data.tables.stored",
    "load": "lampblack.detectors.registry",
    "load_portable": "lampblack.portable",
    "recommended": "lampblack.detectors.registry",
    "score_files": "lampblack.scale",
}

__all__ = [
    "AMADetector",
    "AutoencoderDetector",
    "CalibrationWarning",
    "Callback",
    "CollapseWarning",
    "ExportError",
    "ImageWarning",
    "InvalidInput",
    "LAMPDetector",
    "LampblackDetector",
    "LampblackError",
    "LampblackWarning",
    "MissingExtra",
    "ModelFileError",
    "ReadingWarning",
    "RowFormat",
    "SchemaMismatch",
    "Scoring",
    "TollDetector",
    "TrainingError",
    "TrainingWarning",
    "UnreadableImage",
    "__version__",
    "diagnose",
    "export_onnx",
    "find_images",
    "find_rows",
    "load",
    "load_portable",
    "recommended",
    "score_files",
]


def _one_thread_after_fork() -> None:
    """Let torch compute in one thread in a forked child: its pool of threads is not there.

    A child that uses the pool waits for ever. One thread may change the last bits of a score.
    """
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_num_threads"):  # neither absent nor half imported
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread_after_fork)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lampblack' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
