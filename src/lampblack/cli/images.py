"""The commands on images: a folder or file of images to a model, to scores, to heat maps."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import typer

from lampblack import evaluation
from lampblack.cli.heatmaps import HeatMaps
from lampblack.cli.models import ScoringModel, as_explaining
from lampblack.cli.options import Reading, Selection
from lampblack.cli.output import Output, number_of, refuse_own_input
from lampblack.data.blocks import block_size
from lampblack.data.images.folders import ImageSet, find_images
from lampblack.data.images.schema import ImageSchema
from lampblack.data.images.stored import ArrayImages, FileImages, FileReader
from lampblack.exceptions import InvalidInput, Remedy, SchemaMismatch
from lampblack.training.progress import counted

SHOWN = 10
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be scored, and the sentence that says why."""

    position: int
    key: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Images of one block with their positions in the set; `unreadable` are those left out."""

    positions: npt.NDArray[np.int64]
    keys: list[str]
    images: ArrayImages
    unreadable: list[Unreadable]


def refuse_table_options(reading: Reading, selection: Selection, **others: Any) -> None:
    """Raise InvalidInput for an option that has no meaning for images."""
    given = {
        "--no-header": reading.no_header,
        "--delimiter": reading.delimiter,
        "--types": reading.types,
        "--missing": reading.missing,
        "--columns": selection.columns,
        "--exclude": selection.exclude,
        "--where": selection.where,
        "--on-bad-row": selection.skip_bad_rows,
        **{f"--{name.replace('_', '-')}": value for name, value in others.items()},
    }
    for name, value in given.items():
        if value:
            raise InvalidInput(f"{name} is for tables, and these are images; leave it out")


def refuse_image_options(**given: Any) -> None:
    """Raise InvalidInput for an option that has no meaning for a table."""
    for name, value in given.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise InvalidInput(f"{option} is for images, and this is a file of rows; leave it out")


def image_schema(
    detector: ScoringModel, model: Path, data: Path, *, resize: bool = False
) -> ImageSchema:
    """The images that a model takes; with `resize`, of any size.

    Raises InvalidInput where it was fitted on a table.
    """
    if not isinstance(detector.schema_, ImageSchema):
        raise InvalidInput(f"{model} was fitted on a table, and {data} holds images")
    return detector.schema_.model_copy(update={"resize": True}) if resize else detector.schema_


def batches(found: ImageSet, schema: ImageSchema, *, skip_unreadable: bool) -> Iterator[Batch]:
    """Images block by block. Without `skip_unreadable`, one that cannot be read ends it."""
    size = block_size(schema.shape)
    if not isinstance(found.source, list):
        from lampblack.data.images.inputs import check_images

        images = check_images(found.source, schema)
        assert isinstance(images, ArrayImages)
        first = 0
        for chunk in images.chunks(size):
            positions = np.arange(first, first + len(chunk))
            yield Batch(positions, [found.keys[i] for i in positions], chunk, [])
            first += len(chunk)
        return
    files = FileImages(tuple(found.source), schema, deep=False)
    reader = FileReader(files)
    for positions, results in zip(
        files.positions(size), reader.results(files.positions(size)), strict=True
    ):
        bad = [i for i, result in enumerate(results) if isinstance(result, InvalidInput)]
        for i in bad:
            if isinstance(results[i], SchemaMismatch):
                raise results[i]
            if not skip_unreadable:
                skip = Remedy("--skip-unreadable goes on past such images", joint="; ")
                raise results[i].with_remedy(skip)
        good = [i for i in range(len(results)) if i not in bad]
        yield Batch(
            positions[good],
            [found.keys[positions[i]] for i in good],
            ArrayImages(reader.stack([results[i] for i in good])),
            [Unreadable(int(positions[i]), found.keys[positions[i]], str(results[i])) for i in bad],
        )


def score(
    detector: ScoringModel,
    model: Path,
    data: Path,
    output: str | None,
    *,
    heatmaps: Path | None,
    resize: bool,
    skip_unreadable: bool,
    quiet: bool,
) -> None:
    """Score every image; write scores to `output` and maps to `heatmaps`, or show the alarms."""
    schema = image_schema(detector, model, data, resize=resize)
    if output is not None and output != "-":
        refuse_own_input(Path(output), model, data)
    found = find_images(data, role="score")
    calibration = detector.calibration_
    unreadable: list[Unreadable] = []
    strongest: list[tuple[float, int, str]] = []
    rows = alarms = 0
    keep = [data, model, *([Path(output)] if output not in (None, "-") else [])]
    maps = HeatMaps(heatmaps, keep) if heatmaps is not None else nullcontext()
    with counted("score", len(found), "images", quiet or output == "-") as advance:
        with Output(output) as write, maps as draw:
            for batch in batches(found, schema, skip_unreadable=skip_unreadable):
                scores = detector.anomaly_score(batch.images)
                unreadable += batch.unreadable
                alarm = scores > calibration.threshold
                rows, alarms = rows + len(scores), alarms + int(alarm.sum())
                for i in np.flatnonzero(alarm):
                    entry = (float(scores[i]), -int(batch.positions[i]), batch.keys[i])
                    heapq.heappush(strongest, entry)
                    strongest = heapq.nlargest(SHOWN, strongest)
                if output is not None:
                    write(_results(detector, batch, scores, alarm))
                explaining = as_explaining(detector)
                if draw is not None and explaining is not None and len(scores):
                    explanation = explaining.explain(batch.images)
                    expected = explaining.reconstruct(batch.images)
                    draw.add(batch.keys, batch.images, expected, explanation.blame(), scores, alarm)
                advance(len(scores) + len(batch.unreadable))
            if not rows:
                report_unreadable(unreadable)
                raise InvalidInput(f"{data}: no image was left to score")
            drawn = draw.finish(calibration.threshold) if draw is not None else 0
    report_unreadable(unreadable)
    share = alarms / rows
    summary = f"{number_of(rows, 'image')}, {number_of(alarms, 'alarm')} ({share:.2%})"
    if heatmaps is not None and output != "-":
        pictures = number_of(drawn, "heat map")
        typer.echo(f"wrote {pictures} and contact-sheet.png to {heatmaps}")
    if output is None:
        _print(detector, found, schema, summary, strongest)
        typer.echo(_hint(detector, heatmaps))
    elif output != "-":
        typer.echo(f"{summary}; wrote {output}")


def evaluate(
    detector: ScoringModel,
    model: Path,
    data: Path,
    *,
    normal: list[str],
    resize: bool,
    skip_unreadable: bool,
) -> dict[str, Any]:
    """How well scores and decisions agree with the classes, and maps with masks if there are."""
    schema = image_schema(detector, model, data, resize=resize)
    found = find_images(data, role="score", normal=normal)
    if found.labels is None or not found.normal:
        classes = ", ".join(sorted(set(found.labels or ()))[:10]) or "none"
        raise InvalidInput(
            f"{data}: say which class is normal, with --normal NAME; classes found: {classes}"
        )
    is_anomaly = ~found.is_normal
    explaining = as_explaining(detector)
    scores, truth, maps, masks = [], [], [], []
    unreadable: list[Unreadable] = []
    for batch in batches(found, schema, skip_unreadable=skip_unreadable):
        scores.append(detector.anomaly_score(batch.images))
        truth.append(is_anomaly[batch.positions])
        unreadable += batch.unreadable
        if found.masks is not None and explaining is not None and len(batch.positions):
            errors = np.asarray(explaining.explain(batch.images))
            for position, values in zip(batch.positions, errors, strict=True):
                mask = _mask(found, int(position), bool(is_anomaly[position]), schema)
                if mask is not None:
                    maps.append(values.astype(np.float32))
                    masks.append(mask)
    report_unreadable(unreadable)
    if found.masks is not None and explaining is None:
        note = f"{model} is a portable model, which draws no maps to compare with the masks"
        typer.echo(f"lampblack: note: {note}", err=True)
    elif found.masks is not None:
        known = np.array([mask is not None for mask in found.masks])
        unmarked = int((is_anomaly & ~known).sum())
        if unmarked:
            typer.echo(
                f"lampblack: note: {unmarked} of {is_anomaly.sum()} anomalies have no mask; the "
                "figures over pixels leave them out",
                err=True,
            )
    if not scores or not len(np.concatenate(scores)):
        raise InvalidInput(f"{data}: no image was left to evaluate")
    anomaly_score = np.concatenate(scores)
    alarm = anomaly_score > detector.calibration_.threshold
    judged = evaluation.evaluate(
        anomaly_score, alarm, np.concatenate(truth), detector.false_alarm_rate_, "images"
    )
    result = {"images" if name == "rows" else name: value for name, value in judged.items()}
    if maps:
        result |= evaluation.evaluate_pixels(np.array(maps), np.array(masks))
    return result


def _mask(
    found: ImageSet, position: int, is_anomaly: bool, schema: ImageSchema
) -> npt.NDArray[np.bool_] | None:
    """The marked pixels (height, width); none of a normal image, None where they are unknown."""
    assert found.masks is not None
    path = found.masks[position]
    if path is None:
        return None if is_anomaly else np.zeros((schema.height, schema.width), dtype=bool)
    from lampblack.data.images.decoding import decode_mask

    assert isinstance(found.source, list)
    return decode_mask(path, found.source[position], schema)


def _hint(detector: ScoringModel, heatmaps: Path | None) -> str:
    """What else the command can do with this model, less what it was asked to do."""
    maps = as_explaining(detector) is not None and heatmaps is None
    more = ", --heatmaps FOLDER for maps" if maps else ""
    return f"give -o scores.csv (or .parquet) for every image{more}"


def _results(
    detector: ScoringModel,
    batch: Batch,
    scores: npt.NDArray[np.float64],
    alarm: npt.NDArray[np.bool_],
) -> pa.Table:
    """The output's columns for one batch; unreadable images have no score."""
    calibration = detector.calibration_
    held_out = calibration.origin == "held-out"
    p_values = calibration.p_values(scores).tolist() if held_out else [None] * len(scores)
    decisions = np.where(alarm, "anomaly", "normal").tolist()
    rows = [
        *zip(
            batch.positions.tolist(), batch.keys, scores.tolist(), p_values, decisions, strict=True
        ),
        *((u.position, u.key, None, None, UNREADABLE) for u in batch.unreadable),
    ]
    _, keys, values, p, decision = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    return pa.table(
        {
            "image": pa.array(keys, pa.string()),
            "anomaly_score": pa.array(values, pa.float64()),
            "p_value": pa.array(p, pa.float64()),
            "decision": pa.array(decision, pa.string()),
        }
    )


def report_unreadable(unreadable: list[Unreadable]) -> None:
    """Say how many images could not be read, and why."""
    if not unreadable:
        return
    verb = "was" if len(unreadable) == 1 else "were"
    typer.echo(f"lampblack: {number_of(len(unreadable), 'image')} {verb} not readable:", err=True)
    for image in unreadable[:1000]:
        typer.echo(f"  {image.reason}", err=True)


def _print(
    detector: ScoringModel,
    found: ImageSet,
    schema: ImageSchema,
    summary: str,
    strongest: list[tuple[float, int, str]],
) -> None:
    """Print the strongest alarms, each with the place that answers for most of it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    calibration = detector.calibration_
    console.print(f"{summary}, threshold {calibration.threshold:.6g}", highlight=False)
    if not strongest:
        return
    table = Table(title=number_of(len(strongest), "strongest alarm"), title_justify="left")
    for name in ("image", "score", "p"):
        table.add_column(name, justify="left" if name == "image" else "right", overflow="fold")
    places: list[tuple[str, ...]] = [()] * len(strongest)
    explaining = as_explaining(detector)
    if explaining is not None:
        table.add_column("strongest at (column, row)")
        chosen = found.take(np.array([-position for _, position, _ in strongest]))
        places = [
            (_strongest_place(values),)
            for batch in batches(chosen, schema, skip_unreadable=False)
            for values in explaining.explain(batch.images).blame()
        ]
    for (value, _, key), place in zip(strongest, places, strict=True):
        p = "-"
        if calibration.origin == "held-out":
            p = f"{calibration.p_values(np.array([value]))[0]:.4f}"
        table.add_row(escape(key), f"{value:.4g}", p, *place)
    console.print(table)


def _strongest_place(values: npt.NDArray[np.float64]) -> str:
    """Column and row of the highest of values (height, width)."""
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    return f"{column}, {row}"
