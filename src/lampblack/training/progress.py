"""Bars on a terminal or in a notebook: how many, how fast, how much longer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lampblack.number_text import count, duration, number

if TYPE_CHECKING:
    from rich.console import Console


def bar_console() -> Console | None:
    """Standard error, where it is a terminal or a notebook; in a log, bars are noise.

    Processes that torchrun has started share a terminal, and the first of them alone draws on it.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_terminal or console.is_jupyter else None


def rate(done: float, seconds: float, unit: str) -> str:
    """How fast, of what was done in so many seconds; nothing before the first is done.

    unit: of several, "rows". What takes long is told in time, not in shares of one.

    >>> rate(0, 5, "parts"), rate(5000, 2, "rows"), rate(3, 2, "steps"), rate(2, 25, "parts")
    ('', '2,500 rows/s', '1.5 steps/s', '12.5 s a part')
    """
    if not done or seconds <= 0:
        return ""
    speed = done / seconds
    if speed < 1:
        return f"{duration(1 / speed)} a {unit.removesuffix('s')}"
    return f"{count(speed) if speed >= 10 else number(round(speed, 1))} {unit}/s"


def amount(done: float, total: float | None, unit: str) -> str:
    """How many, of how many where that is known.

    >>> amount(2, 4, "parts"), amount(1, None, "rows"), amount(5000, None, "rows")
    ('2 of 4 parts', '1 row', '5,000 rows')
    """
    if total is not None:
        return f"{count(done)} of {count(total)} {unit if total != 1 else unit.removesuffix('s')}"
    return f"{count(done)} {unit if done != 1 else unit.removesuffix('s')}"


def time_left(done: float, total: float | None, seconds: float) -> str:
    """How much longer; how long so far where that is not known.

    >>> time_left(0, 4, 9.04), time_left(1, 4, 10), time_left(7, None, 61), time_left(4, 4, 8)
    ('9 s so far', '30 s left', '1 min 1 s so far', '8 s')
    """
    if done and total and done < total:
        return f"{duration(round((total - done) * seconds / done))} left"
    return f"{duration(round(seconds, 1))}{'' if done and done == total else ' so far'}"


def rate_column(unit: str) -> Any:
    """A column of a rich progress bar: how fast, since the task began (at `first`, if it says)."""
    return _column(lambda task: rate(_done(task), _seconds(task), unit))


@contextmanager
def counted(
    description: str, total: int | None, unit: str, quiet: bool
) -> Iterator[Callable[[int], None]]:
    """A count with its rate, and with the time left where the total is known, on standard error.

    Nothing is shown where that is no terminal, or where there is nothing to do.
    """
    console = None if quiet or total == 0 else bar_console()
    if console is None:
        yield lambda count: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn() if total is None else BarColumn(),
        TextColumn("{task.description}"),
        _column(lambda task: amount(task.completed, task.total, unit)),
        rate_column(unit),
        _column(lambda task: time_left(_done(task), task.total, _seconds(task))),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)


def _done(task: Any) -> float:
    return float(task.completed - task.fields.get("first", 0))


def _seconds(task: Any) -> float:
    known = task.finished_time if task.finished_time is not None else task.elapsed
    return float(known or 0.0)


def _column(text: Callable[[Any], str]) -> Any:
    """A column of a rich progress bar that shows this text of its task."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Column(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(text(task))

    return Column()
