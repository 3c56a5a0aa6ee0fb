"""`lampblack export`: a model folder to one portable file."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.export import FORMATS
from lampblack.model.folder import load_model
from lampblack.number_text import file_size, number


def run(model: Path, output: Path, format: str) -> None:
    """Write the portable file, and say what it takes and gives."""
    fitted = load_model(model, device="cpu")
    FORMATS[format].write(fitted, output)
    size = file_size(output.stat().st_size)
    typer.echo(
        f"{fitted.detector}: {FORMATS[format].holds}, {size}; "
        f"threshold {number(fitted.calibration.threshold)} beside it"
    )
    typer.echo(f"saved {output}")
