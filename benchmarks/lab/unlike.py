"""Images unlike those that a detector was fitted to: CIFAR-10 (as JPEG) or digits, and others.

Others are of one colour, blurred, of low contrast, of another set, or noise. A smooth image has a
small error whatever it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from benchmarks.lab.image_sets import Pixels, load_cifar, load_idx

COMPARED = 2000  # images of each kind
OTHERS = ("one colour", "blurred", "low contrast", "digits", "noise")
OTHERS_THAN_DIGITS = ("left-out digits", "photographs", "one colour", "blurred", "noise")

Images = tuple[Pixels, Pixels, dict[str, Pixels]]


def normal_and_others(seed: int) -> Images:
    """Training images, normal test images, and the others by name, each (n, 3, 32, 32)."""
    train, _, test, _ = load_cifar()
    digits = load_idx("mnist")[2]
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


def digits_and_others(seed: int) -> Images:
    """The same for digits 0 to 7 of MNIST: near anomalies are 8 and 9, far ones are no digits."""
    train, of_train, test, of_test = load_idx("mnist")
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


def told_apart(
    score: Any, normal: Pixels, others: dict[str, Pixels]
) -> dict[str, dict[str, float]]:
    """AUROC of every score against every other kind of image. score: gives scores by name."""
    truth = np.repeat([False, True], COMPARED)
    of_normal = score(normal)
    figures: dict[str, dict[str, float]] = {name: {} for name in of_normal}
    for other, X in others.items():
        for name, of_other in score(np.ascontiguousarray(X)).items():
            both = np.concatenate([of_normal[name], of_other])
            figures[name][other] = float(roc_auc_score(truth, both))
    return figures
