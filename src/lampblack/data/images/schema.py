"""The images that a detector was fitted on, and the check of every later one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from lampblack.exceptions import (
    InvalidInput,
    Place,
    Remedy,
    SchemaMismatch,
    Setting,
    UnreadableImage,
)
from lampblack.number_text import number

SMALLEST, LARGEST = 8, 512  # pixels a side that networks take
LONGER_SIDE = 256  # pixels to which large images are reduced for a frozen network
AT_ONCE = 1 << 24  # pixels checked together

Pixels = npt.NDArray[np.generic]


class ImageSchema(BaseModel):
    """Channels and size of images.

    resize: whether images of another size are brought to this one, which the user asked for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str] = "images"

    channels: int = Field(ge=1)
    height: int = Field(ge=SMALLEST, le=LARGEST)
    width: int = Field(ge=SMALLEST, le=LARGEST)
    resize: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.height, self.width)

    @property
    def feature_names(self) -> None:
        """Pixels have no names."""

    @property
    def n_features(self) -> int:
        return self.channels * self.height * self.width

    @classmethod
    def of_size(cls, channels: int, height: int, width: int, *, resize: bool) -> ImageSchema:
        """The schema of images of this size. Raises InvalidInput where networks cannot take it."""
        if not all(SMALLEST <= side <= LARGEST for side in (height, width)):
            raise InvalidInput(
                f"images of {width}×{height} pixels cannot be fitted; networks take "
                f"{SMALLEST} to {LARGEST} a side",
                remedy=resize_to(LARGEST // 2, joint=": "),
            )
        return cls(channels=channels, height=height, width=width, resize=resize)

    def check_shape(self, shape: Sequence[int], where: str) -> None:
        """Raise SchemaMismatch unless an image (channels, height, width) is of this schema."""
        channels, height, width = shape
        if channels != self.channels:
            raise SchemaMismatch(
                f"{where} has {_channels(channels)}, and the model was fitted on images with "
                f"{_channels(self.channels)}",
                names=Place(where),
                remedy="convert it",
            )
        if (height, width) != (self.height, self.width):
            raise SchemaMismatch(
                f"{where} has {width}×{height} pixels, and the model takes "
                f"{self.width}×{self.height}",
                names=Place(where),
                remedy=(
                    "resize it",
                    Remedy("let score do so (", Setting("resize", True), ")"),
                    Remedy("fit again with ", Setting("image_size")),
                ),
            )


def _channels(count: int) -> str:
    return f"{count} channel" + ("s" if count > 1 else "")


def resize_to(side: int, joint: str | None = None) -> Remedy:
    """What to do about images whose sizes do not suit."""
    return Remedy("resize them, with ", Setting("image_size", side), " say", joint=joint)


def reduced_size(height: int, width: int) -> tuple[int, int]:
    """The size at which larger images are held: the longer side at most 256, in proportion.

    >>> reduced_size(28, 28), reduced_size(300, 400), reduced_size(3000, 4000)
    ((28, 28), (192, 256), (192, 256))
    """
    shrink = min(1.0, LONGER_SIDE / max(height, width))
    return max(8, round(height * shrink)), max(8, round(width * shrink))


def damaged(where: str | Path, error: Exception) -> UnreadableImage:
    """The one line for whatever a damaged file makes a reader raise."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return UnreadableImage(f"{where} is damaged or cut short: {reason}", names=Place(where))


def check_array(values: Pixels) -> Pixels:
    """Images as an array (n, channels, height, width) of uint8, uint16, bool or floats in [0, 1].

    values: (n, channels, height, width) or (n, height, width). Raises InvalidInput for anything
    else, naming the image and the pixel at fault.
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.getmaskarray(values).any():
            raise InvalidInput("pixels of these images are masked; give every pixel a value")
        values = np.asarray(values)
    if values.ndim not in (3, 4):
        raise InvalidInput(
            "images are an array (n, height, width) or (n, channels, height, width), "
            f"and this one has shape {values.shape}"
        )
    images = values[:, None] if values.ndim == 3 else values
    if 0 in images.shape[1:]:
        raise InvalidInput(f"an array of shape {values.shape} holds no pixels")
    if images.shape[3] in (1, 3, 4) and images.shape[1] > 4:
        raise InvalidInput(
            f"an array of shape {values.shape} seems to have its channels last; "
            "move them: images.transpose(0, 3, 1, 2)"
        )
    if images.dtype in (np.uint8, np.uint16, np.bool_):
        return images
    if images.dtype.kind != "f":
        raise InvalidInput(
            f"images of {images.dtype} have no known range; convert them to uint8 (0 to 255), "
            "uint16 (0 to 65535) or floats in [0, 1]"
        )
    step = max(1, AT_ONCE // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        _check_floats(images[start : start + step], start)
    return images


def _check_floats(images: Pixels, first: int) -> None:
    finite = np.isfinite(images)
    if not finite.all():
        image, *pixel = (int(i) for i in np.argwhere(~finite)[0])
        raise InvalidInput(
            f"image {first + image}, pixel {tuple(pixel)} (channel, row, column) is "
            f"{images[(image, *pixel)]}; correct it or leave the image out"
        )
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    if low >= 0 and high <= 1:
        return
    if low >= 0 and high <= 255 and high > 2:
        hint = "they look like 0 to 255: divide by 255, or pass uint8"
    elif low >= -1 and high <= 1:
        hint = "they look like -1 to 1: use (x + 1) / 2"
    else:
        hint = "scale them"
    raise InvalidInput(
        f"images as floats lie in [0, 1], and these in [{number(low)}, {number(high)}]; {hint}"
    )


def to_unit(values: Pixels) -> npt.NDArray[np.float32]:
    """Pixel values as float32 in [0, 1]: the same bits for uint8 and for its values over 255."""
    if values.dtype == np.uint8:
        return values.astype(np.float32, order="C") / np.float32(255)
    if values.dtype == np.uint16:
        return values.astype(np.float32, order="C") / np.float32(65535)
    return values.astype(np.float32, order="C")
