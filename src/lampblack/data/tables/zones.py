"""Local times of a time zone, daylight saving included."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Moments = npt.NDArray[np.datetime64]
Ints = npt.NDArray[np.int64]

SECOND = 1_000_000
DAY = 86_400 * SECOND
QUARTER = 900 * SECOND  # clocks change at whole quarters of an hour
FIRST, LAST = -62_135_510_400 * SECOND, 253_402_128_000 * SECOND  # the years of Python's dates


@cache
def find_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises ValueError where none is known."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # not found, a folder, an odd name
        raise ValueError(f"{name!r} is no time zone that is known here") from None


def local_times(moments: Moments, name: str) -> Moments:
    """Moments datetime64[us] (n,) in UTC as the local clock shows them; NaT stays.

    >>> local_times(np.array(["2026-07-01T12:00"], "datetime64[us]"), "Europe/Berlin").tolist()
    [datetime.datetime(2026, 7, 1, 14, 0)]
    """
    zone = find_zone(name)
    known = ~np.isnat(moments)
    times = np.clip(moments[known].astype(np.int64), FIRST, LAST)
    days, of_day = np.unique(times // DAY, return_inverse=True)
    start, end = (_offsets((days + i) * DAY, zone) for i in (0, 1))
    offset = start[of_day]
    moved = (start != end)[of_day]  # days on which clocks change
    if moved.any():
        quarters, of_quarter = np.unique(times[moved] // QUARTER, return_inverse=True)
        offset[moved] = _offsets(quarters * QUARTER, zone)[of_quarter]
    local = moments.copy()
    local[known] += offset.astype("timedelta64[us]")
    return local


def _offsets(times: Ints, zone: ZoneInfo) -> Ints:
    """Microseconds east of UTC (n,) at these times in UTC."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    local = ((epoch + timedelta(microseconds=t)).astimezone(zone) for t in times.tolist())
    offsets = (moment.utcoffset() or timedelta() for moment in local)
    return np.array([offset // timedelta(microseconds=1) for offset in offsets], np.int64)
