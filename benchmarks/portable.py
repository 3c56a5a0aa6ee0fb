"""Portable models beside the detectors they were exported from: scores, decisions, time.

Each detector is fitted by the one-class protocol (label-free), exported, and scores its training
and test samples twice: by torch, and by onnxruntime from the file. Times are CPU seconds of one
thread, so that another process on the machine does not change them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import images, methods, protocol

TOLERANCE = 1e-4  # of the score or the threshold, whichever is larger
MOST_IMAGES = 1000
TABLE_METHODS = ("recommended", "autoencoder", "LAMP (quantile, ours)", "Toll", "AMA")
IMAGE_METHODS = ("recommended", "autoencoder (L2)", "LAMP (L2)", "Toll", "AMA")
IMAGE_SETS = ("mnist 8",)
MORE_IMAGES = (("elpv", "recommended"), ("cifar10 0", "recommended"))
SPEED = ("10,000 rows × 30", "1,000 images 28×28")
SPEED_METHODS = ("recommended", "Toll")
ONCE = 50  # single samples that are timed, one by one

Job = tuple[str, str, int]
Samples = npt.NDArray[Any]


def jobs() -> list[Job]:
    """Every set and method, seed 0; the times last."""
    names = [name for name, _ in protocol.adbench_sets()]
    found = [(name, method, 0) for method in TABLE_METHODS for name in names]
    found += [(name, method, 0) for name in IMAGE_SETS for method in IMAGE_METHODS]
    found += [(name, method, 0) for name, method in MORE_IMAGES]
    return [*found, *((name, method, 0) for name in SPEED for method in SPEED_METHODS)]


def run_job(job: Job) -> dict[str, Any]:
    """One fit, one export, and what both say."""
    import torch

    torch.set_num_threads(1)
    name, method, seed = job
    facts = {"set": name, "method": method, "seed": seed, "protocol": "label-free"}
    versions = {"onnxruntime": version("onnxruntime"), "onnx": version("onnx")}
    measured = _times(name, method, seed) if name in SPEED else _compared(name, method, seed)
    return {**facts, **measured, **versions}


def _compared(name: str, method: str, seed: int) -> dict[str, Any]:
    """The largest difference of scores, and how many decisions differ that should not."""
    if name in {known for known, _ in protocol.adbench_sets()}:
        split = protocol.one_class_split(*protocol.load_table(name), seed)
        detector: Any = methods.TABLES[method](seed)(split.train)
        samples = np.concatenate([split.train, split.test])
    else:
        split = images.load(name, seed)  # type: ignore[assignment]
        detector = images.IMAGES[method](seed)(split.train)
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
    samples = made_up_rows() if name == SPEED[0] else made_up_images()
    group = methods.TABLES if name == SPEED[0] else images.IMAGES
    detector: Any = group[method](seed)(samples)
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        portable, _ = _exported(detector, folder)
        detector.save(folder / "a.model")
        np.save(folder / "one.npy", samples[:1])
        folders = {"torch": "a.model", "onnx": "model.onnx"}
        return {
            "one_ms": {
                kind: round(1000 * median(_cpu(model, samples[i : i + 1]) for i in range(ONCE)), 3)
                for kind, model in (("torch", detector), ("onnx", portable))
            },
            "per_s": {
                kind: round(len(samples) / min(_cpu(model, samples) for _ in range(3)))
                for kind, model in (("torch", detector), ("onnx", portable))
            },
            "start_cpu_s": {kind: _start(folder, model) for kind, model in folders.items()},
        }


def _cpu(model: Any, samples: Samples) -> float:
    before = time.process_time()
    model.anomaly_score(samples)
    return time.process_time() - before


def _start(folder: Path, model: str) -> float:
    """CPU seconds of a new process that loads the model and scores one sample."""
    load = "load" if model == "a.model" else "load_portable"
    program = (
        f"import numpy, lampblack; lampblack.{load}({model!r}).anomaly_score(numpy.load('one.npy'))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(used, 2)


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


Rows = list[dict[str, Any]]


def accuracy_table(rows: Rows, provenance: Callable[[Rows], str]) -> str:
    """For each method: the largest difference of scores, and decisions that differ."""
    rows = [row for row in rows if row["set"] not in SPEED]
    if not rows:
        return ""
    lines = [
        "| detector | sets | samples | largest \\|Δ\\| / max(score, threshold) | on | decisions "
        "that differ | within 1e-4 of the threshold |",
        "|---|---|---|---|---|---|---|",
    ]
    tables = {name for name, _ in _kinds(rows) if name[0].isdigit()}
    groups: dict[tuple[str, str], Rows] = {}
    for row in rows:
        kind = "tables" if row["set"] in tables else "images"
        groups.setdefault((kind, row["method"]), []).append(row)
    for (kind, method), of_method in groups.items():
        worst = max(of_method, key=lambda row: row["largest"])
        total = {k: sum(row[k] for row in of_method) for k in ("samples", "near", "otherwise")}
        lines.append(
            f"| {method}, {kind} | {len(of_method)} | {total['samples']:,} | "
            f"{worst['largest']:.1e} | {worst['set']} | {total['otherwise']} | {total['near']} |"
        )
    return "\n".join(lines) + f"\n\n{provenance(rows)} onnxruntime {rows[0]['onnxruntime']}.\n"


def _kinds(rows: Rows) -> list[tuple[str, str]]:
    return [(row["set"], row["method"]) for row in rows]


def speed_table(rows: Rows) -> str:
    """Latency of one sample, throughput of many, and the start of a process; torch beside ONNX."""
    rows = [row for row in rows if row["set"] in SPEED]
    if not rows:
        return ""
    lines = [
        "| fitted on and scored | detector | one sample, ms: torch | ONNX | a second: torch | ONNX "
        "| start and score one, s: torch | ONNX |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (SPEED.index(row["set"]), row["method"])):
        one, many, start = row["one_ms"], row["per_s"], row["start_cpu_s"]
        lines.append(
            f"| {row['set']} | {row['method']} | {one['torch']:.1f} | {one['onnx']:.2f} | "
            f"{many['torch']:,} | {many['onnx']:,} | {start['torch']:.1f} | {start['onnx']:.1f} |"
        )
    text = "CPU time of one thread; the last pair is that of a whole new process, imports included"
    return "\n".join(lines) + f"\n\n{text}; `python benchmarks/evidence.py portable render`.\n"
