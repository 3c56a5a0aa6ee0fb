"""Our detectors on ADBench's tables, beside the same network untrained and two simple methods."""

from __future__ import annotations

from typing import Any

from benchmarks.lab.figures import (
    away,
    best,
    held_out,
    mean,
    means,
    methods_of,
    ordered,
    over_sets,
    percent,
    points,
    ranks,
    wins,
)
from benchmarks.lab.jobs import ALL_SEEDS, Fits, Job
from benchmarks.lab.markdown import markdown, origin
from benchmarks.lab.methods import ABLATIONS, TABLES
from benchmarks.lab.protocol import judge, of_small_sets, set_names, split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Study

REFERENCE = "autoencoder"
CHOICES = {
    "LAMP's form": ("LAMP (log, min-max)", "LAMP (quantile, ours)"),
    "detector": (
        "recommended",
        "autoencoder",
        "LAMP (quantile, ours)",
        "Toll",
        "LAMP × Toll",
        "AMA",
    ),
}


def jobs() -> list[Job]:
    """Every set, method and seed 0 to 4."""
    own = [method for method in TABLES if method not in ABLATIONS]
    names = set_names()
    return [(name, method, s) for s in range(ALL_SEEDS) for method in own for name in names]


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit and its figures."""
    return judge(TABLES[method](seed), split_of(name, seed))


def tables(rows: Rows) -> str:
    """Means over sets and seeds, average rank, wins against the plain autoencoder."""
    rows = ordered(rows, TABLES)
    by_set = means(rows)
    ranked = [ranks(values) for values in by_set.values()]
    lines = []
    for method in methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        gaps = away(by_set, method, REFERENCE)
        same = method == REFERENCE
        lines.append(
            [
                method,
                f"{100 * over_sets(by_set, method):.2f}",
                *(percent([row[figure] for row in own], 2) for figure in ("ap", "f1")),
                f"{mean([of_set[method] for of_set in ranked]):.2f}",
                "" if same else points(gaps),
                "" if same else wins(gaps),
                f"{mean([row['fit_cpu_s'] for row in own]):.2f}",
            ]
        )
    columns = ["method", "AUROC", "AP", "F1", "rank", f"− {REFERENCE}", "wins / losses"]
    return markdown([*columns, "fit, CPU s"], lines, origin(rows))


def sets(rows: Rows) -> str:
    """Mean AUROC of every set and method."""
    rows = ordered(rows, TABLES)
    methods = methods_of(rows)
    return markdown(
        ["set", *methods],
        [
            [name, *(f"{100 * values[method]:.1f}" for method in methods)]
            for name, values in means(rows).items()
        ],
    )


def choice(rows: Rows) -> str:
    """Choices made on these sets, and the same choices leaving one set out."""
    by_set = means(ordered(rows, TABLES))
    lines = []
    for name, candidates in CHOICES.items():
        whole = best(by_set, candidates)
        chosen, reached = held_out(by_set, candidates)
        otherwise = [left for left, method in chosen.items() if method != whole]
        lines.append(
            [
                name,
                whole,
                f"{100 * over_sets(by_set, whole):.2f}",
                f"{100 * reached:.2f}",
                ", ".join(otherwise) or "no set",
            ]
        )
    return markdown(
        [
            "choice among",
            "chosen on all sets",
            "AUROC of it",
            "held out: AUROC of what the other sets choose",
            "chosen otherwise for",
        ],
        lines,
    )


STUDY = Study(
    "Which of our detectors is best on tables?",
    results="tables",
    work=Fits(jobs, run, quick=of_small_sets),
    blocks={"tables": tables, "sets": sets, "choice": choice},
)
