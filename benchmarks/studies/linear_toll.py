"""Where does Toll's loss go for one number and two weights?

x is a number (or a point on one line), z = w·x, x̂ = v·z, m = mean |x|. The mean loss is
m·(|1 − v·w| + β·|w|), for w > 0 in time scaled by m:

- Below the ridge v·w = 1 gradient descent follows w' = v − β, v' = w: a saddle at (0, β), with
  w² − (v − β)² conserved. Where w + v < β the encoder reaches w = 0 and stays: a collapse.
- On the ridge reconstruction is perfect. It attracts while w⁴ − β·w + 1 > 0, which holds for
  every w where β < 4 / 3^¾ ≈ 1.75. There w' = −β·w⁴ / (1 + w⁴), so that 1/(3w³) − w grows by β·t:
  the norm falls like (3·β·t)^(−1/3), without end, and the decoder grows as its inverse.
- Coming from large w, the ridge lets go at the larger root of w⁴ − β·w + 1, with w + v < β where
  that root is above 1, so where β > 2: then it collapses. Between 1.75 and 2 it returns.

With squared norms, m₂·((1 − v·w)² + β·w²), the origin is a saddle: nothing collapses, all escapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from benchmarks.lab.drawing import panels
from benchmarks.lab.markdown import markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Picture, Study, every
from benchmarks.lab.why import BLUE, GREY, RED, beta_of, note, of, short

BARRIER = 4 / 3**0.75  # β below which the ridge attracts everywhere
CRITICAL = 2.0  # β above which it lets go for good
BETAS = (0.5, 1.0, 1.7, 1.9, 2.1, 3.0, 10.0)
TIME = 20.0


@dataclass(frozen=True)
class End:
    """Where it ends: whether it collapses, when (inf if never), |w| and |1 − v·w| at the end."""

    collapses: bool
    when: float
    norm: float
    error: float


def released(beta: float) -> float | None:
    """The w at which the ridge lets go on the way down; None where it never does."""
    if beta <= BARRIER:
        return None
    lowest = (beta / 4) ** (1 / 3)
    return float(brentq(lambda w: w**4 - beta * w + 1, lowest, lowest + beta))


def along_ridge(w: float, beta: float, time: float) -> float:
    """The w that is reached from w along the ridge after a time."""
    wanted = _climbed(w) + beta * time
    low = w
    while _climbed(low) < wanted:
        low /= 2
    return float(brentq(lambda u: _climbed(u) - wanted, low, w))


def closed_form(beta: float, time: float, *, w: float = 2.0) -> End:
    """Where gradient flow from a perfect reconstruction (w, 1/w) is after a time.

    w: at least 1, where the ridge attracts, or where it has let go.
    """
    root = released(beta)
    if root is None or w < root:
        start, on_ridge = w, 0.0
    else:
        start, on_ridge = root, (_climbed(root) - _climbed(w)) / beta
    if root is None or time <= on_ridge:
        return End(beta > CRITICAL, math.inf, along_ridge(w, beta, time), 0.0)
    away = 1 / start - beta  # v − β where the ridge lets go
    grows, decays = (start + away) / 2, (start - away) / 2

    def place(t: float) -> tuple[float, float]:
        up, down = grows * math.exp(t), decays * math.exp(-t)
        return up + down, beta + up - down  # w, v

    t = time - on_ridge
    if grows < 0:
        fall = 0.5 * math.log(-decays / grows)
        if t >= fall:
            return End(True, on_ridge + fall, 0.0, 1.0)
        norm, v = place(t)
        return End(True, on_ridge + fall, norm, abs(1 - v * norm))
    back = _back_on_ridge(place)
    if t >= back:
        return End(False, math.inf, along_ridge(place(back)[0], beta, t - back), 0.0)
    norm, v = place(t)
    return End(False, math.inf, norm, abs(1 - v * norm))


def _climbed(w: float) -> float:
    """What grows by β·t on the ridge."""
    return 1 / (3 * w**3) - w


def _back_on_ridge(place: Callable[[float], tuple[float, float]]) -> float:
    """The time after which a way that left the ridge meets it again."""

    def missing(t: float) -> float:
        w, v = place(t)
        return 1 - v * w

    times = np.linspace(0, 20, 20_001)[1:]
    below = np.array([missing(t) for t in times]) > 0
    leaves = int(below.argmax())
    returns = leaves + int((~below[leaves:]).argmax())
    return float(brentq(missing, times[returns - 1], times[returns]))


def simulated(
    beta: float,
    time: float,
    *,
    w: float = 2.0,
    v: float | None = None,
    step: float = 1e-3,
    decays: bool = True,
    squared: bool = False,
    bound: float = math.inf,
) -> End:
    """Gradient descent on the same loss, with m = 1, in steps of so much time.

    decays: the step falls linearly to zero over the run, of twice as many steps; else it stays.
    squared: of norms. bound: on |v|, which is cut there.
    """
    v = 1 / w if v is None else v
    steps = round(time / step) * (2 if decays else 1)
    when = math.inf
    for i in range(steps):
        rate = step * (1 - i / steps if decays else 1.0)
        missing = 1 - v * w
        if squared:
            down_w, down_v = -2 * missing * v + 2 * beta * w, -2 * missing * w
        else:
            sign = np.sign(missing)
            down_w, down_v = -sign * v + beta * np.sign(w), -sign * w
        before = w
        w, v = w - rate * down_w, min(bound, max(-bound, v - rate * down_v))
        if when == math.inf and not squared and before * w <= 0 and abs(v) < beta:
            when = sum_of_steps(i + 1, steps, step, decays=decays)
    return End(when < math.inf, when, abs(float(w)), abs(float(1 - v * w)))


def sum_of_steps(done: int, steps: int, step: float, *, decays: bool) -> float:
    """The time that so many of all steps take."""
    return step * (done - done * (done - 1) / (2 * steps)) if decays else step * done


JOBS = every(["linear"], [f"β = {beta}" for beta in BETAS])


def run(_: str, method: str, seed: int) -> dict[str, Any]:
    """Closed form and simulation of the one-dimensional linear case, from w = 2, v = ½."""
    beta = beta_of(method)
    ends = {
        "closed form": closed_form(beta, TIME),
        "simulated, decaying": simulated(beta, TIME),
        "simulated, constant": simulated(beta, TIME, decays=False, step=1e-2),
        "simulated, squared": simulated(beta, TIME, squared=True),
        "simulated, |v| ≤ 3": simulated(beta, TIME, bound=3.0),
    }
    return {
        name: {
            "collapses": end.collapses,
            "when": None if np.isinf(end.when) else short(end.when),
            "norm": short(end.norm),
            "error": short(end.error),
        }
        for name, end in ends.items()
    }


def linear(rows: Rows) -> str:
    """Closed form against simulation."""
    own = of(rows, "linear", [f"β = {beta}" for beta in BETAS])
    lines = []
    for row in own:
        cells = [row["method"].removeprefix("β = ")]
        for name in ("closed form", "simulated, decaying"):
            end = row[name]
            cells += [_end(end), f"{end['norm']:.3f}", f"{end['error']:.3f}"]
        for name in ("simulated, |v| ≤ 3", "simulated, squared"):
            cells += [_end(row[name]), f"{row[name]['norm']:.3f}"]
        lines.append(cells)
    return markdown(
        [
            *("β", "closed form", "norm", "error", "gradient descent", "norm", "error"),
            *("decoder held to 3", "norm", "squared norms", "norm"),
        ],
        lines,
        note(rows, "linear-toll", f"From w = 2, v = ½, after a time of {TIME:g}", JOBS),
    )


def _end(end: dict[str, Any]) -> str:
    if not end["collapses"]:
        return "escapes"
    return "collapses" + ("" if end["when"] is None else f" at {end['when']:.2f}")


def draw(rows: Rows) -> Any:
    """Norm and error over time, for some β."""
    figure, (left, right) = panels(10, 3.2, 2)
    times = np.geomspace(0.02, 200, 120)
    for beta, color in ((0.5, GREY), (1.9, BLUE), (2.1, RED), (3.0, "#e08a00")):
        ends = [closed_form(beta, float(time)) for time in times]
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


STUDY = Study(
    "why",
    Fits(lambda: JOBS, run),
    blocks={"why-linear": linear},
    pictures=(Picture(draw, "why-linear.png"),),
)
