"""Build the API reference into docs/api from the docstrings: `make docs`."""

from __future__ import annotations

from pathlib import Path

import pdoc

MODULES = (
    "lampblack",
    "lampblack.detectors.base",
    "lampblack.detectors.autoencoder",
    "lampblack.detectors.lamp",
    "lampblack.detectors.toll",
    "lampblack.detectors.registry",
    "lampblack.calibration",
    "lampblack.explanation",
    "lampblack.evaluation",
    "lampblack.exceptions",
    "lampblack.losses",
    "lampblack.networks",
    "lampblack.scores",
    "lampblack.training.callbacks",
    "lampblack.training.schedule",
    "lampblack.data.encoder",
    "lampblack.data.schema",
)


def build(output: Path) -> None:
    """Write one page a module, and an index."""
    pdoc.render.configure(docformat="numpy", show_source=True, math=False)
    pdoc.pdoc(*MODULES, output_directory=output)


if __name__ == "__main__":
    build(Path(__file__).parent / "api")
