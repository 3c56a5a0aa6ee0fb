"""The strongest alarms of a stream of rows, and how they are shown."""

from __future__ import annotations

import heapq
from typing import Any, cast

import numpy as np
import pyarrow as pa

from lampblack.cli.models import ScoringModel, as_explaining
from lampblack.cli.output import number_of
from lampblack.data.tables.schema import Rows
from lampblack.explanation import TableExplanation
from lampblack.results import ScoredRows, score_rows

SHOWN = 10
REASONS = 3


class Alarms:
    """Count rows and alarms, and, to show them, keep the rows with the highest scores."""

    def __init__(
        self, detector: ScoringModel, *, keep: int = SHOWN, reasons: int = REASONS
    ) -> None:
        """keep: how many rows to keep. reasons: how many columns to print of each."""
        self.detector = detector
        self._most, self._reasons = keep, reasons
        self.rows = self.alarms = 0
        self._strongest: list[tuple[float, int, Any, Any, pa.Table]] = []

    def add(self, key: Any, table: pa.Table, rows: Rows | None = None) -> ScoredRows:
        """Score a batch.

        rows: the table as the detector's schema has checked it, where that was done already.
        """
        scored = score_rows(self.detector, table if rows is None else rows)
        scores, p_values = scored.anomaly_score, scored.p_value
        for i in np.argsort(-scores, kind="stable")[: self._most]:
            p = None if p_values is None else float(p_values[i])
            row = table.take([i])  # a slice would keep the whole batch in memory
            entry = (float(scores[i]), -(self.rows + int(i)), cell_text(key[i]), p, row)
            if len(self._strongest) < self._most:
                heapq.heappush(self._strongest, entry)
            else:
                heapq.heappushpop(self._strongest, entry)
        self.rows += len(scores)
        self.alarms += int(scored.alarm.sum())
        return scored

    def strongest(self) -> list[tuple[float, int, str, float | None, pa.Table]]:
        """The alarms among the rows kept: score, minus position, key, p-value and row."""
        threshold = self.detector.calibration_.threshold
        return [entry for entry in sorted(self._strongest, reverse=True) if entry[0] > threshold]

    def summary(self) -> str:
        """How many rows, how many alarms."""
        share = self.alarms / self.rows if self.rows else 0.0
        rows, alarms = number_of(self.rows, "row"), number_of(self.alarms, "alarm")
        return f"{rows}, {alarms} ({share:.2%})"

    def print(self, key_name: str) -> None:
        """Print the summary, and the strongest alarms with the columns that caused them.

        A portable model does not say which did.
        """
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console()
        threshold = self.detector.calibration_.threshold
        console.print(f"{self.summary()}, threshold {threshold:.6g}", highlight=False)
        strongest = self.strongest()
        if not strongest:
            return
        detector = as_explaining(self.detector)
        shown = Table(title=number_of(len(strongest), "strongest alarm"), title_justify="left")
        shown.add_column(escape(key_name), justify="right")
        shown.add_column("score", justify="right")
        shown.add_column("p", justify="right")
        reasons: list[tuple[str, ...]] = [()] * len(strongest)
        if detector is not None:
            shown.add_column("because of (value; share of the score)", overflow="fold")
            rows = pa.concat_tables([entry[4] for entry in strongest])
            explanation = cast(TableExplanation, detector.explain(rows))
            reasons = [
                (escape(_reasons(explanation, i, row, self._reasons)),)
                for i, (*_, row) in enumerate(strongest)
            ]
        for (score, _, key, p_value, _), because in zip(strongest, reasons, strict=True):
            p = "-" if p_value is None else f"{p_value:.4f}"
            shown.add_row(escape(key), f"{score:.4g}", p, *because)
        console.print(shown)


def _reasons(explanation: TableExplanation, i: int, row: pa.Table, most: int) -> str:
    """The columns that did most to raise a score, with their values in that row."""
    return ", ".join(
        f"{reason.column} ({cell_text(row.column(reason.column)[0])}; {reason.share:.0%})"
        for reason in explanation.top(i, most)
    )


def cell_text(value: pa.Scalar) -> str:
    """A cell as a person reads it."""
    if pa.types.is_floating(value.type) and value.is_valid:
        return f"{value.as_py():.4g}"
    try:
        text = "missing" if not value.is_valid else str(value.cast(pa.string()).as_py())
        return text.removesuffix(".000000") if pa.types.is_timestamp(value.type) else text
    except pa.ArrowException:
        return str(value)
