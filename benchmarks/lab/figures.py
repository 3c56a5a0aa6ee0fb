"""Arithmetic of the tables: means over seeds and sets, differences, ranks, choices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.lab.results import Rows

BySet = Mapping[str, Mapping[str, float]]  # set, method, figure

A_WIN = 0.001  # of AUROC: what is closer is neither won nor lost


def mean(values: Sequence[float]) -> float:
    """The mean of at least one value."""
    return sum(values) / len(values)


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error; 0 for a single value."""
    middle = mean(values)
    variance = sum((value - middle) ** 2 for value in values) / max(1, len(values) - 1)
    return middle, math.sqrt(variance / len(values))


def percent(values: Sequence[float], digits: int = 1) -> str:
    """The mean in per cent; empty without values."""
    return f"{100 * mean(values):.{digits}f}" if values else ""


def points(differences: Sequence[float]) -> str:
    """Mean and standard error of differences, in percentage points."""
    middle, error = mean_and_error(differences)
    return f"{100 * middle:+.2f} ± {100 * error:.2f}"


def wins(differences: Sequence[float], least: float = A_WIN) -> str:
    """How many are above, and how many below."""
    return f"{sum(d > least for d in differences)} / {sum(d < -least for d in differences)}"


def methods_of(rows: Rows) -> list[str]:
    """The methods, in the order of the rows."""
    return list(dict.fromkeys(row["method"] for row in rows))


def ordered(rows: Rows, listed: Iterable[str]) -> Rows:
    """Rows by the number of their set, and in the order in which their methods are listed."""
    places = {method: place for place, method in enumerate(listed)}

    def key(row: dict[str, str]) -> tuple[int, int]:
        number = row["set"].split("_")[0]
        return int(number) if number.isdigit() else 0, places[row["method"]]

    return sorted(rows, key=key)


def means(rows: Rows, figure: str = "auroc") -> dict[str, dict[str, float]]:
    """Means over seeds, by set and method."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        values[row["set"]][row["method"]].append(row[figure])
    return {name: {m: mean(v) for m, v in by.items()} for name, by in values.items()}


def over_sets(by_set: BySet, method: str) -> float:
    """The mean over sets."""
    return mean([values[method] for values in by_set.values()])


def away(by_set: BySet, method: str, other: str) -> list[float]:
    """The differences of two methods on the sets that have both."""
    return [v[method] - v[other] for v in by_set.values() if {method, other} <= v.keys()]


def best(by_set: BySet, candidates: Iterable[str], leaving_out: str | None = None) -> str:
    """The method with the best mean over sets, but for the one that is left out."""

    def value(method: str) -> float:
        return mean([values[method] for name, values in by_set.items() if name != leaving_out])

    return max(candidates, key=value)


def held_out(by_set: BySet, candidates: Sequence[str]) -> tuple[dict[str, str], float]:
    """What the other sets choose for every set, and the mean of what that gives."""
    chosen = {left: best(by_set, candidates, left) for left in by_set}
    return chosen, mean([by_set[left][method] for left, method in chosen.items()])


def ranks(values: Mapping[str, float]) -> dict[str, float]:
    """Rank 1 is the best; ties share the mean rank."""
    return {
        method: 1
        + sum(v > value for v in values.values())
        + (sum(v == value for v in values.values()) - 1) / 2
        for method, value in values.items()
    }
