"""Files to score, the file of scores that each becomes, and the ledger of those that are done."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lampblack.data.file_names import ENDINGS
from lampblack.data.files import RowFormat, SkippedRow
from lampblack.data.model_rows import ModelRows
from lampblack.data.writing import Output
from lampblack.detectors.results import ScoringModel, key_of, result_columns, score_rows
from lampblack.exceptions import InvalidInput
from lampblack.persistence.folder import MANIFEST, read_folder

LEDGER: Final = "_lampblack"  # readers of a folder of Parquet files pass over such names
RUN: Final = "run.json"
FORMAT: Final = 1


@dataclass(frozen=True)
class Scoring:
    """What is done with every file: how it is read, which rows count, what is written.

    exclude: columns not to look at. where: a condition that rows must meet. id_column: names a row
    in the scores; None is its number in its file. explain: how many columns to name that
    contribute most.
    """

    row_format: RowFormat
    exclude: tuple[str, ...] = ()
    where: str | None = None
    skip_bad_rows: bool = False
    id_column: str | None = None
    explain: int = 0


@dataclass(frozen=True)
class Partition:
    """A file of rows and the file of scores that it becomes."""

    source: Path
    target: Path

    def identity(self) -> dict[str, Any]:
        """What must be unchanged for its scores to stand: name, size, and time of change."""
        facts = self.source.stat()
        return {
            "input": str(self.source),
            "bytes": facts.st_size,
            "modified_ns": facts.st_mtime_ns,
        }


@dataclass(frozen=True)
class Done:
    """What became of a file."""

    rows: int
    alarms: int
    skipped: tuple[SkippedRow, ...]


def partitions(files: Sequence[Path], output: Path) -> list[Partition]:
    """Where the scores of each file go: a Parquet file of its name, whatever else is scored.

    Raises InvalidInput where two files have one name, or scores would lie among what is scored.
    """
    named: dict[str, Path] = {}
    for file in files:
        name = file.name
        for ending in sorted(ENDINGS, key=len, reverse=True):
            if name.lower().endswith(ending):
                name = name[: -len(ending)]
                break
        if name in named:
            raise InvalidInput(
                f"{named[name]} and {file} would both become {output / name}.parquet; "
                "score them into two folders"
            )
        named[name] = file
        if file.resolve().parent == output.resolve():
            raise InvalidInput(f"{output}: holds what is scored; give another folder")
    return [Partition(file.absolute(), output / f"{name}.parquet") for name, file in named.items()]


def score_partition(detector: ScoringModel, partition: Partition, scoring: Scoring) -> Done:
    """Score one file into another, as a stream; the second appears whole or not at all.

    Where no row of it counts, no file is written. Raises InvalidInput, naming file and row.
    """
    known = detector.schema_.names
    key = scoring.id_column
    keep = () if key is None or key in known else (key,)
    rows = ModelRows(partition.source, detector.schema_, scoring.row_format, scoring, keep)
    count = alarms = 0
    with Output(str(partition.target)) as write:
        for batch in rows:
            scored = score_rows(detector, batch.rows)
            columns = result_columns(detector, batch.rows, scored, scoring.explain)
            write(pa.table({key or "row": key_of(batch, key), **columns}))
            count, alarms = count + len(batch.table), alarms + int(scored.alarm.sum())
    return Done(count, alarms, tuple(rows.skipped))


class Ledger:
    """What of a folder of scores is done, by which model, from which inputs.

    `run.json` names the model by the hash of its manifest, and the settings; a folder that was
    written by another, or with others, is refused, so that no scores are mixed. Each partition has
    a file of its own, written after it, so that many processes may write at once and a kill at any
    moment leaves a partition done or to do.
    """

    def __init__(self, output: Path, model: Path, scoring: Scoring) -> None:
        self._folder = output / LEDGER
        self._output = output
        read_folder(model)  # refused where it is damaged
        self._run = {
            "format": FORMAT,
            "lampblack": version("lampblack"),
            "model": hashlib.sha256((model / MANIFEST).read_bytes()).hexdigest(),
            "scoring": json.loads(json.dumps(asdict(scoring))),
        }

    def open(self) -> None:
        """Make the folder, or refuse one that holds anything else."""
        file = self._folder / RUN
        if self._output.exists() and not self._output.is_dir():
            raise InvalidInput(f"{self._output}: is a file, and a folder is needed; rename it")
        if file.exists():
            if (before := _read(file)) != self._run:
                raise InvalidInput(
                    f"{self._output}: holds scores of {_difference(before, self._run)}; "
                    "give another folder, or delete it"
                )
            return
        if self._output.is_dir() and any(self._output.iterdir()):
            raise InvalidInput(
                f"{self._output}: is not empty and holds no scores of ours; give a new folder"
            )
        if not self._output.absolute().parent.is_dir():
            raise InvalidInput(
                f"{self._output}: the folder {self._output.absolute().parent} does not exist; "
                "create it first"
            )
        self._folder.mkdir(parents=True)
        _write(file, self._run)

    def done(self, partition: Partition) -> Done | None:
        """What became of a partition, where its input has not changed since."""
        file = self._file(partition)
        if not file.exists():
            return None
        entry = _read(file)
        there = partition.target.exists() or not entry["rows"]
        if not there or entry["identity"] != partition.identity():
            return None
        return Done(
            entry["rows"], entry["alarms"], tuple(SkippedRow(*row) for row in entry["skipped"])
        )

    def write(self, partition: Partition, identity: Mapping[str, Any], done: Done) -> None:
        """Note that a partition is there. identity: of the input before it was read."""
        if not done.rows:
            partition.target.unlink(missing_ok=True)  # of an input that has changed
        skipped = [[row.row, row.column, row.reason] for row in done.skipped]
        entry = {"identity": dict(identity), "rows": done.rows, "alarms": done.alarms}
        _write(self._file(partition), {**entry, "skipped": skipped})

    def _file(self, partition: Partition) -> Path:
        return self._folder / f"{partition.target.name}.json"


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What a folder was written by, where that is something else."""
    if before.get("format") != now["format"] or before.get("lampblack") != now["lampblack"]:
        return "another version of lampblack"
    if before.get("model") != now["model"]:
        return "another model"
    changed = [
        name for name, value in now["scoring"].items() if before["scoring"].get(name) != value
    ]
    return f"other settings ({', '.join(changed)})"


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        raise InvalidInput(f"{file}: is damaged; delete the folder and score again") from None


def _write(file: Path, content: Mapping[str, Any]) -> None:
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with beside.open("x") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)
