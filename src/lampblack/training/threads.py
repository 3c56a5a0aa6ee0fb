"""How many threads a training step is worth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORTH_SHARING = 5e8  # floating-point operations in a step; below it, threads mostly wait


@contextmanager
def threads_for_step(parameters: int, batch_size: int) -> Iterator[None]:
    """Train small networks in one thread, and put the number of threads back.

    A step takes about 6 operations per parameter and row. A step of a few hundred microseconds
    gains nothing from a second thread and, where the processors are busy, loses tenfold to waiting.
    One thread also makes the bits independent of the machine's number of processors.
    """
    before = torch.get_num_threads()
    if 6.0 * parameters * batch_size < WORTH_SHARING:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
