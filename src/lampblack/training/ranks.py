"""Several processes that train one network: what each of them knows of the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from lampblack.exceptions import InvalidInput, TrainingError
from lampblack.training.single_process import Runner

T = TypeVar("T")


@contextmanager
def answered() -> Iterator[None]:
    """Say in one line, of a message to all processes, that one of them does not answer."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"another process of this training was lost or is silent ({text}); "
            "the same command goes on from the last checkpoint, where there is one"
        ) from None


@torch.no_grad()
def average(tensors: list[Tensor]) -> None:
    """Put the mean over processes in place of every float tensor, in one message."""
    if not tensors:
        return
    joined = torch.cat([tensor.flatten() for tensor in tensors])
    with answered():
        distributed.all_reduce(joined)
    joined.div_(distributed.get_world_size())
    parts = torch.split(joined, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


class Ranks:
    """The processes of a training as one of them sees them: how many, and which it is.

    A process that trains by itself is one of one, and nothing below moves any data. All processes
    must call the same methods in the same order, each with values of the same shapes.
    """

    def __init__(self, size: int = 1, rank: int = 0) -> None:
        self.size = size
        self.rank = rank

    @classmethod
    def of(cls, fabric: Runner) -> Ranks:
        """Those that Fabric has set up, or one alone."""
        return cls(fabric.world_size, fabric.global_rank)

    @property
    def first(self) -> bool:
        """Whether this is the process that looks, decides, writes and shows."""
        return self.rank == 0

    def divided(self, batch_size: int) -> int:
        """A batch size, rounded down to a multiple of `size`.

        Raises InvalidInput where a process would get fewer than 2 samples, too few for batch norm.
        """
        if self.size > 1 and batch_size < 2 * self.size:
            raise InvalidInput(
                f"a batch of {batch_size} cannot be divided among {self.size} processes, which "
                f"take 2 each at least; start fewer, or give a batch_size of {2 * self.size}"
            )
        return batch_size - batch_size % self.size

    def share(self, positions: Tensor) -> Tensor:
        """The part of a batch's positions (n,), n a multiple of `size`, that is this process's."""
        return positions.chunk(self.size)[self.rank]

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes of a float tensor; the same bits in all of them."""
        if self.size == 1:
            return values
        total = values.clone()
        with answered():
            distributed.all_reduce(total)
        return total.div_(self.size)

    def average_buffers(self, networks: nn.Module) -> None:
        """Put the mean over processes in place of running statistics.

        They are exponential means of batches' statistics, hence linear in them: averaging after an
        epoch or after every step is the same, and no process's share of the data counts for more.
        """
        if self.size > 1:
            average([buffer for buffer in networks.buffers() if buffer.is_floating_point()])

    def from_first(self, value: T) -> T:
        """What the first process calls `value`, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        with answered():
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def gathered(self, value: T) -> list[T]:
        """The values of all processes, in all of them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with answered():
            distributed.all_gather_object(values, value)
        return values

    def agree(self, value: object) -> None:
        """Raise TrainingError where another process starts from something else."""
        values = self.gathered(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise TrainingError(
                    f"process {rank} has other data, parameters, versions or threads than process "
                    "0, or does not see the same checkpoint; give all of them the same"
                )

    @contextmanager
    def generators(
        self, seed: int, *, networks_draw: bool
    ) -> Iterator[tuple[torch.Generator, torch.Generator | None]]:
        """What shuffles the samples, and what else is drawn from, for the time of a training.

        networks_draw: whether the networks may draw, as a user's own do for dropout, say. They draw
        from the global state, which is therefore seeded, written to checkpoints, and put back. One
        process uses it for both. Several shuffle alike, and must draw otherwise from one another.
        """
        if not networks_draw:
            yield torch.Generator().manual_seed(seed), None
            return
        with torch.random.fork_rng():
            torch.manual_seed(seed + self.rank)
            if self.size == 1:
                yield torch.default_generator, None
            else:
                yield torch.Generator().manual_seed(seed), torch.default_generator
