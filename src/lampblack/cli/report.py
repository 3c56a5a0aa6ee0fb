"""`lampblack report` and `lampblack plot`: what was scored, as a page or as pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer

from lampblack.cli.alarms import Alarms
from lampblack.cli.kinds import presentation_at
from lampblack.cli.options import DataOptions, KeyOption, LabelOptions
from lampblack.cli.output import (
    need_libraries,
    refuse_other_than_folder,
    refuse_own_input,
    report_skipped,
)
from lampblack.cli.report_diagnosis import ToLookAt
from lampblack.data.kind import Array
from lampblack.exceptions import InvalidInput
from lampblack.model.folder import load_model
from lampblack.model.model import Model
from lampblack.number_text import count, file_size, percent
from lampblack.persistence.card import promise_of
from lampblack.report import ReportContent, draw, page
from lampblack.results import score_rows
from lampblack.training.progress import counted

EARLIEST, LATEST = np.datetime64("1900"), np.datetime64("2200")


def write_page(output: Path, content: ReportContent, *, as_json: bool) -> None:
    """Write the page, beside it and renamed into place, and say so; or print the numbers."""
    _write(output, page(content, made=datetime.now()))
    if as_json:
        typer.echo(json.dumps(content.summary(), indent=1))
        return
    size = file_size(output.stat().st_size)
    typer.echo(f"{_summary(content)}; wrote {output} ({size})")


def write_pictures(output: Path, content: ReportContent, ending: str) -> None:
    """Write every figure as a file of its own into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    names = []
    for name, figure in draw(content).items():
        figure.save(output / f"{name}{ending}")
        names.append(f"{name}{ending}")
    typer.echo(f"{_summary(content)}; wrote {', '.join(names)} to {output}")


def gather(
    path: Path,
    data: Path,
    output: Path,
    options: DataOptions,
    labels: LabelOptions,
    key: KeyOption,
    *,
    diagnosed: bool,
    device: str,
    quiet: bool,
    to_folder: bool,
) -> ReportContent:
    """Score the data and gather what a report shows."""
    need_libraries("reports need", "jinja2", "matplotlib")
    _check_output(output, folder=to_folder)
    refuse_own_input(output, path, data)
    kind = presentation_at(data)
    kind.refuse_options(options, labels, key)
    kind.check_labels(labels)
    model = load_model(path, device=device)
    kind.refuse_other_model(model, path, data)
    source = kind.open(data, model, options, labels=labels, key=key.id)
    alarms = Alarms(source.noun, kind.most_alarms)
    seen = ToLookAt(kind, source.noun, kind.most_looked_at(model.schema))
    scores, marks, times = [], [], []
    with counted("report", source.total, f"{source.noun}s", quiet) as advance:
        for batch in source:
            scored = score_rows(model, batch.samples)
            alarms.add(batch, scored)
            seen.add(batch, scored.alarm)
            scores.append(scored.anomaly_score)
            marks.append(batch.anomaly)
            times.append(batch.times)
            advance(len(batch) + len(batch.unscored))
    report_skipped(source)
    if not alarms.samples:
        raise InvalidInput(f"{data}: no {source.noun} was left to score")
    shown, blamed = kind.reported(model, alarms.strongest())
    source.check_labels()
    when, truth = _joined(times), _joined(marks)
    drawn_over_time = when is not None and _can_be_drawn(when)
    labelled = truth
    truth, note = _two_classes(truth) if truth is not None else (None, [])
    return ReportContent(
        **_of_model(model, path, data, f"{source.noun}s", note),
        scores=np.concatenate(scores),
        alarms=shown,
        blamed=blamed if alarms.alarms else {},
        times=when if drawn_over_time else None,
        time_name=source.time_name if drawn_over_time else "",
        truth=truth,
        labelled=labelled,
        skipped=len(source.skipped),
        **seen.look(model, diagnosed=diagnosed, quiet=quiet),
    )


def _joined(parts: Sequence[Array | None]) -> Array | None:
    """What is known of every batch, one after the other; None where nothing is."""
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


def _two_classes(truth: Array) -> tuple[Array | None, list[str]]:
    """The truth (n,), or None and a note where all samples are of one class."""
    if 0 < truth.sum() < len(truth):
        return truth, []
    which = "anomalies" if truth.all() else "normal"
    return None, [f"The labels say that all are {which}: there is nothing to hold scores against"]


def _can_be_drawn(when: Array) -> bool:
    """Whether moments (n,) make an axis: none missing, none that stands for something else."""
    if np.isnat(when).any():
        return False
    first, last = when.min().astype("datetime64[Y]"), when.max().astype("datetime64[Y]")
    return bool(first >= EARLIEST and last <= LATEST)


def _of_model(
    detector: Model, model: Path, data: Path, what: str, notes: list[str]
) -> dict[str, Any]:
    """What a report says of its model."""
    versions = ", ".join(f"{name} {version}" for name, version in detector.facts.versions.items())
    counts = ", ".join(f"{count:,} {use}" for use, count in detector.facts.rows.items())
    steps = detector.facts.history[-1]["step"] if detector.facts.history else 0
    calibration = detector.calibration
    facts = {
        "detector": detector.detector,
        what: counts,
        "steps of training": count(steps),
        "calibration": f"{len(calibration.scores):,} {what}, {calibration.origin}",
        "fitted with": versions,
    }
    return {
        "model": model.resolve().name,
        "data": data.resolve().name,
        "what": what,
        "facts": facts,
        "promise": promise_of(calibration.origin, calibration.requested, calibration.promised),
        "calibration": calibration,
        "history": detector.facts.history,
        "notes": [*notes, *(f"Note from fitting: {note}" for note in detector.facts.notes)],
    }


def _summary(content: ReportContent) -> str:
    """What is printed: how many alarms, after what must be said first."""
    first = f"notice: {content.broken}\n" if content.broken else ""
    n, alarms = len(content.scores), int(content.is_alarm.sum())
    return f"{first}{n:,} {content.what}, {alarms:,} alarms ({percent(alarms / n)})"


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None


def _check_output(output: Path, *, folder: bool) -> None:
    """Raise InvalidInput, before anything is scored, where `output` cannot be written."""
    if folder:
        refuse_other_than_folder(output, " for the pictures")
    elif not output.absolute().parent.is_dir():
        raise InvalidInput(f"the folder {output.absolute().parent} does not exist; create it first")
    elif output.is_dir():
        raise InvalidInput(f"{output} is a folder; give the name of a file for the report")
