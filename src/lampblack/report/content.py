"""What a report says, before it is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lampblack.calibration import Calibration, Drift
from lampblack.diagnostics import Check, Diagnosis
from lampblack.evaluation import Evaluation, broken_promise, evaluate

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Expected:
    """One column of an alarm: its value, what was expected, and its share of the score."""

    column: str
    actual: str
    expected: str
    share: float


@dataclass(frozen=True)
class AlarmShown:
    """One alarm. p_value: None where none is promised. picture: a PNG, of images."""

    key: str
    score: float
    p_value: float | None
    columns: Sequence[Expected] = ()
    picture: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """Everything that a report shows of n scored samples.

    scores: (n,), in the order of the data. times: (n,) as datetime64, or None for the data's own
    order; time_name is their column. labelled: (n,), which samples are anomalies by the labels, or
    None without; truth: the same, or None where these are all of one class. blamed: by
    column, its mean share of the scores of the alarms that are shown. checks: reasons not to trust
    the model that were looked for. diagnosis: of normal samples among them, or None. looked_at: a
    sentence that says of which, or why of none; empty where no diagnosis was asked for.
    """

    model: str
    data: str
    what: str
    facts: Mapping[str, str]
    promise: str
    scores: Scores
    calibration: Calibration
    alarms: Sequence[AlarmShown]
    history: Sequence[Mapping[str, float]]
    notes: Sequence[str] = ()
    blamed: Mapping[str, float] = field(default_factory=dict)
    times: npt.NDArray[np.datetime64] | None = None
    time_name: str = ""
    truth: npt.NDArray[np.bool_] | None = None
    labelled: npt.NDArray[np.bool_] | None = None
    skipped: int = 0
    checks: Sequence[Check] = ()
    diagnosis: Diagnosis | None = None
    looked_at: str = ""

    @cached_property
    def is_alarm(self) -> npt.NDArray[np.bool_]:
        """Which samples are above the threshold (n,)."""
        return np.asarray(self.scores > self.calibration.threshold)

    @cached_property
    def drift(self) -> Drift | None:
        """These scores against the calibration's; None where no samples were held out for it."""
        return self.calibration.drift(self.scores)

    @cached_property
    def judged(self) -> Evaluation | None:
        """Figures against the truth, where it is known."""
        if self.truth is None:
            return None
        return evaluate(self.scores, self.is_alarm, self.truth, self.calibration, self.what)

    @cached_property
    def broken(self) -> str | None:
        """What to say first, where labels show more false alarms than were promised."""
        if self.labelled is None:
            return None
        return broken_promise(self.is_alarm, self.labelled, self.calibration, self.what)

    @property
    def confusion(self) -> dict[str, dict[str, int]] | None:
        """Counts by truth and decision."""
        if self.truth is None:
            return None
        alarm = self.is_alarm
        return {
            name: {"alarm": int((alarm & of).sum()), "no alarm": int((~alarm & of).sum())}
            for name, of in (("anomaly", self.truth), ("normal", ~self.truth))
        }

    def summary(self) -> dict[str, object]:
        """The report's numbers, as JSON has them."""
        drift = self.drift
        return {
            "scored": len(self.scores),
            "alarms": int(self.is_alarm.sum()),
            "threshold": self.calibration.threshold,
            "promised": None if drift is None else self.calibration.promised,
            "drift": None if drift is None else {"statistic": drift[0], "p_value": drift[1]},
            "broken_promise": self.broken,
            "judged": _without_nan(self.judged),
            "confusion": self.confusion,
            "checks": {check.name: check.passed for check in self.checks},
            "diagnosis": self._numbers_of_diagnosis(),
        }

    def _numbers_of_diagnosis(self) -> dict[str, object] | None:
        """The numbers of the diagnosis, but for the landscape's many."""
        if self.diagnosis is None:
            return None
        numbers = self.diagnosis.to_json()
        return {name: numbers[name] for name in numbers if name not in ("checks", "landscape")}


def _without_nan(judged: Evaluation | None) -> dict[str, object] | None:
    """Figures as JSON has them, which knows no NaN."""
    if judged is None:
        return None
    return {name: None if value != value else value for name, value in judged.items()}
