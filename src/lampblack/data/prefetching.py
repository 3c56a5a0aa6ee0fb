"""Work beside other work, in threads, with results in order and few of them waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order, the next one made in a thread while one is in use.

    One item more is in memory. An error is raised where its item would have come.

    >>> list(prefetched("abc"))
    ['a', 'b', 'c']
    """
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        waiting = thread.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = thread.submit(next, iterator, end)
            yield item  # type: ignore[misc]


def in_threads(
    work: Callable[[T], R],
    items: Iterable[T],
    threads: int,
    *,
    start: Callable[[], object] = bool,
    started: Callable[[], object] = bool,
) -> Iterator[R]:
    """`work` of every item, in their order, done by so many threads.

    Each thread calls `start`; when all have, `started` is called here, and work begins. Items are
    taken as results are handed over, one more than there are threads. An error is raised where its
    result would have come.

    >>> list(in_threads(str.upper, "abc", 2))
    ['A', 'B', 'C']
    """
    all_there = Barrier(threads + 1)

    def begin() -> None:
        start()
        all_there.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="beside", initializer=begin)
    waiting: deque[Future[R]] = deque()
    try:
        for _ in range(threads):
            pool.submit(bool)  # has a thread of its own begin, as long as the others are waiting
        all_there.wait()
        started()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        all_there.abort()  # for threads that still wait there, where an interrupt has come between
        pool.shutdown(cancel_futures=True)
