"""What becomes of the Toll paper's table, with its published settings and with our defaults?"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.lab.figures import mean_and_error, ordered, percent, points
from benchmarks.lab.markdown import markdown, origin
from benchmarks.lab.methods import UNTRAINED, Method, isolation_forest, nearest_neighbours, ours
from benchmarks.lab.protocol import fits
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Study
from lampblack import AutoencoderDetector, LAMPDetector, TollDetector

PUBLISHED = {  # Toll's settings for Arrhythmia (arXiv 2306.12627); contamination: no row held out
    "hidden": (256, 128),
    "latent_dim": 16,
    "batch_size": 100,
    "learning_rate": 1e-3,
    "max_steps": 2000,
    "schedule": "constant",
    "contamination": 0.1,
}
METHODS: dict[str, Method] = {
    "published: autoencoder": ours(AutoencoderDetector, **PUBLISHED),
    "published: LAMP": ours(LAMPDetector, **PUBLISHED, amplification="log"),
    "published: Toll": ours(TollDetector, **PUBLISHED, latent_weight=10.0),
    "published: LAMP × Toll": ours(
        TollDetector, **PUBLISHED, latent_weight=10.0, amplification="quantile"
    ),
    "defaults: autoencoder": ours(AutoencoderDetector),
    "defaults: LAMP": ours(LAMPDetector),
    "defaults: Toll": ours(TollDetector),
    "defaults: LAMP × Toll": ours(TollDetector, amplification="quantile"),
    "untrained autoencoder": ours(AutoencoderDetector, **UNTRAINED),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
    "kNN (k = 5)": nearest_neighbours,
    "isolation forest": isolation_forest,
}


def arrhythmia(rows: Rows) -> str:
    """AUROC and F1 over ten seeds, with the paired difference to the plain autoencoder."""
    by_method: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in ordered(rows, METHODS):
        by_method[row["method"]][row["seed"]] = row
    lines = []
    for method, runs in by_method.items():
        settings = method.split(":")[0] if ":" in method else "defaults"
        reference = by_method[f"{settings}: autoencoder"]
        cells = []
        for figure in ("auroc", "f1"):
            middle, error = mean_and_error([run[figure] for run in runs.values()])
            gaps = [runs[seed][figure] - reference[seed][figure] for seed in runs]
            cells.append(f"{100 * middle:.2f} ± {100 * error:.2f}")
            cells.append("" if runs is reference else points(gaps))
        for figure in ("auroc_error", "auroc_norm", "norm_share"):
            cells.append(percent([r[figure] for r in runs.values() if r.get(figure) is not None]))
        lines.append([method, *cells])
    return markdown(
        [
            *("settings: method", "AUROC", "− autoencoder", "F1", "− autoencoder"),
            *("AUROC of the error", "AUROC of the code's norm", "norm's share of the score"),
        ],
        lines,
        origin(rows),
    )


STUDY = Study(
    "arrhythmia",
    fits(METHODS, range(10), lambda: ["arrhythmia"]),
    blocks={"arrhythmia": arrhythmia},
)
