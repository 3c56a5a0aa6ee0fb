"""Do Toll's settings matter on tables, one at a time?"""

from __future__ import annotations

from collections import Counter

from benchmarks.lab.figures import away, held_out, means, methods_of, ordered, over_sets, points
from benchmarks.lab.markdown import markdown, origin
from benchmarks.lab.methods import Method, ours
from benchmarks.lab.protocol import fits
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Study
from lampblack import TollDetector

SETTINGS: dict[str, Method] = {
    "Toll": ours(TollDetector),
    "Toll, β = 0": ours(TollDetector, latent_weight=0.0),
    "Toll, β = 0.01": ours(TollDetector, latent_weight=0.01),
    "Toll, β = 1": ours(TollDetector, latent_weight=1.0),
    "Toll, β = 10": ours(TollDetector, latent_weight=10.0),
    "Toll, β = 100": ours(TollDetector, latent_weight=100.0),
    "Toll, 250 steps": ours(TollDetector, max_steps=250),
    "Toll, 1000 steps": ours(TollDetector, max_steps=1000),
    "Toll, rate 2e-3": ours(TollDetector, learning_rate=2e-3),
    "Toll, code of 8": ours(TollDetector, latent_dim=8),
}


def sensitivity(rows: Rows) -> str:
    """Mean AUROC of the settings, and what is chosen among them leaving one set out."""
    rows = ordered(rows, SETTINGS)
    by_set = means(rows)
    settings = methods_of(rows)
    lines = [
        [
            setting,
            f"{100 * over_sets(by_set, setting):.2f}",
            "" if setting == "Toll" else points(away(by_set, setting, "Toll")),
        ]
        for setting in settings
    ]
    chosen, reached = held_out(by_set, settings)
    counts = Counter(chosen.values()).most_common()
    names = ", ".join(f"{name} ({count} sets)" for name, count in counts)
    return markdown(
        ["setting", "AUROC", "− default"],
        lines,
        f"Leaving one set out, the other sets choose {names}; on the set left out that gives "
        f"{100 * reached:.2f}.",
        origin(rows),
    )


STUDY = Study("sensitivity", fits(SETTINGS, range(3)), blocks={"sensitivity": sensitivity})
