"""Export: a fitted detector as one file that runs without this library's training side.

`FORMATS` names what such a file may be.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Format(NamedTuple):
    """A format: where the function is that writes a detector to a path, and what it puts there."""

    module: str
    function: str
    holds: str

    def write(self, detector: object, path: str | Path) -> None:
        """Write a fitted detector, by a module that is loaded now. Raises ExportError."""
        write: Callable[[object, str | Path], None] = getattr(
            importlib.import_module(self.module), self.function
        )
        write(detector, path)


FORMATS = {
    "onnx": Format(
        "lampblack.export.onnx_file",
        "export_onnx",
        "preprocessing, network and score in one graph",
    ),
}
