"""The loss around a detector's weights: along lines, over a plane, and as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from lampblack.diagnostics.chosen import encoded
from lampblack.diagnostics.curvature import (
    Loss,
    Sharpness,
    Weights,
    autoencoder_weights,
    mean_loss,
    moved,
    random_direction,
    sharpness_of,
    transposed_weights,
)
from lampblack.diagnostics.time_limit import NO_LIMIT, TimeLimit
from lampblack.explanation import Values
from lampblack.model.model import Model, as_model
from lampblack.model.parameters import given

MOST_ROWS, MOST_IMAGES = 512, 64
MOST_VALUES = 1 << 18  # of images together, but never fewer than two
POINTS, IMAGE_POINTS = 21, 11
LINES = 5


@dataclass(frozen=True)
class Landscape:
    """Mean losses on the way from the trained weights, by name.

    steps: (k,), from −1 to 1, in lengths of the weights, filter by filter; 0 is where training
    ended. lines: (directions, k), along random directions. plane: (k, k), over the first two.
    """

    steps: Values
    lines: dict[str, Values]
    plane: dict[str, Values]


def losses_of(detector: Model, X: object, *, seed: int = 0) -> dict[str, Loss]:
    """The losses that are looked at, as functions of the weights of encoder and decoder.

    "plain": the reconstruction error, not amplified. "training": what training minimised, the
    error amplified where it was, and the weighted norm of the code; the same function where there
    is neither, and without the critic's terms, which move as the critic does.
    """
    model = as_model(detector)
    fitted, networks = model.parameters, model.networks
    x = _some(detector, X, seed)
    error = fitted.reconstruction_error
    plain = mean_loss(networks, x, error=error)
    if fitted.amplification is None and not fitted.latent_weight:
        return {"plain": plain, "training": plain}
    training = mean_loss(
        networks,
        x,
        error=error,
        amplification=fitted.amplification,
        latent_weight=given(fitted.latent_weight),
    )
    return {"plain": plain, "training": training}


def loss_landscape(
    detector: Model,
    X: object,
    *,
    points: int | None = None,
    reach: float = 1.0,
    seed: int = 0,
    limit: TimeLimit = NO_LIMIT,
) -> Landscape:
    """The losses of `losses_of` along five random directions, and over the plane of the first two.

    X: normal samples as the detector takes them; at most 512 rows or 64 images (fewer where they
    are large), drawn with the seed, are looked at. Directions are normalised by filter (Li et al.
    2018, arXiv 1712.09913); batch norms keep their running statistics. points: on each line, odd so
    that 0 is among them; None is 21 for tables and 11 for images. reach: how far to go, in lengths
    of the weights. Raises InvalidInput where the limit is over first.

    >>> import numpy as np
    >>> from lampblack import LAMPDetector
    >>> from lampblack.diagnostics import loss_landscape
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> detector = LAMPDetector(max_steps=50, hidden=(16,), random_state=0).fit(normal)
    >>> found = loss_landscape(detector, normal, points=5)
    >>> found.lines["training"].shape, found.plane["plain"].shape
    ((5, 5), (5, 5))
    """
    if points is None:
        points = POINTS if len(as_model(detector).encoder.shape) == 1 else IMAGE_POINTS
    steps = np.linspace(-reach, reach, points)
    weights = autoencoder_weights(as_model(detector).networks)
    generator = torch.Generator().manual_seed(seed)
    transposed = transposed_weights(as_model(detector).networks)
    ways = [random_direction(weights, generator, transposed=transposed) for _ in range(LINES)]
    losses = losses_of(detector, X, seed=seed)
    lines: dict[str, Values] = {}
    plane: dict[str, Values] = {}
    for name, loss in losses.items():
        if name == "training" and loss is losses["plain"]:
            lines[name], plane[name] = lines["plain"], plane["plain"]
            continue
        with torch.no_grad():
            lines[name] = np.array([_values(loss, weights, way, steps, limit) for way in ways])
            across = [moved(weights, ways[0], s) for s in steps]
            plane[name] = np.array(
                [_values(loss, place, ways[1], steps, limit) for place in across]
            )
    return Landscape(steps, lines, plane)


def _values(
    loss: Loss, weights: Weights, way: Weights, steps: Values, limit: TimeLimit
) -> list[float]:
    """Losses on the way from these weights."""
    found = []
    for t in steps:
        limit.ask()
        found.append(float(loss(moved(weights, way, float(t)))))
    return found


def sharpness(
    detector: Model, X: object, *, seed: int = 0, limit: TimeLimit = NO_LIMIT
) -> dict[str, Sharpness]:
    """How steep the losses of `losses_of` are at the trained weights, by name.

    X, seed and limit as in `loss_landscape`.

    >>> import numpy as np
    >>> from lampblack import LAMPDetector
    >>> from lampblack.diagnostics import sharpness
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> detector = LAMPDetector(max_steps=50, hidden=(16,), random_state=0).fit(normal)
    >>> found = sharpness(detector, normal)
    >>> found["training"].largest_eigenvalue > found["plain"].largest_eigenvalue > 0
    True
    """
    weights = autoencoder_weights(as_model(detector).networks)
    transposed = transposed_weights(as_model(detector).networks)
    losses = losses_of(detector, X, seed=seed)
    measure = partial(sharpness_of, weights=weights, transposed=transposed, seed=seed, limit=limit)
    found = {"plain": measure(losses["plain"])}
    same = losses["training"] is losses["plain"]
    found["training"] = found["plain"] if same else measure(losses["training"])
    return found


def _some(detector: Model, X: object, seed: int) -> torch.Tensor:
    shape = as_model(detector).encoder.shape
    fitting = max(2, min(MOST_IMAGES, MOST_VALUES // math.prod(shape)))
    return encoded(detector, X, MOST_ROWS if len(shape) == 1 else fitting, seed=seed)
