"""Ways to look at encoded rows, in each of which other rows are the nearest."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

LANDMARKS = 256  # values of a feature at which its rank is kept
DEVIATIONS_A_RANGE = 4  # a range is about four standard deviations


class View(nn.Module):
    """A map of encoded rows (n, width) to rows (n, width), feature by feature."""

    @abstractmethod
    def learn(self, rows: Tensor) -> None:
        """Learn the map from normal rows (n, width)."""

    @abstractmethod
    def forward(self, rows: Tensor) -> Tensor:
        """Rows (n, width) as this view shows them (n, width)."""


class AsEncoded(View):
    """Rows as they are encoded: every column weighs by its standard deviation."""

    def learn(self, rows: Tensor) -> None:
        """Nothing has to be learned."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows


class ByRange(View):
    """Every number over its range in normal rows: one that rarely moves weighs less.

    All numbers together weigh as much as they do as they are encoded; a number that never moved is
    divided by 4, as the encoder does for "minmax". What is no number stays as it is.
    """

    numbers: Tensor  # (width,), which features are numbers
    factor: Tensor  # (width,)

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.register_buffer("numbers", numbers)
        self.register_buffer("factor", torch.ones(len(numbers)))

    def learn(self, rows: Tensor) -> None:
        ranges = rows.amax(dim=0) - rows.amin(dim=0)
        constant = torch.full_like(ranges, float(DEVIATIONS_A_RANGE))
        factor = 1 / torch.where(ranges > 0, ranges, constant)
        variances = rows.var(dim=0, correction=0)[self.numbers]
        narrowed = (variances * factor[self.numbers].square()).sum()
        if narrowed > 0:
            factor = factor * (variances.sum() / narrowed).sqrt()
        self.factor = torch.where(self.numbers, factor, torch.ones_like(factor))

    def forward(self, rows: Tensor) -> Tensor:
        return rows * self.factor


class ByRank(View):
    """Every number as the normal score of its rank among normal rows: only order counts.

    A value that lies at the share p of the rows becomes Φ⁻¹(p), equal values at the middle of their
    ranks; between values it is linear. Beyond all of them it is Φ⁻¹ of half a row's share, and the
    logarithm of 1 + 4 · the distance in ranges is added. At most 256 values of a feature are kept.
    One that never moved stays as it is, and so does what is no number.
    """

    numbers: Tensor  # (width,), which features are numbers
    values: Tensor  # (width, landmarks), ascending
    scores: Tensor  # (width, landmarks), their normal scores
    beyond: Tensor  # (), of a value just above all

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        width = len(numbers)
        self.register_buffer("numbers", numbers)
        self.register_buffer("values", torch.zeros(width, LANDMARKS))
        self.register_buffer("scores", torch.zeros(width, LANDMARKS))
        self.register_buffer("beyond", torch.zeros(()))

    def learn(self, rows: Tensor) -> None:
        n = len(rows)
        for feature, column in enumerate(rows.T):
            values, counts = column.unique(return_counts=True)
            ranks = (counts.cumsum(0) - counts.double() / 2 + 0.5) / (n + 1)
            if len(values) > LANDMARKS:
                wanted = torch.linspace(0, 1, LANDMARKS, dtype=ranks.dtype, device=rows.device)
                at = torch.searchsorted(ranks, wanted).clamp(max=len(values) - 1)
                at[0], at[-1] = 0, len(values) - 1
                values, ranks = values[at], ranks[at]
            missing = LANDMARKS - len(values)
            self.values[feature] = torch.cat([values, values[-1:].expand(missing)])
            normal = torch.special.ndtri(torch.cat([ranks, ranks[-1:].expand(missing)]))
            self.scores[feature] = normal.to(self.scores.dtype)
        self.beyond = -torch.special.ndtri(torch.tensor(0.5 / (n + 1))).to(rows)

    def forward(self, rows: Tensor) -> Tensor:
        columns = rows.T.contiguous()  # (width, n)
        upper = self._position(columns).clamp(1, LANDMARKS - 1)
        low, high = self.values.gather(1, upper - 1), self.values.gather(1, upper)
        share = ((columns - low) / (high - low).clamp(min=1e-30)).clamp(0, 1)
        of_low, of_high = self.scores.gather(1, upper - 1), self.scores.gather(1, upper)
        scores = of_low + share * (of_high - of_low)
        first, last = self.values[:, :1], self.values[:, -1:]
        away = (columns - last).clamp(min=0) + (first - columns).clamp(min=0)
        deviations = DEVIATIONS_A_RANGE * away / (last - first).clamp(min=1e-30)
        outside = self.beyond + torch.log1p(deviations)
        scores = torch.where(columns > last, outside, scores)
        scores = torch.where(columns < first, -outside, scores)
        ranked = (first < last) & self.numbers[:, None]
        return torch.where(ranked, scores, columns).T

    def _position(self, columns: Tensor) -> Tensor:
        """How many landmarks lie below each value (width, n)."""
        if torch.compiler.is_exporting():  # a graph has no search
            return (self.values[:, None] < columns[:, :, None]).sum(dim=2)
        return torch.searchsorted(self.values, columns)
