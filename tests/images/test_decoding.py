"""Image files of every kind, and everything that can be wrong with one."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lampblack.data.images import decoding
from lampblack.data.images.decoding import decode, decode_mask, read_header
from lampblack.data.images.schema import ImageSchema, check_array, to_unit
from lampblack.data.images.stored import FileImages
from lampblack.exceptions import InvalidInput
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
    frames = [Image.fromarray(f[0]) for f in discs(3)]
    frames[0].save(tmp_path / "film.tif", save_all=True, append_images=frames[1:])
    assert "holds 3 images" in refused(tmp_path / "film.tif")


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
