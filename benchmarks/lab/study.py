"""What a study is, how it works, and where all of them are found.

Work is many fits side by side, measurements one by one, or a script as a whole. Results are kept as
they come. What is there already is not run again, so that a killed run goes on where it was; who
wants it measured anew deletes the file.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.lab.results import KEPT, Rows, append, drop_cut_line, read

Job = tuple[str, str, int]  # set, method, seed
Key = tuple[Any, ...]
ALL_SEEDS = 5


@dataclass(frozen=True)
class Options:
    """How much is run, and where its results go."""

    folder: Path = KEPT
    quick: bool = False
    seeds: int = ALL_SEEDS
    processes: int = os.cpu_count() or 1


@dataclass(frozen=True)
class Fits:
    """Fits side by side, one thread each.

    run: the figures of a set, a method and a seed. quick: which of the jobs are a small version.
    fresh: a new process for every job, so that its memory can be measured.
    """

    jobs: Callable[[], list[Job]]
    run: Callable[[str, str, int], dict[str, Any]]
    quick: Callable[[list[Job]], list[Job]] | None = None
    fresh: bool = False

    def chosen(self, options: Options) -> list[Job]:
        """The jobs that the options ask for. Exits where there are none, for want of data."""
        jobs = self.jobs()
        if options.seeds < ALL_SEEDS:
            jobs = [job for job in jobs if job[2] < options.seeds]
        if options.quick and self.quick is not None:
            jobs = self.quick(jobs)
        if not jobs:
            raise SystemExit("no data found: set LAMPBLACK_DATA to the folder that holds adbench/")
        return jobs

    def carry_out(self, name: str, options: Options) -> None:
        """Run what the file lacks."""
        drop_cut_line(name, options.folder)
        done = {(r["set"], r["method"], r["seed"]) for r in read(name, options.folder)}
        left = [job for job in self.chosen(options) if job not in done]
        if left:
            append(name, options.folder, self._results(left, options.processes, name))

    def _results(self, jobs: list[Job], processes: int, name: str) -> Iterator[dict[str, Any]]:
        context = multiprocessing.get_context("spawn")
        each = 1 if self.fresh else None
        with ProcessPoolExecutor(processes, context, max_tasks_per_child=each) as pool:
            futures = [pool.submit(run_job, self.run, job) for job in jobs]
            for count, future in enumerate(as_completed(futures), start=1):
                yield future.result()
                print(f"\r{name}: {count} of {len(jobs)}", end="", file=sys.stderr)
        print(file=sys.stderr)


def run_job(run: Callable[[str, str, int], dict[str, Any]], job: Job) -> dict[str, Any]:
    """One job in one thread: what it was, and its figures."""
    import torch

    from lampblack.exceptions import LampblackWarning

    warnings.simplefilter("ignore", LampblackWarning)  # small sets promise less, and say so
    torch.set_num_threads(1)
    name, method, seed = job
    facts = {"set": name, "method": method, "seed": seed, "protocol": "label-free"}
    return {**facts, **run(*job)}


@dataclass(frozen=True)
class Measurements:
    """Measurements one after the other, while nothing else runs.

    measure: a row for all that is not done, which it is told by the values under `key`; and whether
    a small version is asked for, which it has if `quick`.
    """

    measure: Callable[[set[Key], bool], Iterator[dict[str, Any]]]
    key: tuple[str, ...] = ("set",)
    quick: bool = False

    def carry_out(self, name: str, options: Options) -> None:
        """Measure what the file lacks."""
        drop_cut_line(name, options.folder)
        done = {self._key(row) for row in read(name, options.folder)}
        append(name, options.folder, self._told(done, options.quick))

    def _told(self, done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
        for row in self.measure(done, quick):
            yield row
            print(f"measured: {', '.join(map(str, self._key(row)))}", file=sys.stderr)

    def _key(self, row: dict[str, Any]) -> Key:
        return tuple(row[name] for name in self.key)


@dataclass(frozen=True)
class Script:
    """What is run as a whole, every time, and writes what it finds into a folder."""

    run: Callable[[Path], None]
    quick: bool = False

    def carry_out(self, name: str, options: Options) -> None:
        """Run it."""
        print(f"running: {name}", file=sys.stderr)
        self.run(options.folder)


Work = Fits | Measurements | Script


Block = Callable[[Rows], str]
FOLDER = Path(__file__).parents[1] / "studies"


@dataclass(frozen=True)
class Picture:
    """A figure that is drawn of a study's rows; None where they do not allow it.

    file: its name in docs/pictures. caption: the line below it in the benchmark's own page. Without
    one of them it is not shown there. style: matplotlib's settings for it.
    """

    draw: Callable[[Rows], Any]
    file: str | None = None
    caption: str | None = None
    style: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """The work that answers one question, and what the pages show of the answer.

    The question is the first line of the study's file.

    results: the result file that the work writes, which several studies may share. reads: the files
    whose rows the blocks and pictures are made of, where it is not that one. blocks: what stands in
    the pages, by marker. report: tables of the benchmark's own page, by title. summary: its first
    line.
    """

    results: str = ""
    work: Work | None = None
    reads: tuple[str, ...] = ()
    blocks: Mapping[str, Block] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    report: Mapping[str, Block] = field(default_factory=dict)
    summary: Block | None = None

    def rows(self, folder: Path = KEPT) -> Rows:
        """The rows that its blocks and pictures are made of."""
        names = self.reads or ((self.results,) if self.results else ())
        return [row for name in names for row in read(name, folder)]

    @property
    def is_quick(self) -> bool:
        """Whether its work has a small version."""
        return self.work is not None and bool(self.work.quick)


@cache
def studies() -> dict[str, Study]:
    """Every study by name; a file in benchmarks/studies is one."""
    return {name: module.STUDY for name, module in _modules().items()}


def questions() -> dict[str, str]:
    """What every study asks."""
    return {name: (module.__doc__ or "").splitlines()[0] for name, module in _modules().items()}


@cache
def _modules() -> dict[str, Any]:
    names = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")
    return {n.replace("_", "-"): import_module(f"benchmarks.studies.{n}") for n in names}


def every(names: Iterable[str], methods: Iterable[str], seeds: Iterable[int] = (0,)) -> list[Job]:
    """A job for every seed, method and set."""
    return [(name, method, seed) for seed, method, name in product(seeds, methods, names)]


def jobs_of(results: str) -> list[tuple[str, str, int]]:
    """All jobs of the studies that write to one result file."""
    return [
        job
        for study in studies().values()
        if isinstance(study.work, Fits) and study.results == results
        for job in study.work.jobs()
    ]
