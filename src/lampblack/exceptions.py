"""What can go wrong, drawn as a tree.

LampblackError
├── InvalidInput (also a ValueError)      the data or a parameter cannot be used
│   ├── SchemaMismatch                    new data lack the columns or types that were fitted
│   └── UnreadableImage                   a file is no image, or a damaged one
├── TrainingError (also a RuntimeError)   training broke down, or met a foreign checkpoint
├── ExportError                           a detector holds what a portable model cannot
├── ModelFileError                        a saved model is missing, damaged, newer or unknown
└── MissingExtra (also an ImportError)    an optional library is not installed

LampblackWarning (a UserWarning)
├── CalibrationWarning                    too few rows calibrated for the rate that was asked for
├── CollapseWarning                       the network no longer tells rows apart
├── ImageWarning                          files of images hold more than is read of them
├── ReadingWarning                        text was read as numbers or dates, or looks like them
└── TrainingWarning                       training did not lower the loss, or could not use a column

An error is data: `what` is wrong, `where`, and each `remedy`. Its text is one line of the three, in
Python's words. Where a text means a parameter it holds a `Setting`, which the command line writes
as its option and the service as what a request may say.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar


@dataclass(frozen=True)
class Setting:
    """A parameter by its name in Python, and the value to give it; None means the name alone.

    >>> str(Setting("image_size", 256)), str(Setting("exclude"))
    ('image_size=256', 'exclude')
    """

    name: str
    value: Any = None

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value!r}"


Self = TypeVar("Self", bound="LampblackError")  # typing has one from Python 3.11 on
Part = str | Setting
Write = Callable[[Setting], str]


@dataclass(frozen=True, init=False)
class Remedy:
    """One thing to do about an error: a phrase in parts, some of which may be settings.

    joint: what comes before it; by default "; ", or ", or " after another remedy.

    >>> str(Remedy("skip such rows (", Setting("on_bad_row", "skip"), ")"))
    "skip such rows (on_bad_row='skip')"
    """

    parts: tuple[Part, ...]
    joint: str | None

    def __init__(self, *parts: Part, joint: str | None = None) -> None:
        object.__setattr__(self, "parts", parts)
        object.__setattr__(self, "joint", joint)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The parameters to set, to change or to leave out."""
        return tuple(part for part in self.parts if isinstance(part, Setting))

    def __str__(self) -> str:
        return _written(self.parts, str)


SKIP_BAD_ROWS = Remedy("skip such rows (", Setting("on_bad_row", "skip"), ")")


@dataclass(frozen=True)
class Place:
    """Where something is wrong: in which file, row (counted from 1) and column; None is unknown.

    >>> str(Place("a.csv", 2, "flow")), str(Place(row=2, column="flow")), str(Place())
    ("a.csv: row 2, column 'flow'", "column 'flow', row 2", '')
    """

    path: str | Path | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        row = [] if self.row is None else [f"row {self.row}"]
        column = [] if self.column is None else [f"column {self.column!r}"]
        if self.path is None:
            return ", ".join(column + row)
        return ": ".join([str(self.path), *filter(None, [", ".join(row + column)])])

    def or_else(self, other: Place) -> Place:
        """This place, and of another what is unknown here."""
        mine, theirs = vars(self), vars(other)
        return Place(**{k: theirs[k] if mine[k] is None else mine[k] for k in mine})


NOWHERE = Place()


class LampblackError(Exception):
    """Base of every error raised on purpose by this library. Its text is one line.

    what: the sentence, in parts. at: where, which the text begins with. names: what the sentence
    itself says of where. remedy: what to do, each a phrase or a `Remedy`.

    >>> str(InvalidInput("'?' is no number", at=Place("a.csv", 2), remedy=("mend it", "cut it")))
    "a.csv: row 2: '?' is no number; mend it, or cut it"
    """

    def __init__(
        self,
        *what: Part,
        at: Place = NOWHERE,
        names: Place = NOWHERE,
        remedy: str | Remedy | tuple[str | Remedy, ...] = (),
    ) -> None:
        super().__init__(*what)
        self._at, self._names = at, names
        remedies = remedy if isinstance(remedy, tuple) else (remedy,)
        self.remedy = tuple(Remedy(r) if isinstance(r, str) else r for r in remedies)

    @property
    def what(self) -> str:
        """What is wrong, without the place that the text begins with, and without remedies."""
        return _written(self.args, str)

    @property
    def where(self) -> Place:
        """All that is known of the place."""
        return self._names.or_else(self._at)

    def at(self: Self, path: str | Path | None = None, row: int | None = None) -> Self:
        """The same error in this file, or in this row of it, where none was known."""
        error = copy.copy(self)
        known = self.where
        new = Place(path if known.path is None else None, row if known.row is None else None)
        error._at = self._at.or_else(new)
        return error

    def with_remedy(self: Self, *remedies: Remedy) -> Self:
        """The same error, and something more to do about it."""
        error = copy.copy(self)
        error.remedy += remedies
        return error

    def noted(self: Self, note: str) -> Self:
        """The same error with a note, which tracebacks and the command line show after its text."""
        error = copy.copy(self)
        error.__notes__ = [*getattr(self, "__notes__", ()), note]  # add_note is of Python 3.11
        return error

    def text(
        self, write: Write = str, takes: Callable[[Setting], bool] = lambda setting: True
    ) -> str:
        """The place, what is wrong, and what to do about it.

        write: how a setting is written. takes: whether the reader can change one; a remedy that
        needs another one is left out.
        """
        line = ": ".join(filter(None, [str(self._at), _written(self.args, write)]))
        usual = "; "
        for remedy in self.remedy:
            if all(map(takes, remedy.settings)):
                joint = usual if remedy.joint is None else remedy.joint
                line, usual = line + joint + _written(remedy.parts, write), ", or "
        return line

    def __str__(self) -> str:
        return self.text()


class InvalidInput(LampblackError, ValueError):
    """The data or a parameter cannot be used; the error says what, where and what to do."""


class SchemaMismatch(InvalidInput):
    """New data do not have the columns or the types of the data that were fitted."""


class UnreadableImage(InvalidInput):
    """A file cannot be read as an image: it is another thing, damaged, or of a kind not taken."""


class TrainingError(LampblackError, RuntimeError):
    """Training could not go on; the text names the step and the likely cause."""


class ExportError(LampblackError):
    """A detector cannot be exported; the text names the column or the network, and a way out."""


class ModelFileError(LampblackError):
    """A saved model, folder or portable, is missing, damaged, newer, or not a model."""

    @classmethod
    def of(
        cls, path: str | Path, what: str, remedy: str | Remedy | tuple[str | Remedy, ...] = ()
    ) -> ModelFileError:
        """What is wrong with a file, whose path the sentence begins with."""
        return cls(f"{path} {what}", names=Place(path), remedy=remedy)


class MissingExtra(LampblackError, ImportError):
    """An optional library is not installed; `extra` is the one of lampblack's that brings it.

    library: to install alone, where the extra brings more than is needed.
    """

    def __init__(self, *what: Part, extra: str = "", library: str = "") -> None:
        package = f"'lampblack[{extra}]'"
        if library:
            package = f"{library} (or {package})"
        super().__init__(*what, remedy=Remedy(f"pip install {package}", joint=": "))
        self.extra = extra


class LampblackWarning(UserWarning):
    """Base of every warning given by this library."""


class CalibrationWarning(LampblackWarning):
    """Too few rows calibrated for the false-alarm or false-discovery rate that was asked for."""


class ReadingWarning(LampblackWarning):
    """Text was read as numbers or dates, or looks like them and was not; or text was missing.

    what: the sentence. remedies: what to set where it is not meant so.
    """

    def __init__(self, what: str, *remedies: Remedy) -> None:
        super().__init__(what)
        self.what, self.remedies = what, remedies

    def text(self, write: Write = str) -> str:
        """The sentence and what to do. write: how a setting is written."""
        ways = [_written(remedy.parts, write) for remedy in self.remedies]
        return "; ".join(filter(None, [self.what, ", or ".join(ways)]))

    def __str__(self) -> str:
        return self.text()


class TrainingWarning(LampblackWarning):
    """Training did not lower its loss, or there was nothing to learn from a column."""


class ImageWarning(LampblackWarning):
    """Files of images hold more than is read of them: pictures, bits, hidden pixels."""


class CollapseWarning(LampblackWarning):
    """Codes or scores of held-out rows have no spread: the network tells rows apart no more."""


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, which torch, on a CPU, says in a RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


def _written(parts: tuple[Part, ...], write: Write) -> str:
    return "".join(write(part) if isinstance(part, Setting) else part for part in parts)
