"""Residual decoder and critic for 32×32 images, as AMA's authors use; made for a GPU."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lampblack.networks.convolutional import SLOPE
from lampblack.networks.critic import Critic
from lampblack.networks.dense import drawn

DECODER_WIDTH, CRITIC_WIDTH = 256, 128


class Residual(nn.Module):
    """Two 3×3 convolutions beside a shortcut; "up" doubles height and width, "down" halves them.

    Rectifiers stand before the convolutions. norm: batch norm before each of them.
    Source: the blocks of Miyato et al. 2018, arXiv 1802.05957, for CIFAR-10.
    """

    def __init__(
        self,
        before: int,
        after: int,
        resample: Literal["up", "down"] | None,
        *,
        norm: bool,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        make = partial(drawn, generator=generator)
        self.resample = resample
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width) if norm else nn.Identity() for width in (before, after)
        )
        self.first = make(nn.Conv2d, before, after, 3, padding=1)
        self.second = make(nn.Conv2d, after, after, 3, padding=1)
        changed = before != after or resample is not None
        self.shortcut = make(nn.Conv2d, before, after, 1) if changed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, height, width) → (n, after, ...)."""
        hidden = self.norms[0](x).relu()
        beside = x
        if self.resample == "up":
            hidden, beside = (functional.interpolate(v, scale_factor=2) for v in (hidden, x))
        hidden = self.second(self.norms[1](self.first(hidden)).relu())
        beside = self.shortcut(beside)
        if self.resample == "down":
            hidden, beside = (functional.avg_pool2d(v, 2) for v in (hidden, beside))
        return torch.as_tensor(hidden + beside)


class Pooled(nn.Module):
    """Rectified maps summed over height and width: (n, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, height, width) → (n, channels)."""
        return x.relu().sum(dim=(2, 3))


def ama_cifar10(latent_dim: int, generator: torch.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """AMA's encoder and decoder for CIFAR-10, for images (3, 32, 32) in [0, 1].

    Encoder: three 4×4 convolutions of stride 2 with 64 to 256 channels, and one without padding.
    Decoder: three residual blocks of 256 channels that double height and width. It ends in a
    sigmoid; the authors have images in [−1, 1] and tanh.
    """
    make = partial(drawn, generator=generator)
    encoder: list[nn.Module] = []
    for before, after in ((3, 64), (64, 128), (128, 256)):
        encoder += [make(nn.Conv2d, before, after, 4, stride=2, padding=1)]
        encoder += [nn.BatchNorm2d(after), nn.LeakyReLU(SLOPE)]
    encoder += [make(nn.Conv2d, 256, latent_dim, 4), nn.Flatten()]
    width = DECODER_WIDTH
    decoder: list[nn.Module] = [make(nn.Linear, latent_dim, width * 16)]
    decoder.append(nn.Unflatten(1, (width, 4, 4)))
    decoder += [Residual(width, width, "up", norm=True, generator=generator) for _ in range(3)]
    decoder += [nn.BatchNorm2d(width), nn.ReLU(), make(nn.Conv2d, width, 3, 3, padding=1)]
    decoder.append(nn.Sigmoid())
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def ama_cifar10_critic(*, mirror: bool, generator: torch.Generator) -> Critic:
    """AMA's critic for pairs of images (3, 32, 32): four residual blocks, 128 features."""
    width = CRITIC_WIDTH
    channels = 6 if mirror else 3
    block = partial(Residual, norm=False, generator=generator)
    body = nn.Sequential(
        drawn(nn.Conv2d, channels, width, 3, padding=1, generator=generator),
        block(width, width, "down"),
        block(width, width, "down"),
        block(width, width, None),
        block(width, width, None),
        Pooled(),
    )
    return Critic(body, drawn(nn.Linear, width, 1, generator=generator), mirror=mirror)
