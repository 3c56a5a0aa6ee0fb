"""Image files of every kind, and everything that can be wrong with one."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lampblack.data.images import decoding
from lampblack.data.images.decoding import decode, decode_file, header_of, read_header
from lampblack.data.images.masks import decode_mask
from lampblack.data.images.schema import ImageSchema, check_array, to_unit
from lampblack.data.images.stored import FileImages, FileReader
from lampblack.exceptions import ImageWarning, InvalidInput
from tests.conftest import discs

GREY = ImageSchema(channels=1, height=16, width=16)
COLOUR = ImageSchema(channels=3, height=16, width=16)


def write(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.fixture
def grey() -> np.ndarray:
    return discs(1)[0, 0]


@pytest.fixture
def colour() -> np.ndarray:
    return discs(1, channels=3)[0].transpose(1, 2, 0)


def refused(path: Path, schema: ImageSchema = GREY) -> str:
    with pytest.raises(InvalidInput) as raised:
        decode(path, schema)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_grey_and_colour(tmp_path: Path, grey: np.ndarray, colour: np.ndarray) -> None:
    path = write(tmp_path / "g.png", Image.fromarray(grey))
    np.testing.assert_array_equal(decode(path, GREY), grey[None])
    np.testing.assert_array_equal(decode(path, COLOUR), np.repeat(grey[None], 3, axis=0))
    path = write(tmp_path / "c.bmp", Image.fromarray(colour))
    np.testing.assert_array_equal(decode(path, COLOUR), colour.transpose(2, 0, 1))
    assert "has 3 channels, and the model was fitted on images with 1 channel" in refused(path)


def test_alpha_is_dropped_not_blended(tmp_path: Path, colour: np.ndarray) -> None:
    alpha = np.full((16, 16, 1), 7, dtype=np.uint8)
    path = write(tmp_path / "a.png", Image.fromarray(np.concatenate([colour, alpha], axis=2)))
    np.testing.assert_array_equal(decode(path, COLOUR), colour.transpose(2, 0, 1))


def test_palette_is_looked_up(tmp_path: Path, colour: np.ndarray) -> None:
    flat = Image.fromarray(colour).convert("P")
    path = write(tmp_path / "p.png", flat)
    expected = np.asarray(flat.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(path, COLOUR), expected)


def test_sixteen_bits_keep_their_depth(tmp_path: Path) -> None:
    deep = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    for name in ("d.png", "d.tif"):
        path = write(tmp_path / name, Image.fromarray(deep))
        assert read_header(path).deep
        np.testing.assert_array_equal(decode(path, GREY)[0], to_unit(deep))


def test_deep_and_shallow_files_mix(tmp_path: Path, grey: np.ndarray) -> None:
    deep = grey.astype(np.uint16) * 257
    paths = (
        write(tmp_path / "a.png", Image.fromarray(grey)),
        write(tmp_path / "b.png", Image.fromarray(deep)),
    )
    images = FileImages(paths, GREY, deep=True).in_memory().values
    np.testing.assert_allclose(images[0], images[1], atol=1e-7)


def test_exif_rotation_is_obeyed(tmp_path: Path) -> None:
    image = Image.fromarray(discs(1, size=20)[0, 0][:16])  # 20 wide, 16 high
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "turned.png", image, exif=exif)
    schema = ImageSchema(channels=1, height=20, width=16)
    assert read_header(path)[1:3] == (20, 16)
    expected = np.rot90(np.asarray(image), k=-1)
    np.testing.assert_array_equal(decode(path, schema)[0], expected)


def test_other_size_is_resized_only_when_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "big.png", Image.fromarray(discs(1, size=32)[0, 0]))
    assert "has 32×32 pixels, and the model takes 16×16" in refused(path)
    asked = GREY.model_copy(update={"resize": True})
    resized = decode(path, asked)
    assert resized.shape == (1, 16, 16)
    assert abs(resized.mean() - discs(1, size=32).mean()) < 2


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, colour: np.ndarray) -> None:
    (tmp_path / "text.png").write_text("hello, world")
    assert "is not an image that can be read" in refused(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.png")
    assert "does not exist" in refused(tmp_path / "missing.png")
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(buffer.getvalue()[:-80])
    assert "is damaged or cut short" in refused(tmp_path / "cut.jpg", COLOUR)
    path = write(tmp_path / "print.jpg", Image.fromarray(colour).convert("CMYK"))
    assert "CMYK (print) colours; convert it to RGB or grey" in refused(path, COLOUR)
    path = write(tmp_path / "float.tif", Image.fromarray(np.ones((16, 16), np.float32)))
    assert "32-bit floats" in refused(path)
    path = write(tmp_path / "integers.tif", Image.fromarray(np.ones((16, 16), np.int32)))
    assert "32-bit integers" in refused(path)


def test_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.png", Image.new("1", (12_000, 12_000)))
    assert path.stat().st_size < 100_000
    started = time.perf_counter()
    assert "may be a decompression bomb" in refused(path)
    assert time.perf_counter() - started < 1


def test_bomb_that_pillow_refuses_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.png", Image.new("1", (20_000, 20_000)))
    assert "may be a decompression bomb" in refused(path)


def test_a_decoder_outside_the_list_is_never_reached(tmp_path: Path) -> None:
    content = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\n"
    (tmp_path / "script.png").write_bytes(content)
    assert "is not an image that can be read" in refused(tmp_path / "script.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.webp", "a.ppm", "a.bmp"])
def test_mutated_files_never_crash_or_hang(tmp_path: Path, colour: np.ndarray, name: str) -> None:
    path = write(tmp_path / name, Image.fromarray(colour))
    content = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    outcomes = set()
    for _ in range(150):
        mutated = content.copy()
        places = rng.integers(0, len(content), rng.integers(1, 20))
        mutated[places] = rng.integers(0, 256, len(places))
        length = rng.integers(1, len(content) + 1) if rng.random() < 0.3 else len(content)
        path.write_bytes(mutated[:length].tobytes())
        message = None
        try:
            assert decode(path, COLOUR).shape == (3, 16, 16)
        except InvalidInput as error:
            message = str(error)
        assert message is None or (str(path) in message and "\n" not in message)
        outcomes.add("read" if message is None else "refused")
    assert time.perf_counter() - started < 60
    assert "refused" in outcomes


def test_masks_keep_small_marks_and_turn_with_their_image(tmp_path: Path) -> None:
    marks = np.zeros((128, 96), np.uint8)
    marks[70:73, 10:13] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    for options, shape in (({}, (128, 96)), ({"exif": exif}, (96, 128))):
        mask = write(tmp_path / "m.png", Image.fromarray(marks), **options)
        image = write(tmp_path / "i.png", Image.fromarray(marks), **options)
        schema = ImageSchema(channels=1, height=shape[0] // 8, width=shape[1] // 8, resize=True)
        read = decode_mask(mask, image, schema)
        assert read.any()
        whole = ImageSchema(channels=1, height=shape[0], width=shape[1])
        np.testing.assert_array_equal(decode_mask(mask, image, whole), decode(image, whole)[0] > 0)


def test_extensions_have_a_decoder() -> None:
    Image.init()
    known = {end for end, kind in Image.registered_extensions().items() if kind in decoding.FORMATS}
    assert known >= decoding.EXTENSIONS


# Arrays.


def test_arrays_of_every_kind_lie_in_the_unit_interval() -> None:
    grey = discs(2)
    for values in (grey, grey.astype(np.uint16) * 257, grey / 255.0, (grey / 255).astype("f4")):
        np.testing.assert_array_equal(to_unit(check_array(values)), to_unit(grey))
    np.testing.assert_array_equal(to_unit(check_array(grey > 99)), (grey > 99).astype(np.float32))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (discs(2).astype(float), "look like 0 to 255: divide by 255"),
        (discs(2) / 127.5 - 1, r"look like -1 to 1"),
        (discs(2).astype(np.int64), "images of int64 have no known range"),
        (discs(2, channels=3).transpose(0, 2, 3, 1), "channels last"),
        (np.zeros((2, 16)), "an array .n, height, width."),
        (np.zeros((2, 0, 16)), "holds no pixels"),
    ],
    ids=["0-255", "-1-1", "int64", "channels last", "2d", "empty"],
)
def test_arrays_that_are_no_images_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_array(values)


def test_masked_pixels_are_refused() -> None:
    masked = np.ma.masked_array(discs(2), mask=discs(2) > 150)
    with pytest.raises(InvalidInput, match="are masked"):
        check_array(masked)
    whole = check_array(np.ma.masked_array(discs(2), mask=False))
    np.testing.assert_array_equal(to_unit(whole), to_unit(discs(2)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_not_finite_are_named(value: float) -> None:
    images = discs(3) / 255.0
    images[1, 0, 4, 7] = value
    with pytest.raises(InvalidInput, match=r"image 1, pixel \(0, 4, 7\)"):
        check_array(images)


# Files that hold more than one plain picture.


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["t.tif", "lzw.tif", "t.png", "t.webp", "t.jpg"])
def test_every_orientation_is_turned_upright(tmp_path: Path, orientation: int, name: str) -> None:
    wide = np.zeros((16, 24, 3), np.uint8)
    wide[:8, :12], wide[:8, 12:] = (255, 0, 0), (0, 255, 0)  # red above left, green above right
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"compression": "tiff_lzw"} if name.startswith("lzw") else {}
    options |= {"lossless": True} if name.endswith("webp") else {}
    path = write(tmp_path / name, Image.fromarray(wide), exif=exif, **options)
    turns = {
        1: wide,
        2: wide[:, ::-1],
        3: wide[::-1, ::-1],
        4: wide[::-1],
        5: wide.transpose(1, 0, 2),
        6: np.rot90(wide, k=-1),
        7: wide[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(wide),
    }
    expected = turns[orientation].transpose(2, 0, 1)
    assert read_header(path)[:3] == expected.shape
    schema = ImageSchema(channels=3, height=expected.shape[1], width=expected.shape[2])
    tolerance = 10 if name.endswith("jpg") else 0
    assert np.abs(decode(path, schema).astype(int) - expected).mean() <= tolerance
    with Image.open(path) as given:  # a Pillow image that was loaded from a handle is turned, too
        given.load()
        assert header_of(given, "given")[:3] == expected.shape


@pytest.mark.parametrize("deep", [">u2", "<u2"])
def test_turned_tiffs_of_sixteen_bits_keep_their_values(tmp_path: Path, deep: str) -> None:
    values = (np.arange(16 * 24).reshape(16, 24) * 170).astype(deep)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write(tmp_path / "d.tif", Image.fromarray(values), exif=exif)
    found = decode(path, ImageSchema(channels=1, height=24, width=16))
    np.testing.assert_array_equal(found[0], to_unit(np.rot90(values.astype("u2"), k=-1)))


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp", "a.png", "a.mpo"])
def test_of_several_pictures_the_first_is_taken_and_this_is_said(tmp_path: Path, name: str) -> None:
    first, *others = [Image.fromarray(image) for image in discs(3)[:, 0] // 64 * 64]
    options = {"lossless": True} if name.endswith("webp") else {}
    first.save(tmp_path / name, save_all=True, append_images=others, **options)
    path = (tmp_path / name).rename(tmp_path / name.replace(".mpo", ".jpg"))
    for schema in (GREY, COLOUR):
        if schema is GREY and read_header(path).channels == 3:
            continue
        pixels, remarks = decode_file(path, schema)
        tolerance = 10 if name.endswith("mpo") else 0
        assert np.abs(pixels[0].astype(int) - np.asarray(first)).mean() <= tolerance
        assert remarks == (decoding.SEVERAL,)


def test_a_preview_of_another_size_does_not_matter(tmp_path: Path, grey: np.ndarray) -> None:
    full, preview = Image.fromarray(grey), Image.fromarray(grey[::2, ::2])
    full.save(tmp_path / "a.tif", save_all=True, append_images=[preview])
    np.testing.assert_array_equal(decode(tmp_path / "a.tif", GREY)[0], grey)


def sixteen_bit_png(path: Path, values: np.ndarray, colour_type: int) -> Path:
    """A PNG of 16 bits a band, which Pillow does not write in colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    height, width = values.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


@pytest.mark.parametrize(("colour_type", "bands"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_a_colour_are_read_as_eight_and_this_is_said(
    tmp_path: Path, colour_type: int, bands: int
) -> None:
    values = np.full((16, 16, bands), 65535, np.uint16)
    values[..., 0] = (np.arange(256) * 257).reshape(16, 16)
    path = sixteen_bit_png(tmp_path / "c.png", values, colour_type)
    schema = GREY if colour_type == 4 else COLOUR
    assert read_header(path).channels == schema.channels
    pixels, remarks = decode_file(path, schema)
    assert remarks == (decoding.SHALLOW,)
    np.testing.assert_array_equal(pixels[0], np.arange(256).reshape(16, 16))


def test_sixteen_bits_in_other_formats_are_said(tmp_path: Path) -> None:
    values = np.zeros((16, 16, 3), ">u2")
    (tmp_path / "c.ppm").write_bytes(b"P6 16 16 65535\n" + values.tobytes())
    (tmp_path / "d.ppm").write_bytes(b"P6 16 16 255\n" + values.astype("u1").tobytes())
    assert decode_file(tmp_path / "c.ppm", COLOUR).remarks == (decoding.SHALLOW,)
    assert decode_file(tmp_path / "d.ppm", COLOUR).remarks == ()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_what_is_hidden_below_full_transparency_does_not_score(tmp_path: Path, mode: str) -> None:
    read = []
    for hidden in (10, 200):
        colour = np.full((16, 16, 4), 90, np.uint8)
        colour[..., 3] = 255
        colour[:8, :8] = (hidden, hidden, hidden, 0)
        image = Image.fromarray(colour)
        options = {}
        if mode == "LA":
            image = image.convert("LA")
        elif mode in ("L", "RGB"):
            image = image.convert("RGB").convert(mode)
            options["transparency"] = hidden if mode == "L" else (hidden,) * 3
        elif mode == "P":
            image = image.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
            options["transparency"] = image.getpixel((0, 0))
        path = write(tmp_path / f"{hidden}.png", image, **options)
        pixels, remarks = decode_file(path, COLOUR)
        assert remarks == (decoding.CLEAR,)
        read.append(pixels)
    np.testing.assert_array_equal(*read)
    assert read[0][:, :8, :8].max() == 0
    assert read[0][:, 8:, 8:].min() == 90


def test_an_image_that_is_transparent_throughout_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.new("RGBA", (16, 16), (9, 9, 9, 0)))
    assert "is transparent throughout; save it without transparency" in refused(path, COLOUR)


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "is no file" in refused(tmp_path / "pipe.png")
    (tmp_path / "null.png").symlink_to("/dev/null")
    assert "is no file" in refused(tmp_path / "null.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.gif", "a.webp", "a.ppm", "a.bmp"])
def test_headers_of_cut_files_are_read_or_refused(
    tmp_path: Path, colour: np.ndarray, name: str
) -> None:
    path = write(tmp_path / name, Image.fromarray(colour))
    content = path.read_bytes()
    for length in range(1, len(content), max(1, len(content) // 40)):
        path.write_bytes(content[:length])
        with contextlib.suppress(InvalidInput):
            assert read_header(path)[:3] == (3, 16, 16)


def test_a_mode_that_is_no_grey_and_no_colour_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "lab.tif", Image.new("LAB", (16, 16)))
    assert "has the mode LAB; convert it to RGB or grey" in refused(path, COLOUR)


def test_what_is_not_read_is_said_once_with_the_first_of_the_images(tmp_path: Path) -> None:
    paths = []
    for i in range(3):
        first, other = (Image.fromarray(image) for image in discs(2, seed=i)[:, 0])
        first.save(tmp_path / f"{i}.gif", save_all=i > 0, append_images=[other] * (i > 0))
        paths.append(tmp_path / f"{i}.gif")
    files = FileImages(tuple(paths), COLOUR, deep=False)
    said = rf"2 images \({paths[1]} first\) have several pictures, of which the first is taken"
    with pytest.warns(ImageWarning, match=said):
        files.in_memory()
    reader = FileReader(files)
    with pytest.warns(ImageWarning):
        list(reader.batches(files.positions(2)))
    list(reader.batches(files.positions(2)))  # and no more


@pytest.mark.parametrize("size", [(24, 16), (16, 24)])
def test_a_turned_tiff_is_upright_whichever_size_pillow_tells(size: tuple[int, int]) -> None:
    """Before some version Pillow told the size of a TIFF as stored, and since then upright."""
    image = SimpleNamespace(
        size=size, format="TIFF", tag_v2={256: 24, 257: 16}, getexif=lambda: {0x0112: 6}
    )
    assert decoding._upright_size(image) == (16, 24)
