"""Paths that the documentation names exist, and hold what it says they hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FILE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|md|jsonl))`(?:, `(\w+)`)?")
FOLDER = re.compile(r"`((?:src|benchmarks|tests|docs)/[\w/-]*)`")
PRODUCED = {"docs/api"}


def stale(text: str) -> list[str]:
    """What a page names and is not there: files, below the project or its package, and folders."""
    found = []
    for path, name in FILE.findall(text):
        if "NAME" in path:  # of a file that is to be added
            continue
        places = [place / path for place in (ROOT, ROOT / "src" / "lampblack")]
        there = [place.read_text() for place in places if place.is_file()]
        if not there or name not in there[0]:
            found.append(f"{path} {name}".rstrip())
    folders = set(FOLDER.findall(text)) - PRODUCED
    return found + sorted(path for path in folders if not (ROOT / path).exists())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_of_a_page_exist(page: Path) -> None:
    assert stale(page.read_text()) == []


def test_a_stale_path_would_be_noticed() -> None:
    text = "`detectors/nothing.py`, `tests/`, `src/nothing`, `training/steps.py`, `NoSuchName`"
    assert stale(text) == ["detectors/nothing.py", "training/steps.py NoSuchName", "src/nothing"]
