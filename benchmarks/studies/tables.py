"""Which of our detectors is best on ADBench's tables, beside untrained ones and simple methods?"""

from __future__ import annotations

from benchmarks.lab import figures
from benchmarks.lab.markdown import markdown, origin
from benchmarks.lab.methods import ABLATIONS, TABLES
from benchmarks.lab.protocol import fits, of_small_sets
from benchmarks.lab.results import Rows
from benchmarks.lab.study import ALL_SEEDS, Study

METHODS = {name: method for name, method in TABLES.items() if name not in ABLATIONS}
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


def tables(rows: Rows) -> str:
    """Means over sets and seeds, average rank, wins against the plain autoencoder."""
    rows = figures.ordered(rows, TABLES)
    by_set = figures.means(rows)
    ranked = [figures.ranks(values) for values in by_set.values()]
    lines = []
    for method in figures.methods_of(rows):
        own = [row for row in rows if row["method"] == method]
        gaps = figures.away(by_set, method, REFERENCE)
        same = method == REFERENCE
        lines.append(
            [
                method,
                f"{100 * figures.over_sets(by_set, method):.2f}",
                *(figures.percent([row[figure] for row in own], 2) for figure in ("ap", "f1")),
                f"{figures.mean([of_set[method] for of_set in ranked]):.2f}",
                "" if same else figures.points(gaps),
                "" if same else figures.wins(gaps),
                f"{figures.mean([row['fit_cpu_s'] for row in own]):.2f}",
            ]
        )
    columns = ["method", "AUROC", "AP", "F1", "rank", f"− {REFERENCE}", "wins / losses"]
    return markdown([*columns, "fit, CPU s"], lines, origin(rows))


def sets(rows: Rows) -> str:
    """Mean AUROC of every set and method."""
    rows = figures.ordered(rows, TABLES)
    methods = figures.methods_of(rows)
    return markdown(
        ["set", *methods],
        [
            [name, *(f"{100 * values[method]:.1f}" for method in methods)]
            for name, values in figures.means(rows).items()
        ],
    )


def choice(rows: Rows) -> str:
    """Choices made on these sets, and the same choices leaving one set out."""
    by_set = figures.means(figures.ordered(rows, TABLES))
    lines = []
    for name, candidates in CHOICES.items():
        whole = figures.best(by_set, candidates)
        chosen, reached = figures.held_out(by_set, candidates)
        otherwise = [left for left, method in chosen.items() if method != whole]
        lines.append(
            [
                name,
                whole,
                f"{100 * figures.over_sets(by_set, whole):.2f}",
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
    "tables",
    fits(METHODS, range(ALL_SEEDS), quick=of_small_sets),
    blocks={"tables": tables, "sets": sets, "choice": choice},
)
