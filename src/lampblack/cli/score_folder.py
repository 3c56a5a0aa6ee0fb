"""`lampblack score` of many files: a folder of scores, by this process or by Ray."""

from __future__ import annotations

from pathlib import Path

import typer

from lampblack.cli.options import ClusterOptions, DataOptions, ReasonOptions
from lampblack.cli.output import number_of, say_skipped
from lampblack.cli.tables import PRESENTATION
from lampblack.data.file_names import find_files
from lampblack.exceptions import InvalidInput
from lampblack.number_text import percent
from lampblack.persistence.config import read_config
from lampblack.scale.partitions import Scoring
from lampblack.scale.runs import score_files
from lampblack.training.progress import counted


def score(
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
    """Score every file into the folder `output`, and say what was skipped and found."""
    PRESENTATION.refuse_options(options, reasons)
    if cluster.engine == "local" and (cluster.workers or cluster.address):
        name = "workers" if cluster.workers else "address"
        raise InvalidInput(f"--{name} is for --engine ray; add that, or leave it out")
    if reasons.top is not None:
        raise InvalidInput("--top is for one file or folder of images; leave it out")
    files = find_files(data)
    if output is None or output in ("", "-"):
        raise InvalidInput("scores of many files go to a folder; give -o FOLDER")
    if Path(output).suffix.lower() in (".csv", ".gz", ".parquet", ".pq", ".tsv"):
        raise InvalidInput(
            f"-o {output}: many files are scored into a folder, one file each; give -o FOLDER"
        )
    scoring = Scoring(
        options.format(read_config(model).reading),
        tuple(options.exclude),
        options.where,
        options.skip_bad_rows,
        reasons.id,
        reasons.explain,
    )
    with counted("score", None, "rows", quiet) as advance:
        outcome = score_files(
            model,
            files,
            output,
            scoring,
            engine=cluster.engine,
            workers=cluster.workers,
            address=cluster.address,
            device=device,
            advance=advance,
        )
    for source in dict.fromkeys(file for file, _ in outcome.skipped):
        skipped = [row for file, row in outcome.skipped if file == source]
        say_skipped(skipped, "row", "skipped", str(source))
    share = outcome.alarms / outcome.rows
    kept = f", {outcome.kept} of them done before" if outcome.kept else ""
    rows, alarms = number_of(outcome.rows, "row"), number_of(outcome.alarms, "alarm")
    of = number_of(outcome.files, "file")
    typer.echo(f"{rows} of {of}{kept}, {alarms} ({percent(share)}); wrote {output}")
