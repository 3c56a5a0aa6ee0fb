"""What encoders do to checked samples, as torch modules that can be exported.

They give the same float32 values, bit for bit but for the growth of constants that moved.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.scaling import LEAST, LIMIT, ROUNDING, ColumnScaler


class TablePreprocessing(nn.Module):
    """`TableEncoder`: numbers, phases of dates and codes of categories to features.

    numbers: float64 (n, number and boolean columns), NaN where missing. dates: float64 (n, phases +
    date columns), the phases of all columns, and for each column whether its date is missing, as
    NaN; phases are computed outside, where time zones are known. codes: int64 (n, category
    columns), the level's position, as many as there are levels for any other, one more for missing.
    A table without columns of one kind has the other inputs alone. Where a column missed no value
    in training, NaN stays NaN, and so becomes the score: a graph can refuse nothing.
    """

    medians: Tensor
    missing_of: Tensor

    def __init__(self, encoder: TableEncoder) -> None:
        super().__init__()
        flat = encoder.schema.of_kind("number", "boolean")
        dates = encoder.schema.of_kind("date")
        n_phases = n_of_dates(encoder) - len(dates)
        may_miss = [i for i, column in enumerate(flat) if column.nullable]
        first = len(flat)
        fillable = list(may_miss)
        for column, cycles in zip(dates, encoder.cycles, strict=True):
            last = first + 2 * len(cycles)
            fillable += range(first, last) if column.nullable else ()
            first = last
        may_miss += [first + i for i, column in enumerate(dates) if column.nullable]
        self.n_values = len(flat) + n_phases
        self.has_numbers, self.has_dates = bool(flat), bool(dates)
        self.n_codes = [len(levels) + 2 for levels in encoder.levels]
        medians = np.full(self.n_values, np.nan)
        medians[fillable] = encoder.medians[fillable]
        self.register_buffer("medians", torch.from_numpy(medians))
        self.register_buffer("missing_of", torch.tensor(may_miss, dtype=torch.int64))
        self.scaling = Scaling(encoder.scaler)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Features float32 (n, width)."""
        features = []
        if self.has_numbers or self.has_dates:
            values = torch.cat(inputs[: self.has_numbers + self.has_dates], dim=1)
            missing = values.isnan()
            known = torch.where(
                missing[:, : self.n_values], self.medians, values[:, : self.n_values]
            )
            features.append(known)
            if len(self.missing_of):
                features.append(missing[:, self.missing_of].double())
        if self.n_codes:
            codes = inputs[-1]
            for i, n in enumerate(self.n_codes):
                features.append((codes[:, i, None] == torch.arange(n)).double())
        scaled: Tensor = self.scaling(torch.cat(features, dim=1))
        return scaled.float()


def n_of_dates(encoder: TableEncoder) -> int:
    """How many numbers a row has for its dates: two for each cycle, and one for each column."""
    return sum(2 * len(cycles) + 1 for cycles in encoder.cycles)


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
            same = away <= (ROUNDING * size).clamp(min=LEAST)
            departures = torch.where(same, 0.0, departures)  # NaN stays
            distance = torch.where(self.constant, departures, distance)
        return (distance * self.rate).clamp(-LIMIT, LIMIT)


class ImagePreprocessing(nn.Module):
    """`ImageEncoder`: images over the value of white.

    images: float32 (n, channels, height, width); white: float32 (1,), 255 for bytes, 65,535 for 16
    bits, 1 for what lies in [0, 1] already. A frozen network, where there is one, follows.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.maps = None if encoder.frozen is None else copy.deepcopy(encoder.frozen).cpu()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Images in [0, 1], of the same shape, or their maps (n, features, h, w)."""
        images, white = inputs
        pixels = images / white
        return pixels if self.maps is None else torch.as_tensor(self.maps(pixels))
