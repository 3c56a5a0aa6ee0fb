"""Names of columns in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from lampblack.exceptions import InvalidInput, Place, Remedy


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


def wrong_column(name: str, what: str, *remedy: str | Remedy) -> InvalidInput:
    """The error of a column of this name. what: as "is sparse".

    >>> str(wrong_column("a", "is sparse", "make it dense first"))
    "column 'a' is sparse; make it dense first"
    """
    return InvalidInput(f"column {name!r} {what}", names=Place(column=name), remedy=remedy)
