"""`lampblack fit`: a file of normal rows to a model folder."""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import typer

from lampblack.cli.kinds import presentation_at
from lampblack.cli.options import (
    FitOptions,
    FittedRowOptions,
    KnownOptions,
)
from lampblack.cli.training import Training, given_parameters
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import DETECTORS
from lampblack.exceptions import InvalidInput
from lampblack.model.model import Model
from lampblack.number_text import number, percent
from lampblack.persistence import check_target
from lampblack.training.runner import has_started_several


def run(
    data: Path,
    output: Path,
    name: str,
    rows: FittedRowOptions,
    known: KnownOptions,
    training: Training,
    options: FitOptions,
    *,
    quiet: bool,
) -> None:
    """Read, choose columns, fit, save, and say what was promised.

    Of the processes that torchrun starts, all fit; the first alone saves, and speaks.
    """
    check_target(output)
    distributed = has_started_several()
    if not distributed or os.environ["RANK"] == "0":
        detector, what = _fit(data, name, rows, known, training, options, distributed, quiet)
        detector.save(output)
        _say(output, detector.model_, what)
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        _fit(data, name, rows, known, training, options, distributed, True)


def _fit(
    data: Path,
    name: str,
    rows: FittedRowOptions,
    known: KnownOptions,
    training: Training,
    options: FitOptions,
    distributed: bool,
    quiet: bool,
) -> tuple[ReconstructionDetector, str]:
    """A fitted detector, and what it was fitted to."""
    parameters = {**given_parameters(training), "verbose": not quiet}
    _refuse_options_of_others(name, known, parameters)
    if known.label or known.anomaly:
        parameters["supervision"] = "labels"
    detector = DETECTORS[name](**parameters)
    kind = presentation_at(data)
    kind.refuse_options(rows, known, training, options)
    found = kind.to_fit(data, rows, known, options)
    how: dict[str, Any] = {"checkpoint_dir": options.checkpoint, "distributed": distributed}
    detector.fit(found.samples, found.y, **how)
    if found.reading:
        detector.model_ = detector.model_.read_as(found.ignored, found.reading)
    return detector, kind.kind.noun


def _refuse_options_of_others(name: str, known: KnownOptions, parameters: dict[str, Any]) -> None:
    """Raise InvalidInput for options that this detector has no use for."""
    if name != "ama" and (known.label or known.anomaly):
        raise InvalidInput(
            f"--label and --anomaly train with known anomalies, which --detector ama alone does; "
            f"{name} takes normal data: leave the anomalies out (tables: --where)"
        )
    if name != "ama" and "score_by" in parameters:
        raise InvalidInput(f"--score is for --detector ama; {name} has one score")


def _say(output: Path, model: Model, what: str) -> None:
    facts = model.calibration
    rows = model.facts.rows
    last = model.facts.history[-1]
    others = f"{rows['validation']:,} validated, " if rows["validation"] else ""
    others += f"{rows['anomalies']:,} known anomalies, " if "anomalies" in rows else ""
    typer.echo(
        f"{model.detector}: {rows['train']:,} {what} trained, {others}"
        f"{rows['calibration']:,} calibrated; {last['step']:.0f} steps, loss {number(last['loss'])}"
    )
    if facts.origin == "held-out":
        typer.echo(
            f"threshold {number(facts.threshold)}: at most {percent(facts.promised)} of new normal "
            f"{what} raise an alarm, in expectation"
        )
    else:
        typer.echo(
            f"threshold {number(facts.threshold)}: flags {percent(facts.requested)} of these "
            f"{what}; nothing is promised for new ones"
        )
    typer.echo(f"saved {output}")
