"""Names of columns in a sentence."""

from __future__ import annotations

from collections.abc import Iterable


def listed(names: Iterable[str], most: int = 5) -> str:
    """The word column and names in quotes, the first few of many.

    >>> listed(["a"]), listed(["a", "b"])
    ("column 'a'", "columns 'a', 'b'")
    """
    names = list(names)
    shown = ", ".join(repr(name) for name in names[:most])
    noun = "column" if len(names) == 1 else "columns"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{noun} {shown}{more}"
