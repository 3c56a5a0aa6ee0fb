"""What helpers of tests/training/test_processes.py do: it must be importable, and quickly."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed

from lampblack.training.processes import World, met


def add(world: World, rounds: int, values: torch.Tensor) -> None:
    """Take part in so many sums."""
    with met(world, "gloo"):
        for _ in range(rounds):
            distributed.all_reduce(values.clone())


def complain(world: World, error: Any) -> None:
    """Fail with an error."""
    raise error
