"""The benchmark's pictures, as SVG: for its page, and some for the documentation."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import protocol, render, report

DEPTH = 15  # points of AUROC below the best that the cost is shown for
BLUE, GREY = "#1f5fa8", "#777777"
DOCUMENTED = Path(__file__).parents[1] / "docs" / "pictures"


def all_of(folder: Path) -> dict[str, str]:
    """Caption to SVG, of those that the results allow."""
    found = {}
    for caption, draw in PICTURES.items():
        svg = draw(folder)
        if svg:
            found[caption] = svg
    return found


def document(folder: Path) -> None:
    """Draw those that the pages of the documentation show."""
    drawn = {"contaminated": contamination, "promise": promise, "sensitivity": sensitivity}
    for name, draw in drawn.items():
        svg = draw(folder)
        if svg:
            (DOCUMENTED / f"{name}.svg").write_text(svg + "\n")


def critical_difference(folder: Path) -> str:
    """Average ranks on a line; a bar joins methods whose ranks do not differ."""
    found = report.compared(folder)
    if len(found.methods) < 3:
        return ""
    order = np.argsort(found.ranks)
    ranks, names = found.ranks[order], [found.methods[i] for i in order]
    figure, axes = _figure(9, 0.55 + 0.22 * len(names))
    for height, (rank, name) in enumerate(zip(ranks, names, strict=True)):
        own = name.startswith(report.OURS)
        axes.plot([rank], [-height], "o", color=BLUE if own else GREY, markersize=4)
        axes.annotate(
            f"{name}  {rank:.1f}",
            (rank, -height),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=BLUE if own else "black",
        )
    best = ranks[0]
    axes.plot([best, best + found.critical_difference], [1, 1], color=BLUE, linewidth=3)
    axes.annotate("critical difference", (best, 1.3), fontsize=8, color=BLUE)
    axes.set_yticks([])
    axes.set_ylim(-len(names), 2.5)
    axes.set_xlim(ranks[0] - 1, ranks[-1] + 5)
    axes.set_xlabel("average rank of AUROC over sets (1 is the best)")
    return _svg(figure)


def cost_and_quality(folder: Path) -> str:
    """Mean AUROC against seconds of fit and score."""
    found = report.compared(folder)
    if not found.methods:
        return ""
    seconds = (found.figures["fit_cpu_s"] + found.figures["score_cpu_s"]).mean(axis=0)
    quality = 100 * found.figures["auroc"].mean(axis=0)
    figure, axes = _figure(9, 6.5)
    near: list[tuple[float, float, list[str]]] = []  # methods at the same place share a label
    below = []
    for x, y, name in zip(seconds, quality, found.methods, strict=True):
        if y < quality.max() - DEPTH:
            below.append(name)
            continue
        color = BLUE if name.startswith(report.OURS) else GREY
        axes.plot([x], [y], "o", color=color, markersize=4)
        for other_x, other_y, names in near:
            if abs(np.log10(x / other_x)) < 0.35 and abs(y - other_y) < 0.5 and color == GREY:
                names.append(name)
                break
        else:
            near.append((x, y, [name]))
    for x, y, names in near:
        color = BLUE if names[0].startswith(report.OURS) else GREY
        place = {"xytext": (6, 0), "textcoords": "offset points"}
        axes.annotate("\n".join(names), (x, y), fontsize=7, color=color, va="center", **place)
    axes.set_xscale("log")
    axes.set_xlim(right=seconds.max() * 8)
    axes.set_xlabel("CPU seconds to fit and score, mean over sets")
    axes.set_ylabel(f"mean AUROC, %{'; below: ' + ', '.join(below) if below else ''}")
    return _svg(figure)


def promise(folder: Path) -> str:
    """Realised false-alarm rates of all runs beside what was promised."""
    runs = [run for run in report.false_alarms(folder) if run[0] == report.OURS and len(run[2])]
    if not runs:
        return ""
    figure, axes = _figure(7, 3.5)
    rng = np.random.default_rng(0)
    for place, (_, alpha, rates, _) in enumerate(runs):
        across = place + rng.uniform(-0.25, 0.25, len(rates))
        axes.plot(across, 100 * rates, ".", color=GREY, markersize=3)
        axes.plot([place - 0.35, place + 0.35], [100 * alpha] * 2, color="#b3261e")
        axes.plot([place - 0.35, place + 0.35], [100 * rates.mean()] * 2, color=BLUE)
    axes.set_xticks(range(len(runs)), [f"{100 * run[1]:.0f} %" for run in runs])
    axes.set_xlabel("promised rate (red); the mean of what came (blue); each dot is a run")
    axes.set_ylabel("alarms among normal rows, %")
    return _svg(figure)


def sensitivity(folder: Path) -> str:
    """Mean AUROC of the recommended detector as one setting at a time varies."""
    from benchmarks import methods

    rows = render.read("recommended", folder)
    groups = methods.RECOMMENDED_GROUPS
    every = {method for settings in groups.values() for method in settings}
    by_set = {s: v for s, v in render._means(rows, "auroc").items() if every <= v.keys()}
    if not by_set:
        return ""
    figure, all_axes = _figure(11, 2.8, len(groups))
    for axes, (name, settings) in zip(all_axes, groups.items(), strict=True):
        means = [100 * np.mean([values[m] for values in by_set.values()]) for m in settings]
        axes.plot(range(len(settings)), means, "o-", color=BLUE)
        axes.set_xticks(range(len(settings)), list(settings.values()), fontsize=7)
        axes.set_title(name, fontsize=9)
    lowest = min(axes.get_ylim()[0] for axes in all_axes)
    highest = max(axes.get_ylim()[1] for axes in all_axes)
    for axes in all_axes:
        axes.set_ylim(lowest, highest)
    all_axes[0].set_ylabel("mean AUROC, %")
    return _svg(figure)


def contamination(folder: Path) -> str:
    """Mean AUROC of every method and score as the share of unnoticed anomalies grows."""
    from benchmarks import adversarial, render_adversarial

    rows, shares = render.read("adversarial", folder), adversarial.SHARES
    found, _ = render_adversarial.curves(rows, adversarial.CONTAMINATED, shares, "contaminated")
    if not found:
        return ""
    figure, axes = _figure(8, 4.2)
    styles = iter(["-", "--", "-.", ":", (0, (1, 3)), (0, (5, 3, 1, 3))])
    ends = []
    for method, by_score in found.items():
        style = next(styles)
        for score, values in by_score.items():
            critic = score != render_adversarial.NAMES[""]
            points = [100 * value for value in values]
            axes.plot(shares, points, color=BLUE if critic else GREY, linestyle=style, marker=".")
            ends.append((points[-1], f"{method}: {score}" if critic else method))
    places = _apart([end for end, _ in sorted(ends)], 0.9)
    for place, (end, label) in zip(places, sorted(ends), strict=True):
        axes.annotate(
            label,
            (shares[-1], end),
            xytext=(shares[-1] + 0.35, place),
            va="center",
            fontsize=7,
            color=BLUE if label.startswith("AMA") else "black",
            arrowprops={"arrowstyle": "-", "color": "#cccccc", "linewidth": 0.6},
        )
    axes.set_xticks(shares)
    axes.set_xlim(-0.2, shares[-1] + 4)
    axes.set_xlabel("anomalies among the training rows that nobody knows of, %")
    axes.set_ylabel("mean AUROC over eight tables, %")
    return _svg(figure)


def _apart(values: list[float], least: float) -> list[float]:
    """Ascending values moved up where they are nearer than that."""
    moved: list[float] = []
    for value in values:
        moved.append(max(value, moved[-1] + least) if moved else value)
    return moved


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, panels)
    for one in np.atleast_1d(axes):
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "lampblack", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


PICTURES: dict[str, Callable[[Path], str]] = {
    "Average ranks; methods further apart than the bar differ at 5 % (Nemenyi).": (
        critical_difference
    ),
    "Cost against quality.": cost_and_quality,
    f"False alarms of the recommended detector, {len(protocol.RATES)} promises.": promise,
    "The recommended detector as one setting at a time varies.": sensitivity,
    "Unnoticed anomalies among the training rows.": contamination,
}
