"""Scaling of encoded columns, with an answer for columns that never moved."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

Scaling = Literal["standard", "minmax"]
Matrix = npt.NDArray[np.float64]

ROUNDING = float(4 * np.finfo(np.float64).eps)  # relative difference that counts as none
LIMIT = 1e9  # scaled values are clipped here: their squares still add up in float32


class ColumnScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
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

    Parameters: scaling; groups, int array (width,) or None.
    Fitted: center_, scale_ float64 (width,); constant_ bool (width,); departure_ float.
    """

    def __init__(
        self,
        *,
        scaling: Scaling = "standard",
        groups: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.scaling = scaling
        self.groups = groups

    def fit(self, X: Matrix, y: None = None) -> ColumnScaler:
        """Learn centre and scale from X (n, width), which holds no missing value."""
        low, high = X.min(axis=0), X.max(axis=0)
        size = np.maximum(np.abs(low), np.abs(high))
        self.constant_ = (high - low) <= ROUNDING * size
        if self.scaling == "standard":
            self.center_, self.scale_ = X.mean(axis=0), X.std(axis=0)
            if self.groups is not None:
                for group in np.unique(self.groups[self.groups >= 0]):
                    members = self.groups == group
                    self.scale_[members] = np.sqrt(np.square(self.scale_[members]).sum())
        else:
            self.center_, self.scale_ = low, high - low
        self.center_ = np.where(self.constant_, low, self.center_)
        underflown = self.scale_ < np.finfo(np.float64).tiny
        self.scale_ = np.where(underflown, high - low, self.scale_)
        self.scale_ = np.where(self.constant_, 1.0, self.scale_)
        self.departure_ = float(np.sqrt(len(X) + 1)) / (4 if self.scaling == "minmax" else 1)
        return self

    def transform(self, X: Matrix) -> Matrix:
        """Scale X (n, width); returns a new array of the same shape."""
        return self.scale(np.array(X, dtype=np.float64))

    def scale(self, X: Matrix) -> Matrix:
        """Scale X (n, width) where it is, and return it."""
        X -= self.center_
        if self.constant_.any():
            constants = X[:, self.constant_]
            X[:, self.constant_] = self._departures(constants, self.center_[self.constant_])
        with np.errstate(over="ignore"):  # an infinite result is clipped below
            X /= self.scale_
        return np.asarray(np.clip(X, -LIMIT, LIMIT, out=X))

    def inverse_transform(self, X: npt.NDArray[np.float32]) -> Matrix:
        """Put scaled X (n, width) back into the encoded columns' units."""
        return np.asarray(X.astype(np.float64) * self.scale_ + self.center_)

    def _departures(self, distance: Matrix, center: Matrix) -> Matrix:
        moved = np.abs(distance) > ROUNDING * np.abs(center)
        growth = np.log1p(np.abs(distance) / np.maximum(np.abs(center), 1.0))
        return np.where(moved, np.sign(distance) * (self.departure_ + growth), 0.0)
