"""What is compared: our detectors, the same network untrained, and two peers of scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from benchmarks.protocol import Fitted, Matrix
from lampblack import (
    AMADetector,
    AutoencoderDetector,
    LampblackDetector,
    LAMPDetector,
    TollDetector,
)
from lampblack.exceptions import LampblackWarning

Fit = Callable[[Matrix], Fitted]

UNTRAINED = {"max_steps": 1, "learning_rate": 1e-12}
PUBLISHED = {  # Toll's settings for Arrhythmia (arXiv 2306.12627); contamination: no row held out
    "hidden": (256, 128),
    "latent_dim": 16,
    "batch_size": 100,
    "learning_rate": 1e-3,
    "max_steps": 2000,
    "schedule": "constant",
    "contamination": 0.1,
}


@contextmanager
def quiet() -> Iterator[None]:
    """Without this library's warnings: small sets promise less than 1 %, and say so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LampblackWarning)
        yield


def ours(cls: type, **parameters: Any) -> Callable[[int], Fit]:
    """A detector of this library, by seed; `unfitted(seed)` is one before it is fitted."""

    def unfitted(seed: int) -> Any:
        return cls(**{"random_state": seed, **parameters})

    def with_seed(seed: int) -> Fit:
        def fit(train: Matrix) -> Fitted:
            rows, labels = train if isinstance(train, tuple) else (train, None)
            with quiet():
                return unfitted(seed).fit(rows, labels)  # type: ignore[no-any-return]

        return fit

    with_seed.detector = cls  # type: ignore[attr-defined]
    with_seed.unfitted = unfitted  # type: ignore[attr-defined]
    return with_seed


class NearestNeighbours:
    """Mean distance to the five nearest training rows, columns standardised on them."""

    def __init__(self, train: Matrix) -> None:
        self.scaler = StandardScaler().fit(train)
        neighbours = NearestNeighbors(n_neighbors=min(5, len(train)))
        self.index = neighbours.fit(self.scaler.transform(train))

    def anomaly_score(self, X: Matrix) -> Matrix:
        """Score rows (n, d)."""
        return np.asarray(self.index.kneighbors(self.scaler.transform(X))[0].mean(axis=1))


class Forest:
    """scikit-learn's isolation forest with its defaults."""

    def __init__(self, train: Matrix, seed: int) -> None:
        self.forest = IsolationForest(random_state=seed).fit(train)

    def anomaly_score(self, X: Matrix) -> Matrix:
        """Score rows (n, d)."""
        return -np.asarray(self.forest.score_samples(X))


def nearest_neighbours(seed: int) -> Fit:
    """Nearest neighbours, which draw nothing at random."""
    return NearestNeighbours


def isolation_forest(seed: int) -> Fit:
    """An isolation forest with this seed."""
    return lambda train: Forest(train, seed)


ABLATIONS: dict[str, Callable[[int], Fit]] = {
    "its parts weighed equally": ours(LampblackDetector, part_weights=(1, 1, 1, 1)),
    "equal weights, without ranges": ours(LampblackDetector, part_weights=(1, 1, 0, 1)),
    "equal weights, without ranks": ours(LampblackDetector, part_weights=(1, 1, 1, 0)),
    "its neighbours alone, equal weights": ours(LampblackDetector, part_weights=(0, 1, 1, 1)),
    "its network alone": ours(LampblackDetector, part_weights=(1, 0, 0, 0)),
    "it without LAMP": ours(LampblackDetector, amplification=None),
    "it without Toll": ours(LampblackDetector, latent_weight=0.0),
}
ABLATION_SEEDS = 1
TABLES: dict[str, Callable[[int], Fit]] = {
    "recommended": ours(LampblackDetector),
    **ABLATIONS,
    "autoencoder": ours(AutoencoderDetector),
    "autoencoder, min-max": ours(AutoencoderDetector, scaling="minmax"),
    "LAMP (log, min-max)": ours(LAMPDetector, amplification="log"),
    "LAMP (quantile, ours)": ours(LAMPDetector, amplification="quantile"),
    "Toll": ours(TollDetector),
    "LAMP × Toll": ours(TollDetector, amplification="quantile"),
    "AMA": ours(AMADetector),
    "untrained autoencoder": ours(AutoencoderDetector, **UNTRAINED),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
    "kNN (k = 5)": nearest_neighbours,
    "isolation forest": isolation_forest,
}

_VARIED: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {  # the default, and other values
    "β, the latent weight": ("0.1", {str(b): {"latent_weight": b} for b in (0.0, 10.0)}),
    "amplification": ("quantile", {str(a): {"amplification": a} for a in (None, "log")}),
    "width of the code": ("32", {str(n): {"latent_dim": n} for n in (8, 128)}),
    "steps": ("500", {str(n): {"max_steps": n} for n in (125, 1000)}),
    "neighbours": ("5", {str(n): {"n_neighbors": n} for n in (2,)}),
    "remembered": ("10000", {str(n): {"memory_size": n} for n in (1000,)}),
    "seed": ("0", {str(n): {"random_state": n} for n in (1,)}),
}
DEFAULT = "as it comes"
RECOMMENDED: dict[str, Callable[[int], Fit]] = {DEFAULT: ours(LampblackDetector)} | {
    f"{group}: {value}": ours(LampblackDetector, **setting)
    for group, (_, settings) in _VARIED.items()
    for value, setting in settings.items()
}
RECOMMENDED_GROUPS = {  # by method, its value; in order
    group: dict(
        sorted(
            [(DEFAULT, default), *((f"{group}: {value}", value) for value in settings)],
            key=lambda pair: float(pair[1]) if pair[1][0].isdigit() else 0.0,
        )
    )
    for group, (default, settings) in _VARIED.items()
}

SENSITIVITY: dict[str, Callable[[int], Fit]] = {
    "Toll": ours(TollDetector),
    "Toll, β = 0": ours(TollDetector, latent_weight=0.0),
    "Toll, β = 0.01": ours(TollDetector, latent_weight=0.01),
    "Toll, β = 1": ours(TollDetector, latent_weight=1.0),
    "Toll, β = 10": ours(TollDetector, latent_weight=10.0),
    "Toll, β = 100": ours(TollDetector, latent_weight=100.0),
    "Toll, 250 steps": ours(TollDetector, max_steps=250),
    "Toll, 1000 steps": ours(TollDetector, max_steps=1000),
    "Toll, rate 2e-3": ours(TollDetector, learning_rate=2e-3),
    "Toll, code of 8": ours(TollDetector, latent_dim=8),
}

ARRHYTHMIA: dict[str, Callable[[int], Fit]] = {
    "published: autoencoder": ours(AutoencoderDetector, **PUBLISHED),
    "published: LAMP": ours(LAMPDetector, **PUBLISHED, amplification="log"),
    "published: Toll": ours(TollDetector, **PUBLISHED, latent_weight=10.0),
    "published: LAMP × Toll": ours(
        TollDetector, **PUBLISHED, latent_weight=10.0, amplification="quantile"
    ),
    "defaults: autoencoder": ours(AutoencoderDetector),
    "defaults: LAMP": ours(LAMPDetector),
    "defaults: Toll": ours(TollDetector),
    "defaults: LAMP × Toll": ours(TollDetector, amplification="quantile"),
    "untrained autoencoder": ours(AutoencoderDetector, **UNTRAINED),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
    "kNN (k = 5)": nearest_neighbours,
    "isolation forest": isolation_forest,
}
