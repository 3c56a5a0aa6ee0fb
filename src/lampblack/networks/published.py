"""Published networks by name: the shape of images that each takes, and what makes it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lampblack.networks.convolutional import toll_cifar10, toll_mnist
from lampblack.networks.residual import ama_cifar10

Published = Callable[[int, torch.Generator], tuple[nn.Sequential, nn.Sequential]]

PUBLISHED: dict[str, tuple[tuple[int, int, int], Published]] = {
    "toll-mnist": ((1, 28, 28), toll_mnist),
    "toll-cifar10": ((3, 32, 32), toll_cifar10),
    "ama-cifar10": ((3, 32, 32), ama_cifar10),
}
