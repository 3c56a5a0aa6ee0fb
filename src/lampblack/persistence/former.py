"""Models of format 3, as lampblack 0.1 wrote them, read as those of today."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")
FORMAT = 3
ADDED: dict[str, object] = {
    "features": None,
    "kind": None,
    "missing": [],
    "not_missing": [],
    "timezone": None,
}  # parameters
# Buffers that lay beside the networks' weights and are the score's own today.
MEMORY, VIEWS = "memory", "views."
OF_SCORES = (
    "units",
    "weights",
    "centre",
    "whitening",
    "quantiles",
    "usual",
    "log_centre",
    "log_whitening",
)


def upgraded(raw: object) -> object:
    """config.json as it is written today: one schema with its kind, in place of two of which one.

    What is not of format 3 stays as it is. Raises ValueError where it is no configuration.
    """
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        return raw
    facts = {name: value for name, value in raw.items() if name not in ("table", "images")}
    table, images, parameters = raw.get("table"), raw.get("images"), raw.get("parameters")
    if (table is None) == (images is None):
        raise ValueError("exactly one of table and images must be there")
    if not isinstance(parameters, dict):
        raise ValueError("the parameters are missing")
    kind, data = ("images", images) if table is None else ("table", table)
    return {**facts, "kind": kind, "data": data, "parameters": {**ADDED, **parameters}}


def renamed(weights: dict[str, T], wanted: Iterable[str]) -> dict[str, T]:
    """Tensors by today's names: those of the networks and those of the score.

    wanted: the names that the model has. Buffers of scores that it does not have are left out: one
    critic kept them for every score.
    """
    names = {name: _name(name) for name in weights}
    known = set(wanted)
    return {
        new: weights[name]
        for name, new in names.items()
        if new in known or not new.startswith("score.")
    }


def _name(name: str) -> str:
    if name == MEMORY:
        return "score.remembered.samples"
    if name.startswith(VIEWS):
        return f"score.remembered.{name}"
    return f"score.{name}" if name in OF_SCORES else f"networks.{name}"
