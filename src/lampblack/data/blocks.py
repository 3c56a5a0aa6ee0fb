"""How many samples go through a network at a time."""

from __future__ import annotations

import math

ROWS = 2048  # rows of a table scored at a time
IMAGES, PIXELS = 64, 1 << 20  # images scored at a time, and values of them at most


def block_size(shape: tuple[int, ...]) -> int:
    """How many samples of this shape are scored at a time; a power of two.

    >>> block_size((30,)), block_size((1, 28, 28)), block_size((3, 256, 256))
    (2048, 64, 4)
    """
    if len(shape) == 1:
        return ROWS
    fitting = max(1, PIXELS // math.prod(shape))
    return min(IMAGES, 1 << (fitting.bit_length() - 1))
