"""Does amplification find flatter minima, and is it better for them?

The same network, seed, data and steps, with and without amplification.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import spearmanr, wilcoxon
from sklearn.metrics import roc_auc_score

from benchmarks.lab.chosen import TABLES, TWO_DIGITS, split_of
from benchmarks.lab.drawing import panels
from benchmarks.lab.markdown import markdown
from benchmarks.lab.methods import ours
from benchmarks.lab.protocol import Split
from benchmarks.lab.results import Rows
from benchmarks.lab.study import Fits, Picture, Study
from benchmarks.lab.why import GREY, SMALL, STEPS, note, short
from lampblack import AutoencoderDetector, LAMPDetector
from lampblack.diagnostics.chosen import encoded
from lampblack.diagnostics.curvature import (
    autoencoder_weights,
    mean_loss,
    sharpness_of,
    transposed_weights,
)

SEEDS = range(10)
LOOKED_AT = {"table": 256, "images": 64}  # training samples on which a loss is measured

# How amplified and plain training are paired: the amplification, the error, and what both share.
PAIRS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "tables, log": ("log", "l2", {"max_steps": STEPS, "scaling": "minmax"}),
    "tables, quantile": ("quantile", "l2", {"max_steps": STEPS}),
    "digits, L1": ("log", "l1", SMALL),
    "digits, L2": ("log", "l2", SMALL),
}
JOBS = [
    (f"sharpness: {name}", pair, seed)
    for seed in SEEDS
    for pair in PAIRS
    for name in (TWO_DIGITS if pair.startswith("digits") else TABLES)
]


def run(name: str, pair: str, seed: int) -> dict[str, Any]:
    """The same network, seed, data and steps, with and without amplification.

    Of both: how steep the plain and the amplified loss are at the weights reached, on the same
    training samples; and the mean plain error of training, normal test and anomalous samples.
    """
    amplification, error, shared = PAIRS[pair]
    split = split_of(name.partition(": ")[2], seed)
    found: dict[str, Any] = {}
    for training, chosen in (("plain", None), ("amplified", amplification)):
        cls = AutoencoderDetector if chosen is None else LAMPDetector
        given = {"amplification": chosen} if chosen else {}
        fit = ours(cls, reconstruction_error=error, **shared, **given)
        found[training] = _measured(fit(seed)(split.train), split, error, amplification, seed)
    return found


def _measured(
    detector: Any, split: Split, error: Any, amplification: Any, seed: int
) -> dict[str, Any]:
    kind = "table" if split.train.ndim == 2 else "images"
    networks = detector.networks_
    x = encoded(detector, split.train, LOOKED_AT[kind], seed=seed)
    facts: dict[str, Any] = {}
    for name, chosen in (("plain", None), ("amplified", amplification)):
        loss = mean_loss(networks, x, error=error, amplification=chosen)
        one = sharpness_of(
            loss,
            autoencoder_weights(networks),
            transposed=transposed_weights(networks),
            probes=8,
            iterations=60,
            seed=seed,
        )
        facts[f"{name} loss"] = {key: short(value) for key, value in asdict(one).items()}
    scores = detector.anomaly_score(split.test)
    of_train = detector.anomaly_score(split.train[:2000])
    normal, anomalies = scores[~split.is_anomaly], scores[split.is_anomaly]
    facts["error"] = {
        "training": short(of_train.mean()),
        "normal": short(normal.mean()),
        "anomalies": short(anomalies.mean()),
        "normal, median": short(np.median(normal)),
        "anomalies, median": short(np.median(anomalies)),
    }
    facts["auroc"] = float(roc_auc_score(split.is_anomaly, scores))
    return facts


def sharpness(rows: Rows) -> str:
    """How steep the losses are where each training ended."""
    lines = []
    for pair, own in _measured_pairs(rows):
        within = [_log_ratio(r["plain"], "amplified", r["plain"], "plain") for r in own]
        reached = [_steeper(r) for r in own]
        objectives = [_log_ratio(r["amplified"], "amplified", r["plain"], "plain") for r in own]
        traces = [
            r["amplified"]["plain loss"]["trace"] > r["plain"]["plain loss"]["trace"] for r in own
        ]
        lines.append(
            [
                pair,
                len(own),
                f"× {_geometric(within)}",
                f"× {_geometric(reached)}",
                f"{sum(v > 0 for v in reached)} of {len(own)}",
                f"{wilcoxon(reached).pvalue:.2g}",
                f"{sum(traces)} of {len(own)}",
                f"× {_geometric(objectives)}",
            ]
        )
    facts = "Ratios of the largest eigenvalue of the Hessian, geometric means over sets and seeds"
    return _table(
        [
            *("pair", "runs", "amplified loss against plain, at the same weights"),
            *("plain loss where each training ended", "steeper in", "p", "its trace larger in"),
            "each training's own loss",
        ],
        lines,
        rows,
        f"{facts} ({_seeds(rows)}); p by Wilcoxon's test over runs",
    )


def errors(rows: Rows) -> str:
    """What amplified training does to errors, and to AUROC."""
    lines = []
    for pair, own in _measured_pairs(rows):
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
        gain = f"{100 * np.mean(by_set):+.2f} ± {100 * error:.2f}"
        lines.append([pair, *cells, *(f"{auroc:.2f}" for auroc in aurocs), gain])
    facts = "Plain errors, amplified training over plain, geometric means over sets and seeds"
    return _table(
        [
            *("pair", "error of training samples", "of normal test samples", "of anomalies"),
            *("anomalies over normal", "AUROC plain", "amplified", "difference"),
        ],
        lines,
        rows,
        f"{facts} ({_seeds(rows)}); ± is a standard error over sets",
    )


def correlation(rows: Rows) -> str:
    """Whether the steeper of two trainings has the higher AUROC."""
    lines = []
    for pair, own in _measured_pairs(rows, 5):
        found = spearmanr([_steeper(r) for r in own], [_gain(r) for r in own])
        within = []
        for name in {r["set"] for r in own}:
            of_set = [r for r in own if r["set"] == name]
            gains = [_gain(r) for r in of_set]
            if len(of_set) >= 5 and len(set(gains)) > 1:
                within.append(spearmanr([_steeper(r) for r in of_set], gains).statistic)
        mean = f"{np.mean(within):+.2f} ({len(within)} sets)" if within else ""
        lines.append([pair, f"{found.statistic:+.2f}", f"{found.pvalue:.2g}", mean])
    return _table(
        ["pair", "over all runs, Spearman's ρ", "p", "within a set, over seeds: mean ρ"],
        lines,
        rows,
        "Ratio of the plain loss's largest eigenvalue (amplified over plain training) against the "
        "difference of AUROC",
    )


def _table(columns: list[str], lines: list[list[Any]], rows: Rows, facts: str) -> str:
    return markdown(columns, lines, note(rows, "sharpness", facts, JOBS))


def _measured_pairs(rows: Rows, least: int = 1) -> list[tuple[str, Rows]]:
    """The rows of every pair that has so many."""
    found = [
        (pair, [r for r in rows if r["set"].startswith("sharpness") and r["method"] == pair])
        for pair in PAIRS
    ]
    return [(pair, own) for pair, own in found if len(own) >= least]


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


def _steeper(row: dict[str, Any]) -> float:
    """How much larger the plain loss's eigenvalue is where amplified training ended, as a log."""
    return _log_ratio(row["amplified"], "plain", row["plain"], "plain")


def _geometric(logarithms: list[float]) -> str:
    return f"{math.exp(float(np.mean(logarithms))):.3g}"


def _seeds(rows: Rows) -> str:
    seeds = sorted({r["seed"] for r in rows if r["set"].startswith("sharpness")})
    return f"seeds 0 to {seeds[-1]}" if seeds[1:] else "seed 0"


def draw(rows: Rows) -> Any:
    """AUROC gained against the ratio of eigenvalues, run by run, a panel a pair."""
    pairs = _measured_pairs(rows)
    if not pairs:
        return None
    import matplotlib as mpl

    figure, axes = panels(3 * len(pairs), 3.2, len(pairs))
    axes = np.atleast_1d(axes)
    for one, (pair, own) in zip(axes, pairs, strict=True):
        names = dict.fromkeys(r["set"] for r in own)
        for name, color in zip(names, mpl.color_sequences["tab10"], strict=False):
            of_set = [r for r in own if r["set"] == name]
            x = [math.exp(_steeper(r)) for r in of_set]
            y = [100 * _gain(r) for r in of_set]
            one.plot(x, y, ".", color=color, label=name.removeprefix("sharpness: "))
        one.axvline(1, color=GREY, linewidth=0.8)
        one.axhline(0, color=GREY, linewidth=0.8)
        one.set_title(pair, fontsize=9)
        one.set_xlabel("largest eigenvalue, amplified over plain", fontsize=8)
        one.legend(frameon=False, fontsize=6)
    axes[0].set_ylabel("AUROC gained by amplification, points", fontsize=8)
    return figure


STUDY = Study(
    "why",
    Fits(lambda: JOBS, run),
    blocks={"why-sharpness": sharpness, "why-errors": errors, "why-correlation": correlation},
    pictures=(Picture(draw, "why-sharpness.png"),),
)
