"""What is each part of the recommended detector worth, seen by taking it away?"""

from __future__ import annotations

from benchmarks.lab.figures import away, means, ordered, over_sets, points, wins
from benchmarks.lab.markdown import NONE, markdown, origin
from benchmarks.lab.methods import ABLATIONS, RECOMMENDED, TABLES
from benchmarks.lab.protocol import COPIES, fits, of_small_sets
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Study


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


STUDY = Study("tables", fits(ABLATIONS, quick=of_small_sets), blocks={"parts-recommended": parts})
