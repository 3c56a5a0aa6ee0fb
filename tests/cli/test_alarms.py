"""The strongest of a stream, and the presentations that print them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lampblack.cli.alarms import Alarms, Strongest, cell_text, titled
from lampblack.data.source import Batch
from lampblack.results import ScoredRows


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


def scored(scores: list[float]) -> tuple[Batch, ScoredRows]:
    values = np.array(scores)
    table = pa.table({"x": values})
    keys = pa.array([123456789.0 + i for i in range(len(values))])
    batch = Batch(table, table, keys, np.arange(len(values)))
    return batch, ScoredRows(values, None, values > 5)


def kept(scores: list[float], **options: Any) -> tuple[str, list[float]]:
    alarms = Alarms("row", **options)
    for part in (scores[:2], scores[2:]):
        alarms.add(*scored(part))
    strongest = alarms.strongest()
    return titled(strongest), [alarm.score for alarm in strongest]


def test_where_there_is_no_alarm_a_few_of_the_highest_scores_are_kept() -> None:
    assert kept([1, 4, 3, 2]) == ("no alarm; 3 highest scores", [4, 3, 2])
    assert kept([1, 4, 3, 6]) == ("1 strongest alarm", [6])
    assert kept([1, 4, float("nan"), 2]) == ("no alarm; 3 highest scores", [4, 2, 1])
    assert kept([1, 4], keep=0)[1] == []


def test_top_keeps_so_many_scores_alarms_or_not() -> None:
    assert kept([7, 4, 3, 6], top=3) == ("3 highest scores", [7, 6, 4])
    assert kept([7, 4, 3, 6], top=1) == ("1 strongest alarm", [7])
    assert kept([1, 4, 3], top=9) == ("no alarm; 3 highest scores", [4, 3, 1])


def test_keys_keep_their_digits_and_values_are_written_as_numbers() -> None:
    alarms = Alarms("row")
    alarms.add(*scored([7.0]))
    assert alarms.strongest()[0].key == "123456789"
    assert cell_text(pa.scalar(888000.0)) == "888000"
    assert cell_text(pa.scalar(123456.7)) == "123457"
