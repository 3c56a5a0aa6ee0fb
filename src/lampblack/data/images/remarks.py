"""What is said of images whose files hold more than is read of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from lampblack.exceptions import ImageWarning


class Remarks:
    """How many images each remark concerns, and the first of them."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._count: dict[str, int] = {}

    def add(self, where: object, remarks: Iterable[str]) -> None:
        """Take in the remarks on one image; `where` names it."""
        for remark in remarks:
            self._first.setdefault(remark, str(where))
            self._count[remark] = self._count.get(remark, 0) + 1

    @property
    def known(self) -> set[str]:
        """The remarks."""
        return set(self._first)

    def warn(self) -> None:
        """Say what was not said yet, in one ImageWarning a remark, and forget it.

        >>> remarks = Remarks()
        >>> remarks.add("a.gif", ["several pictures"])
        >>> with warnings.catch_warnings(record=True) as said:
        ...     warnings.simplefilter("always")
        ...     remarks.warn(), remarks.warn()
        (None, None)
        >>> [str(warning.message) for warning in said]
        ['a.gif has several pictures']
        """
        for remark, first in self._first.items():
            count = self._count[remark]
            who = f"{first} has" if count == 1 else f"{count:,} images ({first} first) have"
            warnings.warn(f"{who} {remark}", ImageWarning, stacklevel=3)
        self._first.clear()
        self._count.clear()
