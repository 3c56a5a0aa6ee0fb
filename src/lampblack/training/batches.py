"""Training samples by position: tensors on the device, or batches that come from somewhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

COPIED = 1 << 18  # values that are copied together: 1 MiB, which stays in a processor's cache


class Samples(Protocol):
    """Samples that the loop can ask for by position."""

    device: torch.device

    def __len__(self) -> int: ...

    def batches(self, positions: Sequence[Tensor]) -> Iterator[Tensor]:
        """The float samples (n, ...) at each of these positions (n,), on the device."""

    def digest(self) -> str:
        """What two fits must agree in to have the same samples."""

    def on(self, device: torch.device) -> Samples:
        """The same samples on a device."""


class TensorSamples:
    """Samples on the device: floats, or bytes of images that stand for 0 to 1."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.device = values.device

    def on(self, device: torch.device) -> TensorSamples:
        """The same samples on a device."""
        return TensorSamples(self.values.to(device))

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
                yield batch.float().div_(255) if batch.dtype == torch.uint8 else batch

    def digest(self) -> str:
        """A hash of shape and values."""
        digest = hashlib.sha256(str(tuple(self.values.shape)).encode())
        digest.update(self.values.cpu().contiguous().numpy().data)  # no copy
        return digest.hexdigest()


class Reader(Protocol):
    """Gives samples as arrays (n, ...) in batches, ahead of their use."""

    def __len__(self) -> int: ...

    def read(self, positions: Sequence[npt.NDArray[np.int64]]) -> Iterator[npt.NDArray[Any]]:
        """The float32 samples at each of these positions."""

    def digest(self) -> str:
        """A hash of what is read."""


class StreamedSamples:
    """Samples that a reader fetches while the step runs, for those that do not fit in memory."""

    def __init__(self, reader: Reader, device: torch.device) -> None:
        self._reader = reader
        self.device = device

    def on(self, device: torch.device) -> StreamedSamples:
        """The same samples on a device."""
        return StreamedSamples(self._reader, device)

    def __len__(self) -> int:
        return len(self._reader)

    def batches(self, positions: Sequence[Tensor]) -> Iterator[Tensor]:
        """The samples at each of these positions."""
        for values in self._reader.read([index.cpu().numpy() for index in positions]):
            yield torch.from_numpy(values).to(self.device)

    def digest(self) -> str:
        """A hash of what is read."""
        return self._reader.digest()
