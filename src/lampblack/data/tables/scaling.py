"""Scaling of encoded columns, with an answer for columns that never moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lampblack.choices import Scaling

if TYPE_CHECKING:
    from torch import Tensor

Matrix = npt.NDArray[np.float64]

ROUNDING = float(4 * np.finfo(np.float64).eps)  # relative difference that counts as none
LEAST = float(np.finfo(np.float64).tiny)  # of a scale: one over it is finite
LIMIT = 1e9  # scaled values are clipped here: their squares still add up in float32


@dataclass(frozen=True, eq=False)
class ColumnScaler:
    """Bring every column of the user to the same weight, and make a moved constant stand out.

    "standard" centres on the mean and divides by the standard deviation; features that encode one
    column together (`groups`: the same number of a group, -1 for none) share one divisor, the root
    of their summed variances, so that a category of forty levels weighs as much as a number.
    "minmax" maps the range seen in `fit` to [0, 1]; later values may leave it.

    A feature that was constant in the n rows of `fit` becomes 0, and any later departure from it at
    least ±√(n + 1) standard deviations ("minmax": a quarter of that, a range being about four of
    them), growing with the logarithm of the distance: an alarm with a finite score. An indicator
    that is on in one of n rows is √n standard deviations out there; one that is on for the first
    time is taken as the next in line. scikit-learn's scalers divide such a column by 1, which hides
    a move that is small in the column's own unit.

    center, scale: float64 (width,); constant: bool (width,); departure: that least departure.
    """

    center: Matrix
    scale: Matrix
    constant: npt.NDArray[np.bool_]
    departure: float

    @classmethod
    def fit(
        cls,
        pieces: Callable[[], Iterable[Matrix]],
        scaling: Scaling = "standard",
        groups: npt.NDArray[np.int64] | None = None,
    ) -> ColumnScaler:
        """Learn centre and scale from rows without a missing value.

        pieces: gives all of them, some (n, width) after others; asked once or twice, and used up.
        """
        n = 0
        low, high, total = np.array(np.inf), np.array(-np.inf), np.array(0.0)  # soon (width,)
        for X in pieces():
            n += len(X)
            low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
            total = total + X.sum(axis=0)
        constant = (high - low) <= _rounded(np.maximum(np.abs(low), np.abs(high)))
        if scaling == "standard":
            center, squares = total / n, np.array(0.0)
            for X in pieces():
                X -= center
                squares = squares + np.square(X, out=X).sum(axis=0)
            scale = np.sqrt(squares / n)
            if groups is not None:
                for group in np.unique(groups[groups >= 0]):
                    members = groups == group
                    scale[members] = np.sqrt(np.square(scale[members]).sum())
        else:
            center, scale = low, high - low
        center = np.where(constant, low, center)
        scale = np.where(scale < LEAST, high - low, scale)
        scale = np.where(constant, 1.0, np.maximum(scale, LEAST))
        departure = float(np.sqrt(n + 1)) / (4 if scaling == "minmax" else 1)
        return cls(center, scale, constant, departure)

    def apply(self, X: Matrix, out: npt.NDArray[np.float32]) -> None:
        """Scale X (n, width) into `out`, of the same shape; X is used up."""
        import torch  # here, since what reads rows for an exported model runs without it

        values = torch.from_numpy(X)  # over rows of a few numbers torch is faster, to the same bits
        values -= _tensor(self.center)
        if self.constant.any():
            X[:, self.constant] = self._departures(X[:, self.constant], self.center[self.constant])
        values *= _tensor(self.rate)
        scaled = torch.from_numpy(out)
        scaled.copy_(values)
        scaled.clamp_(-LIMIT, LIMIT)

    @property
    def rate(self) -> Matrix:
        """What a distance from the centre is multiplied by (width,): faster than to divide."""
        return 1 / self.scale

    def invert(self, X: npt.NDArray[np.float32]) -> Matrix:
        """Put scaled X (n, width) back into the encoded columns' units."""
        return np.asarray(X.astype(np.float64) * self.scale + self.center)

    def _departures(self, distance: Matrix, center: Matrix) -> Matrix:
        moved = np.abs(distance) > _rounded(np.abs(center))
        growth = np.log1p(np.abs(distance) / np.maximum(np.abs(center), 1.0))
        return np.where(moved, np.sign(distance) * (self.departure + growth), 0.0)


def _rounded(size: Matrix) -> Matrix:
    """Differences of numbers of this size that count as none: roundings, and subnormal ones."""
    return np.asarray(np.maximum(ROUNDING * size, LEAST))


def _tensor(values: Matrix) -> Tensor:
    """As a tensor, copied where it lies in memory that may only be read, as what is shared does."""
    import torch

    return torch.from_numpy(np.require(values, requirements="W"))
