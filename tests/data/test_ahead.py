"""Reading one batch ahead changes neither the order nor where an error comes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from lampblack.data.prefetching import in_threads, prefetched


def test_the_next_item_is_made_in_a_thread_while_one_is_in_use() -> None:
    made = [threading.Event() for _ in range(3)]
    makers = []

    def items() -> Iterator[int]:
        for i in range(3):
            makers.append(threading.current_thread())
            made[i].set()
            yield i

    found = []
    for i in prefetched(items()):
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

    reading = prefetched(items())
    assert [next(reading), next(reading)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(reading)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    def items() -> Iterator[int]:
        while True:
            yield 1

    before = threading.active_count()
    reading = prefetched(items())
    next(reading)
    reading.close()
    assert threading.active_count() == before


def test_threads_share_the_work_and_keep_the_order() -> None:
    together = threading.Barrier(3, timeout=5)
    started, taken = [], []

    def items() -> Iterator[int]:
        for i in range(9):
            taken.append(i)
            yield i

    def work(i: int) -> int:
        together.wait()  # three at a time, or this fails
        return i * i

    found = []
    for square in in_threads(work, items(), 3, start=lambda: started.append(1)):
        found.append(square)
        assert len(taken) <= len(found) + 3
    assert found == [i * i for i in range(9)]
    assert len(started) == 3


def test_an_error_comes_where_its_result_would_and_ends_the_rest() -> None:
    done = []

    def work(i: int) -> int:
        done.append(i)
        return 1 // (i - 2)

    before = threading.active_count()
    results = in_threads(work, range(1000), 2)
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(done) < 10
    assert threading.active_count() == before
