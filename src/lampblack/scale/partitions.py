"""Files to score, the file of scores that each becomes, and the ledger of those that are done."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from filelock import FileLock, Timeout

from lampblack.data.file_names import ENDINGS, LEDGER, RUN, holds_scores
from lampblack.data.tables.layout import RowFormat, unreadable
from lampblack.data.tables.model_rows import ModelRows, key_of
from lampblack.data.tables.parsing import SkippedRow
from lampblack.data.tables.writing import opened_late, unwritable
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting
from lampblack.persistence.folder import MANIFEST, read_folder
from lampblack.results import ScoringModel, result_columns, score_rows

LOCK: Final = "lock"
FORMAT: Final = 3


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

    def identity(self) -> dict[str, object]:
        """What must be unchanged for its scores to stand: name, size, and time of change."""
        with unreadable(self.source):
            facts = self.source.stat()
        return {
            "input": str(self.source),
            "bytes": facts.st_size,
            "modified_ns": facts.st_mtime_ns,
        }


@dataclass(frozen=True)
class Done:
    """What became of a file. key: the type that names its rows in the scores, where some are."""

    rows: int
    alarms: int
    skipped: tuple[SkippedRow, ...]
    key: str | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Done:
        """What `asdict` was told of, also after a way through JSON."""
        skipped = tuple(SkippedRow(**row) for row in told["skipped"])
        return cls(int(told["rows"]), int(told["alarms"]), skipped, told["key"])


def partitions(files: Mapping[Path, Path], output: Path) -> list[Partition]:
    """Where the scores of each file go: a Parquet file of its name, whatever else is scored.

    files: with the name of each below `output`, in folders of its own where it has some. Raises
    InvalidInput where two files have one name, or scores would lie among what is scored.
    """
    named: dict[Path, Path] = {}
    for file, below in files.items():
        if below.is_absolute() or ".." in below.parts:
            raise InvalidInput(f"is not a name below {output}", at=Place(below))
        name = below.name
        for ending in sorted(ENDINGS, key=len, reverse=True):
            if name.lower().endswith(ending):
                name = name[: -len(ending)]
                break
        target = below.with_name(f"{name}.parquet")
        if target in named:
            raise InvalidInput(
                f"{named[target]} and {file} would both become {output / target}; score them into "
                "two folders, or give a pattern that names the folder that both are below"
            )
        named[target] = file
        if file.resolve().parent == (output / target).resolve().parent:
            what = "holds what is scored"
            raise InvalidInput(what, at=Place(output), remedy="give another folder")
    return [Partition(file.absolute(), output / target) for target, file in named.items()]


def score_partition(detector: ScoringModel, partition: Partition, scoring: Scoring) -> Done:
    """Score one file into another, as a stream; the second appears whole or not at all.

    Where it has no row, or none that counts, no file is written. Raises InvalidInput, naming file
    and row.
    """
    known = detector.schema.names
    key = scoring.id_column
    keep = () if key is None or key in known else (key,)
    rows = ModelRows(
        partition.source, detector.schema, scoring.row_format, scoring, keep, may_be_empty=True
    )
    count = alarms = 0
    key_type = None
    with opened_late(str(partition.target)) as write:
        for batch in rows:
            scored = score_rows(detector, batch.rows)
            columns = result_columns(detector, batch.rows, scored, scoring.explain)
            table = pa.table({key or "row": key_of(batch, key), **columns})
            write(table)
            key_type = str(table.schema.field(0).type)
            count, alarms = count + len(batch.table), alarms + int(scored.alarm.sum())
    return Done(count, alarms, tuple(rows.skipped), key_type)


class Ledger:
    """What of a folder of scores is done, by which model, from which inputs.

    `run.json` names the model by the hash of its manifest, and the settings; a folder that was
    written by another, or with others, is refused, so that no scores are mixed. Each partition has
    a file of its own, written after it, so that the processes of a run may write at once and a kill
    at any moment leaves a partition done or to do. One run at a time has the folder.
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

    @contextmanager
    def opened(self, wanted: Sequence[Partition]) -> Iterator[None]:
        """Have the folder, and those in it that `wanted` go to, to oneself while the block runs.

        Raises InvalidInput where it holds anything else, or another run has it.
        """
        output, parent = self._output, self._output.parent
        place = Place(output)
        if output.exists() and not output.is_dir():
            what = "is a file, and a folder is needed"
            raise InvalidInput(what, at=place, remedy="rename it")
        there = [entry.name for entry in output.iterdir()] if output.exists() else []
        others = [name for name in there if name != LEDGER and not name.startswith(".")]
        if others and not holds_scores(output):
            raise InvalidInput(
                "is not empty and holds no scores of ours", at=place, remedy="give a new folder"
            )
        if not parent.is_dir():
            what = f"the folder {parent} does not exist"
            raise InvalidInput(what, at=place, remedy="create it first")
        with unwritable(output):
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / LOCK)
            try:
                held = lock.acquire(blocking=False)
            except Timeout:
                raise InvalidInput(
                    "another run is scoring into it",
                    at=place,
                    remedy="wait until that has ended",
                ) from None
        with held:
            self._begin()
            with unwritable(output):
                for partition in wanted:
                    partition.target.parent.mkdir(parents=True, exist_ok=True)
                    self._file(partition).parent.mkdir(parents=True, exist_ok=True)
                    self._begun(partition).unlink(missing_ok=True)
            yield

    def _begin(self) -> None:
        """Say whose scores these are, or refuse to mix them with those of another run."""
        file = self._folder / RUN
        if not file.exists():
            _write(file, self._run)
            return
        before = _read(file, self._run)
        if before["scoring"].get("skip_bad_rows") is False:
            # what is done so far has no bad row, so that it stands where such rows are skipped
            before["scoring"]["skip_bad_rows"] = self._run["scoring"]["skip_bad_rows"]
        entries = (entry for entry in self._folder.rglob("*.json") if entry != file)
        if before == self._run or next(entries, None) is None:
            _write(file, self._run)
        else:
            raise InvalidInput(
                f"holds scores of {_difference(before, self._run)}",
                at=Place(self._output),
                remedy=("give another folder", "delete it"),
            )

    def done(self, partition: Partition) -> Done | None:
        """What became of a partition, where neither its input nor its scores have changed since.

        Raises InvalidInput where its scores are those of another file, which is still there.
        """
        file = self._file(partition)
        if not file.exists():
            return None
        names = [field.name for field in fields(Done)]
        entry = _read(file, ("identity", "scores", "sha256", *names))
        if _sealed(entry) != entry["sha256"]:
            raise _damaged(file)
        before, now = dict(entry["identity"]), partition.identity()
        if before["input"] != now["input"]:
            if Path(before["input"]).exists():
                raise InvalidInput(
                    f"holds the scores of {before['input']}, not of {now['input']}",
                    at=Place(partition.target),
                    remedy=("give another folder", "delete it"),
                )
            before["input"] = now["input"]  # it was moved
        there = _digest(partition.target) == entry["scores"]
        if not there or before != now:
            return None
        return Done.of(entry)

    def begin(self, partition: Partition, most: int) -> None:
        """Note that a process begins with a partition, which none has ended in this run.

        Raises InvalidInput where `most` have begun: each must have died.
        """
        with unwritable(self._output), self._begun(partition).open("ab") as file:
            if file.tell() >= most:
                raise InvalidInput(
                    f"the process that scores it died {most} times, for lack of memory or by a "
                    "kill",
                    at=Place(partition.source),
                    remedy=(
                        Remedy("give fewer ", Setting("workers")),
                        "smaller files",
                        Remedy("the same command goes on with what is missing", joint="; "),
                    ),
                )
            file.write(b"-")

    def write(self, partition: Partition, identity: Mapping[str, object], done: Done) -> None:
        """Note that a partition is there. identity: of the input before it was read."""
        if not done.rows:
            partition.target.unlink(missing_ok=True)  # of an input that has changed
        scores = _digest(partition.target)
        entry = {"identity": dict(identity), "scores": scores, **asdict(done)}
        _write(self._file(partition), {**entry, "sha256": _sealed(entry)})
        self._begun(partition).unlink(missing_ok=True)

    def _begun(self, partition: Partition) -> Path:
        """As many bytes as processes have begun with a partition."""
        return self._file(partition).with_suffix(".begun")

    def _file(self, partition: Partition) -> Path:
        return self._folder / f"{partition.target.relative_to(self._output)}.json"


def _digest(file: Path) -> str | None:
    """The sha256 of a file of scores, None where there is no regular file."""
    if not file.is_file():
        return None
    digest = hashlib.sha256()
    with unreadable(file), file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _sealed(entry: Mapping[str, object]) -> str:
    """The sha256 of an entry of the ledger, but for its own."""
    plain = {name: value for name, value in entry.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What a folder was written by, where that is something else."""
    if before["format"] != now["format"] or before["lampblack"] != now["lampblack"]:
        return "another version of lampblack"
    if before["model"] != now["model"]:
        return "another model"
    changed = [
        name for name, value in now["scoring"].items() if before["scoring"].get(name) != value
    ]
    return f"other settings ({', '.join(changed)})"


def _read(file: Path, names: Collection[str]) -> dict[str, Any]:
    """What a file of the ledger holds, all of these names among it. Raises InvalidInput."""
    try:
        if not file.is_file():  # a pipe would be waited for
            raise _damaged(file)
        content = dict(json.loads(file.read_text()))
        return {name: content[name] for name in names}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise _damaged(file) from None


def _damaged(file: Path) -> InvalidInput:
    delete = "delete the folder and score again"
    return InvalidInput("is damaged", at=Place(file), remedy=delete)


def _write(file: Path, content: Mapping[str, object]) -> None:
    beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with unwritable(file), beside.open("x") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def finish(model: ScoringModel, part: Partition, scoring: Scoring, ledger: Ledger) -> Done:
    """Score one file and note it; what a killed attempt at it has left is taken away."""
    for left in part.target.parent.glob(f".{glob.escape(part.target.name)}.*.part"):
        left.unlink(missing_ok=True)
    identity = part.identity()
    result = score_partition(model, part, scoring)
    ledger.write(part, identity, result)
    return result
