"""Numbers with marks: currency, units, percent, thousands, a decimal comma, and minus signs.

A spelling is an example of a number, "$1,234.5": what stands before and after it, and which marks
separate thousands and decimals. A minus may stand in front, behind, or be written as brackets;
typographic signs, spaces and digits of other scripts are those of ASCII.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

DECIMAL: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"
HEXADECIMAL: Final = r"^0[xX][0-9a-fA-F]{1,16}$"  # Arrow's inference takes these for integers

CODES: Final = (
    "AED|ARS|AUD|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|MYR|"
    "NGN|NOK|NZD|PHP|PKR|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
CURRENCY: Final = rf"(?:[A-Z]{{0,3}}\p{{Sc}}|{CODES}|Rs\.?|kr\.?|Fr\.?)"
BEFORE: Final = rf"""['"=]*{CURRENCY}?"""
UNIT: Final = r"(?:[%‰‱°′″]|\p{Sc}|[a-zA-Zµμ°Ωℓ]|zł)[\pL\pM\d/²³⁻¹·^%°.\p{Sc}-]*"
AFTER: Final = rf"""(?:{UNIT})?['"]*"""
BODY: Final = r"\d[\d.,' _]*\d|\d|[.,]\d+"
MARKED: Final = (
    rf"^[+-]?\(?\s*(?P<before>{BEFORE})\s*[+-]?\(?\s*(?P<body>(?:{BODY})\.?)(?:[eE][+-]?\d+)?"
    rf"(?P<gap>\s*)[-)]?\s*(?P<after>{AFTER})\s*[-)]?$"
)
INEXACT: Final = r"^[<>≤≥~≈±]\s*=?\s*[+-]?[\d.,]+"
# Thousands and decimal mark, the likelier first: where the data leave it open, as in 1,234, a
# point is the decimal mark and a comma separates thousands.
SEPARATORS: Final = (
    ("", "."),
    (",", "."),
    ("'", "."),
    (" ", "."),
    ("_", "."),
    ("", ","),
    (".", ","),
    (" ", ","),
    ("'", ","),
)
UNIT_NAMES: Final = """
% ‰ ° °c °f k c f g kg mg µg t lb lbs oz m cm mm µm nm km ft in mi yd s ms µs ns min h hr hrs d l
ml cl gal v mv kv a ma w kw mw kwh mwh wh hz khz mhz ghz rpm bar mbar psi pa kpa hpa mpa n nm j kj
cal kcal db dba ppm ppb b kb mb gb tb kib mib gib m2 m3 m² m³ km/h mph m/s l/min l/h µg/l mg/l g/l
mg/dl mmol/l days day years year
"""
UNITS: Final = frozenset(UNIT_NAMES.split())
MINUS: Final = "[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]"
SPACES: Final = "[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"
APOSTROPHES: Final = "[\u2018\u2019\u02bc\uff07]"
INVISIBLE: Final = "[\u200b-\u200f\u2060\ufeff]"

FOREIGN_DIGITS: Final = "[\\p{Nd}\uff01-\uff5e\u066b\u066c]"  # where those of ASCII are gone
NO_CENTS: Final = r"(\d)[.,]-+(\s*[^\d\s]*)$"  # 1'200.- is a whole number, not a negative one

Text: TypeAlias = Any  # a pa.Array or a pa.ChunkedArray of strings


@dataclass(frozen=True)
class NumberSpelling:
    """How the numbers of a column are written."""

    before: str = ""
    after: str = ""
    thousands: str = ""
    decimal: str = "."

    @classmethod
    def of(cls, example: str) -> NumberSpelling:
        """The spelling that an example shows. Raises ValueError where it shows none."""
        text = pa.array([example.strip()])
        found = pc.extract_regex(normal(text), MARKED)[0].as_py()
        if found is None:
            raise ValueError(f"{example!r} is no example of a number; write one such as $1,234.5")
        marks = re.sub(r"\d", "", found["body"])
        if len(marks) == 1 and re.search(r"[.,]\d{3}$", found["body"]):
            raise ValueError(f"{example!r} may be read in two ways; write one such as 1,234.5")
        fitting = [s for s in SEPARATORS if re.fullmatch(_body(*s), found["body"])]
        if not fitting:
            raise ValueError(f"{example!r} is no example of a number; write one such as 1,234.5")
        return cls(found["before"], found["after"], *fitting[0])

    def __str__(self) -> str:
        gap = " " if self.after[:1].isalpha() else ""
        return f"{self.before}1{self.thousands}234{self.decimal}5{gap}{self.after}"

    def parse(self, text: Text) -> Text:
        """Trimmed text (n,) as float64, null where it is no number of this spelling."""
        text = _with_cents(normal(text))
        fits = pc.match_substring_regex(text, _whole(self))
        known = pc.if_else(fits, text, pa.scalar(None, text.type))
        negative = pc.match_substring_regex(known, r"^[^\d]*[-(]|-[^\d]*$")
        if self.before or self.after:
            number = rf"^[^\d.,]*(?P<number>{_body(self.thousands, self.decimal)}(?:[eE][+-]?\d+)?)"
            known = pc.struct_field(pc.extract_regex(known, number), "number")
        else:
            known = pc.replace_substring_regex(known, r"^[+(-]\s*|\s*[)-]$", "")
        if self.thousands:
            known = pc.replace_substring(known, self.thousands, "")
        if self.decimal != ".":
            known = pc.replace_substring(known, self.decimal, ".")
        numbers = pc.cast(known, pa.float64())
        return pc.if_else(negative, pc.negate(numbers), numbers)


@dataclass(frozen=True)
class Likeness:
    """What numbers a text column seems to hold.

    spelling: the one that fits most values; None where no mark is one that is read. fits: which of
    the values it fits, or, without one, which look like numbers. like: which look like numbers or
    like bounds, "<40". several: a value of each of two marks, where there are some. sure: whether a
    column of codes would not look like this.
    """

    spelling: NumberSpelling | None
    fits: pa.Array
    like: pa.Array
    several: tuple[str, ...] = ()
    sure: bool = True


def are_numbers(trimmed: Text) -> Text:
    """Which trimmed texts are spelled as plain numbers."""
    return pc.match_substring_regex(trimmed, f"{DECIMAL}|{HEXADECIMAL}")


def find_spelling(values: pa.Array, weights: pa.Array, decimal: str = ".") -> Likeness:
    """The spelling that fits most of the distinct values (n,), which occur so often.

    decimal: the mark that is likelier.
    """
    text = _with_cents(normal(values))
    parts = pc.extract_regex(text, MARKED)
    inexact = pc.match_substring_regex(text, INEXACT).fill_null(False)
    body = pc.struct_field(parts, "body")
    found = pc.is_valid(parts)
    order = SEPARATORS if decimal == "." else [*SEPARATORS[5:], *SEPARATORS[:5]]
    fitting = [pc.and_(found, pc.match_substring_regex(body, f"^(?:{_body(*s)})$")) for s in order]
    counts = [_weight(weights, fits) for fits in fitting]
    best = max(range(len(order)), key=lambda i: counts[i])
    fits = fitting[best].fill_null(False)
    marks = [pc.struct_field(parts, name) for name in ("before", "after")]
    first: dict[tuple[str, str], str] = {}
    pair = pc.binary_join_element_wise(*marks, "\0")
    kinds = pc.value_counts(pair.filter(fits))
    for both in kinds.field("values").to_pylist()[:50]:
        here = pc.and_(pc.equal(pair, both), fits).fill_null(False)
        before, after = both.split("\0")
        first[before, after] = values.filter(here)[0].as_py()
    if not first:
        return Likeness(None, inexact, inexact)
    spaced = pc.any(pc.equal(pc.struct_field(parts, "gap").filter(fits), " ")).as_py()
    if len(first) > 1:
        sure = all(_is_mark(*pair, bool(spaced)) for pair in first)
        return Likeness(None, fits, pc.or_(fits, inexact), tuple(first.values())[:2], sure=sure)
    ((before, after),) = first
    coded = pc.any(pc.match_substring_regex(body.filter(fits), r"^0\d")).as_py()
    unit = not after or bool(before) or not after[0].isalpha() or spaced or after.lower() in UNITS
    sure = unit and not (coded and after[:1].isalpha()) and (not after or len(values) > 1)
    spelling = NumberSpelling(before, after, *order[best])
    return Likeness(spelling, fits, pc.or_(fits, inexact), sure=bool(sure))


def normal(text: Text) -> Text:
    """Text with ASCII's minus, space, apostrophe and digits in place of others."""
    if pc.all(pc.string_is_ascii(text)).as_py() is not False:
        return text
    for pattern, plain in ((MINUS, "-"), (SPACES, " "), (APOSTROPHES, "'"), (INVISIBLE, "")):
        text = pc.replace_substring_regex(text, pattern, plain)
    ascii_left = pc.replace_substring_regex(text, "[0-9]", "")
    if not pc.any(pc.match_substring_regex(ascii_left, FOREIGN_DIGITS)).as_py():
        return pc.utf8_trim_whitespace(text)
    encoded = text.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    levels = [value.translate(_digits()) for value in encoded.dictionary.to_pylist()]
    return pc.utf8_trim_whitespace(pa.array(levels, pa.string()).take(encoded.indices))


@cache
def _digits() -> dict[int, str]:
    """ASCII's character for each digit of another script, and for each of full width."""
    digits = {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(0x80, 0x1FC00)
        if unicodedata.decimal(chr(code), None) is not None
    }
    wide = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    return {**wide, **digits, 0x66B: ".", 0x66C: ","}


def _with_cents(text: Text) -> Text:
    return pc.replace_substring_regex(text, NO_CENTS, r"\1\2")


def _body(thousands: str, decimal: str) -> str:
    """A pattern of digits with these marks."""
    whole, point = r"\d+", re.escape(decimal)
    if thousands:
        mark = re.escape(thousands)
        group = rf"(?:{mark}\d{{2,3}})*" if thousands == "," else rf"(?:{mark}\d{{3}})*"
        whole = rf"(?:[1-9]\d{{0,2}}{group}{mark}\d{{3}}|\d+)"
    return rf"(?:{whole}(?:{point}\d*)?|{point}\d+)"


def _whole(spelling: NumberSpelling) -> str:
    """A pattern of a number with its marks and at most one sign."""
    number = rf"{_body(spelling.thousands, spelling.decimal)}(?:[eE][+-]?\d+)?"
    before, after = re.escape(spelling.before), re.escape(spelling.after)
    ways = (
        rf"[+-]?\s*{before}\s*{number}\s*{after}",
        rf"{before}\s*[+-]\s*{number}\s*{after}",
        rf"{before}\s*{number}\s*{after}\s*-",
        rf"{before}\s*{number}\s*-\s*{after}",
        rf"\(\s*{before}\s*{number}\s*{after}\s*\)",
        rf"{before}\s*\(\s*{number}\s*\)\s*{after}",
    )
    return f"^(?:{'|'.join(ways)})$"


def _is_mark(before: str, after: str, spaced: bool) -> bool:
    """Whether what stands around numbers is a mark of one, and no letter of a code such as 12B."""
    known = after.lower() in UNITS and (len(after) > 1 or spaced)
    return bool(before) or not after[:1].isalpha() or known


def _weight(weights: pa.Array, which: pa.Array) -> int:
    return pc.sum(weights.filter(which)).as_py() or 0
