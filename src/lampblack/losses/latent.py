"""Toll's pull of the codes to the origin."""

from __future__ import annotations

import torch
from torch import Tensor


def latent_norm(z: Tensor) -> Tensor:
    """The Euclidean norm ‖z‖₂ of every code, not squared.

    z: (n, latent), or any further axes. Returns (n,). Its slope at 0 is taken as 0.
    Source: Toll, arXiv 2306.12627.

    >>> import torch
    >>> latent_norm(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    norms: Tensor = torch.linalg.vector_norm(z.flatten(start_dim=1), dim=1)
    return norms
