"""Far from all data: does a score that has left the normal ones stay above them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.data.images.schema import to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.data.tables.schema import LARGEST, Rows
from lampblack.diagnostics.chosen import checked, some
from lampblack.diagnostics.time_limit import NO_LIMIT, TimeLimit
from lampblack.exceptions import InvalidInput
from lampblack.explanation import Values
from lampblack.model.model import Model, as_model

RAYS, IMAGE_RAYS = 100, 50
DISTANCES = tuple(float(distance) for distance in np.geomspace(0.1, 1000, 33).round(6))
IMAGE_POSITIONS = tuple(float(t) for t in np.linspace(0, 1, 17))
QUANTILE = 0.99
MOST_ROWS, MOST_IMAGES = 10_000, 500


@dataclass(frozen=True)
class Extrapolation:
    """Which points of rays that lead away from normal data have a score above normal ones.

    positions: (k,), ascending: distances in standard deviations, or, of images, how far on the way
    to an image of one colour. above: (rays, k). bound: the score that counts as above normal. to:
    where the rays lead, in words.
    """

    positions: tuple[float, ...]
    above: npt.NDArray[np.bool_]
    bound: float
    to: str = ""

    @property
    def where(self) -> str:
        """Where the rays lead, in words."""
        return self.to or f"to {self.positions[-1]:,.0f} standard deviations"

    @property
    def share_above(self) -> Values:
        """Share of rays (k,) whose score is above the bound, by position."""
        return np.asarray(self.above.mean(axis=0))

    @property
    def left(self) -> float:
        """Share of rays on which the score ever rises above the bound."""
        return float(self.above.any(axis=1).mean())

    @property
    def stays(self) -> float:
        """Share of all rays on which the score rises above the bound and then stays there."""
        since = np.maximum.accumulate(self.above, axis=1)
        return float((self.above.any(axis=1) & (self.above == since).all(axis=1)).mean())


def rays_of(
    score: Callable[[Values], Values],
    bound: float,
    centre: Values,
    spread: Values,
    *,
    distances: Sequence[float] = DISTANCES,
    n_rays: int = RAYS,
    seed: int = 0,
) -> Extrapolation:
    """Follow a score along random rays from a centre (d,) over the columns that vary.

    score: matrix (n_rays, d) to scores (n_rays,), called once for every distance. spread: (d,), a
    standard deviation of each column; a point at distance r is r of them away in root mean square.
    Raises InvalidInput where no column varies.
    """
    varies = spread > 0
    if not varies.any():
        raise InvalidInput("no column of numbers varies: there is no way to leave the data")
    directions = np.random.default_rng(seed).normal(size=(n_rays, len(centre))) * varies
    directions /= np.sqrt(np.square(directions).sum(axis=1, keepdims=True) / varies.sum())
    above = [score(centre + distance * spread * directions) > bound for distance in distances]
    return Extrapolation(tuple(distances), np.stack(above, axis=1), bound)


def along_rays(
    detector: Model,
    X: object,
    *,
    bound: float | None = None,
    distances: Sequence[float] = DISTANCES,
    n_rays: int | None = None,
    seed: int = 0,
    limit: TimeLimit = NO_LIMIT,
) -> Extrapolation:
    """Follow a detector's score away from normal data.

    X: normal samples, which give centre and spread. bound: the score that is above normal; None
    takes the 99th percentile of the scores of X.

    Tables: from the mean of the columns of numbers, in random directions over those that vary, to
    `distances` standard deviations; a ray has the other columns of one of the rows. Images: on the
    straight way from one of them to an image of one random colour, in 17 positions.

    Raises InvalidInput where the limit is over first.

    A plain rectifier autoencoder can reconstruct points far from all data (Bouman & Heskes, arXiv
    2501.13864).

    >>> import numpy as np
    >>> from lampblack import AutoencoderDetector
    >>> from lampblack.diagnostics import along_rays
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> detector = AutoencoderDetector(max_steps=50, hidden=(16,), random_state=0).fit(normal)
    >>> found = along_rays(detector, normal, n_rays=20)
    >>> len(found.positions), found.above.shape
    (33, (20, 33))
    """
    model, samples = as_model(detector), checked(detector, X)
    ways = WAYS[model.kind.name]
    samples = samples.take(some(len(samples), ways.most, seed))
    if bound is None:
        bound = float(np.quantile(model.anomaly_score(samples), QUANTILE))
    asked = Asked(model, samples, bound, n_rays or ways.rays, tuple(distances), seed, limit)
    return ways.follow(asked)


@dataclass(frozen=True)
class Asked:
    """What `along_rays` was asked for, with the samples that it looks at."""

    model: Model
    samples: Any
    bound: float
    n_rays: int
    distances: tuple[float, ...]
    seed: int
    limit: TimeLimit


def _from_the_centre(asked: Asked) -> Extrapolation:
    """Rows: from the mean of the numbers, in random directions."""
    samples, n = asked.samples.in_memory(), asked.n_rays
    kinds = [column.kind for column in asked.model.schema.of_kind("number", "boolean")]
    moving = np.array([kind == "number" for kind in kinds], dtype=bool)
    centre, spread = _centre_and_spread(samples.numbers[:, moving].astype(np.float64))
    base = samples.take(np.random.default_rng(asked.seed).integers(len(samples), size=n))

    def score(points: Values) -> Values:
        asked.limit.ask()
        numbers = base.numbers.copy()
        numbers[:, moving] = points.clip(-LARGEST, LARGEST)
        return asked.model.anomaly_score(Rows(numbers, base.categories, base.dates))

    return rays_of(
        score,
        asked.bound,
        centre,
        spread,
        distances=asked.distances,
        n_rays=n,
        seed=asked.seed,
    )


def _centre_and_spread(numbers: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of columns (n, d) whose values may be missing."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, numbers, 0).sum(axis=0) / count
    squares = np.where(known, numbers - centre, 0) ** 2
    return centre, np.sqrt(squares.sum(axis=0) / count)


def _to_one_colour(asked: Asked) -> Extrapolation:
    """Images: on the straight way to an image of one random colour."""
    rng = np.random.default_rng(asked.seed)
    chosen = asked.samples.take(rng.integers(len(asked.samples), size=asked.n_rays))
    start = np.concatenate([to_unit(chunk.values) for chunk in chosen.chunks(64)])
    colours = rng.random((asked.n_rays, start.shape[1], 1, 1), dtype=np.float32)
    above = []
    for t in IMAGE_POSITIONS:
        asked.limit.ask()
        points = ((1 - t) * start + t * colours).astype(np.float32).clip(0, 1)
        above.append(asked.model.anomaly_score(ArrayImages(points)) > asked.bound)
    where = "from an image to one colour"
    return Extrapolation(IMAGE_POSITIONS, np.stack(above, axis=1), asked.bound, where)


@dataclass(frozen=True)
class Ways:
    """How to leave samples of one kind of data: at most so many are looked at, along so many rays.

    follow: the way itself.
    """

    most: int
    rays: int
    follow: Callable[[Asked], Extrapolation]


WAYS = {
    "table": Ways(MOST_ROWS, RAYS, _from_the_centre),
    "images": Ways(MOST_IMAGES, IMAGE_RAYS, _to_one_colour),
}  # by kind of data
