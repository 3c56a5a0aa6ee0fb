"""Scores of all samples, from those of some after others."""

from __future__ import annotations

import numpy as np
import pytest

from lampblack.data.blocks import joined_scores
from lampblack.exceptions import InvalidInput


def test_parts_are_joined_in_order_as_float64() -> None:
    parts = [np.array([1, 2], np.float32), np.array([], np.float32), np.array([0.5])]
    scores = joined_scores(3, iter(parts))
    assert scores.dtype == np.float64
    assert scores.tolist() == [1.0, 2.0, 0.5]
    assert joined_scores(0, []).tolist() == []


@pytest.mark.parametrize("n", [1, 3])
def test_another_number_of_samples_than_there_were_is_refused(n: int) -> None:
    with pytest.raises(InvalidInput, match=f"{n} samples became 2 while they were read"):
        joined_scores(n, [np.ones(1), np.ones(1)])


def test_many_more_samples_than_there_were_are_refused_too() -> None:
    with pytest.raises(InvalidInput, match="1 samples became 7 while they were read"):
        joined_scores(1, [np.ones(1), np.ones(1), np.ones(5)])


def test_a_score_that_is_not_finite_names_its_row() -> None:
    with pytest.raises(InvalidInput, match="row 3: the network gives a score that is not finite"):
        joined_scores(3, [np.ones(2), np.array([np.inf])])
