"""A network's score beside distances to remembered samples, weighed without labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from lampblack.data.kind import Encoder
from lampblack.explanation import Values
from lampblack.networks import AutoencoderPair
from lampblack.scores.base import Passed, Score, Scored
from lampblack.scores.nearest.memory import Memory
from lampblack.scores.reconstruction import ReconstructionScore

LEAST_UNIT = 0.01  # of the samples' distance from their centre, below which no mean distance counts
LEAST_WEIGHT = 0.05  # of any part that is weighed, so that the score grows away from all data
LEAST_SPREAD = 0.02  # of a part's logarithms on normal samples
SAMPLES_OF_SPREAD = 20  # that the mean spread of all parts counts for, beside each part's own
MEASURED = 1024  # remembered samples whose own distances give the mean
FEWEST_DISTORTED = 200  # distorted samples of each kind
MOST_VALUES = 1 << 23  # of the samples from which weights are learned
PULL = 0.02  # of the weights to being equal, and
SAMPLES_OF_PULL = 100  # for how many samples it is counted once more: few tell little


class NearestScore(Score):
    """Score = Σ wᵢ · log₂(1 + sᵢ / s̄ᵢ) of parts sᵢ, s̄ᵢ their means on normal samples.

    s₁ = error(x, x̂) + β‖z‖₂, the score of the network; each other part a distance to the nearest
    remembered samples in one view of `Memory`: the middle of the distance to the nearest
    and the mean distance to the k nearest. One that equals the sample is taken for the sample
    itself and does not count, nor hide it where it trained the detector; a second one does. An
    ordinary normal sample has a score of about 1. Distances grow as a sample leaves all data, up to
    where the encoder ends, and so does the score.

    The weights, unless they are given, are the larger the less a part varies among normal samples,
    and the better it tells them from distorted ones (see `distorted`): of a logistic regression on
    the parts over their spread, drawn to equal weights and none below 5 %. Some tables are told
    apart by single near rows, others by ranks, or by a network.

    Samples that calibrate may be remembered themselves (`of_remembered`). Of those equal to the
    sample two are then left out, itself and one for the sample itself; see
    docs/methods/lampblack.md for why the promise holds.

    Buffers, one value for the network and one for each view: `units`, the means s̄ᵢ, and `weights`,
    which sum to 1.

    The score is this project's; nearest neighbours as a detector: Ramaswamy et al., SIGMOD 2000.
    """

    units: Tensor
    weights: Tensor
    remembered: Memory

    needs_reference = True
    by_row = True  # neighbours are searched for 64 rows at a time

    def __init__(
        self,
        network: ReconstructionScore,
        *,
        k: int,
        memory: int,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"a sample has no {k} nearest")
        self._network = network
        self._k = k
        self._most = memory
        self._given_weights = weights
        self._equal = 1

    def prepare(self, encoder: Encoder, networks: AutoencoderPair) -> None:
        numbers = None if encoder.numbers is None else torch.from_numpy(encoder.numbers)
        self.remembered = Memory(encoder.shape, numbers)
        parts = 1 + len(self.remembered.views)
        self.register_buffer("units", torch.ones(parts))
        self.register_buffer("weights", torch.full((parts,), 1 / parts))

    def warm_up(self) -> None:
        """Look at what is remembered through every view."""
        self.remembered.see()

    @property
    def memory(self) -> int:
        return self._most

    @property
    def watched(self) -> Score:
        """The part that is learned by training."""
        return self._network

    def of_remembered(self) -> Score:
        """The score of samples that calibrate and are remembered; it shares what was learned."""
        other = copy.copy(self)
        other._equal = 2
        return other

    def forward(self, networks: AutoencoderPair, passed: Passed) -> Scored:
        """The scores of a batch; the remainder is the share of the weighted norm of the code."""
        network = self._network(networks, passed)
        weighed = self._weighed(_parts(network.score, self._squares(passed.x)))
        remainder = weighed[:, 0] * network.remainder / network.score.clamp(min=1e-30)
        return Scored(weighed.sum(dim=1) - remainder, remainder)

    def explain(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> tuple[Tensor, Tensor]:
        """Each element's share of every part: its term of the error, or of the distances.

        A distance ‖x − m‖₂ has the terms (x − m)² / ‖x − m‖₂, as the view shows x and m.
        """
        errors, norm = self._network.explain(networks, passed, at_once)
        network = self._network(networks, passed).score
        squares = self._squares(passed.x)
        parts = _parts(network, squares)
        rates = self._weighed(parts) / parts.clamp(min=1e-30)  # (n, parts)
        by_axis = (len(rates), *[1] * (errors.ndim - 1))
        contributions = rates[:, 0].reshape(by_axis) * errors
        for rate, view in zip(rates.T[1:], squares, strict=True):
            terms = view / view.sum(dim=2, keepdim=True).clamp(min=1e-30).sqrt()  # (n, k, width)
            shares = self.remembered.spread(_middle(terms), passed.x)
            contributions += rate.reshape(by_axis) * shares
        return contributions, rates[:, 0] * norm

    def attribute_remainder(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> Tensor:
        """Integrated gradients of the weighted norm, at the rate by which it enters the score."""
        network = self._network(networks, passed).score[:, None]
        rates = self._weighed(network) / network.clamp(min=1e-30)
        attributed = self._network.attribute_remainder(networks, passed, at_once)
        return rates[:, 0].reshape(-1, *[1] * (attributed.ndim - 1)) * attributed

    @torch.no_grad()
    def remember(self, networks: AutoencoderPair, batches: Iterable[Tensor]) -> None:
        self.remembered.remember(batches)

    @torch.no_grad()
    def fit(self, networks: AutoencoderPair, reference: Iterable[Passed]) -> None:
        """Learn the views and their mean distances from the samples that are remembered.

        From others, `reference`, learn the mean score of the network, and the weights.
        """
        self.remembered.learn_views()
        self.units[1:] = self._mean_distances()
        batches = _first(reference)
        scores = torch.cat([self._network(networks, passed).score for passed in batches])
        self.units[0] = scores.mean().clamp(min=1e-9)
        if self._given_weights is not None:
            given = torch.tensor(self._given_weights, dtype=self.weights.dtype)
            self.weights.copy_(given / given.sum())
            return
        normal = self._logarithms(networks, batches)
        if len(normal) < 2:
            return  # equal weights
        x = torch.cat([passed.x for passed in batches])
        size = len(batches[0].x)
        kinds = (kind.to(x.device) for kind in distorted(x))
        changed = (Passed(b, *networks(b)) for kind in kinds for b in torch.split(kind, size))
        learned = _separating_weights(normal, self._logarithms(networks, changed))
        self.weights.copy_(torch.from_numpy(learned))

    def _mean_distances(self) -> Tensor:
        """The mean distance in each view, on remembered samples; above 1 % of their radius."""
        some = self.remembered.samples[:MEASURED]
        if len(some) < 2:
            return torch.ones_like(self.units[1:])  # no two to measure between
        usual = _distances(self.remembered.nearest(some, self._k)).mean(dim=0)
        radius = torch.stack(
            [
                (v - v.mean(dim=0)).square().sum(dim=1).mean().sqrt()
                for v in (view(self.remembered.samples) for view in self.remembered.views)
            ]
        )
        return torch.maximum(usual, LEAST_UNIT * radius).clamp(min=1e-9)

    def _logarithms(self, networks: AutoencoderPair, batches: Iterable[Passed]) -> Values:
        """log₂(1 + sᵢ / s̄ᵢ) of all samples (n, parts)."""
        parts = []
        for passed in batches:
            network = self._network(networks, passed).score
            parts.append(_parts(network, self._squares(passed.x)))
        return np.asarray(_logarithm(torch.cat(parts) / self.units).cpu().double().numpy())

    def _weighed(self, parts: Tensor) -> Tensor:
        """wᵢ · log₂(1 + sᵢ / s̄ᵢ), the shape of parts: all, or the first of them."""
        some = parts.shape[1]
        return self.weights[:some] * _logarithm(parts / self.units[:some])

    def _squares(self, x: Tensor) -> list[Tensor]:
        """Squared differences (n, k, width) to the nearest remembered samples, view by view."""
        return self.remembered.nearest(self.remembered.compared(x), self._k, self._equal)


def _parts(network: Tensor, squares: list[Tensor]) -> Tensor:
    """The parts sᵢ (n, 1 + views), from the network's scores (n,) and squared differences."""
    return torch.cat([network[:, None], _distances(squares)], dim=1)


def _distances(squares: list[Tensor]) -> Tensor:
    """The distance in each view (n, views) from squared differences (n, k, width) in each."""
    return torch.stack(
        [_middle(view.sum(dim=2).clamp(min=1e-30).sqrt()) for view in squares], dim=1
    )


def _middle(values: Tensor) -> Tensor:
    """The middle of the first and of the mean along the second axis."""
    return (values[:, 0] + values.mean(dim=1)) / 2


def _first(reference: Iterable[Passed]) -> list[Passed]:
    """Batches until they hold 1,024 samples, or 2^23 values."""
    batches: list[Passed] = []
    for passed in reference:
        batches.append(passed)
        samples = sum(len(passed.x) for passed in batches)
        if samples >= MEASURED or samples * passed.x[0].numel() >= MOST_VALUES:
            break
    return batches


def distorted(x: Tensor) -> Iterator[Tensor]:
    """Normal samples x (n, ...) made abnormal in three ways, 200 or more of each, on the CPU.

    Every third element from another sample; noise of one standard deviation; the middle of two.
    """
    generator = torch.Generator().manual_seed(0)
    n = len(x)
    x = x.cpu().repeat(-(-FEWEST_DISTORTED // n), *[1] * (x.ndim - 1))

    def other() -> Tensor:
        return x[torch.randint(n, (len(x),), generator=generator)]

    elsewhere = torch.rand(x.shape, generator=generator) < 0.3
    yield torch.where(elsewhere, other(), x)
    yield x + x.std(dim=0, correction=0) * torch.randn(x.shape, generator=generator)
    yield (other() + other()) / 2


def _logarithm(ratios: Tensor) -> Tensor:
    return torch.log1p(ratios) / math.log(2)


def _separating_weights(normal: Values, changed: Values) -> Values:
    """Weights (d,) that sum to 1 of the columns of two matrices (n, d), (m, d).

    Least logistic loss, both classes of equal weight, of a · (v · u) − b over v, a and b, u being
    the columns over their spread in `normal`, plus a quadratic pull of v to equal values, stronger
    for small n; none of them is below 5 %. The weights are v over the spreads.
    """
    from scipy.optimize import minimize

    n, d = normal.shape
    variances = normal.var(axis=0)
    pooled = (n * variances + SAMPLES_OF_SPREAD * variances.mean()) / (n + SAMPLES_OF_SPREAD)
    spreads = np.maximum(np.sqrt(pooled), LEAST_SPREAD)
    values = (np.concatenate([normal, changed]) - normal.mean(axis=0)) / spreads
    sign = np.repeat([-1.0, 1.0], [len(normal), len(changed)])
    share = np.repeat([0.5 / len(normal), 0.5 / len(changed)], [len(normal), len(changed)])
    pull = PULL * (1 + SAMPLES_OF_PULL / n) * d

    def loss(parameters: Values) -> tuple[float, Values]:
        weights, bias, steepness = parameters[:d], parameters[d], np.exp(parameters[d + 1])
        projected = values @ weights
        margin = sign * (steepness * projected - bias)
        slope = -share * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        away = weights - 1 / d
        gradient = [steepness * (slope @ values) + 2 * pull * away]
        gradient += [[-slope.sum()], [steepness * (slope @ projected)]]
        total = share @ np.logaddexp(0, -margin) + pull * (away @ away)
        return float(total), np.concatenate(gradient)

    start = np.array([*[1 / d] * d, 1.0, 1.0])
    bounds = [*[(LEAST_WEIGHT, None)] * d, (None, None), (-3, 4)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x[:d] / spreads
    return np.asarray(found / found.sum())
