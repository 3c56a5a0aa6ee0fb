"""What a column of text holds: numbers or dates in some spelling, or text.

Numbers and dates that all have one spelling are read as such, and it is said. What looks like them
and is not in one spelling is refused, or, where the source itself says that it is text, warned of.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from lampblack.choices import ColumnKind
from lampblack.data.tables.column_kinds import MISSING, ColumnType
from lampblack.data.tables.dates import are_zoned, find_formats
from lampblack.data.tables.numerals import are_numbers, find_spelling
from lampblack.data.tables.parsing import shown, without
from lampblack.exceptions import InvalidInput, Place, ReadingWarning, Remedy, Setting

ENOUGH: Final = 0.5  # of the values are numbers or dates, where a column seems to hold them
MOST_TRIED: Final = 5000  # distinct values, before all of them are looked at
PLAIN: Final[dict[ColumnKind, str]] = {
    "number": "1234.5",
    "date": "2026-12-31 or 2026-12-31 23:59:59",
}


@dataclass(frozen=True)
class Understood:
    """What a text column seems to hold.

    type: to be read as. wrong: how many of `total` values it does not fit. example: a value that it
    fits. problem: what the column holds, where it can neither be read nor be text in silence.
    formats: those that would settle it. mend: what to do about it, where that is another thing.
    """

    type: ColumnType
    wrong: int = 0
    total: int = 0
    example: str = ""
    problem: str | None = None
    formats: tuple[str, ...] = ()
    mend: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether nothing but text is seen in it."""
        return self.type.kind == "category" and self.problem is None

    def refusal(self, name: str, at: Place) -> InvalidInput:
        """The error for a column that must not become text in silence."""
        told = [f"{self.type.kind}:{each}" for each in self.formats[:2]]
        ways = [Remedy("say which (", Setting("types", {name: each}), ")") for each in told]
        return InvalidInput(
            f"column {name!r} {self.problem}",
            at=at,
            names=Place(column=name),
            remedy=(
                *(ways or [Remedy(self.mend or f"write them as {PLAIN[self.type.kind]}")]),
                keep_text(name),
            ),
        )


def keep_text(name: str) -> Remedy:
    """The remedy of a column that is to be text after all."""
    return Remedy("keep the column as text (", Setting("types", {name: "category"}), ")")


def understand(
    text: pa.ChunkedArray | pa.Array,
    nulls: Sequence[str],
    *,
    decimal: str = ".",
    told: ColumnKind | None = None,
) -> Understood:
    """What a text column (n,) seems to hold.

    nulls: spellings of a missing value. decimal: the decimal mark that is likelier, where the data
    leave it open. told: the kind that the user says; then its spelling alone is looked for.
    """
    trimmed = without(pc.utf8_trim_whitespace(text), tuple(nulls)).drop_null()
    counts = pc.value_counts(trimmed)
    values = _Values(counts.field("values"), counts.field("counts"), told)
    best = Understood(ColumnType(told or "category"), total=values.total)
    if not values.total or (told is None and values.surely_text(decimal)):
        return best
    return _found(values, decimal) or best


def _found(values: _Values, decimal: str) -> Understood | None:
    """What numbers or dates the values are, with the fewest that are none."""
    told, found = values.told, []
    if told in (None, "number"):
        plain = values.understood(ColumnType("number"), are_numbers(values.texts))
        pointed = decimal != "." and pc.any(pc.match_substring(values.texts, ".")).as_py()
        if plain is not None and not plain.wrong and not pointed:
            return plain
        found += [] if pointed else [plain]
    if told in (None, "date"):
        found.append(_as_dates(values))
    if told in (None, "number"):
        found.append(_as_marked(values, decimal))
    return min(filter(None, found), key=lambda each: each.wrong, default=None)


@dataclass(frozen=True)
class _Values:
    """The distinct values of a column, how often each occurs, and what kind they are told to be."""

    texts: pa.Array
    weights: pa.Array
    told: ColumnKind | None
    share: float = ENOUGH

    def surely_text(self, decimal: str) -> bool:
        """Whether, of many values, some show by far too few numbers or dates: it saves the rest."""
        step = len(self.texts) // MOST_TRIED
        if step < 2:
            return False
        index = pa.array(range(0, len(self.texts), step))
        some = _Values(self.texts.take(index), self.weights.take(index), None, self.share / 2)
        return _found(some, decimal) is None

    @property
    def total(self) -> int:
        return pc.sum(self.weights).as_py() or 0

    def weight(self, which: pa.Array) -> int:
        return pc.sum(self.weights.filter(which)).as_py() or 0

    def first(self, which: pa.Array) -> str:
        """The first value of these, as a message shows it."""
        return shown(self.texts.filter(which)[0].as_py())

    def enough(self, fits: pa.Array) -> bool:
        """Whether these are what the column seems to hold."""
        good = self.weight(fits)
        return good > 0 and (good >= self.share * self.total or self.told is not None)

    def understood(
        self,
        column: ColumnType,
        fits: pa.Array,
        problem: str | None = None,
        formats: tuple[str, ...] = (),
        mend: str | None = None,
    ) -> Understood | None:
        """That the column is of this type, if enough of the values fit."""
        if not self.enough(fits):
            return None
        wrong = self.total - self.weight(fits)
        example = self.texts.filter(fits)[0].as_py()
        return Understood(column, wrong, self.total, example, problem, formats, mend)


def _as_dates(values: _Values) -> Understood | None:
    dates = find_formats(values.texts, values.weights)
    if not values.enough(dates.fits):
        return None
    spelling = dates.formats[0]
    if len(dates.formats) > 1:
        problem = f"holds dates that can be read in two ways, such as {values.first(dates.fits)}"
        formats = tuple(str(each) for each in dates.formats)
        return values.understood(ColumnType("date", spelling), dates.fits, problem, formats)
    zoned = pc.and_(dates.fits, are_zoned(values.texts, spelling))
    local = pc.and_(dates.fits, pc.invert(zoned))
    some, others = bool(pc.any(zoned).as_py()), bool(pc.any(local).as_py())
    mixed = None
    if some and others:
        mixed = (
            f"mixes times with a time zone, such as {values.first(zoned)}, and without, such as "
            f"{values.first(local)}"
        )
    mend = "give all of them a time zone, or none"
    return values.understood(ColumnType("date", spelling, some), dates.fits, mixed, mend=mend)


def _as_marked(values: _Values, decimal: str) -> Understood | None:
    """Numbers with marks, all alike; or the problem that they are not."""
    likeness = find_spelling(values.texts, values.weights, decimal)
    if not likeness.sure and values.told is None:
        return None
    number = ColumnType("number")
    if likeness.several:
        a, b = map(shown, likeness.several)
        problem = f"seems to hold numbers with several marks, such as {a} and {b}"
        return values.understood(number, likeness.like, problem)
    if likeness.spelling is None or not values.enough(likeness.fits):
        problem = "seems to hold bounds in place of numbers"
        found = values.understood(number, likeness.like, problem)
        bounds = pc.and_(likeness.like, pc.invert(are_numbers(values.texts)))
        if found is None or not pc.any(bounds).as_py():
            return None
        return values.understood(
            number, likeness.like, f"{problem}, such as {values.first(bounds)}"
        )
    return values.understood(ColumnType("number", str(likeness.spelling)), likeness.fits)


def say_read(name: str, understood: Understood) -> None:
    """Warn that text is read as numbers or dates, and in which spelling."""
    column = understood.type
    what = (
        f"column {name!r}: text such as {shown(understood.example)} is read as {column.kind}s, as "
        f"{column.spelling or 'ISO 8601'}"
    )
    warnings.warn(ReadingWarning(what, keep_text(name)), stacklevel=2)


def say_kept(name: str, understood: Understood) -> None:
    """Warn that text which looks like numbers or dates stays text."""
    kind, right = understood.type.kind, understood.total - understood.wrong
    if understood.problem:
        what = f"column {name!r} {understood.problem}, and stays text"
        told = [f"{kind}:{each}" for each in understood.formats[:2]]
    else:
        what = (
            f"column {name!r} stays text, though {right} of {understood.total} values look like "
            f"{kind}s, such as {shown(understood.example)}"
        )
        told = [] if understood.wrong else [str(understood.type)]
    ways = [Remedy("read it (", Setting("types", {name: each}), ")") for each in told]
    say_it_is = Remedy("say that it is text (", Setting("types", {name: "category"}), ")")
    warnings.warn(ReadingWarning(what, *ways, say_it_is), stacklevel=2)


def say_missing(name: str, texts: pa.ChunkedArray, missing: tuple[str, ...]) -> None:
    """Warn of text that stands for a missing value, by usage alone, and may be meant as text."""
    usual = pa.array([text for text in MISSING if text and text in missing], pa.string())
    found = pc.unique(texts.filter(pc.is_in(texts, value_set=usual))).to_pylist()
    if found:
        shown_ = ", ".join(map(shown, found))
        way = Remedy("say that it is text (", Setting("not_missing", found), ")")
        what = f"column {name!r}: text {shown_} is taken as a missing value"
        warnings.warn(ReadingWarning(what, way), stacklevel=2)
