"""The samples of a report that a diagnosis looks at, and what it finds of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.images.schema import ImageSchema, to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.detectors.base import ReconstructionDetector
from lampblack.diagnostics import checks, diagnose
from lampblack.diagnostics.checks import FAR
from lampblack.diagnostics.diagnosis import PARTS
from lampblack.training.progress import counted

MOST_ROWS, MOST_IMAGES = 2000, 200  # that are looked at, normal ones and anomalies each
MOST_VALUES = 1 << 26  # of images, 256 MiB
SECONDS = 30.0  # after which parts of the diagnosis are left out

Marks = npt.NDArray[np.bool_]


def most_images(shape: tuple[int, ...]) -> int:
    """How many images of this shape are looked at."""
    return min(MOST_IMAGES, max(2, MOST_VALUES // math.prod(shape)))


class ToLookAt:
    """The first normal samples of a stream, and the first known anomalies.

    Normal are, by the labels, those that are no anomalies; without labels, those that raise no
    alarm. Anomalies are those of the labels alone.
    """

    def __init__(self, what: str, most: int) -> None:
        """what: "rows" or "images". most: of them, normal ones and anomalies each."""
        self._what, self._most = what, most
        self._labelled = False
        self._kept: dict[str, list[Any]] = {"normal": [], "anomalies": []}

    def add(self, batch: Any, alarm: Marks, anomaly: Marks | None) -> None:
        """Keep what is wanted of a batch, a table or images. anomaly: by the labels (n,)."""
        self._labelled = anomaly is not None
        self._keep("normal", batch, ~(alarm if anomaly is None else anomaly))
        if anomaly is not None:
            self._keep("anomalies", batch, anomaly)

    def look(
        self, detector: ReconstructionDetector, *, diagnosed: bool, quiet: bool
    ) -> dict[str, Any]:
        """What a report shows of them: the checks, but for its own of drift, and the diagnosis."""
        normal, anomalies = self._together("normal"), self._together("anomalies")
        if normal is None:
            why = f"Nothing was looked at: no {self._what[:-1]} here can be taken for normal."
            return {"looked_at": why if diagnosed else ""}
        if not diagnosed:
            slow = (FAR,) if isinstance(detector.schema_, ImageSchema) else ()
            return {"checks": checks(detector, normal, leave_out=("drift", *slow))}
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

    def _keep(self, group: str, batch: Any, wanted: Marks) -> None:
        kept = self._kept[group]
        chosen = np.flatnonzero(wanted)[: self._most - sum(len(part) for part in kept)]
        if not len(chosen):
            return
        some = batch.take(chosen)
        kept.append(some if isinstance(some, pa.Table) else to_unit(some.values))

    def _together(self, group: str) -> Any:
        kept = self._kept[group]
        if not kept:
            return None
        if isinstance(kept[0], pa.Table):
            return pa.concat_tables(kept)
        return ArrayImages(np.concatenate(kept))

    def _said(self, counts: dict[str, int]) -> str:
        normal, anomalies = counts["normal"], counts.get("anomalies", 0)
        which = "are normal by the labels" if self._labelled else "raise no alarm"
        beside = f", beside {anomalies:,} that are anomalies" if anomalies else ""
        return (
            f"Drawn of {normal:,} {self._what} here that {which}{beside} (the first ones, where "
            "there are more). lampblack diagnose writes these figures and all their numbers, "
            f"of more {self._what} and with no limit of time."
        )
