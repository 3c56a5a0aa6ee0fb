"""`lampblack diagnose`: why a model works, and when not to trust it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer

from lampblack.cli import images
from lampblack.cli.labels import as_labels, is_anomaly, refuse_input_as_label
from lampblack.cli.options import Reading, Selection
from lampblack.cli.output import refuse_own_input
from lampblack.cli.rows import ModelRows, load_for_rows, report_skipped, row_format
from lampblack.data.images.folders import find_images, holds_images
from lampblack.data.images.schema import to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import load
from lampblack.diagnostics import Diagnosis, diagnose
from lampblack.diagnostics.diagnosis import PARTS
from lampblack.exceptions import InvalidInput, MissingExtra
from lampblack.report import draw_diagnosis
from lampblack.training.progress import counted

MOST_ROWS, MOST_VALUES = 100_000, 1 << 27  # rows, and values of images, that are read

Truth = npt.NDArray[np.bool_] | None


def run(
    model: Path,
    data: Path,
    output: Path,
    reading: Reading,
    selection: Selection,
    *,
    label: str | None,
    anomaly: list[str],
    normal: list[str],
    ending: str,
    resize: bool,
    skip_unreadable: bool,
    seed: int,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Diagnose the model on the data; write numbers and figures, say what was found."""
    _need_extra()
    _check_output(output)
    refuse_own_input(output, model, data)
    X: Any
    if holds_images(data):
        images.refuse_table_options(reading, selection, label=label, anomaly=anomaly)
        what, detector = "images", load(model, device=device)
        X, truth = _images(detector, model, data, normal, resize, skip_unreadable)
    else:
        images.refuse_image_options(resize=resize, skip_unreadable=skip_unreadable)
        if label is None and (anomaly or normal):
            raise InvalidInput("say which column holds the label: --label COLUMN")
        what, detector = "rows", load_for_rows(model, data, device)
        X, truth = _rows(detector, data, reading, selection, label, anomaly, normal)
    if truth is not None and truth.all():
        raise InvalidInput(f"{data}: all {what} are anomalies by the labels; give normal ones too")
    with counted("diagnose", PARTS, "parts", quiet or as_json) as advance:
        found = diagnose(
            detector,
            X if truth is None else _taken(X, ~truth),
            anomalies=_taken(X, truth) if truth is not None and truth.any() else None,
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


def _rows(
    detector: ReconstructionDetector,
    data: Path,
    reading: Reading,
    selection: Selection,
    label: str | None,
    anomaly: list[str],
    normal: list[str],
) -> tuple[pa.Table, Truth]:
    if label is not None:
        refuse_input_as_label(label, detector.schema_.names)
    keep = () if label is None else (label,)
    rows = ModelRows(
        data, detector.schema_, row_format(reading, detector.reading_), selection, keep
    )
    tables, labels, read = [], [], 0
    for batch in rows:
        tables.append(batch.table)
        if label is not None:
            labels.append(as_labels(batch.others.column(label), label))
        read += len(batch.table)
        if read >= MOST_ROWS:
            _say_cut(data, MOST_ROWS, "rows")
            break
    report_skipped(rows.skipped)
    if not read:
        raise InvalidInput(f"{data}: no row was left to look at")
    table = pa.concat_tables(tables).slice(0, MOST_ROWS)
    if label is None:
        return table, None
    known = np.concatenate(labels)[:MOST_ROWS]
    return table, is_anomaly(known, label, anomaly, normal)


def _images(
    detector: ReconstructionDetector,
    model: Path,
    data: Path,
    normal: list[str],
    resize: bool,
    skip_unreadable: bool,
) -> tuple[ArrayImages, Truth]:
    schema = images.image_schema(detector, model, data, resize=resize)
    found = find_images(data, role="score", normal=normal)
    most = max(2, MOST_VALUES // int(np.prod(schema.shape)))
    pixels, positions, read = [], [], 0
    unreadable: list[images.Unreadable] = []
    for batch in images.batches(found, schema, skip_unreadable=skip_unreadable):
        pixels.append(to_unit(batch.images.values))
        positions.append(batch.positions)
        unreadable += batch.unreadable
        read += len(batch.positions)
        if read >= most:
            _say_cut(data, read, "images")
            break
    images.report_unreadable(unreadable)
    if not read:
        raise InvalidInput(f"{data}: no image was left to look at")
    together = ArrayImages(np.concatenate(pixels))
    if not (found.labels is not None and found.normal):
        return together, None
    return together, ~found.is_normal[np.concatenate(positions)]


def _say_cut(data: Path, count: int, what: str) -> None:
    typer.echo(f"lampblack: note: {data}: the first {count:,} {what} are looked at", err=True)


def _taken(X: Any, wanted: npt.NDArray[np.bool_]) -> Any:
    return X.filter(pa.array(wanted)) if isinstance(X, pa.Table) else X.take(np.flatnonzero(wanted))


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
    for note in found.notes:
        typer.echo(f"  note from fitting: {note}")
    for name, why in found.left_out.items():
        typer.echo(f"  {name} left out: {why}")
    for name, one in found.sharpness.items():
        settled = "" if one.converged else " (power iteration did not settle)"
        typer.echo(
            f"  {name} loss {one.loss:.4g}: largest eigenvalue {one.largest_eigenvalue:.4g}"
            f"{settled}, trace {one.trace:.4g} ± {one.trace_error:.2g}"
        )


def _check_output(output: Path) -> None:
    """Raise InvalidInput, before anything is read, where the folder cannot be written."""
    if not output.absolute().parent.is_dir():
        raise InvalidInput(f"the folder {output.absolute().parent} does not exist; create it first")
    if output.exists() and not output.is_dir():
        raise InvalidInput(f"{output} is no folder; give the name of a folder")


def _need_extra() -> None:
    """Raise MissingExtra where the library that draws is not installed."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtra("figures need matplotlib", extra="report")
