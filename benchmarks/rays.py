"""Far from all data: does a score stay above those of normal rows along random rays?

From the centre of the training rows, in random directions over the columns that vary, at 10 to
1,000 standard deviations: the share of points whose score is above the 99th percentile of the
scores of normal test rows. A rectifier autoencoder can reconstruct such points (arXiv 2501.13864).
A standard deviation is a column's; a point at distance r is r of them away in root mean square.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import methods, protocol
from lampblack.diagnostics import along_rays

METHODS = ("recommended", "autoencoder", "Toll", "LAMP × Toll", "untrained autoencoder")
DISTANCES = (10.0, 30.0, 100.0, 300.0, 1000.0)
RAYS = 100

Job = tuple[str, str, int]


def jobs() -> list[Job]:
    """Every set and method, seed 0."""
    names = [name for name, _ in protocol.adbench_sets()]
    return [(name, method, 0) for name in names for method in METHODS]


def run_job(job: Job) -> dict[str, Any]:
    """One fit in one thread, and the share of alarmed points by distance."""
    import torch

    torch.set_num_threads(1)
    name, method, seed = job
    split = protocol.one_class_split(*protocol.load_table(name), seed)
    detector = methods.TABLES[method](seed)(split.train)
    usual = float(np.quantile(detector.anomaly_score(split.test[~split.is_anomaly]), 0.99))
    found = along_rays(
        detector, split.train, bound=usual, distances=DISTANCES, n_rays=RAYS, seed=seed
    )
    shares = {
        str(distance): float(share)
        for distance, share in zip(DISTANCES, found.share_above, strict=True)
    }
    return {"set": name, "method": method, "seed": seed, "protocol": "label-free", "above": shares}
