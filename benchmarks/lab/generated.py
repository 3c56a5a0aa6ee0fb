"""Tables made up for measurements of time and memory."""

from __future__ import annotations

from typing import Any

import numpy as np

DRIVERS = 8  # of a table's columns: the others follow from them


def table(rows: int, columns: int, seed: int = 0) -> Any:
    """Normal rows, float32: eight drivers mixed into all columns, and a little noise."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(DRIVERS, columns))
    values = rng.normal(size=(rows, DRIVERS)) @ mixing + 0.3 * rng.normal(size=(rows, columns))
    return values.astype(np.float32)


def judged(columns: int) -> tuple[Any, Any]:
    """New rows, half of them anomalies, and which: a fifth of their columns are other rows'."""
    rng = np.random.default_rng(2)
    X = table(4000, columns, seed=3)
    swapped = rng.random((2000, columns)) < 0.2
    X[:2000][swapped] = table(2000, columns, seed=4)[swapped]
    return X, np.arange(4000) < 2000
