"""Dense encoder and decoder for tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def dense_networks(
    width: int,
    *,
    hidden: Sequence[int],
    latent_dim: int,
    bounded: bool,
    generator: torch.Generator,
) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder width → hidden → latent_dim and its mirror image.

    Batch norm and ReLU follow every hidden layer; the code has no activation, so that its norm can
    shrink to nothing and grow without bound. A `bounded` decoder ends in a sigmoid, for samples in
    [0, 1]. First weights are drawn from `generator`, as `nn.Linear` would draw them from the global
    state. Layout after Toll's network for tables (arXiv 2306.12627: 274 → 256 → 128 → 16).
    """
    widths = [width, *hidden, latent_dim]
    encoder = _layers(widths, generator)
    decoder = _layers(widths[::-1], generator)
    if bounded:
        decoder.append(nn.Sigmoid())
    return encoder, decoder


def _layers(widths: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [_linear(before, after, generator), nn.BatchNorm1d(after), nn.ReLU()]
    layers.append(_linear(widths[-2], widths[-1], generator))
    return nn.Sequential(*layers)


def _linear(before: int, after: int, generator: torch.Generator) -> nn.Linear:
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, before, after)  # type: ignore[no-untyped-call]
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    bound = 1 / math.sqrt(before)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
