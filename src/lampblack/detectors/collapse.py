"""Noticing, while training runs, that a network no longer tells rows apart."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lampblack.exceptions import CollapseWarning
from lampblack.networks import AutoencoderPair
from lampblack.scores import Scored

CONSTANT = 0.01  # spread of reconstructions, relative to that of the rows
SILENT = 1e-4  # spread of the remainder, relative to that of the errors
GRACE = 0.25  # share of the budget before the first look: an untrained network is flat too,
FEWEST_STEPS = 100  # and in fewer steps it has not gone anywhere
LOOKS = 3  # looks in a row that must agree: a schedule may pass through a collapse


class CollapseWatch:
    """Look at rows once an epoch, and warn of a collapse, once.

    rows: held-out ones, or training rows where none is held out; `which` says so in the warning.

    The codes have collapsed when the decoder makes the same of all rows: over rows, no element of
    the reconstruction has a standard deviation above 1 % of that of the rows' own elements. The
    error is then the distance to one constant point. Where a latent weight is on, the norm of the
    code may still differ between rows and the warning says so: such a score can be good (Toll
    works by a collapse caught part-way) or noise. Nothing that is trained depends on what the
    watch sees.
    """

    def __init__(
        self,
        networks: AutoencoderPair,
        rows: Tensor,
        score_batch: Callable[[Tensor, Tensor, Tensor], Scored],
        *,
        steps: int,
        which: str,
    ) -> None:
        self._networks, self._rows, self._score_batch = networks, rows, score_batch
        self._steps, self._which = steps, which
        self._spread = _spread(rows)
        self._collapsed_looks = 0
        self.notes: list[str] = []

    @torch.no_grad()
    def look(self, step: int) -> None:
        """Look once, after the first quarter of the steps and not before 100."""
        if step < max(FEWEST_STEPS, GRACE * self._steps) or self._collapsed_looks >= LOOKS:
            return
        if len(self._rows) < 2 or self._spread == 0:
            return
        z, reconstruction = self._networks(self._rows)
        if _spread(reconstruction) >= CONSTANT * self._spread:
            self._collapsed_looks = 0
            return
        self._collapsed_looks += 1
        if self._collapsed_looks == LOOKS:
            scored = self._score_batch(self._rows, z, reconstruction)
            self._warn(step, silent=_spread(scored.remainder) < SILENT * _spread(scored.error))

    def conclude(self, step: int) -> None:
        """Look at the weights that are kept, and let this look decide."""
        if self._collapsed_looks < LOOKS:
            self._collapsed_looks = LOOKS - 1
            self.look(step)

    def state(self) -> dict[str, Any]:
        """What was seen so far."""
        return {"collapsed_looks": self._collapsed_looks, "notes": self.notes}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self._collapsed_looks, self.notes = state["collapsed_looks"], list(state["notes"])

    def _warn(self, step: int, *, silent: bool) -> None:
        left = (
            "codes do not differ either, so the score is the distance to one point"
            if silent
            else "only the norm of the code still differs, and may be noise"
        )
        self.notes.append(
            f"the codes have collapsed by step {step}: {self._which} rows are all reconstructed "
            f"alike; {left}; lower latent_weight, use schedule='one_cycle', or widen the network"
        )
        warnings.warn(self.notes[-1], CollapseWarning, stacklevel=2)


def _spread(values: Tensor) -> float:
    """The largest standard deviation over rows of any element."""
    by_row = values.cpu().double().reshape(len(values), -1)
    return float(by_row.std(dim=0, correction=0).max())
