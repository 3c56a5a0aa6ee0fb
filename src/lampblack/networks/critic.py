"""The critic of AMA, which sees a sample beside its reconstruction, and the pair that holds one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from lampblack.networks.convolutional import MOST_CHANNELS, SLOPE, halvings
from lampblack.networks.dense import drawn
from lampblack.networks.pair import AutoencoderPair


class Critic(nn.Module):
    """D(a, b) = w · f(a, b) + c, for a sample `a` and what is held beside it, `b`.

    body: joined pairs to features (n, features); head: the last linear layer. mirror: join along
    channels (features, for a table); without it the critic sees `b` alone, an ordinary one.
    Source: AMA, arXiv 2003.10713.
    """

    def __init__(self, body: nn.Module, head: nn.Module, *, mirror: bool) -> None:
        super().__init__()
        self.body = body
        self.head = head
        self.mirror = mirror

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """How real the pair looks (n,), without bound."""
        return torch.as_tensor(self.head(self.features(a, b))).squeeze(1)

    def features(self, a: Tensor, b: Tensor) -> Tensor:
        """Features f (n, features) of a and b (n, ...), before the last linear layer."""
        joined = torch.cat([a, b], dim=1) if self.mirror else b
        return torch.as_tensor(self.body(joined))


class AdversarialPair(AutoencoderPair):
    """Encoder, decoder and critic."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, critic: Critic, varying: Tensor
    ) -> None:
        super().__init__(encoder, decoder, varying)
        self.critic = critic

    def criticise(self, a: Tensor, b: Tensor) -> Tensor:
        """D(a, b) (n,), of the features that vary."""
        return torch.as_tensor(self.critic(self._seen(a), self._seen(b)))

    def features(self, a: Tensor, b: Tensor) -> Tensor:
        """f(a, b) (n, features), of the features that vary."""
        return self.critic.features(self._seen(a), self._seen(b))

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.all_vary else x * self.varying


def dense_critic(
    width: int, *, hidden: Sequence[int], features: int, mirror: bool, generator: torch.Generator
) -> Critic:
    """A critic of rows (width,): the encoder's widths, leaky ReLU, no batch norm.

    Batch norm would mix the samples of a batch, and the gradient penalty is for each alone.
    """
    widths = [width * (2 if mirror else 1), *hidden, features]
    body: list[nn.Module] = []
    for before, after in pairwise(widths):
        body += [drawn(nn.Linear, before, after, generator=generator), nn.LeakyReLU(SLOPE)]
    return Critic(
        nn.Sequential(*body), drawn(nn.Linear, features, 1, generator=generator), mirror=mirror
    )


def convolutional_critic(
    shape: tuple[int, int, int],
    *,
    width: int,
    depth: int | None,
    features: int,
    mirror: bool,
    generator: torch.Generator,
) -> Critic:
    """A critic of images (channels, height, width): the encoder's blocks without batch norm."""
    make = partial(drawn, generator=generator)
    channels, *size = shape
    if depth is None:
        depth = halvings(size)
    maps = [channels * (2 if mirror else 1)]
    maps += [min(MOST_CHANNELS, width * 2**block) for block in range(depth)]
    body: list[nn.Module] = []
    for before, after in pairwise(maps):
        size = [-(-side // 2) for side in size]
        body += [make(nn.Conv2d, before, after, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
    flat = maps[-1] * size[0] * size[1]
    body += [nn.Flatten(), make(nn.Linear, flat, features), nn.LeakyReLU(SLOPE)]
    return Critic(nn.Sequential(*body), make(nn.Linear, features, 1), mirror=mirror)
