"""What the commands say of what they read, and where they write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from lampblack.data.source import Source
from lampblack.data.tables.writing import opened_late as opened_late  # noqa: PLC0414
from lampblack.exceptions import InvalidInput, MissingExtra

SHOWN_SKIPS = 1000


def number_of(count: int, noun: str) -> str:
    """So many of something.

    >>> number_of(1, "row"), number_of(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def report_skipped(source: Source) -> None:
    """Say which samples of a source were left out so far, and why."""
    say_skipped(source.skipped, source.noun, source.left_out)


def say_skipped(
    skipped: Sequence[object], noun: str, left_out: str, file: str | None = None
) -> None:
    """Say how many samples were left out, of which file where there are several, and list them.

    left_out: what became of them, as "were skipped".
    """
    if not skipped:
        return
    verb = "was" if len(skipped) == 1 else "were"
    of = "" if file is None else f" of {file}"
    typer.echo(f"lampblack: {number_of(len(skipped), noun)}{of} {verb} {left_out}:", err=True)
    for each in skipped[:SHOWN_SKIPS]:
        typer.echo(f"  {each}", err=True)
    if len(skipped) > SHOWN_SKIPS:
        typer.echo(f"  and {len(skipped) - SHOWN_SKIPS} more", err=True)


def need_libraries(purpose: str, *names: str) -> None:
    """Raise MissingExtra where a library of reports is not installed. purpose: "figures need"."""
    from importlib.util import find_spec

    for name in names:
        if find_spec(name) is None:
            raise MissingExtra(f"{purpose} {name}", extra="report")


def note(text: str) -> None:
    """Say what is worth knowing and stops nothing."""
    typer.echo(f"lampblack: note: {text}", err=True)


def refuse_own_input(output: Path, model: Path, data: Path) -> None:
    """Refuse to write over what is read, or into the model."""
    place = output.resolve()
    if place == data.resolve():
        raise InvalidInput(f"{output}: is the file that is scored; give another name")
    if model.resolve() in (place, *place.parents):
        raise InvalidInput(f"{output}: lies in the model's folder; write somewhere else")


def refuse_other_than_folder(output: Path, purpose: str = "") -> None:
    """Raise InvalidInput, before anything is read, where no folder can be written there."""
    if not output.absolute().parent.is_dir():
        raise InvalidInput(f"the folder {output.absolute().parent} does not exist; create it first")
    if output.exists() and not output.is_dir():
        raise InvalidInput(f"{output} is no folder; give the name of a folder{purpose}")
