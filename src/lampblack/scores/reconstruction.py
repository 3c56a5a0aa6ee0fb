"""The score of a reconstruction: its plain error, and the norm of the code where it is weighed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lampblack.choices import RECONSTRUCTION_ERRORS, ReconstructionErrorName
from lampblack.losses import elementwise_error, latent_norm, reconstruction_error
from lampblack.networks import AutoencoderPair
from lampblack.scores.attribution import integrated_gradients
from lampblack.scores.base import Passed, Score, Scored


class ReconstructionScore(Score):
    """Score = error(x, x̂) + weight · ‖z‖₂; the error is plain even where training amplified it.

    Sources: LAMP scores by the plain error (arXiv 2308.14595), Toll by its whole objective
    (arXiv 2306.12627). worst: the share of the positions of a map (n, channels, h, w) of which the
    error is made, those where it is largest: a small defect decides. Raises ValueError for an
    unknown error, or a weight that is negative or not finite.
    """

    def __init__(self, name: ReconstructionErrorName, weight: float, worst: float = 1.0) -> None:
        super().__init__()
        if name not in RECONSTRUCTION_ERRORS:
            raise ValueError(f"unknown reconstruction error {name!r}")
        if not 0 <= weight < math.inf:
            raise ValueError(f"the latent norm cannot weigh {weight!r}")
        self._error: ReconstructionErrorName = name
        self._weight = weight
        self._worst = worst

    def forward(self, networks: AutoencoderPair, passed: Passed) -> Scored:
        """The scores of a batch; the remainder is the weighted norm of the code."""
        if self._worst < 1:
            error = self._of_worst(passed).sum(dim=(1, 2, 3))
        else:
            error = reconstruction_error(passed.x, passed.reconstruction, self._error)
        if not self._weight:
            return Scored(error, torch.zeros_like(error))
        return Scored(error, self._weight * latent_norm(passed.z))

    def explain(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> tuple[Tensor, Tensor]:
        """Each element's own term of the error, non-negative; the weighted norm of the code."""
        if self._worst < 1:
            parts = self._of_worst(passed)
        else:
            parts = error_contributions(passed.x, passed.reconstruction, name=self._error)
        return parts, self(networks, passed).remainder

    def _of_worst(self, passed: Passed) -> Tensor:
        """Each element's own term of the error of the worst positions, zero elsewhere."""
        error = elementwise_error(passed.x, passed.reconstruction, self._error)
        parts = error * share_of_worst(error.mean(dim=1), self._worst)[:, None] / error.shape[1]
        if self._error == "l2_norm":
            parts = parts / parts.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30).sqrt()
        return parts

    def attribute_remainder(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> Tensor:
        """Integrated gradients of the weighted norm, from the reconstruction to the sample."""
        return integrated_gradients(
            lambda x: self._weight * latent_norm(networks.encode(x)),
            start=passed.reconstruction.clone(),
            end=passed.x.clone(),
            at_once=at_once,
        )


def share_of_worst(by_position: Tensor, share: float) -> Tensor:
    """What each position (n, h, w) counts for in the mean of the worst of them: 1 / k or 0.

    k: so large a share of the positions, at least one.
    """
    flat = by_position.flatten(start_dim=1)
    k = max(1, round(share * flat.shape[1]))
    counted = torch.zeros_like(flat).scatter(1, flat.topk(k, dim=1).indices, 1 / k)
    return counted.reshape(by_position.shape)


def error_contributions(
    x: Tensor, reconstruction: Tensor, *, name: ReconstructionErrorName
) -> Tensor:
    """What every element adds to the error: the shape of x, non-negative, summing to the error.

    A mean splits into its terms. The norm splits by its squares, r² / ‖r‖₂.
    """
    error = elementwise_error(x, reconstruction, name)
    by_sample = error.flatten(start_dim=1)
    if name == "l2_norm":
        norm = reconstruction_error(x, reconstruction, name)
        return (by_sample / norm[:, None]).reshape(error.shape)
    return (by_sample / by_sample.shape[1]).reshape(error.shape)
