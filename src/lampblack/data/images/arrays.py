"""Images stored as one array: IDX (MNIST's format, also .gz), .npy and .npz."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

import numpy as np

from lampblack.data.images.schema import Pixels, check_array, damaged
from lampblack.exceptions import InvalidInput, Place

IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
LABEL_NAMES = ("y", "labels", "label", "targets")
NUMPY_MAGIC, GZIP_MAGIC = b"\x93NUMPY", b"\x1f\x8b"


def is_array_file(path: Path) -> bool:
    """Whether a file is one of those that hold images as an array, by its content."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
        if path.suffix.lower() == ".npz":
            return True
        if start.startswith(NUMPY_MAGIC):
            return True
        if start.startswith(GZIP_MAGIC):
            with gzip.open(path) as packed:
                start = packed.read(4)
    except (OSError, EOFError, zlib.error):
        return False
    return len(start) >= 4 and start[:2] == b"\0\0" and start[2] in IDX_TYPES and start[3] in (3, 4)


def read_array_file(path: Path) -> tuple[Pixels, list[str] | None]:
    """The images (n, channels, height, width) of a file, and their labels where it has some.

    An .npz file holds one array of images, and maybe one of labels named y or labels; the labels of
    an IDX file lie beside it under MNIST's name for them. Raises InvalidInput naming the file.
    """
    try:
        values, labels = _read(path)
        images = check_array(values)
    except InvalidInput as error:
        raise error.at(path) from None
    except Exception as error:  # whatever a damaged file makes the readers raise
        raise damaged(path, error) from None
    if labels is not None and len(labels) != len(images):
        what = f"there are {len(images)} images and {len(labels)} labels"
        raise InvalidInput(what, at=Place(path))
    return images, None if labels is None else [str(label) for label in labels.tolist()]


def _read(path: Path) -> tuple[Pixels, Pixels | None]:
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    with path.open("rb") as file:
        if file.read(6) == NUMPY_MAGIC:
            return np.load(path, mmap_mode="r", allow_pickle=False), None
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    labels = _read_idx(beside) if beside != path and beside.exists() else None
    return _read_idx(path), labels


def _read_npz(path: Path) -> tuple[Pixels, Pixels | None]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except zipfile.BadZipFile:
        raise InvalidInput("is not an .npz file, or cut short") from None
    images = [name for name, array in arrays.items() if array.ndim in (3, 4)]
    if len(images) != 1:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise InvalidInput(
            "must hold one array (n, height, width) or (n, channels, height, width); "
            f"it holds {found}"
        )
    labels = next((arrays[name] for name in LABEL_NAMES if name in arrays), None)
    return arrays[images[0]], None if labels is None else _as_labels(labels)


def _as_labels(values: Pixels) -> Pixels:
    """Labels (n,) of an array (n,) or (n, 1): whole numbers as such, bytes as text."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InvalidInput(f"its labels have shape {values.shape}; expected is one for each image")
    if values.dtype.kind == "S":
        return values.astype(str)
    whole = values.dtype.kind == "f" and bool(np.all(values == np.floor(values)))
    return values.astype(np.int64) if whole else values


def _read_idx(path: Path) -> Pixels:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_TYPES:
        raise InvalidInput("is not an IDX file")
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4).tolist()
    kind = np.dtype(IDX_TYPES[content[2]])
    start, count = 4 + 4 * dimensions, int(np.prod([int(n) for n in shape], dtype=object))
    if len(content) != start + count * kind.itemsize:
        raise InvalidInput(
            f"its header announces {'×'.join(map(str, shape))} values, and its length differs"
        )
    return np.frombuffer(content, kind, offset=start).reshape(shape)
