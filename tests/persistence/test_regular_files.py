"""A model is read from regular files: a pipe, a device or a link in its place is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import lampblack
from lampblack.exceptions import ModelFileError
from lampblack.persistence.folder import read_folder
from lampblack.persistence.regular import read_regular

NAMES = ["README.md", "calibration.safetensors", "config.json", "weights.safetensors"]


@pytest.fixture(scope="module")
def saved(fitted: lampblack.TollDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("regular") / "a.model"
    fitted.save(path)
    return path


@pytest.mark.parametrize("name", [*NAMES, "manifest.json"])
@pytest.mark.parametrize("what", ["pipe", "link", "device"])
def test_what_is_no_regular_file_is_refused(
    saved: Path, tmp_path: Path, name: str, what: str
) -> None:
    folder = tmp_path / "a.model"
    shutil.copytree(saved, folder)
    (folder / name).unlink()
    if what == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(saved / name if what == "link" else "/dev/zero")
    with pytest.raises(ModelFileError, match=name):
        read_folder(folder)
    with pytest.raises(ModelFileError, match=name):
        lampblack.load(folder)


def test_a_link_is_followed_where_it_is_asked_for_and_to_a_file_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_regular(tmp_path / "link", follow_links=True) == b"abc"
    with pytest.raises(ModelFileError, match="is a link"):
        read_regular(tmp_path / "link")
    with pytest.raises(ModelFileError, match="is not a regular file"):
        read_regular(tmp_path / "zero", follow_links=True)
