"""Dense encoder and decoder for tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

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
        layers.append(drawn(nn.Linear, before, after, generator=generator))
        layers += [nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
    layers.append(drawn(nn.Linear, widths[-2], widths[-1], generator=generator))
    return nn.Sequential(*layers)


def drawn(
    kind: type[nn.Module], *arguments: Any, generator: torch.Generator, **options: Any
) -> nn.Module:
    """A linear or convolutional layer whose first weights come from `generator`.

    They are drawn as torch's layers draw theirs from the global state.
    """
    # nn.utils.skip_init would do, but its way over the meta device imports sympy: half a second.
    undrawn: Any = type(kind.__name__, (kind,), {"reset_parameters": lambda self: None})
    layer: Any = undrawn(*arguments, **options)
    layer.__class__ = kind
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if layer.bias is not None:
        bound = 1 / math.sqrt(layer.weight[0].numel())  # by the number of inputs
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return cast(nn.Module, layer)
