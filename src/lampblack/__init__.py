"""lampblack: find what normal data cannot explain.

Reconstruction-based anomaly detection for tables and images, with thresholds that keep their
promise and reasons for every alarm. Importing this package loads no torch; its names do when first
used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lampblack.data.images.folders import find_images
    from lampblack.data.tables.stored import find_rows
    from lampblack.detectors.ama import AMADetector
    from lampblack.detectors.autoencoder import AutoencoderDetector
    from lampblack.detectors.lamp import LAMPDetector
    from lampblack.detectors.lampblack import LampblackDetector
    from lampblack.detectors.registry import load, recommended
    from lampblack.detectors.toll import TollDetector
    from lampblack.export.onnx_file import export_onnx
    from lampblack.portable import load_portable

__version__ = "0.1.0"

_HOMES = {
    "AMADetector": "lampblack.detectors.ama",
    "AutoencoderDetector": "lampblack.detectors.autoencoder",
    "LAMPDetector": "lampblack.detectors.lamp",
    "LampblackDetector": "lampblack.detectors.lampblack",
    "TollDetector": "lampblack.detectors.toll",
    "export_onnx": "lampblack.export.onnx_file",
    "find_images": "lampblack.data.images.folders",
    "find_rows": "lampblack.data.tables.stored",
    "load": "lampblack.detectors.registry",
    "load_portable": "lampblack.portable",
    "recommended": "lampblack.detectors.registry",
}

__all__ = [
    "AMADetector",
    "AutoencoderDetector",
    "LAMPDetector",
    "LampblackDetector",
    "TollDetector",
    "__version__",
    "export_onnx",
    "find_images",
    "find_rows",
    "load",
    "load_portable",
    "recommended",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lampblack' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
