"""Whatever a user passes as images, checked against a schema."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lampblack.data.images.decoding import decode_image
from lampblack.data.images.folders import ImageSet, find_images
from lampblack.data.images.remarks import Remarks
from lampblack.data.images.schema import ImageSchema, Pixels, check_array, to_unit
from lampblack.data.images.stored import ArrayImages, FileImages, Images
from lampblack.exceptions import InvalidInput


def are_images(X: Any, *, told: bool = False) -> bool:
    """Whether X is images and nothing else: an array of 4 axes, bytes of 3, paths, PIL images.

    told: whether it is known that X should be images; floats (n, height, width) then are.
    """
    if isinstance(X, ArrayImages | FileImages | ImageSet | str | os.PathLike):
        return True
    if isinstance(X, np.ndarray) or _is_tensor(X):
        return X.ndim == 4 or (X.ndim == 3 and (told or _are_bytes(X)))
    if isinstance(X, list | tuple) and X:
        return all(isinstance(item, str | os.PathLike) or is_pil(item) for item in X) or (
            all(isinstance(item, np.ndarray) and item.ndim in (2, 3) for item in X)
            and (told or X[0].ndim == 3 or _are_bytes(X[0]))
        )
    return is_pil(X)


def _are_bytes(X: Pixels) -> bool:
    """Whether an array or tensor holds pixels by its type: bytes, 16 bits or booleans."""
    return str(X.dtype).removeprefix("torch.") in ("uint8", "uint16", "bool")


def check_images(X: object, schema: ImageSchema) -> Images:
    """Images of the fitted schema."""
    if isinstance(X, ArrayImages | FileImages):
        return X
    source = as_source(X, role="score")
    if not isinstance(source, np.ndarray):
        return from_list(source, schema, deep=False)  # only a fit keeps them in memory
    if source.shape[1] == 1 and schema.channels == 3:
        source = np.repeat(source, 3, axis=1)
    source = resized(source, schema) if schema.resize else source
    if len(source):
        schema.check_shape(source.shape[1:], "each of these images")
    return ArrayImages(source)


def as_source(X: Any, role: str) -> Pixels | list[Any]:
    """X as an array (n, channels, height, width), or as a list of paths and PIL images."""
    if isinstance(X, ImageSet):
        return X.source
    if isinstance(X, str | os.PathLike):
        return find_images(Path(X), role="fit" if role == "fit" else "score").source
    if _is_tensor(X):
        return check_array(X.detach().cpu().numpy())
    if isinstance(X, np.ndarray):
        return check_array(X)
    if is_pil(X):
        raise InvalidInput("X is one image; pass a list of images: [image]")
    if isinstance(X[0], np.ndarray):
        shapes = sorted({item.shape for item in X})
        if len(shapes) > 1:
            raise InvalidInput(f"the images differ in shape: {shapes[0]} and {shapes[1]}; resize")
        return check_array(np.stack(X))
    _refuse_repeated([str(item) for item in X if not is_pil(item)])
    return list(X)


def _refuse_repeated(paths: list[str]) -> None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            raise InvalidInput(f"{path} is given twice; give each image once")
        seen.add(path)


def is_pil(item: object) -> bool:
    """Whether this is one of Pillow's images."""
    return isinstance(item, Image.Image)


def from_list(source: list[Any], schema: ImageSchema, deep: bool) -> Images:
    """Paths as files to be decoded when needed; PIL images decoded now."""
    if not any(is_pil(item) for item in source):
        return FileImages(tuple(Path(item) for item in source), schema, deep)
    decoded, remarks = [], Remarks()
    for position, item in enumerate(source):
        if not is_pil(item):
            raise InvalidInput("X mixes paths and images; give one or the other")
        where = f"image {position}"
        pixels, said = decode_image(item, where, schema)
        decoded.append(pixels)
        remarks.add(where, said)
    remarks.warn()
    if any(values.dtype != np.uint8 for values in decoded):
        decoded = [to_unit(values) for values in decoded]
    return ArrayImages(np.stack(decoded))


def resized(values: Pixels, schema: ImageSchema) -> Pixels:
    """Images (n, channels, height, width) brought to the schema's size, where they differ."""
    if values.shape[2:] == (schema.height, schema.width):
        return values
    size = (schema.width, schema.height)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR))
        for plane in to_unit(values).reshape(-1, *values.shape[2:])
    ]
    shape = (len(values), values.shape[1], schema.height, schema.width)
    return np.asarray(planes, dtype=np.float32).reshape(shape).clip(0, 1)


def _is_tensor(X: object) -> bool:
    torch = sys.modules.get("torch")  # a tensor cannot be there before its module
    return torch is not None and isinstance(X, torch.Tensor)
