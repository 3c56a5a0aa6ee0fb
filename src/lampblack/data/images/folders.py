"""Where images lie: a folder, MVTec's layout, folders by class, one image, or one array file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from lampblack.data.images.arrays import is_array_file, read_array_file
from lampblack.data.images.decoding import EXTENSIONS
from lampblack.data.images.schema import Pixels
from lampblack.exceptions import InvalidInput, Remedy, Setting

Role = Literal["fit", "score"]
GOOD, TRAIN, TEST, MASKS = "good", "train", "test", "ground_truth"
EXPECTED = (
    "a folder of images, MVTec's layout (train/good, test/good, test/DEFECT), a folder with one "
    "folder a class, an IDX file (also .gz), .npy or .npz"
)


@dataclass(frozen=True)
class ImageSet:
    """Images that were found, in the order of their keys.

    source: images as paths, or as an array (n, channels, height, width). keys: what names each in
    the output, its path below the folder. labels: its class, where the layout has classes. masks:
    the file that marks its defect, where the layout has such. normal: classes that are normal.
    """

    source: list[Path] | Pixels
    keys: list[str]
    labels: list[str] | None = None
    masks: list[Path | None] | None = None
    normal: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def is_normal(self) -> npt.NDArray[np.bool_]:
        """Which images are normal by their class (n,). Raises InvalidInput without classes."""
        if self.labels is None or not self.normal:
            raise InvalidInput("the images have no classes that say which are normal")
        return np.isin(self.labels, self.normal)

    def take(self, index: npt.NDArray[np.int64]) -> ImageSet:
        """The images at these positions."""

        def chosen(values: list[str]) -> list[str]:
            return [values[i] for i in index]

        paths = self.source
        return replace(
            self,
            source=[paths[i] for i in index] if isinstance(paths, list) else paths[index],
            keys=chosen(self.keys),
            labels=None if self.labels is None else chosen(self.labels),
            masks=None if self.masks is None else [self.masks[i] for i in index],
        )


def holds_images(path: Path) -> bool:
    """Whether a path is images rather than a file of rows: a folder, an image or array file.

    Raises InvalidInput where there is nothing.
    """
    check_exists(path)
    return path.is_dir() or path.suffix.lower() in EXTENSIONS or is_array_file(path)


def check_exists(path: Path) -> None:
    """Raise InvalidInput where there is nothing at `path`."""
    try:
        there = path.exists()
    except OSError:  # a name that no system takes
        there = False
    if not there:
        raise InvalidInput(f"{str(path)[:200]} does not exist")


def find_images(
    path: str | Path,
    *,
    role: Role = "score",
    normal: str | Sequence[str] = (),
    anomalous: str | Sequence[str] = (),
) -> ImageSet:
    """Find the images at `path`.

    role: "fit" takes normal images alone (train/good of MVTec's layout, the classes named in
    `normal`), "score" takes all (test/* of MVTec's). normal: names of normal classes; "good" where
    there is a class of that name. anomalous: classes of known anomalies, which role "fit" takes
    beside the normal ones. Raises InvalidInput, saying what was found and what is expected.
    """
    path = Path(path)
    normal = (normal,) if isinstance(normal, str) else tuple(normal)
    anomalous = (anomalous,) if isinstance(anomalous, str) else tuple(anomalous)
    if role not in ("fit", "score"):
        raise InvalidInput(f'role must be "fit" or "score", and is {role!r}')
    check_exists(path)
    images = _in_folder(path, role) if path.is_dir() else _in_file(path)
    images = _with_normal(path, images, normal, anomalous)
    if role == "fit" and images.labels is not None:
        images = _wanted_alone(path, images, anomalous)
    return images


def _in_file(path: Path) -> ImageSet:
    if path.suffix.lower() in EXTENSIONS:
        return ImageSet([path], [path.name])
    if not is_array_file(path):
        raise InvalidInput(f"{path} is not an image or a file of images; expected is {EXPECTED}")
    values, labels = read_array_file(path)
    return ImageSet(values, [str(i) for i in range(len(values))], labels)


def _in_folder(root: Path, role: Role) -> ImageSet:
    if (root / TRAIN / GOOD).is_dir():  # MVTec's layout, from its top
        if role == "score" and not (root / TEST).is_dir():
            raise InvalidInput(f"{root} has {TRAIN}/{GOOD} and no {TEST}; name the folder to score")
        if role == "fit" and not any(_images_below(root / TRAIN / GOOD)):
            raise InvalidInput(f"{root / TRAIN / GOOD} holds no images")
        return _by_class(root, [root / (TRAIN if role == "fit" else TEST)])
    folders = [entry for entry in _entries(root) if _is_folder(entry)]
    here = [entry for entry in _entries(root) if _is_image(entry)]
    inside = [folder for folder in folders if any(_images_below(folder))]
    if here and inside:
        raise InvalidInput(
            f"{root} holds {len(here)} images beside folders of images "
            f"({', '.join(folder.name for folder in inside[:5])}); name one of them, or give each "
            "class a folder"
        )
    if inside:
        return _by_class(root, [root])
    if not here:
        raise InvalidInput(f"{root} holds no images but {_found(root)}; expected is {EXPECTED}")
    return _checked(root, ImageSet(here, [entry.name for entry in here]))


def _by_class(root: Path, parents: list[Path]) -> ImageSet:
    """One folder a class below each parent; the mask of test/DEFECT/x.png is in ground_truth."""
    paths, labels, masks = [], [], []
    for parent in parents:
        for folder in _entries(parent):
            if not _is_folder(folder):
                continue
            for path in _images_below(folder):
                paths.append(path)
                labels.append(folder.name)
                masks.append(_mask_of(path, parent))
    if not paths:
        raise InvalidInput(f"{parents[0]} holds no images; expected is {EXPECTED}")
    keys = [path.relative_to(root).as_posix() for path in paths]
    found = masks if any(masks) else None
    return _checked(root, ImageSet(paths, keys, labels, found))


def _mask_of(path: Path, parent: Path) -> Path | None:
    below = path.relative_to(parent)
    folder = parent.parent / MASKS / below.parent
    names = [f"{path.stem}{tail}{end}" for tail in ("_mask", "") for end in sorted(EXTENSIONS)]
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, in order, without hidden files."""
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be read: {error.strerror}") from None


def _images_below(folder: Path) -> Iterable[Path]:
    for entry in _entries(folder):
        if _is_folder(entry):
            yield from _images_below(entry)
        elif _is_image(entry):
            yield entry


def _is_folder(path: Path) -> bool:
    """A folder of its own: links to folders are not followed, they may lead anywhere or back."""
    return path.is_dir() and not path.is_symlink()


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in EXTENSIONS and not path.is_dir()


def _found(root: Path) -> str:
    """What a folder without images holds."""
    names = [Path(name) for _, _, files in os.walk(root) for name in files]
    counts = Counter(name.suffix.lower() or "without extension" for name in names)
    shown = ", ".join(f"{count} files {kind}" for kind, count in counts.most_common(3))
    return shown or "nothing"


def _checked(root: Path, images: ImageSet) -> ImageSet:
    """Refuse links that lead out of the folder, and two images whose keys differ only in ending."""
    assert isinstance(images.source, list)
    inside = root.resolve()
    for path in images.source:
        try:
            place = path.resolve()
            str(path).encode()
        except (RuntimeError, OSError):
            raise InvalidInput(f"{path} is a link to itself; remove it") from None
        except UnicodeEncodeError:
            shown = os.fsencode(path).decode(errors="backslashreplace")
            raise InvalidInput(f"{shown}: the name is not valid text; rename it") from None
        if not place.is_relative_to(inside):
            raise InvalidInput(f"{path} is a link out of {root}; copy the image into the folder")
    first: dict[str, str] = {}
    for key in images.keys:
        stem = os.path.splitext(key)[0].lower()
        if stem in first:
            raise InvalidInput(
                f"{root / first[stem]} and {key} have the same key (a path without its ending); "
                "rename one"
            )
        first[stem] = key
    return images


def _with_normal(
    path: Path, images: ImageSet, normal: tuple[str, ...], anomalous: tuple[str, ...]
) -> ImageSet:
    given = [Setting("normal", name) for name in normal]
    given += [Setting("anomalous", name) for name in anomalous]
    if images.labels is None:
        for setting in given:
            raise InvalidInput(setting, f": {path} has no classes", remedy="leave it out")
        return images
    classes = sorted(set(images.labels))
    normal = normal or ((GOOD,) if GOOD in classes else ())
    for setting in given:
        name = setting.value
        if name not in classes:
            of_training = setting.name == "anomalous" and (path / TRAIN).is_dir()
            hint = f"; known anomalies lie below {TRAIN}/, too" if of_training else ""
            what = f": {path} has no such class; it has {_some(classes)}{hint}"
            raise InvalidInput(setting, what)
        if name in normal and name in anomalous:
            raise InvalidInput(
                Setting("anomalous", name),
                f": class {name} is taken as normal",
                remedy=Remedy("name the normal one: ", Setting("normal")),
            )
    return replace(images, normal=normal)


def _wanted_alone(path: Path, images: ImageSet, anomalous: tuple[str, ...]) -> ImageSet:
    """Normal images, and those of classes that are known anomalies."""
    assert images.labels is not None
    if (path / GOOD).is_dir() and not images.normal:
        raise InvalidInput(f"{path / GOOD} holds no images")
    if not images.normal:
        raise InvalidInput(
            f"{path} has the classes {_some(sorted(set(images.labels)))}",
            remedy=Remedy("say which is normal: ", Setting("normal", "NAME")),
        )
    return images.take(np.flatnonzero(images.is_normal | np.isin(images.labels, anomalous)))


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
