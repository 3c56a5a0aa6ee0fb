"""What encoders do to checked samples, as torch modules that can be exported.

They give the same float32 values, bit for bit but for the growth of constants that moved.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.scaling import LIMIT, ROUNDING, ColumnScaler


class TablePreprocessing(nn.Module):
    """`TableEncoder` without dates: numbers and codes of categories to features.

    numbers: float64 (n, number and boolean columns), NaN where missing. codes: int64 (n, category
    columns), the level's position, as many as there are levels for any other, one more for missing.
    A table without one kind has the other alone. Where a column missed no value in training, NaN
    stays NaN, and so becomes the score: a graph can refuse nothing.
    """

    medians: Tensor
    missing_of: Tensor

    def __init__(self, encoder: TableEncoder) -> None:
        super().__init__()
        flat = encoder.schema.of_kind("number", "boolean")
        may_miss = [i for i, column in enumerate(flat) if column.nullable]
        self.n_numbers = len(flat)
        self.n_codes = [len(levels) + 2 for levels in encoder.levels]
        medians = np.full(len(flat), np.nan)
        medians[may_miss] = encoder.medians[may_miss]
        self.register_buffer("medians", torch.from_numpy(medians))
        self.register_buffer("missing_of", torch.tensor(may_miss, dtype=torch.int64))
        self.scaling = Scaling(encoder.scaler)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Features float32 (n, width)."""
        features = []
        if self.n_numbers:
            numbers = inputs[0]
            missing = numbers.isnan()
            features.append(torch.where(missing, self.medians, numbers))
            if len(self.missing_of):
                features.append(missing[:, self.missing_of].double())
        if self.n_codes:
            codes = inputs[-1]
            for i, n in enumerate(self.n_codes):
                features.append((codes[:, i, None] == torch.arange(n)).double())
        scaled: Tensor = self.scaling(torch.cat(features, dim=1))
        return scaled.float()


class Scaling(nn.Module):
    """`ColumnScaler` on float64 (n, width)."""

    center: Tensor
    rate: Tensor
    constant: Tensor

    def __init__(self, scaler: ColumnScaler) -> None:
        super().__init__()
        self.departure = scaler.departure
        self.any_constant = bool(scaler.constant.any())
        self.register_buffer("center", torch.from_numpy(np.array(scaler.center, np.float64)))
        self.register_buffer("rate", torch.from_numpy(np.array(scaler.rate, np.float64)))
        self.register_buffer("constant", torch.from_numpy(np.array(scaler.constant, np.bool_)))

    def forward(self, features: Tensor) -> Tensor:
        """Scaled features, of the same shape."""
        distance = features - self.center
        if self.any_constant:
            away, size = distance.abs(), self.center.abs()
            growth = (away / size.clamp(min=1.0)).log1p()
            departures = distance.sign() * (self.departure + growth)
            departures = torch.where(away <= ROUNDING * size, 0.0, departures)  # NaN stays
            distance = torch.where(self.constant, departures, distance)
        return (distance * self.rate).clamp(-LIMIT, LIMIT)


class ImagePreprocessing(nn.Module):
    """`ImageEncoder`: images over the value of white.

    images: float32 (n, channels, height, width); white: float32 (1,), 255 for bytes, 65,535 for 16
    bits, 1 for what lies in [0, 1] already.
    """

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images in [0, 1], of the same shape."""
        images, white = inputs
        return images / white
