"""Regenerate every figure of the README: `python benchmarks/evidence.py [PART ...]`.

Parts: tables, sensitivity, arrhythmia, images, adversarial, memory, kdd, digits, tour, render;
without any, all of them. Results are appended to benchmarks/results/*.jsonl job by job; a job that
is there already is not run again, so that a killed run goes on where it was. Delete a file to
measure anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

RESULTS = Path(__file__).parent / "results"
PARTS = (
    "tables",
    "sensitivity",
    "arrhythmia",
    "images",
    "adversarial",
    "memory",
    "kdd",
    "digits",
    "tour",
    "render",
)

Job = tuple[str, str, int]  # set, method, seed


def run_job(job: Job) -> dict[str, Any]:
    """One fit and its figures, in one thread."""
    import torch

    from benchmarks import methods, protocol

    torch.set_num_threads(1)
    name, method, seed = job
    if name == "arrhythmia":
        X, is_anomaly = protocol.load_arrhythmia()
        fit = methods.ARRHYTHMIA[method](seed)
    else:
        X, is_anomaly = protocol.load_adbench(dict(protocol.adbench_sets())[name])
        fit = {**methods.TABLES, **methods.SENSITIVITY}[method](seed)
    figures = protocol.judge(fit, protocol.one_class_split(X, is_anomaly, seed))
    return {"set": name, "method": method, "seed": seed, "protocol": "label-free", **figures}


def run_jobs(
    jobs: list[Job],
    file: Path,
    processes: int,
    run: Callable[[Job], dict[str, Any]] = run_job,
    *,
    fresh: bool = False,
) -> None:
    """Run what is not in the file yet, each result appended as it comes.

    fresh: a new process for every job, so that its memory can be measured.
    """
    from benchmarks.render import read

    if not jobs:
        raise SystemExit("no data found: set LAMPBLACK_DATA to the folder that holds adbench/")
    drop_cut_line(file)
    done = {(row["set"], row["method"], row["seed"]) for row in read(file.stem)}
    open_jobs = [job for job in jobs if job not in done]
    versions = provenance()
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, max_tasks_per_child=1 if fresh else None)
    with pool, file.open("a") as output:
        futures = [pool.submit(run, job) for job in open_jobs]
        for count, future in enumerate(as_completed(futures), start=1):
            output.write(json.dumps({**future.result(), **versions}) + "\n")
            output.flush()
            print(f"\r{file.stem}: {count} of {len(open_jobs)}", end="", file=sys.stderr)
    if open_jobs:
        print(file=sys.stderr)


def provenance() -> dict[str, str]:
    """Versions and machine, which stand in every result."""
    names = ("lampblack", "torch", "numpy", "scikit-learn", "pyarrow")
    return {name: version(name) for name in names} | {
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, CPU",
    }


def drop_cut_line(file: Path) -> None:
    """Take a last line away that a kill cut short."""
    if file.exists():
        whole = file.read_text()
        file.write_text(whole[: whole.rfind("\n") + 1])


def table_jobs() -> list[Job]:
    """Every set, method and seed 0 to 4."""
    from benchmarks import methods, protocol

    names = [name for name, _ in protocol.adbench_sets()]
    return [(name, method, s) for s in range(5) for name in names for method in methods.TABLES]


def sensitivity_jobs() -> list[Job]:
    """Every set and setting of Toll, seed 0 to 2."""
    from benchmarks import methods, protocol

    names = [name for name, _ in protocol.adbench_sets()]
    return [(name, method, s) for s in range(3) for name in names for method in methods.SENSITIVITY]


def arrhythmia_jobs() -> list[Job]:
    """Every method and seed 0 to 9."""
    from benchmarks import methods

    return [("arrhythmia", method, s) for s in range(10) for method in methods.ARRHYTHMIA]


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=list(PARTS))
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    parts = chosen.parts or list(PARTS)
    if "tables" in parts:
        run_jobs(table_jobs(), RESULTS / "tables.jsonl", chosen.processes)
    if "sensitivity" in parts:
        run_jobs(sensitivity_jobs(), RESULTS / "sensitivity.jsonl", chosen.processes)
    if "arrhythmia" in parts:
        run_jobs(arrhythmia_jobs(), RESULTS / "arrhythmia.jsonl", chosen.processes)
    if "images" in parts:
        from benchmarks import images

        file = RESULTS / "images.jsonl"
        run_jobs(images.jobs(), file, chosen.processes, images.run_job, fresh=True)
    if "adversarial" in parts:
        from benchmarks import adversarial

        file = RESULTS / "adversarial.jsonl"
        run_jobs(adversarial.jobs(), file, chosen.processes, adversarial.run_job)
    from benchmarks import memory, render, shell

    if "memory" in parts:
        file = RESULTS / "memory.jsonl"
        drop_cut_line(file)
        done = {row["set"] for row in render.read("memory")}
        with file.open("a") as output:
            for row in memory.measure(done):
                output.write(json.dumps({**row, **provenance()}) + "\n")
                output.flush()

    if "kdd" in parts:
        shell.run_kdd(RESULTS / "kdd.txt")
    if "digits" in parts:
        shell.run_digits(RESULTS / "digits.txt")
    if "tour" in parts:
        shell.run_tour(RESULTS / "tour.txt")
        shell.run_image_tour(RESULTS / "image-tour.txt")
    if "render" in parts:
        render.render()


if __name__ == "__main__":
    main()
