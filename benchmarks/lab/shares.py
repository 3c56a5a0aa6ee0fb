"""Anomalies among the training rows of eight tables, and what a growing share of them does."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.lab.ama import NAMES, note
from benchmarks.lab.chosen import TABLES
from benchmarks.lab.figures import mean, percent
from benchmarks.lab.markdown import NONE, markdown
from benchmarks.lab.protocol import Split, split_of
from benchmarks.lab.results import Rows

SHARES = (0, 1, 5, 10)  # per cent of the training rows that are anomalies


def contaminated_split(name: str, share: int, seed: int) -> Split:
    """The split with so many per cent of the training rows anomalies, as far as there are some.

    They come last. Half of the anomalies are set aside for this and never tested, whatever the
    share: so the test rows are the same for all shares.
    """
    split = split_of(name, seed)
    anomalies = np.random.default_rng(seed).permutation(np.flatnonzero(split.is_anomaly))
    aside = anomalies[: len(anomalies) // 2]
    wanted = round(share / (100 - share) * len(split.train))
    kept = np.ones(len(split.test), dtype=bool)
    kept[aside] = False
    train = np.concatenate([split.train, split.test[aside[:wanted]]])
    return Split(train, split.test[kept], split.is_anomaly[kept])


def curves(
    rows: Rows, group: Iterable[str], shares: tuple[int, ...], what: str
) -> tuple[dict[str, dict[str, list[float]]], list[float]]:
    """Mean AUROC over the tables at each share, by method and score; and the shares reached."""
    found: dict[str, dict[str, list[float]]] = {}
    reached: list[float] = []
    for method in group:
        own: dict[int, Rows] = {
            share: [r for r in rows if r["method"] == method and f", {share} % {what}" in r["set"]]
            for share in shares
        }
        if any(len(of_share) < len(TABLES) for of_share in own.values()):
            continue
        found[method] = {
            NAMES[score]: [mean([r["auroc"][score] for r in own[share]]) for share in shares]
            for score in own[shares[0]][0]["auroc"]
        }
        reached = [mean([r["share"] for r in own[share]]) for share in shares]
    return found, reached


def table(rows: Rows, group: Iterable[str], shares: tuple[int, ...], what: str, study: str) -> str:
    """The same as a table."""
    found, reached = curves(rows, group, shares, what)
    if not found:
        return NONE
    lines = {
        f"{method}: {score}": values
        for method, by_score in found.items()
        for score, values in by_score.items()
    }
    lines["share reached, mean over tables, %"] = reached
    return markdown(
        ["method: score", *(f"{share} %" for share in shares)],
        [[name, *(percent([value]) for value in values)] for name, values in lines.items()],
        note(rows, study, [*group], [*found]),
    )
