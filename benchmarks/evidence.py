"""Regenerate every figure of the README: `python benchmarks/evidence.py [PART ...]`.

Parts: tables, sensitivity, arrhythmia, recommended, peers, more, images, adversarial, likelihood,
rays, why, labelled, portable, memory, scale, growth, kdd, digits, tour, render; without any, all of
them. Results are appended to benchmarks/results/*.jsonl job by job; a job that is there already is
not run again, so that a killed run goes on where it was. Delete a file to measure anew.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

RESULTS = Path(__file__).parent / "results"
PARTS = (
    "tables",
    "sensitivity",
    "arrhythmia",
    "recommended",
    "peers",
    "more",
    "images",
    "adversarial",
    "likelihood",
    "rays",
    "why",
    "labelled",
    "portable",
    "memory",
    "scale",
    "growth",
    "kdd",
    "digits",
    "tour",
    "render",
)

PATIENCE = 100  # seconds for a peer on a set

Job = tuple[str, str, int]  # set, method, seed


def run_job(job: Job) -> dict[str, Any]:
    """One fit and its figures, in one thread."""
    import torch

    from benchmarks import methods, protocol

    torch.set_num_threads(1)
    name, method, seed = job
    groups = (methods.ARRHYTHMIA, methods.SENSITIVITY, methods.RECOMMENDED, methods.TABLES)
    fit = next(group for group in groups if method in group)[method](seed)
    figures = protocol.judge(fit, protocol.one_class_split(*protocol.load_table(name), seed))
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
    done = {(row["set"], row["method"], row["seed"]) for row in read(file.stem, file.parent)}
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
    names = ["lampblack", "torch", "numpy", "scikit-learn", "pyarrow"]
    if find_spec("pyod") is not None:
        names.append("pyod")
    return {name: version(name) for name in names} | {
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} cores, CPU",
        "cpu": processor(),
    }


def processor() -> str:
    """The processor's model, where Linux tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def drop_cut_line(file: Path) -> None:
    """Take a last line away that a kill cut short."""
    if file.exists():
        whole = file.read_text()
        file.write_text(whole[: whole.rfind("\n") + 1])


def run_peer_job(job: Job) -> dict[str, Any]:
    """One fit of a peer, in one thread; a peer that fails, or takes too long, gets a row."""
    import io
    import signal
    import warnings

    import torch

    from benchmarks import peers, protocol

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    name, method, seed = job
    split = protocol.one_class_split(*protocol.load_table(name), seed)
    facts: dict[str, Any] = {"set": name, "method": method, "seed": seed, "protocol": "label-free"}
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return {**facts, **protocol.judge(peers.PEERS[method](seed), split)}
    except Exception as error:  # whatever a peer raises is its result
        return {**facts, "error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    finally:
        signal.alarm(0)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"not done after {PATIENCE} s")


def run_part(part: str, jobs: list[Job], file: Path, processes: int) -> None:
    """Run jobs of a part into its result file."""
    from benchmarks import adversarial, images, labelled, likelihood, portable, rays, why

    runners: dict[str, Callable[[Job], dict[str, Any]]] = {
        "peers": run_peer_job,
        "more": run_more_job,
        "images": images.run_job,
        "adversarial": adversarial.run_job,
        "likelihood": likelihood.run_job,
        "rays": rays.run_job,
        "why": why.run_job,
        "labelled": labelled.run_job,
        "portable": portable.run_job,
    }
    run_jobs(jobs, file, processes, runners.get(part, run_job), fresh=part == "images")


def more_jobs() -> list[Job]:
    """Tables that are not ADBench's: ours and the peers, but for the slow ones, seed 0 to 4."""
    from benchmarks import methods, peers, protocol

    quick = [method for method in peers.PEERS if method.removeprefix("PyOD ") not in peers.SLOW]
    return [
        (name, method, seed)
        for seed in range(5)
        for name in protocol.MORE
        for method in (*(m for m in methods.TABLES if m not in methods.ABLATIONS), *quick)
    ]


def run_more_job(job: Job) -> dict[str, Any]:
    """A job of `more_jobs`."""
    from benchmarks import methods

    return run_job(job) if job[1] in methods.TABLES else run_peer_job(job)


def peer_jobs() -> list[Job]:
    """Every set, peer and seed 0 to 4; the slow peers last, seed by seed."""
    from benchmarks import peers, protocol

    names = [name for name, _ in protocol.adbench_sets()]
    slow = [f"PyOD {name}" for name in peers.SLOW]
    fast = [method for method in peers.PEERS if method not in slow]
    return [
        (name, method, seed)
        for methods in (fast, slow)
        for seed in range(5)
        for name in names
        for method in methods
    ]


def table_jobs() -> list[Job]:
    """Every set, method and seed 0 to 4; ablations of the recommended detector, fewer seeds."""
    from benchmarks import methods, protocol

    names = [name for name, _ in protocol.adbench_sets()]
    return [
        (name, method, seed)
        for seed in range(5)
        for method in methods.TABLES
        if method not in methods.ABLATIONS or seed < methods.ABLATION_SEEDS
        for name in names
    ]


def sensitivity_jobs() -> list[Job]:
    """Every set and setting of Toll, seed 0 to 2."""
    from benchmarks import methods, protocol

    names = [name for name, _ in protocol.adbench_sets()]
    return [(name, method, s) for s in range(3) for name in names for method in methods.SENSITIVITY]


def recommended_jobs() -> list[Job]:
    """Every set and setting of the recommended detector, seed 0."""
    from benchmarks import methods, protocol

    names = [name for name, _ in protocol.adbench_sets()]
    return [(name, method, 0) for method in methods.RECOMMENDED for name in names]


def arrhythmia_jobs() -> list[Job]:
    """Every method and seed 0 to 9."""
    from benchmarks import methods

    return [("arrhythmia", method, s) for s in range(10) for method in methods.ARRHYTHMIA]


def keep_bytecode() -> None:
    """Have Python keep what it compiles, whatever the shell says: a second command is meant."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def main() -> None:
    """Run the parts that are asked for."""
    keep_bytecode()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    parts = chosen.parts or list(PARTS)
    from benchmarks import adversarial, images, labelled, likelihood, portable, rays, why

    for part, jobs in (
        ("tables", table_jobs),
        ("sensitivity", sensitivity_jobs),
        ("arrhythmia", arrhythmia_jobs),
        ("recommended", recommended_jobs),
        ("peers", peer_jobs),
        ("more", more_jobs),
        ("images", images.jobs),
        ("adversarial", adversarial.jobs),
        ("likelihood", likelihood.jobs),
        ("rays", rays.jobs),
        ("why", why.jobs),
        ("labelled", labelled.jobs),
        ("portable", portable.jobs),
    ):
        if part in parts:
            run_part(part, jobs(), RESULTS / f"{part}.jsonl", chosen.processes)
    from benchmarks import growth, memory, render, scale, shell

    for part, measure in (("memory", memory.measure), ("scale", scale.measure)):
        if part in parts:
            file = RESULTS / f"{part}.jsonl"
            drop_cut_line(file)
            done = {row["set"] for row in render.read(part)}
            with file.open("a") as output:
                for row in measure(done):
                    output.write(json.dumps({**row, **provenance()}) + "\n")
                    output.flush()

    if "growth" in parts:
        file = RESULTS / "growth.jsonl"
        drop_cut_line(file)
        measured = {(row["set"], row["size"]) for row in render.read("growth")}
        with file.open("a") as output:
            for row in growth.measure(measured):
                output.write(json.dumps({**row, **provenance()}) + "\n")
                output.flush()
        growth.draw(render.read("growth"))

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
