"""A kind of data as one object: what every other layer may ask of tables, images and the like.

`data/kinds.py` names the kinds there are. Nothing above `data` asks which of them it has: it asks
the kind, its schema, its samples or its encoder, by what stands here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lampblack.explanation import Explanation

Array: TypeAlias = npt.NDArray[Any]
Positions = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Advance = Callable[[int], object]  # told how many more samples are read


Self = TypeVar("Self", bound="InMemory")


class Split(NamedTuple):
    """Positions of the samples that train, validate and calibrate; none does two of these."""

    train: Positions
    validation: Positions
    calibration: Positions


class Reader(Protocol):
    """Gives samples of files as an encoder holds them, in batches, ahead of their use."""

    def __len__(self) -> int: ...

    def read(self, positions: Sequence[Positions]) -> Iterator[Array]:
        """The samples at each of these positions, as `Encoder.values` gives them."""

    def digest(self) -> str:
        """A hash of what is read."""


class Samples(Protocol):
    """Samples that a schema has checked: in memory, or in files and read when they are needed."""

    def __len__(self) -> int: ...

    def take(self, index: Positions) -> Samples:
        """The samples at these positions."""

    def chunks(self, size: int) -> Iterator[Samples]:
        """The samples in order, `size` at a time, in memory."""

    def reader(self, encoder: Any) -> Reader | None:
        """What reads them batch by batch; None where they are in memory."""

    def drawn(
        self, split: Split, *, seen: int, least: int, advance: Advance
    ) -> tuple[Samples, Split, Samples | None]:
        """What of them a fit holds in memory, the split of that, and what training reads instead.

        seen: how many samples training sees, repeated ones included. least: how many training
        samples the encoder and the score learn from, at least, if there are so many. advance: is
        told how many samples were read. The last is None where training, too, takes the first.
        """

    @property
    def stored(self) -> bool:
        """Whether they stay in a file however many are asked for."""

    @property
    def to_decode(self) -> int:
        """How many `drawn` decodes, one by one; 0 where it does not."""


class InMemory:
    """What samples in memory have in common: they are drawn as they are, and nothing is read."""

    stored: bool = False
    to_decode: int = 0

    def in_memory(self: Self) -> Self:
        """The samples themselves."""
        return self

    def reader(self, encoder: object) -> None:
        """None: they are in memory."""

    def drawn(
        self: Self, split: Split, *, seen: int, least: int, advance: Advance
    ) -> tuple[Self, Split, None]:
        """All of them, as they are."""
        return self, split, None


class Schema(Protocol):
    """What samples of one model have in common: columns, or channels and size."""

    kind: ClassVar[str]

    @property
    def n_features(self) -> int:
        """How many columns or pixels a sample has, as scikit-learn counts them."""

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns, as scikit-learn has them; None where they have none."""

    def model_dump(self, *, mode: str = "python") -> dict[str, object]:
        """The schema as a dictionary, or, mode="json", as JSON has it."""


class Encoder(Protocol):
    """The only door from checked samples to the tensors that networks take.

    A frozen network, where there is one, is a part of it: `tensor` runs it.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as networks take it."""

    @property
    def varying(self) -> Marks:
        """Which features (width,) took more than one value in training; one True stands for all."""

    @property
    def numbers(self) -> Marks | None:
        """Which features (width,) are numbers of their own; None where features are no columns."""
        return None

    @property
    def frozen(self) -> nn.Module | None:
        """The frozen network that `tensor` runs, where there is one."""
        return None

    def fit(self, samples: Any) -> Any:
        """Learn from training samples in memory; returns the encoder."""

    @property
    def unlearned(self) -> list[str]:
        """Names of columns from which nothing can be learned."""
        return []

    def form(self, samples: Any) -> tuple[tuple[int, ...], npt.DTypeLike]:
        """The shape of one sample, and the type of its numbers, in what `values` gives."""

    def values(self, samples: Any, out: Array | None = None) -> Array:
        """Samples (n, ...) in the form in which training holds them, as small as can be.

        out: an array to fill and return.
        """

    def tensor(self, values: Tensor) -> Tensor:
        """What `values` gave, on a device, as float32 (n, *shape): bytes are brought to [0, 1]."""

    def fold(self, by_element: npt.NDArray[np.float32]) -> Floats:
        """Sum values by element (n, *shape) into values by what the user knows, columns, pixels."""

    def state(self) -> Mapping[str, object]:
        """What was learned, as JSON holds it to the bit."""


class Event(NamedTuple):
    """Alarms that belong together: positions of the first, the last and the strongest sample."""

    first: int
    last: int
    peak: int


SchemaT = TypeVar("SchemaT")
SamplesT = TypeVar("SamplesT")
EncoderT = TypeVar("EncoderT")


class Kind(ABC, Generic[SchemaT, SamplesT, EncoderT]):
    """One kind of data, as an object without state.

    name: in config.json, and as `kind=` of a detector. noun: what samples are called, in the
    plural. described: what they are together, in a sentence. example: a name of a file or folder
    of them. unit: what calibrates, a sample or a block of them. parts: what an explanation is made
    of, "columns" or "pixels". a_turn: how many samples of one request a service scores before it
    turns to others. many_files: whether a folder of files can be scored, file by file.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    described: ClassVar[str]
    example: ClassVar[str]
    unit: ClassVar[str]
    parts: ClassVar[str]
    a_turn: ClassVar[int]
    many_files: ClassVar[bool]

    @abstractmethod
    def recognises(self, X: object) -> bool:
        """Whether X can be samples of this kind and of no other."""

    @abstractmethod
    def learn(self, X: object, parameters: Any, detector: str) -> tuple[SchemaT, SamplesT]:
        """The schema of the samples to be fitted, and the samples, checked.

        parameters: of a detector; the kind reads its own. detector: its name, for messages. Raises
        InvalidInput for what cannot be fitted.
        """

    @abstractmethod
    def check(self, X: object, schema: SchemaT, detector: str) -> SamplesT:
        """X as samples of the fitted schema.

        Raises SchemaMismatch or InvalidInput where X is none such. detector: the name of the one
        that was fitted, for messages.
        """

    @abstractmethod
    def encoder(self, schema: SchemaT, parameters: Any) -> EncoderT:
        """An encoder that has learned nothing yet."""

    @abstractmethod
    def encoder_from_state(self, schema: SchemaT, state: object) -> EncoderT:
        """An encoder as it was when `state` was taken. Raises ValueError where it is of another."""

    @abstractmethod
    def read_schema(self, content: object) -> SchemaT:
        """A schema from JSON. Raises pydantic's ValidationError."""

    @abstractmethod
    def blank(self, schema: SchemaT) -> SamplesT:
        """One sample of a schema, in memory: zeros, missing categories, the epoch."""

    @abstractmethod
    def joined(self, parts: Sequence[SamplesT]) -> SamplesT:
        """Samples in memory of one schema, one after the other."""

    @abstractmethod
    def sliced(self, samples: SamplesT, start: int, stop: int) -> SamplesT:
        """Samples in memory from start to stop, without copying them."""

    @abstractmethod
    def block_size(self, shape: tuple[int, ...]) -> int:
        """How many samples of this encoded shape are scored at a time; a power of two."""

    @abstractmethod
    def explanation(self, schema: SchemaT, parts: Mapping[str, Any]) -> Explanation:
        """An explanation of this kind from what every part adds to each score."""

    @abstractmethod
    def reconstructed(self, encoder: EncoderT, features: npt.NDArray[np.float32]) -> Any:
        """Reconstructed features (n, *shape) as the user passes samples."""

    @abstractmethod
    def part_name(self, schema: SchemaT, position: int) -> str:
        """What a part of an explanation is called, by its position among all of a sample's."""

    @abstractmethod
    def described_schema(self, schema: SchemaT) -> str:
        """What a model takes, as a section of Markdown."""

    @abstractmethod
    def graph_block(self, schema: SchemaT) -> int:
        """How many samples go through a portable model's graph at a time."""

    @abstractmethod
    def graph_inputs(
        self,
        schema: SchemaT,
        samples: SamplesT,
        texts: tuple[str, str] | None,
        cycles: Sequence[Sequence[Any]],
    ) -> dict[str, Array]:
        """The inputs of a portable model's graph, by name, of samples in memory.

        texts: those that stand for a missing category and for any other that is no level. cycles:
        those of each column of dates.
        """

    def unscored(self, samples: SamplesT) -> Marks | None:
        """Which samples (n,) can have no score, for want of history; None where all have one."""
        return None

    def units(self, samples: SamplesT) -> Positions | None:
        """The unit (n,) that each sample belongs to, where samples do not calibrate by themselves.

        Units are dealt out whole to training, validation and calibration. None: each is its own.
        """
        return None

    def events(self, samples: SamplesT, alarm: Marks, scores: Floats) -> list[Event] | None:
        """Alarms joined into events; None where every sample stands for itself."""
        return None

    def fitting_batch(self, schema: SchemaT, batch_size: int) -> int:
        """The default batch size, lowered where samples are large."""
        return batch_size

    def holds(self, path: Path) -> bool:
        """Whether files of this kind are at `path`."""
        return False


AnyKind: TypeAlias = Kind[Any, Any, Any]
