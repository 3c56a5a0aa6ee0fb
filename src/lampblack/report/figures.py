"""The report's figures, drawn with matplotlib: as SVG within the page, or as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lampblack.number_text import count, number, percent
from lampblack.report.content import ReportContent

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

MOST_POINTS = 400  # bins along the order or time; a page does not grow with the data
MOST_COLUMNS = 12
BLUE, RED, GREY = "#2c6fbb", "#c8372d", "#8a8a8a"  # told apart in dark mode, print and by most eyes
WIDE, SMALL = (9.0, 3.0), (4.4, 3.4)


@dataclass(frozen=True)
class Figure:
    """A figure, its title, and what it says for those who do not see it."""

    title: str
    canvas: Canvas
    text: str

    def svg(self) -> str:
        """The figure as an SVG element whose lettering takes the page's colour."""
        import matplotlib as mpl

        written = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": "lampblack", "svg.fonttype": "none"}):
            self.canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None})
        drawn = written.getvalue()
        drawn = drawn[drawn.index("<svg") :].replace("#000000", "currentColor")
        return drawn.replace("<svg ", f'<svg role="img" aria-label="{_escaped(self.text)}" ', 1)

    def save(self, path: Path) -> None:
        """Write PNG or SVG, by the name's ending."""
        self.canvas.savefig(path, dpi=150)


def draw(content: ReportContent) -> dict[str, Figure]:
    """Every figure that the content has data for, by name."""
    drawn = {name: make(content) for name, make in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _scores(content: ReportContent) -> Figure | None:
    canvas, axes = canvas_of(WIDE)
    known, new = content.calibration.scores, content.scores
    threshold = content.calibration.threshold
    both = np.concatenate([known, new])
    positive = both[both > 0]
    low = float(positive.min()) if len(positive) else 0.5
    low = max(low, float(np.quantile(both, 0.001)), 1e-12)
    high = max(float(both.max()), 2 * low)
    bins = np.geomspace(low, high * 1.001, 60)
    for scores, color, label in ((known, GREY, "calibration"), (new, BLUE, "these data")):
        counts, _ = np.histogram(np.clip(scores, low, None), bins)
        axes.stairs(counts / max(len(scores), 1), bins, color=color, label=label, linewidth=1.6)
    axes.axvline(threshold, color=RED, label="threshold", linewidth=1.6)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    axes.set_xlabel("anomaly score")
    axes.set_ylabel("share")
    axes.legend(frameon=False, labelcolor="black")
    text = (
        f"Histogram of anomaly scores. Calibration: median {number(np.median(known))}, these data: "
        f"median {number(np.median(new))}, highest {number(new.max())}; "
        f"threshold {number(threshold)}."
    )
    return Figure("Scores", canvas, text)


def _order(content: ReportContent) -> Figure | None:
    canvas, axes = canvas_of(WIDE)
    n = len(content.scores)
    by_time = content.times is not None
    if by_time:
        assert content.times is not None
        order = np.argsort(content.times, kind="stable")
        places: Any = content.times[order]
    else:
        order, places = np.arange(n), np.arange(1, n + 1)
    parts = np.array_split(np.arange(n), min(n, MOST_POINTS))
    scores = content.scores[order]
    at = np.array([places[part[0]] for part in parts])
    highest = np.array([scores[part].max() for part in parts])
    middle = np.array([np.median(scores[part]) for part in parts])
    alarm = highest > content.calibration.threshold
    each = -(-n // len(parts))
    if each > 1:
        axes.plot(at, middle, color=GREY, linewidth=1, label="median")
    one = "highest" if each > 1 else "score"
    axes.plot(at[~alarm], highest[~alarm], ".", color=BLUE, markersize=4, label=one)
    if alarm.any():
        axes.plot(at[alarm], highest[alarm], "x", color=RED, markersize=6, label=f"{one}, an alarm")
    axes.axhline(content.calibration.threshold, color=RED, linewidth=1)
    if highest.min() > 0:
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
    name = content.time_name if by_time else f"{content.what[:-1]} number"
    axes.set_xlabel(name, parse_math=False)
    axes.set_ylabel("anomaly score")
    axes.legend(frameon=False, labelcolor="black", ncols=3)
    alarms = count(alarm.sum()) if alarm.any() else "none"
    text = f"Scores along {name}; {alarms} of them above the threshold."
    if each > 1:
        text = (
            f"Highest and median score along {name}, in {len(parts)} parts of up to {each:,} "
            f"{content.what}; {alarms} of them with an alarm."
        )
    what = "Alarms" if alarm.any() else "Scores"
    return Figure(f"{what} over time" if by_time else f"{what} in order", canvas, text)


def _blamed(content: ReportContent) -> Figure | None:
    if not content.blamed:
        return None
    ranked = sorted(content.blamed.items(), key=lambda pair: -pair[1])[:MOST_COLUMNS]
    canvas, axes = canvas_of((WIDE[0], 0.8 + 0.26 * len(ranked)))
    names = [name if len(name) <= 30 else name[:29] + "…" for name, _ in reversed(ranked)]
    axes.barh(range(len(ranked)), [100 * share for _, share in reversed(ranked)], color=BLUE)
    axes.set_yticks(range(len(ranked)), names, parse_math=False)
    strongest = len(content.alarms)
    which = "alarm" if strongest == 1 else f"{count(strongest)} strongest alarms"
    axes.set_xlabel(f"mean share of the score of the {which}, %")
    listed = ", ".join(f"{name} {percent(share, 0)}" for name, share in ranked[:5])
    return Figure("What the alarms rest on", canvas, f"Mean share of the score: {listed}.")


def _history(content: ReportContent) -> Figure | None:
    if not content.history:
        return None
    canvas, axes = canvas_of(WIDE)
    steps = [record["step"] for record in content.history]
    for name, color in (("loss", BLUE), ("reconstruction", GREY), ("validation_loss", RED)):
        values = [record.get(name) for record in content.history]
        if all(value is not None for value in values):
            axes.plot(steps, values, color=color, label=name.replace("_", " "))
    axes.set_xlabel("step of training")
    axes.legend(frameon=False, labelcolor="black")
    first, last = content.history[0]["loss"], content.history[-1]["loss"]
    return Figure("Training", canvas, f"The loss went from {number(first)} to {number(last)}.")


def _roc(content: ReportContent) -> Figure | None:
    judged = content.judged
    if judged is None:
        return None
    from sklearn.metrics import roc_curve

    canvas, axes = canvas_of(SMALL)
    away, found, _ = roc_curve(content.truth, content.scores)
    axes.plot(away, found, color=BLUE)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    axes.set_xlabel("share of normal ones flagged")
    axes.set_ylabel("share of anomalies found")
    return Figure("ROC", canvas, f"ROC curve, area {judged['auroc']:.4f}.")


def _precision(content: ReportContent) -> Figure | None:
    judged = content.judged
    if judged is None:
        return None
    from sklearn.metrics import precision_recall_curve

    canvas, axes = canvas_of(SMALL)
    precision, recall, _ = precision_recall_curve(content.truth, content.scores)
    axes.plot(recall, precision, color=BLUE, drawstyle="steps-post")
    axes.set_xlabel("share of anomalies found")
    axes.set_ylabel("share of alarms that are right")
    axes.set_ylim(0, 1.02)
    text = f"Precision-recall curve, average precision {judged['average_precision']:.4f}."
    return Figure("Precision and recall", canvas, text)


def canvas_of(size: tuple[float, float], panels: int = 1) -> tuple[Canvas, Any]:
    """An empty figure of this size in inches, and its axes, an array where there are several."""
    from matplotlib.figure import Figure as Canvas

    canvas = Canvas(figsize=size, layout="constrained")
    axes = canvas.subplots(1, panels)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
        one.ticklabel_format(style="plain", useOffset=False)
    return canvas, axes


def plain_numbers(axis: Any) -> None:
    """Numbers along a logarithmic axis as people write them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda x, _: number(x)))
    axis.set_minor_formatter(NullFormatter())


def _escaped(text: str) -> str:
    from html import escape

    return escape(text, quote=True)


FIGURES: dict[str, Callable[[ReportContent], Figure | None]] = {
    "scores": _scores,
    "order": _order,
    "blamed": _blamed,
    "roc": _roc,
    "precision": _precision,
    "history": _history,
}
