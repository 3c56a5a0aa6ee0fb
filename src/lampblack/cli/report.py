"""`lampblack report` and `lampblack plot`: what was scored, as a page or as pictures."""

from __future__ import annotations

import heapq
import io
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer

from lampblack.cli import images
from lampblack.cli.alarms import Alarms, cell_text
from lampblack.cli.diagnosed import MOST_ROWS, ToLookAt, most_images
from lampblack.cli.heatmaps import pictures_of
from lampblack.cli.labels import as_labels, is_anomaly, marked, refuse_input_as_label
from lampblack.cli.options import Reading, Selection
from lampblack.cli.output import refuse_own_input
from lampblack.cli.rows import ModelRows, load_for_rows, report_skipped, row_format
from lampblack.data.images.folders import find_images, holds_images
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import load
from lampblack.exceptions import InvalidInput, MissingExtra
from lampblack.explanation import TableExplanation
from lampblack.persistence.card import promise_of
from lampblack.report import AlarmShown, Expected, ReportContent, draw, page
from lampblack.training.progress import counted

MOST_ALARMS, MOST_IMAGES = 200, 24
EARLIEST, LATEST = np.datetime64("1900"), np.datetime64("2200")
MOST_COLUMNS = 12  # shown of each alarm


def write_page(output: Path, content: ReportContent, *, as_json: bool) -> None:
    """Write the page, beside it and renamed into place, and say so; or print the numbers."""
    _write(output, page(content, made=datetime.now()))
    if as_json:
        typer.echo(json.dumps(content.summary(), indent=1))
        return
    size = output.stat().st_size / 1e6
    typer.echo(f"{_summary(content)}; wrote {output} ({size:.1f} MB)")


def write_pictures(output: Path, content: ReportContent, ending: str) -> None:
    """Write every figure as a file of its own into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    names = []
    for name, figure in draw(content).items():
        figure.save(output / f"{name}{ending}")
        names.append(f"{name}{ending}")
    typer.echo(f"{_summary(content)}; wrote {', '.join(names)} to {output}")


def gather(
    model: Path,
    data: Path,
    output: Path,
    reading: Reading,
    selection: Selection,
    *,
    id_column: str | None,
    label: str | None,
    anomaly: list[str],
    normal: list[str],
    resize: bool,
    skip_unreadable: bool,
    diagnosed: bool,
    device: str,
    quiet: bool,
    to_folder: bool,
) -> ReportContent:
    """Score the data and gather what a report shows."""
    _need_extra()
    _check_output(output, folder=to_folder)
    refuse_own_input(output, model, data)
    if holds_images(data):
        images.refuse_table_options(reading, selection, id=id_column, label=label, anomaly=anomaly)
        return _of_images(
            load(model, device=device),
            model,
            data,
            normal=normal,
            resize=resize,
            skip_unreadable=skip_unreadable,
            diagnosed=diagnosed,
            quiet=quiet,
        )
    images.refuse_image_options(resize=resize, skip_unreadable=skip_unreadable)
    if label is None and (anomaly or normal):
        raise InvalidInput("say which column holds the label: --label COLUMN")
    detector = load_for_rows(model, data, device)
    if label is not None:
        refuse_input_as_label(label, detector.schema_.names)
    return _of_rows(
        detector,
        model,
        data,
        reading,
        selection,
        id_column,
        label,
        anomaly,
        normal,
        diagnosed=diagnosed,
        quiet=quiet,
    )


def _of_rows(
    detector: ReconstructionDetector,
    model: Path,
    data: Path,
    reading: Reading,
    selection: Selection,
    id_column: str | None,
    label: str | None,
    anomaly: list[str],
    normal: list[str],
    *,
    diagnosed: bool,
    quiet: bool,
) -> ReportContent:
    wanted = [name for name in (id_column, label) if name is not None]
    keep = tuple(name for name in dict.fromkeys(wanted) if name not in detector.schema_.names)
    format_ = row_format(reading, detector.reading_)
    rows = ModelRows(data, detector.schema_, format_, selection, keep)
    dates = [column.name for column in detector.schema_.columns if column.kind == "date"]
    alarms = Alarms(detector, keep=MOST_ALARMS)
    scores, labels, times = [], [], []
    seen = ToLookAt("rows", MOST_ROWS)
    with counted("report", None, "rows", quiet) as advance:
        for batch in rows:
            key: Any = pa.array(batch.numbers)
            if id_column is not None:
                source = batch.others if id_column in keep else batch.table
                key = source.column(id_column).combine_chunks()
            scored = alarms.add(key, batch.table, batch.rows)
            scores.append(scored.anomaly_score)
            truly = None
            if label is not None:
                labels.append(as_labels(batch.others.column(label), label))
                truly = marked(labels[-1], anomaly, normal)
            seen.add(batch.table, scored.alarm, truly)
            if dates:
                times.append(_instants(batch.table.column(dates[0])))
            advance(len(batch.table))
    report_skipped(rows.skipped)
    if not alarms.rows:
        raise InvalidInput(f"{data}: no row was left to score")
    strongest = alarms.strongest()
    shown, blamed = _explained(detector, strongest)
    when = np.concatenate(times) if times else None
    known = when is not None and _can_be_drawn(when)
    truth, note = None, list[str]()
    if label is not None:
        truth, note = _two_classes(is_anomaly(np.concatenate(labels), label, anomaly, normal))
    return ReportContent(
        **_of_model(detector, model, data, "rows", note),
        scores=np.concatenate(scores),
        alarms=shown,
        blamed=blamed,
        times=when if known else None,
        time_name=dates[0] if known else "",
        truth=truth,
        skipped=len(rows.skipped),
        **seen.look(detector, diagnosed=diagnosed, quiet=quiet),
    )


def _explained(
    detector: ReconstructionDetector, strongest: list[Any]
) -> tuple[list[AlarmShown], dict[str, float]]:
    """The strongest alarms with actual beside expected values, and the mean share by column."""
    if not strongest:
        return [], {}
    table = pa.concat_tables([entry[4] for entry in strongest])
    explanation = cast(TableExplanation, detector.explain(table))
    expected = detector.reconstruct(table)
    if isinstance(expected, np.ndarray):
        columns = [pa.array(column) for column in expected.T]
        expected = pa.table(dict(zip(detector.schema_.names, columns, strict=True)))
    shown, shares = [], np.zeros(len(explanation.columns))
    for i, (score, _, key, p_value, row) in enumerate(strongest):
        reasons = explanation.top(i, len(explanation.columns))
        for reason in reasons:
            shares[explanation.columns.index(reason.column)] += reason.share / len(strongest)
        cells = [
            Expected(
                reason.column,
                cell_text(row.column(reason.column)[0]),
                cell_text(expected.column(reason.column)[i])
                if reason.column in expected.column_names
                else "–",
                reason.share,
            )
            for reason in reasons[:MOST_COLUMNS]
        ]
        shown.append(AlarmShown(key, score, p_value, cells))
    return shown, dict(zip(explanation.columns, shares.tolist(), strict=True))


def _of_images(
    detector: ReconstructionDetector,
    model: Path,
    data: Path,
    *,
    normal: list[str],
    resize: bool,
    skip_unreadable: bool,
    diagnosed: bool,
    quiet: bool,
) -> ReportContent:
    schema = images.image_schema(detector, model, data, resize=resize)
    found = find_images(data, role="score", normal=normal)
    calibration = detector.calibration_
    scores, positions = [], []
    labelled = found.labels is not None and bool(found.normal)
    seen = ToLookAt("images", most_images(schema.shape))
    unreadable: list[images.Unreadable] = []
    strongest: list[tuple[float, int, str]] = []
    with counted("report", len(found), "images", quiet) as advance:
        for batch in images.batches(found, schema, skip_unreadable=skip_unreadable):
            of_batch = detector.anomaly_score(batch.images)
            scores.append(of_batch)
            positions.append(batch.positions)
            unreadable += batch.unreadable
            alarm = of_batch > calibration.threshold
            seen.add(batch.images, alarm, ~found.is_normal[batch.positions] if labelled else None)
            for i in np.flatnonzero(alarm):
                entry = (float(of_batch[i]), -int(batch.positions[i]), batch.keys[i])
                heapq.heappush(strongest, entry)
                strongest = heapq.nlargest(MOST_IMAGES, strongest)
            advance(len(of_batch) + len(batch.unreadable))
    images.report_unreadable(unreadable)
    every = np.concatenate([np.zeros(0), *scores])
    if not len(every):
        raise InvalidInput(f"{data}: no image was left to score")
    chosen = found.take(np.array([-position for _, position, _ in strongest], dtype=np.int64))
    originals, expected, blame = [], [], []
    if strongest:
        for batch in images.batches(chosen, schema, skip_unreadable=False):
            originals.append(batch.images)
            expected.append(detector.reconstruct(batch.images))
            blame.append(detector.explain(batch.images).blame())
    drawn = pictures_of(originals, expected, blame)
    held_out = calibration.origin == "held-out"
    alarms = [
        AlarmShown(
            key,
            score,
            float(calibration.p_values(np.array([score]))[0]) if held_out else None,
            picture=_png(picture),
        )
        for (score, _, key), picture in zip(strongest, drawn, strict=True)
    ]
    truth, note = None, list[str]()
    if labelled:
        truth, note = _two_classes(~found.is_normal[np.concatenate(positions)])
    return ReportContent(
        **_of_model(detector, model, data, "images", note),
        scores=every,
        alarms=alarms,
        truth=truth,
        skipped=len(unreadable),
        **seen.look(detector, diagnosed=diagnosed, quiet=quiet),
    )


def _two_classes(truth: Any) -> tuple[Any, list[str]]:
    """The truth (n,), or None and a note where all samples are of one class."""
    if 0 < truth.sum() < len(truth):
        return truth, []
    which = "anomalies" if truth.all() else "normal"
    return None, [f"The labels say that all are {which}: there is nothing to hold scores against"]


def _can_be_drawn(when: Any) -> bool:
    """Whether moments (n,) make an axis: none missing, none that stands for something else."""
    if np.isnat(when).any():
        return False
    first, last = when.min().astype("datetime64[Y]"), when.max().astype("datetime64[Y]")
    return bool(first >= EARLIEST and last <= LATEST)


def _of_model(
    detector: ReconstructionDetector, model: Path, data: Path, what: str, notes: list[str]
) -> dict[str, Any]:
    """What a report says of its model."""
    versions = ", ".join(f"{name} {version}" for name, version in detector.versions_.items())
    counts = ", ".join(f"{count:,} {use}" for use, count in detector.rows_.items())
    steps = detector.history_[-1]["step"] if detector.history_ else 0
    calibration = detector.calibration_
    facts = {
        "detector": type(detector).__name__,
        what: counts,
        "steps of training": f"{steps:,.0f}",
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
        "history": detector.history_,
        "notes": [*notes, *(f"Note from fitting: {note}" for note in detector.notes_)],
    }


def _instants(column: Any) -> Any:
    """A column of dates as datetime64, missing ones as NaT."""
    moments = pc.cast(column.combine_chunks(), pa.timestamp("us"), safe=False)
    return moments.to_numpy(zero_copy_only=False).astype("datetime64[us]")


def _png(picture: Any) -> bytes:
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def _summary(content: ReportContent) -> str:
    n, alarms = len(content.scores), int(content.is_alarm.sum())
    return f"{n:,} {content.what}, {alarms:,} alarms ({alarms / n:.2%})"


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}") from None


def _check_output(output: Path, *, folder: bool) -> None:
    """Raise InvalidInput, before anything is scored, where `output` cannot be written."""
    if not output.absolute().parent.is_dir():
        raise InvalidInput(f"the folder {output.absolute().parent} does not exist; create it first")
    if not folder and output.is_dir():
        raise InvalidInput(f"{output} is a folder; give the name of a file for the report")
    if folder and output.exists() and not output.is_dir():
        raise InvalidInput(f"{output} is no folder; give the name of a folder for the pictures")


def _need_extra() -> None:
    """Raise MissingExtra where the libraries of reports are not installed."""
    from importlib.util import find_spec

    for name in ("jinja2", "matplotlib"):
        if find_spec(name) is None:
            raise MissingExtra(f"reports need {name}", extra="report")
