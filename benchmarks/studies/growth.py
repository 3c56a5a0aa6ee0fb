"""How do time and memory of fit and score grow with rows, columns and pixels?

Each fit and each scoring is a process of its own: CPU and wall seconds of the call, and the peak of
memory above what the process takes before (`extra_mib`) and altogether (`peak_mib`). Rows are in
Parquet files, which are scored as a stream and trained on through a bounded buffer
(`lampblack.find_rows`). What is called are methods of the plain autoencoder, in one thread; and, as
a user has them, the commands: the recommended detector, in all threads, a whole process each.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.lab.apart import apart, command
from benchmarks.lab.drawing import grid
from benchmarks.lab.generated import table
from benchmarks.lab.markdown import made_with, markdown
from benchmarks.lab.memory import Peak
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Key, Measurements, Picture, Study

AXES: dict[str, tuple[int, ...]] = {
    "rows": (10_000, 100_000, 1_000_000, 10_000_000),  # of 30 columns
    "columns": (10, 30, 100, 300, 1000, 2000),  # of 10,000 rows
    "side": (16, 32, 64, 128, 256),  # of 200 images
}
STEPS = {"rows": 500, "columns": 100, "side": 20}
LONG = "long"  # 10⁷ rows, so many steps that batches are read from the file as training goes
LONG_STEPS, LONG_BATCH = 2_000, 1024
COMMAND = "command, rows"
FIXED_COLUMNS, FIXED_ROWS, IMAGES = 30, 10_000, 200
GROUP = 100_000  # rows of a row group
PARTS = ("fit", "score")
FIGURES = ("cpu_s", "extra_mib")


def jobs() -> list[tuple[str, int]]:
    """Every axis and size, the long training, and the commands."""
    found = [(axis, size) for axis, sizes in AXES.items() for size in sizes]
    return [*found, (LONG, AXES["rows"][-1]), *((COMMAND, size) for size in AXES["rows"])]


def measure(done: set[Key], quick: bool) -> Iterator[dict[str, Any]]:
    """Every job that is not done."""
    with tempfile.TemporaryDirectory() as folder:
        for axis, size in jobs():
            if (axis, size) in done:
                continue
            file = Path(folder, f"{size}.parquet")
            if axis in ("rows", LONG, COMMAND) and not file.exists():
                write_rows(file, size)
            if axis == COMMAND:
                found = {part: call_command(part, file) for part in PARTS}
            else:
                found = {part: apart(run, part, axis, size, str(file)) for part in PARTS}
            yield {"set": axis, "size": size, **found}


def write_rows(path: Path, rows: int) -> None:
    """A Parquet file of float32, written in pieces."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(f"v{i}", pa.float32()) for i in range(FIXED_COLUMNS)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, GROUP):
            values = table(min(GROUP, rows - start), FIXED_COLUMNS, seed=start)
            writer.write_table(pa.table([*values.T], schema=schema))


def call_command(part: str, file: Path) -> Any:
    """What `lampblack fit`, from the file as it goes, or `lampblack score` of a file takes."""
    model = file.with_suffix(".recommended.model")
    if part == "fit":
        return command("fit", file, "-o", model, "--stream", "-q")
    return command("score", model, file, "-o", file.with_suffix(".scores.parquet"), "-q")


def run(part: str, axis: str, size: int, name: str) -> dict[str, Any]:
    """Fit and save, or load and score, at one size, in this process and one thread."""
    import numpy as np
    import torch

    import lampblack

    torch.set_num_threads(1)
    file = Path(name)
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


def measured(call: Any) -> dict[str, Any]:
    """Seconds and memory of a call."""
    with Peak() as peak:
        cpu, wall = time.process_time(), time.perf_counter()
        call()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "cpu_s": round(cpu, 3),
        "wall_s": round(wall, 3),
        "extra_mib": peak.more,
        "peak_mib": peak.mib,
    }


def slope(points: list[tuple[float, float]]) -> float:
    """The exponent of growth: least squares of log cost over log size, from the largest three."""
    import numpy as np

    sizes, costs = np.log(np.array(sorted(points)[-3:]).T)
    return float(np.polyfit(sizes, costs, 1)[0])


def shown_slope(found: list[tuple[float, float]], figure: str) -> str:
    """The slope in print; none of fewer than three sizes, nor of memory that is hardly any."""
    hardly = figure == "extra_mib" and min(cost for _, cost in sorted(found)[-3:]) < 1
    return "" if len(found) < 3 or hardly else f"{slope(found) + 0.0:.2f}"


def points(rows: Rows, axis: str, part: str, figure: str) -> list[Any]:
    """Size and figure of every row of an axis; no less than a tenth of a MiB or 1 ms."""
    least = 0.1 if figure == "extra_mib" else 1e-3
    return sorted((r["size"], max(least, r[part][figure])) for r in rows if r["set"] == axis)


def growth(rows: Rows) -> str:
    """Cost of fit and score at every size, with the exponent of its growth."""
    by_axis = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["size"]):
        by_axis[row["set"]].append(row)
    lines = []
    for axis, own in by_axis.items():
        lines += [[axis, f"{row['size']:,}", *_costs(row)] for row in own]
        if len(own) > 2:
            lines.append([axis, "slope", *_slopes(own, axis)])
    every = [row for own in by_axis.values() for row in own]
    return markdown(
        [
            *("grows", "size"),
            *("fit, CPU s", "MiB more", "peak, MiB"),
            *("score, CPU s", "MiB more", "peak, MiB"),
        ],
        lines,
        f"{made_with(every, 'torch', 'pyarrow', cpu=True)}; `python -m benchmarks growth`.",
    )


def _costs(row: dict[str, Any]) -> list[str]:
    return [
        cell
        for part in PARTS
        for cell in (
            f"{row[part]['cpu_s']:.3g}",
            f"{row[part]['extra_mib']:,.0f}",
            f"{row[part]['peak_mib']:,}",
        )
    ]


def _slopes(rows: Rows, axis: str) -> list[str]:
    return [
        shown_slope(points(rows, axis, part, figure), figure) if figure else ""
        for part in PARTS
        for figure in (*FIGURES, "")
    ]


def draw(rows: Rows) -> Any:
    """Time and memory by size, log-log, one column a kind of growth."""
    figure, axes = grid(9, 5, len(AXES), len(FIGURES), sharex="col")
    for column, axis in enumerate(AXES):
        for line, (name, label) in enumerate(
            zip(FIGURES, ("CPU s", "MiB above start"), strict=True)
        ):
            plot = axes[line][column]
            _draw_lines(plot, rows, axis, name)
            plot.grid(alpha=0.3)
            if axis == "rows" and not line:
                plot.set_ylim(top=1e5)  # room for the names of four lines
            plot.legend(frameon=False, fontsize=7)
            if not column:
                plot.set_ylabel(label)
            if axis == "side":
                plot.set_xticks(AXES[axis], map(str, AXES[axis]))
                plot.minorticks_off()
        axes[-1][column].set_xlabel({"side": "image side, pixels"}.get(axis, axis))
    return figure


def _draw_lines(plot: Any, rows: Rows, axis: str, name: str) -> None:
    """Fit and score, and dotted the commands, where they are measured."""
    kinds = [(axis, "o-", ""), (COMMAND, "o:", "lampblack ")][: 2 if axis == "rows" else 1]
    for kind, style, before in kinds:
        for part, colour in zip(PARTS, ("#1f5aa6", "#c2571a"), strict=True):
            found = points(rows, kind, part, name)
            exponent = shown_slope(found, name)
            label = f"{before}{part} (slope {exponent})" if exponent else f"{before}{part}"
            plot.loglog(*zip(*found, strict=True), style, ms=3, color=colour, label=label)


STUDY = Study(
    "growth",
    Measurements(measure, key=("set", "size")),
    blocks={"growth": growth},
    pictures=(Picture(draw, "growth.svg", style={"font.size": 8}),),
)
