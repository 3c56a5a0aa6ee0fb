"""How many samples go through a network at a time, and their scores put together again."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from lampblack.exceptions import InvalidInput, Place

FEWEST_ROWS, ROWS = 512, 2048  # rows of a table scored at a time
VALUES = 1 << 19  # and values of them at most, unless the fewest rows hold more: 2 MiB
IMAGES, PIXELS = 64, 1 << 20  # images scored at a time, and values of them at most


def rows_of_block(width: int) -> int:
    """How many rows of so many features are scored at a time; a power of two.

    >>> [rows_of_block(features) for features in (1, 256, 257, 512, 513, 9999)]
    [2048, 2048, 1024, 1024, 512, 512]
    """
    return min(ROWS, max(FEWEST_ROWS, _power(VALUES // max(1, width))))


def images_of_block(shape: tuple[int, ...]) -> int:
    """How many images of this shape are scored at a time; a power of two.

    >>> images_of_block((1, 28, 28)), images_of_block((3, 256, 256))
    (64, 4)
    """
    return min(IMAGES, _power(PIXELS // math.prod(shape)))


def _power(n: int) -> int:
    """The largest power of two up to n, at least 1."""
    return 1 << (max(1, n).bit_length() - 1)


def joined_scores(n: int, parts: Iterable[npt.NDArray[np.floating]]) -> npt.NDArray[np.float64]:
    """The scores (n,) of all samples from those of some after others.

    They are copied as they come: kept part by part, they would lie between what is freed, and a
    long file would take gigabytes of holes. Raises InvalidInput where one is infinite or no number,
    naming the row, and where there are not n.
    """
    scores, filled = np.empty(n), 0
    for part in parts:
        scores[filled : filled + len(part)] = part[: max(0, n - filled)]
        filled += len(part)
    if filled != n:
        raise InvalidInput(f"{n} samples became {filled} while they were read; the file changed")
    _refuse_not_finite(scores)
    return scores


def _refuse_not_finite(scores: npt.NDArray[np.float64]) -> None:
    """Raise InvalidInput, naming the row, where a score (n,) is infinite or no number."""
    if not np.isfinite(scores).all():
        row = int((~np.isfinite(scores)).argmax()) + 1
        raise InvalidInput(
            "the network gives a score that is not finite; the row lies too far from "
            "the fitted data, or the network diverged",
            at=Place(row=row),
        )
