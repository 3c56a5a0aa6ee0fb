"""Reading one batch ahead changes neither the order nor where an error comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lampblack.data.ahead import ahead


def test_the_next_item_is_made_in_a_thread_while_one_is_in_use() -> None:
    made = [threading.Event() for _ in range(3)]
    makers = []

    def items() -> Iterator[int]:
        for i in range(3):
            makers.append(threading.current_thread())
            made[i].set()
            yield i

    found = []
    for i in ahead(items()):
        found.append(i)
        assert i == 2 or made[i + 1].wait(timeout=5)
        assert i > 0 or not made[2].is_set()  # one ahead, not two
    assert found == [0, 1, 2]
    assert threading.main_thread() not in makers


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    reading = ahead(items())
    assert [next(reading), next(reading)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(reading)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    def items() -> Iterator[int]:
        while True:
            yield 1

    before = threading.active_count()
    reading = ahead(items())
    next(reading)
    reading.close()
    assert threading.active_count() == before
