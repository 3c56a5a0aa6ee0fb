"""Does the comparison hold on tables that are not ADBench's?"""

from __future__ import annotations

from typing import Any

from benchmarks.lab.figures import mean, means, methods_of
from benchmarks.lab.markdown import NONE, markdown, seeds_of
from benchmarks.lab.methods import ABLATIONS, TABLES
from benchmarks.lab.peers import PEERS, SLOW, judge_peer
from benchmarks.lab.protocol import MORE, judge, split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.study import ALL_SEEDS, Fits, Job, Study, every


def jobs() -> list[Job]:
    """Every table, method and seed 0 to 4."""
    ours = [method for method in TABLES if method not in ABLATIONS]
    methods = [*ours, *(method for method in PEERS if method not in SLOW)]
    return every(MORE, methods, range(ALL_SEEDS))


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit and its figures."""
    if method in TABLES:
        return judge(TABLES[method](seed), split_of(name, seed))
    return judge_peer(name, method, seed)


def more_tables(rows: Rows) -> str:
    """Mean AUROC, the best mean first."""
    rows = [row for row in rows if "error" not in row]
    by_set = means(rows)
    whole = [m for m in methods_of(rows) if all(m in values for values in by_set.values())]
    if not whole:
        return NONE
    values = {method: [by_set[name][method] for name in by_set] for method in whole}
    return markdown(
        ["method", *by_set],
        [
            [method, *(f"{100 * value:.2f}" for value in values[method])]
            for method in sorted(whole, key=lambda method: -mean(values[method]))
        ],
        f"{seeds_of(rows).capitalize()}; `make bench`.",
    )


STUDY = Study("more", Fits(jobs, run), blocks={"more-tables": more_tables})
