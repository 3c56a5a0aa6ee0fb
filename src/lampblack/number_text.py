"""Numbers as people read them: one rule for terminal, report and the service's page.

The page has the same four functions in JavaScript; a test holds the two against each other.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import SupportsFloat, SupportsIndex

DIGITS = 4  # that are significant
SMALL, LARGE = 1e-4, 1e15  # from here and to here without an exponent
NONE = "–"
Number = SupportsFloat | SupportsIndex | None


def number(value: Number) -> str:
    """A score, a threshold, a value of a column: four digits, and every one before the point.

    A dash stands for None and NaN. Halves are rounded away from zero.

    >>> [number(x) for x in (0.123456, 5000, 888000, 123456.7, -2.50, 0.99996, 1e-300, 2e20)]
    ['0.1235', '5000', '888000', '123457', '-2.5', '1', '1e-300', '2e20']
    >>> [number(x) for x in (0, float("nan"), None, float("-inf"))]
    ['0', '–', '–', '-∞']
    """
    if value is None or math.isnan(known := float(value)):
        return NONE
    if math.isinf(known):
        return "∞" if known > 0 else "-∞"
    if known == 0:
        return "0"
    exact = Decimal(known)
    exponent = exact.adjusted()
    if SMALL <= abs(known) < LARGE:
        return _without_zeros(_rounded(exact, max(0, DIGITS - 1 - exponent)))
    first, _, power = f"{_rounded(exact, DIGITS - 1 - exponent):.{DIGITS - 1}e}".partition("e")
    return f"{_without_zeros(Decimal(first))}e{int(power)}"


def count(value: Number) -> str:
    """How many: a whole number with its thousands marked.

    >>> [count(n) for n in (7, 5000, 1234567, -20000)]
    ['7', '5,000', '1,234,567', '-20,000']
    """
    if value is None or not math.isfinite(value if isinstance(value, int) else float(value)):
        return number(value)
    return f"{value if isinstance(value, int) else int(_rounded(Decimal(float(value)), 0)):,}"


def percent(share: Number, decimals: int = 2) -> str:
    """A share of 1 in percent, which is 0 or 100 only where it is none or all.

    >>> [percent(x) for x in (0.0125, 0, 1, 1e-5, 0.999999, 51.2)]
    ['1.25%', '0.00%', '100.00%', '0.001%', '>99.99%', '5120.00%']
    >>> [percent(x, 0) for x in (0.3, 0.001, 0.999)]
    ['30%', '<1%', '>99%']
    """
    if share is None or not math.isfinite(known := float(share)):
        return number(share)
    shown = _rounded(Decimal(100 * known), decimals)
    if 0 < known < 1 and shown in (0, 100):
        if shown == 100:
            return f">{100 - Decimal(1).scaleb(-decimals):f}%"
        return f"{number(100 * known)}%" if decimals else "<1%"
    return f"{shown if shown else abs(shown):f}%"


def duration(seconds: Number) -> str:
    """A time that something took, or may take.

    >>> [duration(s) for s in (0, 0.0004, 0.26, 9.04, 30, 59.96, 200, 3600, 93784)]
    ['0 s', '0.0004 s', '0.26 s', '9 s', '30 s', '1 min', '3 min 20 s', '1 h', '26 h 3 min']
    """
    if seconds is None or not math.isfinite(known := float(seconds)):
        return number(seconds)
    if known < 1:
        return f"{number(known)} s"
    tenths = _rounded(Decimal(known), 1)
    if tenths < 60:
        return f"{_without_zeros(tenths)} s"
    whole = round(known)
    large, small, names = (whole // 60, whole % 60, ("min", "s"))
    if large >= 60:
        large, small, names = (round(known / 60) // 60, round(known / 60) % 60, ("h", "min"))
    return f"{large} {names[0]}" + (f" {small} {names[1]}" if small else "")


def file_size(n_bytes: int) -> str:
    """The size of a file, in units of 1000.

    >>> [file_size(n) for n in (0, 999, 1500, 999_999, 17_300_000, 4 * 10**12)]
    ['0 B', '999 B', '1.5 kB', '1 MB', '17.3 MB', '4000 GB']
    """
    size, units = Decimal(n_bytes), iter(("kB", "MB", "GB"))
    unit = "B"
    while _rounded(size, 1) >= 1000 and (larger := next(units, None)):
        size, unit = size / 1000, larger
    return f"{_without_zeros(_rounded(size, 1))} {unit}"


def _rounded(value: Decimal, decimals: int) -> Decimal:
    with localcontext() as context:
        context.prec = 800  # more than the digits of any float
        return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def _without_zeros(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").removesuffix(".") if "." in text else text
