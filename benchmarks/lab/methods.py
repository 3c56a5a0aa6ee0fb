"""What is compared: our detectors, the same networks untrained, and simple methods beside them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from benchmarks.lab.protocol import Fitted, Matrix
from lampblack import (
    AMADetector,
    AutoencoderDetector,
    LampblackDetector,
    LAMPDetector,
    TollDetector,
)
from lampblack.exceptions import LampblackWarning

Fit = Callable[[Matrix], Fitted]
Method = Callable[[int], Fit]

UNTRAINED = {"max_steps": 1, "learning_rate": 1e-12}


@contextmanager
def quiet() -> Iterator[None]:
    """Without this library's warnings: small sets promise less than 1 %, and say so each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LampblackWarning)
        yield


@dataclass(frozen=True)
class Ours:
    """A detector of this library with its parameters, to be given a seed and then fitted."""

    detector: type
    parameters: dict[str, Any]

    def __call__(self, seed: int) -> Fit:
        return partial(self.fit, seed)

    def unfitted(self, seed: int) -> Any:
        """One that is not fitted yet."""
        return self.detector(**{"random_state": seed, **self.parameters})

    def fit(self, seed: int, train: Any) -> Any:
        """One that is fitted to samples, or to samples and their labels."""
        samples, labels = train if isinstance(train, tuple) else (train, None)
        with quiet():
            return self.unfitted(seed).fit(samples, labels)


def ours(detector: type, **parameters: Any) -> Ours:
    """The same, as it is written."""
    return Ours(detector, parameters)


class Standardised:
    """A method behind a scaler; `fit` gives what maps standardised rows to scores."""

    def __init__(self, train: Matrix, fit: Callable[[Matrix], Callable[[Matrix], Any]]) -> None:
        self.scaler = StandardScaler().fit(train)
        self.score = fit(self.scaler.transform(train))

    def anomaly_score(self, X: Matrix) -> Matrix:
        """Score rows (n, d), higher for anomalies."""
        return np.asarray(self.score(self.scaler.transform(X)), dtype=np.float64)


class Plain:
    """A method of scikit-learn on samples as they are, each laid out as a row.

    Images (n, channels, h, w) are brought to [0, 1]. fit: gives what maps rows to scores.
    """

    def __init__(self, train: Any, fit: Callable[[Any], Callable[[Any], Any]]) -> None:
        self.score = fit(_flat(train))

    def anomaly_score(self, X: Any) -> Matrix:
        """Score samples, higher for anomalies."""
        return np.asarray(self.score(_flat(X)))


def _flat(X: Any) -> Any:
    return X if X.ndim == 2 else X.reshape(len(X), -1) / np.float32(255)


def _neighbours(rows: Any) -> Callable[[Any], Any]:
    """Mean distance to the five nearest training rows."""
    index = NearestNeighbors(n_neighbors=min(5, len(rows))).fit(rows)
    return lambda X: index.kneighbors(X)[0].mean(axis=1)


def _components(rows: Any) -> Callable[[Any], Any]:
    """Squared error of the reconstruction from the components that hold 90 % of the variance."""
    pca = PCA(0.9, svd_solver="full").fit(rows)
    return lambda X: ((X - pca.inverse_transform(pca.transform(X))) ** 2).sum(axis=1)


def nearest_neighbours(seed: int) -> Fit:
    """Nearest neighbours among standardised rows, which draw nothing at random."""
    return lambda train: Standardised(train, _neighbours)


def isolation_forest(seed: int) -> Fit:
    """scikit-learn's isolation forest with its defaults."""

    def fit(rows: Matrix) -> Callable[[Matrix], Any]:
        forest = IsolationForest(random_state=seed).fit(rows)
        return lambda X: -forest.score_samples(X)

    return lambda train: Plain(train, fit)


def principal_components(seed: int) -> Fit:
    """Principal components of pixels."""
    return lambda train: Plain(train, _components)


def nearest_images(seed: int) -> Fit:
    """Nearest neighbours among images as they are."""
    return lambda train: Plain(train, _neighbours)


RECOMMENDED = "recommended"
ABLATIONS: dict[str, Method] = {
    "its parts weighed equally": ours(LampblackDetector, part_weights=(1, 1, 1, 1)),
    "equal weights, without ranges": ours(LampblackDetector, part_weights=(1, 1, 0, 1)),
    "equal weights, without ranks": ours(LampblackDetector, part_weights=(1, 1, 1, 0)),
    "its neighbours alone, equal weights": ours(LampblackDetector, part_weights=(0, 1, 1, 1)),
    "its network alone": ours(LampblackDetector, part_weights=(1, 0, 0, 0)),
    "it without LAMP": ours(LampblackDetector, amplification=None),
    "it without Toll": ours(LampblackDetector, latent_weight=0.0),
}
TABLES: dict[str, Method] = {
    RECOMMENDED: ours(LampblackDetector),
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

IMAGES: dict[str, Method] = {
    "autoencoder (L2)": ours(AutoencoderDetector),
    "LAMP (L2)": ours(LAMPDetector),
    "autoencoder (L1)": ours(AutoencoderDetector, reconstruction_error="l1"),
    "LAMP (L1)": ours(LAMPDetector, reconstruction_error="l1"),
    "Toll": ours(TollDetector),
    "LAMP × Toll": ours(TollDetector, amplification="log"),
    "AMA": ours(AMADetector),
    RECOMMENDED: ours(LampblackDetector),
    "untrained autoencoder": ours(AutoencoderDetector, **UNTRAINED),
    "untrained Toll": ours(TollDetector, **UNTRAINED),
    "PCA reconstruction": principal_components,
    "kNN on pixels (k = 5)": nearest_images,
}
