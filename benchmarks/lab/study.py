"""What a study is, and where all of them are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.lab.jobs import Fits, Work
from benchmarks.lab.results import KEPT, Rows, read

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
    """One question: the work that answers it, and what the pages show of the answer.

    results: the result file that the work writes, which several studies may share. reads: the files
    whose rows the blocks and pictures are made of, where it is not that one. blocks: what stands in
    the pages, by marker. report: tables of the benchmark's own page, by title. summary: its first
    line.
    """

    question: str
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
    names = sorted(file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__")
    return {
        name.replace("_", "-"): import_module(f"benchmarks.studies.{name}").STUDY for name in names
    }


def jobs_of(results: str) -> list[tuple[str, str, int]]:
    """All jobs of the studies that write to one result file."""
    return [
        job
        for study in studies().values()
        if isinstance(study.work, Fits) and study.results == results
        for job in study.work.jobs()
    ]
