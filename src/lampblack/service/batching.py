"""One thread that scores: requests that wait together are scored together.

A row's score does not depend on its neighbours (model/blocks.py), so that requests can be cut
and joined freely. Long requests are scored a slice at a time, in turn with the others: a short one
waits for a slice of a long one, never for all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.data.kind import Samples
from lampblack.exceptions import InvalidInput
from lampblack.service.engine import Engine

LEAST_SHARE = 256

Values = npt.NDArray[np.float64]


@dataclass(eq=False)
class Job:
    """Samples of one request, and who waits for their scores.

    engine: the model that the request started with. explain: which samples to explain, given all
    scores; None for scores alone.
    """

    engine: Engine
    samples: Samples
    explain: Callable[[Values], npt.NDArray[np.int64]] | None
    expires: float
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    scores: Values = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.scores = np.empty(len(self.samples))

    @property
    def left(self) -> int:
        """How many samples are still to be scored."""
        return len(self.samples) - self.done

    def finish(self, result: Any, error: BaseException | None = None) -> None:
        """Hand the result to whoever waits, if anyone still does. Called by the scoring thread."""

        def hand_over() -> None:
            if self.answer.done():
                return
            if error is not None:
                self.answer.set_exception(error)
            else:
                self.answer.set_result(result)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(hand_over)


class Batcher:
    """The queue of jobs and the thread that works on it.

    wait: seconds that the first job of a batch waits for others. observe: told of each batch, by
    samples, requests and seconds.
    """

    def __init__(self, wait: float, observe: Callable[[int, int, float], None]) -> None:
        self._wait, self._observe = wait, observe
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="lampblack-scoring", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Finish what is queued, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    @property
    def depth(self) -> int:
        """How many requests wait or are being scored."""
        return len(self._jobs)

    async def run(
        self,
        engine: Engine,
        samples: Samples,
        seconds: float,
        explain: Callable[[Values], npt.NDArray[np.int64]] | None = None,
    ) -> Any:
        """Scores (n,); with `explain`, (scores, positions, their explanation).

        Raises TimeoutError after so many seconds; what is left of the job is then not scored.
        """
        loop = asyncio.get_running_loop()
        job = Job(engine, samples, explain, time.monotonic() + seconds, loop, loop.create_future())
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        try:
            return await asyncio.wait_for(job.answer, seconds)
        except asyncio.TimeoutError:
            raise TimeoutError from None

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    self._changed.wait()
                if not self._jobs:
                    return
                self._wait_for_others()
                turn = self._next_turn()
            if not turn:
                continue
            started = time.perf_counter()
            self._score(turn)
            seconds = time.perf_counter() - started
            self._observe(sum(stop - start for _, start, stop in turn), len(turn), seconds)

    def _wait_for_others(self) -> None:
        """Wait until there is enough for a turn, or the bounded wait is over."""
        until = time.monotonic() + self._wait
        while not self._closing:
            most = self._jobs[0].engine.kind.a_turn
            if sum(job.left for job in self._jobs) >= most // 4:
                return
            remaining = until - time.monotonic()
            if remaining <= 0 or not self._changed.wait(remaining):
                return

    def _next_turn(self) -> list[tuple[Job, int, int]]:
        """Slices of jobs of one engine, of all that wait a fair share; drops what nobody awaits."""
        now = time.monotonic()
        waiting = [job for job in self._jobs if not job.answer.done() and job.expires > now]
        self._jobs = deque(waiting)
        if not waiting:
            return []
        first = waiting[0]
        if not first.left:  # its scores are there; it is to be explained
            return [(first, first.done, first.done)]
        alike = [job for job in waiting if job.engine is first.engine and job.left]
        room = first.engine.kind.a_turn
        share = max(1 if room < LEAST_SHARE else LEAST_SHARE, room // len(alike))
        turn = []
        for job in alike:
            size = min(job.left, share, room)
            if size <= 0:
                break
            turn.append((job, job.done, job.done + size))
            room -= size
        return turn

    def _score(self, turn: list[tuple[Job, int, int]]) -> None:
        first = turn[0][0]
        try:
            if first.left:
                kind = first.engine.kind
                parts = [kind.sliced(job.samples, start, stop) for job, start, stop in turn]
                scores = first.engine.score(kind.joined(parts))
                position = 0
                for job, start, stop in turn:
                    job.scores[start:stop] = scores[position : position + stop - start]
                    job.done, position = stop, position + stop - start
            for job, _, _ in turn:
                if not job.left:
                    self._complete(job)
                else:
                    self._requeue(job)
        except Exception as error:
            self._one_by_one(turn, error)

    def _complete(self, job: Job) -> None:
        if job.explain is None:
            self._end(job, job.scores)
            return
        chosen = job.explain(job.scores)
        explanation = job.engine.explain(job.samples.take(chosen))
        self._end(job, (job.scores, chosen, explanation))

    def _one_by_one(self, turn: list[tuple[Job, int, int]], error: Exception) -> None:
        """A request that cannot be scored must not fail those beside it."""
        for job, _, _ in turn:
            if len(turn) == 1 and not isinstance(error, InvalidInput):
                self._end(job, None, error)
                continue
            try:
                job.scores[:] = job.engine.score(job.samples)
                job.done = len(job.samples)
                self._complete(job)
            except Exception as own:
                self._end(job, None, own)

    def _requeue(self, job: Job) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._jobs.append(job)

    def _end(self, job: Job, result: Any, error: BaseException | None = None) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
        job.finish(result, error)
