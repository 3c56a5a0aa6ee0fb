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
OTHERS_THAN_DIGITS = ("left-out digits", "photographs", "one colour", "blurred", "noise")
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
    return train, normal, _as_bytes(others)


def digits_and_others(seed: int) -> tuple[Pixels, Pixels, dict[str, Pixels]]:
    """The same for digits 0 to 7 of MNIST: near anomalies are 8 and 9, far ones are no digits."""
    train, of_train, test, of_test = load_mnist()
    photographs = load_cifar()[2].mean(axis=1, keepdims=True)[:, :, 2:30, 2:30]
    rng = np.random.default_rng(seed)
    known, left_out = (rng.permutation(np.flatnonzero(mask)) for mask in (of_test < 8, of_test > 7))
    normal, source = test[known[:COMPARED]], test[known[COMPARED : 2 * COMPARED]]
    colours = rng.integers(0, 256, (COMPARED, 1, 1, 1))
    others = {
        "left-out digits": test[rng.choice(left_out, COMPARED)],
        "photographs": photographs[rng.permutation(len(photographs))[:COMPARED]],
        "one colour": np.broadcast_to(colours, (COMPARED, 1, 28, 28)),
        "blurred": gaussian_filter(source.astype(np.float32), (0, 0, 2, 2)),
        "noise": rng.integers(0, 256, (COMPARED, 1, 28, 28)),
    }
    return train[of_train < 8], normal, _as_bytes(others)


def _as_bytes(images: dict[str, Any]) -> dict[str, Pixels]:
    return {name: np.asarray(values).round().astype(np.uint8) for name, values in images.items()}


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


def measure(fit: Any, images: tuple[Pixels, Pixels, dict[str, Pixels]]) -> dict[str, Any]:
    """AUROC of every score against every other kind of image."""
    train, normal, others = images
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


def codes(fit: Any) -> dict[str, Any]:
    """What the codes of all ten digits know, and how compact they are.

    probe: accuracy on 5,000 test images of a linear model fitted to the codes of 5,000 others and
    their digits. norm: mean ‖z‖₂ of test images. axes: how many axes the codes spread over, (Σλ)² /
    Σλ² of the eigenvalues of their covariance.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, _, test, digits = load_mnist()
    z = fit(train).encode(test)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    accuracy = probe.fit(z[:5000], digits[:5000]).score(z[5000:], digits[5000:])
    spread = np.linalg.eigvalsh(np.cov(z.T))
    return {
        "probe": float(accuracy),
        "norm": float(np.linalg.norm(z, axis=1).mean()),
        "axes": float(spread.sum() ** 2 / (spread**2).sum()),
    }
