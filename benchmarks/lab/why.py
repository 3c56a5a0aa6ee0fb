"""What the studies of docs/why.md share: small budgets, named before the first run, and notes.

Training is label-free; anomalies, known only here, are looked at and reach nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.lab.chosen import TWO_DIGITS
from benchmarks.lab.markdown import made_with
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Job

STEPS = 300  # on tables
SMALL: dict[str, Any] = {"max_steps": 200, "width": 16, "latent_dim": 32, "batch_size": 64}
SHOWN = 500  # normal test samples, and anomalies, that are followed over training
BLUE, RED, GREY = "#2c6fbb", "#c8372d", "#8a8a8a"
COLORS = {"normal": BLUE, "anomalies": RED, "synthetic": GREY}


def budget(name: str) -> dict[str, Any]:
    """Settings of a fit on a table, or on a digit."""
    return SMALL if name in TWO_DIGITS else {"max_steps": STEPS}


def groups_of(split: Any, count: int | None = None) -> dict[str, Any]:
    """Normal test samples, and anomalies."""
    normal, anomalies = split.test[~split.is_anomaly], split.test[split.is_anomaly]
    return {"normal": normal[:count], "anomalies": anomalies[:count]}


def beta_of(method: str) -> float:
    """The β in the name of a method."""
    return float(method.removeprefix("β = "))


def aurocs_of_parts(detector: Any, X: Any, truth: Any, beta: float) -> dict[str, float]:
    """AUROC of Toll's whole score, of its error alone and of the norm alone."""
    scores = detector.anomaly_score(X)
    norm = np.linalg.norm(detector.encode(X), axis=1)
    return {
        "auroc": float(roc_auc_score(truth, scores)),
        "auroc_error": float(roc_auc_score(truth, scores - beta * norm)),
        "auroc_norm": float(roc_auc_score(truth, norm)),
    }


def short(value: Any, digits: int = 5) -> Any:
    """A number as short as it is read."""
    return value if isinstance(value, bool) else float(f"{float(value):.{digits}g}")


def short_records(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records with their quantiles shortened."""
    return [
        {
            name: [short(v, 4) for v in value] if isinstance(value, list) else value
            for name, value in record.items()
        }
        for record in records
    ]


def of(rows: Rows, name: str, methods: Iterable[str]) -> Rows:
    """Rows of a set, in the order of the methods."""
    return [r for m in methods for r in rows if r["set"] == name and r["method"] == m]


def mean_of(rows: Rows, name: str) -> float:
    """The mean of a figure."""
    return float(np.mean([row[name] for row in rows]))


def note(rows: Rows, study: str, facts: str, jobs: list[Job]) -> str:
    """What made the rows, by which command, and how many jobs are left."""
    done = {(row["set"], row["method"], row["seed"]) for row in rows}
    left = sum(job not in done for job in jobs)
    later = f" {left} of {len(jobs)} jobs are still to be run." if left else ""
    made = made_with(rows, "torch")
    return f"{facts}; label-free; {made}; `python -m benchmarks {study}`.{later}"


def draw_bands(axes: Any, records: Rows, name: str) -> None:
    """Median, and 5 to 95 %, of every group over training."""
    for group in dict.fromkeys(record["group"] for record in records):
        own = [record for record in records if record["group"] == group]
        steps = [record["step"] for record in own]
        values = np.array([record[name] for record in own])
        axes.plot(steps, values[:, 2], color=COLORS[group], label=group)
        axes.fill_between(steps, values[:, 0], values[:, 4], color=COLORS[group], alpha=0.15, lw=0)
