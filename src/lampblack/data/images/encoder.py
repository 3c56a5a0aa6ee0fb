"""Checked images to the float32 tensors that networks take: pixels, or a frozen network's maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lampblack.data.images.schema import ImageSchema, Pixels, to_unit
from lampblack.data.images.stored import ArrayImages, Images
from lampblack.data.kind import Encoder

if TYPE_CHECKING:
    from torch import Tensor

    from lampblack.data.images.features import FeatureMaps

WHITE = 255.0  # the value of a byte that becomes 1
FEATURES = "efficientnet-lite0"
LEARNED_AT_ONCE = 16  # images from which the maps' means are learned together


class ImageEncoder(Encoder):
    """Images in [0, 1], float32, as they are, or what a frozen network sees in them.

    maps: that network, where there is one; its maps are standardised over the training images.
    """

    def __init__(self, schema: ImageSchema, maps: FeatureMaps | None = None) -> None:
        self.schema = schema
        self._maps = maps

    @property
    def frozen(self) -> FeatureMaps | None:
        """The frozen network, where features are reconstructed."""
        return self._maps

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width); of maps, (features, rows, columns)."""
        return self.schema.shape if self._maps is None else self._maps.shape

    @property
    def varying(self) -> npt.NDArray[np.bool_]:
        """One True: a pixel that was constant in training is treated like any other."""
        return np.ones(1, dtype=np.bool_)

    def fit(self, images: Images) -> ImageEncoder:
        """Learn how the maps of these images are spread; of pixels, nothing."""
        if self._maps is not None:
            self._maps.learn(self._pixels(some) for some in images.chunks(LEARNED_AT_ONCE))
        return self

    def _pixels(self, images: ArrayImages) -> Tensor:
        import torch

        return self._in_unit(torch.from_numpy(self.values(images)))

    def form(self, images: ArrayImages) -> tuple[tuple[int, ...], npt.DTypeLike]:
        """(channels, height, width) of bytes, or of float32."""
        return self.schema.shape, np.uint8 if images.values.dtype == np.uint8 else np.float32

    def values(self, images: ArrayImages, out: Pixels | None = None) -> Pixels:
        """Bytes as they are, a quarter of the memory; anything else as float32 in [0, 1].

        out: an array (n, channels, height, width) to fill and return.
        """
        held = images.values if images.values.dtype == np.uint8 else to_unit(images.values)
        if out is None:
            return np.ascontiguousarray(held)
        out[:] = held
        return out

    def tensor(self, values: Tensor) -> Tensor:
        """Images as float32 in [0, 1], on their device, or the maps of them.

        The same bits for bytes and bytes / 255.
        """
        pixels = self._in_unit(values)
        return pixels if self._maps is None else self._maps(pixels)

    @staticmethod
    def _in_unit(values: Tensor) -> Tensor:
        return values if values.is_floating_point() else values.float().div_(WHITE)

    def fold(self, by_element: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Sum values by element (n, channels, h, w) over the channels: (n, height, width).

        What a position of a map holds is dealt out evenly over the pixels it stands for.
        """
        summed = np.asarray(by_element.sum(axis=1, dtype=np.float64))
        if self._maps is None:
            return summed
        import torch

        from lampblack.data.images.features import spread_over

        _, height, width = self.schema.shape
        return np.asarray(spread_over(torch.from_numpy(summed), height, width).numpy())

    def state(self) -> dict[str, object]:
        """Which frozen network there is; its weights are saved beside the others."""
        return {} if self._maps is None else {"features": FEATURES}
