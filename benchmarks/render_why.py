"""Results of `why` to Markdown, and to pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr, wilcoxon

from benchmarks import linear_toll, why
from lampblack.diagnostics.rays import DISTANCES, IMAGE_POSITIONS

Rows = list[dict[str, Any]]

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
LATER = "Not measured yet.\n"
BLUE, RED, GREY = "#2c6fbb", "#c8372d", "#8a8a8a"
COLORS = {"normal": BLUE, "anomalies": RED, "synthetic": GREY}


def linear(rows: Rows) -> str:
    """Closed form against simulation of the one-dimensional linear case."""
    own = _of(rows, "linear", [f"β = {beta}" for beta in why.LINEAR])
    if not own:
        return LATER
    lines = [
        "| β | closed form | norm | error | gradient descent | norm | error "
        "| decoder held to 3 | norm | squared norms | norm |",
        "|---" * 11 + "|",
    ]
    for row in own:
        cells = [row["method"].removeprefix("β = ")]
        for name in ("closed form", "simulated, decaying"):
            end = row[name]
            cells += [_end(end), f"{end['norm']:.3f}", f"{end['error']:.3f}"]
        for name in ("simulated, |v| ≤ 3", "simulated, squared"):
            cells += [_end(row[name]), f"{row[name]['norm']:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return _table(lines, rows, f"From w = 2, v = ½, after a time of {why.TIME:g}")


def _end(end: dict[str, Any]) -> str:
    if not end["collapses"]:
        return "escapes"
    return "collapses" + ("" if end["when"] is None else f" at {end['when']:.2f}")


def arc(rows: Rows) -> str:
    """Toll on an arc in the plane."""
    lines = [
        "| setting | AUROC | error alone | norm alone | norm, normal | norm, others "
        "| largest singular value | reconstructions vary |",
        "|---" * 8 + "|",
    ]
    for setting in why.ARC:
        own = [r for r in rows if r["set"] == "arc" and r["method"] == setting]
        if not own:
            return LATER
        cells = [f"{100 * _mean(own, name):.1f}" for name in ("auroc", "auroc_error", "auroc_norm")]
        cells += [f"{_mean(own, name):.3g}" for name in ("code_norm", "others_norm", "largest")]
        cells.append(f"{_mean(own, 'reconstructions_vary'):.3f}")
        lines.append(f"| {setting} | {' | '.join(cells)} |")
    return _table(lines, rows, "Means over seeds 0 to 2")


def jacobian(rows: Rows) -> str:
    """The decoder's Jacobian against β."""
    lines = [
        "| set | β | effective rank | largest singular value | norm of normal codes "
        "| reconstructions vary | AUROC | error alone | norm alone |",
        "|---" * 9 + "|",
    ]
    for name in why.JACOBIAN_SETS:
        for beta in why.WEIGHTS["images" if name in why.DIGITS else "table"]:
            for row in _of(rows, f"jacobian: {name}", [f"β = {beta}"]):
                aurocs = [
                    f"{100 * row[part]:.1f}" for part in ("auroc", "auroc_error", "auroc_norm")
                ]
                lines.append(
                    f"| {name} | {beta:g} | {row['effective_rank']:.1f} | {row['largest']:.3g} | "
                    f"{row['code_norm']:.3g} | {row['reconstructions_vary']:.3f} | "
                    f"{' | '.join(aurocs)} |"
                )
    return _table(lines, rows, "Seed 0") if len(lines) > 2 else LATER


def mirror(rows: Rows) -> str:
    """Critic distances beside the band, at the end of training."""
    lines = [
        "| set | group | below the band, % | above, % | AUROC of the distance "
        "| of its typicality |",
        "|---" * 6 + "|",
    ]
    for row in rows:
        if not row["set"].startswith("mirror"):
            continue
        for group, (below, above) in row["outside"].items():
            last = group == "anomalies"
            aurocs = [
                f"{100 * row[name]:.1f}" if last else ""
                for name in ("auroc_distance", "auroc_typicality")
            ]
            lines.append(
                f"| {row['set'].removeprefix('mirror: ')} | {group} | {100 * below:.1f} | "
                f"{100 * above:.1f} | {' | '.join(aurocs)} |"
            )
    return _table(lines, rows, "AMA, scored by typicality, seed 0") if len(lines) > 2 else LATER


def rays(rows: Rows) -> str:
    """Shares of rays on which the score leaves the normal ones, stays, and ends above."""
    lines = [
        "| method | tables: leaves | stays | ends above | worst table: stays "
        "| digits: leaves | stays | ends above |",
        "|---" * 8 + "|",
    ]
    for method in why.EVERY:
        cells = []
        for sets, worst in ((why.TABLES, True), (why.DIGITS, False)):
            own = [r for name in sets for r in _of(rows, f"rays: {name}", [method])]
            if len(own) < len(sets):
                return LATER
            ends = np.mean([row["share_above"][-1] for row in own])
            cells += [f"{100 * _mean(own, name):.1f}" for name in ("left", "stays")]
            cells.append(f"{100 * ends:.1f}")
            if worst:
                least = min(own, key=lambda row: row["stays"])
                of = "" if least["stays"] == 1 else f" ({least['set'].removeprefix('rays: ')})"
                cells.append(f"{100 * least['stays']:.0f}{of}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    facts = (
        f"Per cent of {100} rays a table to 1,000 standard deviations, and of 50 ways a digit to "
        f"an image of one colour, seed 0; tables {', '.join(why.TABLES)}"
    )
    return _table(lines, rows, facts)


def sharpness(rows: Rows) -> str:
    """Amplified against plain training: how steep the losses are where each ended."""
    lines = [
        "| pair | runs | amplified loss against plain, at the same weights "
        "| plain loss where each training ended | steeper in | p | its trace larger in "
        "| each training's own loss |",
        "|---" * 8 + "|",
    ]
    for pair in why.PAIRS:
        own = _pairs(rows, pair)
        if not own:
            continue
        within = [_log_ratio(r["plain"], "amplified", r["plain"], "plain") for r in own]
        reached = [_log_ratio(r["amplified"], "plain", r["plain"], "plain") for r in own]
        objectives = [_log_ratio(r["amplified"], "amplified", r["plain"], "plain") for r in own]
        traces = [
            r["amplified"]["plain loss"]["trace"] > r["plain"]["plain loss"]["trace"] for r in own
        ]
        lines.append(
            f"| {pair} | {len(own)} | × {_geometric(within)} | × {_geometric(reached)} | "
            f"{sum(v > 0 for v in reached)} of {len(own)} | {wilcoxon(reached).pvalue:.2g} | "
            f"{sum(traces)} of {len(own)} | × {_geometric(objectives)} |"
        )
    if len(lines) == 2:
        return LATER
    facts = "Ratios of the largest eigenvalue of the Hessian, geometric means over sets and seeds"
    return _table(lines, rows, f"{facts} ({_seeds(rows)}); p by Wilcoxon's test over runs")


def errors(rows: Rows) -> str:
    """What amplified training does to errors, and to AUROC."""
    lines = [
        "| pair | error of training samples | of normal test samples | of anomalies "
        "| anomalies over normal | AUROC plain | amplified | difference |",
        "|---" * 8 + "|",
    ]
    for pair in why.PAIRS:
        own = _pairs(rows, pair)
        if not own:
            continue
        ratios = {
            group: [
                math.log(r["amplified"]["error"][group] / r["plain"]["error"][group]) for r in own
            ]
            for group in ("training", "normal", "anomalies")
        }
        contrast = np.array(ratios["anomalies"]) - np.array(ratios["normal"])
        cells = [f"× {_geometric(values)}" for values in (*ratios.values(), contrast.tolist())]
        aurocs = [
            100 * float(np.mean([r[training]["auroc"] for r in own]))
            for training in ("plain", "amplified")
        ]
        by_set = _by_set(own, _gain)
        error = np.std(by_set, ddof=1) / math.sqrt(len(by_set)) if len(by_set) > 1 else math.nan
        lines.append(
            f"| {pair} | {' | '.join(cells)} | {aurocs[0]:.2f} | {aurocs[1]:.2f} | "
            f"{100 * np.mean(by_set):+.2f} ± {100 * error:.2f} |"
        )
    if len(lines) == 2:
        return LATER
    facts = "Plain errors, amplified training over plain, geometric means over sets and seeds"
    return _table(lines, rows, f"{facts} ({_seeds(rows)}); ± is a standard error over sets")


def correlation(rows: Rows) -> str:
    """Whether the steeper of two trainings has the higher AUROC."""
    lines = [
        "| pair | over all runs, Spearman's ρ | p | within a set, over seeds: mean ρ |",
        "|---" * 4 + "|",
    ]
    for pair in why.PAIRS:
        own = _pairs(rows, pair)
        if len(own) < 5:
            continue
        steeper = [_log_ratio(r["amplified"], "plain", r["plain"], "plain") for r in own]
        found = spearmanr(steeper, [_gain(r) for r in own])
        within = []
        for name in {r["set"] for r in own}:
            of_set = [r for r in own if r["set"] == name]
            x = [_log_ratio(r["amplified"], "plain", r["plain"], "plain") for r in of_set]
            y = [_gain(r) for r in of_set]
            if len(of_set) >= 5 and len(set(y)) > 1:
                within.append(spearmanr(x, y).statistic)
        mean = f"{np.mean(within):+.2f} ({len(within)} sets)" if within else ""
        lines.append(f"| {pair} | {found.statistic:+.2f} | {found.pvalue:.2g} | {mean} |")
    if len(lines) == 2:
        return LATER
    facts = (
        "Ratio of the plain loss's largest eigenvalue (amplified over plain training) against the "
        "difference of AUROC"
    )
    return _table(lines, rows, facts)


def _pairs(rows: Rows, pair: str) -> Rows:
    return [r for r in rows if r["set"].startswith("sharpness") and r["method"] == pair]


def _gain(row: dict[str, Any]) -> float:
    return float(row["amplified"]["auroc"] - row["plain"]["auroc"])


def _by_set(rows: Rows, value: Callable[[dict[str, Any]], float]) -> list[float]:
    names = dict.fromkeys(row["set"] for row in rows)
    return [float(np.mean([value(r) for r in rows if r["set"] == name])) for name in names]


def _log_ratio(above: dict[str, Any], loss: str, below: dict[str, Any], other: str) -> float:
    """Of largest eigenvalues, floored where a loss is flat."""
    values = (
        max(run[f"{name} loss"]["largest_eigenvalue"], 1e-9)
        for run, name in ((above, loss), (below, other))
    )
    first, second = values
    return math.log(first / second)


def _geometric(logarithms: list[float]) -> str:
    return f"{math.exp(float(np.mean(logarithms))):.3g}"


def _seeds(rows: Rows) -> str:
    seeds = sorted({r["seed"] for r in rows if r["set"].startswith("sharpness")})
    return f"seeds 0 to {seeds[-1]}" if seeds[1:] else "seed 0"


def _mean(rows: Rows, name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _of(rows: Rows, name: str, methods: list[str]) -> Rows:
    return [r for m in methods for r in rows if r["set"] == name and r["method"] == m]


def _table(lines: list[str], rows: Rows, facts: str) -> str:
    first = rows[0]
    made = f"lampblack {first['lampblack']}, torch {first['torch']}, {first['machine']}"
    open_jobs = len(why.jobs()) - len(rows)
    later = f" {open_jobs} of {len(why.jobs())} jobs are still to be run." if open_jobs else ""
    text = f"{facts}; label-free; {made}; `python benchmarks/evidence.py why`.{later}"
    return "\n".join(lines) + f"\n\n{text}\n"


def draw(rows: Rows, folder: Path = PICTURES) -> None:
    """Write every picture that the results allow."""
    if not rows:
        return
    for name, make in DRAWN.items():
        figure = make(rows)
        if figure is not None:
            figure.savefig(folder / f"{name}.png", dpi=90)


def _draw_linear(rows: Rows) -> Any:
    figure, (left, right) = _figure(10, 3.2, 2)
    times = np.geomspace(0.02, 200, 120)
    for beta, color in ((0.5, GREY), (1.9, BLUE), (2.1, RED), (3.0, "#e08a00")):
        ends = [linear_toll.closed_form(beta, float(time)) for time in times]
        left.plot(times, [max(end.norm, 1e-4) for end in ends], color=color, label=f"β = {beta}")
        right.plot(times, [end.error for end in ends], color=color)
    left.set_xscale("log")
    left.set_yscale("log")
    left.set_ylim(0.05, 3)
    left.set_ylabel("norm of the code, for x = 1")
    left.legend(frameon=False)
    right.set_xscale("log")
    right.set_ylabel("reconstruction error, for x = 1")
    for axes in (left, right):
        axes.set_xlabel("time: learning rate × steps × mean |x|")
    return figure


def _draw_arc(rows: Rows) -> Any:
    own = [r for setting in why.DRAWN for r in _of(rows, "arc", [setting]) if "map" in r]
    if not own:
        return None
    figure, panels = _figure(3 * len(own), 6, len(own), 2)
    points = why.arc(200, np.random.default_rng(1))
    side = (-4, 4, -4, 4)
    for column, row in enumerate(own):
        for line, part in enumerate(("error", "norm")):
            axes = panels[line][column]
            values = np.log10(np.maximum(np.array(row["map"][part]), 1e-6)).reshape(33, 33)
            image = axes.imshow(values, origin="lower", extent=side, cmap="viridis")
            axes.plot(*points.T, ".", color="white", markersize=2)
            axes.set_xticks([])
            axes.set_yticks([])
            figure.colorbar(image, ax=axes, shrink=0.8)
            axes.set_title(f"{row['method']}\nlog₁₀ of the {part}", fontsize=9)
    return figure


def _draw_norms(rows: Rows) -> Any:
    own = [r for r in rows if r["set"] == "norms: mnist 8"]
    if not own:
        return None
    figure, panels = _figure(10, 3.2, len(own))
    for axes, row in zip(np.atleast_1d(panels), own, strict=True):
        _bands(axes, row["records"], "norm")
        axes.set_title(row["method"], fontsize=9)
        axes.set_yscale("log")
        axes.set_xlabel("step")
    np.atleast_1d(panels)[0].set_ylabel("norm of the code, digit 8")
    np.atleast_1d(panels)[0].legend(frameon=False)
    return figure


def _draw_mirror(rows: Rows) -> Any:
    own = [r for r in rows if r["set"].startswith("mirror")]
    if not own:
        return None
    figure, panels = _figure(10, 3.4, len(own))
    for axes, row in zip(np.atleast_1d(panels), own, strict=True):
        _bands(axes, row["records"], "distance")
        low, high = row["band"]
        axes.axhspan(
            max(low, 1e-3), high, color=BLUE, alpha=0.08, lw=0, label="typical, at the end"
        )
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(1e-3, min(r["distance"][0] for r in row["records"]) / 2))
        axes.set_title(row["set"].removeprefix("mirror: "), fontsize=9)
        axes.set_xlabel("step")
    np.atleast_1d(panels)[0].set_ylabel("distance by the critic")
    np.atleast_1d(panels)[0].legend(frameon=False)
    return figure


def _bands(axes: Any, records: Rows, name: str) -> None:
    """Median, and 5 to 95 %, of every group over training."""
    for group in dict.fromkeys(record["group"] for record in records):
        own = [record for record in records if record["group"] == group]
        steps = [record["step"] for record in own]
        values = np.array([record[name] for record in own])
        axes.plot(steps, values[:, 2], color=COLORS[group], label=group)
        axes.fill_between(steps, values[:, 0], values[:, 4], color=COLORS[group], alpha=0.15, lw=0)


def _draw_rays(rows: Rows) -> Any:
    figure, panels = _figure(10, 3.2, 2)
    colors = ("black", BLUE, "#7b4fb0", RED, "#e08a00", GREY)
    for axes, sets, positions in (
        (panels[0], why.TABLES, DISTANCES),
        (panels[1], why.DIGITS, IMAGE_POSITIONS),
    ):
        for method, color in zip(why.EVERY, colors, strict=True):
            own = [r["share_above"] for name in sets for r in _of(rows, f"rays: {name}", [method])]
            if own:
                axes.plot(positions, 100 * np.mean(own, axis=0), color=color, label=method)
    panels[0].set_xscale("log")
    panels[0].set_xlabel("standard deviations from the centre (8 tables)")
    panels[0].set_ylabel("score above normal ones, %")
    panels[1].set_xlabel("way from a digit to an image of one colour")
    panels[0].legend(frameon=False, fontsize=8)
    return figure


def _draw_sharpness(rows: Rows) -> Any:
    pairs = [pair for pair in why.PAIRS if _pairs(rows, pair)]
    if not pairs:
        return None
    figure, panels = _figure(3 * len(pairs), 3.2, len(pairs))
    for axes, pair in zip(np.atleast_1d(panels), pairs, strict=True):
        own = _pairs(rows, pair)
        for name, color in zip(dict.fromkeys(r["set"] for r in own), _many(), strict=False):
            of_set = [r for r in own if r["set"] == name]
            x = [math.exp(_log_ratio(r["amplified"], "plain", r["plain"], "plain")) for r in of_set]
            y = [100 * _gain(r) for r in of_set]
            label = name.removeprefix("sharpness: ")
            axes.plot(x, y, ".", color=color, label=label)
        axes.axvline(1, color=GREY, linewidth=0.8)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_title(pair, fontsize=9)
        axes.set_xlabel("largest eigenvalue, amplified over plain", fontsize=8)
        axes.legend(frameon=False, fontsize=6)
    np.atleast_1d(panels)[0].set_ylabel("AUROC gained by amplification, points", fontsize=8)
    return figure


def _many() -> list[Any]:
    import matplotlib as mpl

    return list(mpl.color_sequences["tab10"])


def _figure(width: float, height: float, columns: int, lines: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    panels = figure.subplots(lines, columns)
    for axes in np.atleast_1d(panels).flat:
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


BLOCKS: dict[str, Callable[[Rows], str]] = {
    "why-sharpness": sharpness,
    "why-errors": errors,
    "why-correlation": correlation,
    "why-linear": linear,
    "why-arc": arc,
    "why-jacobian": jacobian,
    "why-mirror": mirror,
    "why-rays": rays,
}
DRAWN: dict[str, Callable[[Rows], Any]] = {
    "why-linear": _draw_linear,
    "why-arc": _draw_arc,
    "why-norms": _draw_norms,
    "why-mirror": _draw_mirror,
    "why-rays": _draw_rays,
    "why-sharpness": _draw_sharpness,
}
