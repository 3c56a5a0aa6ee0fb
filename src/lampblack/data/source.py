"""Samples of files as a stream of batches, whatever their kind: what the commands read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Positions = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]


class Labels(Protocol):
    """What a user says of labels: the column that holds them, and what its values mean.

    Kinds of data that keep samples of one class in one folder have no such column.
    """

    @property
    def label(self) -> str | None: ...

    @property
    def anomaly(self) -> Sequence[str]: ...

    @property
    def normal(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Unscored:
    """A sample that has no score, and the sentence that says why."""

    position: int
    key: str
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class Batch:
    """Samples of a source (n), one after the other.

    samples: as models take them, checked. shown: the same as the user knows them. keys: what names
    each (n,). positions: where each lies in the source (n,). anomaly: which are anomalies by their
    labels (n,), None without labels. times: when each was (n,), None where that is unknown.
    unscored: samples between these that can have no score.
    """

    samples: Any
    shown: Any
    keys: pa.Array
    positions: Positions
    anomaly: Marks | None = None
    times: npt.NDArray[np.datetime64] | None = None
    unscored: Sequence[Unscored] = ()

    def __len__(self) -> int:
        return len(self.positions)


class Source(Protocol):
    """Samples of one file or folder.

    noun: what one sample is called. key_name: what its key is called. time_name: what its time is
    called, empty where there is none. total: how many samples there are, None before they are read.
    left_out: what became of `skipped` samples, as "3 rows were ...". skipped: samples left out so
    far, each of which says why as text.
    """

    noun: ClassVar[str]
    left_out: ClassVar[str]
    key_name: str
    time_name: str
    total: int | None

    @property
    def skipped(self) -> Sequence[object]: ...

    def __iter__(self) -> Iterator[Batch]:
        """The batches in order. Raises InvalidInput, naming the sample, for one at fault."""

    def check_labels(self) -> None:
        """Raise InvalidInput where the labels read so far cannot say which are anomalies."""

    def whole(self) -> Any | None:
        """All samples, as a detector takes them; None where there is none."""
