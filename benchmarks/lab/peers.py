"""Peers: PyOD's detectors, scikit-learn's four, and DTE's non-parametric method.

All see columns standardised on the training rows, in one thread, with the library's own defaults
and the seed where they take one. What a peer keeps for itself (a threshold, a contamination) does
not touch its scores.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import signal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM

from benchmarks.lab.methods import Fit, Standardised
from benchmarks.lab.protocol import Matrix, judge, split_of

PYOD = (
    *("AutoEncoder", "VAE", "DeepSVDD", "ALAD", "ECOD", "COPOD", "IForest", "LOF", "KNN"),
    *("OCSVM", "PCA", "INNE", "LUNAR"),
)
MODULES = {"AutoEncoder": "auto_encoder", "DeepSVDD": "deep_svdd"}  # others are in lower case
UNSEEDED = ("ECOD", "COPOD", "LOF", "KNN", "OCSVM", "LUNAR", "ALAD")
SLOW = tuple(f"PyOD {name}" for name in ("AutoEncoder", "VAE", "DeepSVDD", "ALAD", "LUNAR"))
PATIENCE = 100  # seconds for a peer on a set


def _pyod(name: str) -> Callable[[int], Fit]:
    def with_seed(seed: int) -> Fit:
        def fit(rows: Matrix) -> Callable[[Matrix], Any]:
            import torch

            module = importlib.import_module(f"pyod.models.{MODULES.get(name, name.lower())}")
            parameters: dict[str, Any] = {} if name in UNSEEDED else {"random_state": seed}
            if name == "DeepSVDD":
                parameters["n_features"] = rows.shape[1]
            torch.manual_seed(seed)
            np.random.seed(seed)
            return getattr(module, name)(**parameters).fit(rows).decision_function  # type: ignore[no-any-return]

        return lambda train: Standardised(train, fit)

    return with_seed


def _sklearn(build: Callable[[int, int], Any]) -> Callable[[int], Fit]:
    """build: from the seed and the number of rows."""

    def with_seed(seed: int) -> Fit:
        def fit(rows: Matrix) -> Callable[[Matrix], Any]:
            model = build(seed, len(rows)).fit(rows)
            return lambda X: -model.score_samples(X)

        return lambda train: Standardised(train, fit)

    return with_seed


def _dte_np(seed: int) -> Fit:
    """Diffusion time estimation without parameters (arXiv 2305.18593, §4.1), k = 5.

    The posterior of a row's diffusion time is an inverse gamma distribution, whose mean rises with
    the mean squared distance to its k nearest neighbours: that is the score, up to a monotone map.
    """

    def fit(rows: Matrix) -> Callable[[Matrix], Any]:
        neighbours = NearestNeighbors(n_neighbors=min(5, len(rows))).fit(rows)
        return lambda X: (neighbours.kneighbors(X)[0] ** 2).mean(axis=1)

    return lambda train: Standardised(train, fit)


PEERS: dict[str, Callable[[int], Fit]] = {
    "scikit-learn IsolationForest": _sklearn(lambda seed, n: IsolationForest(random_state=seed)),
    "scikit-learn LocalOutlierFactor": _sklearn(
        lambda seed, n: LocalOutlierFactor(n_neighbors=min(20, n - 1), novelty=True)
    ),
    "scikit-learn OneClassSVM": _sklearn(lambda seed, n: OneClassSVM()),
    "scikit-learn EllipticEnvelope": _sklearn(lambda seed, n: EllipticEnvelope(random_state=seed)),
    "DTE-NP": _dte_np,
    **{f"PyOD {name}": _pyod(name) for name in PYOD},
}


def judge_peer(name: str, method: str, seed: int) -> dict[str, Any]:
    """The figures of a peer; one that fails, or takes too long, gets its error as a figure."""
    warnings.simplefilter("ignore")
    split = split_of(name, seed)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return judge(PEERS[method](seed), split)
    except Exception as error:  # whatever a peer raises is its result
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    finally:
        signal.alarm(0)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"not done after {PATIENCE} s")
