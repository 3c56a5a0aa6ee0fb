"""Names of columns as a user gives them."""

from __future__ import annotations

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
