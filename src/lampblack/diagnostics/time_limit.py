"""How long a diagnosis may take."""

from __future__ import annotations

import time

from lampblack.exceptions import InvalidInput
from lampblack.number_text import number


class TimeLimit:
    """A time that is over for all parts of a diagnosis together; they ask between their steps.

    A step is not interrupted, so a part may take that much longer.
    """

    def __init__(self, seconds: float | None = None) -> None:
        """seconds: from now on; None is without end."""
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def ask(self) -> None:
        """Raise InvalidInput where the time is over."""
        if self._end is not None and time.monotonic() >= self._end:
            raise InvalidInput(f"the {number(self._seconds)} seconds for the diagnosis were over")


NO_LIMIT = TimeLimit()
