"""`lampblack evaluate`: decisions against labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer

from lampblack.cli import images
from lampblack.cli.labels import as_labels, is_anomaly, refuse_input_as_label
from lampblack.cli.models import load_model
from lampblack.cli.options import Reading, Selection
from lampblack.cli.rows import ModelRows, refuse_model_of_images, report_skipped, row_format
from lampblack.data.images.folders import holds_images
from lampblack.evaluation import evaluate
from lampblack.exceptions import InvalidInput


def run(
    model: Path,
    data: Path,
    reading: Reading,
    selection: Selection,
    *,
    label: str | None,
    anomaly: list[str],
    normal: list[str],
    resize: bool,
    skip_unreadable: bool,
    device: str,
    as_json: bool,
) -> None:
    """Score every row of `data` and print how well scores and decisions agree with the labels."""
    if holds_images(data):
        images.refuse_table_options(reading, selection, label=label, anomaly=anomaly)
        found = images.evaluate(
            load_model(model, device),
            model,
            data,
            normal=normal,
            resize=resize,
            skip_unreadable=skip_unreadable,
        )
        _show(found, as_json)
        return
    images.refuse_image_options(resize=resize, skip_unreadable=skip_unreadable)
    if label is None:
        raise InvalidInput("say which column holds the label: --label COLUMN")
    detector = load_model(model, device)
    refuse_model_of_images(detector.schema_, model, data)
    refuse_input_as_label(label, detector.schema_.names)
    format_ = row_format(reading, detector.reading_)
    rows = ModelRows(data, detector.schema_, format_, selection, keep=(label,))
    scores, labels = [], []
    for batch in rows:
        scores.append(detector.anomaly_score(batch.rows))
        labels.append(as_labels(batch.others.column(label), label))
    report_skipped(rows.skipped)
    if not scores:
        raise InvalidInput(f"{data}: no row was left to evaluate")
    anomaly_score = np.concatenate(scores)
    truth = is_anomaly(np.concatenate(labels), label, anomaly, normal)
    alarm = anomaly_score > detector.calibration_.threshold
    _show(evaluate(anomaly_score, alarm, truth, detector.false_alarm_rate_), as_json)


def _show(result: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_without_nan(result), indent=1))
    else:
        _print(result)


def _without_nan(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in result.items()}


def _print(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in _without_nan(result).items():
        if value is None:
            shown = "-"
        elif "rate" in name:
            shown = f"{value:.2%}"
        else:
            shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        table.add_row(name.replace("_", " "), shown)
    Console().print(table)
