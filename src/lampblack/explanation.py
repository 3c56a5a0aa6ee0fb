"""Why a row was flagged: what every column adds to its score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reason:
    """What one column did to one row's score: an amount, and its share of the whole score."""

    column: str
    amount: float
    share: float


@dataclass(frozen=True)
class Explanation:
    """What every column adds to the anomaly scores of n rows.

    contributions: (n, columns), non-negative, the columns' parts of the reconstruction error.
    remainder: (n,), what the score holds besides, called `remainder_name` ("latent": the weighted
    norm of the code; all zeros where it has no weight). Row by row, contributions and remainder sum
    to the whole anomaly score, to float32 accuracy.
    attributed: (n, columns), which columns move the remainder: signed integrated gradients from the
    reconstruction to the row, for alarms of which the remainder is more than half, zeros for other
    rows. They sum to what the remainder rose by on that way, to within 1 % or what float32 rounds
    away; they say where the remainder comes from and are not a further part of the score.

    `numpy.asarray(explanation)` gives the contributions.
    """

    columns: tuple[str, ...]
    contributions: Values
    remainder: Values
    remainder_name: str
    attributed: Values

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return (len(self.contributions), len(self.columns))

    def __len__(self) -> int:
        return len(self.contributions)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Values:
        return np.array(self.contributions, dtype=dtype, copy=bool(copy) or dtype is not None)

    @property
    def scores(self) -> Values:
        """The anomaly scores (n,) that the parts sum to."""
        return np.asarray(self.contributions.sum(axis=1) + self.remainder)

    def blame(self) -> Values:
        """How much of each score each column answers for (n, columns), non-negative.

        A column's contribution; and, where the remainder was attributed, the share of it that the
        column has among those that raise it. A row's blame never exceeds its score.
        """
        raising = np.clip(self.attributed, 0.0, None)
        total = raising.sum(axis=1, keepdims=True)
        share = np.divide(raising, total, out=np.zeros_like(raising), where=total > 0)
        return np.asarray(self.contributions + share * self.remainder[:, None])

    def top(self, row: int, k: int = 3) -> list[Reason]:
        """The k columns that did most to raise one row's score, strongest first."""
        ranked = self.blame()[row]
        score = float(self.scores[row])
        order = np.argsort(-ranked, kind="stable")[:k]
        return [
            Reason(self.columns[i], float(ranked[i]), float(ranked[i]) / score if score else 0.0)
            for i in order
        ]
