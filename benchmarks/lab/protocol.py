"""The one-class protocol for tables: which rows train, which test, and how the result is judged.

A random half of the normal rows trains; the other half and all anomalies test. Sets are capped at
10,000 rows drawn with the seed, before the split, for every method alike. DTE's protocol
(arXiv 2305.18593) with its two leaks mended: the half is shuffled, and small sets are not
bootstrapped. Labels are used for the split and the figures, and reach nothing that is fitted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.lab.memory import Peak
from benchmarks.lab.results import ROOT
from benchmarks.lab.study import Fits, Job, every
from lampblack.evaluation import f1_at_true_count

QUICK_ROWS = 1000  # of a table that a small version takes
RATES = (0.01, 0.05, 0.1)  # of false alarms

# Found by the study of copies. KDD Cup 1999 gave two tables, of different services, that share no
# row; so did other sources. Those count.
COPIES = {"42_WBC": "4_breastw"}

Matrix = npt.NDArray[np.float64]


class Fitted(Protocol):
    """What every method gives after fitting: scores (n,), higher for anomalies."""

    def anomaly_score(self, X: Matrix) -> Matrix:
        """Score rows (n, d)."""


def data_folder() -> Path:
    """Where the public data lie: LAMPBLACK_DATA, or shared/data beside the project."""
    given = os.environ.get("LAMPBLACK_DATA")
    return Path(given) if given else ROOT.parent / "shared" / "data"


def most_rows() -> int:
    """How many rows a table is capped at."""
    return int(os.environ.get("LAMPBLACK_BENCH_ROWS", "10000"))


@dataclass(frozen=True)
class Split:
    """Training rows, all normal; test rows and which of them are anomalies."""

    train: Matrix
    test: Matrix
    is_anomaly: npt.NDArray[np.bool_]


def adbench_sets() -> Iterator[tuple[str, Path]]:
    """Name and file of every ADBench table that is there, in numerical order."""
    files = (data_folder() / "adbench").glob("*.npz")
    for path in sorted(files, key=lambda path: int(path.stem.split("_")[0])):
        yield path.stem, path


def set_names() -> list[str]:
    """The names of ADBench's tables."""
    return [name for name, _ in adbench_sets()]


def of_small_sets(jobs: list[Job]) -> list[Job]:
    """Jobs of ADBench's small tables, with seed 0."""
    small = {n for n, path in adbench_sets() if len(load_adbench(path)[0]) <= QUICK_ROWS}
    return [job for job in jobs if job[0] in small and job[2] == 0]


def load_adbench(path: Path) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Rows (n, d) and which of them are anomalies (n,)."""
    with np.load(path, allow_pickle=False) as content:
        return content["X"].astype(np.float64), content["y"].ravel().astype(int) == 1


def load_arrhythmia() -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """The Toll paper's table: 452 rows of 274 columns, 66 of them anomalies."""
    from scipy.io import loadmat

    content = loadmat(data_folder() / "odds" / "arrhythmia.mat")
    return content["X"].astype(np.float64), content["y"].ravel() == 1


def load_kdd() -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """KDD Cup 1999, the 10 % file, "normal." being the rare anomaly, as papers have it.

    The three symbolic columns become an indicator for each of their levels, for all alike.
    """
    import pandas as pd

    rows = pd.read_csv(data_folder() / "kddcup99" / "kddcup.data_10_percent.gz", header=None)
    encoded = pd.get_dummies(rows.iloc[:, :-1], columns=[1, 2, 3], dtype=float)
    return encoded.to_numpy(np.float64), (rows.iloc[:, -1] == "normal.").to_numpy()


MORE = {"arrhythmia": load_arrhythmia, "kddcup99": load_kdd}  # tables that are not ADBench's


def load_table(name: str) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Rows (n, d) of a table by name, and which of them are anomalies (n,)."""
    return MORE[name]() if name in MORE else load_adbench(dict(adbench_sets())[name])


def one_class_split(X: Matrix, is_anomaly: npt.NDArray[np.bool_], seed: int) -> Split:
    """Cap, shuffle and halve, all with one seed."""
    rng = np.random.default_rng(seed)
    if len(X) > most_rows():
        chosen = rng.choice(len(X), most_rows(), replace=False)
        X, is_anomaly = X[chosen], is_anomaly[chosen]
    normal = rng.permutation(np.flatnonzero(~is_anomaly))
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(is_anomaly)])
    return Split(X[normal[:half]], X[test], is_anomaly[test])


def split_of(name: str, seed: int) -> Split:
    """The split of a table by name."""
    return one_class_split(*load_table(name), seed)


def fits(
    methods: Mapping[str, Callable[[int], Callable[[Matrix], Fitted]]],
    seeds: Iterable[int] = (0,),
    names: Callable[[], Iterable[str]] = set_names,
    quick: Callable[[list[Job]], list[Job]] | None = None,
) -> Fits:
    """The work of fitting every method to every table with every seed."""
    return Fits(lambda: every([*names()], methods, seeds), partial(_judge_job, methods), quick)


def _judge_job(methods: Any, name: str, method: str, seed: int) -> dict[str, float]:
    return judge(methods[method](seed), split_of(name, seed))


def judge(fit: Callable[[Matrix], Fitted], split: Split) -> dict[str, float]:
    """Fit on the training rows, score the test rows; figures and CPU seconds.

    Memory is that of the fit. Where the score is error and latent term, also what error and norm
    tell apart each on its own, and the norm's share of the scores of normal test rows. Where a
    false-alarm rate is promised, also what came of it.
    """
    with Peak() as peak:
        wall = time.perf_counter()
        started = time.process_time()
        detector = fit(split.train)
        fitted = time.process_time()
        fit_wall = time.perf_counter() - wall
    scores = np.asarray(detector.anomaly_score(split.test))
    return {
        "auroc": float(roc_auc_score(split.is_anomaly, scores)),
        "ap": float(average_precision_score(split.is_anomaly, scores)),
        "f1": f1_at_true_count(scores, split.is_anomaly),
        "fit_cpu_s": round(fitted - started, 3),
        "score_cpu_s": round(time.process_time() - fitted, 3),
        "fit_wall_s": round(fit_wall, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
        "peak_mib": peak.mib,
        **_parts(detector, scores, split),
        **_false_alarms(detector, scores, split),
    }


def _false_alarms(detector: Fitted, scores: Matrix, split: Split) -> dict[str, Any]:
    """The share of normal test rows with a p-value of at most α, where p-values are promised."""
    calibration = getattr(detector, "calibration_", None)
    if calibration is None or calibration.origin != "held-out":
        return {}
    p_values = calibration.p_values(scores[~split.is_anomaly])
    return {
        "false_alarms": {str(alpha): float((p_values <= alpha).mean()) for alpha in RATES},
        "calibration_rows": len(calibration.scores),
        "normal_test_rows": len(p_values),
    }


def _parts(detector: Any, scores: Matrix, split: Split) -> dict[str, float]:
    parameters = getattr(detector, "parameters_", None)
    if not getattr(parameters, "latent_weight", 0) or hasattr(parameters, "part_weights"):
        return {}
    norm = detector.parameters_.latent_weight * np.linalg.norm(detector.encode(split.test), axis=1)
    return {
        "auroc_error": float(roc_auc_score(split.is_anomaly, scores - norm)),
        "auroc_norm": float(roc_auc_score(split.is_anomaly, norm)),
        "norm_share": float((norm / scores)[~split.is_anomaly].mean()),
    }
