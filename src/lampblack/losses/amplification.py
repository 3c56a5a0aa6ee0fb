"""LAMP's amplification of reconstruction errors, and this project's variant of it."""

from __future__ import annotations

import math

from torch import Tensor, where

CEILING = 1 - 1e-6
SCALED_CEILING = 0.9


def amplify(error: Tensor, *, ceiling: float = CEILING) -> Tensor:
    """Amplify elementwise errors: A(ℓ) = −ln(1 − ℓ).

    error: any shape, values in [0, 1]. Returns the same shape, never below `error`.
    A(ℓ) ≥ ℓ, A'(ℓ) ≥ 1, A is convex and A(ℓ) → ℓ as ℓ → 0. The expression diverges at 1, so above
    `ceiling` it goes on along its tangent there: value and slope stay finite, and all four
    properties hold for every ℓ ≥ 0. A clamp would have slope 0 where the error is worst.
    Source: LAMP, arXiv 2308.14595; the formula is this project's reading (docs/methods/lamp.md).

    >>> import torch
    >>> [round(value, 4) for value in amplify(torch.tensor([0.0, 0.01, 0.5])).tolist()]
    [0.0, 0.0101, 0.6931]
    """
    below = error.clamp(max=ceiling)
    tangent = -math.log1p(-ceiling) + (error - ceiling) / (1 - ceiling)
    return where(error > ceiling, tangent, -(-below).log1p())


def amplify_rescaled(error: Tensor, scale: Tensor, *, ceiling: float = SCALED_CEILING) -> Tensor:
    """Amplify errors that have no bound, measured in units of `scale`: scale · A(ℓ / scale).

    error: any shape, values ≥ 0; scale: a positive scalar, kept by the training step as a running
    high quantile of the batches' own errors. Small errors pass unchanged, errors near `scale` are
    amplified, and larger ones go on along the tangent at `ceiling`.
    This variant is this project's own, not the paper's: plain amplification hardly acts where all
    errors are small, and cannot take errors above 1 (docs/methods/lamp.md).

    >>> import torch
    >>> amplified = amplify_rescaled(torch.tensor([0.0, 4.0]), torch.tensor(8.0))
    >>> [round(value, 4) for value in amplified.tolist()]
    [0.0, 5.5452]
    """
    return scale * amplify(error / scale, ceiling=ceiling)
