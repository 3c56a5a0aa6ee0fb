"""Many files to a folder of scores, by one engine or the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lampblack.choices import ScoringEngine
from lampblack.data.tables.parsing import SkippedRow
from lampblack.exceptions import InvalidInput, LampblackWarning, Place, Setting
from lampblack.model.folder import load_model
from lampblack.model.model import Model
from lampblack.results import check_columns
from lampblack.scale.partitions import (
    Done,
    Ledger,
    Partition,
    Scoring,
    finish,
    partitions,
)


@dataclass(frozen=True)
class Outcome:
    """What a run made: files in all, those of them that were there before, rows and alarms.

    skipped: rows that were left out, with the file they are in.
    """

    files: int
    kept: int
    rows: int
    alarms: int
    skipped: tuple[tuple[Path, SkippedRow], ...]


def score_files(
    model: str | Path,
    files: Sequence[str | Path] | Mapping[Path, Path],
    output: str | Path,
    scoring: Scoring,
    *,
    engine: ScoringEngine = "local",
    workers: int | None = None,
    address: str | None = None,
    device: str = "auto",
    advance: Callable[[int], None] = lambda rows: None,
) -> Outcome:
    """Score files into a folder, each into `output`/NAME.parquet; go on where a run was killed.

    files: paths, or, as `find_files` gives them, paths with their names below `output`, where each
    may lie in folders of its own. A file that is done is not scored again, unless it has changed;
    one without a row is done without scores. engine: "local" is this process; "ray" scores in
    `workers` processes of Ray (None: as many as there are cores), on the cluster at `address` (or
    RAY_ADDRESS), or on this machine. Both write the same. Workers on other machines must see files
    and output under the same paths. advance: told how many more rows are done.

    Raises InvalidInput for a file that does not fit the model, in one line that names it, and
    where `output` holds scores of another model or of other settings, or another run is scoring
    into it. What is done stays.
    """
    if engine not in get_args(ScoringEngine):
        known = ", ".join(get_args(ScoringEngine))
        raise InvalidInput(f"engine must be one of {known}, not {engine!r}")
    if not isinstance(files, Mapping):
        files = {Path(file): Path(Path(file).name) for file in files}
    detector = load_model(Path(model), device="cpu" if engine == "ray" else device)
    if not detector.kind.many_files:
        first, what = next(iter(files)), detector.kind.noun
        raise InvalidInput(f"{model} was fitted on {what}, and {first} is a file of rows")
    check_columns(detector, scoring.id_column, scoring.explain)
    output, model = Path(output).absolute(), Path(model)  # workers are in folders of their own
    if model.resolve() in (output.resolve(), *output.resolve().parents):
        what = "lies in the model's folder"
        raise InvalidInput(what, at=Place(output), remedy="write somewhere else")
    wanted = partitions(files, output)
    _refuse_key_of_folders(scoring.id_column, wanted, output)
    ledger = Ledger(output, model, scoring)
    with ledger.opened(wanted):
        done = {part: ledger.done(part) for part in wanted}
        open_parts = [part for part in wanted if done[part] is None]
        if engine == "local" or not open_parts:
            finished = _score_here(detector, open_parts, scoring, ledger)
        else:
            from lampblack.scale.ray_files import score_with_ray

            finished = score_with_ray(
                detector, open_parts, scoring, ledger, workers, address, device
            )
        for part, result in finished:
            done[part] = result
            advance(result.rows)
    results = [(part, result) for part, result in done.items() if result is not None]
    if scoring.id_column is not None:
        _warn_of_keys(scoring.id_column, results)
    rows = sum(result.rows for _, result in results)
    if not rows:
        raise InvalidInput("no row was left to score", at=Place(output))
    return Outcome(
        files=len(wanted),
        kept=len(wanted) - len(open_parts),
        rows=rows,
        alarms=sum(result.alarms for _, result in results),
        skipped=tuple((part.source, row) for part, result in results for row in result.skipped),
    )


def _refuse_key_of_folders(key: str | None, wanted: list[Partition], output: Path) -> None:
    """Raise where readers of the scores would find a key in folders' names and in the files."""
    for part in wanted:
        if key and any(f.startswith(f"{key}=") for f in part.target.relative_to(output).parts[:-1]):
            raise InvalidInput(
                Setting("id_column", key),
                f": {part.target.parent} says {key} too, as readers of folders take it",
                remedy="give another column",
            )


def _warn_of_keys(key: str, results: list[tuple[Partition, Done]]) -> None:
    """Warn where files have keys of several types, which not every reader takes for one table."""
    types = {done.key: part for part, done in reversed(results) if done.key is not None}
    if len(types) > 1:
        told = " and ".join(f"{kind} in {part.target.name}" for kind, part in types.items())
        warnings.warn(
            f"{key} is {told}: not every program reads such files as one table",
            LampblackWarning,
            stacklevel=3,
        )


def _score_here(
    detector: Model, parts: list[Partition], scoring: Scoring, ledger: Ledger
) -> Iterator[tuple[Partition, Done]]:
    for part in parts:
        yield part, finish(detector, part, scoring, ledger)
