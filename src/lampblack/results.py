"""Scores of rows as a table: what `lampblack score` writes, wherever it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.calibration import Calibration, Scores
from lampblack.data.tables.schema import Rows
from lampblack.exceptions import InvalidInput, Setting

RESULTS = ("anomaly_score", "p_value", "decision")


class Decisions(ABC):
    """What follows from scores and a calibration, whoever computes the scores."""

    @property
    @abstractmethod
    def _calibration(self) -> Calibration:
        """The scores that calibrated, and the threshold."""

    @abstractmethod
    def anomaly_score(self, X: object) -> Scores:
        """How anomalous each sample is (n,), higher for more; finite and non-negative."""

    def score_samples(self, X: object) -> Scores:
        """Minus `anomaly_score` (n,): higher is more normal, as in scikit-learn."""
        return -self.anomaly_score(X)

    def decision_function(self, X: object) -> Scores:
        """`score_samples` plus the threshold (n,): negative for anomalies."""
        return self.score_samples(X) + self._calibration.threshold

    def predict(self, X: object, *, fdr: float | None = None) -> npt.NDArray[np.int64]:
        """−1 for anomalies, +1 for normal rows (n,).

        Without `fdr`, a row is an anomaly where its score is above the threshold: at most a share
        `false_alarm_rate_` of normal rows is, in expectation. With `fdr`, at most that share of the
        rows *called* anomalies is normal, on average (Benjamini-Hochberg over this batch).
        Warns with CalibrationWarning where too few rows calibrated to call any.
        """
        if fdr is not None:
            scores = self.anomaly_score(X)
            return np.where(self._calibration.discoveries(scores, fdr), -1, 1)
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: object) -> Scores:
        """Conformal p-values (n,) in (0, 1], small for anomalies; see `Calibration.p_values`."""
        scores = self.anomaly_score(X)
        return self._calibration.p_values(scores)


class ScoringModel(Protocol):
    """What is asked of a model, a folder's or a portable one; the first explains besides."""

    @property
    def schema(self) -> Any:
        """The columns or images that it takes."""

    @property
    def calibration(self) -> Calibration:
        """The scores that calibrated, and the threshold."""

    @property
    def reading(self) -> Mapping[str, Any]:
        """How the fitted file was written."""

    def anomaly_score(self, X: object) -> Scores:
        """How anomalous each sample is (n,)."""


@dataclass(frozen=True)
class ScoredRows:
    """Scores of n rows, and what they mean: p_value is None where nothing was promised."""

    anomaly_score: npt.NDArray[np.float64]
    p_value: npt.NDArray[np.float64] | None
    alarm: npt.NDArray[np.bool_]


def score_rows(model: ScoringModel, rows: object) -> ScoredRows:
    """Score rows that a model takes, or that its schema has checked."""
    scores = model.anomaly_score(rows)
    calibration = model.calibration
    p_values = calibration.p_values(scores) if calibration.origin == "held-out" else None
    return ScoredRows(scores, p_values, scores > calibration.threshold)


def decisions(scored: ScoredRows) -> npt.NDArray[np.str_]:
    """What is said of each row (n,): anomaly, normal, or unscored."""
    known = np.where(scored.alarm, "anomaly", "normal")
    return np.where(np.isnan(scored.anomaly_score), "unscored", known)


def check_columns(model: ScoringModel, key: str | None, explain: int) -> None:
    """Raise InvalidInput where results cannot have so many reasons, or a key of that name."""
    columns = len(model.schema.columns)
    if explain > columns:
        raise InvalidInput(Setting("explain", explain), f": the model has {columns} columns")
    if key in (*RESULTS, *_reasons(explain)):
        what = ": the output has a column of that name"
        raise InvalidInput(Setting("id_column", key), what, remedy="rename it")


def result_columns(
    model: ScoringModel, rows: Rows, scored: ScoredRows, explain: int
) -> dict[str, pa.Array]:
    """Score, p-value and decision of each row, and the `explain` columns that did most."""
    p_value = [None] * len(scored.alarm) if scored.p_value is None else scored.p_value
    columns = {
        "anomaly_score": pa.array(scored.anomaly_score, from_pandas=True),
        "p_value": pa.array(p_value, pa.float64(), from_pandas=True),
        "decision": pa.array(decisions(scored), pa.string()),
    }
    if explain:
        explaining: Any = model
        explanation = explaining.explain(rows)
        ranked = explanation.blame()
        order = np.argsort(-ranked, axis=1, kind="stable")[:, :explain]
        names = np.array(explanation.columns, dtype=object)
        for k in range(explain):
            columns[f"column_{k + 1}"] = pa.array(names[order[:, k]], pa.string())
            columns[f"contribution_{k + 1}"] = pa.array(ranked[np.arange(len(ranked)), order[:, k]])
    return columns


def _reasons(explain: int) -> list[str]:
    return [f"{name}_{k + 1}" for k in range(explain) for name in ("column", "contribution")]
