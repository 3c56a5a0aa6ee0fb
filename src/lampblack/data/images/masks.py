"""Masks that mark the defects of images: which pixels of a file are marked, by one stated rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lampblack.data.images.decoding import check_size, opened, read_header, upright
from lampblack.data.images.schema import ImageSchema, damaged
from lampblack.exceptions import InvalidInput, Place, UnreadableImage
from lampblack.number_text import number

Marks = npt.NDArray[np.bool_]
Levels = npt.NDArray[np.float64]

BITS, WHOLE, COLOUR = ("1", "L"), ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"), ("RGB", "RGBX")
LOSSY = ("JPEG", "MPO", "WEBP")  # their pixels may differ a little from those that were saved
MOST_CLASSES = 16  # values that a mask drawn by hand or by class has; more are shades
DIM, NOISE = 1 / 4, 1 / 32  # shares of white: what is too dark for a mark, and what may be noise
NOT_BLACK = "is nowhere black, so that it is not known what is unmarked"
REMEDY = "save it as PNG with black where nothing is wrong and white where something is"


def decode_mask(path: Path, image_path: Path, schema: ImageSchema) -> Marks:
    """A mask as (height, width), at the schema's size: True where any of a pixel is marked.

    image_path: the image that it belongs to, and whose size it must have. Which pixels are marked,
    `marked` says. Raises InvalidInput naming the file, also where that is ambiguous.
    """
    with opened(path) as image:
        check_size(image, path)
        lossy = image.format in LOSSY or image.info.get("compression") in ("jpeg", "webp")
        try:
            if getattr(image, "is_animated", False):
                raise InvalidInput("holds several pictures, so that it is not known which marks")
            turned = upright(image)
            values, clear = _values(turned)
            marks = _by_alpha(values, clear, turned.mode, lossy=lossy)
        except InvalidInput as error:
            raise _refused(path, str(error)) from None
        except Exception as error:  # a damaged file makes decoders raise anything
            raise damaged(path, error) from None
    header = read_header(image_path)
    if turned.size != (header.width, header.height):
        raise InvalidInput(
            f"{path} has {turned.size[0]}×{turned.size[1]} pixels, and its image "
            f"{header.width}×{header.height}; a mask has the size of its image",
            names=Place(path),
        )
    size = (schema.width, schema.height)
    sized = Image.fromarray(marks.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(sized) > 0


def marked(values: Levels, white: float = 255, *, lossy: bool = False) -> Marks:
    """Which pixels of a mask are marked (height, width).

    values: any shape, the highest of each pixel's bands; 0 is black. Of up to 16 values, all
    but black are marks, so that masks may be by class. Of more, or in a file whose compression
    changes values, or did so before, what is brighter than half of the brightest is marked. Raises
    InvalidInput where that is ambiguous: where nothing is black, where marks and noise cannot be
    told apart, and where shades between are more than marks, as in a photograph.
    """
    if not np.isfinite(values).all() or values.min() < 0:
        raise InvalidInput("has values that are negative or not finite")
    levels = np.unique(values)
    highest = float(levels[-1])
    if len(levels) == 1 and not (lossy and 0 < highest < DIM * white):
        return values > 0
    shades = len(levels) > MOST_CLASSES or lossy
    if levels[0] > (NOISE * white if shades else 0):
        raise InvalidInput(NOT_BLACK)
    if not shades:
        dim = levels[(levels > 0) & (levels <= NOISE * white)]
        bright = levels[levels >= (1 - NOISE) * highest]
        if len(dim) > 0 and len(bright) > 1 and len(dim) + len(bright) + 1 == len(levels):
            return values > highest / 2  # noise at both ends, of a JPEG that was saved anew
        if len(dim) and highest >= DIM * white:
            few = ", ".join(map(number, levels[:3]))
            raise InvalidInput(
                f"has values from {few} to {number(highest)}, classes or noise beside marks"
            )
        return values > 0
    ends = len(levels[levels >= 0.75 * highest])
    marks = int((values >= 0.75 * highest).sum())
    between = int(((values > 0.25 * highest) & (values < 0.75 * highest)).sum())
    if highest < DIM * white or (ends < 3 and not lossy) or between > marks:
        raise InvalidInput(f"has {len(levels)} shades, so that it is not known which are marks")
    return values > highest / 2


def _values(image: Image.Image) -> tuple[Levels, Marks | None]:
    """The highest of each pixel's colours (height, width), and which pixels are see-through."""
    clear = None
    if image.has_transparency_data and image.mode not in WHOLE:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() != alpha.max() or not alpha.any():
            clear = alpha < 128
    if image.mode in (*WHOLE, *BITS):
        return np.asarray(image).astype(np.float64), clear
    if image.mode in ("LA", "La"):
        return np.asarray(image.convert("LA").getchannel("L")).astype(np.float64), clear
    if image.mode in ("P", "PA", "RGBA", "RGBa", *COLOUR):
        bands = np.asarray(image.convert("RGBA").convert("RGB"))
        colours = bands.max(axis=2).astype(np.float64)
        alike = clear is None and colours.min() == colours.max()
        if alike and (bands != bands[0, 0]).any():
            raise InvalidInput(NOT_BLACK)
        if alike and image.mode == "P" and len(np.unique(np.asarray(image))) > 1:
            raise InvalidInput("has a palette that shows all its values alike")
        return colours, clear
    raise InvalidInput(f"has the mode {image.mode}, which says of no pixel that it is marked")


def _by_alpha(values: Levels, clear: Marks | None, mode: str, *, lossy: bool) -> Marks:
    """Marks, of a mask that may be see-through in places: there it marks nothing.

    Where what is left has one colour, all of that is marked.
    """
    white = 1.0 if mode == "1" else 255.0
    if mode in WHOLE:  # their white is not known
        highest = float(values.max())
        white = next((top for top in (1.0, 255.0, 65535.0) if highest <= top), highest)
    if clear is None:
        return marked(values, white, lossy=lossy)
    if clear.all():
        raise InvalidInput("is transparent throughout, so that it is not known what it marks")
    if not clear.any():
        raise InvalidInput("is half transparent in places, so that it is not known what it marks")
    opaque = values[~clear]
    if opaque.min() == opaque.max():
        return ~clear
    return marked(np.where(clear, 0, values), white, lossy=lossy)


def _refused(path: Path, what: str) -> UnreadableImage:
    return UnreadableImage(f"{path} {what}", names=Place(path), remedy=REMEDY)
