"""How good scores and decisions are, where the truth is known. Nothing here trains or chooses."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from lampblack.exceptions import InvalidInput


class Evaluation(TypedDict):
    """Counts and figures of one evaluation; rates are None where no row of that class is there."""

    rows: int
    anomalies: int
    auroc: float
    average_precision: float
    f1_at_threshold: float
    precision_at_threshold: float | None
    recall_at_threshold: float
    f1_at_true_count: float
    alarms: int
    false_alarm_rate: float
    promised_false_alarm_rate: float


def evaluate(
    anomaly_score: npt.NDArray[np.float64],
    is_alarm: npt.NDArray[np.bool_],
    is_anomaly: npt.NDArray[np.bool_],
    promised: float,
) -> Evaluation:
    """Compare scores (n,) and alarms (n,) with the truth (n,).

    F1 "at threshold" uses the alarms as raised; "at true count" raises as many alarms as there are
    anomalies, the papers' habit, which needs the truth. Raises InvalidInput where one of the
    classes is empty.
    """
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    anomalies = int(is_anomaly.sum())
    if anomalies in (0, len(is_anomaly)):
        which = "no anomaly" if anomalies == 0 else "no normal row"
        raise InvalidInput(f"there is {which} among {len(is_anomaly)} rows; evaluation needs both")
    alarms = int(is_alarm.sum())
    hits = int((is_alarm & is_anomaly).sum())
    return Evaluation(
        rows=len(is_anomaly),
        anomalies=anomalies,
        auroc=float(roc_auc_score(is_anomaly, anomaly_score)),
        average_precision=float(average_precision_score(is_anomaly, anomaly_score)),
        f1_at_threshold=float(f1_score(is_anomaly, is_alarm, zero_division=0.0)),
        precision_at_threshold=hits / alarms if alarms else None,
        recall_at_threshold=hits / anomalies,
        f1_at_true_count=f1_at_true_count(anomaly_score, is_anomaly),
        alarms=alarms,
        false_alarm_rate=float(is_alarm[~is_anomaly].mean()),
        promised_false_alarm_rate=promised,
    )


def f1_at_true_count(
    anomaly_score: npt.NDArray[np.float64], is_anomaly: npt.NDArray[np.bool_]
) -> float:
    """F1 when the highest scores, as many as there are anomalies, are called anomalies.

    >>> import numpy as np
    >>> f1_at_true_count(np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, True, False]))
    0.5
    """
    count = int(is_anomaly.sum())
    highest = np.argsort(-anomaly_score, kind="stable")[:count]
    return float(is_anomaly[highest].sum() / count)
