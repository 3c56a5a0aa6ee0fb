"""What does the service do under load, and after a crash?

A model of the README's tour is served by torch, and where it is there by ONNX, in a process of its
own, of one thread. 64 clients send requests of 1, 10, 100 and 1,000 rows, JSON and CSV, one after
the other on connections that stay open. Every answer must have the decisions, and to 1e-6 the
scores, that the same request got when nothing else ran. Then: the latency of one row without other
load, and the time from `kill -9` to ready again beside what importing torch costs in the same
environment.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.lab.load import Served, alone, load, restart
from benchmarks.lab.markdown import Show, made_with, markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Study
from benchmarks.studies.tour import PUMP

CLIENTS, SECONDS, QUICK_SECONDS = 64, 60, 5


def models(folder: Path) -> dict[str, Path]:
    """The model that is served, by engine. Dates do not go into a graph; both do without them."""
    subprocess.run([sys.executable, "-c", PUMP], cwd=folder, check=True)
    found = {"torch": folder / "pump.model"}
    commands = ["fit normal.csv --exclude at -o pump.model -q"]
    if find_spec("onnxruntime") is not None:
        commands.append("export pump.model -o pump.onnx")
        found["onnx"] = folder / "pump.onnx"
    for command in commands:
        call = [sys.executable, "-m", "lampblack", *command.split()]
        subprocess.run(call, cwd=folder, check=True)
    return found


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """Every engine that is not done. Exits where requests were lost or answered otherwise."""
    seconds, clients = (QUICK_SECONDS if quick else SECONDS), CLIENTS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for engine, model in models(folder).items():
            if (engine,) in done:
                continue
            csv = (folder / "normal.csv").read_text()
            served = Served(model, folder)
            served.start()
            try:
                row: dict[str, Any] = {"engine": engine}
                row |= asyncio.run(load(served, csv, seconds, clients))
                row |= asyncio.run(alone(served, csv))
                row |= restart(served)
            finally:
                row["exit_code"] = served.stop()
            yield row
            if row["lost"] or row["different"] or set(row["statuses"]) - {"200", "503"}:
                raise SystemExit("requests were lost, answered otherwise, or failed")


def service(rows: Rows) -> str:
    """What the service does under load, alone, and after a crash, by engine."""
    figures: dict[str, Show] = {
        "requests a second": lambda r: f"{r['requests_a_second']:,.0f}",
        "rows a second": lambda r: f"{r['rows_a_second']:,}",
        "answer under load, p50 / p99, ms": lambda r: f"{r['p50_ms']:,.0f} / {r['p99_ms']:,.0f}",
        "requests sent, answered, lost": lambda r: (
            f"{r['requests']:,}, {sum(r['statuses'].values()):,}, {r['lost']}"
        ),
        "answers by status": lambda r: ", ".join(
            f"{status}: {count:,}" for status, count in r["statuses"].items()
        ),
        "answers unlike those without load": lambda r: str(r["different"]),
        "largest relative difference of a score": lambda r: f"{r['largest_difference']:.1g}",
        "memory before and after, MiB": lambda r: " / ".join(f"{m:,}" for m in r["memory_mib"]),
        "one row alone, p50 / p99, ms": lambda r: (
            f"{r['one_row_p50_ms']:.1f} / {r['one_row_p99_ms']:.1f}"
        ),
        "ready after `kill -9`, s (of three)": lambda r: _span(r["ready_s"]),
        "`import torch` in between, s": lambda r: _span(r["import_torch_s"]),
    }
    first = rows[0]
    return markdown(
        ["", *(row["engine"] for row in rows)],
        [[name, *map(shown, rows)] for name, shown in figures.items()],
        f"{first['clients']} clients on the same machine for {first['seconds']:.0f} s; "
        f"{made_with(rows, 'torch')}; `make bench-service`.",
    )


def _span(values: list[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


STUDY = Study(
    "service", Measurements(measure, key=("engine",), quick=True), blocks={"service": service}
)
