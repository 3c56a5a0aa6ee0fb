"""Does a score that has left the normal ones come back?"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.lab.chosen import TABLES, TWO_DIGITS, split_of
from benchmarks.lab.drawing import panels
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.methods import UNTRAINED, ours
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Picture, Study, every
from benchmarks.lab.why import BLUE, GREY, RED, SMALL, mean_of, note, of, short
from lampblack import (
    AMADetector,
    AutoencoderDetector,
    LampblackDetector,
    LAMPDetector,
    TollDetector,
)
from lampblack.diagnostics import along_rays
from lampblack.diagnostics.rays import DISTANCES, IMAGE_POSITIONS

METHODS: dict[str, tuple[type, dict[str, Any]]] = {
    "recommended": (LampblackDetector, {}),
    "autoencoder": (AutoencoderDetector, {}),
    "LAMP": (LAMPDetector, {}),
    "Toll": (TollDetector, {}),
    "AMA": (AMADetector, {}),
    "untrained autoencoder": (AutoencoderDetector, UNTRAINED),
}
JOBS = every([f"rays: {name}" for name in (*TABLES, *TWO_DIGITS)], METHODS)


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """How a score goes on, once it has left the normal ones."""
    name = name.partition(": ")[2]
    split = split_of(name, seed)
    is_digit = name in TWO_DIGITS
    cls, more = METHODS[method]
    settings = {**(SMALL if is_digit else {}), **more}
    detector = ours(cls, **settings)(seed)(split.train)
    normal = split.test[~split.is_anomaly]
    bound = float(np.quantile(detector.anomaly_score(normal), 0.99))
    start = normal if is_digit else split.train
    found = along_rays(detector, start, bound=bound, seed=seed)
    return {
        "left": found.left,
        "stays": found.stays,
        "share_above": [short(share) for share in found.share_above],
    }


def rays(rows: Rows) -> str:
    """Shares of rays on which the score leaves the normal ones, stays, and ends above."""
    lines = []
    for method in METHODS:
        tables, digits = (
            [row for name in sets for row in of(rows, f"rays: {name}", [method])]
            for sets in (TABLES, TWO_DIGITS)
        )
        if len(tables) < len(TABLES) or len(digits) < len(TWO_DIGITS):
            return NONE
        worst = min(tables, key=lambda row: row["stays"])
        where = "" if worst["stays"] == 1 else f" ({worst['set'].removeprefix('rays: ')})"
        least = f"{100 * worst['stays']:.0f}{where}"
        lines.append([method, *_shares(tables), least, *_shares(digits)])
    return markdown(
        [
            *("method", "tables: leaves", "stays", "ends above", "worst table: stays"),
            *("digits: leaves", "stays", "ends above"),
        ],
        lines,
        note(
            rows,
            "extrapolation",
            "Per cent of 100 rays a table to 1,000 standard deviations, and of 50 ways a digit to "
            f"an image of one colour, seed 0; tables {', '.join(TABLES)}",
            JOBS,
        ),
    )


def _shares(rows: Rows) -> list[str]:
    above = 100 * np.mean([row["share_above"][-1] for row in rows])
    return [*(f"{100 * mean_of(rows, name):.1f}" for name in ("left", "stays")), f"{above:.1f}"]


def draw(rows: Rows) -> Any:
    """Shares above normal scores by distance, tables and digits."""
    figure, axes = panels(10, 3.2, 2)
    colors = ("black", BLUE, "#7b4fb0", RED, "#e08a00", GREY)
    for one, sets, positions in (
        (axes[0], TABLES, DISTANCES),
        (axes[1], TWO_DIGITS, IMAGE_POSITIONS),
    ):
        for method, color in zip(METHODS, colors, strict=True):
            own = [r["share_above"] for name in sets for r in of(rows, f"rays: {name}", [method])]
            if own:
                one.plot(positions, 100 * np.mean(own, axis=0), color=color, label=method)
    axes[0].set_xscale("log")
    axes[0].set_xlabel("standard deviations from the centre (8 tables)")
    axes[0].set_ylabel("score above normal ones, %")
    axes[1].set_xlabel("way from a digit to an image of one colour")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


STUDY = Study(
    "why",
    Fits(lambda: JOBS, run),
    blocks={"why-rays": rays},
    pictures=(Picture(draw, "why-rays.png"),),
)
