"""What the commands that score share: an output that opens late, and is not what is read."""

from __future__ import annotations

from pathlib import Path

from lampblack.data.tables.writing import Output
from lampblack.exceptions import InvalidInput

__all__ = ["Output", "number_of", "refuse_own_input"]


def number_of(count: int, noun: str) -> str:
    """So many of something.

    >>> number_of(1, "row"), number_of(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def refuse_own_input(output: Path, model: Path, data: Path) -> None:
    """Refuse to write over what is read, or into the model."""
    place = output.resolve()
    if place == data.resolve():
        raise InvalidInput(f"{output}: is the file that is scored; give another name")
    if model.resolve() in (place, *place.parents):
        raise InvalidInput(f"{output}: lies in the model's folder; write somewhere else")
