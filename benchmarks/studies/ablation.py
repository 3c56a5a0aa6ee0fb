"""The recommended detector with each of its parts taken away."""

from __future__ import annotations

from typing import Any

from benchmarks.lab.figures import away, means, ordered, over_sets, points, wins
from benchmarks.lab.jobs import Fits, Job
from benchmarks.lab.markdown import NONE, markdown, origin
from benchmarks.lab.methods import ABLATIONS, RECOMMENDED, TABLES
from benchmarks.lab.protocol import COPIES, judge, of_small_sets, set_names, split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Study


def jobs() -> list[Job]:
    """Every set and part, seed 0."""
    return [(name, method, 0) for method in ABLATIONS for name in set_names()]


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit and its figures."""
    return judge(ABLATIONS[method](seed), split_of(name, seed))


def parts(rows: Rows) -> str:
    """AUROC of each, and what the whole is ahead of it."""
    methods = (RECOMMENDED, *ABLATIONS)
    own = [row for row in rows if row["set"] not in COPIES and row["seed"] == 0]
    own = [row for row in ordered(own, TABLES) if row["method"] in methods]
    by_set = means(own)
    if any(method not in values for values in by_set.values() for method in methods):
        return NONE
    lines = []
    for method in methods:
        gaps = away(by_set, method, RECOMMENDED)
        against = ["", ""] if method == RECOMMENDED else [points(gaps), wins(gaps)]
        lines.append([method, f"{100 * over_sets(by_set, method):.2f}", *against])
    return markdown(["", "AUROC", "− whole", "wins / losses"], lines, origin(own))


STUDY = Study(
    "What is each part of the recommended detector worth?",
    results="tables",
    work=Fits(jobs, run, quick=of_small_sets),
    blocks={"parts-recommended": parts},
)
