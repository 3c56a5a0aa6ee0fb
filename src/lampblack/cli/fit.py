"""`lampblack fit`: a file of normal rows to a model folder."""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import typer

from lampblack.cli.images import refuse_image_options, refuse_table_options
from lampblack.cli.labels import as_labels, is_anomaly
from lampblack.cli.options import Known, Processes, Reading, Selection
from lampblack.cli.rows import on_bad_row, report_skipped, row_format, usable_rows
from lampblack.data.images.folders import find_images, holds_images
from lampblack.data.tables.files import RowFormat, column_names, read_rows
from lampblack.data.tables.filters import parse_where
from lampblack.data.tables.names import known_names
from lampblack.data.tables.schema import Schema
from lampblack.data.tables.stored import find_rows, is_large
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import DETECTORS
from lampblack.exceptions import InvalidInput
from lampblack.persistence import check_target
from lampblack.training.processes import find_world

IMAGE_PARAMETERS = ("image_size", "network")


def run(
    data: Path,
    output: Path,
    name: str,
    reading: Reading,
    selection: Selection,
    parameters: dict[str, Any],
    checkpoint: Path | None,
    known: Known,
    processes: Processes,
    *,
    stream: bool | None = None,
) -> None:
    """Read, choose columns, fit, save, and say what was promised.

    Of the processes that torchrun starts, all fit; the first alone saves, and speaks.
    """
    check_target(output)
    world = find_world(processes.devices, processes.num_nodes)
    if world is None or world.rank == 0:
        detector, what = _fit(
            data, name, reading, selection, parameters, checkpoint, known, processes, stream
        )
        detector.save(output)
        _say(output, detector, what)
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        parameters = {**parameters, "verbose": False}
        _fit(data, name, reading, selection, parameters, checkpoint, known, processes, stream)


def _fit(
    data: Path,
    name: str,
    reading: Reading,
    selection: Selection,
    parameters: dict[str, Any],
    checkpoint: Path | None,
    known: Known,
    processes: Processes,
    stream: bool | None,
) -> tuple[ReconstructionDetector, str]:
    """A fitted detector, and what it was fitted to."""
    how = {"checkpoint_dir": checkpoint, **asdict(processes)}
    if known.label or known.anomaly:
        _refuse_labels_of_others(name)
        parameters = {**parameters, "supervision": "labels"}
    detector = _detector(name, parameters)
    images = holds_images(data)
    if images:
        refuse_table_options(reading, selection, label=known.label, stream=stream)
        found = find_images(data, role="fit", normal=known.normal, anomalous=known.anomaly)
        y = np.where(found.is_normal, 1, -1) if known.anomaly else None
        detector.fit(found, y, **how)
    else:
        refuse_image_options(**{n: parameters.get(n) for n in IMAGE_PARAMETERS})
        if known.label is None and known.anomaly:
            raise InvalidInput("say which column holds the label: --label COLUMN")
        if known.label is None:
            refuse_image_options(normal=known.normal)
        _fit_rows(detector, data, reading, selection, known, how, stream)
    return detector, "images" if images else "rows"


def _refuse_labels_of_others(name: str) -> None:
    if name != "ama":
        raise InvalidInput(
            f"--label and --anomaly train with known anomalies, which --detector ama alone does; "
            f"{name} takes normal data: leave the anomalies out (tables: --where)"
        )


def _detector(name: str, parameters: dict[str, Any]) -> ReconstructionDetector:
    cls = DETECTORS[name]
    if "score_by" in parameters and name != "ama":
        raise InvalidInput(f"--score is for --detector ama; {name} has one score")
    return cls(**parameters)


def _fit_rows(
    detector: ReconstructionDetector,
    data: Path,
    reading: Reading,
    selection: Selection,
    known: Known,
    how: dict[str, Any],
    stream: bool | None,
) -> None:
    """Fit to the rows of a file; remember how it was written and which columns were left out."""
    format_ = row_format(reading)
    names = column_names(data, format_)
    if known.label is not None and known.label not in names:
        raise InvalidInput(f"--label: there is no column {known.label!r}; there are {names[:20]}")
    chosen = _chosen_columns([name for name in names if name != known.label], names, selection)
    if stream and known.label is not None:
        raise InvalidInput("--stream takes normal rows alone; leave --label out, or --stream")
    if stream or (stream is None and known.label is None and is_large(data)):
        rows_in_file = find_rows(
            data,
            columns=chosen,
            types=format_.types,
            where=selection.where,
            missing=format_.missing,
            on_bad_row=on_bad_row(selection),
        )
        report_skipped(rows_in_file.skipped)
        detector.fit(rows_in_file, **how)
    else:
        _fit_table(detector, data, format_, chosen, selection, known, how)
    left_out = tuple(name for name in names if name not in chosen)
    detector.schema_ = detector.schema_.model_copy(update={"ignored": left_out})
    detector.reading_ = {
        "header": format_.header,
        "delimiter": reading.delimiter,
        "missing": list(format_.missing),
        "types": {name: kind for name, kind in format_.types.items() if name in chosen},
    }


def _fit_table(
    detector: ReconstructionDetector,
    data: Path,
    format_: RowFormat,
    chosen: list[str],
    selection: Selection,
    known: Known,
    how: dict[str, Any],
) -> None:
    """Fit to a file that is read whole."""
    rows = read_rows(
        data,
        format_,
        columns=chosen if known.label is None else [*chosen, known.label],
        where=selection.where,
        on_bad_row=on_bad_row(selection),
    )
    table = rows.table
    schema = Schema.of_table(table.select(chosen))
    _, table, _, refused = usable_rows(
        data, schema, table, rows.row_numbers, skip=selection.skip_bad_rows
    )
    report_skipped([*rows.skipped, *refused])
    y = None
    if known.label is not None:
        labels = as_labels(table.column(known.label), known.label)
        anomalous = is_anomaly(labels, known.label, known.anomaly, known.normal)
        y = np.where(anomalous, -1, 1)
    detector.fit(table.select(chosen), y, **how)


def _chosen_columns(inputs: list[str], names: list[str], selection: Selection) -> list[str]:
    """What is learned from: of the columns that may be inputs, those that were asked for."""
    columns = list(dict.fromkeys(known_names(selection.columns, inputs, "--columns"))) or inputs
    excluded = known_names(selection.exclude, names, "--exclude")
    chosen = [name for name in columns if name not in excluded]
    if not chosen:
        raise InvalidInput("--columns and --exclude leave no column to learn from")
    if selection.where:
        used = [name for name in parse_where(selection.where, names).columns if name in chosen]
        if used:
            typer.echo(
                f"lampblack: note: --where uses {', '.join(used)}, which is also learned from; "
                f"if it is a label, add --exclude {','.join(used)}",
                err=True,
            )
    return chosen


def _say(output: Path, detector: Any, what: str) -> None:
    facts = detector.calibration_
    rows = detector.rows_
    last = detector.history_[-1]
    others = f"{rows['validation']:,} validated, " if rows["validation"] else ""
    others += f"{rows['anomalies']:,} known anomalies, " if "anomalies" in rows else ""
    typer.echo(
        f"{type(detector).__name__}: {rows['train']:,} {what} trained, {others}"
        f"{rows['calibration']:,} calibrated; {last['step']:.0f} steps, loss {last['loss']:.4g}"
    )
    if facts.origin == "held-out":
        typer.echo(
            f"threshold {facts.threshold:.6g}: at most {facts.promised:.2%} of new normal {what} "
            "raise an alarm, in expectation"
        )
    else:
        typer.echo(
            f"threshold {facts.threshold:.6g}: flags {facts.requested:.2%} of these {what}; "
            "nothing is promised for new ones"
        )
    typer.echo(f"saved {output}")
