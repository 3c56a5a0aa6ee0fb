"""Is the recommended detector better than its peers on tables, and at what cost?

Means are over sets of means over seeds; a copy of another set is not counted (see the study of
copies). A method that failed on a set has no mean and no rank, and its failures are listed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, studentized_range, wilcoxon

from benchmarks.lab.drawing import BLUE, GREY, panels
from benchmarks.lab.figures import A_WIN
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.methods import ABLATIONS
from benchmarks.lab.methods import RECOMMENDED as OURS
from benchmarks.lab.peers import PEERS, SLOW, judge_peer
from benchmarks.lab.protocol import COPIES, most_rows, of_small_sets, set_names
from benchmarks.lab.results import Rows
from benchmarks.lab.study import ALL_SEEDS, Fits, Job, Picture, Study, every

FIGURES = ("auroc", "ap", "f1", "fit_cpu_s", "score_cpu_s")
LEFT_OUT = (*ABLATIONS, "isolation forest")  # which is scikit-learn's
SIGNIFICANT = 0.05
DEPTH = 15  # points of AUROC below the best that the cost is shown for

Values = npt.NDArray[np.float64]


def jobs() -> list[Job]:
    """Every set, peer and seed 0 to 4; the slow peers last."""
    fast = [method for method in PEERS if method not in SLOW]
    return [job for some in (fast, SLOW) for job in every(set_names(), some, range(ALL_SEEDS))]


def quick(jobs: list[Job]) -> list[Job]:
    """Those of small sets, and no slow peer."""
    return [job for job in of_small_sets(jobs) if job[1] not in SLOW]


class Comparison:
    """Methods beside each other on the same sets.

    figures: by name, (sets, methods), means over seeds. failures: rows that have no figures.
    """

    def __init__(self, rows: Rows) -> None:
        rows = [r for r in rows if r["set"] not in COPIES and r["method"] not in LEFT_OUT]
        self.failures = [row for row in rows if "error" in row]
        failed = {row["method"] for row in self.failures}
        values: dict[tuple[str, str], Rows] = defaultdict(list)
        for row in rows:
            values[row["set"], row["method"]].append(row)
        self.sets = sorted({row["set"] for row in rows}, key=lambda name: int(name.split("_")[0]))
        listed = list(dict.fromkeys(row["method"] for row in rows))
        complete = [
            m for m in listed if m not in failed and all((s, m) in values for s in self.sets)
        ]
        self.incomplete = [method for method in listed if method not in complete]
        figures = {
            name: np.array(
                [[np.mean([r[name] for r in values[s, m]]) for m in complete] for s in self.sets]
            ).reshape(len(self.sets), len(complete))
            for name in FIGURES
        }
        order = np.argsort(-figures["auroc"].mean(axis=0)) if complete else []
        self.methods = [complete[i] for i in order]
        self.figures: dict[str, Values] = {name: f[:, order] for name, f in figures.items()}
        self.seeds = {m: len({r["seed"] for r in rows if r["method"] == m}) for m in complete}

    @property
    def ranks(self) -> Values:
        """Average rank (methods,); 1 is the best."""
        return np.asarray(rankdata(-self.figures["auroc"], axis=1).mean(axis=0))

    @property
    def peers(self) -> list[int]:
        """Which of the methods are not ours."""
        return [i for i, m in enumerate(self.methods) if m.startswith(("PyOD", "scikit", "DTE"))]

    def against(self, method: str) -> list[dict[str, Any]]:
        """What `method` is ahead of every other by: mean, standard error, wins, p after Holm."""
        scores = self.figures["auroc"]
        own = scores[:, self.methods.index(method)]
        found = []
        for i, other in enumerate(self.methods):
            away = own - scores[:, i]
            p = 1.0 if not away.any() else float(wilcoxon(away).pvalue)
            found.append(
                {
                    "method": other,
                    "mean": float(away.mean()),
                    "error": float(away.std(ddof=1) / math.sqrt(len(away))),
                    "wins": int((away > A_WIN).sum()),
                    "losses": int((away < -A_WIN).sum()),
                    "p": p,
                }
            )
        others = sorted((row for row in found if row["method"] != method), key=lambda row: row["p"])
        largest = 0.0
        for i, row in enumerate(others):
            largest = max(largest, min(1.0, (len(others) - i) * row["p"]))
            row["holm"] = largest
        return found

    @property
    def critical_difference(self) -> float:
        """Ranks closer than this do not differ at 5 % (Nemenyi; Demšar 2006)."""
        k, n = len(self.methods), len(self.sets)
        quantile = studentized_range.ppf(1 - SIGNIFICANT, k, math.inf)
        return float(quantile / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n)))


def benchmark(rows: Rows) -> str:
    """Every method that ran on every set, the best mean first."""
    found = Comparison(rows)
    if OURS not in found.methods:
        return NONE
    columns = ["method", "AUROC", "AP", "F1", "rank", f"“{OURS}” − it", "wins / losses"]
    return markdown(
        [*columns, "p (Holm)", "fit, CPU s", "score, CPU s", "seeds"],
        [_line(found, i, row) for i, row in enumerate(found.against(OURS))],
        "\n".join(_notes(found)),
    )


def _line(found: Comparison, place: int, row: dict[str, Any]) -> list[object]:
    means = {name: values[:, place].mean() for name, values in found.figures.items()}
    ahead = [
        f"{100 * row['mean']:+.2f} ± {100 * row['error']:.2f}",
        f"{row['wins']} / {row['losses']}",
        f"{row.get('holm', 1):.3f}",
    ]
    return [
        row["method"],
        *(f"{100 * means[name]:.2f}" for name in ("auroc", "ap", "f1")),
        f"{found.ranks[place]:.2f}",
        *(["", "", ""] if row["method"] == OURS else ahead),
        f"{means['fit_cpu_s']:.2f}",
        f"{means['score_cpu_s']:.2f}",
        found.seeds[row["method"]],
    ]


def _notes(found: Comparison) -> list[str]:
    notes = [
        f"{len(found.sets)} sets ({', '.join(f'{a} is part of {b}' for a, b in COPIES.items())}, "
        f"and not counted), label-free, at most {most_rows():,} rows each; ranks differ at "
        f"5 % from {found.critical_difference:.1f} on (Nemenyi); `make bench`."
    ]
    if found.incomplete:
        notes.append(f"Not on every set: {', '.join(found.incomplete)}.")
    failures: dict[str, list[int]] = defaultdict(list)
    for row in found.failures:
        reason = row["error"].rstrip(".").split(" after ")[0]
        failures[f"{row['method']} on {row['set']}, {reason}"].append(row["seed"])
    failed = [f"Failed: {what} ({len(seeds)} of the seeds)." for what, seeds in failures.items()]
    return [*notes, *failed]


def sets(rows: Rows) -> str:
    """AUROC of ours, and of the best peer, by set."""
    found = Comparison(rows)
    if OURS not in found.methods or not found.peers:
        return NONE
    scores = found.figures["auroc"]
    own = found.methods.index(OURS)
    lines = []
    for name, of_set in zip(found.sets, scores, strict=True):
        best = max(found.peers, key=of_set.__getitem__)
        lines.append(
            [name, f"{100 * of_set[own]:.1f}", f"{100 * of_set[best]:.1f}", found.methods[best]]
        )
    return markdown(["set", OURS, "best peer", "it"], lines)


def summary(rows: Rows) -> str:
    """One line: how far the recommended detector is ahead of the best peer."""
    found = Comparison(rows)
    if OURS not in found.methods or not found.peers:
        return "not every method has run yet"
    means = 100 * found.figures["auroc"].mean(axis=0)
    best = max(found.peers, key=means.__getitem__)
    own, peer = means[found.methods.index(OURS)], means[best]
    name = found.methods[best]
    return f"mean AUROC {own:.2f}, best peer {name} {peer:.2f}: {own - peer:+.2f}"


def draw_ranks(rows: Rows) -> Any:
    """Average ranks on a line; a bar joins methods whose ranks do not differ."""
    found = Comparison(rows)
    if len(found.methods) < 3:
        return None
    order = np.argsort(found.ranks)
    ranks, names = found.ranks[order], [found.methods[i] for i in order]
    figure, axes = panels(9, 0.55 + 0.22 * len(names))
    for height, (rank, name) in enumerate(zip(ranks, names, strict=True)):
        own = name.startswith(OURS)
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
    return figure


def draw_cost(rows: Rows) -> Any:
    """Mean AUROC against seconds of fit and score."""
    found = Comparison(rows)
    if not found.methods:
        return None
    seconds = (found.figures["fit_cpu_s"] + found.figures["score_cpu_s"]).mean(axis=0)
    quality = 100 * found.figures["auroc"].mean(axis=0)
    figure, axes = panels(9, 6.5)
    near: list[tuple[float, float, list[str]]] = []  # methods at the same place share a label
    below = []
    for x, y, name in zip(seconds, quality, found.methods, strict=True):
        if y < quality.max() - DEPTH:
            below.append(name)
            continue
        color = BLUE if name.startswith(OURS) else GREY
        axes.plot([x], [y], "o", color=color, markersize=4)
        for other_x, other_y, names in near:
            if abs(np.log10(x / other_x)) < 0.35 and abs(y - other_y) < 0.5 and color == GREY:
                names.append(name)
                break
        else:
            near.append((x, y, [name]))
    for x, y, names in near:
        color = BLUE if names[0].startswith(OURS) else GREY
        place = {"xytext": (6, 0), "textcoords": "offset points"}
        axes.annotate("\n".join(names), (x, y), fontsize=7, color=color, va="center", **place)
    axes.set_xscale("log")
    axes.set_xlim(right=seconds.max() * 8)
    axes.set_xlabel("CPU seconds to fit and score, mean over sets")
    axes.set_ylabel(f"mean AUROC, %{'; below: ' + ', '.join(below) if below else ''}")
    return figure


STUDY = Study(
    "peers",
    Fits(jobs, judge_peer, quick=quick),
    reads=("tables", "peers"),
    blocks={"benchmark": benchmark, "benchmark-sets": sets},
    pictures=(
        Picture(
            draw_ranks,
            caption="Average ranks; methods further apart than the bar differ at 5 % (Nemenyi).",
        ),
        Picture(draw_cost, caption="Cost against quality."),
    ),
    report={"Tables": benchmark, "By set": sets},
    summary=summary,
)
