"""The score of a reconstruction: its plain error, and the norm of the code where it is weighed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lampblack.losses import (
    ReconstructionErrorName,
    elementwise_error,
    latent_norm,
    reconstruction_error,
)


@dataclass(frozen=True)
class Scored:
    """The anomaly scores of a batch and their two parts, all (n,) and non-negative."""

    error: Tensor
    remainder: Tensor

    @property
    def score(self) -> Tensor:
        """The anomaly score: error + remainder."""
        return self.error + self.remainder

    def first(self, n: int) -> Scored:
        """The first n samples."""
        return Scored(self.error[:n], self.remainder[:n])


def reconstruction_score(
    x: Tensor, z: Tensor, reconstruction: Tensor, *, name: ReconstructionErrorName, weight: float
) -> Scored:
    """Score = error(x, x̂) + weight · ‖z‖₂; the error is plain even where training amplified it.

    x, reconstruction: (n, ...); z: (n, latent). Sources: LAMP scores by the plain error
    (arXiv 2308.14595), Toll by its whole objective (arXiv 2306.12627).
    """
    error = reconstruction_error(x, reconstruction, name)
    remainder = weight * latent_norm(z) if weight else error.new_zeros(len(error))
    return Scored(error, remainder)


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
