"""A diagnosis drawn: landscape, codes, critic and rays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lampblack.diagnostics import Diagnosis
from lampblack.number_text import number, percent
from lampblack.report.figures import (
    BLUE,
    GREY,
    RED,
    SMALL,
    WIDE,
    Figure,
    canvas_of,
    plain_numbers,
)

COLORS = {"normal": BLUE, "anomalies": RED, "synthetic": GREY}
TALL = (WIDE[0], 3.6)


def draw_diagnosis(found: Diagnosis) -> dict[str, Figure]:
    """Every figure that the diagnosis has numbers for, by name."""
    drawn = {name: make(found) for name, make in FIGURES.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _landscape(found: Diagnosis) -> Figure | None:
    landscape = found.landscape
    if landscape is None:
        return None
    canvas, (along, over) = canvas_of(TALL, panels=2)
    same = landscape.lines["plain"] is landscape.lines["training"]
    for name, color in (("plain", GREY), ("training", BLUE)):
        if name == "plain" and same:
            continue
        label = "loss" if same else f"{name} loss"
        lines = landscape.lines[name]
        along.plot(landscape.steps, lines.mean(axis=0), color=color, label=label)
        along.fill_between(
            landscape.steps, lines.min(axis=0), lines.max(axis=0), color=color, alpha=0.2, lw=0
        )
    if _is_wide(np.concatenate([*landscape.lines.values()])):
        along.set_yscale("log")
    along.set_xlabel("step, in lengths of the filters")
    along.set_ylabel("loss")
    along.legend(frameon=False, labelcolor="black")
    plane = landscape.plane["training"]
    values = np.ma.masked_invalid(np.log10(plane.clip(1e-12)))
    drawn = over.contourf(landscape.steps, landscape.steps, values.T, levels=20, cmap="viridis")
    over.plot([0], [0], "+", color="white", markersize=9)
    over.set_xlabel("first direction")
    over.set_ylabel("second")
    canvas.colorbar(drawn, ax=over, label="log₁₀ of the training loss")
    sharp = found.sharpness
    if same and sharp:
        sharp = {"": sharp["training"]}
    text = "".join(
        f" {f'{name} loss'.strip().capitalize()} {number(one.loss)}: largest eigenvalue of its "
        f"Hessian {number(one.largest_eigenvalue)}, trace {number(one.trace)} ± "
        f"{number(one.trace_error)}."
        for name, one in sharp.items()
    )
    where = "The loss around the trained weights, along random directions and over a plane of two."
    return Figure("Loss landscape", canvas, where + text)


def _codes(found: Diagnosis) -> Figure:
    spectrum = found.spectrum
    canvas, panels = canvas_of(*((SMALL, 1) if spectrum is None else (TALL, 2)))
    points, *rest = np.atleast_1d(panels)
    for name, norms in found.norms.items():
        known = name == "anomalies"
        look = (
            {"marker": "x", "markersize": 5}
            if known
            else {"marker": ".", "markersize": 4, "alpha": 0.7}
        )
        points.plot(norms, found.errors[name], ls="", color=COLORS[name], label=name, **look)
    every = np.concatenate([*found.norms.values()]), np.concatenate([*found.errors.values()])
    for scale, values in zip((points.set_xscale, points.set_yscale), every, strict=True):
        if _is_wide(values):
            scale("log")
    points.set_xlabel("norm of the code")
    points.set_ylabel("reconstruction error")
    points.legend(frameon=False, labelcolor="black")
    median = {name: float(np.median(norms)) for name, norms in found.norms.items()}
    listed = ", ".join(f"{name} {number(value)}" for name, value in median.items())
    text = f"Norms of the codes, median: {listed}."
    for rank in rest:
        assert spectrum is not None
        values = spectrum.singular_values.mean(axis=0)
        rank.plot(np.arange(1, len(values) + 1), values, ".-", color=BLUE)
        if _is_wide(values):
            rank.set_yscale("log")
        rank.set_xlabel("rank")
        rank.set_ylabel("singular value of the decoder's Jacobian")
        text += (
            " The decoder's Jacobian at normal codes has effective rank "
            f"{spectrum.effective_rank:.1f} of {len(values)}."
        )
    return Figure("Codes", canvas, text)


def _critic(found: Diagnosis) -> Figure | None:
    if found.mirror is None:
        return None
    canvas, axes = canvas_of(WIDE)
    every = np.concatenate([*found.mirror.distances.values()])
    low = max(float(np.quantile(every, 0.001)), 1e-9)
    bins = np.geomspace(low, max(float(every.max()), 2 * low) * 1.001, 60)
    for name, values in found.mirror.distances.items():
        counts, _ = np.histogram(values.clip(low, None), bins)
        axes.stairs(counts / len(values), bins, color=COLORS[name], label=name, linewidth=1.6)
    band = found.mirror.band
    axes.axvspan(max(band[0], low), band[1], color=BLUE, alpha=0.2, label="typical", lw=0)
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    axes.set_xlabel("distance by the critic")
    axes.set_ylabel("share")
    axes.legend(frameon=False, labelcolor="black")
    parts = "; ".join(
        f"{name}: {percent(below, 1)} below the band, {percent(above, 1)} above"
        for name, (below, above) in found.mirror.outside.items()
    )
    return Figure(
        "The critic's distances",
        canvas,
        f"The typical band is {number(band[0])} to {number(band[1])}. {parts}.",
    )


def _rays(found: Diagnosis) -> Figure | None:
    rays = found.extrapolation
    if rays is None:
        return None
    canvas, axes = canvas_of((SMALL[0] * 1.5, SMALL[1]))
    axes.plot(rays.positions, 100 * rays.share_above, ".-", color=BLUE)
    far = rays.positions[-1] > 1
    if far:
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
    axes.set_ylim(-2, 102)
    axes.set_xlabel(
        "standard deviations from the centre" if far else "way from an image to one colour"
    )
    axes.set_ylabel("score above normal ones, % of ways")
    text = (
        f"On {percent(rays.left, 0)} of {len(rays.above)} ways the score leaves the normal ones, "
        f"on {percent(rays.stays, 0)} it also stays above them."
    )
    return Figure("Far from all data", canvas, text)


def _is_wide(values: Any) -> bool:
    """Whether values are better shown along a logarithmic axis."""
    known = values[np.isfinite(values)]
    return bool(len(known) and known.min() > 0 and known.max() > 10 * known.min())


FIGURES: dict[str, Callable[[Diagnosis], Figure | None]] = {
    "landscape": _landscape,
    "codes": _codes,
    "critic": _critic,
    "rays": _rays,
}
