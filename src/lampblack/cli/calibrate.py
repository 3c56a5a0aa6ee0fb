"""`lampblack calibrate`: a new threshold from new normal rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import typer

from lampblack.cli.options import Reading, Selection
from lampblack.cli.rows import ModelRows, report_skipped, row_format
from lampblack.detectors.registry import load
from lampblack.exceptions import InvalidInput
from lampblack.persistence import check_target


def run(
    model: Path,
    data: Path,
    output: Path,
    reading: Reading,
    selection: Selection,
    false_alarm_rate: float | None,
    device: str,
) -> None:
    """Recalibrate the model on every row of `data` and save it."""
    check_target(output)
    detector = load(model, device=device)
    if false_alarm_rate is not None:
        detector.set_params(false_alarm_rate=false_alarm_rate)
    rows = ModelRows(data, detector.schema_, row_format(reading, detector.reading_), selection)
    tables = [batch.table for batch in rows]
    report_skipped(rows.skipped)
    if not tables:
        raise InvalidInput(f"{data}: no row was left to calibrate on")
    before = detector.calibration_.threshold
    detector.recalibrate(pa.concat_tables(tables))
    detector.save(output)
    facts = detector.calibration_
    typer.echo(
        f"threshold {facts.threshold:.6g} (was {before:.6g}) from {len(facts.scores):,} rows: at "
        f"most {facts.promised:.2%} of new normal rows raise an alarm, in expectation"
    )
    typer.echo(f"saved {output}")
