"""Where plain error fails: CIFAR-10 (as JPEG) against images that are easy to reconstruct.

Train on training images of all ten classes, without their labels; compare test images with images
of another kind: of one colour, blurred, of low contrast, digits, noise. A smooth image has a small
error whatever it shows.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from benchmarks.images import Pixels, load_cifar, load_mnist

COMPARED = 2000  # images of each kind
OTHERS = ("one colour", "blurred", "low contrast", "digits", "noise")
SCORES = ("critic", "typicality", "mahalanobis", "joint", "reconstruction")

Values = npt.NDArray[np.float64]


def normal_and_others(seed: int) -> tuple[Pixels, Pixels, dict[str, Pixels]]:
    """Training images, normal test images, and the others by name, each (n, 3, 32, 32)."""
    train, _, test, _ = load_cifar()
    digits = load_mnist()[2]
    rng = np.random.default_rng(seed)
    test = test[rng.permutation(len(test))[: 2 * COMPARED]]
    normal, source = test[:COMPARED], test[COMPARED:]
    centre = source.mean(axis=(1, 2, 3), keepdims=True)
    coloured = np.pad(
        digits[rng.permutation(len(digits))[:COMPARED]], [(0, 0), (0, 0), (2, 2), (2, 2)]
    )
    others = {
        "one colour": np.broadcast_to(
            rng.integers(0, 256, (COMPARED, 3, 1, 1)), (COMPARED, 3, 32, 32)
        ),
        "blurred": gaussian_filter(source.astype(np.float32), (0, 0, 2, 2)),
        "low contrast": centre + 0.3 * (source - centre),
        "digits": coloured.repeat(3, axis=1),
        "noise": rng.integers(0, 256, (COMPARED, 3, 32, 32)),
    }
    return (
        train,
        normal,
        {name: np.asarray(v).round().astype(np.uint8) for name, v in others.items()},
    )


def scores_of(detector: Any, X: Any) -> dict[str, Values]:
    """Every score that the detector's networks allow, by name.

    One fit serves all scores of AMA: what they learn from held-out samples, it keeps for each.
    """
    if not hasattr(detector.networks_, "critic"):
        return {"": detector.anomaly_score(X)}
    own = detector.parameters_["score_by"]
    scores = {}
    for name in SCORES:
        detector.parameters_["score_by"] = name
        scores[name] = detector.anomaly_score(X)
    detector.parameters_["score_by"] = own
    return scores


def measure(fit: Any, seed: int) -> dict[str, Any]:
    """AUROC of every score against every other kind of image."""
    train, normal, others = normal_and_others(seed)
    started = time.process_time()
    detector = fit(train)
    fitted = time.process_time()
    truth = np.repeat([False, True], COMPARED)
    of_normal = scores_of(detector, normal)
    figures: dict[str, dict[str, float]] = {name: {} for name in of_normal}
    for other, X in others.items():
        for name, of_other in scores_of(detector, X).items():
            both = np.concatenate([of_normal[name], of_other])
            figures[name][other] = float(roc_auc_score(truth, both))
    return {"fit_cpu_s": round(fitted - started, 1), "auroc": figures}
