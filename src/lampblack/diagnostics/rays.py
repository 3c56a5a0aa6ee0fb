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
from lampblack.detectors.base import ReconstructionDetector
from lampblack.diagnostics.limit import ENDLESS, Limit
from lampblack.diagnostics.samples import checked, some
from lampblack.exceptions import InvalidInput

Values = npt.NDArray[np.float64]

RAYS, IMAGE_RAYS = 100, 50
DISTANCES = tuple(float(distance) for distance in np.geomspace(0.1, 1000, 33).round(6))
IMAGE_POSITIONS = tuple(float(t) for t in np.linspace(0, 1, 17))
QUANTILE = 0.99
MOST_ROWS, MOST_IMAGES = 10_000, 500


@dataclass(frozen=True)
class Extrapolation:
    """Which points of rays that lead away from normal data have a score above normal ones.

    positions: (k,), ascending: distances in standard deviations, or, of images, how far on the way
    to an image of one colour. above: (rays, k). bound: the score that counts as above normal.
    """

    positions: tuple[float, ...]
    above: npt.NDArray[np.bool_]
    bound: float

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
    detector: ReconstructionDetector,
    X: Any,
    *,
    bound: float | None = None,
    distances: Sequence[float] = DISTANCES,
    n_rays: int | None = None,
    seed: int = 0,
    limit: Limit = ENDLESS,
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
    samples = checked(detector, X)
    most = MOST_ROWS if isinstance(samples, Rows) else MOST_IMAGES
    samples = samples.take(some(len(samples), most, seed))
    if bound is None:
        bound = float(np.quantile(detector.anomaly_score(samples), QUANTILE))
    if not isinstance(samples, Rows):
        return _to_constants(detector, samples, bound, n_rays or IMAGE_RAYS, seed, limit)
    kinds = [column.kind for column in detector.schema_.of_kind("number", "boolean")]
    moving = np.array([kind == "number" for kind in kinds], dtype=bool)
    centre, spread = _centre_and_spread(samples.numbers[:, moving].astype(np.float64))
    n = n_rays or RAYS
    base = samples.take(np.random.default_rng(seed).integers(len(samples), size=n))

    def score(points: Values) -> Values:
        limit.ask()
        numbers = base.numbers.copy()
        numbers[:, moving] = points.clip(-LARGEST, LARGEST)
        return detector.anomaly_score(Rows(numbers, base.categories, base.dates))

    return rays_of(score, bound, centre, spread, distances=distances, n_rays=n, seed=seed)


def _centre_and_spread(numbers: Values) -> tuple[Values, Values]:
    """Mean and standard deviation of columns (n, d) whose values may be missing."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, numbers, 0).sum(axis=0) / count
    squares = np.where(known, numbers - centre, 0) ** 2
    return centre, np.sqrt(squares.sum(axis=0) / count)


def _to_constants(
    detector: ReconstructionDetector,
    samples: Any,
    bound: float,
    n_rays: int,
    seed: int,
    limit: Limit,
) -> Extrapolation:
    rng = np.random.default_rng(seed)
    chosen = samples.take(rng.integers(len(samples), size=n_rays))
    start = np.concatenate([to_unit(chunk.values) for chunk in chosen.chunks(64)])
    colours = rng.random((n_rays, start.shape[1], 1, 1), dtype=np.float32)
    above = []
    for t in IMAGE_POSITIONS:
        limit.ask()
        points = ((1 - t) * start + t * colours).astype(np.float32).clip(0, 1)
        above.append(detector.anomaly_score(ArrayImages(points)) > bound)
    return Extrapolation(IMAGE_POSITIONS, np.stack(above, axis=1), bound)
