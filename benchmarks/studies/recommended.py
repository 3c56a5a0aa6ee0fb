"""Do the settings of the recommended detector matter on tables, one at a time?"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.lab.drawing import BLUE, panels
from benchmarks.lab.figures import held_out, means, over_sets
from benchmarks.lab.markdown import NONE, markdown, origin
from benchmarks.lab.methods import Method, ours
from benchmarks.lab.protocol import fits, of_small_sets
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Picture, Study
from lampblack import LampblackDetector

_VARIED: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {  # the default, and other values
    "β, the latent weight": ("0.1", {str(b): {"latent_weight": b} for b in (0.0, 10.0)}),
    "amplification": ("quantile", {str(a): {"amplification": a} for a in (None, "log")}),
    "width of the code": ("32", {str(n): {"latent_dim": n} for n in (8, 128)}),
    "steps": ("500", {str(n): {"max_steps": n} for n in (125, 1000)}),
    "neighbours": ("5", {str(n): {"n_neighbors": n} for n in (2,)}),
    "remembered": ("10000", {str(n): {"memory_size": n} for n in (1000,)}),
    "seed": ("0", {str(n): {"random_state": n} for n in (1,)}),
}
DEFAULT = "as it comes"
SETTINGS: dict[str, Method] = {DEFAULT: ours(LampblackDetector)} | {
    f"{group}: {value}": ours(LampblackDetector, **setting)
    for group, (_, settings) in _VARIED.items()
    for value, setting in settings.items()
}
GROUPS = {  # by method, its value; in order
    group: dict(
        sorted(
            [(DEFAULT, default), *((f"{group}: {value}", value) for value in settings)],
            key=lambda pair: float(pair[1]) if pair[1][0].isdigit() else 0.0,
        )
    )
    for group, (default, settings) in _VARIED.items()
}


def settings(rows: Rows) -> str:
    """Mean AUROC as one setting at a time varies."""
    by_set = means(rows)
    lines = []
    for name, values in GROUPS.items():
        if any(method not in of_set for of_set in by_set.values() for method in values):
            return NONE
        cells = [f"{v}: {100 * over_sets(by_set, method):.2f}" for method, v in values.items()]
        _, reached = held_out(by_set, tuple(values))
        lines.append([name, ", ".join(cells), f"{100 * reached:.2f}"])
    columns = ["setting", "values: mean AUROC", "leaving one set out"]
    return markdown(columns, lines, origin(rows))


def draw(rows: Rows) -> Any:
    """Mean AUROC as one setting at a time varies."""
    by_set = {
        name: values for name, values in means(rows).items() if SETTINGS.keys() <= values.keys()
    }
    if not by_set:
        return None
    figure, all_axes = panels(11, 2.8, len(GROUPS))
    for axes, (name, values) in zip(all_axes, GROUPS.items(), strict=True):
        heights = [100 * np.mean([of_set[m] for of_set in by_set.values()]) for m in values]
        axes.plot(range(len(values)), heights, "o-", color=BLUE)
        axes.set_xticks(range(len(values)), list(values.values()), fontsize=7)
        axes.set_title(name, fontsize=9)
    lowest = min(axes.get_ylim()[0] for axes in all_axes)
    highest = max(axes.get_ylim()[1] for axes in all_axes)
    for axes in all_axes:
        axes.set_ylim(lowest, highest)
    all_axes[0].set_ylabel("mean AUROC, %")
    return figure


STUDY = Study(
    "recommended",
    fits(SETTINGS, quick=of_small_sets),
    blocks={"recommended-settings": settings},
    pictures=(
        Picture(
            draw, "sensitivity.svg", "The recommended detector as one setting at a time varies."
        ),
    ),
)
