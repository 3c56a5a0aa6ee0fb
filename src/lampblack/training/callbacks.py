"""Hooks into training, and the progress bar that is one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from lampblack.networks import AutoencoderPair
from lampblack.number_text import number
from lampblack.training.progress import bar_console, rate_column
from lampblack.training.schedule import Budget

Record = dict[str, float]


class Callback:
    """Override any of these five; each is called with what has just happened.

    A callback that raises ends the training with its error. `on_epoch_end` may return True to stop
    training there, with the weights as they are.
    """

    def on_networks(self, networks: AutoencoderPair, encode: Callable[[object], Tensor]) -> None:
        """The networks are built; training will follow.

        encode: samples as `fit` takes them to what the networks take, (n, ...), on their device.
        Whoever keeps the two may look at the networks later, in `on_epoch_end` say, where they work
        as in scoring; whoever changes them changes what is trained.
        """

    def on_fit_start(self, budget: Budget, first_step: int) -> None:
        """Training begins, or goes on from a checkpoint where `first_step` is not 0."""

    def on_step_end(self, step: int) -> None:
        """Update number `step` (counted from 1) is done."""

    def on_epoch_end(self, record: Record) -> bool | None:
        """An epoch is done; `record` is its line of `history_`."""

    def on_fit_end(self, history: list[Record]) -> None:
        """Training is over, also when an error ended it."""


class ProgressBar(Callback):
    """A rich progress bar on standard error, with the loss and the time left.

    Nothing is shown where that is no terminal.
    """

    def __init__(self, description: str) -> None:
        self.description = description
        self._progress: Any = None
        self._task: Any = None

    def on_fit_start(self, budget: Budget, first_step: int) -> None:
        console = bar_console()
        if console is None:
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            rate_column("steps"),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task(
            self.description, total=budget.steps, completed=first_step, loss="–", first=first_step
        )
        self._progress.start()

    def on_step_end(self, step: int) -> None:
        if self._progress is not None:
            self._progress.update(self._task, completed=step)

    def on_epoch_end(self, record: Record) -> None:
        if self._progress is not None:
            self._progress.update(self._task, loss=number(record["loss"]))

    def on_fit_end(self, history: list[Record]) -> None:
        if self._progress is not None:
            self._progress.refresh()
            self._progress.stop()
