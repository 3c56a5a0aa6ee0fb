"""Results as the pages show them: tables of Markdown, and the notes below them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.lab.results import Rows

Show = str | Callable[[dict[str, Any]], object]
Columns = Sequence[str] | Mapping[str, Show]

NONE = "Not measured yet.\n"


def markdown(columns: Columns, rows: Iterable[Any], *notes: str) -> str:
    """A table; below it the notes, each a paragraph. Without rows: that nothing is measured.

    columns: headers, of rows that are cells; or headers and what they show of a row of results, a
    format like "{rows:,}" or a function.
    """
    if isinstance(columns, Mapping):
        rows = [[_shown(show, row) for show in columns.values()] for row in rows]
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    if not lines:
        return NONE
    header = f"| {' | '.join(columns).lstrip()} |"
    table = "\n".join([header, "|---" * len(columns) + "|", *lines])
    return "\n\n".join([table, *notes]) + "\n"


def _shown(show: Show, row: dict[str, Any]) -> object:
    return show.format_map(row) if isinstance(show, str) else show(row)


def hundred(name: str, digits: int = 1) -> Show:
    """A share in per cent."""
    return lambda row: f"{100 * row[name]:.{digits}f}"


def made_with(rows: Rows, *libraries: str, cpu: bool = False) -> str:
    """Versions and machine of the rows. Raises ValueError where they are not the same of all."""
    if not rows:
        return ""
    first = rows[0]
    of_machine = ("machine", "cpu") if cpu else ("machine",)
    if any(
        row[fact] != first[fact] for row in rows for fact in ("lampblack", *libraries, *of_machine)
    ):
        raise ValueError("the results mix versions or machines; delete them and rerun")
    versions = [f"{name} {first[name]}" for name in ("lampblack", *libraries)]
    return ", ".join([*versions, *(first[fact] for fact in of_machine)])


def origin(rows: Rows) -> str:
    """Of how many sets and which seeds rows are, and what made them."""
    names = len({row["set"] for row in rows})
    made = made_with(rows, "torch", "scikit-learn")
    return (
        f"{names} {'sets' if names > 1 else 'set'}, {seeds_of(rows)}, "
        f"{rows[0]['protocol']}; {made}; `make bench`."
    )


def seeds_of(rows: Rows) -> str:
    """In words: one seed, or the first and the last."""
    seeds = sorted({row["seed"] for row in rows})
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def missing(wanted: Iterable[str], found: Collection[str]) -> str:
    """A sentence that names what is not measured yet; empty where all is."""
    left = [name for name in wanted if name not in found]
    return f" Not measured yet: {', '.join(left)}." if left else ""
