"""Does a score stay high far from all data?

From the centre of the training rows, in random directions over the columns that vary, at 10 to
1,000 standard deviations: the share of points whose score is above the 99th percentile of the
scores of normal test rows. A rectifier autoencoder can reconstruct such points (arXiv 2501.13864).
A standard deviation is a column's; a point at distance r is r of them away in root mean square.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.lab.figures import percent
from benchmarks.lab.markdown import markdown
from benchmarks.lab.methods import TABLES
from benchmarks.lab.protocol import of_small_sets, set_names, split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Study, every
from lampblack.diagnostics import along_rays

METHODS = ("recommended", "autoencoder", "Toll", "LAMP × Toll", "untrained autoencoder")
DISTANCES = (10.0, 30.0, 100.0, 300.0, 1000.0)
RAYS = 100


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, and the share of alarmed points by distance."""
    split = split_of(name, seed)
    detector = TABLES[method](seed)(split.train)
    usual = float(np.quantile(detector.anomaly_score(split.test[~split.is_anomaly]), 0.99))
    found = along_rays(
        detector, split.train, bound=usual, distances=DISTANCES, n_rays=RAYS, seed=seed
    )
    shares = zip(DISTANCES, found.share_above, strict=True)
    return {"above": {str(distance): float(share) for distance, share in shares}}


def rays(rows: Rows) -> str:
    """The share of far points above normal scores, by distance; and on how many sets it is all."""
    lines = []
    for method in METHODS:
        own = [row["above"] for row in rows if row["method"] == method]
        whole = sum(all(share == 1 for share in above.values()) for above in own)
        shares = [percent([above[str(distance)] for above in own]) for distance in DISTANCES]
        lines.append([method, *shares, f"{whole} of {len(own)}"])
    return markdown(
        ["method", *(f"{distance:,.0f}" for distance in DISTANCES), "all, on sets"],
        lines,
        "Per cent of 100 rays a set, seed 0; `make bench`.",
    )


STUDY = Study(
    "rays",
    Fits(lambda: every(set_names(), METHODS), run, quick=of_small_sets),
    blocks={"rays": rays},
)
