"""What the commands ask of each kind of data: its files, its options, and how it is shown."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lampblack.cli.groups import given_options
from lampblack.data.kind import AnyKind, Schema
from lampblack.data.kinds import kind_of
from lampblack.data.source import Batch, Labels, Source
from lampblack.exceptions import InvalidInput
from lampblack.results import ScoredRows, ScoringModel

if TYPE_CHECKING:
    from lampblack.cli.alarms import Alarm
    from lampblack.cli.options import (
        DataOptions,
        FitOptions,
        FittedRowOptions,
        KnownOptions,
        LabelOptions,
        ReasonOptions,
    )
    from lampblack.report import AlarmShown

ColumnStyle = dict[str, Any]  # of rich's tables
_HOMES = {"images": "lampblack.cli.images", "table": "lampblack.cli.tables"}


@dataclass(frozen=True)
class ToFit:
    """Samples to fit, their labels (−1 for a known anomaly), and what a model keeps of the file.

    ignored: columns that later files may have, too. reading: how the file was written.
    """

    samples: Any
    y: Any = None
    ignored: tuple[str, ...] = ()
    reading: dict[str, Any] = field(default_factory=dict)


class Pictures(Protocol):
    """Takes batches that were scored, and draws them when all are known."""

    def add(self, batch: Batch, scored: ScoredRows) -> None: ...

    def finish(self) -> str:
        """Write them, and say what was written."""


class PartFigures(Protocol):
    """Compares explanations with known causes, sample by sample."""

    def add(self, batch: Batch) -> None: ...

    def figures(self) -> Mapping[str, object]: ...


class Presentation(ABC):
    """One kind of data, as the commands show it.

    kind: what is shown. plural: whose options are its own. here: what is said where an option of
    another kind is given. is_given: as "holds images". most_alarms: in a report. causes,
    key_column: how alarms are printed.
    """

    kind: ClassVar[AnyKind]
    plural: ClassVar[str]
    here: ClassVar[str]
    is_given: ClassVar[str]
    most_alarms: ClassVar[int]
    causes: ClassVar[str]
    key_column: ClassVar[ColumnStyle]

    @abstractmethod
    def holds(self, path: Path) -> bool:
        """Whether data of this kind is at `path`."""

    @abstractmethod
    def open(
        self,
        data: Path,
        model: ScoringModel,
        options: DataOptions,
        *,
        labels: Labels | None = None,
        labels_needed: bool = False,
        key: str | None = None,
        to_fit: bool = False,
    ) -> Source:
        """The samples at `data`. to_fit: normal ones alone, where the folder tells them apart."""

    @abstractmethod
    def to_fit(
        self, data: Path, rows: FittedRowOptions, known: KnownOptions, options: FitOptions
    ) -> ToFit:
        """The samples at `data` to fit a detector to."""

    @abstractmethod
    def joined(self, samples: Sequence[Any]) -> Any:
        """Samples as batches show them, one after the other."""

    @abstractmethod
    def cause(self, explanation: Any, i: int, sample: Any, most: int | None) -> str:
        """What caused the i-th alarm. most: how many causes to name; None is as many as fit."""

    @abstractmethod
    def reported(
        self, model: Any, alarms: Sequence[Alarm]
    ) -> tuple[list[AlarmShown], dict[str, float]]:
        """Alarms as a report shows them, and the mean share of the scores by column."""

    @abstractmethod
    def most_read(self, schema: Any) -> int:
        """How many samples a diagnosis reads."""

    @abstractmethod
    def most_looked_at(self, schema: Any) -> int:
        """How many samples a report looks at, normal ones and anomalies each."""

    @abstractmethod
    def described(self, schema: Any) -> list[tuple[str, str]]:
        """What `lampblack info` says of the samples of a model: names and texts."""

    def check_results(self, model: ScoringModel, reasons: ReasonOptions) -> None:  # noqa: B027
        """Raise InvalidInput where such reasons cannot be given."""

    def check_labels(self, labels: LabelOptions, *, needed: bool = False) -> None:  # noqa: B027
        """Raise InvalidInput where labels are given, or needed, that cannot be found."""

    def pictures(
        self, model: ScoringModel, reasons: ReasonOptions, keep: Sequence[Path]
    ) -> AbstractContextManager[Pictures | None]:
        """What draws the samples, if asked for. keep: paths that it must not write over."""
        return nullcontext()

    def slow_checks(self) -> tuple[str, ...]:
        """Checks that a report without a diagnosis leaves out."""
        return ()

    def hint(self, model: ScoringModel, reasons: ReasonOptions) -> str:
        """What else `lampblack score` can do with this model."""
        return ""

    def part_figures(self, model: ScoringModel, path: Path, source: Any) -> PartFigures | None:
        """What compares explanations with known causes, where such are known."""
        return None

    def refuse_other_model(self, model: ScoringModel, path: Path, data: Path) -> None:
        """Raise InvalidInput where a model was fitted on another kind of data."""
        if model.schema.kind != self.kind.name:
            other = kind_of(model.schema).described
            raise InvalidInput(f"{path} was fitted on {other}, and {data} {self.is_given}")

    def refuse_options(self, *groups: Any) -> None:
        """Raise InvalidInput for an option that has no meaning for this kind of data."""
        for flag, kind in given_options(*groups):
            if kind not in (None, self.kind.name):
                raise InvalidInput(
                    f"{flag} is for {_named(kind).plural}, and {self.here}; leave it out"
                )


def presentation_of(schema: Schema) -> Presentation:
    """The presentation of the kind of data that a schema describes."""
    return _named(schema.kind)


def presentation_at(path: Path) -> Presentation:
    """The presentation of the data at `path`. Raises InvalidInput where there is nothing."""
    return next(each for each in map(_named, _HOMES) if each.holds(path))


def _named(name: str) -> Presentation:
    found: Presentation = importlib.import_module(_HOMES[name]).PRESENTATION
    return found
