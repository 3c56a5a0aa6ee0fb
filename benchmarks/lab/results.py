"""Result files: rows of JSON, each with the versions and the machine that made it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results"  # what the pages are made of


def read(name: str, folder: Path = KEPT) -> Rows:
    """The rows of one result file; none where there is no file."""
    file = folder / f"{name}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def append(name: str, folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as they come, so that a killed run loses only what it was at."""
    made_by = provenance()
    with (folder / f"{name}.jsonl").open("a") as output:
        for row in rows:
            output.write(json.dumps({**row, **made_by}) + "\n")
            output.flush()


def drop_cut_line(name: str, folder: Path) -> None:
    """Take away a last line that a kill cut short."""
    file = folder / f"{name}.jsonl"
    if file.exists():
        whole = file.read_text()
        file.write_text(whole[: whole.rfind("\n") + 1])


def provenance() -> dict[str, str]:
    """Versions and machine, which stand in every row."""
    names = ["lampblack", "torch", "numpy", "scikit-learn", "pyarrow"]
    if find_spec("pyod") is not None:
        names.append("pyod")
    return {name: version(name) for name in names} | {
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, CPU",
        "cpu": processor(),
    }


def processor() -> str:
    """The processor's model, where Linux tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
