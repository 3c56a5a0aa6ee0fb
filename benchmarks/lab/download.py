"""Fetch the public data that the benchmark runs on: `python -m benchmarks.lab.download [FOLDER]`.

ADBench's tables and MNIST, from where their authors keep them, each file held to a sha256 that
stands in benchmarks/lab/checksums.txt. Without FOLDER they go to pooch's cache. Then set
LAMPBLACK_DATA as it says: the benchmark looks nowhere else. A file that is there and right is not
fetched again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ADBENCH = (
    "https://raw.githubusercontent.com/Minqi824/ADBench/"
    "3dac8221081e190f157d78e93bfa8867f90d0965/adbench/datasets/Classical/"
)
MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
CHECKSUMS = Path(__file__).parent / "checksums.txt"


def checksums() -> dict[str, str]:
    """sha256 by path beneath the data folder."""
    lines = CHECKSUMS.read_text().split("\n")
    return dict(reversed(line.split()) for line in lines if line)  # type: ignore[arg-type]


def fetch(folder: Path | None = None, downloader: Callable[..., Any] | None = None) -> Path:
    """Fetch what is missing; returns the data folder. Raises ValueError for a wrong checksum."""
    import pooch

    known = checksums()
    sources = {"adbench": ADBENCH, "mnist": MNIST}
    urls = {name: sources[name.split("/")[0]] + name.split("/")[1] for name in known}
    place = pooch.os_cache("lampblack") if folder is None else folder
    store = pooch.create(path=place, base_url="", registry=known, urls=urls, retry_if_failed=2)
    for name in known:
        store.fetch(name, downloader=downloader)
    return Path(place)


if __name__ == "__main__":
    print(f"export LAMPBLACK_DATA={fetch(Path(sys.argv[1]) if len(sys.argv) > 1 else None)}")
