"""How long training lasts and how the learning rate moves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lampblack.choices import Schedule

WARM_UP = 0.25
FIRST_FRACTION = 1 / 25


@dataclass(frozen=True)
class Budget:
    """What a training may spend.

    steps: updates of the weights. batch_size: rows a step; data with fewer rows are one batch.
    schedule: "one_cycle" rises over the first quarter and falls to zero along a cosine
    (Smith & Topin 2018, arXiv 1708.07120, without the cycle of momentum); "constant" stays.
    patience: epochs after the warm-up in which the validation loss does not improve before training
    stops early, or None for no early stopping.
    """

    steps: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "one_cycle"
    patience: int | None = None

    @property
    def warm_up(self) -> int:
        """Steps in which a one-cycle rate rises; patience is not counted before they are over."""
        return max(1, round(WARM_UP * self.steps)) if self.schedule == "one_cycle" else 0

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of update number `step`, counted from 0.

        >>> budget = Budget(steps=100, batch_size=32, learning_rate=1.0)
        >>> [round(budget.learning_rate_at(step), 3) for step in (0, 25, 62, 99)]
        [0.04, 1.0, 0.51, 0.0]
        """
        if self.schedule == "constant":
            return self.learning_rate
        if step < self.warm_up:
            rise = 0.5 - 0.5 * math.cos(math.pi * step / self.warm_up)
            return self.learning_rate * (FIRST_FRACTION + (1 - FIRST_FRACTION) * rise)
        fall = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * fall))
