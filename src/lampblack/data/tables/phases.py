"""Dates as numbers: where each lies in the day, the week and the year."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.zones import local_times

Cycle = Literal["day", "week", "year"]
Matrix = npt.NDArray[np.float64]
Moments = npt.NDArray[np.datetime64]

DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")
CYCLES = {"day": DAY, "week": 7 * DAY, "year": 365.2425 * DAY}  # periods in microseconds
MONDAY = 4 * DAY  # the epoch was a Thursday


def covered_cycles(schema: Schema, rows: Rows) -> list[list[Cycle]]:
    """The cycles of each date column that its moments run through whole."""
    return [_covered(microseconds(moments)) for moments in _local(schema, rows)]


def phases(schema: Schema, rows: Rows, cycles: Sequence[Sequence[Cycle]]) -> list[Matrix]:
    """Of each date column sine and cosine (n, 2 · cycles) of the position in each of its cycles.

    Times that say their zone are taken in `schema.timezone`. NaN where missing.
    """
    pairs = zip(_local(schema, rows), cycles, strict=True)
    return [_phases(microseconds(moments), some) for moments, some in pairs]


def microseconds(moments: Moments) -> Matrix:
    """Microseconds since 1970 (n,), NaN where missing."""
    times = moments.astype(np.int64).astype(np.float64)
    times[np.isnat(moments)] = np.nan
    return times


def _local(schema: Schema, rows: Rows) -> list[Moments]:
    """Each date column (n,) as local clocks show it, where it is zoned and a zone was named."""
    zone = schema.timezone
    return [
        local_times(moments, zone) if column.zoned and zone is not None else moments
        for column, moments in zip(schema.of_kind("date"), rows.dates, strict=True)
    ]


def _covered(times: Matrix) -> list[Cycle]:
    times = times[~np.isnan(times)]
    if not len(times):
        return []
    span = times.max() - times.min()
    long: tuple[Cycle, ...] = ("week", "year")
    covered: list[Cycle] = ["day"] if (times % DAY).any() and span >= DAY else []
    return covered + [cycle for cycle in long if span >= CYCLES[cycle] - DAY]


def _phases(times: Matrix, cycles: Sequence[Cycle]) -> Matrix:
    found = np.empty((len(times), 2 * len(cycles)))
    for i, cycle in enumerate(cycles):
        moved = times if cycle == "day" else np.floor(times / DAY) * DAY - MONDAY
        angle = 2 * np.pi * (moved % CYCLES[cycle]) / CYCLES[cycle]
        found[:, 2 * i], found[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
    return found
