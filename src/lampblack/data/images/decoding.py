"""Image files to arrays, with everything that can be wrong with a file named in one line."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
TIFF_WIDTH, TIFF_HEIGHT, TIFF_BITS = 256, 257, 258  # tags
EMPTY = "is empty (0 bytes)"
SEVERAL = "several pictures, of which the first is taken"
SHALLOW = "16 bits a colour, which are read as 8"
CLEAR = "fully transparent pixels, which are read as black"


class Header(NamedTuple):
    """What a file says of its image before it is decoded; 16-bit images are `deep`.

    channels: without alpha. height, width: upright, as EXIF says. remarks: what of the file is not
    read, see `Decoded`.
    """

    channels: int
    height: int
    width: int
    deep: bool
    remarks: tuple[str, ...] = ()


class Decoded(NamedTuple):
    """An image as `decode` gives it, and what of its file was not read as it stands.

    remarks: some of SEVERAL, SHALLOW and CLEAR.
    """

    pixels: Pixels
    remarks: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Channels and size of an image file. Raises InvalidInput naming the file."""
    with opened(path) as image:
        return header_of(image, path)


def decode(path: Path, schema: ImageSchema) -> Pixels:
    """An image file as (channels, height, width), uint8, or float32 in [0, 1] if it has 16 bits.

    The turn that EXIF asks for is made, alpha is dropped (what is fully transparent becomes black),
    a palette is looked up, a grey image is repeated for a model of three channels, of several
    pictures the first is taken. Raises InvalidInput naming the file where it cannot be decoded, or
    is not of the schema and the schema does not resize.
    """
    return decode_file(path, schema).pixels


def decode_file(path: Path, schema: ImageSchema) -> Decoded:
    """An image file as `decode` gives it, and what was not read of it."""
    with opened(path) as image:
        return decode_image(image, path, schema)


def decode_bytes(content: bytes, name: str, schema: ImageSchema) -> Pixels:
    """An image file in memory, as `decode` gives it; `name` is what messages call it."""
    with opened(Path(name), content) as image:
        return decode_image(image, name, schema).pixels


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """A file opened by one of our decoders; whatever that raises becomes one line.

    content: its bytes, where they are in memory. A file is read through an open handle: given a
    path, Pillow maps a turned TIFF into memory and mixes up its rows.
    """
    with ExitStack() as stack:
        try:
            if content is None:
                _check_file(path)
                file: BinaryIO = stack.enter_context(path.open("rb"))
            elif content:
                file = io.BytesIO(content)
            else:
                raise _unreadable(path, EMPTY)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # our own limit on pixels is checked below
                image = stack.enter_context(Image.open(file, formats=FORMATS))
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
        yield image


def header_of(image: Image.Image, where: Path | str) -> Header:
    """Channels and size of an open image; `where` names it in messages."""
    check_size(image, where)
    if image.mode in (*GREY, *DEEP) and not (image.mode == "I" and image.format == "TIFF"):
        channels = 1
    elif image.mode in COLOUR:
        channels = 3
    else:
        names = {"CMYK": "CMYK (print) colours", "F": "32-bit floats", "I": "32-bit integers"}
        what = names.get(image.mode, f"the mode {image.mode}")
        raise _unreadable(where, f"has {what}", "convert it to RGB or grey")
    try:
        sixteen, grey = _sixteen_bits(image)  # first: asking for EXIF decodes a PNG
        width, height = _upright_size(image)
        several = getattr(image, "is_animated", False) and image.tell() == 0
    except Exception as error:  # a damaged file makes decoders raise anything
        raise damaged(where, error) from None
    remarks = [SEVERAL] * several + [SHALLOW] * sixteen
    return Header(1 if grey else channels, height, width, image.mode in DEEP, tuple(remarks))


def check_size(image: Image.Image, where: Path | str) -> None:
    """Raise UnreadableImage where an open image has more pixels than a photograph."""
    if image.width * image.height > MOST_PIXELS:
        raise _bomb(where)


def upright(image: Image.Image) -> Image.Image:
    """The image, decoded and turned as EXIF asks."""
    image.load()
    return ImageOps.exif_transpose(image)


def decode_image(image: Image.Image, where: Path | str, schema: ImageSchema) -> Decoded:
    """An open image, as `decode_file` gives it; `where` names it in messages."""
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
            return _decoded(upright(image), header, schema, where)
    except InvalidInput:
        raise
    except Exception as error:  # a damaged file makes decoders raise anything
        raise damaged(where, error) from None


def _decoded(image: Image.Image, header: Header, schema: ImageSchema, where: Path | str) -> Decoded:
    if image.size != (header.width, header.height):
        raise ValueError("it is decoded to another size than it announces")
    size = (schema.width, schema.height)
    clear = _clear(image)
    if clear is not None and clear.all():
        raise _unreadable(where, "is transparent throughout", "save it without transparency")
    remarks = header.remarks if clear is None or not clear.any() else (*header.remarks, CLEAR)
    if header.deep:
        grey = np.asarray(image, dtype=np.float32) / np.float32(65535)
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise ValueError("its values exceed 16 bits")
        if clear is not None:
            grey = np.where(clear, np.float32(0), grey)
        if image.size != size:
            grey = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
            grey = grey.clip(0, 1)
        return Decoded(np.repeat(grey[None], schema.channels, axis=0), remarks)
    image = image.convert("L" if header.channels == 1 else "RGB")  # drops alpha
    if CLEAR in remarks:
        assert clear is not None
        image.paste(0, mask=Image.fromarray(clear))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    if header.channels == 1:
        return Decoded(np.repeat(pixels[None], schema.channels, axis=0), remarks)
    return Decoded(np.ascontiguousarray(pixels.transpose(2, 0, 1)), remarks)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after the turn that EXIF asks for, whether or not it was made already.

    Pillow gives the upright size of a TIFF before it is decoded from some version on; the sides
    that the file names are the same in all.
    """
    width, height = image.size
    if image.getexif().get(ORIENTATION) not in TURNED:
        return width, height
    tags = getattr(image, "tag_v2", {})
    if image.format == "TIFF" and {TIFF_WIDTH, TIFF_HEIGHT} <= set(tags):
        width, height = int(tags[TIFF_WIDTH]), int(tags[TIFF_HEIGHT])
    return height, width


def _sixteen_bits(image: Image.Image) -> tuple[bool, bool]:
    """Whether 16 bits a colour are to be read as 8, before decoding; whether they are grey."""
    if image.mode in DEEP:
        return False, False
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(TIFF_BITS, (8,))) > 8, False
    tiles = [tile[3] for tile in getattr(image, "tile", [])]
    if image.format == "PNG":
        raw = [str(args) for args in tiles if ";16" in str(args)]
        return bool(raw), any(args.startswith("LA") for args in raw)
    if image.format == "PPM":
        return any(isinstance(args, tuple) and args[1] > 255 for args in tiles), False
    return False, False


def _clear(image: Image.Image) -> npt.NDArray[np.bool_] | None:
    """Which pixels (height, width) are fully transparent; None where none can be."""
    key = image.info.get("transparency")
    if image.mode in DEEP:
        clear: npt.NDArray[np.bool_] = np.asarray(image, dtype=np.int32) == key
        return clear if isinstance(key, int) else None
    if "A" not in image.getbands() and "a" not in image.getbands() and key is None:
        return None
    return np.asarray(np.asarray(image.convert("RGBA").getchannel("A")) == 0)


def _check_file(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device would be waited for
        raise _unreadable(path, "is no file", "replace it or leave it out")
    if not status.st_size:
        raise _unreadable(path, EMPTY)


def _unreadable(where: Path | str, what: str, *remedy: str) -> UnreadableImage:
    return UnreadableImage(f"{where} {what}", names=Place(where), remedy=remedy)


def _bomb(where: Path | str) -> UnreadableImage:
    most = MOST_PIXELS // 1_000_000
    what = f"claims more than {most} million pixels; it may be a decompression bomb"
    return _unreadable(where, f"{what}: reduce it first")
