"""Dates as text: ISO 8601, or one format for a whole column, as strptime writes it.

A format says all that a column's dates have: "%d/%m/%Y %H:%M". Day and month may lack a leading
zero, seconds may have a fraction, "%z" is an offset, Z, UTC or GMT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.data.tables.column_kinds import ARROW_TYPES, ZONED, ColumnType

ZONE: Final = r"(?: ?(?:Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?))"
ISO_DATE: Final = (
    rf"^\d{{4}}-\d{{2}}-\d{{2}}(?:[ T]\d{{2}}(?::\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?)?)?{ZONE}?$"
)
ISO_ZONED: Final = rf"[: T]\d.*{ZONE}$|\d(?:Z| ?UTC| ?GMT)$"

MONTHS: Final = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DIRECTIVES: Final = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>0?[1-9]|1[0-2])",
    "b": r"(?P<b>(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?))\.?",
    "d": r"(?P<d>0?[1-9]|[12]\d|3[01])",
    "H": r"(?P<H>[01]?\d|2[0-3])",
    "I": r"(?P<I>0?[1-9]|1[0-2])",
    "M": r"(?P<M>[0-5]\d)",
    "S": r"(?P<S>[0-5]\d(?:[.,]\d+)?)",
    "p": r"(?P<p>(?i:[ap]\.?m\.?))",
    "z": rf"(?P<z>{ZONE})",
    "a": r"(?i:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?i:day)?\.?",
    "%": "%",
}
SAME: Final = {
    "A": "%a",
    "B": "%b",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "T": "%H:%M:%S",
    "Z": "%z",
    "e": "%d",
    "h": "%b",
}
DAYS: Final = (
    *(f"%Y{sep}%m{sep}%d" for sep in "-/. "),
    *(f"%d{sep}%m{sep}%Y" for sep in "-/. "),
    *(f"%m{sep}%d{sep}%Y" for sep in "-/. "),
    *(f"%d{sep}%m{sep}%y" for sep in "-/."),
    *(f"%m{sep}%d{sep}%y" for sep in "-/."),
    *(f"%y{sep}%m{sep}%d" for sep in "-/"),
    *(f"%d{sep}%b{sep}%Y" for sep in ("-", "/", ".", " ", "")),
    *(f"%d{sep}%b{sep}%y" for sep in "-/ "),
    *(f"%Y{sep}%b{sep}%d" for sep in "-/ "),
    "%d. %b %Y",
    "%d %b, %Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%b-%d-%Y",
    "%a, %d %b %Y",
    "%a %d %b %Y",
    "%a, %b %d, %Y",
    "%a %b %d %Y",
    "%Y年%m月%d日",
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%b %Y",
    "%b-%Y",
)
COMPACT: Final = "%Y%m%d"  # with a time alone: without, it is a number
COMPACT_TIMES: Final = tuple(
    f"%Y%m%d{joint}%H%M{second}{zone}"
    for joint in "T "
    for second in ("", "%S")
    for zone in ("", "%z")
)
TIME: Final = re.compile(
    r"(?P<date>.*?\d.*?)(?P<joint>,? +|T|:)(?P<time>\d{1,2}:\d{2}(?P<seconds>:\d{2}(?:[.,]\d+)?)?)"
    rf"(?P<noon>\s*[AaPp]\.?[Mm]\.?)?(?P<zone>{ZONE})?(?P<rest>(?: {ZONE[4:-1]})? \d{{4}})?"
)
TRIED: Final = 50  # values whose look suggests formats
MOST_CUT: Final = 6  # digits of a second that are kept

Text: TypeAlias = Any  # a pa.Array or a pa.ChunkedArray of strings
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dates:
    """What dates a text column seems to hold: each format that fits most of the values, and which.

    More than one format is a choice that the data do not make. A format of None is ISO 8601.
    """

    formats: tuple[str | None, ...]
    fits: pa.Array


def check_format(text: str) -> None:
    """Raise ValueError for a format that names no day, or that holds what is not known."""
    pattern = _pattern(text)
    groups = re.compile(pattern).groupindex
    if not ({"Y", "y"} & groups.keys() and {"m", "b"} & groups.keys()):
        raise ValueError(f"{text!r} lacks year or month; write one such as %d/%m/%Y %H:%M")
    if ("I" in groups) != ("p" in groups):
        raise ValueError(f"{text!r}: %I and %p go together")


def are_dates(trimmed: Text) -> Text:
    """Which trimmed texts are spelled as ISO dates."""
    return pc.match_substring_regex(trimmed, ISO_DATE)


def are_zoned(trimmed: Text, spelling: str | None = None) -> Text:
    """Which trimmed texts, dates of this format, say their time zone."""
    if spelling is not None:
        zoned = pc.is_valid(trimmed)
        return zoned if "%z" in spelling else pc.invert(pc.or_(zoned, True))
    return pc.match_substring_regex(trimmed, ISO_ZONED)


def find_formats(values: pa.Array, weights: pa.Array) -> Dates:
    """The formats that fit most of the distinct values (n,), which occur so often."""
    iso = are_dates(values).fill_null(False)
    best, most = iso, pc.sum(weights.filter(iso)).as_py() or 0
    suggested = {each: None for value in values[:TRIED].to_pylist() for each in _suggested(value)}
    formats: list[str | None] = [None]
    for text in suggested:
        fits = pc.is_valid(_parsed(values, text))
        count = pc.sum(weights.filter(fits)).as_py() or 0
        if count > most:
            best, most, formats = fits, count, [text]
        elif count == most and count and None not in formats:
            formats.append(text)
    return Dates(tuple(formats), best)


def parse_dates(trimmed: pa.ChunkedArray, column: ColumnType) -> pa.ChunkedArray:
    """Trimmed text (n,) as `column.arrow`, null where it is no date of this type.

    ISO 8601 is taken whatever the format, and a fraction of seconds is cut to microseconds.
    """
    moments = _iso(trimmed, column)
    if column.spelling is None:
        return moments
    spelled = _parsed(trimmed, column.spelling)
    spelled = spelled.cast(column.arrow)
    return pc.coalesce(pa.chunked_array([spelled]), moments)


def _iso(trimmed: pa.ChunkedArray, column: ColumnType) -> pa.ChunkedArray:
    try:
        return pc.cast(trimmed, column.arrow)
    except pa.ArrowInvalid:
        pass
    plain = pc.replace_substring_regex(trimmed, r"(:\d{2}),(\d+)", r"\1.\2")
    plain = pc.replace_substring_regex(plain, r"(\.\d{6})\d+", r"\1")
    plain = pc.replace_substring_regex(plain, r"(\d) ?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$", r"\1\2")
    plain = pc.replace_substring_regex(plain, r"(UTC|GMT)$", "Z")
    plain = pc.replace_substring_regex(plain, r"^(\d{4}-\d{2}-\d{2})Z$", r"\1T00:00:00Z")
    plain = _only(plain, pc.match_substring_regex(trimmed, ISO_DATE))
    zoned = pc.match_substring_regex(plain, ISO_ZONED)
    local = _cast_each(_only(plain, pc.invert(zoned)), ARROW_TYPES["date"])
    universal = _cast_each(_only(plain, zoned), ZONED)
    if column.zoned is None:  # models of a former format took both, as UTC
        return pc.coalesce(local, universal.cast(ARROW_TYPES["date"]))
    return universal if column.zoned else local


def _parsed(text: Text, spelling: str) -> pa.Array:
    """Text (n,) of one format as timestamp[us], in UTC where it says a zone, else null."""
    if isinstance(text, pa.ChunkedArray):
        text = text.combine_chunks()
    encoded = text.dictionary_encode()
    return _parsed_levels(encoded.dictionary, spelling).take(encoded.indices)


def _parsed_levels(text: pa.Array, spelling: str) -> pa.Array:
    pattern = _pattern(spelling)
    found = pc.extract_regex(text, f"^{pattern}$")
    there = pc.is_valid(found).fill_null(False).to_numpy(zero_copy_only=False)
    parts = {
        name: pc.if_else(pa.array(there), pc.struct_field(found, name), "0")
        for name in re.compile(pattern).groupindex
    }
    year = _ints(parts["Y"]) if "Y" in parts else _ints(parts["y"])
    if "y" in parts and "Y" not in parts:
        year = year + np.where(year < 69, 2000, 1900)
    month = _ints(parts["m"]) if "m" in parts else _months(parts["b"])
    day = _ints(parts["d"]) if "d" in parts else np.ones(len(year), np.int64)
    first = ((year - 1970) * 12 + np.maximum(month, 1) - 1).astype("datetime64[M]")
    start = first.astype("datetime64[D]")
    there &= day <= ((first + 1).astype("datetime64[D]") - start).astype(np.int64)
    days = start.astype(np.int64) + day - 1
    moments = days * 86_400_000_000 + _microseconds(parts)
    return pa.array(moments, pa.int64(), mask=~there).cast(pa.timestamp("us"))


def _microseconds(parts: dict[str, pa.Array]) -> Ints:
    """The time of day (n,) in UTC, where a zone is said."""
    n = len(next(iter(parts.values())))
    hour = _ints(parts["H"]) if "H" in parts else np.zeros(n, np.int64)
    if "I" in parts:
        late = pc.match_substring_regex(parts["p"], "^[pP]").to_numpy(zero_copy_only=False)
        hour = _ints(parts["I"]) % 12 + 12 * late
    minute = _ints(parts["M"]) if "M" in parts else 0
    second = 0
    if "S" in parts:
        text = pc.replace_substring_regex(parts["S"], r"^(\d+)[.,](\d{1,6})\d*$", r"\1.\2")
        second = np.rint(text.cast(pa.float64()).to_numpy() * 1e6).astype(np.int64)
    offset = _offsets(parts["z"]) if "z" in parts else 0
    return np.asarray((hour * 60 + minute - offset) * 60_000_000 + second)


def _offsets(zones: pa.Array) -> Ints:
    """Minutes east of UTC (n,)."""
    parts = pc.extract_regex(zones, r"(?P<sign>[+-])(?P<hour>\d{2}):?(?P<minute>\d{2})?")
    hour, minute = (
        _ints(pc.replace_substring_regex(pc.struct_field(parts, name).fill_null(""), "^$", "0"))
        for name in ("hour", "minute")
    )
    west = pc.starts_with(pc.utf8_trim_whitespace(zones), "-").to_numpy(zero_copy_only=False)
    return np.asarray(np.where(west, -1, 1) * (60 * hour + minute))


def _months(names: pa.Array) -> Ints:
    short = pc.utf8_slice_codeunits(pc.utf8_lower(names), 0, 3)
    found = pc.index_in(short, pa.array(MONTHS)).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(found.astype(np.int64) + 1)


def _ints(text: pa.Array) -> Ints:
    return np.asarray(text.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)


@cache
def _pattern(text: str) -> str:
    """A pattern with a group for each directive of a format. Raises ValueError."""
    plain = text
    for name, stands in SAME.items():
        plain = plain.replace(f"%{name}", stands)
    parts: list[str] = []
    for piece in re.split(r"(%.|\s+)", plain):
        if piece.startswith("%") and len(piece) == 2:
            if piece[1] not in DIRECTIVES:
                known = " ".join(f"%{name}" for name in DIRECTIVES if name != "%")
                raise ValueError(f"{text!r} holds {piece}, which is not known; known are {known}")
            parts.append(DIRECTIVES[piece[1]])
        elif piece.isspace():
            parts.append(r"\s+")
        else:
            parts.append(re.escape(piece))
    pattern = "".join(parts).replace(r"\s+" + DIRECTIVES["p"], r"\s*" + DIRECTIVES["p"])
    pattern = pattern.replace(r"\s+" + DIRECTIVES["z"], DIRECTIVES["z"])
    try:
        re.compile(pattern)
    except re.error:
        raise ValueError(f"{text!r} names one part twice") from None
    return pattern


def _suggested(value: str) -> list[str]:
    """The formats that a value has the look of."""
    match = TIME.fullmatch(value)
    if match is None:
        day, time, rest = value, "", ""
        choices: tuple[str, ...] = (*DAYS, *COMPACT_TIMES)
    else:
        hour = "%I" if match["noon"] else "%H"
        time = f"{match['joint']}{hour}:%M{':%S' if match['seconds'] else ''}"
        time = re.sub(" +", " ", time)
        if match["noon"]:
            time += " %p" if match["noon"][0] == " " else "%p"
        if match["zone"]:
            time += "%z"
        day, rest = match["date"], match["rest"] or ""
        choices = (*DAYS, COMPACT)
        if rest:  # the year comes last: Thu Jan  1 12:00:00 2026
            choices = ("%a %b %d", "%b %d")
            time += (" %z" if rest.count(" ") > 1 else "") + " %Y"
    return [each + time for each in choices if _compiled(each).fullmatch(day)]


@cache
def _compiled(text: str) -> re.Pattern[str]:
    return re.compile(_pattern(text))


def _only(values: pa.ChunkedArray, mask: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values where the mask is true, null elsewhere."""
    return pc.if_else(mask, values, pa.scalar(None, values.type))


def _cast_each(values: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """Cast, with null for what looks like a date and is none, such as the 31st of February."""
    try:
        return pc.cast(values, to)
    except pa.ArrowInvalid:
        return pa.chunked_array([[_cast_one(value, to) for value in values]], to)


def _cast_one(value: pa.Scalar, to: pa.DataType) -> pa.Scalar | None:
    try:
        return value.cast(to).as_py()
    except pa.ArrowInvalid:
        return None
