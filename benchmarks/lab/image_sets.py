"""Sets of images: MNIST, CIFAR-10 (as JPEG), solar cells (ELPV), and what else lies beside them.

Train on the training images of one class, test on the whole official test set; ELPV has no split,
so a random half of the cells that are certainly good trains, and the other half and the certainly
defective ones test. Nothing is held back from our detectors but what they calibrate with.
"""

from __future__ import annotations

import gzip
import io
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.lab.protocol import Split, data_folder

Pixels = npt.NDArray[np.uint8]

SIDE = 64  # pixels that folders of photographs are brought to


def further_sets() -> list[str]:
    """What else lies in the data folder: IDX sets, a name for each class; and folders of images.

    An IDX set is a folder of four files named like MNIST's. A folder of images has train/good,
    test/good and test/<defect>, as MVTec's has.
    """
    found = []
    folders = sorted(path for path in data_folder().glob("*") if path.is_dir())
    for folder in folders:
        if folder.name != "mnist" and (folder / "train-images-idx3-ubyte.gz").exists():
            labels = sorted(set(load_idx(folder.name)[1].tolist()))
            found += [f"{folder.name} {label}" for label in labels]
        elif (folder / "train" / "good").is_dir() and (folder / "test" / "good").is_dir():
            found.append(folder.name)
    return found


def load(name: str, seed: int) -> Split:
    """Training and test images (n, channels, h, w) of a class."""
    if name == "elpv":
        return _load_elpv(seed)
    if (data_folder() / name / "train" / "good").is_dir():
        return _load_folder(name)
    kind, label = name.split()
    X, y, test, test_y = load_cifar() if kind == "cifar10" else load_idx(kind)
    return Split(X[y == int(label)], test, test_y != int(label))


def load_idx(name: str) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """A set written as MNIST is: training images, their labels, test images, theirs."""
    arrays = []
    for part in ("train", "t10k"):
        for kind, offset in (("images-idx3", 16), ("labels-idx1", 8)):
            path = data_folder() / name / f"{part}-{kind}-ubyte.gz"
            content = gzip.decompress(path.read_bytes())
            values = np.frombuffer(content, np.uint8, offset=offset)
            if offset == 16:
                height, width = np.frombuffer(content, ">i4", 2, offset=8)
                values = values.reshape(-1, 1, height, width)
            arrays.append(values)
    return arrays[0], arrays[1], arrays[2], arrays[3]


def load_cifar() -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """CIFAR-10 as JPEG: training images (n, 3, 32, 32), their classes, test images, theirs."""
    arrays = []
    for part in ("train", "test"):
        with np.load(data_folder() / "cifar10" / f"cifar10_jpeg_{part}.npz") as content:
            packed, offsets = content["jpeg"].tobytes(), content["offsets"]
            labels = content["labels"]
        files = (packed[a:b] for a, b in pairwise(offsets))
        images = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
        arrays += [images.transpose(0, 3, 1, 2), labels]
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _load_folder(name: str) -> Split:
    """Train on train/good, test on all of test; colour, 64 pixels a side."""
    parts: dict[str, list[Pixels]] = {"train": [], "test": []}
    is_anomaly = []
    for part, images in parts.items():
        for path in sorted((data_folder() / name / part).rglob("*.*")):
            with Image.open(path) as image:
                small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
            images.append(np.asarray(small).transpose(2, 0, 1))
            if part == "test":
                is_anomaly.append(path.parent.name != "good")
    return Split(np.stack(parts["train"]), np.stack(parts["test"]), np.array(is_anomaly))


def _load_elpv(seed: int) -> Split:
    with np.load(data_folder() / "elpv64" / "elpv64.npz") as content:
        images, defect = content["images"][:, None], content["defect_probability"]
    good = np.random.default_rng(seed).permutation(np.flatnonzero(defect == 0))
    half = len(good) // 2
    test = np.concatenate([good[half:], np.flatnonzero(defect == 1)])
    return Split(images[good[:half]], images[test], defect[test] == 1)
