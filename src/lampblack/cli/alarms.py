"""The strongest alarms of a stream of samples, and how they are shown."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.cli.models import as_explaining
from lampblack.cli.output import number_of
from lampblack.data.source import Batch
from lampblack.number_text import number, percent
from lampblack.results import ScoredRows, ScoringModel

if TYPE_CHECKING:
    from lampblack.cli.kinds import Presentation

SHOWN = 10
FEW = 3  # of the highest scores, where there is no alarm

T = TypeVar("T")


class Strongest(Generic[T]):
    """The highest of a stream of scores, the first of equal ones, each with what belongs to it."""

    def __init__(self, most: int) -> None:
        """most: how many of them to keep."""
        self._most = most
        self._seen = 0
        self._heap: list[tuple[float, int, T]] = []

    def add(
        self,
        scores: npt.NDArray[np.float64],
        wanted: npt.NDArray[np.bool_],
        item: Callable[[int], T],
    ) -> None:
        """Take in the scores (n,) that are wanted (n,). item: what belongs to the i-th."""
        candidates = np.flatnonzero(wanted)
        order = candidates[np.argsort(-scores[candidates], kind="stable")]
        for i in order[: self._most]:
            place = (float(scores[i]), -(self._seen + int(i)))
            if len(self._heap) < self._most:
                heapq.heappush(self._heap, (*place, item(int(i))))
            elif place > self._heap[0][:2]:
                heapq.heapreplace(self._heap, (*place, item(int(i))))
        self._seen += len(scores)

    def items(self) -> list[T]:
        """What belongs to those kept, the highest first."""
        return [item for *_, item in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


class Alarm(NamedTuple):
    """One alarm, or one of the highest scores.

    p_value: None where none is promised. shown: the sample, as the user knows it.
    """

    key: str
    score: float
    p_value: float | None
    shown: Any
    raised: bool = True


class Alarms:
    """Counts samples and alarms, and keeps the strongest."""

    def __init__(self, noun: str, keep: int = SHOWN, top: int | None = None) -> None:
        """noun: for one sample. keep: how many alarms to keep; a few scores where there is none.

        top: how many of the highest scores to keep instead, alarms or not.
        """
        self._noun, self._top = noun, top
        self._strongest = Strongest[Alarm](keep if top is None else 0)
        self._highest = Strongest[Alarm](min(keep, FEW) if top is None else top)
        self.samples = self.alarms = 0

    def add(self, batch: Batch, scored: ScoredRows) -> None:
        """Take in a batch that was scored."""

        def alarm(i: int) -> Alarm:
            p = None if scored.p_value is None else float(scored.p_value[i])
            one = batch.shown.take(np.array([i]))  # a slice would keep the whole batch in memory
            key = cell_text(batch.keys[i], whole=True)
            return Alarm(key, float(scored.anomaly_score[i]), p, one, bool(scored.alarm[i]))

        self._strongest.add(scored.anomaly_score, scored.alarm, alarm)
        if self._top is not None or not self.alarms:
            self._highest.add(scored.anomaly_score, ~np.isnan(scored.anomaly_score), alarm)
        self.samples += len(scored.alarm)
        self.alarms += int(scored.alarm.sum())

    def strongest(self) -> list[Alarm]:
        """Those kept, the strongest first: alarms; the highest scores where there is none."""
        alarms = self._strongest.items()
        return alarms if self._top is None and self.alarms else self._highest.items()

    def summary(self) -> str:
        """How many samples, how many alarms."""
        share = self.alarms / self.samples if self.samples else 0.0
        samples, alarms = number_of(self.samples, self._noun), number_of(self.alarms, "alarm")
        return f"{samples}, {alarms} ({percent(share)})"

    def print(
        self, model: ScoringModel, kind: Presentation, key_name: str, most: int | None = None
    ) -> None:
        """Print the summary, and the strongest alarms, or highest scores, with what caused them.

        most: how many causes of each. A portable model does not say what caused them.
        """
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console()
        threshold = model.calibration.threshold
        console.print(f"{self.summary()}, threshold {number(threshold)}", highlight=False)
        strongest = self.strongest()
        if not strongest:
            return
        shown = Table(title=titled(strongest), title_justify="left")
        shown.add_column(escape(key_name), **kind.key_column)
        shown.add_column("score", justify="right")
        shown.add_column("p", justify="right")
        told = not all(alarm.raised for alarm in strongest)  # which of them are alarms
        if told:
            shown.add_column("decision")
        causes: list[tuple[str, ...]] = [()] * len(strongest)
        explaining = as_explaining(model)
        if explaining is not None:
            shown.add_column(kind.causes, overflow="fold")
            samples = [alarm.shown for alarm in strongest]
            explanation = explaining.explain(kind.joined(samples))
            causes = [
                (escape(kind.cause(explanation, i, one, most)),) for i, one in enumerate(samples)
            ]
        for alarm, cause in zip(strongest, causes, strict=True):
            decision = ["anomaly" if alarm.raised else "normal"] * told
            p = number(alarm.p_value)
            shown.add_row(escape(alarm.key), number(alarm.score), p, *decision, *cause)
        console.print(shown)


def titled(strongest: Sequence[Alarm]) -> str:
    """What these are: strongest alarms, or highest scores where some, or all, are no alarms."""
    if all(alarm.raised for alarm in strongest):
        return number_of(len(strongest), "strongest alarm")
    highest = number_of(len(strongest), "highest score")
    return highest if any(alarm.raised for alarm in strongest) else f"no alarm; {highest}"


def cell_text(value: pa.Scalar, *, whole: bool = False) -> str:
    """A cell as a person reads it. whole: with all digits of a number, since it names a row."""
    if not whole and pa.types.is_floating(value.type) and value.is_valid:
        return number(value.as_py())
    try:
        text = "missing" if not value.is_valid else str(value.cast(pa.string()).as_py())
        return text.removesuffix(".000000") if pa.types.is_timestamp(value.type) else text
    except pa.ArrowException:
        return str(value)
