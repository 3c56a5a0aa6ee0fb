"""Training samples by position: tensors on the device, or batches that come from somewhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from lampblack.data.kind import Reader

SEEN_AT_ONCE = 16  # samples that a frozen network sees together
COPIED = 1 << 18  # values that are copied together: 1 MiB, which stays in a processor's cache


class Samples(Protocol):
    """Samples that the loop can ask for by position."""

    device: torch.device

    def __len__(self) -> int: ...

    def batches(self, positions: Sequence[Tensor]) -> Iterator[Tensor]:
        """The float samples (n, ...) at each of these positions (n,), on the device."""

    def digest(self) -> str:
        """What two fits must agree in to have the same samples."""


def as_they_are(values: Tensor) -> Tensor:
    """Values that networks take without more ado."""
    return values


class TensorSamples:
    """Samples as an encoder holds them; `tensor` makes of them what networks take."""

    def __init__(self, values: Tensor, tensor: Callable[[Tensor], Tensor] = as_they_are) -> None:
        self.values, self._tensor = values, tensor
        self.device = values.device

    def __len__(self) -> int:
        return len(self.values)

    def batches(self, positions: Sequence[Tensor]) -> Iterator[Tensor]:
        """The samples at each of these positions; several batches are copied together."""
        values = self.values[0].numel() * max(1, max(map(len, positions), default=1))
        together = max(1, COPIED // max(1, values))
        for start in range(0, len(positions), together):
            some = positions[start : start + together]
            copied = self.values.index_select(0, torch.cat(list(some)).to(self.device))
            for batch in torch.split(copied, [len(index) for index in some]):
                yield self._tensor(batch)

    def digest(self) -> str:
        """A hash of shape and values."""
        digest = hashlib.sha256(str(tuple(self.values.shape)).encode())
        digest.update(self.values.cpu().contiguous().numpy().data)  # no copy
        return digest.hexdigest()


class SeenSamples(TensorSamples):
    """Samples of which a frozen network made, once for all steps, what is trained on."""

    def __init__(self, values: Tensor, tensor: Callable[[Tensor], Tensor]) -> None:
        super().__init__(values, tensor)
        parts = [tensor(some) for some in torch.split(values, SEEN_AT_ONCE)]
        self._seen = torch.cat(parts) if parts else values

    def batches(self, positions: Sequence[Tensor]) -> Iterator[Tensor]:
        """What the network gave for the samples at each of these positions."""
        for index in positions:
            yield self._seen.index_select(0, index.to(self.device))


class StreamedSamples:
    """Samples that a reader fetches while the step runs, for those that do not fit in memory."""

    def __init__(
        self, reader: Reader, tensor: Callable[[Tensor], Tensor], device: torch.device
    ) -> None:
        """tensor: makes of what is read, on the device, what networks take."""
        self._reader, self._tensor = reader, tensor
        self.device = device

    def __len__(self) -> int:
        return len(self._reader)

    def batches(self, positions: Sequence[Tensor]) -> Iterator[Tensor]:
        for values in self._reader.read([index.cpu().numpy() for index in positions]):
            yield self._tensor(torch.from_numpy(values).to(self.device))

    def digest(self) -> str:
        return self._reader.digest()
