"""From scores of held-out normal rows to a threshold that keeps its promise, and to p-values."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lampblack.exceptions import CalibrationWarning, InvalidInput
from lampblack.number_text import number, percent

Scores = npt.NDArray[np.float64]

SHARE = 0.2
MOST_ROWS = 10_000


def calibration_size(n: int, false_alarm_rate: float) -> int:
    """How many of n rows to hold out: a fifth, more where the rate asks for it, at most half.

    A rate α can be promised from ⌈1/α⌉ − 1 rows. No more than 10,000 are held out, or ten times
    what the rate asks for: beyond, they sharpen the threshold less than training on them helps.

    >>> [calibration_size(n, 0.01) for n in (20, 150, 300, 5000, 10**6)]
    [10, 75, 99, 1000, 10000]
    """
    needed = math.ceil(1 / false_alarm_rate - 1e-9) - 1
    wanted = min(round(SHARE * n), max(MOST_ROWS, 10 * needed))
    return min(n // 2, max(needed, wanted))


class Drift(NamedTuple):
    """A Kolmogorov-Smirnov test: the largest distance of two distributions, and its p-value."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class Calibration:
    """A threshold and the scores it was taken from.

    scores: ascending (n,). origin: "held-out" rows, which nothing that was fitted has seen, or the
    "training" rows, for scikit-learn's `contamination`, which promises nothing. requested and
    promised: false-alarm rates (or the contamination, twice). threshold: a row is an alarm where
    its anomaly score is greater.
    """

    scores: Scores
    origin: Literal["held-out", "training"]
    requested: float
    promised: float
    threshold: float

    @classmethod
    def held_out(cls, scores: Scores, false_alarm_rate: float) -> Calibration:
        """Calibrate on scores (n,) of normal rows that were kept from everything fitted.

        With m = ⌊α (n + 1)⌋ − 1, the threshold is the (m + 1)-th largest score: a new row
        exchangeable with these exceeds it with probability at most (m + 1)/(n + 1) ≤ α, for any
        distribution and any finite n (Vovk et al. 2005; Laxhammar & Falkman 2010). Where n is too
        small for m ≥ 0, the smallest rate that n rows can promise, 1/(n + 1), takes its place, and
        a CalibrationWarning states it.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        n = len(ordered)
        if not n:
            what = "there is no row to calibrate on"
            raise InvalidInput(what, remedy="give at least one normal row")
        allowed = math.floor(false_alarm_rate * (n + 1) + 1e-9) - 1
        promised = false_alarm_rate
        if allowed < 0:
            allowed, promised = 0, 1 / (n + 1)
        threshold = float(ordered[n - 1 - allowed])
        calibration = cls(ordered, "held-out", false_alarm_rate, promised, threshold)
        if calibration.shortfall:
            warnings.warn(calibration.shortfall, CalibrationWarning, stacklevel=2)
        return calibration

    def drift(self, scores: Scores) -> Drift | None:
        """Whether scores (n,) are distributed otherwise than those of calibration.

        None where no samples were held out to calibrate, or n is 0.
        """
        from scipy.stats import ks_2samp

        if self.origin != "held-out" or not len(scores):
            return None
        found = ks_2samp(self.scores, scores)
        return Drift(float(found.statistic), float(found.pvalue))

    def promise_p_value(self, alarms: int, normal: int) -> float | None:
        """How likely so many alarms or more are among `normal` samples like those of calibration.

        The (m + 1)-th largest of n calibration scores is the threshold; exchangeable new scores
        exceed it in a number that is beta-binomial with m + 1 and n − m (Vovk 2012). That k or more
        of N do is that among the k + m largest of all n + N at most m are of calibration. Equal
        scores make alarms fewer, never more. None where nothing is promised, or N is 0.
        """
        from scipy.stats import hypergeom

        if self.origin != "held-out" or not normal:
            return None
        n = len(self.scores)
        above = max(0, math.floor(self.promised * (n + 1) + 1e-9) - 1)
        return float(hypergeom.cdf(above, n + normal, n, alarms + above))

    @property
    def false_alarm_rate(self) -> float:
        """The rate that is promised; NaN under `contamination`, which promises none."""
        return self.promised if self.origin == "held-out" else math.nan

    @property
    def shortfall(self) -> str | None:
        """What to say where the promised rate is not the one that was asked for."""
        if self.promised == self.requested:
            return None
        asked, kept = percent(self.requested), percent(self.promised)
        return (
            f"{len(self.scores)} calibration rows cannot promise {asked} false alarms; the "
            f"threshold is set for {kept}, the smallest they can promise (a rate of {asked} takes "
            f"{math.ceil(1 / self.requested - 1e-9) - 1})"
        )

    @classmethod
    def contaminated(cls, scores: Scores, contamination: float) -> Calibration:
        """Flag this share of the training rows themselves, as scikit-learn does; no promise."""
        ordered = np.sort(np.asarray(scores, dtype=np.float64))
        flagged = round(contamination * len(ordered))
        threshold = float(ordered[len(ordered) - 1 - min(flagged, len(ordered) - 1)])
        return cls(ordered, "training", contamination, contamination, threshold)

    @classmethod
    def restored(cls, scores: Scores, **facts: Any) -> Calibration:
        """One that was saved. Raises ValueError where its scores are none or lack its threshold."""
        ordered = scores.ndim == 1 and np.isfinite(scores).all() and (np.diff(scores) >= 0).all()
        if not ordered or facts["threshold"] not in scores:
            raise ValueError("the calibration scores are not ascending or lack the threshold")
        restored = cls(scores, **facts)
        kept, n = restored.promised, len(scores)
        if restored.origin == "held-out":
            if kept * (n + 1) < 1 - 1e-9 or kept < restored.requested * (1 - 1e-9):
                raise ValueError(
                    f"{n} calibration scores cannot promise {number(kept)} false alarms"
                )
            above = math.floor(kept * (n + 1) + 1e-9) - 1
            if above >= n or facts["threshold"] != scores[n - 1 - above]:
                raise ValueError("the threshold is not the one that the promise asks for")
        return restored

    def p_values(self, scores: Scores) -> Scores:
        """Conformal p-values (n,) in (0, 1]: p = (1 + #{calibration score ≥ s}) / (1 + n).

        Under exchangeability P(p ≤ α) ≤ α for every α; an alarm is exactly p ≤ promised rate.
        NaN for a sample that has no score. Raises InvalidInput after `contamination`, whose scores
        are those of the training rows.
        """
        if self.origin != "held-out":
            raise InvalidInput(
                "p-values need held-out rows, and contamination= kept none; "
                "fit with false_alarm_rate= instead, or call recalibrate with new normal rows"
            )
        n = len(self.scores)
        below = np.searchsorted(self.scores, scores, side="left")
        p_values = np.asarray((1 + n - below) / (1 + n), dtype=np.float64)
        return np.where(np.isnan(scores), np.nan, p_values)

    def discoveries(self, scores: Scores, fdr: float) -> npt.NDArray[np.bool_]:
        """Which rows (n,) to call anomalies; see `false_discovery_alarms`.

        No p-value lies below 1 / (1 + n), n being the calibration rows, so that a share of
        1 / (fdr (1 + n)) of all rows must score above every one of these before any is called.
        Where that may be why none is called, a CalibrationWarning says so.
        """
        p_values = self.p_values(scores)
        alarms = false_discovery_alarms(p_values, fdr)
        n = len(self.scores)
        share = 1 / (fdr * (n + 1))
        out_of_reach = share > 1 + 1e-9
        beyond = bool((p_values <= 1 / (n + 1)).any())
        if not alarms.any() and len(alarms) and (out_of_reach or beyond):
            too_few = f"{n} calibration rows are too few to call any row an anomaly"
            known = f"fdr={number(fdr)}: {too_few}"
            if not out_of_reach:
                known += f" unless {percent(share)} of all rows score above every one of these"
            warnings.warn(
                f"{known}; it takes {math.ceil(1 / fdr - 1e-9) - 1:,} where all rows are anomalies "
                f"and {math.ceil(100 / fdr - 1e-9) - 1:,} where 1% are: recalibrate with more "
                "normal rows, or use the threshold (leave fdr out)",
                CalibrationWarning,
                stacklevel=3,
            )
        return alarms


def false_discovery_alarms(p_values: Scores, fdr: float) -> npt.NDArray[np.bool_]:
    """Which rows (n,) to call anomalies so that at most a share `fdr` of them is normal.

    Benjamini & Hochberg's procedure, on average over draws; it holds for conformal p-values that
    share one calibration set (Bates et al. 2023, arXiv 2104.08279).
    """
    if not 0 < fdr < 1:
        raise InvalidInput(f"fdr must lie between 0 and 1, and is {fdr}")
    n = len(p_values)
    ascending = np.sort(p_values)
    allowed = ascending[ascending <= fdr * np.arange(1, n + 1) / n]
    return np.asarray(p_values <= (allowed[-1] if len(allowed) else 0.0))
