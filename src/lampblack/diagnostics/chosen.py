"""Some of the samples that a user gives, as a detector's networks take them."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lampblack.data.kind import Samples
from lampblack.exceptions import InvalidInput
from lampblack.model.model import Model, as_model
from lampblack.scores import NearestScore

MOST_COMPARED = 10_000  # samples
COMPARED_VALUES = 1 << 27  # of all samples that are held against each other, 512 MiB


def checked(detector: Model, X: object) -> Samples:
    """X as the detector's schema takes it. Raises InvalidInput where there is none of them."""
    samples = as_model(detector).checked(X)
    if not len(samples):
        raise InvalidInput("there is no sample to look at; give at least one")
    return samples


def some(n: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Positions of at most so many of n samples, ascending, drawn with the seed."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def encoded(
    detector: Model,
    X: object,
    most: int,
    *,
    most_values: int = 1 << 22,
    seed: int = 0,
) -> Tensor:
    """At most so many samples of X, encoded, on the detector's device (n, ...).

    most_values: of all of them together, so that large images fit in memory; two samples always do.
    """
    model, samples = as_model(detector), checked(detector, X)
    fitting = max(2, most_values // math.prod(model.encoder.shape))
    few = samples.take(some(len(samples), min(most, fitting), seed))
    return model.encoded(few)


def remembers(detector: Model) -> bool:
    """Whether the model keeps samples that were fitted."""
    return isinstance(as_model(detector).score, NearestScore)


def remembered_among(detector: Model, x: Tensor) -> int:
    """How many of the encoded samples x (n, ...) equal one that the model remembers."""
    remembered = cast(NearestScore, as_model(detector).score).remembered
    known = {row.tobytes() for row in remembered.samples.cpu().numpy()}
    return sum(row.tobytes() in known for row in remembered.compared(x).cpu().numpy())
