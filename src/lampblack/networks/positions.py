"""Networks over the positions of a map of features."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lampblack.networks.dense import drawn

AROUND = 7  # positions a side that make the surroundings of one
HIDDEN = 256  # channels
VIEWS = 2  # weighted sums of the surroundings, a channel


def context_networks(
    channels: int, *, latent_dim: int, generator: torch.Generator
) -> tuple[nn.Sequential, nn.Sequential]:
    """(n, channels, h, w) → (n, latent_dim, h, w) → (n, channels, h, w), from the surroundings.

    A position is never shown itself: a depthwise convolution over 7×7 positions has no weight at
    its centre, and all that follows sees one position at a time. So nothing can be copied.
    """
    make = partial(drawn, generator=generator)
    around = Surroundings(channels, generator)
    return (
        nn.Sequential(
            around,
            make(nn.Conv2d, VIEWS * channels, HIDDEN, 1),
            nn.GELU(),
            make(nn.Conv2d, HIDDEN, latent_dim, 1),
        ),
        nn.Sequential(nn.GELU(), make(nn.Conv2d, latent_dim, channels, 1)),
    )


def position_networks(
    channels: int, *, latent_dim: int, generator: torch.Generator
) -> tuple[nn.Sequential, nn.Sequential]:
    """The same of each position by itself, which can be copied as far as the code allows."""
    make = partial(drawn, generator=generator)
    code = min(latent_dim, max(1, channels // 4))
    return (
        nn.Sequential(
            make(nn.Conv2d, channels, HIDDEN, 1), nn.GELU(), make(nn.Conv2d, HIDDEN, code, 1)
        ),
        nn.Sequential(
            make(nn.Conv2d, code, HIDDEN, 1), nn.GELU(), make(nn.Conv2d, HIDDEN, channels, 1)
        ),
    )


class Surroundings(nn.Module):
    """Weighted sums, channel by channel, of the 48 positions around one, but not of itself."""

    beside: Tensor

    def __init__(self, channels: int, generator: torch.Generator) -> None:
        super().__init__()
        self.sums = cast(
            nn.Conv2d,
            drawn(
                nn.Conv2d,
                channels,
                VIEWS * channels,
                AROUND,
                padding=AROUND // 2,
                groups=channels,
                generator=generator,
            ),
        )
        beside = torch.ones(AROUND, AROUND)
        beside[AROUND // 2, AROUND // 2] = 0
        self.register_buffer("beside", beside, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) → (n, 2 · channels, h, w)."""
        weight = self.sums.weight * self.beside
        bias, groups = self.sums.bias, self.sums.groups
        return functional.conv2d(x, weight, bias, padding=AROUND // 2, groups=groups)
