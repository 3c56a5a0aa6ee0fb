"""`lampblack evaluate`: decisions against labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer

from lampblack.cli.kinds import presentation_at
from lampblack.cli.models import load_model
from lampblack.cli.options import DataOptions, LabelOptions
from lampblack.cli.output import report_skipped
from lampblack.evaluation import broken_promise, evaluate
from lampblack.exceptions import InvalidInput
from lampblack.number_text import number, percent

Figures = Mapping[str, Any]


def run(
    path: Path,
    data: Path,
    options: DataOptions,
    labels: LabelOptions,
    *,
    device: str,
    as_json: bool,
) -> None:
    """Score every sample and print how well scores and decisions agree with the labels."""
    kind = presentation_at(data)
    kind.refuse_options(options, labels)
    kind.check_labels(labels, needed=True)
    model = load_model(path, device)
    kind.refuse_other_model(model, path, data)
    source = kind.open(data, model, options, labels=labels, labels_needed=True)
    parts = kind.part_figures(model, path, source)
    scores, anomalous = [np.zeros(0)], [np.zeros(0, dtype=bool)]
    for batch in source:
        assert batch.anomaly is not None
        scores.append(model.anomaly_score(batch.samples))
        anomalous.append(batch.anomaly)
        if parts is not None:
            parts.add(batch)
    report_skipped(source)
    by_part = parts.figures() if parts is not None else {}
    anomaly_score, is_anomaly = np.concatenate(scores), np.concatenate(anomalous)
    if not len(anomaly_score):
        raise InvalidInput(f"{data}: no {source.noun} was left to evaluate")
    source.check_labels()
    alarm = anomaly_score > model.calibration.threshold
    noun = f"{source.noun}s"
    judged = evaluate(anomaly_score, alarm, is_anomaly, model.calibration, noun)
    broken = broken_promise(alarm, is_anomaly, model.calibration, noun)
    if broken is not None:
        typer.echo(f"notice: {broken}", err=as_json)
    named = {noun if name == "rows" else name: value for name, value in judged.items()}
    _show({**named, **by_part}, as_json)


def _show(result: Figures, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_without_nan(result), indent=1))
    else:
        _print(result)


def _without_nan(result: Figures) -> Figures:
    return {name: None if value != value else value for name, value in result.items()}


def _print(result: Figures) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in _without_nan(result).items():
        if value is None:
            shown = "-"
        elif "rate" in name:
            shown = percent(value)
        elif name == "promise_p_value":
            shown = number(value)
        else:
            shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        table.add_row(name.replace("_", " "), shown)
    Console().print(table)
