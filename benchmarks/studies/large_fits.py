"""What would a fit of 10⁹ rows take?

On paper, from the rate of large batches and the memory of large tables, in one process and thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.lab.apart import apart
from benchmarks.lab.markdown import NONE, Columns, markdown
from benchmarks.lab.memory import Peak
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Study
from benchmarks.studies.scale import COLUMNS, sizes

MEMORY_ROWS = 1_000_000  # of a table that is fitted, and half of one
BATCH = 8192
WARM_UP, STEPS = 20, 40  # steps that are not timed, and that are
POSITIONS = 3 * 8  # bytes of each row of a file that is fitted as it lies


def run_training() -> dict[str, Any]:
    """Steps and rows a second of a fit."""
    import numpy as np

    import lampblack

    times: dict[int, float] = {}

    class Clock(lampblack.Callback):
        def on_step_end(self, step: int) -> None:
            times[step] = time.perf_counter()

    detector = lampblack.TollDetector(
        amplification="quantile", batch_size=BATCH, max_steps=WARM_UP + STEPS, random_state=0
    )
    X = np.random.default_rng(0).random((50_000, COLUMNS), dtype=np.float32)
    detector.fit(X, callbacks=[Clock()])
    rate = STEPS / (times[WARM_UP + STEPS] - times[WARM_UP])
    return {"steps_per_s": round(rate, 2), "rows_per_s": round(BATCH * rate)}


def run_memory() -> dict[str, Any]:
    """Bytes that a fit in memory takes for every row more, the row itself among them."""
    import numpy as np

    import lampblack

    peaks = []
    for rows in (MEMORY_ROWS, 2 * MEMORY_ROWS):
        with Peak() as peak:
            X = np.random.default_rng(0).random((rows, COLUMNS), dtype=np.float32)
            lampblack.TollDetector(max_steps=20, random_state=0).fit(X)
        assert peak.mib is not None  # Linux tells it
        peaks.append(peak.mib)
    return {"bytes_per_row": round((peaks[1] - peaks[0]) * 2**20 / MEMORY_ROWS)}


CASES = {("training", f"table, batch {BATCH:,}"): run_training, ("memory", "fit"): run_memory}


def cases() -> list[dict[str, Any]]:
    """Everything that is measured; "set" tells one from the other."""
    return [{"set": f"{kind}: {case}", "kind": kind, "case": case} for kind, case in CASES]


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """The cases that are not done, each in a fresh process."""
    for case in cases():
        if (case["set"],) not in done:
            yield {**case, **apart(CASES[case["kind"], case["case"]])}


def paper_training(rows: Rows) -> str:
    """What many rows take to train on: from their file, and in a pass over all in memory."""
    found = {row["kind"]: row for row in rows}
    if not found.keys() >= {"training", "memory"}:
        return NONE
    from lampblack import LampblackDetector
    from lampblack.model.parameters import filled_in

    memory = found["memory"]["bytes_per_row"]
    rate = found["training"]["steps_per_s"] * BATCH
    columns: Columns = {
        "rows": "{name}",
        "a fit from the file: positions, GiB": lambda s: f"{s['rows'] * POSITIONS / 2**30:,.0f}",
        "a pass in memory: GiB of each machine": lambda s: f"{s['rows'] * memory / 2**30:,.0f}",
        "hours of it, one machine": "{hours:,.1f}",
        "machines for 1 h": lambda s: f"{math.ceil(s['hours']):,}",
    }
    defaults = filled_in(LampblackDetector(), "table")
    looked_at = defaults["max_steps"] * defaults["batch_size"]
    return markdown(
        columns,
        sizes(rate),
        f"From {memory:,} bytes a row, measured on tables of one and two million, and "
        f"{rate:,.0f} rows a second in one process at batch {BATCH:,}. The default budget is "
        f"{defaults['max_steps']} steps of {defaults['batch_size']} rows: it looks at "
        f"{looked_at:,} rows, however many there are.",
    )


STUDY = Study("scale", Measurements(measure), blocks={"scale-paper-training": paper_training})
