"""The delimiter of a CSV file, found from many of its lines and not from the first alone.

A delimiter fits where it splits the first line and most others into equally many fields, where
these are of one kind, and where no field is left that another delimiter would split. Where two fit
equally well, or none does, the file is refused: a wrong guess gives columns that look right.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lampblack.data.tables.column_kinds import MISSING

DELIMITERS: Final = (",", ";", "\t", "|")
SPACES: Final = " "  # as a delimiter: any run of spaces and tabs
NAMED: Final = {"\t": "tab", SPACES: "spaces"}
MOST_LINES: Final = 500
MOST: Final = 0.5  # of the lines, at least, have as many fields as the first
NEARLY_ALL: Final = 0.9
LIKE: Final = 0.05  # what two delimiters may differ in, and fit equally well

_MONEY: Final = r"[$€£¥]"
_DIGITS: Final = r"(?:\d{1,3}(?:[ \u00a0\u202f'’.,]\d{3})+|\d+)?"
NUMBER: Final = re.compile(
    rf"[(<>~]?[+\-−]?\s?{_MONEY}?\s?[+\-−]?(?=[\d.,]){_DIGITS}(?:[.,]\d*)?(?:[eE][+-]?\d+)?"
    rf"(?<=[\d.,])\s?(?:%|‰|°?[A-Za-z]{{1,3}}|{_MONEY})?[)\-−]?|(?i:[+-]?inf(?:inity)?)"
)
_TIME: Final = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:\s?(?:Z|UTC|[AaPp][Mm]|[+-]\d{2}:?\d{2}))?"
_DAY: Final = r"\d{1,4}(?:[-/.]\d{1,2}[-/.]|[ -][A-Za-z]{3,9}[ -])\d{1,4}"
MOMENT: Final = re.compile(rf"{_DAY}(?:(?:T|\s){_TIME})?|{_TIME}")
_SPACED: Final = re.compile(r'(?:"[^"\r\n]*"|[^ \t"])+')


@dataclass(frozen=True)
class Split:
    """What a delimiter makes of the first lines of a file.

    first: the fields of the first line. rows: the fields of those that have `width` many; the first
    is among them where it holds no names. fit: which share of the rows has that many. usual: how
    many fields most rows have. typed: which share of the fields are numbers, dates or times.
    unsplit: fields of a row, on average, that another delimiter would split.
    """

    delimiter: str
    first: list[str]
    rows: list[list[str]]
    width: int
    fit: float
    usual: int
    typed: float
    unsplit: float
    count: int

    @property
    def fits(self) -> bool:
        return self.width > 1 and self.fit >= MOST

    @property
    def loss(self) -> float:
        """The less, the better it fits."""
        return self.unsplit + 2 * (1 - self.fit)

    @property
    def is_regular(self) -> bool:
        """Whether nearly all rows, whatever the first line says, have equally many fields."""
        return self.usual > 1 and self.count > 1


class Undecided(Exception):
    """No delimiter fits, or several do; the text is a sentence."""


def split_lines(text: str, delimiter: str, *, whole: bool) -> list[list[str]]:
    """The fields of the first lines; of a text that goes on, without the last. Blank ones: none.

    Raises csv.Error where a field is longer than a row can be.
    """
    lines: Iterable[list[str]]
    if delimiter == SPACES:
        lines = (fields_between_spaces(line) for line in re.split(r"[\r\n]+", text))
    else:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found = [fields for fields, _ in zip(lines, range(MOST_LINES + 1), strict=False) if fields]
    cut = not whole or len(found) > MOST_LINES
    return found[:-1] if cut and len(found) > 1 else found


def fields_between_spaces(line: str) -> list[str]:
    """The fields of a line that runs of spaces and tabs part.

    >>> fields_between_spaces(' 1.5  "a b" c')
    ['1.5', 'a b', 'c']
    """
    return [field.strip('"') for field in _SPACED.findall(line)]


def is_typed(field: str) -> bool:
    """Whether a text is a number, a date or a time, in whatever spelling."""
    text = field.strip()
    return bool(NUMBER.fullmatch(text) or MOMENT.fullmatch(text))


def find_split(text: str, *, header: bool, whole: bool, delimiter: str | None = None) -> Split:
    """How the lines of a file are split, by the delimiter that is told or the one that fits.

    text: the beginning of a file, from its header on; whole: all of it. Raises Undecided.
    """
    if delimiter is not None:
        return _split(text, delimiter, header=header, whole=whole)
    splits = [_split(text, each, header=header, whole=whole) for each in DELIMITERS]
    spaced = _split(text, SPACES, header=header, whole=whole)
    fitting = sorted((each for each in splits if each.fits), key=lambda each: each.loss)
    if fitting:
        return _best(fitting, spaced)
    if spaced.fits and spaced.typed >= MOST and not _is_one_column(spaced, splits):
        return spaced
    return _one_column(text, splits, spaced, header=header, whole=whole)


def _best(fitting: Sequence[Split], spaced: Split) -> Split:
    """The best of those that fit. Spaces, which many texts have, must explain all that they do."""
    near = [each for each in fitting if each.loss - fitting[0].loss < LIKE]
    best, *others = sorted(near, key=lambda each: -each.typed)
    if spaced.fits and spaced.fit >= NEARLY_ALL and spaced.typed == 1 > best.typed:
        return spaced
    if others and best.count and best.typed - others[0].typed < LIKE / 2:
        raise Undecided(
            f"the delimiter cannot be told: {_shown(best)}, and {_shown(others[0])}, which fits as "
            "well"
        )
    return max(near, key=lambda each: each.width) if not best.count else best


def _is_one_column(spaced: Split, splits: Sequence[Split]) -> bool:
    """Whether lines that spaces could part are single values, such as 2024-01-01 12:00."""
    lines = [" ".join(fields) for fields in spaced.rows]
    return (
        bool(lines)
        and all(map(MOMENT.fullmatch, lines))
        and all(each.width == 1 for each in splits)
    )


def _one_column(
    text: str, splits: Sequence[Split], spaced: Split, *, header: bool, whole: bool
) -> Split:
    """The lines as single values, or as the first line is split where the others are not.

    Raises Undecided where the lines agree on a number of fields, but not with the first.
    """
    widest = max(splits, key=lambda each: each.width)
    if widest.width == 1:
        absent = next((each for each in DELIMITERS if each not in text), None)
        alone = None if absent is None else _split(text, absent, header=header, whole=whole)
        if alone is not None and alone.typed == 1:
            return alone
    regular = [each for each in splits if each.is_regular and each is not widest]
    regular += [widest] if widest.is_regular and widest.width == 1 else []
    regular += [spaced] if spaced.is_regular and spaced.typed == 1 else []
    if regular:
        tried = ", ".join(_shown(each) for each in (*splits, spaced))
        raise Undecided(f"no delimiter splits all lines alike: {tried}")
    return widest


def _shown(split: Split) -> str:
    """What was tried, as a message says it."""
    name = NAMED.get(split.delimiter, repr(split.delimiter))
    rows = f" and {split.usual} in the others" if split.usual not in (0, split.width) else ""
    return f"{name} gives {split.width} field{'s' * (split.width != 1)} in the first line{rows}"


def _split(text: str, delimiter: str, *, header: bool, whole: bool) -> Split:
    try:
        lines = split_lines(text, delimiter, whole=whole)
    except csv.Error:
        lines = []
    if not lines:
        return Split(delimiter, [], [], 0, 0.0, 0, 0.0, 0.0, 0)
    body = lines[header:]
    counts = Counter(map(len, body))
    usual, most = counts.most_common(1)[0] if counts else (0, 0)
    width = len(lines[0]) if header else usual
    rows = [fields for fields in body if len(fields) == width]
    fields = [field for row in rows for field in row if field.strip() not in MISSING]
    typed = [is_typed(field) for field in fields]
    foreign = [each for each in DELIMITERS if each != delimiter]
    unsplit = sum(
        not known and any(each in field for each in foreign)
        for known, field in zip(typed, fields, strict=True)
    )
    return Split(
        delimiter,
        lines[0],
        rows,
        width,
        len(rows) / len(body) if body else 1.0,
        usual if most >= NEARLY_ALL * len(body) else 0,
        sum(typed) / len(typed) if typed else 0.0,
        unsplit / max(1, len(rows)),
        len(body),
    )
