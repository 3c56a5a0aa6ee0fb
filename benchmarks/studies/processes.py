"""How fast do two processes train beside one, and what does a fit in memory take?"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from benchmarks.lab.apart import apart
from benchmarks.lab.markdown import NONE, Columns, markdown
from benchmarks.lab.memory import Peak
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Study
from benchmarks.studies.scale import COLUMNS, note, sizes

MEMORY_ROWS = 1_000_000  # of a table that is fitted, and half of one
WARM_UP = 20  # steps that are not timed
FLOAT = 4  # bytes
POSITIONS = 3 * 8  # bytes of each row of a file that is fitted as it lies

TRAINING: dict[str, dict[str, Any]] = {  # what is trained, and for how many timed steps
    "table, batch 128": {"shape": (50_000, COLUMNS), "batch_size": 128, "steps": 400},
    "table, batch 1,024": {"shape": (50_000, COLUMNS), "batch_size": 1024, "steps": 200},
    "table, batch 8,192": {"shape": (50_000, COLUMNS), "batch_size": 8192, "steps": 40},
    "images 28×28, batch 128": {"shape": (2_000, 28, 28), "batch_size": 128, "steps": 20},
}
GRADIENTS = ("averaged at the step", "DistributedDataParallel")  # ways to average them


def cases() -> list[dict[str, Any]]:
    """Everything that is measured; "set" tells one from the other."""
    training = [
        {"kind": "training", "case": name, "devices": devices}
        for name in TRAINING
        for devices in (1, 2)
    ]
    gradients = [{"kind": "gradients", "case": name, "devices": 2} for name in GRADIENTS]
    memory = [{"kind": "memory", "case": "fit"}]
    return [
        {"set": f"{case['kind']}: {case['case']}, {case.get('devices', '')}", **case}
        for case in (*training, *gradients, *memory)
    ]


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """The cases that are not done, each in a fresh process."""
    for case in cases():
        if (case["set"],) in done:
            continue
        if case["kind"] == "training":
            found = apart(run_training, case["case"], case["devices"])
        elif case["kind"] == "gradients":
            found = apart(run_gradients, case["case"])
        else:
            found = apart(run_memory)
        yield {**case, **found}


def run_training(case: str, devices: int) -> dict[str, Any]:
    """Steps a second of a fit, and what starting its processes took."""
    import numpy as np

    import lampblack
    from lampblack.training.callbacks import Callback

    settings = TRAINING[case]
    shape, steps, batch = settings["shape"], settings["steps"], settings["batch_size"]
    X = np.random.default_rng(0).random(shape, dtype=np.float32)
    times: dict[int, float] = {}

    class Clock(Callback):
        def on_fit_start(self, budget: Any, first_step: int) -> None:
            times[0] = time.perf_counter()

        def on_step_end(self, step: int) -> None:
            times[step] = time.perf_counter()

    started = time.perf_counter()
    parameters: dict[str, Any] = {"batch_size": batch, "max_steps": WARM_UP + steps}
    detector = lampblack.TollDetector(amplification="quantile", random_state=0, **parameters)
    detector.fit(X, callbacks=[Clock()], devices=devices)
    seconds = times[WARM_UP + steps] - times[WARM_UP]
    return {
        "steps_per_s": round(steps / seconds, 2),
        "rows_per_s": round(batch * steps / seconds),
        "weights": sum(w.numel() for w in detector.networks_.parameters()),
        "start_s": round(times[0] - started, 2),
        "columns": COLUMNS,
    }


def run_gradients(case: str) -> dict[str, Any]:
    """Steps a second of a network in two processes, its gradients averaged one way or another."""
    from lampblack.training.processes import find_world, joined

    with joined(find_world(2, 1), take_part, case, backend="gloo") as world:
        rate = _steps_a_second(world, case)
    return {"steps_per_s": round(rate, 2)}


def take_part(world: Any, case: str) -> None:
    """The other process of `run_gradients`."""
    from lampblack.training.processes import met

    with met(world, "gloo"):
        _steps_a_second(world, case)


def _steps_a_second(world: Any, case: str) -> float:
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy
    from torch import distributed, nn

    from lampblack.training.strategy import AveragedGradients, WorldEnvironment

    class Wrapping(AveragedGradients):
        setup_module = DDPStrategy.setup_module
        optimizer_step = DDPStrategy.optimizer_step

    strategy = {GRADIENTS[0]: AveragedGradients, GRADIENTS[1]: Wrapping}[case]
    fabric = Fabric(
        accelerator="cpu", devices=2, strategy=strategy(cluster_environment=WorldEnvironment(world))
    )
    fabric.launch()
    torch.manual_seed(0)
    widths = (COLUMNS, 256, 128, 32, 128, 256, COLUMNS)
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    network = nn.Sequential(*layers)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    wrapped, stepping = fabric.setup(network, optimizer)
    x = torch.rand(64, COLUMNS)
    rates = []
    for _ in range(6):
        distributed.barrier()
        started = time.perf_counter()
        for _ in range(100):
            loss = (wrapped(x) - x).square().mean()
            stepping.zero_grad()
            fabric.backward(loss)
            stepping.step()
        rates.append(100 / (time.perf_counter() - started))
    return median(rates[1:])


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


def training(rows: Rows) -> str:
    """Steps a second in one process and in two."""
    found = {(row["case"], row["devices"]): row for row in rows if row["kind"] == "training"}
    if any((case, devices) not in found for case in TRAINING for devices in (1, 2)):
        return NONE
    lines = [
        {**found[case, 1], "two": found[case, 2]["steps_per_s"], "start": found[case, 2]["start_s"]}
        for case in TRAINING
    ]
    columns: Columns = {
        "Toll, errors amplified": "{case}",
        "1 process, steps/s": lambda row: _rate(row["steps_per_s"]),
        "2 processes, steps/s": lambda row: _rate(row["two"]),
        "ratio": lambda row: f"{row['two'] / row['steps_per_s']:.2f}",
        "start of 2, s": lambda row: f"{row['start'] - row['start_s']:.0f}",
        "message, KiB": lambda row: f"{row['weights'] * FLOAT / 1024:,.0f}",
    }
    return markdown(columns, lines, note(rows))


def gradients(rows: Rows) -> str:
    """Gradients averaged as the optimiser steps, and in the backward pass."""
    found = {row["case"]: row["steps_per_s"] for row in rows if row["kind"] == "gradients"}
    if any(case not in found for case in GRADIENTS):
        return NONE
    ours, theirs = (found[case] for case in GRADIENTS)
    return (
        f"Two processes take {_rate(ours)} steps a second with gradients averaged as the optimiser "
        f"steps, and {_rate(theirs)} with torch's `DistributedDataParallel` (dense, 30 → 256 → 128 "
        "→ 32 and back, 64 rows a process).\n"
    )


def paper_training(rows: Rows) -> str:
    """What many rows take to train on: from their file, and in a pass over all in memory."""
    case = list(TRAINING)[2]
    found = {(row["case"], row["devices"]): row for row in rows if row["kind"] == "training"}
    memory = next((row["bytes_per_row"] for row in rows if row["kind"] == "memory"), None)
    if (case, 2) not in found or memory is None:
        return NONE
    from lampblack import LampblackDetector

    batch = TRAINING[case]["batch_size"]
    rate = found[case, 2]["steps_per_s"] * batch
    columns: Columns = {
        "rows": "{name}",
        "a fit from the file: positions, GiB": lambda s: f"{s['rows'] * POSITIONS / 2**30:,.0f}",
        "a pass in memory: GiB of each machine": lambda s: f"{s['rows'] * memory / 2**30:,.0f}",
        "hours of it, one machine": "{hours:,.1f}",
        "machines for 1 h": lambda s: f"{math.ceil(s['hours']):,}",
    }
    defaults = LampblackDetector.DEFAULTS["table"]
    looked_at = defaults["max_steps"] * defaults["batch_size"]
    return markdown(
        columns,
        sizes(rate),
        f"From {memory:,} bytes a row, measured on tables of one and two million, and "
        f"{rate:,.0f} rows a second in two processes at batch {batch:,}. The default budget is "
        f"{defaults['max_steps']} steps of {defaults['batch_size']} rows: it looks at "
        f"{looked_at:,} rows, however many there are.",
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


STUDY = Study(
    "scale",
    Measurements(measure),
    blocks={
        "scale-training": training,
        "scale-gradients": gradients,
        "scale-paper-training": paper_training,
    },
)
