"""Why a sample was flagged: what every column or pixel adds to its score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reason:
    """What one column did to one row's score: an amount, and its share of the whole score."""

    column: str
    amount: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What every part of n samples, a column or a pixel, adds to their anomaly scores.

    contributions: (n, columns) or (n, height, width). For scores by reconstruction, the parts of
    its error, not negative. remainder: (n,), what the score holds besides, called `remainder_name`
    ("latent": the weighted norm of the code; all zeros where it has no weight). Sample by sample,
    contributions and remainder sum to the whole anomaly score, to float32 accuracy.
    For AMA's scores by a critic the contributions are signed integrated gradients on the way from
    the reconstruction to the sample: what raised and what lowered the score from its lowest point
    there. The remainder, "baseline", is that lowest score: all of it where a two-sided score is
    high because a sample is unusually close to its reconstruction. The sum is then the score to
    within 1 %.
    attributed: like the contributions, which parts move the remainder: signed integrated gradients
    from the reconstruction to the sample, for alarms of which the weighted norm is more than half,
    zeros for others. They sum to what the remainder rose by on that way, to within 1 % or what
    float32 rounds away; they say where the remainder comes from and are not a further part of the
    score.

    `numpy.asarray(explanation)` gives the contributions.
    """

    contributions: Values
    remainder: Values
    remainder_name: str
    attributed: Values

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, columns) or (n, height, width)."""
        return self.contributions.shape

    def __len__(self) -> int:
        return len(self.contributions)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Values:
        return np.array(self.contributions, dtype=dtype, copy=bool(copy) or dtype is not None)

    @property
    def scores(self) -> Values:
        """The anomaly scores (n,) that the parts sum to."""
        return np.asarray(self.contributions.sum(axis=self._parts) + self.remainder)

    def blame(self) -> Values:
        """How much of each score each part answers for, non-negative, shaped like contributions.

        A part's contribution, if it raises the score; and, where the remainder was attributed, the
        share of it that the part has among those that raise it. A sample's blame never exceeds its
        score: where parts that lower it make room for more, all are scaled down to it.
        """
        positive = np.clip(self.contributions, 0.0, None)
        whole = positive.sum(axis=self._parts, keepdims=True)
        score = self.scores.reshape(whole.shape)
        scale = np.divide(score, whole, out=np.ones_like(whole), where=whole > score)
        raising = np.clip(self.attributed, 0.0, None)
        total = raising.sum(axis=self._parts, keepdims=True)
        share = np.divide(raising, total, out=np.zeros_like(raising), where=total > 0)
        remainder = self.remainder.reshape(-1, *[1] * len(self._parts))
        return np.asarray(positive * scale + share * remainder)

    @property
    def _parts(self) -> tuple[int, ...]:
        return tuple(range(1, self.contributions.ndim))


@dataclass(frozen=True, kw_only=True)
class ImageExplanation(Explanation):
    """What every pixel adds to the anomaly scores of n images; see `Explanation`."""

    @property
    def maps(self) -> Values:
        """The contributions (n, height, width), channels summed."""
        return self.contributions


@dataclass(frozen=True, kw_only=True)
class TableExplanation(Explanation):
    """What every column adds to the anomaly scores of n rows; see `Explanation`."""

    columns: tuple[str, ...]

    def top(self, row: int, k: int = 3) -> list[Reason]:
        """The k columns that did most to raise one row's score, strongest first."""
        ranked = self.blame()[row]
        score = float(self.scores[row])
        order = np.argsort(-ranked, kind="stable")[:k]
        return [
            Reason(self.columns[i], float(ranked[i]), float(ranked[i]) / score if score else 0.0)
            for i in order
        ]
