"""Convolutional encoder and decoder for images, and the published ones by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from lampblack.networks.dense import drawn

MOST_CHANNELS = 128
SLOPE = 0.2  # of leaky rectifiers
SMALLEST_MAP = 4  # pixels a side below which a map is not halved again


def convolutional_networks(
    shape: tuple[int, int, int],
    *,
    width: int,
    depth: int | None,
    latent_dim: int,
    generator: torch.Generator,
) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder (channels, height, width) → latent_dim and its mirror image.

    Every block halves height and width (3×3 convolutions of stride 2, rounding up) and doubles the
    channels, from `width` up to 128; batch norm and a leaky ReLU follow. depth: blocks; None halves
    until the shorter side is 4 to 7 pixels. The code has no activation. The decoder has no batch
    norm: it would scale a code up again that Toll has pulled to the origin, so that its norm would
    cost nothing, and the reconstruction of small codes would be noise. It ends in a sigmoid, for
    pixels in [0, 1]. First weights are drawn from `generator`.
    """
    make = partial(drawn, generator=generator)
    channels, *size = shape
    if depth is None:
        depth = halvings(size)
    sizes = [tuple(size)]
    maps = [channels]
    for block in range(depth):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        maps.append(min(MOST_CHANNELS, width * 2**block))
    flat = maps[-1] * sizes[-1][0] * sizes[-1][1]
    encoder: list[nn.Module] = []
    for before, after in pairwise(maps):
        encoder += [make(nn.Conv2d, before, after, 3, stride=2, padding=1)]
        encoder += [nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE, inplace=True)]
    encoder += [nn.Flatten(), make(nn.Linear, flat, latent_dim)]
    decoder: list[nn.Module] = [
        make(nn.Linear, latent_dim, flat),
        nn.LeakyReLU(SLOPE, inplace=True),
    ]
    decoder.append(nn.Unflatten(1, (maps[-1], *sizes[-1])))
    for block in reversed(range(depth)):
        odd = tuple(1 - (2 * sizes[block + 1][axis] - sizes[block][axis]) for axis in (0, 1))
        decoder.append(
            make(
                nn.ConvTranspose2d,
                maps[block + 1],
                maps[block],
                3,
                stride=2,
                padding=1,
                output_padding=odd,
            )
        )
        if block:
            decoder.append(nn.LeakyReLU(SLOPE, inplace=True))
    decoder.append(nn.Sigmoid())
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def halvings(size: Sequence[int]) -> int:
    """How often (height, width) is halved until the shorter side is 4 to 7 pixels; at least once.

    >>> halvings((28, 28)), halvings((8, 8)), halvings((512, 300))
    (2, 1, 6)
    """
    return max(1, int(math.log2(min(size) / SMALLEST_MAP)))


def toll_mnist(latent_dim: int, generator: torch.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """The Toll authors' networks for MNIST and Fashion-MNIST, for images (1, 28, 28).

    Five 4×4 convolutions without padding, the third of stride 2, with 64 to 512 channels. A step
    takes about a hundred times what the default networks take: made for a GPU.
    """
    make = partial(drawn, generator=generator)
    encoder: list[nn.Module] = []
    for before, after, stride in ((1, 64, 1), (64, 128, 1), (128, 256, 2), (256, 512, 1)):
        encoder += [
            make(nn.Conv2d, before, after, 4, stride),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2),
        ]
    encoder += [make(nn.Conv2d, 512, 64, 4), nn.Flatten(), make(nn.Linear, 1024, latent_dim)]
    decoder: list[nn.Module] = [make(nn.Linear, latent_dim, 1024), nn.Unflatten(1, (64, 4, 4))]
    for before, after, stride in ((64, 512, 1), (512, 256, 1), (256, 128, 2), (128, 64, 1)):
        decoder += [make(nn.ConvTranspose2d, before, after, 4, stride)]
        decoder += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    decoder.append(make(nn.ConvTranspose2d, 64, 1, 4))
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def toll_cifar10(
    latent_dim: int, generator: torch.Generator
) -> tuple[nn.Sequential, nn.Sequential]:
    """The Toll authors' networks for CIFAR, for images (3, 32, 32); made for a GPU."""
    make = partial(drawn, generator=generator)
    layers = ((3, 32, 5, 1), (32, 64, 4, 2), (64, 128, 4, 1), (128, 256, 4, 2), (256, 512, 4, 1))
    encoder: list[nn.Module] = []
    for before, after, kernel, stride in (*layers, (512, 512, 1, 1)):
        encoder += [make(nn.Conv2d, before, after, kernel, stride, bias=False)]
        encoder += [nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
    encoder += [make(nn.Conv2d, 512, latent_dim, 1), nn.Flatten()]
    up = ((latent_dim, 256, 4, 1), (256, 128, 4, 2), (128, 64, 4, 1), (64, 32, 4, 2))
    decoder: list[nn.Module] = [nn.Unflatten(1, (latent_dim, 1, 1))]
    for before, after, kernel, stride in (*up, (32, 32, 5, 1)):
        decoder += [make(nn.ConvTranspose2d, before, after, kernel, stride, bias=False)]
        decoder += [nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
    decoder += [make(nn.Conv2d, 32, 32, 1, bias=False), nn.BatchNorm2d(32), nn.LeakyReLU(0.1)]
    decoder += [make(nn.Conv2d, 32, 3, 1, bias=False), PixelBias((3, 32, 32))]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


class PixelBias(nn.Module):
    """Adds a learned value to every element of an image; zero at first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """X (n, ...) plus the bias (...)."""
        return x + self.bias
