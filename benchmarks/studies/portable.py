"""Does a portable model score as the detector that it was exported from, and how fast?

Each detector is fitted by the one-class protocol (label-free), exported, and scores its training
and test samples twice: by torch, and by onnxruntime from the file. Times are CPU seconds of one
thread, so that another process on the machine does not change them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.lab.image_sets import load
from benchmarks.lab.markdown import NONE, Columns, markdown, origin
from benchmarks.lab.methods import IMAGES, TABLES
from benchmarks.lab.protocol import set_names, split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Job, Study
from benchmarks.lab.timing import timed

TOLERANCE = 1e-4  # of the score or the threshold, whichever is larger
MOST_IMAGES = 1000
TABLE_METHODS = ("recommended", "autoencoder", "LAMP (quantile, ours)", "Toll", "AMA")
IMAGE_METHODS = ("recommended", "autoencoder (L2)", "LAMP (L2)", "Toll", "AMA")
IMAGE_SETS = ("mnist 8",)
MORE_IMAGES = (("elpv", "recommended"), ("cifar10 0", "recommended"))
SPEED = ("10,000 rows × 30", "1,000 images 28×28")
SPEED_METHODS = ("recommended", "Toll")
ONCE = 50  # single samples that are timed, one by one

Samples = npt.NDArray[Any]


def jobs() -> list[Job]:
    """Every set and method, seed 0; the times last."""
    found = [(name, method, 0) for method in TABLE_METHODS for name in set_names()]
    found += [(name, method, 0) for name in IMAGE_SETS for method in IMAGE_METHODS]
    found += [(name, method, 0) for name, method in MORE_IMAGES]
    return [*found, *((name, method, 0) for name in SPEED for method in SPEED_METHODS)]


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, one export, and what both say."""
    versions = {"onnxruntime": version("onnxruntime"), "onnx": version("onnx")}
    measured = _times(name, method, seed) if name in SPEED else _compared(name, method, seed)
    return {**measured, **versions}


def _compared(name: str, method: str, seed: int) -> dict[str, Any]:
    """The largest difference of scores, and how many decisions differ that should not."""
    if name in set_names():
        split = split_of(name, seed)
        detector: Any = TABLES[method](seed)(split.train)
        samples = np.concatenate([split.train, split.test])
    else:
        split = load(name, seed)
        detector = IMAGES[method](seed)(split.train)
        half = MOST_IMAGES // 2
        chosen = np.random.default_rng(seed).permutation(len(split.test))[:half]
        samples = np.concatenate([split.train[:half], split.test[chosen]])
    with tempfile.TemporaryDirectory() as folder:
        before = time.process_time()
        portable, size = _exported(detector, Path(folder))
        exported = time.process_time() - before
        return {
            **compared(detector, portable, samples),
            "export_cpu_s": round(exported, 2),
            "file_kib": size // 1024,
        }


def _exported(detector: Any, folder: Path) -> tuple[Any, int]:
    from lampblack.export.onnx_file import export_onnx
    from lampblack.portable import load_portable

    file = folder / "model.onnx"
    export_onnx(detector, file)
    return load_portable(file, threads=1), file.stat().st_size


def compared(detector: Any, portable: Any, samples: Samples) -> dict[str, Any]:
    """Scores and decisions of both on the same samples.

    largest: |Δ| over the score or the threshold, whichever is larger. near: samples whose score is
    within the tolerance of the threshold, whose decisions may differ. otherwise: others that do.
    """
    expected, found = detector.anomaly_score(samples), portable.anomaly_score(samples)
    threshold = detector.calibration_.threshold
    allowed = TOLERANCE * np.maximum(expected, threshold)
    near = np.abs(expected - threshold) <= allowed
    differs = (expected > threshold) != (found > threshold)
    return {
        "samples": len(samples),
        "largest": float((np.abs(found - expected) / np.maximum(expected, threshold)).max()),
        "near": int(near.sum()),
        "otherwise": int((differs & ~near).sum()),
    }


def _times(name: str, method: str, seed: int) -> dict[str, Any]:
    """CPU time of one sample and of many, by both, and of a new process that scores one."""
    samples, group = (made_up_rows(), TABLES) if name == SPEED[0] else (made_up_images(), IMAGES)
    detector: Any = group[method](seed)(samples)
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        portable, _ = _exported(detector, folder)
        detector.save(folder / "a.model")
        np.save(folder / "one.npy", samples[:1])
        models = {"torch": detector, "onnx": portable}
        loads = {"torch": "load('a.model')", "onnx": "load_portable('model.onnx')"}
        return {
            "one_ms": {
                kind: round(1000 * median(_cpu(model, samples[i : i + 1]) for i in range(ONCE)), 3)
                for kind, model in models.items()
            },
            "per_s": {
                kind: round(len(samples) / min(_cpu(model, samples) for _ in range(3)))
                for kind, model in models.items()
            },
            "start_cpu_s": {kind: _start(folder, load) for kind, load in loads.items()},
        }


def _cpu(model: Any, samples: Samples) -> float:
    return timed(lambda: model.anomaly_score(samples))[0]


def _start(folder: Path, load: str) -> float:
    """CPU seconds of a new process that loads the model and scores one sample."""
    program = f"import numpy, lampblack; lampblack.{load}.anomaly_score(numpy.load('one.npy'))"
    command = [sys.executable, "-c", program]
    side = partial(subprocess.run, command, cwd=folder, check=True)
    return round(timed(side, of_children=True)[0], 2)


def made_up_rows(n: int = 10_000, d: int = 30) -> Samples:
    """Rows (n, d) that five drivers move, with a little noise."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) + 0.1 * rng.normal(size=(n, d))


def made_up_images(n: int = MOST_IMAGES, side: int = 28) -> Samples:
    """Discs (n, 1, side, side) uint8, each a little off the middle."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    centres = rng.normal(side / 2, side / 20, (n, 2))
    radii = np.hypot(x - centres[:, :1, None], y - centres[:, 1:, None])
    values = np.where(radii < side / 3, 180.0, 60.0) + rng.normal(0, 5, (n, side, side))
    return values.clip(0, 255).astype(np.uint8)[:, None]


def accuracy(rows: Rows) -> str:
    """For each method: the largest difference of scores, and decisions that differ."""
    rows = [row for row in rows if row["set"] not in SPEED]
    if not rows:
        return NONE
    groups: dict[str, Rows] = {}
    for row in rows:
        kind = "tables" if row["set"][0].isdigit() else "images"
        groups.setdefault(f"{row['method']}, {kind}", []).append(row)
    columns: Columns = {
        "detector": "{name}",
        "sets": lambda group: len(group["own"]),
        "samples": lambda group: f"{sum(row['samples'] for row in group['own']):,}",
        "largest \\|Δ\\| / max(score, threshold)": "{worst[largest]:.1e}",
        "on": "{worst[set]}",
        "decisions that differ": lambda group: sum(row["otherwise"] for row in group["own"]),
        "within 1e-4 of the threshold": lambda group: sum(row["near"] for row in group["own"]),
    }
    found = [
        {"name": name, "own": own, "worst": max(own, key=lambda row: row["largest"])}
        for name, own in groups.items()
    ]
    return markdown(columns, found, f"{origin(rows)} onnxruntime {rows[0]['onnxruntime']}.")


def speed(rows: Rows) -> str:
    """Latency of one sample, throughput of many, and the start of a process; torch beside ONNX."""
    rows = [row for row in rows if row["set"] in SPEED]
    if not rows:
        return NONE
    cells = (
        *("{set}", "{method}", "{one_ms[torch]:.1f}", "{one_ms[onnx]:.2f}", "{per_s[torch]:,}"),
        *("{per_s[onnx]:,}", "{start_cpu_s[torch]:.1f}", "{start_cpu_s[onnx]:.1f}"),
    )
    rows = sorted(rows, key=lambda row: (SPEED.index(row["set"]), row["method"]))
    return markdown(
        [
            *("fitted on and scored", "detector", "one sample, ms: torch", "ONNX"),
            *("a second: torch", "ONNX", "start and score one, s: torch", "ONNX"),
        ],
        [[cell.format_map(row) for cell in cells] for row in rows],
        "CPU time of one thread; the last pair is that of a whole new process, imports included; "
        "`python -m benchmarks portable`.",
    )


STUDY = Study("portable", Fits(jobs, run), blocks={"portable": accuracy, "portable-speed": speed})
