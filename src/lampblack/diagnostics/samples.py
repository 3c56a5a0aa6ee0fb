"""Some of the samples that a user gives, as a detector's networks take them."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lampblack.data.samples import CheckedSamples
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput
from lampblack.scores.nearest.memory import RememberingPair

MOST_COMPARED = 10_000  # samples
COMPARED_VALUES = 1 << 27  # of all samples that are held against each other, 512 MiB


def checked(detector: ReconstructionDetector, X: Any) -> CheckedSamples:
    """X as the detector's schema takes it. Raises InvalidInput where there is none of them."""
    samples = detector._checked(X)
    if not len(samples):
        raise InvalidInput("there is no sample to look at; give at least one")
    return samples


def some(n: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of at most so many of n samples, ascending, drawn with the seed."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def encoded(
    detector: ReconstructionDetector,
    X: Any,
    most: int,
    *,
    most_values: int = 1 << 22,
    seed: int = 0,
) -> Tensor:
    """At most so many samples of X, encoded, on the detector's device (n, ...).

    most_values: of all of them together, so that large images fit in memory; two samples always do.
    """
    samples = checked(detector, X)
    fitting = max(2, most_values // math.prod(detector.encoder_.shape))
    few = samples.take(some(len(samples), min(most, fitting), seed))
    return detector._encoded(few, detector.networks_.varying.device)


def remembers(detector: ReconstructionDetector) -> bool:
    """Whether the model keeps samples that were fitted."""
    return isinstance(detector.networks_, RememberingPair)


def remembered_among(detector: ReconstructionDetector, x: Tensor) -> int:
    """How many of the encoded samples x (n, ...) equal one that the model remembers."""
    networks = cast(RememberingPair, detector.networks_)
    memory = {row.tobytes() for row in networks.memory.cpu().numpy()}
    return sum(row.tobytes() in memory for row in networks.compared(x).cpu().numpy())
