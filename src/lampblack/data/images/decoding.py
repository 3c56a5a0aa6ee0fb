"""Image files to arrays, with everything that can be wrong with a file named in one line."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from lampblack.data.images.schema import ImageSchema, Pixels, damaged
from lampblack.exceptions import InvalidInput, Place, UnreadableImage

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")  # decoders that a file may reach
EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pnm"}
)
MOST_PIXELS = 64_000_000  # an 8000×8000 photograph; beyond it a file is taken for a bomb
GREY, DEEP = ("1", "L", "LA", "La"), ("I;16", "I;16B", "I;16L", "I;16N", "I")
COLOUR = ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA")
TURNED = (5, 6, 7, 8)  # values of EXIF's orientation that swap width and height
ORIENTATION = 0x0112


class Header(NamedTuple):
    """What a file says of its image before it is decoded; 16-bit images are `deep`."""

    channels: int
    height: int
    width: int
    deep: bool


def read_header(path: Path) -> Header:
    """Channels and size of an image file. Raises InvalidInput naming the file."""
    with opened(path) as image:
        return header_of(image, path)


def decode(path: Path, schema: ImageSchema) -> Pixels:
    """An image file as (channels, height, width), uint8, or float32 in [0, 1] if it has 16 bits.

    The turn that EXIF asks for is made, alpha is dropped, a palette is looked up, a grey image is
    repeated for a model of three channels. Raises InvalidInput naming the file where it cannot be
    decoded, or is not of the schema and the schema does not resize.
    """
    with opened(path) as image:
        return pixels_of(image, path, schema)


def decode_bytes(content: bytes, name: str, schema: ImageSchema) -> Pixels:
    """An image file in memory, as `decode` gives it; `name` is what messages call it."""
    with opened(Path(name), content) as image:
        return pixels_of(image, name, schema)


def decode_mask(path: Path, image_path: Path, schema: ImageSchema) -> npt.NDArray[np.bool_]:
    """A mask as (height, width), at the schema's size: True where any of a pixel is marked.

    image_path: the image that it belongs to, and whose size it must have.
    """
    with opened(path) as image:
        try:
            turned = ImageOps.exif_transpose(image)
            marked = Image.fromarray((np.asarray(turned.convert("L")) > 0).astype(np.float32))
            sized = marked.resize((schema.width, schema.height), Image.Resampling.BOX)
        except Exception as error:  # a damaged file makes decoders raise anything
            raise damaged(path, error) from None
    header = read_header(image_path)
    if turned.size != (header.width, header.height):
        raise InvalidInput(
            f"{path} has {turned.size[0]}×{turned.size[1]} pixels, and its image "
            f"{header.width}×{header.height}; a mask has the size of its image",
            names=Place(path),
        )
    return np.asarray(sized) > 0


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """A file opened by one of our decoders; whatever that raises becomes one line.

    content: its bytes, where they are in memory.
    """
    try:
        if not (path.stat().st_size if content is None else content):
            raise _unreadable(path, "is empty (0 bytes)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit on pixels is checked below
            file = path if content is None else io.BytesIO(content)
            image = Image.open(file, formats=FORMATS)
    except InvalidInput:
        raise
    except Image.DecompressionBombError:
        raise _bomb(path) from None
    except FileNotFoundError:
        raise _unreadable(path, "does not exist") from None
    except PermissionError:
        raise _unreadable(path, "may not be read") from None
    except Exception:  # a hostile file makes decoders raise anything
        what = f"is not an image that can be read ({', '.join(FORMATS)})"
        raise _unreadable(path, what, "replace it or leave it out") from None
    with image:
        yield image


def header_of(image: Image.Image, where: Path | str) -> Header:
    """Channels and size of an open image; `where` names it in messages."""
    if image.mode in (*GREY, *DEEP) and not (image.mode == "I" and image.format == "TIFF"):
        channels = 1
    elif image.mode in COLOUR:
        channels = 3
    else:
        names = {"CMYK": "CMYK (print) colours", "F": "32-bit floats", "I": "32-bit integers"}
        what = names.get(image.mode, f"the mode {image.mode}")
        raise _unreadable(where, f"has {what}", "convert it to RGB or grey")
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise _bomb(where)
    if getattr(image, "n_frames", 1) > 1:
        what = f"holds {image.n_frames} images"  # type: ignore[attr-defined]
        raise _unreadable(where, what, "save each as a file")
    if image.getexif().get(ORIENTATION) in TURNED:
        width, height = height, width
    return Header(channels, height, width, image.mode in DEEP)


def pixels_of(image: Image.Image, where: Path | str, schema: ImageSchema) -> Pixels:
    """An open image, as `decode` gives it; `where` names it in messages."""
    try:
        header = header_of(image, where)
        if not (header.channels == 1 and schema.channels == 3):
            sized = (header.height, header.width)
            if schema.resize:
                sized = (schema.height, schema.width)
            schema.check_shape((header.channels, *sized), str(where))
        elif not schema.resize:
            schema.check_shape((3, header.height, header.width), str(where))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = _decoded(image, header, schema)
    except InvalidInput:
        raise
    except Exception as error:  # a damaged file makes decoders raise anything
        raise damaged(where, error) from None
    return pixels


def _decoded(image: Image.Image, header: Header, schema: ImageSchema) -> Pixels:
    image.load()
    image = ImageOps.exif_transpose(image)
    size = (schema.width, schema.height)
    if header.deep:
        grey = np.asarray(image, dtype=np.float32) / np.float32(65535)
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise ValueError("its values exceed 16 bits")
        if image.size != size:
            grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
            grey = grey.clip(0, 1)
        return np.repeat(grey[None], schema.channels, axis=0)
    image = image.convert("L" if header.channels == 1 else "RGB")  # drops alpha
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    if header.channels == 1:
        return np.repeat(pixels[None], schema.channels, axis=0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _unreadable(where: Path | str, what: str, *remedy: str) -> UnreadableImage:
    return UnreadableImage(f"{where} {what}", names=Place(where), remedy=remedy)


def _bomb(where: Path | str) -> UnreadableImage:
    most = MOST_PIXELS // 1_000_000
    what = f"claims more than {most} million pixels; it may be a decompression bomb"
    return _unreadable(where, f"{what}: reduce it first")
