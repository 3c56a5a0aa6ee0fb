"""What fit and score cost as work grows: rows to 10⁷, columns to 2,000, image side to 256.

Each fit and each scoring is a process of its own: CPU and wall seconds of the call, and the peak of
memory above what the process takes before (`extra_mib`) and altogether (`peak_mib`). Rows are in
Parquet files, which are scored as a stream and trained on through a bounded buffer
(`lampblack.find_rows`). What is called are methods of the plain autoencoder, in one thread; and, as
a user has them, the commands: the recommended detector, in all threads, a whole process each.
`python benchmarks/evidence.py growth` runs what benchmarks/results/growth.jsonl lacks, and draws
docs/pictures/growth.svg.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "growth.svg"
AXES: dict[str, tuple[int, ...]] = {
    "rows": (10_000, 100_000, 1_000_000, 10_000_000),  # of 30 columns
    "columns": (10, 30, 100, 300, 1000, 2000),  # of 10,000 rows
    "side": (16, 32, 64, 128, 256),  # of 200 images
}
STEPS = {"rows": 500, "columns": 100, "side": 20}
LONG = "long"  # 10⁷ rows, so many steps that batches are read from the file as training goes
LONG_STEPS, LONG_BATCH = 2_000, 1024
COMMAND = "command, rows"
RUN = """
import json, re, sys, time
from pathlib import Path
def most():
    status = Path("/proc/self/status").read_text()  # getrusage counts what the parent held
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024
before = most()
from lampblack.cli.main import app
app(sys.argv[1:], standalone_mode=False)
print(json.dumps({"cpu_s": round(time.process_time(), 3), "extra_mib": round(most() - before, 1),
                  "peak_mib": round(most())}))
"""
FIXED_COLUMNS, FIXED_ROWS, IMAGES = 30, 10_000, 200
GROUP = 100_000  # rows of a row group


def jobs() -> list[tuple[str, int]]:
    """Every axis and size, the long training, and the commands."""
    found = [(axis, size) for axis, sizes in AXES.items() for size in sizes]
    return [*found, (LONG, AXES["rows"][-1]), *((COMMAND, size) for size in AXES["rows"])]


def write_rows(path: Path, rows: int) -> None:
    """A Parquet file of float32, written in pieces."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from benchmarks.speed import table

    writer = None
    for start in range(0, rows, GROUP):
        values = table(min(GROUP, rows - start), FIXED_COLUMNS, seed=start)
        piece = pa.table({f"v{i}": column for i, column in enumerate(values.T)})
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()


class Peak:
    """Peak memory of this process while the block runs, sampled every 5 ms, in MiB."""

    def __enter__(self) -> Peak:
        self.before = self.most = _resident()
        self._on = True
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while self._on:
            self.most = max(self.most, _resident())
            time.sleep(0.005)

    def __exit__(self, *_: object) -> None:
        self._on = False
        self._thread.join()


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(call: Any) -> dict[str, float]:
    """Seconds and memory of a call."""
    with Peak() as peak:
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "extra_mib": round(peak.most - peak.before, 1),
        "peak_mib": round(peak.most),
    }


def run_job(part: str, axis: str, size: int, file: Path) -> dict[str, Any]:
    """Fit and save, or load and score, at one size, in this process and one thread."""
    import numpy as np
    import torch

    import lampblack
    from benchmarks.speed import table

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    small = table(300, 5)
    lampblack.AutoencoderDetector(max_steps=2).fit(small).anomaly_score(small)  # loads all there is
    X: Any = file
    if axis == "columns":
        X = table(FIXED_ROWS, size)
    elif axis == "side":
        X = np.random.default_rng(0).random((IMAGES, 1, size, size), dtype=np.float32)

    def read() -> Any:
        return lampblack.find_rows(file) if X is file else X

    model = file.with_suffix(".model")
    if part == "score":
        detector = lampblack.load(model)
        return measured(lambda: detector.anomaly_score(read()))
    parameters: dict[str, Any] = {"max_steps": STEPS.get(axis, LONG_STEPS)}
    if axis == LONG:
        parameters["batch_size"] = LONG_BATCH
    fitted = lampblack.AutoencoderDetector(**parameters)
    found = measured(lambda: fitted.fit(read()))
    fitted.save(model)
    return {**found, "trained": fitted.rows_["train"]}


def measure(done: set[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """Every job that is not in `done`, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for axis, size in jobs():
            if (axis, size) in done:
                continue
            file = Path(folder, f"{size}.parquet")
            if axis in ("rows", LONG, COMMAND) and not file.exists():
                write_rows(file, size)
            if axis == COMMAND:
                found = {part: command(part, file) for part in ("fit", "score")}
            else:
                found = {part: _in_process(part, axis, size, file) for part in ("fit", "score")}
            yield {"set": axis, "size": size, **found}


def command(part: str, file: Path) -> Any:
    """What `lampblack fit`, from the file as it goes, or `lampblack score` of a file takes."""
    model = str(file.with_suffix(".recommended.model"))
    arguments = {
        "fit": ["fit", str(file), "-o", model, "--stream", "-q"],
        "score": ["score", model, str(file), "-o", str(file.with_suffix(".scores.parquet")), "-q"],
    }[part]
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in threads}
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        env=environment,
    )
    wall = round(time.perf_counter() - started, 3)
    return {**json.loads(result.stdout.splitlines()[-1]), "wall_s": wall}


def _in_process(part: str, axis: str, size: int, file: Path) -> Any:
    arguments = [part, axis, str(size), str(file)]
    result = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE
    )
    return json.loads(result.stdout.splitlines()[-1])


def slope(points: list[tuple[float, float]]) -> float:
    """The exponent of growth: least squares of log cost over log size, from the largest three."""
    import numpy as np

    sizes, costs = np.log(np.array(sorted(points)[-3:]).T)
    return float(np.polyfit(sizes, costs, 1)[0])


def shown_slope(found: list[tuple[float, float]], figure: str) -> str:
    """The slope in print; none of fewer than three sizes, nor of memory that is hardly any."""
    hardly = figure == "extra_mib" and min(cost for _, cost in sorted(found)[-3:]) < 1
    return "" if len(found) < 3 or hardly else f"{slope(found) + 0.0:.2f}"


def points(rows: list[dict[str, Any]], axis: str, part: str, figure: str) -> list[Any]:
    """Size and figure of every row of an axis; no less than a tenth of a MiB or 1 ms."""
    least = 0.1 if figure == "extra_mib" else 1e-3
    return sorted((r["size"], max(least, r[part][figure])) for r in rows if r["set"] == axis)


def draw(rows: list[dict[str, Any]]) -> None:
    """Time and memory by size, log-log, one column a kind of growth."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams.update({"svg.hashsalt": "lampblack", "svg.fonttype": "none", "font.size": 8})
    figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained", sharex="col")
    for column, axis in enumerate(AXES):
        for row, (name, label) in enumerate((("cpu_s", "CPU s"), ("extra_mib", "MiB above start"))):
            plot = axes[row][column]
            lines = [("fit", axis, "#1f5aa6", "o-"), ("score", axis, "#c2571a", "o-")]
            if axis == "rows":
                lines += [(part, COMMAND, colour, "o:") for part, _, colour, _ in lines]
            for part, kind, colour, style in lines:
                found = points(rows, kind, part, name)
                exponent = shown_slope(found, name)
                called = f"lampblack {part}" if kind == COMMAND else part
                plot.loglog(
                    *zip(*found, strict=True),
                    style,
                    ms=3,
                    color=colour,
                    label=f"{called} (slope {exponent})" if exponent else called,
                )
            plot.grid(alpha=0.3)
            if len(lines) > 2 and not row:
                plot.set_ylim(top=1e5)  # room for the names of four lines
            plot.legend(frameon=False, fontsize=7)
            if not column:
                plot.set_ylabel(label)
            if axis == "side":
                plot.set_xticks(AXES[axis], map(str, AXES[axis]))
                plot.minorticks_off()
        axes[1][column].set_xlabel({"side": "image side, pixels"}.get(axis, axis))
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


def by_axis(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of every axis, in order of size."""
    found = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["size"]):
        found[row["set"]].append(row)
    return dict(found)


if __name__ == "__main__":
    print(json.dumps(run_job(*sys.argv[1:3], int(sys.argv[3]), Path(sys.argv[4]))))
