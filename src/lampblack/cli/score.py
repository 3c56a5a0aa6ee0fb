"""`lampblack score`: samples to scores, p-values, decisions and reasons, as a stream."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import typer

from lampblack.cli.alarms import SHOWN, Alarms
from lampblack.cli.kinds import presentation_at, presentation_of
from lampblack.cli.models import load_model, refuse_explanations, refuse_missing
from lampblack.cli.options import ClusterOptions, DataOptions, ReasonOptions
from lampblack.cli.output import opened_late, refuse_own_input, report_skipped
from lampblack.data.file_names import ending_below, holds_rows, is_pattern
from lampblack.data.source import Batch
from lampblack.exceptions import InvalidInput
from lampblack.persistence.config import read_config
from lampblack.persistence.portable import is_portable
from lampblack.results import result_columns, score_rows
from lampblack.training.progress import counted

UNSCORED = "unreadable"  # the decision on a sample without a score


def run(
    model: Path,
    data: list[Path],
    output: str | None,
    options: DataOptions,
    reasons: ReasonOptions,
    cluster: ClusterOptions,
    *,
    device: str,
    quiet: bool,
) -> None:
    """Score one file or folder, or many files into a folder."""
    refuse_missing(model)
    if _is_many(model, data, output, cluster):
        if is_portable(model):
            raise InvalidInput(
                f"{model} is a portable model, which scores one file at a time; "
                "give one, or the model folder"
            )
        from lampblack.cli import score_folder

        score_folder.score(
            model, data, output, options, reasons, cluster, device=device, quiet=quiet
        )
        return
    for name in ("workers", "address"):
        if getattr(cluster, name) is not None:
            raise InvalidInput(f"--{name} is for --engine ray; add that, or leave it out")
    _score_one(model, data[0], output, options, reasons, device=device, quiet=quiet)


def _is_many(model: Path, data: list[Path], output: str | None, cluster: ClusterOptions) -> bool:
    """Whether scores go to a folder: several files, a pattern, a folder of rows, or asked for."""
    if len(data) > 1 or is_pattern(data[0]) or cluster.engine != "local":
        return True
    if data[0].is_dir():
        rows = holds_rows(data[0])
        if is_portable(model):
            return rows
        config = read_config(model)
        nothing = not any(data[0].iterdir())
        return presentation_of(config.schema_of_data()).kind.many_files and (
            rows or nothing or ending_below(data[0]) is not None
        )
    to_folder = output is not None and (output.endswith(os.sep) or Path(output).is_dir())
    return to_folder and presentation_at(data[0]).kind.many_files


def _score_one(
    path: Path,
    data: Path,
    output: str | None,
    options: DataOptions,
    reasons: ReasonOptions,
    *,
    device: str,
    quiet: bool,
) -> None:
    """One file or folder of samples, to one file or to the screen."""
    if output == "-" and reasons.top is not None:
        raise InvalidInput("--top shows on the screen, where -o - writes the scores; leave one out")
    refuse_explanations(path, explain=reasons.explain, heatmaps=reasons.heatmaps)
    kind = presentation_at(data)
    kind.refuse_options(options, reasons)
    model = load_model(path, device)
    kind.refuse_other_model(model, path, data)
    kind.check_results(model, reasons)
    keep = [data, path]
    if output is not None and output != "-":
        refuse_own_input(Path(output), path, data)
        keep.append(Path(output))
    source = kind.open(data, model, options, key=reasons.id)
    alarms = Alarms(source.noun, SHOWN if output is None else 0, reasons.top)
    drawn = None
    with counted("score", source.total, f"{source.noun}s", quiet or output == "-") as advance:
        with opened_late(output) as write, kind.pictures(model, reasons, keep) as pictures:
            for batch in source:
                scored = score_rows(model, batch.samples)
                alarms.add(batch, scored)
                if output is not None:
                    columns = result_columns(model, batch.samples, scored, reasons.explain)
                    table = pa.table({source.key_name: batch.keys, **columns})
                    write(_with_unscored(table, batch))
                if pictures is not None:
                    pictures.add(batch, scored)
                advance(len(batch) + len(batch.unscored))
            if not alarms.samples:
                report_skipped(source)
                raise InvalidInput(f"{data}: no {source.noun} was left to score")
            if pictures is not None:
                drawn = pictures.finish()
    report_skipped(source)
    if drawn is not None and output != "-":
        typer.echo(drawn)
    if output is None or reasons.top is not None:
        alarms.print(model, kind, source.key_name, reasons.explain)
    if output is None:
        more = kind.hint(model, reasons)
        typer.echo(f"give -o scores.csv (or .parquet) for every {source.noun}{more}")
    elif output != "-":
        typer.echo(f"{alarms.summary()}; wrote {output}")


def _with_unscored(table: pa.Table, batch: Batch) -> pa.Table:
    """The results of a batch with the samples between that have no score, in their order."""
    if not batch.unscored:
        return table
    without = pa.table(
        {
            table.column_names[0]: pa.array([each.key for each in batch.unscored], pa.string()),
            "decision": pa.array([UNSCORED] * len(batch.unscored), pa.string()),
        }
    )
    together = pa.concat_tables([table, without], promote_options="default")
    places = [each.position for each in batch.unscored]
    return together.take(np.argsort(np.concatenate([batch.positions, places]), kind="stable"))
