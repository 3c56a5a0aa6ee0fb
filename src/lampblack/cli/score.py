"""`lampblack score`: a file of rows to scores, p-values, decisions and reasons, as a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import typer

from lampblack.cli import images
from lampblack.cli.alarms import SHOWN, Alarms
from lampblack.cli.images import refuse_image_options, refuse_table_options
from lampblack.cli.options import Reading, Selection
from lampblack.cli.output import Output, refuse_own_input
from lampblack.cli.rows import Batch, ModelRows, load_for_rows, report_skipped, row_format
from lampblack.data.ahead import ahead
from lampblack.data.images.folders import holds_images
from lampblack.data.schema import Rows
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import load
from lampblack.exceptions import InvalidInput
from lampblack.explanation import TableExplanation
from lampblack.training.progress import counted

RESULTS = ("anomaly_score", "p_value", "decision")


def run(
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
    """Score every row; write all of them to `output`, or else show the strongest alarms."""
    if holds_images(data):
        refuse_table_options(reading, selection, id=id_column, explain=explain)
        images.score(
            load(model, device=device),
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
    detector = load_for_rows(model, data, device)
    if explain > len(detector.schema_.columns):
        raise InvalidInput(
            f"--explain {explain}: the model has {len(detector.schema_.columns)} columns"
        )
    reasons = [f"{n}_{k + 1}" for k in range(explain) for n in ("column", "contribution")]
    if id_column in (*RESULTS, *reasons):
        raise InvalidInput(f"--id {id_column}: the output has a column of that name; rename it")
    if output is not None and output != "-":
        refuse_own_input(Path(output), model, data)
    keep = () if id_column is None or id_column in detector.schema_.names else (id_column,)
    format_ = row_format(reading, detector.reading_)
    rows = ModelRows(data, detector.schema_, format_, selection, keep)
    to_screen = output is None
    alarms = Alarms(detector, keep=SHOWN if to_screen else 0)
    with counted("score", None, "rows", quiet or output == "-") as advance:
        with Output(output) as write:
            for batch in ahead(rows):
                key = _key(batch, id_column)
                scored = alarms.add(key, batch.table, batch.rows)
                if not to_screen:
                    write(_results(detector, key, id_column, batch.rows, scored, explain))
                advance(len(batch.table))
            if not to_screen and not alarms.rows:
                raise InvalidInput(f"{data}: no row was left to score")
    report_skipped(rows.skipped)
    if to_screen:
        alarms.print(id_column or "row")
        typer.echo("give -o scores.csv (or .parquet) for every row")
    elif output != "-":
        typer.echo(f"{alarms.summary()}; wrote {output}")


def _key(batch: Batch, id_column: str | None) -> pa.Array:
    if id_column is None:
        return pa.array(batch.numbers)
    source = batch.others if id_column in batch.others.column_names else batch.table
    return source.column(id_column).combine_chunks()


def _results(
    detector: ReconstructionDetector,
    key: Any,
    id_column: str | None,
    rows: Rows,
    scored: dict[str, Any],
    explain: int,
) -> pa.Table:
    """The output's columns for one batch."""
    columns = {
        id_column or "row": key,
        "anomaly_score": pa.array(scored["anomaly_score"]),
        "p_value": pa.array(scored["p_value"], pa.float64()),
        "decision": pa.array(np.where(scored["alarm"], "anomaly", "normal")),
    }
    if explain:
        explanation = cast(TableExplanation, detector.explain(rows))
        ranked = explanation.blame()
        order = np.argsort(-ranked, axis=1, kind="stable")[:, :explain]
        names = np.array(explanation.columns, dtype=object)
        for k in range(explain):
            columns[f"column_{k + 1}"] = pa.array(names[order[:, k]], pa.string())
            columns[f"contribution_{k + 1}"] = pa.array(ranked[np.arange(len(ranked)), order[:, k]])
    return pa.table(columns)
