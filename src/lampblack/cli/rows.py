"""Rows of a file as a command takes them: how it is written, what was skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lampblack.cli.options import Reading, Selection
from lampblack.cli.output import number_of
from lampblack.data.images.schema import ImageSchema
from lampblack.data.tables.files import OnBadRow, RowFormat, SkippedRow
from lampblack.data.tables.model_rows import Batch, ModelRows, usable_rows
from lampblack.data.tables.schema import Schema
from lampblack.exceptions import InvalidInput

if TYPE_CHECKING:
    from lampblack.detectors.base import ReconstructionDetector

__all__ = [
    "Batch",
    "ModelRows",
    "load_for_rows",
    "on_bad_row",
    "refuse_model_of_images",
    "report_skipped",
    "row_format",
    "usable_rows",
]

SHOWN_SKIPS = 1000


def row_format(reading: Reading, remembered: Mapping[str, Any] | None = None) -> RowFormat:
    """How to read a file: as the user says, else as the fitted file was written."""
    remembered = remembered or {}
    types: dict[str, Any] = {**remembered.get("types", {}), **reading.types}
    return RowFormat(
        header=not reading.no_header and bool(remembered.get("header", True)),
        delimiter=reading.delimiter or remembered.get("delimiter"),
        types=types,
        missing=(*remembered.get("missing", ()), *reading.missing),
    )


def on_bad_row(selection: Selection) -> OnBadRow:
    """The choice as the reader takes it."""
    return "skip" if selection.skip_bad_rows else "fail"


def load_for_rows(model: Path, data: Path, device: str) -> ReconstructionDetector:
    """A detector that was fitted on a table."""
    from lampblack.detectors.registry import load

    detector = load(model, device=device)
    refuse_model_of_images(detector.schema_, model, data)
    return detector


def refuse_model_of_images(schema: Schema | ImageSchema, model: Path, data: Path) -> None:
    """Raise InvalidInput where a model that was fitted on images is given a file of rows."""
    if isinstance(schema, ImageSchema):
        raise InvalidInput(f"{model} was fitted on images, and {data} is a file of rows")


def report_skipped(skipped: list[SkippedRow], source: str = "") -> None:
    """Say how many rows were left out, of `source` where there are several, and list them."""
    if not skipped:
        return
    of = f" of {source}" if source else ""
    verb = "was" if len(skipped) == 1 else "were"
    typer.echo(f"lampblack: {number_of(len(skipped), 'row')}{of} {verb} skipped:", err=True)
    for row in skipped[:SHOWN_SKIPS]:
        column = "" if row.column is None else f", column {row.column!r}"
        typer.echo(f"  row {row.row}{column}: {row.reason}", err=True)
    if len(skipped) > SHOWN_SKIPS:
        typer.echo(f"  and {len(skipped) - SHOWN_SKIPS} more", err=True)
