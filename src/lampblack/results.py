"""Scores of rows as a table: what `lampblack score` writes, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.calibration import Calibration, Scores
from lampblack.data.tables.schema import Rows
from lampblack.exceptions import InvalidInput

RESULTS = ("anomaly_score", "p_value", "decision")


class ScoringModel(Protocol):
    """What is asked of a detector, fitted model or portable one; the first two explain besides."""

    schema_: Any
    calibration_: Calibration
    reading_: Any

    @property
    def false_alarm_rate_(self) -> float:
        """The promised false-alarm rate."""

    def anomaly_score(self, X: Any) -> Scores:
        """How anomalous each sample is (n,)."""


@dataclass(frozen=True)
class ScoredRows:
    """Scores of n rows, and what they mean: p_value is None where nothing was promised."""

    anomaly_score: npt.NDArray[np.float64]
    p_value: npt.NDArray[np.float64] | None
    alarm: npt.NDArray[np.bool_]


def score_rows(detector: ScoringModel, rows: Any) -> ScoredRows:
    """Score rows that a detector takes, or that its schema has checked."""
    scores = detector.anomaly_score(rows)
    calibration = detector.calibration_
    p_values = calibration.p_values(scores) if calibration.origin == "held-out" else None
    return ScoredRows(scores, p_values, scores > calibration.threshold)


def check_columns(detector: ScoringModel, key: str | None, explain: int) -> None:
    """Raise InvalidInput where results cannot have so many reasons, or a key of that name."""
    columns = len(detector.schema_.columns)
    if explain > columns:
        raise InvalidInput(f"--explain {explain}: the model has {columns} columns")
    if key in (*RESULTS, *_reasons(explain)):
        raise InvalidInput(f"--id {key}: the output has a column of that name; rename it")


def result_columns(
    detector: ScoringModel, rows: Rows, scored: ScoredRows, explain: int
) -> dict[str, pa.Array]:
    """Score, p-value and decision of each row, and the `explain` columns that did most."""
    p_value = [None] * len(scored.alarm) if scored.p_value is None else scored.p_value
    columns = {
        "anomaly_score": pa.array(scored.anomaly_score),
        "p_value": pa.array(p_value, pa.float64()),
        "decision": pa.array(np.where(scored.alarm, "anomaly", "normal"), pa.string()),
    }
    if explain:
        explaining: Any = detector
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
