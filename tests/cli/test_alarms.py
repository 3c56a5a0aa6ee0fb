"""The strongest of a stream, and the presentations that print them."""

from __future__ import annotations

import numpy as np
import pytest

from lampblack.cli.alarms import Strongest


@pytest.mark.parametrize("size", [1, 3, 50])
def test_the_strongest_are_those_of_a_stable_sort_however_they_come(size: int) -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 50).astype(np.float64)  # many of them equal
    wanted = scores > 2
    strongest = Strongest[int](7)
    for start in range(0, 50, size):
        part = slice(start, start + size)
        strongest.add(scores[part], wanted[part], lambda i, start=start: start + i)
    expected = [i for i in np.argsort(-scores, kind="stable") if wanted[i]][:7]
    assert strongest.items() == expected


def test_no_item_is_made_of_what_is_not_kept() -> None:
    made = []
    strongest = Strongest[int](2)
    for score in (3.0, 2.0, 1.0, 2.0, 5.0):
        strongest.add(
            np.array([score]), np.array([True]), lambda i, score=score: made.append(score)
        )
    assert made == [3.0, 2.0, 5.0]
    none = Strongest[int](0)
    none.add(np.ones(3), np.ones(3, dtype=bool), made.append)
    assert (none.items(), len(made)) == ([], 3)
