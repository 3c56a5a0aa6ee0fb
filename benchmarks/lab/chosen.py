"""Eight tables and three digits, named before the first run on them."""

from __future__ import annotations

from benchmarks.lab import image_sets, protocol
from benchmarks.lab.protocol import Split

TABLES = (
    "6_cardio",
    "14_glass",
    "18_Ionosphere",
    "20_letter",
    "26_optdigits",
    "30_satellite",
    "38_thyroid",
    "40_vowels",
)
DIGITS = ("mnist 8", "mnist 3", "mnist 1")
TWO_DIGITS = DIGITS[:2]


def split_of(name: str, seed: int) -> Split:
    """Rows of a table, or images of a digit."""
    return image_sets.load(name, seed) if name in DIGITS else protocol.split_of(name, seed)
