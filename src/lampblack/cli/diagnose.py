"""`lampblack diagnose`: why a model works, and when not to trust it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import typer

from lampblack.cli.kinds import Presentation, presentation_at
from lampblack.cli.options import DataOptions, LabelOptions
from lampblack.cli.output import (
    need_libraries,
    note,
    refuse_other_than_folder,
    refuse_own_input,
    report_skipped,
)
from lampblack.data.source import Source
from lampblack.diagnostics import Diagnosis, diagnose
from lampblack.diagnostics.diagnosis import PARTS
from lampblack.exceptions import InvalidInput
from lampblack.model.folder import load_model
from lampblack.number_text import number
from lampblack.report import draw_diagnosis
from lampblack.training.progress import counted

Marks = npt.NDArray[np.bool_]


def run(
    model: Path,
    data: Path,
    output: Path,
    options: DataOptions,
    labels: LabelOptions,
    *,
    ending: str,
    seed: int,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Diagnose the model on the data; write numbers and figures, say what was found."""
    need_libraries("figures need", "matplotlib")
    refuse_other_than_folder(output)
    refuse_own_input(output, model, data)
    kind = presentation_at(data)
    kind.refuse_options(options, labels)
    kind.check_labels(labels)
    detector = load_model(model, device=device)
    kind.refuse_other_model(detector, model, data)
    source = kind.open(data, detector, options, labels=labels)
    X, truth = _read(source, kind, data, kind.most_read(detector.schema))
    what = f"{source.noun}s"
    if truth is not None and truth.all():
        raise InvalidInput(f"{data}: all {what} are anomalies by the labels; give normal ones too")
    with counted("diagnose", PARTS, "parts", quiet or as_json) as advance:
        found = diagnose(
            detector,
            X if truth is None else X.take(np.flatnonzero(~truth)),
            anomalies=X.take(np.flatnonzero(truth)) if truth is not None and truth.any() else None,
            seed=seed,
            advance=advance,
        )
    content = json.dumps(found.to_json(), indent=1, allow_nan=False)
    output.mkdir(exist_ok=True)
    (output / "diagnosis.json").write_text(content + "\n", encoding="utf-8")
    names = ["diagnosis.json"]
    for name, figure in draw_diagnosis(found).items():
        figure.save(output / f"{name}{ending}")
        names.append(f"{name}{ending}")
    if as_json:
        typer.echo(content)
        return
    _say(found, what)
    typer.echo(f"wrote {', '.join(names)} to {output}")


def _read(source: Source, kind: Presentation, data: Path, most: int) -> tuple[Any, Marks | None]:
    """The first samples, and which of them are anomalies; None without labels."""
    shown, marks, read = [], [], 0
    for batch in source:
        left = np.arange(min(len(batch), most - read))
        shown.append(batch.shown.take(left))
        marks.append(None if batch.anomaly is None else batch.anomaly[left])
        read += len(left)
        if read >= most:
            note(f"{data}: the first {most:,} {source.noun}s are looked at")
            break
    report_skipped(source)
    if not read:
        raise InvalidInput(f"{data}: no {source.noun} was left to look at")
    source.check_labels()
    known = [each for each in marks if each is not None]
    return kind.joined(shown), np.concatenate(known) if known else None


def _say(found: Diagnosis, what: str) -> None:
    """Print the notices, then what was looked for and not found, then sharpness."""
    counts = ", ".join(f"{count:,} {group}" for group, count in found.looked_at.items())
    typer.echo(f"{found.detector} on {what}: {counts}")
    notices = found.notices
    head = {0: "no reason not to trust this model was found", 1: "1 notice"}
    typer.echo(head.get(len(notices), f"{len(notices)} notices"))
    for sign, which in (("!", False), ("?", None), (" ", True)):
        for check in found.checks:
            if check.passed is which:
                typer.echo(f"{sign} {check.text}")
    for text in found.notes:
        typer.echo(f"  note from fitting: {text}")
    for name, why in found.left_out.items():
        typer.echo(f"  {name} left out: {why}")
    for name, one in found.sharpness.items():
        settled = "" if one.converged else " (power iteration did not settle)"
        typer.echo(
            f"  {name} loss {number(one.loss)}: largest eigenvalue {number(one.largest_eigenvalue)}"
            f"{settled}, trace {number(one.trace)} ± {number(one.trace_error)}"
        )
