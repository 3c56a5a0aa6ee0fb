"""Do Toll's settings matter on digits, and what do its error and its norm say alone?"""

from __future__ import annotations

from functools import partial

from benchmarks.lab.figures import percent
from benchmarks.lab.markdown import markdown
from benchmarks.lab.methods import UNTRAINED, ours
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Study, every
from benchmarks.studies.images import judge_class
from lampblack import TollDetector

SETS = ("mnist 8", "mnist 2")
SETTINGS = {
    "Toll": ours(TollDetector),
    **{f"Toll, {n} steps": ours(TollDetector, max_steps=n) for n in (75, 150, 300, 600, 1200)},
    **{f"Toll, β = {b}": ours(TollDetector, latent_weight=b) for b in (0.0, 1.0, 10.0, 100.0)},
    "Toll, β = 10000.0": ours(TollDetector, latent_weight=1e4),
    "Toll, constant rate": ours(TollDetector, schedule="constant"),
    "Toll, rate 3e-3": ours(TollDetector, learning_rate=3e-3),
    "Toll, rate 3e-4": ours(TollDetector, learning_rate=3e-4),
    "Toll, code of 32": ours(TollDetector, latent_dim=32),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
}


def plateau(rows: Rows) -> str:
    """AUROC as one setting moves, and of error and norm alone."""
    rows = [row for row in rows if row["method"] in SETTINGS and row["set"] in SETS]
    lines = []
    for method in SETTINGS:
        own = [row for row in rows if row["method"] == method]
        if own:
            by_digit = [[row["auroc"] for row in own if row["set"] == name] for name in SETS]
            alone = [
                [row[figure] for row in own if row.get(figure) is not None]
                for figure in ("auroc_error", "auroc_norm")
            ]
            lines.append([method, *map(_range, by_digit), *map(percent, alone)])
    digits = [f"digit {name.split()[1]}" for name in SETS]
    return markdown(["setting", *digits, "error alone", "norm alone"], lines)


def _range(values: list[float]) -> str:
    """The mean, and the range of several seeds."""
    spread = f" ({100 * min(values):.1f} to {100 * max(values):.1f})" if values[1:] else ""
    return percent(values) + spread


STUDY = Study(
    "images",
    Fits(lambda: every(SETS, SETTINGS, range(3)), partial(judge_class, SETTINGS), fresh=True),
    blocks={"plateau": plateau},
)
