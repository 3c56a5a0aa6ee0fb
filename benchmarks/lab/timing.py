"""Two sides timed in turn, in CPU and wall seconds, and the ratios pair by pair."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Side = Callable[[], object]
Seconds = tuple[float, float]  # CPU, wall


@dataclass(frozen=True)
class Stopwatch:
    """How often two sides are timed, and whether a third takes its turn."""

    repeats: int = 5
    bounded: bool = False

    def compare(
        self,
        ours: Side,
        theirs: Side,
        *,
        share: float = 1.0,
        limit: Side | None = None,
        of_children: bool = False,
        repeats: int | None = None,
    ) -> dict[str, Any]:
        """All sides in turn, after one of each that does not count; share: theirs does 1 / share.

        limit: what ours has torch do, and nothing else; if `bounded`, `limit_ratio` is its ratio.
        of_children: time is that of the processes that the sides start.
        """
        sides = [ours, theirs, limit] if self.bounded and limit is not None else [ours, theirs]
        for side in sides:
            side()
        count = self.repeats if repeats is None else repeats
        times = [[timed(side, of_children=of_children) for side in sides] for _ in range(count)]
        found = summary([(mine, other) for mine, other, *_ in times], share)
        if len(sides) > 2:
            bounds = [share * other[0] / least[0] for _, other, least in times]
            found["limit_ratio"] = round(float(np.median(bounds)), 3)
        return found


def now(*, of_children: bool = False) -> Seconds:
    """CPU seconds, of this process or of those it waited for, and wall seconds."""
    who = resource.RUSAGE_CHILDREN if of_children else resource.RUSAGE_SELF
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime, time.perf_counter()


def between(start: Seconds, end: Seconds) -> Seconds:
    """What went by."""
    return end[0] - start[0], end[1] - start[1]


def timed(side: Side, *, of_children: bool = False) -> Seconds:
    """What a call takes."""
    start = now(of_children=of_children)
    side()
    return between(start, now(of_children=of_children))


def summary(pairs: list[tuple[Seconds, Seconds]], share: float = 1.0) -> dict[str, Any]:
    """Medians, and the ratio theirs / ours pair by pair: above 1 where ours is faster."""
    found: dict[str, Any] = {}
    for i, clock in enumerate(("cpu", "wall")):
        mine = np.array([pair[0][i] for pair in pairs])
        other = share * np.array([pair[1][i] for pair in pairs])
        ratios = other / mine
        found[f"{clock}_s"] = round(float(np.median(mine)), 4)
        found[f"peer_{clock}_s"] = round(float(np.median(other)), 4)
        found[f"{clock}_ratio"] = round(float(np.median(ratios)), 3)
        found[f"{clock}_ratios"] = [round(float(ratio), 3) for ratio in ratios]
    return found


def ratio(row: dict[str, Any]) -> str:
    """A ratio of CPU seconds, and the range that it comes from."""
    ratios = row["cpu_ratios"]
    return f"{row['cpu_ratio']:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
