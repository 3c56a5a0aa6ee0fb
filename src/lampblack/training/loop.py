"""The loop: batches in, weights out. It knows no method's name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lampblack.exceptions import TrainingError
from lampblack.number_text import number
from lampblack.training.batches import Samples
from lampblack.training.callbacks import Callback, Record
from lampblack.training.checkpoint import read_checkpoint, write_checkpoint
from lampblack.training.ranks import Ranks
from lampblack.training.schedule import Budget
from lampblack.training.steps import Terms, TrainingStep

FEWEST_EPOCHS, MOST_EPOCHS = 20, 100
NOISE = "noise"


class Watch(Protocol):
    """Something that looks at the networks after every epoch and must survive an interruption."""

    def look(self, step: int) -> None:
        """Look after update number `step`."""

    def state(self) -> dict[str, Any]:
        """What was seen so far, as JSON."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""


class Loop:
    """Train `step` on `data` within `budget`; `run` gives the history, a record an epoch.

    data: samples by position; batches are slices of a shuffled pass, all of one size; samples left
    over are shuffled into the next pass. An epoch is one pass, or as much less or more as leaves
    20 to 100 epochs in the budget: after each, validation samples are looked at, `watch` looks at
    the networks, and a checkpoint is written. validation: samples for early stopping, or None.
    The same generator state gives the same history and weights.

    ranks: the processes that train together. Each takes its part of every batch, whose size is
    rounded down to a multiple of their number. The first one alone validates, watches, writes and
    calls back, and what it decides holds for all.
    noise: what the networks draw from, where that is not `generator`; each process has its own.
    """

    def __init__(
        self,
        step: TrainingStep,
        data: Samples,
        budget: Budget,
        *,
        generator: torch.Generator,
        validation: Samples | None = None,
        watch: Watch | None = None,
        callbacks: Sequence[Callback] = (),
        checkpoint_dir: Path | None = None,
        fingerprint: str = "",
        validation_block: int = 4096,
        ranks: Ranks | None = None,
        noise: torch.Generator | None = None,
    ) -> None:
        self.step, self.data, self.budget = step, data, budget
        self.generator = generator
        self.validation = validation
        self.watch = watch
        self.ranks = ranks or Ranks()
        self.callbacks = callbacks if self.ranks.first else ()
        self.checkpoint_dir = checkpoint_dir
        self.fingerprint = fingerprint
        self.validation_block = validation_block
        self.noise = noise
        self.batch_size = self.ranks.divided(min(budget.batch_size, len(data)))
        self.batches_a_pass = len(data) // self.batch_size
        fewest, most = budget.steps // MOST_EPOCHS, budget.steps // FEWEST_EPOCHS
        self.epoch_steps = max(1, fewest, min(most, self.batches_a_pass))
        self.done = 0
        self.stopped = False
        self.history: list[Record] = []
        self.best_loss, self.unimproved = math.inf, 0
        self.best: dict[str, Tensor] = {}

    def run(self) -> list[Record]:
        """Train to the end of the budget, or until early stopping or a callback says stop."""
        self._resume()
        try:
            for callback in self.callbacks:
                callback.on_fit_start(self.budget, self.done)
            while self.done < self.budget.steps and not self.stopped:
                self._run_epoch()
        finally:
            for callback in self.callbacks:
                callback.on_fit_end(self.history)
        if best := self.ranks.from_first(self.best):
            self.step.networks.load_state_dict(best)
        return self.history

    def _run_epoch(self) -> None:
        self.step.networks.train()
        terms = [self._run_step(batch) for batch in self._batches()]
        self.ranks.average_buffers(self.step.networks)
        self.step.networks.eval()
        record = self._record(terms)
        if self.ranks.first:
            self._check(record)
        self.history.append(record)
        for callback in self.callbacks:
            self.stopped |= callback.on_epoch_end(record) is True
        self._follow_first()
        if self.checkpoint_dir is not None:
            own = self.ranks.gathered(self._own_state())
            if self.ranks.first:
                progress = self._progress()
                write_checkpoint(self.checkpoint_dir, self.step, self.generator, progress, own)

    def _follow_first(self) -> None:
        """Take over what the first process has seen and decided."""
        seen = None if self.watch is None or not self.ranks.first else self.watch.state()
        self.history[-1], self.stopped, seen = self.ranks.from_first(
            (self.history[-1], self.stopped, seen)
        )
        if self.watch is not None and seen is not None and not self.ranks.first:
            self.watch.load_state(seen)

    def _own_state(self) -> dict[str, Tensor]:
        """What each process has to itself: random states."""
        state = self.step.extra_state()
        return state if self.noise is None else {**state, NOISE: self.noise.get_state()}

    def _run_step(self, batch: Tensor) -> Terms:
        self.step.set_learning_rate(self.budget.learning_rate_at(self.done))
        terms = self.step.update(batch)
        self.done += 1
        for callback in self.callbacks:
            callback.on_step_end(self.done)
        return terms

    def _batches(self) -> Iterator[Tensor]:
        """The batches of one epoch, cut short where the budget ends."""
        left = min(self.epoch_steps, self.budget.steps - self.done)
        positions: list[Tensor] = []
        while len(positions) < left:
            order = torch.randperm(len(self.data), generator=self.generator)
            batches = torch.split(order, self.batch_size)[: self.batches_a_pass]
            positions += map(self.ranks.share, batches[: left - len(positions)])
        yield from self.data.batches(positions)

    def _record(self, terms: list[Terms]) -> Record:
        """The epoch's means, after checking that every term was finite."""
        values = {
            name: self.ranks.mean(torch.stack([term[name] for term in terms])).cpu()
            for name in terms[0]
        }
        finite = torch.stack([torch.isfinite(value) for value in values.values()]).all(dim=0)
        if not finite.all():
            step = self.done - len(terms) + int((~finite).int().argmax()) + 1
            culprits = [n for n, v in values.items() if n != "loss" and not v.isfinite().all()]
            raise TrainingError(
                f"the loss is not finite at step {step} (term: {', '.join(culprits) or 'loss'}); "
                f"the likely cause is a learning rate that is too high "
                f"({number(self.budget.learning_rate)}): divide it by ten"
            )
        record: Record = {"epoch": len(self.history) + 1, "step": self.done}
        record |= {name: float(value.double().mean()) for name, value in values.items()}
        record["learning_rate"] = self.budget.learning_rate_at(self.done - 1)
        return record

    def _check(self, record: Record) -> None:
        """Look at rows that are not trained on."""
        if self.watch is not None:
            self.watch.look(self.done)
        if self.validation is None or self.budget.patience is None:
            return
        record["validation_loss"] = self._validation_loss()
        if record["validation_loss"] < self.best_loss:
            self.best_loss, self.unimproved = record["validation_loss"], 0
            state = self.step.networks.state_dict()
            self.best = {name: value.detach().clone() for name, value in state.items()}
        else:
            self.unimproved += self.done > self.budget.warm_up
            self.stopped = self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Whether early stopping ends the training here."""
        return self.budget.patience is not None and self.unimproved >= self.budget.patience

    @torch.no_grad()
    def _validation_loss(self) -> float:
        assert self.validation is not None
        positions = torch.split(torch.arange(len(self.validation)), self.validation_block)
        blocks = self.validation.batches(positions)
        total = sum(float(self.step.losses(block).cpu().double().sum()) for block in blocks)
        return total / len(self.validation)

    def _progress(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "done": self.done,
            "watch": self.watch.state() if self.watch is not None else None,
            "history": self.history,
            "best_loss": self.best_loss,
            "unimproved": self.unimproved,
            "best": self.best,
        }

    def _resume(self) -> None:
        progress = None
        if self.checkpoint_dir is not None:
            progress = read_checkpoint(
                self.checkpoint_dir, self.step, self.generator, self.fingerprint, self.ranks.rank
            )
        self.ranks.agree((self.fingerprint, progress and progress["done"]))
        if progress is None:
            return
        if self.noise is not None:
            self.noise.set_state(progress["own"].pop(NOISE))
        self.step.load_extra_state(progress["own"])
        self.done = progress["done"]
        if self.watch is not None:
            self.watch.load_state(progress["watch"])
        self.history = progress["history"]
        self.best_loss, self.unimproved = progress["best_loss"], progress["unimproved"]
        self.best = progress.get("best", {})
        self.stopped = self.out_of_patience
