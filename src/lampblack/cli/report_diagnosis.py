"""The samples of a report that a diagnosis looks at, and what it finds of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.cli.kinds import Presentation
from lampblack.data.source import Batch
from lampblack.diagnostics import checks, diagnose
from lampblack.diagnostics.diagnosis import PARTS
from lampblack.model.model import Model
from lampblack.training.progress import counted

SECONDS = 30.0  # after which parts of the diagnosis are left out

Marks = npt.NDArray[np.bool_]


class ToLookAt:
    """The first normal samples of a stream, and the first known anomalies.

    Normal are, by the labels, those that are no anomalies; without labels, those that raise no
    alarm. Anomalies are those of the labels alone.
    """

    def __init__(self, kind: Presentation, noun: str, most: int) -> None:
        """noun: of one. most: samples to keep, normal ones and anomalies each."""
        self._kind, self._noun, self._most = kind, noun, most
        self._labelled = False
        self._kept: dict[str, list[Any]] = {"normal": [], "anomalies": []}

    def add(self, batch: Batch, alarm: Marks) -> None:
        """Keep what is wanted of a batch."""
        self._labelled = batch.anomaly is not None
        self._keep("normal", batch, ~(alarm if batch.anomaly is None else batch.anomaly))
        if batch.anomaly is not None:
            self._keep("anomalies", batch, batch.anomaly)

    def look(self, detector: Model, *, diagnosed: bool, quiet: bool) -> dict[str, Any]:
        """What a report shows of them: the checks, but for its own of drift, and the diagnosis."""
        normal, anomalies = self._together("normal"), self._together("anomalies")
        if normal is None:
            why = f"Nothing was looked at: no {self._noun} here can be taken for normal."
            return {"looked_at": why if diagnosed else ""}
        if not diagnosed:
            left_out = ("drift", *self._kind.slow_checks())
            return {"checks": checks(detector, normal, leave_out=left_out)}
        with counted("diagnose", PARTS, "parts", quiet) as advance:
            found = diagnose(
                detector,
                normal,
                anomalies=anomalies,
                leave_out=("drift",),
                seconds=SECONDS,
                advance=advance,
            )
        return {
            "checks": found.checks,
            "diagnosis": found,
            "looked_at": self._said(found.looked_at),
        }

    def _keep(self, group: str, batch: Batch, wanted: Marks) -> None:
        kept = self._kept[group]
        chosen = np.flatnonzero(wanted)[: self._most - sum(len(part) for part in kept)]
        if len(chosen):
            kept.append(batch.shown.take(chosen))

    def _together(self, group: str) -> Any:
        kept = self._kept[group]
        return self._kind.joined(kept) if kept else None

    def _said(self, counts: dict[str, int]) -> str:
        normal, anomalies = counts["normal"], counts.get("anomalies", 0)
        which = "are normal by the labels" if self._labelled else "raise no alarm"
        beside = f", beside {anomalies:,} that are anomalies" if anomalies else ""
        return (
            f"Drawn of {normal:,} {self._noun}s here that {which}{beside} (the first ones, where "
            "there are more). lampblack diagnose writes these figures and all their numbers, "
            f"of more {self._noun}s and with no limit of time."
        )
