"""What are labelled anomalies among the training rows worth to AMA?"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.lab import shares
from benchmarks.lab.ama import ama, judge
from benchmarks.lab.chosen import TABLES
from benchmarks.lab.protocol import split_of
from benchmarks.lab.results import Rows
from benchmarks.lab.shares import SHARES, contaminated_split
from benchmarks.lab.study import Fits, Study, every

METHODS = {
    "AMA, labels": ama(supervision="labels"),
    "AMA, labels, no reconstruction term": ama(supervision="labels", reconstruction_weight=0.0),
}
JOBS = every([f"{n}, {s} % labelled" for s in SHARES[1:] for n in TABLES], METHODS)


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


STUDY = Study("adversarial", Fits(lambda: JOBS, run), blocks={"labelled": labelled})
