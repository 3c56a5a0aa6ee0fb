"""How do norms of codes fall as Toll trains, of normal test digits and of others?"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.lab.chosen import split_of
from benchmarks.lab.drawing import panels
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Picture, Study, every
from benchmarks.lab.why import SHOWN, SMALL, beta_of, draw_bands, groups_of, short_records
from lampblack import TollDetector
from lampblack.diagnostics import CodeNorms

SET = "norms: mnist 8"
JOBS = every([SET], [f"β = {beta}" for beta in (0.0, 10.0, 1000.0)])


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, watched."""
    split = split_of(name.partition(": ")[2], seed)
    seen = CodeNorms(groups_of(split, SHOWN))
    detector = TollDetector(latent_weight=beta_of(method), random_state=seed, **SMALL)
    detector.fit(split.train, callbacks=[seen])
    return {"records": short_records(seen.records)}


def draw(rows: Rows) -> Any:
    """Norms by step, a panel a β."""
    own = [row for row in rows if row["set"] == SET]
    if not own:
        return None
    figure, axes = panels(10, 3.2, len(own))
    axes = np.atleast_1d(axes)
    for one, row in zip(axes, own, strict=True):
        draw_bands(one, row["records"], "norm")
        one.set_title(row["method"], fontsize=9)
        one.set_yscale("log")
        one.set_xlabel("step")
    axes[0].set_ylabel("norm of the code, digit 8")
    axes[0].legend(frameon=False)
    return figure


STUDY = Study("why", Fits(lambda: JOBS, run), pictures=(Picture(draw, "why-norms.png"),))
