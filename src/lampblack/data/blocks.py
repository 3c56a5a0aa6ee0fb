"""How many samples go through a network at a time."""

from __future__ import annotations

import math

FEWEST_ROWS, ROWS = 512, 2048  # rows of a table scored at a time
VALUES = 1 << 19  # and values of them at most, unless the fewest rows hold more: 2 MiB
IMAGES, PIXELS = 64, 1 << 20  # images scored at a time, and values of them at most


def block_size(shape: tuple[int, ...]) -> int:
    """How many samples of this shape are scored at a time; a power of two.

    >>> [block_size((features,)) for features in (1, 256, 257, 512, 513, 9999)]
    [2048, 2048, 1024, 1024, 512, 512]
    >>> block_size((1, 28, 28)), block_size((3, 256, 256))
    (64, 4)
    """
    if len(shape) == 1:
        return min(ROWS, max(FEWEST_ROWS, _power(VALUES // max(1, shape[0]))))
    return min(IMAGES, _power(PIXELS // math.prod(shape)))


def _power(n: int) -> int:
    """The largest power of two up to n, at least 1."""
    return 1 << (max(1, n).bit_length() - 1)
