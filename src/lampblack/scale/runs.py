"""Many files to a folder of scores, by one engine or the other."""

from __future__ import annotations

import glob
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from lampblack.choices import Engine
from lampblack.data.images.schema import ImageSchema
from lampblack.data.tables.files import SkippedRow
from lampblack.exceptions import InvalidInput, LampblackWarning
from lampblack.model.fitted import load_fitted
from lampblack.model.scoring import ScoringMixin
from lampblack.results import check_columns
from lampblack.scale.partitions import (
    Done,
    Ledger,
    Partition,
    Scoring,
    partitions,
    score_partition,
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
    engine: Engine = "local",
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
    if engine not in get_args(Engine):
        raise InvalidInput(f"engine must be one of {', '.join(get_args(Engine))}, not {engine!r}")
    if not isinstance(files, Mapping):
        files = {Path(file): Path(Path(file).name) for file in files}
    detector = load_fitted(Path(model), device="cpu" if engine == "ray" else device)
    if isinstance(detector.schema_, ImageSchema):
        first = next(iter(files))
        raise InvalidInput(f"{model} was fitted on images, and {first} is a file of rows")
    check_columns(detector, scoring.id_column, scoring.explain)
    output, model = Path(output).absolute(), Path(model)  # workers are in folders of their own
    if model.resolve() in (output.resolve(), *output.resolve().parents):
        raise InvalidInput(f"{output}: lies in the model's folder; write somewhere else")
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
        raise InvalidInput(f"{output}: no row was left to score")
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
                f"--id {key}: {part.target.parent} says {key} too, as readers of folders take it; "
                "give another column"
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
    detector: ScoringMixin, parts: list[Partition], scoring: Scoring, ledger: Ledger
) -> Iterator[tuple[Partition, Done]]:
    for part in parts:
        yield part, finish(detector, part, scoring, ledger)


def finish(detector: ScoringMixin, part: Partition, scoring: Scoring, ledger: Ledger) -> Done:
    """Score one file and note it; what a killed attempt at it has left is taken away."""
    for left in part.target.parent.glob(f".{glob.escape(part.target.name)}.*.part"):
        left.unlink(missing_ok=True)
    identity = part.identity()
    result = score_partition(detector, part, scoring)
    ledger.write(part, identity, result)
    return result
