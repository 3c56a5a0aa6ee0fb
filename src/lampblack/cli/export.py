"""`lampblack export`: a model folder to one portable file."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.detectors.registry import load
from lampblack.export import FORMATS


def run(model: Path, output: Path, format: str) -> None:
    """Write the portable file, and say what it takes and gives."""
    detector = load(model, device="cpu")
    FORMATS[format].write(detector, output)
    size = output.stat().st_size / 2**20
    typer.echo(
        f"{type(detector).__name__}: {FORMATS[format].holds}, {size:.1f} MiB; "
        f"threshold {detector.calibration_.threshold:.6g} beside it"
    )
    typer.echo(f"saved {output}")
