"""`lampblack calibrate`: a new threshold from new normal rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import typer

from lampblack.cli.images import image_schema, refuse_image_options, refuse_table_options
from lampblack.cli.options import Reading, Selection
from lampblack.cli.rows import ModelRows, load_for_rows, report_skipped, row_format
from lampblack.data.images.folders import find_images, holds_images
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import load
from lampblack.diagnostics.samples import (
    COMPARED_VALUES,
    MOST_COMPARED,
    encoded,
    remembered_among,
    remembers,
)
from lampblack.exceptions import InvalidInput
from lampblack.fitting.fit import MOST_REPEATED
from lampblack.persistence import check_target


def run(
    model: Path,
    data: Path,
    output: Path,
    reading: Reading,
    selection: Selection,
    false_alarm_rate: float | None,
    normal: list[str],
    device: str,
) -> None:
    """Recalibrate the model on every row of `data` and save it."""
    check_target(output)
    samples: Any
    if holds_images(data):
        refuse_table_options(reading, selection)
        what, detector = "images", load(model, device=device)
        image_schema(detector, model, data)
        samples = find_images(data, role="fit", normal=normal)
    else:
        refuse_image_options(normal=normal)
        what, detector = "rows", load_for_rows(model, data, device)
        rows = ModelRows(data, detector.schema_, row_format(reading, detector.reading_), selection)
        tables = [batch.table for batch in rows]
        report_skipped(rows.skipped)
        if not tables:
            raise InvalidInput(f"{data}: no row was left to calibrate on")
        samples = pa.concat_tables(tables)
    if false_alarm_rate is not None:
        detector.set_params(false_alarm_rate=false_alarm_rate)
    before = detector.calibration_.threshold
    doubt = _doubt(detector, samples, what)
    detector.recalibrate(samples)
    detector.save(output)
    facts = detector.calibration_
    typer.echo(
        f"threshold {facts.threshold:.6g} (was {before:.6g}) from {len(facts.scores):,} {what}: at "
        f"most {facts.promised:.2%} of new normal {what} raise an alarm, in expectation"
    )
    if doubt:
        typer.echo(doubt, err=True)
    typer.echo(f"saved {output}")


def _doubt(detector: ReconstructionDetector, samples: Any, what: str) -> str:
    """What can be said of the one condition of the promise: that none of these was fitted."""
    if not remembers(detector):
        return (
            f"lampblack: note: the promise holds only if none of these {what} was fitted; this "
            "model keeps no record of fitted ones, so that was not checked"
        )
    x = encoded(detector, samples, MOST_COMPARED, most_values=COMPARED_VALUES)
    fitted = remembered_among(detector, x)
    if fitted <= MOST_REPEATED * len(x):
        return ""
    return (
        f"lampblack: warning: the promise does not hold if these {what} were fitted, and "
        f"{fitted:,} of {len(x):,} looked at equal one that was: their scores are too low; "
        f"calibrate on normal {what} that were not fitted"
    )
