"""What does AMA's critic tell apart as it trains?"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.lab.chosen import split_of
from benchmarks.lab.drawing import panels
from benchmarks.lab.markdown import Columns, hundred, markdown
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Picture, Study, every
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
JOBS = every(SETS, ["AMA"])


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
    lines = [
        {**row, "group": group, "below": below, "above": above, "last": group == "anomalies"}
        for row in rows
        if row["set"] in SETS
        for group, (below, above) in row["outside"].items()
    ]
    columns: Columns = {
        "set": lambda row: row["set"].removeprefix("mirror: "),
        "group": "{group}",
        "below the band, %": hundred("below"),
        "above, %": hundred("above"),
        "AUROC of the distance": lambda row: (row["last"] and hundred("auroc_distance")(row)) or "",
        "of its typicality": lambda row: (row["last"] and hundred("auroc_typicality")(row)) or "",
    }
    facts = "AMA, scored by typicality, seed 0"
    return markdown(columns, lines, note(rows, "mirror", facts, JOBS))


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
    "why",
    Fits(lambda: JOBS, run),
    blocks={"why-mirror": mirror},
    pictures=(Picture(draw, "why-mirror.png"),),
)
