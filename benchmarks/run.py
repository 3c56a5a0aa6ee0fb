"""Run studies and write what the pages say of them: `python -m benchmarks [STUDY ...]`.

A STUDY is a file in benchmarks/studies, or the result file that several of them share; without any,
all of them. Results are kept in benchmarks/results, job by job, and what is there is not run again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import pages
from benchmarks.lab.results import KEPT
from benchmarks.lab.study import ALL_SEEDS, Fits, Options, Study, questions, studies


def main() -> None:
    """Run what is asked for, then write the pages."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a second start of a command is measured
    parser = _parser()
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{name:20} {question}" for name, question in questions().items()))
        return
    try:
        chosen = named(given.studies)
    except KeyError as error:
        parser.error(f"there is no study {error}: see --list")
    if given.rows is not None:
        os.environ["LAMPBLACK_BENCH_ROWS"] = str(given.rows)
    folder = results_folder(given.rows, given.seeds, given.quick)
    if not given.render:
        carry_out(chosen, Options(folder, given.quick, given.seeds, given.processes))
    if folder == KEPT:
        pages.render()
    print(f"{pages.write_report(folder)}: {pages.summary(folder)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("studies", nargs="*", metavar="STUDY")
    parser.add_argument("--list", action="store_true", help="name the studies and their questions")
    parser.add_argument("--quick", action="store_true", help="small versions, not for the pages")
    parser.add_argument("--render", action="store_true", help="run nothing, write the pages")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--rows", type=int, metavar="N", help="at most so many rows a table")
    parser.add_argument("--seeds", type=int, default=ALL_SEEDS, choices=range(1, ALL_SEEDS + 1))
    return parser


def named(names: list[str]) -> dict[str, Study]:
    """The studies of these names, or of these result files. Raises KeyError for another name."""
    found = {}
    for name in names or studies():
        own = {n: s for n, s in studies().items() if name in (n, s.results)}
        if not own:
            raise KeyError(name)
        found |= own
    return found


def results_folder(rows: int | None, seeds: int, quick: bool) -> Path:
    """Where results go: what is not the default, to a folder of its own, and not into the pages."""
    folder = KEPT
    if rows is not None:
        folder = folder / f"rows-{rows}"
    if seeds != ALL_SEEDS:
        folder = folder / f"seeds-{seeds}"
    if quick:
        folder = folder / "quick"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def carry_out(chosen: dict[str, Study], options: Options) -> None:
    """Do the work of every study; that its data are there is known before the first begins."""
    if options.quick:
        chosen = {name: study for name, study in chosen.items() if study.is_quick}
    for name, study in chosen.items():
        if isinstance(study.work, Fits):
            print(f"{name}: {len(study.work.chosen(options))} jobs", file=sys.stderr)
    for name, study in chosen.items():
        if study.work is not None:
            study.work.carry_out(study.results or name, options)
