"""Bars on a terminal or in a notebook: how many, how fast, how much longer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lampblack.number_text import number

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


def rate_column(unit: str) -> Any:
    """A column of a rich progress bar: units a second, a dash before the first."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            shown = "-" if speed is None else f"{speed:,.0f}" if speed >= 10 else number(speed)
            return Text(f"{shown} {unit}/s")

    return Rate()


@contextmanager
def counted(
    description: str, total: int | None, unit: str, quiet: bool
) -> Iterator[Callable[[int], None]]:
    """A count with its rate, and with the time left where the total is known, on standard error.

    Nothing is shown where that is no terminal.
    """
    console = None if quiet else bar_console()
    if console is None:
        yield lambda count: None
        return
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    count = TextColumn(f"{{task.description}}  {{task.completed:,}} {unit}")
    known = (BarColumn(), count, rate_column(unit), TimeRemainingColumn())
    unknown = (SpinnerColumn(), count, rate_column(unit), TimeElapsedColumn())
    with Progress(*(unknown if total is None else known), console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)
