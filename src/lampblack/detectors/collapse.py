"""Noticing, while training runs, that a network no longer tells rows apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from lampblack.exceptions import CollapseWarning
from lampblack.networks import AutoencoderPair
from lampblack.scores import Scored

NOTHING = 1e-4  # spread, relative to that of the rows themselves, below which nothing is told apart
LOOKS = 3  # looks in a row that must agree: a schedule may pass through a collapse


class CollapseWatch:
    """Look at rows that are not trained on, once an epoch, and warn of a full collapse, once.

    The codes have collapsed when neither the reconstruction nor the remainder of the score differs
    between rows: the standard deviation of both, over rows, is below 1e-4 of that of the rows and
    of the errors. What is left of the score is then the distance to one constant point, and the
    network adds nothing. Nothing that is trained depends on what the watch sees.
    """

    def __init__(
        self,
        networks: AutoencoderPair,
        rows: Tensor,
        score_batch: Callable[[Tensor, Tensor, Tensor], Scored],
    ) -> None:
        self._networks, self._rows, self._score_batch = networks, rows, score_batch
        self._spread = _spread(rows)
        self._collapsed_looks = 0

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Look once; `step` is named in the warning."""
        if len(self._rows) < 2 or self._spread == 0 or self._collapsed_looks >= LOOKS:
            return
        z, reconstruction = self._networks(self._rows)
        scored = self._score_batch(self._rows, z, reconstruction)
        constant = _spread(reconstruction) < NOTHING * self._spread
        remainder_says_nothing = _spread(scored.remainder) < NOTHING * _spread(scored.error)
        if not (constant and remainder_says_nothing):
            self._collapsed_looks = 0
            return
        self._collapsed_looks += 1
        if self._collapsed_looks == LOOKS:
            warnings.warn(
                f"the codes have collapsed by step {step}: on held-out rows neither reconstruction "
                "nor code differs from row to row, so the score is the distance to one point; "
                "lower latent_weight, or the learning rate, or widen latent_dim",
                CollapseWarning,
                stacklevel=2,
            )

    def conclude(self, step: int) -> None:
        """Look at the weights that are kept, and let this look decide."""
        if self._collapsed_looks < LOOKS:
            self._collapsed_looks = LOOKS - 1
            self(step)


def _spread(values: Tensor) -> float:
    """The largest standard deviation over rows of any element."""
    return float(values.double().flatten(start_dim=1 if values.ndim > 1 else 0).std(dim=0).max())
