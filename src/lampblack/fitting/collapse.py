"""Noticing, while training runs, that a network no longer tells rows apart."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from lampblack.exceptions import CollapseWarning, TrainingError
from lampblack.networks import AutoencoderPair
from lampblack.number_text import number
from lampblack.scores import Passed, Score

CONSTANT = 0.01  # spread of reconstructions, relative to that of the rows
SILENT = 1e-4  # spread of the remainder, relative to that of the errors
GRACE = 0.25  # share of the budget before the first look: an untrained network is flat too,
FEWEST_STEPS = 100  # and in fewer steps it has not gone anywhere
TOLD = 0.6  # AUROC of chimeras above which the norm is taken for a score rather than for noise
GLANCED = 256  # samples, of those watched, that a look before the last one takes
LOOKS = 3  # looks in a row that must agree: a schedule may pass through a collapse


class CollapseWatch:
    """Look at rows once an epoch, and warn of a collapse, once.

    rows: held-out ones, or training rows where none is held out; `which` says so in the warning.

    The codes have collapsed when the decoder makes the same of all rows: over rows, no element of
    the reconstruction has a standard deviation above 1 % of that of the rows' own elements. The
    error is then the distance to one constant point. Where a latent weight is on, the norm of the
    code may still tell rows apart: Toll works by a collapse caught part-way. Whether it does is
    seen without labels, on chimeras whose first half comes from one row and second half from
    another. If their scores are no higher than those of rows (AUROC below 0.6), a warning says so;
    else it is noted, not warned of. Nothing that is trained depends on what the watch sees.
    """

    def __init__(
        self,
        networks: AutoencoderPair,
        rows: Tensor,
        score: Score,
        *,
        steps: int,
        which: str,
    ) -> None:
        self._networks, self._rows, self._score = networks, rows, score
        self._steps, self._which = steps, which
        self._spread = spread(rows)
        self._collapsed_looks = 0
        self.notes: list[str] = []

    @torch.no_grad()
    def look(self, step: int, *, final: bool = False) -> None:
        """Look once, after the first quarter of the steps and not before 100.

        A score that learns what is usual after training is judged by the final look alone.
        """
        if step < max(FEWEST_STEPS, GRACE * self._steps) or self._collapsed_looks >= LOOKS:
            return
        if len(self._rows) < 2 or self._spread == 0:
            return
        some = self._rows if final else self._rows[:GLANCED]
        if spread(self._networks(some)[1]) >= CONSTANT * self._spread:
            self._collapsed_looks = 0
            return
        self._collapsed_looks += 1
        if self._collapsed_looks == LOOKS and (final or not self._score.needs_reference):
            passed = Passed(self._rows, *self._networks(self._rows))
            scored = self._score(self._networks, passed)
            silent = spread(scored.remainder) < SILENT * spread(scored.error)
            silent = silent and not self._score.needs_reference
            told = None if silent else chimeras_told(self._networks, self._rows, self._score)
            self._say(step, told)

    @torch.no_grad()
    def conclude(self, step: int) -> None:
        """Look at the weights that are kept, and let this look decide.

        Raises TrainingError where samples that differ all have the same score.
        """
        passed = Passed(self._rows, *self._networks(self._rows))
        scores = self._score(self._networks, passed).score
        if self._spread and (scores == scores[0]).all():
            raise TrainingError(
                f"all samples have the same score ({number(scores[0])}): the networks no "
                "longer tell them apart; lower learning_rate, or the weights of the latent and "
                "adversarial terms"
            )
        if self._collapsed_looks < LOOKS or self._score.needs_reference:
            self._collapsed_looks = LOOKS - 1
            self.look(step, final=True)

    def state(self) -> dict[str, Any]:
        """What was seen so far."""
        return {"collapsed_looks": self._collapsed_looks, "notes": self.notes}

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        self._collapsed_looks, self.notes = state["collapsed_looks"], list(state["notes"])

    def _say(self, step: int, told: float | None) -> None:
        fact = (
            f"the codes have collapsed by step {step}: {self._which} samples are all "
            "reconstructed alike"
        )
        rest, advice = (
            ("what is left in the score", "raise reconstruction_weight or lower learning_rate")
            if self._score.needs_reference
            else (
                "the norm of the code",
                "lower latent_weight, use schedule='one_cycle', or widen the network",
            )
        )
        if told is not None and told >= TOLD:
            self.notes.append(
                f"{fact}; the score rests on {rest}, which tells them from chimeras of two with "
                f"AUROC {told:.2f}"
            )
            return
        left = (
            "codes do not differ either, so the score is the distance to one point"
            if told is None
            else f"{rest} still differs, but seems to be noise: it tells them from chimeras of two "
            f"with AUROC {told:.2f}"
        )
        self.notes.append(f"{fact}; {left}; {advice}")
        warnings.warn(self.notes[-1], CollapseWarning, stacklevel=2)


@torch.no_grad()
def chimeras_told(networks: AutoencoderPair, rows: Tensor, score: Score) -> float:
    """AUROC of scores of chimeras, of two rows each, against those of the rows (n, ...)."""
    from sklearn.metrics import roc_auc_score

    first = torch.arange(rows[0].numel(), device=rows.device)
    first = (first < len(first) // 2).reshape(rows.shape[1:])
    chimeras = torch.where(first, rows, rows.roll(1, dims=0))
    both = [score(networks, Passed(x, *networks(x))).score.cpu() for x in (rows, chimeras)]
    truth = [0] * len(rows) + [1] * len(rows)
    return float(roc_auc_score(truth, torch.cat(both).numpy()))


def spread(values: Tensor) -> float:
    """The largest standard deviation over rows of any element."""
    by_row = values.cpu().float().reshape(len(values), -1)
    by_row = by_row - by_row[0]  # so that what does not vary has a spread of exactly 0
    return float((by_row - by_row.mean(dim=0)).square().mean(dim=0).max().sqrt())
