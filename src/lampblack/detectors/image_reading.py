"""Whatever a user passes as images, checked against what the detector was fitted on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from lampblack.data.images.decoding import Header, header_of, pixels_of, read_header
from lampblack.data.images.folders import ImageSet, find_images
from lampblack.data.images.samples import ArrayImages, FileImages, Images
from lampblack.data.images.schema import ImageSchema, Pixels, check_array, to_unit
from lampblack.exceptions import InvalidInput, SchemaMismatch

FEWEST_IMAGES = 2
ImageSize = int | Sequence[int] | None


def are_images(X: Any) -> bool:
    """Whether X is images: an array of 3 or 4 axes, paths, PIL images, a folder."""
    if isinstance(X, ArrayImages | FileImages | ImageSet | str | os.PathLike):
        return True
    if isinstance(X, np.ndarray | torch.Tensor):
        return X.ndim in (3, 4)
    if isinstance(X, list | tuple) and X:
        return all(isinstance(item, str | os.PathLike) or _is_pil(item) for item in X) or (
            all(isinstance(item, np.ndarray) and item.ndim in (2, 3) for item in X)
        )
    return _is_pil(X)


def learn_images(
    detector: BaseEstimator, X: Any, image_size: ImageSize
) -> tuple[ImageSchema, Images]:
    """The schema of the images to be fitted, and the images. Sets `n_features_in_`."""
    source = _source(X, role="fit")
    if len(source) < FEWEST_IMAGES:
        raise InvalidInput(
            f"{len(source)} images cannot be fitted; at least {FEWEST_IMAGES} are needed"
        )
    wanted = _wanted(image_size)
    if isinstance(source, np.ndarray):
        _, channels, height, width = source.shape
        schema = ImageSchema.of_size(channels, *(wanted or (height, width)), resize=bool(wanted))
        images: Images = ArrayImages(_resized(source, schema))
    else:
        schema, deep = _schema_of(source, wanted)
        images = _from_list(source, schema, deep)
    detector.n_features_in_ = int(np.prod(schema.shape))
    if hasattr(detector, "feature_names_in_"):
        del detector.feature_names_in_
    return schema, images


def check_images(X: Any, schema: ImageSchema) -> Images:
    """Images of the fitted schema."""
    if isinstance(X, ArrayImages | FileImages):
        return X
    source = _source(X, role="score")
    if not isinstance(source, np.ndarray):
        return _from_list(source, schema, deep=False)  # only a fit keeps them in memory
    if source.shape[1] == 1 and schema.channels == 3:
        source = np.repeat(source, 3, axis=1)
    source = _resized(source, schema) if schema.resize else source
    if len(source):
        schema.check_shape(source.shape[1:], "each of these images")
    return ArrayImages(source)


def _source(X: Any, role: str) -> Pixels | list[Any]:
    """X as an array (n, channels, height, width), or as a list of paths and PIL images."""
    if isinstance(X, ImageSet):
        return X.source
    if isinstance(X, str | os.PathLike):
        return find_images(Path(X), role="fit" if role == "fit" else "score").source
    if isinstance(X, torch.Tensor):
        return check_array(X.detach().cpu().numpy())
    if isinstance(X, np.ndarray):
        return check_array(X)
    if _is_pil(X):
        raise InvalidInput("X is one image; pass a list of images: [image]")
    if isinstance(X[0], np.ndarray):
        shapes = sorted({item.shape for item in X})
        if len(shapes) > 1:
            raise InvalidInput(f"the images differ in shape: {shapes[0]} and {shapes[1]}; resize")
        return check_array(np.stack(X))
    _refuse_repeated([str(item) for item in X if not _is_pil(item)])
    return list(X)


def _refuse_repeated(paths: list[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise InvalidInput(f"{path} is given twice; give each image once")
        seen.add(path)


def _is_pil(item: Any) -> bool:
    image = sys.modules.get("PIL.Image")  # an image cannot be there before its module
    return image is not None and isinstance(item, image.Image)


def _wanted(image_size: ImageSize) -> tuple[int, int] | None:
    """(height, width) that was asked for."""
    if image_size is None:
        return None
    pair: Any = (image_size, image_size) if isinstance(image_size, Integral) else image_size
    return int(pair[0]), int(pair[1])


def _header_of(item: Any, position: int) -> tuple[str, Header]:
    if _is_pil(item):
        where = f"image {position}"
        return where, header_of(item, where)
    return str(item), read_header(Path(item))


def _schema_of(source: list[Any], wanted: tuple[int, int] | None) -> tuple[ImageSchema, bool]:
    """The schema of files and PIL images from their headers; whether some have 16 bits."""
    where, first = _header_of(source[0], 0)
    channels, deep = first.channels, first.deep
    for position, item in enumerate(source[1:], start=1):
        name, header = _header_of(item, position)
        channels, deep = max(channels, header.channels), deep or header.deep
        if wanted is None and (header.height, header.width) != (first.height, first.width):
            raise SchemaMismatch(
                f"{name} has {header.width}×{header.height} pixels and {where} has "
                f"{first.width}×{first.height}; resize them, with image_size=64 say "
                "(--image-size 64)"
            )
    height, width = wanted or (first.height, first.width)
    return ImageSchema.of_size(channels, height, width, resize=bool(wanted)), deep


def _from_list(source: list[Any], schema: ImageSchema, deep: bool) -> Images:
    if not any(_is_pil(item) for item in source):
        return FileImages(tuple(Path(item) for item in source), schema, deep)
    decoded = []
    for position, item in enumerate(source):
        if not _is_pil(item):
            raise InvalidInput("X mixes paths and images; give one or the other")
        decoded.append(pixels_of(item, f"image {position}", schema))
    if any(values.dtype != np.uint8 for values in decoded):
        decoded = [to_unit(values) for values in decoded]
    return ArrayImages(np.stack(decoded))


def _resized(values: Pixels, schema: ImageSchema) -> Pixels:
    """Images (n, channels, height, width) brought to the schema's size, where they differ."""
    if values.shape[2:] == (schema.height, schema.width):
        return values
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(to_unit(values)),
        size=(schema.height, schema.width),
        mode="bilinear",
        antialias=True,
    )
    return resized.clamp_(0, 1).numpy()
