"""How many threads a training step is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORTH_SHARING = 5e8  # floating-point operations in a step; below it, threads mostly wait


@contextmanager
def threads_for_step(operations: float) -> Iterator[None]:
    """Train small networks in one thread, and put the number of threads back.

    operations: of one step, about 6 per weight and sample, each time a weight is used. A step of a
    few hundred microseconds gains nothing from a second thread and, where the processors are busy,
    loses tenfold to waiting. One thread also makes the bits independent of the machine's number of
    processors.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if operations < WORTH_SHARING else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
