"""The meter of memory; Linux tells what it shows, and nothing is known elsewhere."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path


class Peak:
    """The most memory that is taken while a block runs.

    mib: of this process, as the kernel counts it; None where it is not told. more: how much of it
    came on top of what the process took when the block began. tree: of this process and all that it
    has started, together, looked at twice a second; what several of them share is counted once.
    """

    def __init__(self, *, tree: bool = False) -> None:
        self._tree = tree
        self.mib: float | None = None
        self.more: float | None = None

    def __enter__(self) -> Peak:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        self._before = resident_mib()
        if self._tree:
            self._over = threading.Event()
            self._thread = threading.Thread(target=self._watch)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._tree:
            self._over.set()
            self._thread.join()
        else:
            self.mib = _status_mib("self", "VmHWM")
        if self.mib is not None and self._before is not None:
            self.more = round(self.mib - self._before, 1)
            self.mib = round(self.mib)

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.mib = max(self.mib or 0, sum(map(_share_mib, _descendants(os.getpid()))))


def resident_mib(process: int | str = "self") -> float | None:
    """Memory of a process at this moment."""
    return _status_mib(process, "VmRSS")


def _status_mib(process: int | str, figure: str) -> float | None:
    return _mib(Path(f"/proc/{process}/status"), figure)


def _share_mib(process: int) -> float:
    """What a process takes; of what n processes share, an nth."""
    return _mib(Path(f"/proc/{process}/smaps_rollup"), "Pss") or 0.0


def _mib(file: Path, figure: str) -> float | None:
    """A figure that a file of the kernel gives in KiB; None where it does not."""
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith(f"{figure}:"):
                return int(line.split()[1]) / 1024
    return None


def _descendants(root: int) -> list[int]:
    """A process and all that it has started, and they."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found
