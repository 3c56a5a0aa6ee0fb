"""`lampblack export`: a model folder to one portable file."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.export import FORMATS
from lampblack.model.folder import load_model


def run(model: Path, output: Path, format: str) -> None:
    """Write the portable file, and say what it takes and gives."""
    fitted = load_model(model, device="cpu")
    FORMATS[format].write(fitted, output)
    size = output.stat().st_size / 2**20
    typer.echo(
        f"{fitted.detector}: {FORMATS[format].holds}, {size:.1f} MiB; "
        f"threshold {fitted.calibration.threshold:.6g} beside it"
    )
    typer.echo(f"saved {output}")
