"""A folder of files under a manifest of their hashes: complete and unchanged, or refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from lampblack.exceptions import ModelFileError, Place, Remedy
from lampblack.persistence.regular import read_regular

MANIFEST = "manifest.json"


def is_model_folder(path: Path) -> bool:
    """Whether a model was written here."""
    return (path / MANIFEST).is_file()


def check_target(path: Path) -> None:
    """Raise ModelFileError where no model can be written: better before a long fit than after."""
    if path.exists() and not (path.is_dir() and (is_model_folder(path) or not any(path.iterdir()))):
        raise ModelFileError.of(
            path, "exists and is not a model", remedy="choose another name or remove it"
        )
    if not path.absolute().parent.is_dir():
        folder = path.absolute().parent
        what = f"the folder {folder} does not exist"
        raise ModelFileError(what, names=Place(folder), remedy="create it first")


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files and their manifest beside `path`, then rename them into place.

    A crash leaves the old model or none. An existing model is replaced; anything else that stands
    at `path` is refused with ModelFileError.
    """
    path = path.resolve()  # a link keeps pointing where it did
    check_target(path)
    beside = path.parent / f".{path.name}.{os.getpid()}.new"
    replaced = beside.with_suffix(".old")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        for name, content in {**files, MANIFEST: _manifest(files)}.items():
            with (beside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if path.exists():
            os.rename(path, replaced)
        os.rename(beside, path)
    finally:
        if replaced.exists() and not path.exists():
            os.rename(replaced, path)
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def read_folder(path: Path) -> dict[str, bytes]:
    """Every file of a model folder, by name, after checking each against the manifest.

    Raises ModelFileError, naming the file, where one is missing, changed or unknown. The bytes that
    are returned are the bytes that were checked.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        is_one = "a model is a folder written by save or lampblack fit"
        raise ModelFileError(f"{path} {what}; {is_one}", names=Place(path))
    if not is_model_folder(path):
        raise ModelFileError(f"{path} is not a model: {MANIFEST} is missing", names=Place(path))
    expected = _read_manifest(path / MANIFEST)
    present = {entry.name for entry in path.iterdir()} - {MANIFEST}
    for name in sorted(present - expected.keys()):
        raise ModelFileError.of(path / name, "is not part of the model", remedy="remove it")
    for name in sorted(expected.keys() - present):
        what = f"{path / name} is missing; the model is incomplete"
        again = Remedy("save it again", joint=": ")
        raise ModelFileError(what, names=Place(path / name), remedy=again)
    files = {name: read_regular(path / name) for name in expected}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != expected[name]:
            raise _changed(path / name)
    return files


def _manifest(files: Mapping[str, bytes]) -> bytes:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return _canonical(hashes)


def _canonical(hashes: Mapping[str, str]) -> bytes:
    return (json.dumps({"sha256": hashes}, indent=1, sort_keys=True) + "\n").encode()


def _read_manifest(path: Path) -> dict[str, str]:
    """The hashes by file name; the manifest itself must be written exactly as we write it."""
    content = read_regular(path)
    try:
        hashes = json.loads(content)["sha256"]
        unchanged = _canonical(hashes) == content and all(
            isinstance(value, str) and Path(name).name == name for name, value in hashes.items()
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        unchanged = False
    if not unchanged:
        raise _changed(path)
    return dict(hashes)


def _changed(path: Path) -> ModelFileError:
    what = f"{path} is damaged or was changed"
    return ModelFileError(what, names=Place(path), remedy="save the model again")
