"""A fit in a process of its own that is killed after some of its steps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from lampblack.training.callbacks import Callback
from lampblack.training.checkpoint import FILE

SLOW_FIT = """
import json, sys, time, numpy as np, torch
import lampblack
from lampblack.training.callbacks import Callback

class Slow(Callback):
    def on_step_end(self, step):
        time.sleep(0.02)

name, parameters, data, folder, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
detector = getattr(lampblack, name)(**json.loads(parameters))
X = np.load(data) if data.endswith(".npy") else data
detector.fit(X, checkpoint_dir=folder, callbacks=[Slow()])
"""


def kill_a_fit(
    name: str, parameters: Mapping[str, object], data: Path, folder: Path, steps: int
) -> int:
    """Fit `data` with checkpoints in `folder`, kill it after so many steps; returns how many."""
    arguments = [name, json.dumps(parameters), data, folder, torch.get_num_threads()]
    process = subprocess.Popen([sys.executable, "-c", SLOW_FIT, *map(str, arguments)])
    deadline = time.monotonic() + 120
    while not (folder / FILE).exists() or steps_done(folder) < steps:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return steps_done(folder)


def steps_done(folder: Path) -> int:
    """The steps of a checkpoint."""
    with safe_open(folder / FILE, framework="np") as file:
        return int(json.loads(file.metadata()["progress"])["done"])


class Starts(Callback):
    """Notes where fits begin."""

    def __init__(self) -> None:
        self.first_steps: list[int] = []

    def on_fit_start(self, budget: object, first_step: int) -> None:
        self.first_steps.append(first_step)
