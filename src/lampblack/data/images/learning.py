"""What a detector learns of the images it is fitted on, before any network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from lampblack.data.images.decoding import Header, header_of, read_header
from lampblack.data.images.inputs import as_source, from_list, is_pil, resized
from lampblack.data.images.schema import LONGER_SIDE, ImageSchema, reduced_size, resize_to
from lampblack.data.images.stored import ArrayImages, Images
from lampblack.exceptions import InvalidInput, Place, SchemaMismatch

FEWEST_IMAGES = 2
ImageSize = int | Sequence[int] | None


def learn_images(
    X: object, image_size: ImageSize, *, reduce: bool = False
) -> tuple[ImageSchema, Images]:
    """The schema of the images to be fitted, and the images.

    reduce: where no size is asked for, bring images of several sizes to the median height and
    width, and the longer side of large ones to 256 pixels.
    """
    source = as_source(X, role="fit")
    if len(source) < FEWEST_IMAGES:
        raise InvalidInput(
            f"{len(source)} images cannot be fitted; at least {FEWEST_IMAGES} are needed"
        )
    wanted = _wanted(image_size)
    if isinstance(source, np.ndarray):
        _, channels, height, width = source.shape
        if reduce and wanted is None and max(height, width) > LONGER_SIDE:
            wanted = reduced_size(height, width)
        schema = ImageSchema.of_size(channels, *(wanted or (height, width)), resize=bool(wanted))
        images: Images = ArrayImages(resized(source, schema))
    else:
        schema, deep = _schema_of(source, wanted, reduce)
        images = from_list(source, schema, deep)
    return schema, images


def _wanted(image_size: ImageSize) -> tuple[int, int] | None:
    """(height, width) that was asked for."""
    if image_size is None:
        return None
    pair: Any = (image_size, image_size) if isinstance(image_size, Integral) else image_size
    return int(pair[0]), int(pair[1])


def _header_of(item: Any, position: int) -> tuple[str, Header]:
    if is_pil(item):
        where = f"image {position}"
        return where, header_of(item, where)
    return str(item), read_header(Path(item))


def _schema_of(
    source: list[Any], wanted: tuple[int, int] | None, reduce: bool
) -> tuple[ImageSchema, bool]:
    """The schema of files and PIL images from their headers; whether some have 16 bits."""
    where, first = _header_of(source[0], 0)
    channels, deep = first.channels, first.deep
    sizes = [(first.height, first.width)]
    for position, item in enumerate(source[1:], start=1):
        name, header = _header_of(item, position)
        channels, deep = max(channels, header.channels), deep or header.deep
        sizes.append((header.height, header.width))
        if (
            wanted is None
            and not reduce
            and (header.height, header.width) != (first.height, first.width)
        ):
            raise SchemaMismatch(
                f"{name} has {header.width}×{header.height} pixels and {where} has "
                f"{first.width}×{first.height}",
                names=Place(name),
                remedy=resize_to(64),
            )
    if reduce and wanted is None and (len(set(sizes)) > 1 or max(sizes[0]) > LONGER_SIDE):
        wanted = reduced_size(*(round(float(side)) for side in np.median(sizes, axis=0)))
    height, width = wanted or (first.height, first.width)
    return ImageSchema.of_size(channels, height, width, resize=bool(wanted)), deep
