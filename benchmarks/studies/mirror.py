"""AMA's mirror: critic distances over training, and at its end beside the typicality band."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.lab.chosen import split_of
from benchmarks.lab.drawing import panels
from benchmarks.lab.jobs import Fits, Job
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Picture, Study
from benchmarks.lab.why import (
    BLUE,
    SHOWN,
    budget,
    draw_bands,
    groups_of,
    note,
    short,
    short_records,
)
from lampblack import AMADetector
from lampblack.diagnostics import CriticDistances, critic_distances

SETS = ("mirror: 6_cardio", "mirror: mnist 8")


def jobs() -> list[Job]:
    """A table and a digit."""
    return [(name, "AMA", 0) for name in SETS]


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, watched, and what its critic says at the end."""
    name = name.partition(": ")[2]
    split = split_of(name, seed)
    groups = groups_of(split, SHOWN)
    seen = CriticDistances(groups, seed=seed)
    detector = AMADetector(score_by="typicality", random_state=seed, **budget(name))
    detector.fit(split.train, callbacks=[seen])
    found = critic_distances(detector, groups, seed=seed)
    truth = np.repeat([False, True], [len(X) for X in groups.values()])
    distances = np.concatenate([found.distances[group] for group in groups])
    scores = np.concatenate([detector.anomaly_score(X) for X in groups.values()])
    return {
        "records": short_records(seen.records),
        "band": [short(edge) for edge in found.band],
        "outside": {group: list(map(short, shares)) for group, shares in found.outside.items()},
        "auroc_distance": float(roc_auc_score(truth, distances)),
        "auroc_typicality": float(roc_auc_score(truth, scores)),
    }


def mirror(rows: Rows) -> str:
    """Critic distances beside the band, at the end of training."""
    lines = []
    for row in (row for row in rows if row["set"] in SETS):
        for group, (below, above) in row["outside"].items():
            last = group == "anomalies"
            lines.append(
                [
                    row["set"].removeprefix("mirror: "),
                    group,
                    f"{100 * below:.1f}",
                    f"{100 * above:.1f}",
                    f"{100 * row['auroc_distance']:.1f}" if last else "",
                    f"{100 * row['auroc_typicality']:.1f}" if last else "",
                ]
            )
    if not lines:
        return NONE
    return markdown(
        [
            *("set", "group", "below the band, %", "above, %"),
            *("AUROC of the distance", "of its typicality"),
        ],
        lines,
        note(rows, "mirror", "AMA, scored by typicality, seed 0", jobs()),
    )


def draw(rows: Rows) -> Any:
    """Distances by step, a panel a set, with the band."""
    own = [row for row in rows if row["set"] in SETS]
    if not own:
        return None
    figure, axes = panels(10, 3.4, len(own))
    axes = np.atleast_1d(axes)
    for one, row in zip(axes, own, strict=True):
        draw_bands(one, row["records"], "distance")
        low, high = row["band"]
        one.axhspan(max(low, 1e-3), high, color=BLUE, alpha=0.08, lw=0, label="typical, at the end")
        one.set_yscale("log")
        one.set_ylim(bottom=max(1e-3, min(r["distance"][0] for r in row["records"]) / 2))
        one.set_title(row["set"].removeprefix("mirror: "), fontsize=9)
        one.set_xlabel("step")
    axes[0].set_ylabel("distance by the critic")
    axes[0].legend(frameon=False)
    return figure


STUDY = Study(
    "What does AMA's critic tell apart as it trains?",
    results="why",
    work=Fits(jobs, run),
    blocks={"why-mirror": mirror},
    pictures=(Picture(draw, "why-mirror.png"),),
)
