"""Which of ADBench's tables are copies of others?

It prints, for every pair of tables, which share of the smaller one's distinct rows is found in the
other, where that is 10 % or more. Tables of the same width are compared as they are, and with every
column brought to [0, 1]: a copy that is scaled anew is found, a part of a table that is scaled anew
is not.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.lab.protocol import Matrix, adbench_sets, load_adbench
from benchmarks.lab.study import Script, Study

LEAST = 0.1


def shared(a: Matrix, b: Matrix) -> float:
    """Share of the distinct rows of the table with fewer of them that the other holds, too."""
    left, right = ({row.tobytes() for row in np.round(table, 6) + 0.0} for table in (a, b))
    smaller, larger = sorted((left, right), key=len)
    return len(smaller & larger) / len(smaller)


def unscaled(table: Matrix) -> Matrix:
    """Columns brought to [0, 1]: equal for tables that differ in scale alone."""
    low, high = table.min(axis=0), table.max(axis=0)
    return (table - low) / np.where(high > low, high - low, 1)


def print_pairs(_: Path) -> None:
    """Print what pairs share."""
    by_width: dict[int, dict[str, Matrix]] = {}
    for name, path in adbench_sets():
        X, _ = load_adbench(path)
        by_width.setdefault(X.shape[1], {})[name] = X
    for width, tables in sorted(by_width.items()):
        for (a, left), (b, right) in combinations(tables.items(), 2):
            share = max(shared(left, right), shared(unscaled(left), unscaled(right)))
            if share >= LEAST:
                print(f"{a} and {b}, {width} columns: {100 * share:.0f} % of the smaller")


STUDY = Study(work=Script(print_pairs))
