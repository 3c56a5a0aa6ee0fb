"""`lampblack score`: a file of rows to scores, p-values, decisions and reasons, as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import typer

from lampblack.cli.alarms import Alarms
from lampblack.cli.options import Reading, Selection
from lampblack.cli.rows import Batch, ModelRows, report_skipped, row_format
from lampblack.data.schema import Rows
from lampblack.data.writing import RowWriter, open_writer
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import load
from lampblack.exceptions import InvalidInput
from lampblack.explanation import TableExplanation

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
    device: str,
    quiet: bool,
) -> None:
    """Score every row; write all of them to `output`, or else show the strongest alarms."""
    detector = load(model, device=device)
    if explain > len(detector.schema_.columns):
        raise InvalidInput(
            f"--explain {explain}: the model has {len(detector.schema_.columns)} columns"
        )
    reasons = [f"{n}_{k + 1}" for k in range(explain) for n in ("column", "contribution")]
    if id_column in (*RESULTS, *reasons):
        raise InvalidInput(f"--id {id_column}: the output has a column of that name; rename it")
    if output is not None and output != "-":
        _refuse_own_input(Path(output), model, data)
    keep = () if id_column is None or id_column in detector.schema_.names else (id_column,)
    format_ = row_format(reading, detector.reading_)
    rows = ModelRows(data, detector.schema_, format_, selection, keep)
    to_screen = output is None
    alarms = Alarms(detector, keep=to_screen)
    with _progress(quiet or (not to_screen and output == "-")) as advance:
        with _Output(output) as write:
            for batch in rows:
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


def _refuse_own_input(output: Path, model: Path, data: Path) -> None:
    """Refuse to write over the rows that are read, or into the model."""
    place = output.resolve()
    if place == data.resolve():
        raise InvalidInput(f"{output}: is the file that is scored; give another name")
    if model.resolve() in (place, *place.parents):
        raise InvalidInput(f"{output}: lies in the model's folder; write somewhere else")


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


class _Output:
    """A writer that opens with the first table, whose schema it takes."""

    def __init__(self, output: str | None) -> None:
        self._output = output
        self._context: Any = nullcontext()
        self._writer: RowWriter | None = None

    def __enter__(self) -> Any:
        return self._write

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            assert self._output is not None
            self._context = open_writer(self._output, table.schema)
            self._writer = self._context.__enter__()
        self._writer.write(table)

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)


@contextmanager
def _progress(quiet: bool) -> Iterator[Any]:
    """A count of rows with its rate on standard error; nothing where that is not a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda rows: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,} rows  {task.speed:,.0f} rows/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("score", total=None)
        bar.tasks[0].finished_speed = 0.0
        yield lambda rows: bar.advance(task, rows)
