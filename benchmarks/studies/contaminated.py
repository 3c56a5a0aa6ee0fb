"""What do anomalies among the training rows, of which nobody knows, do to each method?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.lab import shares
from benchmarks.lab.ama import NAMES, ama, judge
from benchmarks.lab.chosen import TABLES
from benchmarks.lab.drawing import BLUE, GREY, panels
from benchmarks.lab.methods import isolation_forest, nearest_neighbours, ours
from benchmarks.lab.protocol import split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.shares import SHARES, contaminated_split
from benchmarks.lab.study import Fits, Picture, Study, every
from lampblack import AutoencoderDetector, LAMPDetector, TollDetector

METHODS: dict[str, Callable[[int], Any]] = {
    "autoencoder": ours(AutoencoderDetector),
    "LAMP (quantile, ours)": ours(LAMPDetector, amplification="quantile"),
    "Toll": ours(TollDetector),
    "AMA": ama(),
    "kNN (k = 5)": nearest_neighbours,
    "isolation forest": isolation_forest,
}
JOBS = every([f"{n}, {s} % contaminated" for s in SHARES for n in TABLES], METHODS)


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, and the AUROC of every score."""
    table, _, condition = name.partition(", ")
    split = contaminated_split(table, int(condition.split()[0]), seed)
    share = 1 - len(split_of(table, seed).train) / len(split.train)
    return {"share": share, **judge(METHODS[method](seed), split)}


def contaminated(rows: Rows) -> str:
    """Mean AUROC over the tables as the share grows."""
    return shares.table(rows, METHODS, SHARES, "contaminated", "contaminated")


def draw(rows: Rows) -> Any:
    """Mean AUROC of every method and score as the share grows."""
    found, _ = shares.curves(rows, METHODS, SHARES, "contaminated")
    if not found:
        return None
    figure, axes = panels(8, 4.2)
    styles = iter(["-", "--", "-.", ":", (0, (1, 3)), (0, (5, 3, 1, 3))])
    ends = []
    for method, by_score in found.items():
        style = next(styles)
        for score, values in by_score.items():
            critic = score != NAMES[""]
            heights = [100 * value for value in values]
            axes.plot(SHARES, heights, color=BLUE if critic else GREY, linestyle=style, marker=".")
            ends.append((heights[-1], f"{method}: {score}" if critic else method))
    places = _apart([end for end, _ in sorted(ends)], 0.9)
    for place, (end, label) in zip(places, sorted(ends), strict=True):
        axes.annotate(
            label,
            (SHARES[-1], end),
            xytext=(SHARES[-1] + 0.35, place),
            va="center",
            fontsize=7,
            color=BLUE if label.startswith("AMA") else "black",
            arrowprops={"arrowstyle": "-", "color": "#cccccc", "linewidth": 0.6},
        )
    axes.set_xticks(SHARES)
    axes.set_xlim(-0.2, SHARES[-1] + 4)
    axes.set_xlabel("anomalies among the training rows that nobody knows of, %")
    axes.set_ylabel("mean AUROC over eight tables, %")
    return figure


def _apart(values: list[float], least: float) -> list[float]:
    """Ascending values moved up where they are nearer than that."""
    moved: list[float] = []
    for value in values:
        moved.append(max(value, moved[-1] + least) if moved else value)
    return moved


STUDY = Study(
    "adversarial",
    Fits(lambda: JOBS, run),
    blocks={"contaminated": contaminated},
    pictures=(Picture(draw, "contaminated.svg", "Unnoticed anomalies among the training rows."),),
)
