"""Dense encoder and decoder for tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def dense_networks(
    width: int, *, hidden: Sequence[int], latent_dim: int, bounded: bool
) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder width → hidden → latent_dim and its mirror image.

    Batch norm and ReLU follow every hidden layer; the code has no activation, so that its norm can
    shrink to nothing and grow without bound. A `bounded` decoder ends in a sigmoid, for samples in
    [0, 1]. Layout after Toll's network for tables (arXiv 2306.12627: 274 → 256 → 128 → 16).
    """
    widths = [width, *hidden, latent_dim]
    encoder = _layers(widths)
    decoder = _layers(widths[::-1])
    if bounded:
        decoder.append(nn.Sigmoid())
    return encoder, decoder


def _layers(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    layers.append(nn.Linear(widths[-2], widths[-1]))
    return nn.Sequential(*layers)
