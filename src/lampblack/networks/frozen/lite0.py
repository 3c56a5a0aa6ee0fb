"""EfficientNet-lite0 up to a named block, as its weights in PyTorch have it.

Source: Tan & Le, EfficientNet, arXiv 1905.11946; the lite variants of TensorFlow's models drop
squeeze-and-excitation and have ReLU6. Weights trained with ImageNet's labels, Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM = 32  # channels
BLOCKS = (  # kernel, stride, expansion, channels of each
    (3, 1, 1, 16),
    *[(3, 2, 6, 24), (3, 1, 6, 24)],
    *[(5, 2, 6, 40), (5, 1, 6, 40)],
    *[(3, 2, 6, 80)] + 2 * [(3, 1, 6, 80)],
    *3 * [(5, 1, 6, 112)],
    *[(5, 2, 6, 192)] + 3 * [(5, 1, 6, 192)],
    (3, 1, 6, 320),
)
HEAD, CLASSES = 1280, 1000
EPS = 1e-3


class Lite0(nn.Module):
    """The stem and so many blocks; all of them, and the classes, where `classes` is asked for.

    Called with images (n, 3, height, width), normalised; gives the maps of the last block, or
    (n, 1000) scores of ImageNet's classes. Names of weights are those of the published file.
    """

    def __init__(self, blocks: int = len(BLOCKS), *, classes: bool = False) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, STEM, 3, stride=2, bias=False)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPS)
        widths = [STEM, *(channels for *_, channels in BLOCKS)]
        self._blocks = nn.ModuleList(
            Block(inward, *block) for inward, block in zip(widths, BLOCKS[:blocks], strict=False)
        )
        self.classifies = classes
        if classes:
            self._conv_head = nn.Conv2d(widths[-1], HEAD, 1, bias=False)
            self._bn1 = nn.BatchNorm2d(HEAD, eps=EPS)
            self._fc = nn.Linear(HEAD, CLASSES)

    def maps(self, x: Tensor, wanted: Sequence[int]) -> list[Tensor]:
        """The maps of these blocks, in order."""
        x = functional.relu6(self._bn0(self._conv_stem(_same(x, 3))))
        found = []
        for position, block in enumerate(self._blocks):
            x = block(x)
            if position in wanted:
                found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        (x,) = self.maps(x, [len(self._blocks) - 1])
        if self.classifies:
            x = functional.relu6(self._bn1(self._conv_head(x)))
            x = self._fc(x.mean(dim=(2, 3)))
        return torch.as_tensor(x)


class Block(nn.Module):
    """An inverted residual: expand, depthwise convolution, project; a skip where shapes agree."""

    def __init__(self, inward: int, kernel: int, stride: int, expansion: int, channels: int):
        super().__init__()
        wide = inward * expansion
        self._expands = expansion > 1
        if self._expands:
            self._expand_conv = nn.Conv2d(inward, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPS)
        padding = kernel // 2 if stride == 1 else 0
        self._depthwise_conv = nn.Conv2d(
            wide, wide, kernel, stride=stride, padding=padding, groups=wide, bias=False
        )
        self._bn1 = nn.BatchNorm2d(wide, eps=EPS)
        self._project_conv = nn.Conv2d(wide, channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(channels, eps=EPS)
        self._kernel = kernel if stride > 1 else 0
        self._skips = stride == 1 and inward == channels

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = _same(y, self._kernel) if self._kernel else y
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return torch.as_tensor(x + y if self._skips else y)


def _same(x: Tensor, kernel: int) -> Tensor:
    """TensorFlow's padding before stride 2: an odd one is at the right and the bottom.

    Of even sides, as the sizes of working images are multiples of 32.
    """
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    return functional.pad(x, (before, after, before, after))


def channels_of(blocks: Iterable[int]) -> int:
    """The channels of these blocks together."""
    return sum(BLOCKS[block][3] for block in blocks)
