"""Is the promised rate of false alarms kept on tables?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom

from benchmarks.lab.drawing import BLUE, GREY, panels
from benchmarks.lab.markdown import markdown
from benchmarks.lab.methods import ABLATIONS, RECOMMENDED
from benchmarks.lab.protocol import RATES
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Picture, Study

Promise = tuple[str, float, npt.NDArray[np.float64], float]


def promises(rows: Rows) -> list[Promise]:
    """Method, promised rate α, realised rates by run, and how many of them are expected above α.

    With exchangeable rows the number of alarms among m test rows is beta-binomial, for n
    calibration rows and ⌊α (n + 1)⌋ of them allowed: a run exceeds α now and then.
    """
    rows = [row for row in rows if "false_alarms" in row and row["method"] not in ABLATIONS]
    found = []
    for method in dict.fromkeys(row["method"] for row in rows):
        for alpha in RATES:
            able = [
                row
                for row in rows
                if row["method"] == method and row["calibration_rows"] >= round(1 / alpha) - 1
            ]
            rates = np.array([row["false_alarms"][str(alpha)] for row in able])
            found.append((method, alpha, rates, sum((_above(row, alpha) for row in able), 0.0)))
    return found


def _above(row: dict[str, Any], alpha: float) -> float:
    """How probable it is that a run exceeds α."""
    n, m = row["calibration_rows"], row["normal_test_rows"]
    allowed = math.floor(alpha * (n + 1) + 1e-9)
    law = betabinom(m, allowed, n + 1 - allowed)
    return float(law.sf(math.floor(alpha * m + 1e-9)))


def false_alarms(rows: Rows) -> str:
    """Promised and realised rates over all sets and seeds, and how many runs exceed."""
    lines = [
        (
            *(method, f"{100 * alpha:.0f} %", f"{100 * rates.mean():.2f} %"),
            *(int((rates > alpha).sum()), f"{expected:.1f}", len(rates)),
        )
        for method, alpha, rates, expected in promises(rows)
    ]
    columns = ["method", "promised", "realised", "runs above", "expected above", "runs"]
    return markdown(columns, lines)


def draw(rows: Rows) -> Any:
    """Realised false-alarm rates of all runs beside what was promised."""
    runs = [run for run in promises(rows) if run[0] == RECOMMENDED and len(run[2])]
    if not runs:
        return None
    figure, axes = panels(7, 3.5)
    rng = np.random.default_rng(0)
    for place, (_, alpha, rates, _) in enumerate(runs):
        across = place + rng.uniform(-0.25, 0.25, len(rates))
        axes.plot(across, 100 * rates, ".", color=GREY, markersize=3)
        axes.plot([place - 0.35, place + 0.35], [100 * alpha] * 2, color="#b3261e")
        axes.plot([place - 0.35, place + 0.35], [100 * rates.mean()] * 2, color=BLUE)
    axes.set_xticks(range(len(runs)), [f"{100 * run[1]:.0f} %" for run in runs])
    axes.set_xlabel("promised rate (red); the mean of what came (blue); each dot is a run")
    axes.set_ylabel("alarms among normal rows, %")
    return figure


STUDY = Study(
    reads=("tables",),
    blocks={"false-alarms": false_alarms},
    pictures=(
        Picture(
            draw, "promise.svg", f"False alarms of the recommended detector, {len(RATES)} promises."
        ),
    ),
    report={"The false-alarm promise": false_alarms},
)
