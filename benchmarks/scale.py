"""Rates of training in one and two processes, and of scoring files here and by Ray.

`python benchmarks/evidence.py scale` runs every case in a process of its own, in about six minutes
on an idle machine. Each process has one thread, unless the case says otherwise. Rates leave the
start of processes out, which is a column of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

RUN = "from benchmarks.scale import main; main()"
COLUMNS = 30
ROWS = 50_000  # of a file to score
FILES = 40
MEMORY_ROWS = 1_000_000  # of a table that is fitted, and half of one
WARM_UP = 20  # steps that are not timed

TRAINING: dict[str, dict[str, Any]] = {  # what is trained, and for how many timed steps
    "table, batch 128": {"shape": (50_000, COLUMNS), "batch_size": 128, "steps": 400},
    "table, batch 1,024": {"shape": (50_000, COLUMNS), "batch_size": 1024, "steps": 200},
    "table, batch 8,192": {"shape": (50_000, COLUMNS), "batch_size": 8192, "steps": 40},
    "images 28×28, batch 128": {"shape": (2_000, 28, 28), "batch_size": 128, "steps": 20},
}
GRADIENTS = ("averaged at the step", "DistributedDataParallel")  # ways to average them
SCORING = {  # engine, workers, threads of each
    "this process": ("local", 1, 1),
    "this process, 2 threads": ("local", 1, 2),
    "Ray, 1 worker": ("ray", 1, 1),
    "Ray, 2 workers": ("ray", 2, 1),
}


def cases() -> list[dict[str, Any]]:
    """Everything that is measured; "set" tells one from the other."""
    training = [
        {"kind": "training", "case": name, "devices": devices}
        for name in TRAINING
        for devices in (1, 2)
    ]
    gradients = [{"kind": "gradients", "case": name, "devices": 2} for name in GRADIENTS]
    scoring = [{"kind": "scoring", "case": name} for name in SCORING]
    memory = [{"kind": "memory", "case": "fit"}]
    return [
        {"set": f"{case['kind']}: {case['case']}, {case.get('devices', '')}", **case}
        for case in (*training, *gradients, *scoring, *memory)
    ]


def measure(done: set[str]) -> Iterator[dict[str, Any]]:
    """The cases that are not in `done`, each in a fresh process."""
    wanted = [case for case in cases() if case["set"] not in done]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if any(case["kind"] == "scoring" for case in wanted):
            _call({"kind": "files"}, folder)
        for case in wanted:
            yield {**case, **_call(case, folder)}


def _call(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    threads = str(SCORING[case["case"]][2] if case["kind"] == "scoring" else 1)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(case), str(folder)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(process.stdout.splitlines()[-1]))


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
    weights = sum(w.numel() for w in detector.networks_.parameters())
    return {
        "steps_per_s": round(steps / seconds, 2),
        "rows_per_s": round(batch * steps / seconds),
        "weights": weights,
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


def write_files(folder: Path) -> dict[str, Any]:
    """Files to score and a model, the recommended one, that does."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    import lampblack

    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, COLUMNS))
    (folder / "data").mkdir()
    for number in range(FILES):
        X = rng.normal(size=(ROWS, 5)) @ mixing + 0.1 * rng.normal(size=(ROWS, COLUMNS))
        table = pa.table({f"v{i}": X[:, i].astype(np.float32) for i in range(COLUMNS)})
        parquet.write_table(table, folder / "data" / f"part-{number:02}.parquet")
    lampblack.recommended().fit(table.slice(0, 50_000)).save(folder / "a.model")
    return {}


def run_scoring(case: str, folder: Path) -> dict[str, Any]:
    """Rows a second of a run over all files, what its start took, and its peak of memory.

    The rate is that between two moments at which all workers are busy: when a quarter of the files
    is done, and when all but one for each worker are. A file is done when its entry is written.
    """
    from lampblack.data.tables.files import RowFormat
    from lampblack.scale import Scoring, find_files, score_files
    from lampblack.scale.partitions import LEDGER
    from lampblack.scale.partitions import RUN as RUN_FILE

    engine, workers, _ = SCORING[case]
    files = find_files([folder / "data"])
    output = folder / case.replace(" ", "-")
    started = time.time()
    with Peak() as peak:
        outcome = score_files(
            folder / "a.model",
            files,
            output,
            Scoring(RowFormat()),
            engine=engine,  # type: ignore[arg-type]
            workers=workers,
        )
    wall = time.time() - started
    entries = [file for file in (output / LEDGER).glob("*.json") if file.name != RUN_FILE]
    times = sorted(file.stat().st_mtime for file in entries)
    first, last = len(files) // 4, len(files) - 1 - workers
    rate = ROWS * (last - first) / (times[last] - times[first])
    return {
        "workers": workers,
        "rows": outcome.rows,
        "rows_per_s": round(rate),
        "start_s": round(wall - outcome.rows / rate, 2),
        "wall_s": round(wall, 2),
        "peak_mib": peak.mib,
        "bytes_per_row": round(sum(f.stat().st_size for f in files) / outcome.rows, 1),
        "score_bytes_per_row": round(
            sum(f.stat().st_size for f in output.glob("*.parquet")) / outcome.rows, 1
        ),
    }


def run_memory() -> dict[str, Any]:
    """Bytes that a fit in memory takes for every row more, the row itself among them."""
    import numpy as np

    import lampblack
    from benchmarks.protocol import peak_mib

    peaks = []
    for rows in (MEMORY_ROWS, 2 * MEMORY_ROWS):
        X = np.random.default_rng(0).random((rows, COLUMNS), dtype=np.float32)
        lampblack.TollDetector(max_steps=20, random_state=0).fit(X)
        peak = peak_mib()
        assert peak is not None  # Linux tells it
        peaks.append(peak)
    return {"bytes_per_row": round((peaks[1] - peaks[0]) * 2**20 / MEMORY_ROWS)}


class Peak:
    """The most memory that this process and all that it has started take together.

    What several of them share is counted once (proportional set size, Linux). None elsewhere.
    """

    def __enter__(self) -> Peak:
        self.mib: int | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            if Path("/proc/self/smaps_rollup").exists():
                self.mib = max(self.mib or 0, sum(map(_pss_kib, _descendants(os.getpid()))) // 1024)


def _descendants(root: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> None:
    """Run one case, as `measure` asks for it."""
    case, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    if case["kind"] == "training":
        result = run_training(case["case"], case["devices"])
    elif case["kind"] == "gradients":
        result = run_gradients(case["case"])
    elif case["kind"] == "memory":
        result = run_memory()
    elif case["kind"] == "files":
        result = write_files(folder)
    else:
        result = run_scoring(case["case"], folder)
    print(json.dumps(result))
