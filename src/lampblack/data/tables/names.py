"""Names of columns as a user gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lampblack.exceptions import InvalidInput, Place, Setting


def known_names(given: Sequence[str], known: Sequence[str], option: str | Setting) -> list[str]:
    """The columns an option names, one by one or joined by commas; each must be there."""
    names = [n for text in given for n in ([text] if text in known else split_names([text]))]
    for name in names:
        if name not in known:
            raise InvalidInput(
                option,
                f" names column {name!r}, which is not there; the columns are "
                f"{', '.join(known[:20])}{', ...' if len(known) > 20 else ''}",
                names=Place(column=name),
            )
    return names


def split_names(given: Sequence[str] | None) -> list[str]:
    """Names given one by one or joined by commas.

    >>> split_names(["a,b", "c"])
    ['a', 'b', 'c']
    """
    return [name.strip() for text in given or [] for name in text.split(",") if name.strip()]


def split_types(given: Sequence[str]) -> list[str]:
    """Types of columns given one by one or joined by commas; a spelling may hold commas itself.

    >>> split_types(["a=date,b=number:1,234.5", "c=date:%b %d, %Y"])
    ['a=date', 'b=number:1,234.5', 'c=date:%b %d, %Y']
    """
    parts = [part for text in given for part in re.split(r",(?=[^,=]+=)", text)]
    return [part.strip() for part in parts if part.strip()]


def partition_type(text: str) -> tuple[str, str, str]:
    """A column's name, the sign = and its type; names may hold the sign, and so may spellings.

    >>> partition_type("a=b=date:%Y=%m"), partition_type("a=colour")
    (('a=b', '=', 'date:%Y=%m'), ('a', '=', 'colour'))
    """
    match = re.fullmatch(r"(.*?)=((?:number|boolean|category|date)(?::.*)?)", text, re.DOTALL)
    return (match[1], "=", match[2]) if match else text.rpartition("=")
