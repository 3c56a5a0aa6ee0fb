"""`lampblack export`: a model folder to one portable file."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.detectors.registry import load
from lampblack.export import export_onnx
from lampblack.persistence.portable import read_portable


def run(model: Path, output: Path) -> None:
    """Write the portable file, and say what it takes and gives."""
    detector = load(model, device="cpu")
    export_onnx(detector, output)
    _, facts = read_portable(output)
    size = output.stat().st_size / 2**20
    typer.echo(
        f"{facts.config.detector}: preprocessing, network and score in one graph, {size:.1f} MiB; "
        f"threshold {facts.config.calibration.threshold:.6g} beside it"
    )
    typer.echo(f"saved {output}")
