"""Layouts that are understood without a flag, and the sentence for anything else."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lampblack.cli.errors import in_options
from lampblack.data.images.folders import find_images, holds_images
from lampblack.exceptions import InvalidInput
from tests.conftest import discs


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    root = tmp_path / "part"
    images = discs(9)[:, 0]
    for i, name in enumerate(
        ["train/good/0", "train/good/1", "test/good/0", "test/dent/0", "test/dent/1", "test/cut/0"]
    ):
        save(root / f"{name}.png", images[i])
    save(root / "ground_truth/dent/0_mask.png", (images[0] > 100).astype(np.uint8) * 255)
    return root


def test_flat_folder(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", ".hidden.png", "notes.txt"):
        if name.endswith(".txt"):
            (tmp_path / name).write_text("not an image")
        else:
            save(tmp_path / name, discs(1)[0, 0])
    found = find_images(tmp_path)
    assert found.keys == ["a.jpg", "b.png"]
    assert found.labels is None


def test_mvtec_layout_from_its_top_and_from_its_parts(mvtec: Path) -> None:
    assert find_images(mvtec, role="fit").keys == ["train/good/0.png", "train/good/1.png"]
    assert find_images(mvtec / "train", role="fit").keys == ["good/0.png", "good/1.png"]
    assert find_images(mvtec / "train" / "good", role="fit").keys == ["0.png", "1.png"]
    found = find_images(mvtec)
    assert found.keys == [
        "test/cut/0.png",
        "test/dent/0.png",
        "test/dent/1.png",
        "test/good/0.png",
    ]
    assert found.labels == ["cut", "dent", "dent", "good"]
    assert found.is_normal.tolist() == [False, False, False, True]
    masks = find_images(mvtec / "test").masks
    assert masks is not None
    assert [mask is not None for mask in masks] == [False, True, False, False]


def test_class_folders_need_the_name_of_the_normal_class(tmp_path: Path) -> None:
    for name in ("cat/0", "cat/1", "dog/0"):
        save(tmp_path / f"{name}.png", discs(1)[0, 0])
    assert len(find_images(tmp_path)) == 3
    assert find_images(tmp_path, role="fit", normal=["cat"]).keys == ["cat/0.png", "cat/1.png"]
    with pytest.raises(InvalidInput, match="classes cat, dog; say which is normal: ") as caught:
        find_images(tmp_path, role="fit")
    with pytest.raises(InvalidInput, match="no such class; it has cat, dog"):
        find_images(tmp_path, normal=["cow"])
    assert str(caught.value).endswith("normal='NAME'")
    assert in_options(caught.value).endswith("--normal NAME")


@pytest.mark.parametrize("packed", [False, True])
def test_idx_with_its_labels(tmp_path: Path, packed: bool) -> None:
    images, labels = discs(5)[:, 0], np.array([3, 8, 8, 1, 8], dtype=np.uint8)
    end = ".gz" if packed else ""
    for name, values in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        content = idx(values)
        (tmp_path / f"{name}{end}").write_bytes(gzip.compress(content) if packed else content)
    file = tmp_path / f"train-images-idx3-ubyte{end}"
    assert holds_images(file)
    assert not holds_images(tmp_path / f"train-labels-idx1-ubyte{end}")
    found = find_images(file, role="fit", normal=["8"])
    np.testing.assert_array_equal(found.source, images[labels == 8][:, None])
    assert found.keys == ["1", "2", "4"]


def test_numpy_files(tmp_path: Path) -> None:
    images = discs(4)
    np.save(tmp_path / "images.npy", images)
    np.savez(tmp_path / "images.npz", x=images, y=np.array(["a", "b", "a", "a"]))
    np.testing.assert_array_equal(find_images(tmp_path / "images.npy").source, images)
    found = find_images(tmp_path / "images.npz", normal=["a"])
    assert found.is_normal.tolist() == [True, False, True, True]


def test_one_image(tmp_path: Path) -> None:
    save(tmp_path / "one.png", discs(1)[0, 0])
    assert find_images(tmp_path / "one.png").keys == ["one.png"]


def refused(path: Path) -> str:
    with pytest.raises(InvalidInput) as raised:
        find_images(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_what_is_no_layout_is_said_in_one_sentence(tmp_path: Path) -> None:
    assert "holds no images but nothing; expected is a folder of images" in refused(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("x")
    assert "holds no images but 2 files .txt" in refused(tmp_path)
    save(tmp_path / "c.png", discs(1)[0, 0])
    save(tmp_path / "sub" / "d.png", discs(1)[0, 0])
    assert "1 images beside folders of images (sub)" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "is not an image or a file of images" in refused(tmp_path / "a.txt")


def test_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "outside.png", discs(1)[0, 0])
    save(tmp_path / "in" / "a.png", discs(1)[0, 0])
    (tmp_path / "in" / "b.png").symlink_to("a.png")
    assert len(find_images(tmp_path / "in")) == 2
    (tmp_path / "in" / "c.png").symlink_to(tmp_path / "outside.png")
    assert "in/c.png is a link out of" in refused(tmp_path / "in")


def test_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    save(tmp_path / "outside" / "x.png", discs(1)[0, 0])
    save(tmp_path / "in" / "a" / "0.png", discs(1)[0, 0])
    (tmp_path / "in" / "b").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "again").symlink_to(".")
    assert find_images(tmp_path / "in").keys == ["a/0.png"]


def test_names_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("a.png")
    assert "is a link to itself" in refused(tmp_path)
    (tmp_path / "a.png").unlink()
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))).write_bytes(b"x")
    assert "the name is not valid text" in refused(tmp_path)
    assert "does not exist" in refused(Path("x" * 5000))


def test_empty_folder_of_good_images_is_named(mvtec: Path) -> None:
    for path in (mvtec / "train" / "good").iterdir():
        path.unlink()
    with pytest.raises(InvalidInput, match="train/good holds no images"):
        find_images(mvtec, role="fit")
    with pytest.raises(InvalidInput, match="role must be"):
        find_images(mvtec, role="train")


@pytest.mark.parametrize(
    "labels", [np.array([0.0, 1.0]), np.array([b"0", b"1"]), np.array([[0], [1]])], ids=str
)
def test_labels_of_any_type(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "a.NPZ", x=discs(2), y=labels)
    (tmp_path / "a.NPZ.npz").rename(tmp_path / "a.NPZ")
    assert find_images(tmp_path / "a.NPZ", normal="0").is_normal.tolist() == [True, False]


def test_folders_that_link_in_a_circle_end(tmp_path: Path) -> None:
    save(tmp_path / "a" / "0.png", discs(1)[0, 0])
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert find_images(tmp_path).keys == ["a/0.png"]


def test_two_images_with_the_same_key_are_refused(tmp_path: Path) -> None:
    for name in ("x.png", "X.jpg"):
        save(tmp_path / name, discs(1)[0, 0])
    assert "have the same key" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(discs(3)[:, 0])[:-5], "its length differs"),
        (idx(discs(3)[:, 0]) + b"more", "its length differs"),
    ],
)
def test_damaged_idx_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a").write_bytes(content)
    assert message in refused(tmp_path / "a")


def test_damaged_numpy_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", discs(3))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:200])
    assert "damaged or cut short" in refused(tmp_path / "cut.npy")
    (tmp_path / "text.npz").write_text("no archive")
    assert "text.npz" in refused(tmp_path / "text.npz")
    np.savez(tmp_path / "two.npz", a=discs(2), b=discs(2))
    assert "must hold one array" in refused(tmp_path / "two.npz")
    np.savez(tmp_path / "labels.npz", a=discs(2), y=np.arange(3))
    assert "2 images and 3 labels" in refused(tmp_path / "labels.npz")
    np.save(tmp_path / "objects.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    assert "objects.npy" in refused(tmp_path / "objects.npy")
