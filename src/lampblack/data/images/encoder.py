"""Checked images to the float32 tensors that a network takes; nothing about them is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lampblack.data.images.schema import ImageSchema, Pixels, to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.data.kind import Encoder

if TYPE_CHECKING:
    from torch import Tensor

WHITE = 255.0  # the value of a byte that becomes 1


class ImageEncoder(Encoder):
    """Images in [0, 1], float32, as they are: scaling is the same for every image and model."""

    def __init__(self, schema: ImageSchema) -> None:
        self.schema = schema

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return self.schema.shape

    @property
    def varying(self) -> npt.NDArray[np.bool_]:
        """One True: a pixel that was constant in training is treated like any other."""
        return np.ones(1, dtype=np.bool_)

    def fit(self, images: ArrayImages) -> ImageEncoder:
        return self

    def form(self, images: ArrayImages) -> tuple[tuple[int, ...], npt.DTypeLike]:
        """(channels, height, width) of bytes, or of float32."""
        return self.shape, np.uint8 if images.values.dtype == np.uint8 else np.float32

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
        """Images as float32 in [0, 1], on their device: the same bits for bytes and bytes / 255."""
        return values if values.is_floating_point() else values.float().div_(WHITE)

    def fold(self, by_element: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Sum values by element (n, channels, height, width) over the channels: (n, h, w)."""
        return np.asarray(by_element.sum(axis=1, dtype=np.float64))

    def state(self) -> dict[str, object]:
        return {}
