"""Which ADBench tables are copies or parts of others: each source is to be counted once.

`python benchmarks/copies.py` prints, for every pair of tables, which share of the smaller one's
distinct rows is found in the other, where that is 10 % or more. Tables of the same width are
compared as they are, and with every column brought to [0, 1]: a copy that is scaled anew is found,
a part of a table that is scaled anew is not.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.protocol import Matrix, adbench_sets, load_adbench

LEAST = 0.1

# Found by this script. KDD Cup 1999 gave two tables, of different services, that share no row; so
# did other sources. Those count.
COPIES = {"42_WBC": "4_breastw"}


def shared(a: Matrix, b: Matrix) -> float:
    """Share of the distinct rows of the table with fewer of them that the other holds, too."""
    left, right = ({row.tobytes() for row in np.round(table, 6) + 0.0} for table in (a, b))
    smaller, larger = sorted((left, right), key=len)
    return len(smaller & larger) / len(smaller)


def unscaled(table: Matrix) -> Matrix:
    """Columns brought to [0, 1]: equal for tables that differ in scale alone."""
    low, high = table.min(axis=0), table.max(axis=0)
    return (table - low) / np.where(high > low, high - low, 1)


def main() -> None:
    """Print the pairs."""
    by_width: dict[int, dict[str, Matrix]] = {}
    for name, path in adbench_sets():
        X, _ = load_adbench(path)
        by_width.setdefault(X.shape[1], {})[name] = X
    for width, tables in sorted(by_width.items()):
        for (a, left), (b, right) in combinations(tables.items(), 2):
            share = max(shared(left, right), shared(unscaled(left), unscaled(right)))
            if share >= LEAST:
                print(f"{a} and {b}, {width} columns: {100 * share:.0f} % of the smaller")


if __name__ == "__main__":
    main()
