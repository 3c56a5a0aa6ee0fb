"""A kind of data that only tests have: short waves, in runs of ten, seen through a frozen network.

It uses all that a kind may: units that are dealt out whole, samples without a score, events, and a
network in its encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from lampblack.data.kind import Advance, Event, Kind, Positions, Split
from lampblack.exceptions import InvalidInput, SchemaMismatch
from lampblack.explanation import TableExplanation

RUN = 10
SEEN = 6  # features that the frozen network gives


@dataclass(frozen=True)
class Waves:
    """values: (n, length). run: (n,), which run each is of. first: (n,), whether it opens one."""

    values: npt.NDArray[np.float32]
    run: Positions
    first: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Positions) -> Waves:
        return Waves(self.values[index], self.run[index], self.first[index])

    def chunks(self, size: int) -> Iterator[Waves]:
        every = np.arange(len(self))
        return (self.take(every[start : start + size]) for start in range(0, len(self), size))

    def reader(self, encoder: object) -> None:
        return None

    def drawn(
        self, split: Split, *, seen: int, least: int, advance: Advance
    ) -> tuple[Waves, Split, None]:
        return self, split, None

    stored: ClassVar[bool] = False
    to_decode: ClassVar[int] = 0


class WaveSchema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str] = "waves"
    length: int

    @property
    def n_features(self) -> int:
        return self.length

    @property
    def feature_names(self) -> None:
        return None


class WaveEncoder:
    """Waves through a linear map that is not trained."""

    def __init__(self, schema: WaveSchema) -> None:
        self.schema = schema
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.frozen = nn.Linear(schema.length, SEEN).requires_grad_(False)
        self.shape = (SEEN,)
        self.varying = np.ones(SEEN, dtype=np.bool_)
        self.numbers = None
        self.unlearned: list[str] = []

    def fit(self, waves: Waves) -> WaveEncoder:
        return self

    def form(self, waves: Waves) -> tuple[tuple[int, ...], npt.DTypeLike]:
        return (self.schema.length,), np.float32

    def values(
        self, waves: Waves, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        if out is None:
            return np.ascontiguousarray(waves.values)
        out[:] = waves.values
        return out

    def tensor(self, values: Tensor) -> Tensor:
        return torch.as_tensor(self.frozen(values))

    def fold(self, by_element: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        return by_element.astype(np.float64)

    def state(self) -> dict[str, Any]:
        return {}


@final
class WavesKind(Kind[WaveSchema, Waves, WaveEncoder]):
    name: ClassVar[str] = "waves"
    noun: ClassVar[str] = "waves"
    described: ClassVar[str] = "waves"
    example: ClassVar[str] = "waves.bin"
    unit: ClassVar[str] = "run"
    parts: ClassVar[str] = "columns"
    a_turn: ClassVar[int] = 100
    many_files: ClassVar[bool] = False

    def recognises(self, X: Any) -> bool:
        return isinstance(X, Waves)

    def learn(self, X: Any, parameters: Any, detector: str) -> tuple[WaveSchema, Waves]:
        if len(X) < RUN:
            raise InvalidInput("too few waves")
        return WaveSchema(length=X.values.shape[1]), X

    def check(self, X: Any, schema: WaveSchema, detector: str) -> Waves:
        if not isinstance(X, Waves) or X.values.shape[1] != schema.length:
            raise SchemaMismatch(
                f"{detector} was fitted on waves of {schema.length}, and X is none"
            )
        return X

    def encoder(self, schema: WaveSchema, parameters: Any) -> WaveEncoder:
        return WaveEncoder(schema)

    def encoder_from_state(self, schema: WaveSchema, state: Any) -> WaveEncoder:
        return WaveEncoder(schema)

    def read_schema(self, content: Any) -> WaveSchema:
        return WaveSchema.model_validate(content)

    def blank(self, schema: WaveSchema) -> Waves:
        return Waves(np.zeros((1, schema.length), np.float32), np.zeros(1, int), np.zeros(1, bool))

    def joined(self, parts: Sequence[Waves]) -> Waves:
        columns = [(part.values, part.run, part.first) for part in parts]
        return Waves(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    def sliced(self, samples: Waves, start: int, stop: int) -> Waves:
        return samples.take(np.arange(start, stop))

    def block_size(self, shape: tuple[int, ...]) -> int:
        return 64

    def explanation(self, schema: WaveSchema, parts: Mapping[str, Any]) -> TableExplanation:
        return TableExplanation(columns=tuple(f"feature {i}" for i in range(SEEN)), **parts)

    def reconstructed(self, encoder: WaveEncoder, features: npt.NDArray[np.float32]) -> Any:
        return features

    def part_name(self, schema: WaveSchema, position: int) -> str:
        return f"feature {position}"

    def described_schema(self, schema: WaveSchema) -> str:
        return f"## Waves\n\nOf {schema.length} values."

    def graph_block(self, schema: WaveSchema) -> int:
        return 32

    def graph_inputs(
        self, schema: WaveSchema, samples: Waves, texts: tuple[str, str] | None, cycles: Any
    ) -> dict[str, npt.NDArray[Any]]:
        return {"waves": samples.values}

    def units(self, samples: Waves) -> Positions:
        return samples.run

    def unscored(self, samples: Waves) -> npt.NDArray[np.bool_]:
        return samples.first

    def events(
        self, samples: Waves, alarm: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]
    ) -> list[Event]:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], alarm, [False]]).astype(int)))
        return [
            Event(int(a), int(b) - 1, int(a + scores[a:b].argmax()))
            for a, b in edges.reshape(-1, 2)
        ]


KIND = WavesKind()
