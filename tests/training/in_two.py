"""What tests/training/test_distributed.py has torchrun run in two processes.

`in_two.py fits FOLDER` fits to FOLDER/n.parquet and leaves in FOLDER what each process has found.
`in_two.py killed ARGUMENTS` is the command line, whose second process is killed at a step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

import lampblack
from lampblack.cli.main import app
from lampblack.data.tables import stored
from lampblack.detectors.base import ReconstructionDetector
from lampblack.fitting import fit
from lampblack.training.loop import Loop

TOLL = {"amplification": "quantile", "early_stopping": True, "max_steps": 40, "random_state": 0}
AMA = {"critic_steps": 2, "max_steps": 40, "random_state": 0}
STREAMED = {"max_steps": 40, "hidden": (32, 16), "batch_size": 64, "random_state": 0}
KILLED_AT = 25  # in the 13th epoch of two steps; the checkpoint is of step 24


def networks() -> tuple[nn.Module, nn.Module]:
    """An encoder and a decoder without biases before batch norm.

    Their gradient is 0 but for rounding, which Adam makes steps of; so they wander, and two ways to
    compute the same would not stay within 1e-5 of each other.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, decoder = (
            nn.Sequential(
                nn.Linear(before, 32, bias=False),
                nn.BatchNorm1d(32),
                nn.ReLU(),
                nn.Linear(32, after),
            )
            for before, after in ((5, 8), (8, 5))
        )
    return encoder, decoder


def keep(detector: ReconstructionDetector, samples: Any, path: Path) -> None:
    """Write down weights, scores and history."""
    np.savez(
        path,
        scores=detector.anomaly_score(samples),
        history=json.dumps(detector.history_),
        threshold=detector.calibration_.threshold,
        **{f"network.{k}": v.numpy() for k, v in detector.networks_.state_dict().items()},
    )


def fits(folder: Path) -> None:
    """Several fits in one start: joined ones find each other again, a plain one is alone."""
    rank = os.environ["RANK"]
    table = pq.read_table(folder / "n.parquet")
    before = torch.random.get_rng_state(), torch.get_num_threads()
    toll = lampblack.TollDetector(networks=networks(), **TOLL).fit(table, distributed=True)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    keep(toll, table, folder / f"toll.{rank}.npz")
    ama = lampblack.AMADetector(networks=networks(), **AMA).fit(table, distributed=True)
    keep(ama, table, folder / f"ama.{rank}.npz")
    if rank == "0":  # the other one does not take part
        alone = lampblack.TollDetector(networks=networks(), **TOLL).fit(table)
        keep(alone, table, folder / "alone.npz")
    streamed(folder, rank)


def streamed(folder: Path, rank: str) -> None:
    """Fit to rows that are read from their file, and to the same rows in memory."""
    stored.WINDOW, stored.MOST_ENCODED = 300 * 5, 50
    rows = lampblack.find_rows(folder / "n.parquet")
    detector = lampblack.TollDetector(**STREAMED).fit(rows, distributed=True)
    keep(detector, rows, folder / f"streamed.{rank}.npz")
    batches_of = fit.batches_of
    read: list[bool] = []

    def in_memory(some: Any, encoder: Any, device: torch.device) -> Any:
        read.append(isinstance(some, stored.StoredRows))
        return batches_of(some.in_memory(), encoder, device)

    fit.batches_of = in_memory
    detector = lampblack.TollDetector(**STREAMED).fit(rows, distributed=True)
    assert any(read)  # else the file would have fitted
    keep(detector, rows, folder / f"whole.{rank}.npz")


def killed(arguments: list[str]) -> None:
    """The command line, but that the second process ends as it is about to take a step."""
    run_step = Loop._run_step

    def run(loop: Loop, batch: Tensor) -> Any:
        if os.environ["RANK"] == "1" and loop.done == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_step(loop, batch)

    Loop._run_step = run  # type: ignore[method-assign]
    app(arguments)


if __name__ == "__main__":
    if sys.argv[1] == "fits":
        fits(Path(sys.argv[2]))
    else:
        killed(sys.argv[2:])
