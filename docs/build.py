"""Build the API reference into docs/api from the docstrings: `make docs`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import get_type_hints

import pdoc

import lampblack

MODULES = (
    "lampblack",
    "lampblack.detectors.base",
    "lampblack.model.model",
    "lampblack.model.parameters",
    "lampblack.detectors.ama",
    "lampblack.detectors.autoencoder",
    "lampblack.detectors.lamp",
    "lampblack.detectors.lampblack",
    "lampblack.detectors.toll",
    "lampblack.detectors.registry",
    "lampblack.diagnostics",
    "lampblack.calibration",
    "lampblack.explanation",
    "lampblack.evaluation",
    "lampblack.exceptions",
    "lampblack.losses.amplification",
    "lampblack.losses.latent",
    "lampblack.losses.reconstruction",
    "lampblack.networks.dense",
    "lampblack.networks.pair",
    "lampblack.export",
    "lampblack.portable",
    "lampblack.report",
    "lampblack.scale",
    "lampblack.scale.partitions",
    "lampblack.scale.runs",
    "lampblack.scale.dataset",
    "lampblack.scores.attribution",
    "lampblack.scores.nearest.score",
    "lampblack.scores.reconstruction",
    "lampblack.training.callbacks",
    "lampblack.training.schedule",
    "lampblack.data.tables.encoder",
    "lampblack.data.tables.schema",
)


def build(output: Path) -> None:
    """Write one page a module, and an index."""
    for name in lampblack.__all__:
        setattr(lampblack, name, getattr(lampblack, name))  # they are loaded when first used
    for name in pdoc.extract.walk_specs(MODULES):
        resolve_tuples(name)
    pdoc.render.configure(docformat="numpy", show_source=True, math=False)
    pdoc.pdoc(*MODULES, output_directory=output)


def resolve_tuples(module: str) -> None:
    """Put types in place of their names in named tuples, where pdoc looks for them in vain."""
    for found in vars(importlib.import_module(module)).values():
        if hasattr(found, "_fields"):
            found.__new__.__annotations__ = get_type_hints(found)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "api")
