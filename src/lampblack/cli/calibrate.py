"""`lampblack calibrate`: a new threshold from new normal rows."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.cli.kinds import presentation_at
from lampblack.cli.options import DataOptions, NormalOption, RowOptions
from lampblack.cli.output import report_skipped
from lampblack.diagnostics.chosen import (
    COMPARED_VALUES,
    MOST_COMPARED,
    encoded,
    remembered_among,
    remembers,
)
from lampblack.exceptions import InvalidInput
from lampblack.fitting.notes import MOST_REPEATED
from lampblack.model.folder import load_model, save_model
from lampblack.model.model import Model
from lampblack.number_text import number, percent
from lampblack.persistence import check_target


def run(
    model: Path,
    data: Path,
    output: Path,
    rows: RowOptions,
    normal: NormalOption,
    *,
    false_alarm_rate: float | None,
    device: str,
) -> None:
    """Recalibrate the model on every sample of `data` and save it."""
    check_target(output)
    kind = presentation_at(data)
    kind.refuse_options(rows, normal)
    detector = load_model(model, device=device)
    kind.refuse_other_model(detector, model, data)
    source = kind.open(data, detector, DataOptions(**vars(rows)), labels=normal, to_fit=True)
    samples, what = source.whole(), f"{source.noun}s"
    report_skipped(source)
    if samples is None:
        raise InvalidInput(f"{data}: no {source.noun} was left to calibrate on")
    rate = detector.parameters.false_alarm_rate if false_alarm_rate is None else false_alarm_rate
    detector.parameters.replaced(false_alarm_rate=rate).check(detector.detector)
    before = detector.calibration.threshold
    doubt = _doubt(detector, samples, what)
    detector = detector.recalibrated(samples, rate)
    save_model(detector, output)
    facts = detector.calibration
    typer.echo(
        f"threshold {number(facts.threshold)} (was {number(before)}) from {len(facts.scores):,} "
        f"{what}: at most {percent(facts.promised)} of new normal {what} raise an alarm, "
        "in expectation"
    )
    if doubt:
        typer.echo(doubt, err=True)
    typer.echo(f"saved {output}")


def _doubt(detector: Model, samples: object, what: str) -> str:
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
