"""AMA judged by every score that its networks allow.

Training does not depend on the score. Scores that learn what is usual learn it from held-out
samples, which every fit here holds out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from benchmarks.lab.markdown import made_with, missing
from benchmarks.lab.methods import ours
from benchmarks.lab.protocol import Split
from benchmarks.lab.results import Rows
from lampblack import AMADetector

SCORES = ("critic", "typicality", "mahalanobis", "joint", "reconstruction")
NAMES = {"": "its own", **{score: score for score in SCORES}}
NO_CRITIC = {"adversarial_weight": 0.0, "atypical": None, "score_by": "joint"}
AUTHORS: dict[str, Any] = {
    "reconstruction_weight": 0.0,
    "spectral_norm": True,
    "latent_weight": 1.0,
}


def ama(**parameters: Any) -> Callable[[int], Any]:
    """AMA with a score that holds samples out, so that every score can be read off one training."""
    return ours(AMADetector, **{"score_by": "joint", **parameters})


def scores_of(detector: Any, X: Any) -> dict[str, npt.NDArray[np.float64]]:
    """Every score that the detector's networks allow, by name.

    One fit serves all scores of AMA: what they learn from held-out samples, it keeps for each.
    """
    if not isinstance(detector, AMADetector):
        return {"": detector.anomaly_score(X)}
    return {name: scored_by(detector, name).anomaly_score(X) for name in SCORES}


def scored_by(detector: AMADetector, name: str) -> Any:
    """The detector's model with another of AMA's scores."""
    model = detector.model_
    parameters = model.parameters.replaced(score_by=name)
    score = detector.recipe.score(parameters)
    score.prepare(model.encoder, model.networks)
    if score.needs_reference:
        score.load_state_dict(model.score.state_dict())
    return replace(model, parameters=parameters, score=score)


def judge(fit: Callable[[Any], Any], split: Split, train: Any = None) -> dict[str, Any]:
    """AUROC of every score, and CPU seconds of the fit.

    train: what is fitted, where it is not the split's training samples.
    """
    started = time.process_time()
    detector = fit(split.train if train is None else train)
    fitted = time.process_time()
    scores = scores_of(detector, split.test)
    return {
        "auroc": {name: float(roc_auc_score(split.is_anomaly, s)) for name, s in scores.items()},
        "fit_cpu_s": round(fitted - started, 2),
    }


def note(rows: Rows, study: str, wanted: list[str], found: Any) -> str:
    """What made the rows, by which command, and what is missing."""
    made = made_with(rows, "torch")
    return f"{made}; `python -m benchmarks {study}`.{missing(wanted, found)}"
