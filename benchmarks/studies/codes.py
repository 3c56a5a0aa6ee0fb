"""What do AMA's codes of digits know, and how compact are they, beside those of others?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.lab.ama import ama, note
from benchmarks.lab.image_sets import load_idx
from benchmarks.lab.markdown import Columns, hundred, markdown
from benchmarks.lab.methods import UNTRAINED, ours
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Study, every
from lampblack import AutoencoderDetector

METHODS: dict[str, Callable[[int], Any]] = {
    "AMA": ama(),
    "autoencoder": ours(AutoencoderDetector),
    "AMA, latent term": ama(latent_weight=0.1),
    "AMA, no simplex": ama(simplex_weight=0.0),
    "untrained": ours(AutoencoderDetector, **UNTRAINED),
}


def run(_: str, method: str, seed: int) -> dict[str, Any]:
    """What the codes of all ten digits know, and how compact they are.

    probe: accuracy on 5,000 test images of a linear model fitted to the codes of 5,000 others and
    their digits. norm: mean ‖z‖₂ of test images. axes: how many axes the codes spread over, (Σλ)² /
    Σλ² of the eigenvalues of their covariance.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, _, test, digits = load_idx("mnist")
    z = METHODS[method](seed)(train).encode(test)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    accuracy = probe.fit(z[:5000], digits[:5000]).score(z[5000:], digits[5000:])
    spread = np.linalg.eigvalsh(np.cov(z.T))
    return {
        "probe": float(accuracy),
        "norm": float(np.linalg.norm(z, axis=1).mean()),
        "axes": float(spread.sum() ** 2 / (spread**2).sum()),
    }


def codes(rows: Rows) -> str:
    """What codes know of digits, and how compact they are."""
    own = {row["method"]: row for row in rows if row["set"] == "codes"}
    columns: Columns = {
        "training": "{method}",
        "linear probe, accuracy": hundred("probe"),
        "mean norm": "{norm:.2f}",
        "axes": "{axes:.1f}",
    }
    lines = [own[method] for method in METHODS if method in own]
    return markdown(columns, lines, note(rows, "codes", [*METHODS], own))


STUDY = Study("adversarial", Fits(lambda: every(["codes"], METHODS), run), blocks={"codes": codes})
