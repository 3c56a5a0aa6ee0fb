"""Checked images to the float32 tensors that a network takes; nothing about them is fitted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lampblack.data.images.schema import ImageSchema, to_unit
from lampblack.data.images.stored import ArrayImages


class ImageEncoder:
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

    def transform(
        self, images: ArrayImages, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Images as float32 (n, channels, height, width) in [0, 1]. out: to fill and return."""
        values = to_unit(images.values)
        if out is None:
            return values
        out[:] = values
        return out

    def fold(self, by_element: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Sum values by element (n, channels, height, width) over the channels: (n, h, w)."""
        return np.asarray(by_element.sum(axis=1, dtype=np.float64))
