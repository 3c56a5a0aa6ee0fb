"""`lampblack score`: a file of rows to scores, p-values, decisions and reasons, as a stream."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import typer

from lampblack.cli import images
from lampblack.cli.alarms import REASONS, SHOWN, Alarms
from lampblack.cli.images import refuse_image_options, refuse_table_options
from lampblack.cli.models import load_model, refuse_explanations, refuse_missing
from lampblack.cli.options import Cluster, Reading, Selection
from lampblack.cli.output import Output, refuse_own_input
from lampblack.cli.rows import ModelRows, refuse_model_of_images, report_skipped, row_format
from lampblack.data.ahead import ahead
from lampblack.data.file_names import ending_below, holds_rows, is_pattern
from lampblack.data.images.folders import holds_images
from lampblack.exceptions import InvalidInput
from lampblack.persistence.config import read_config
from lampblack.persistence.portable import is_portable
from lampblack.results import check_columns, key_of, result_columns
from lampblack.training.progress import counted


def run(
    model: Path,
    data: list[Path],
    output: str | None,
    reading: Reading,
    selection: Selection,
    *,
    id_column: str | None,
    explain: int,
    heatmaps: Path | None,
    resize: bool,
    skip_unreadable: bool,
    device: str,
    quiet: bool,
    cluster: Cluster,
) -> None:
    """Score every row; write all of them to `output`, or else show the strongest alarms."""
    refuse_missing(model)
    if _is_many(model, data, output, cluster):
        from lampblack.cli import many

        refuse_image_options(heatmaps=heatmaps, resize=resize, skip_unreadable=skip_unreadable)
        if is_portable(model):
            raise InvalidInput(
                f"{model} is a portable model, which scores one file at a time; "
                "give one, or the model folder"
            )
        many.score(
            model,
            data,
            output,
            reading,
            selection,
            id_column=id_column,
            explain=explain,
            device=device,
            quiet=quiet,
            cluster=cluster,
        )
        return
    for name in ("workers", "address"):
        if getattr(cluster, name) is not None:
            raise InvalidInput(f"--{name} is for --engine ray; add that, or leave it out")
    _score_one(
        model,
        data[0],
        output,
        reading,
        selection,
        id_column=id_column,
        explain=explain,
        heatmaps=heatmaps,
        resize=resize,
        skip_unreadable=skip_unreadable,
        device=device,
        quiet=quiet,
    )


def _is_many(model: Path, data: list[Path], output: str | None, cluster: Cluster) -> bool:
    """Whether scores go to a folder: several files, a pattern, a folder of rows, or asked for."""
    if len(data) > 1 or is_pattern(data[0]) or cluster.engine != "local":
        return True
    if data[0].is_dir():
        rows = holds_rows(data[0])
        if is_portable(model):
            return rows
        of_table = read_config(model).table is not None
        nothing = not any(data[0].iterdir())
        return of_table and (rows or nothing or ending_below(data[0]) is not None)
    to_folder = output is not None and (output.endswith(os.sep) or Path(output).is_dir())
    return to_folder and not holds_images(data[0])


def _score_one(
    model: Path,
    data: Path,
    output: str | None,
    reading: Reading,
    selection: Selection,
    *,
    id_column: str | None,
    explain: int,
    heatmaps: Path | None,
    resize: bool,
    skip_unreadable: bool,
    device: str,
    quiet: bool,
) -> None:
    """One file or folder of images, to one file or to the screen."""
    refuse_explanations(model, explain=explain, heatmaps=heatmaps)
    if holds_images(data):
        refuse_table_options(reading, selection, id=id_column, explain=explain)
        images.score(
            load_model(model, device),
            model,
            data,
            output,
            heatmaps=heatmaps,
            resize=resize,
            skip_unreadable=skip_unreadable,
            quiet=quiet,
        )
        return
    refuse_image_options(heatmaps=heatmaps, resize=resize, skip_unreadable=skip_unreadable)
    detector = load_model(model, device)
    refuse_model_of_images(detector.schema_, model, data)
    check_columns(detector, id_column, explain)
    if output is not None and output != "-":
        refuse_own_input(Path(output), model, data)
    keep = () if id_column is None or id_column in detector.schema_.names else (id_column,)
    format_ = row_format(reading, detector.reading_)
    rows = ModelRows(data, detector.schema_, format_, selection, keep)
    to_screen = output is None
    alarms = Alarms(detector, keep=SHOWN if to_screen else 0, reasons=explain or REASONS)
    with counted("score", None, "rows", quiet or output == "-") as advance:
        with Output(output) as write:
            for batch in ahead(rows):
                key = key_of(batch, id_column)
                scored = alarms.add(key, batch.table, batch.rows)
                if not to_screen:
                    columns = result_columns(detector, batch.rows, scored, explain)
                    write(pa.table({id_column or "row": key, **columns}))
                advance(len(batch.table))
            if not to_screen and not alarms.rows:
                raise InvalidInput(f"{data}: no row was left to score")
    report_skipped(rows.skipped)
    if to_screen:
        alarms.print(id_column or "row")
        typer.echo("give -o scores.csv (or .parquet) for every row")
    elif output != "-":
        typer.echo(f"{alarms.summary()}; wrote {output}")
