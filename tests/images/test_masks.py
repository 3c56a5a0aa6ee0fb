"""Which pixels of a mask are marked, however it was saved."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lampblack.data.images.masks import decode_mask
from lampblack.data.images.schema import ImageSchema
from lampblack.exceptions import InvalidInput

SCHEMA = ImageSchema(channels=1, height=48, width=64)
MARKS = np.zeros((48, 64), bool)
MARKS[10:26, 20:44] = True
BYTES = np.where(MARKS, 255, 0).astype(np.uint8)
CLEAR = np.zeros_like(BYTES)


def read(folder: Path, image: Image.Image, name: str = "m.png", **options: object) -> np.ndarray:
    image.save(folder / name, **options)
    Image.fromarray(CLEAR).save(folder / "image.png")
    return decode_mask(folder / name, folder / "image.png", SCHEMA)


def refused(folder: Path, image: Image.Image, name: str = "m.png", **options: object) -> str:
    with pytest.raises(InvalidInput) as raised:
        read(folder, image, name, **options)
    assert str(raised.value).startswith(f"{folder / name} ")
    assert "save it as PNG with black where nothing is wrong" in str(raised.value)
    return str(raised.value)


def bands(*values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack(values, axis=-1).astype(np.uint8))


def painted(palette: list[int]) -> Image.Image:
    image = Image.fromarray(MARKS.astype(np.uint8)).convert("P")
    image.putdata(MARKS.astype(np.uint8).ravel().tolist())
    image.putpalette(palette)
    return image


FULL = np.full_like(BYTES, 255)
SIDES = np.where(np.arange(64) < 4, CLEAR, FULL)
SAME = {
    "grey": Image.fromarray(BYTES),
    "bits": Image.fromarray(MARKS),
    "class 1": Image.fromarray(MARKS.astype(np.uint8)),
    "16 bits": Image.fromarray(MARKS.astype(np.uint16) * 65535),
    "16 bits, class": Image.fromarray(MARKS.astype(np.uint16)),
    "blue": bands(CLEAR, CLEAR, BYTES),
    "dark blue": bands(CLEAR, CLEAR, BYTES // 64),
    "alpha alone": bands(CLEAR, CLEAR, CLEAR, BYTES),
    "white, alpha alone": bands(FULL, FULL, FULL, BYTES),
    "black marks on nothing": bands(FULL - BYTES, FULL - BYTES, FULL - BYTES, BYTES),
    "opaque colour": bands(BYTES, CLEAR, CLEAR, FULL),
    "red on black, sides see-through": bands(
        BYTES, CLEAR, CLEAR, np.where(MARKS | (CLEAR == 1), 255, 0)
    ),
    "grey and alpha": bands(FULL, BYTES),
    "palette": painted([0, 0, 0, 0, 0, 9]),
    "hidden colour": bands(FULL, CLEAR, CLEAR, BYTES),
}


@pytest.mark.parametrize("image", SAME.values(), ids=SAME)
def test_the_same_marks_are_read_of_every_mode(tmp_path: Path, image: Image.Image) -> None:
    np.testing.assert_array_equal(read(tmp_path, image), MARKS)


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 0.5])
def test_floats(tmp_path: Path, white: float) -> None:
    image = Image.fromarray(MARKS.astype(np.float32) * white)
    np.testing.assert_array_equal(read(tmp_path, image, "m.tif"), MARKS)
    below = Image.fromarray(MARKS.astype(np.float32) - 1)
    assert "negative or not finite" in refused(tmp_path, below, "m.tif")
    holes = np.where(MARKS, np.nan, 0).astype(np.float32)
    assert "negative or not finite" in refused(tmp_path, Image.fromarray(holes), "m.tif")


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [60, 75, 95])
def test_noise_of_jpeg_marks_nothing(tmp_path: Path, mode: str, quality: int) -> None:
    image = Image.fromarray(BYTES).convert(mode)
    np.testing.assert_array_equal(read(tmp_path, image, "m.jpg", quality=quality), MARKS)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=quality)
    again = Image.open(written)  # the noise stays where a JPEG is saved as PNG
    np.testing.assert_array_equal(read(tmp_path, again), MARKS)


def test_classes_and_soft_edges(tmp_path: Path) -> None:
    classes = np.where(MARKS, 7, 0)
    classes[30:40, 5:15] = 1
    np.testing.assert_array_equal(
        read(tmp_path, Image.fromarray(classes.astype("u1"))), classes > 0
    )
    small = Image.fromarray(BYTES).resize((32, 24), Image.Resampling.BOX)
    soft = small.resize((64, 48), Image.Resampling.BICUBIC)
    assert np.abs(read(tmp_path, soft).sum() - MARKS.sum()) < 100  # a pixel on each side


def test_masks_that_mark_nothing_or_all_are_read(tmp_path: Path) -> None:
    for name in ("m.png", "m.jpg"):
        assert not read(tmp_path, Image.fromarray(CLEAR), name).any()
        assert read(tmp_path, Image.fromarray(FULL), name).all()


SHADES = np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8)
VOID = np.where(MARKS, 255, 0)
VOID[30:40, 5:15] = 1
AMBIGUOUS = {
    "a photograph": (Image.fromarray(SHADES), "has 256 shades"),
    "nowhere black": (Image.fromarray(np.where(MARKS, 255, 99).astype("u1")), "nowhere black"),
    "white ground": (bands(FULL, FULL - BYTES, FULL - BYTES), "nowhere black"),
    "classes and void": (Image.fromarray(VOID.astype("u1")), "from 0, 1, 255 to 255"),
    "transparent": (bands(BYTES, BYTES, BYTES, CLEAR), "transparent throughout"),
    "half": (bands(CLEAR, CLEAR, CLEAR, np.where(MARKS, 255, 130)), "half transparent"),
    "palette": (painted([0, 0, 0, 0, 0, 0]), "shows all its values alike"),
    "noise": (Image.fromarray((SHADES // 12).astype("u1")), "has 22 shades"),
    "print colours": (Image.fromarray(BYTES).convert("CMYK"), "mode CMYK"),
}


@pytest.mark.parametrize(("image", "says"), AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_is_ambiguous_is_refused(tmp_path: Path, image: Image.Image, says: str) -> None:
    name = "m.tif" if image.mode == "CMYK" else "m.png"
    assert says in refused(tmp_path, image, name)


def test_classes_in_a_lossy_file_and_several_pictures_are_refused(tmp_path: Path) -> None:
    image = Image.fromarray(MARKS.astype(np.uint8) * 9)
    assert "shades" in refused(tmp_path, image, "m.jpg")
    film = {"save_all": True, "append_images": [Image.fromarray(FULL)]}
    assert "several pictures" in refused(tmp_path, Image.fromarray(BYTES), "m.tif", **film)
