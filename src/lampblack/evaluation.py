"""How good scores and decisions are, where the truth is known. Nothing here trains or chooses."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from lampblack.calibration import Calibration
from lampblack.exceptions import InvalidInput
from lampblack.number_text import count, number, percent

BROKEN = 0.01  # probability below which alarms on normal samples are too many for the promise


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
    promise_p_value: float | None


def evaluate(
    anomaly_score: npt.NDArray[np.float64],
    is_alarm: npt.NDArray[np.bool_],
    is_anomaly: npt.NDArray[np.bool_],
    calibration: Calibration,
    noun: str = "rows",
) -> Evaluation:
    """Compare scores (n,) and alarms (n,) with the truth (n,).

    F1 "at threshold" uses the alarms as raised; "at true count" raises as many alarms as there are
    anomalies, the papers' habit, which needs the truth. promise_p_value: how likely so many false
    alarms or more are where the promise holds; None where there is none. Raises InvalidInput where
    one of the classes is empty.
    """
    from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

    anomalies = int(is_anomaly.sum())
    if anomalies in (0, len(is_anomaly)):
        which = "no anomaly" if anomalies == 0 else "no normal row"
        raise InvalidInput(
            f"there is {which} among {len(is_anomaly)} {noun}; evaluation needs both"
        )
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
        promised_false_alarm_rate=calibration.false_alarm_rate,
        promise_p_value=calibration.promise_p_value(alarms - hits, len(is_anomaly) - anomalies),
    )


def broken_promise(
    is_alarm: npt.NDArray[np.bool_],
    is_anomaly: npt.NDArray[np.bool_],
    calibration: Calibration,
    noun: str = "rows",
) -> str | None:
    """What to say where alarms (n,) on normal ones are more than the promise and chance allow.

    That is where the beta-binomial law of `Calibration.promise_p_value` gives so many or more a
    probability below 1 %. None where it does not, or where nothing is promised.
    """
    normal, false = int((~is_anomaly).sum()), int((is_alarm & ~is_anomaly).sum())
    p = calibration.promise_p_value(false, normal)
    if p is None or p >= BROKEN:
        return None
    return (
        f"the promise is broken: of {count(normal)} {noun} that the labels call normal, "
        f"{percent(false / normal)} raise an alarm, and {percent(calibration.promised)} at most "
        f"was promised (p = {number(p)} were they like those of calibration). Either they have "
        f"moved since, or some are no normal ones: look at these alarms, recalibrate on recent "
        f"normal {noun} (lampblack calibrate), or fit again"
    )


class PixelEvaluation(TypedDict):
    """How well maps agree with masks."""

    images_with_masks: int
    pixel_auroc: float
    aupro: float


PRO_LIMIT = 0.3  # of the false-positive rate up to which AUPRO integrates, MVTec's


def evaluate_pixels(maps: npt.NDArray[np.float32], masks: npt.NDArray[np.bool_]) -> PixelEvaluation:
    """Compare maps (n, height, width) with masks of the same shape, True where there is a defect.

    AUROC over all pixels; and AUPRO, the area under the per-region overlap: the mean over connected
    regions (pixels that touch at a side or corner) of their share above the threshold, against the
    share of normal pixels above it, up to 0.3, divided by 0.3 (Bergmann et al. 2021, IJCV 129).
    Raises InvalidInput where no pixel, or every pixel, is marked.
    """
    from scipy.integrate import trapezoid
    from scipy.ndimage import label
    from sklearn.metrics import roc_auc_score, roc_curve

    if not masks.any() or masks.all():
        which = "no pixel is" if not masks.any() else "all pixels are"
        raise InvalidInput(f"{which} marked in the masks; maps cannot be judged by them")
    weights = np.ones(masks.shape)
    for i in np.flatnonzero(masks.any(axis=(1, 2))):
        regions, _ = label(masks[i], structure=np.ones((3, 3)))
        sizes = np.bincount(regions.ravel())
        weights[i][masks[i]] = 1.0 / sizes[regions[masks[i]]]
    truth, scores = masks.ravel(), maps.ravel()
    # Each region weighs as much as any other: the weighted hit rate is the mean overlap.
    false, overlap, _ = roc_curve(truth, scores, sample_weight=weights.ravel())
    within = np.append(false[false < PRO_LIMIT], PRO_LIMIT)
    area = float(trapezoid(np.interp(within, false, overlap), within))
    return PixelEvaluation(
        images_with_masks=len(masks),
        pixel_auroc=float(roc_auc_score(truth, scores)),
        aupro=min(1.0, area / PRO_LIMIT),
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
