"""How near are fit and score to what torch alone takes, in some jobs of the speed study?

The third side is what ours has torch do, and nothing else. One thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.lab.apart import apart
from benchmarks.lab.markdown import Columns, made_with, markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Study
from benchmarks.lab.timing import ratio
from benchmarks.studies import speed

BOUNDS = (  # jobs that have a third side; of fits, those that take minutes and not an hour
    "fit, batch 32, 50,000 × 30",
    "fit, batch 1024, 50,000 × 30",
    "fit, batch 32, 5,000 × 274",
    "fit, batch 1024, 5,000 × 274",
    "fit, batch 32, 10,000 × 28 × 28",
    "fit, batch 1024, 10,000 × 28 × 28",
    "score, 500,000 × 30",
    "score, 5,000 × 274",
    "score and network, recommended, 50,000 × 30",
)


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """Every job that is not done, in a process of its own."""
    for name in BOUNDS:
        if (name, 1) not in done:
            found = apart(speed.run, name, 1, quick, True)
            yield {"set": name, "threads": 1, **found}


def bounds(rows: Rows) -> str:
    """The ratios beside those of bare torch."""
    columns: Columns = {
        "figure": "{set}",
        "ratio, CPU": ratio,
        "that of bare torch": "{limit_ratio:.2f}",
        "ours of it": lambda row: f"{row['cpu_ratio'] / row['limit_ratio']:.0%}",
    }
    made = made_with(rows, "torch", "pyod", cpu=True)
    note = f"One thread; {made}; `python -m benchmarks bounds`."
    return markdown(columns, sorted(rows, key=lambda row: BOUNDS.index(row["set"])), note)


STUDY = Study(
    "bounds", Measurements(measure, key=("set", "threads"), quick=True), blocks={"bounds": bounds}
)
