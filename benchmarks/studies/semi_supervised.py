"""AMA with labelled anomalies among the training rows, as the share of them grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.lab import shares
from benchmarks.lab.ama import ama, judge
from benchmarks.lab.chosen import TABLES
from benchmarks.lab.jobs import Fits, Job
from benchmarks.lab.protocol import split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.shares import SHARES, contaminated_split
from benchmarks.lab.study import Study

METHODS = {
    "AMA, labels": ama(supervision="labels"),
    "AMA, labels, no reconstruction term": ama(supervision="labels", reconstruction_weight=0.0),
}


def jobs() -> list[Job]:
    """Every method, share above none and table, seed 0."""
    return [
        (f"{name}, {share} % labelled", method, 0)
        for method in METHODS
        for share in SHARES[1:]
        for name in TABLES
    ]


def run(name: str, method: str, seed: int) -> dict[str, Any]:
    """One fit, and the AUROC of every score."""
    table, _, condition = name.partition(", ")
    split = contaminated_split(table, int(condition.split()[0]), seed)
    normal = len(split_of(table, seed).train)
    y = np.repeat([1, -1], [normal, len(split.train) - normal])
    facts = {"protocol": "semi-supervised", "share": float((y == -1).mean())}
    return {**facts, **judge(METHODS[method](seed), split, (split.train, y))}


def labelled(rows: Rows) -> str:
    """Mean AUROC over the tables as the share grows."""
    return shares.table(rows, METHODS, SHARES[1:], "labelled", "semi-supervised")


STUDY = Study(
    "What are labelled anomalies worth to AMA?",
    results="adversarial",
    work=Fits(jobs, run),
    blocks={"labelled": labelled},
)
