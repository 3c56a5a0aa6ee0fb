"""Samples through fitted networks, in blocks of one size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lampblack.data.blocks import joined_scores
from lampblack.data.kind import Encoder, Samples
from lampblack.data.prefetching import in_threads
from lampblack.networks import AutoencoderPair
from lampblack.scores import Passed, Score, Scored
from lampblack.scores.nearest.memory import TOGETHER

WORTH_THREADS = 2e8  # floating-point operations on a block, about
HELD = 32  # values that scoring a sample by its neighbours holds for each of its own, about
MOST_HELD = 1 << 28  # values held for the blocks that are scored at the same time: 1 GiB


class Block(NamedTuple):
    """Encoded samples with their codes and reconstructions, and their scores, on the device."""

    passed: Passed
    scored: Scored


class Blocks(NamedTuple):
    """Networks and the encoder in front of them, and how many samples they take at a time."""

    networks: AutoencoderPair
    encoder: Encoder
    size: int

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.networks.varying.device

    def encoded(self, some: Samples) -> Tensor:
        """Some checked samples in memory as the networks take them (n, ...), on the device."""
        return self.encoder.tensor(torch.from_numpy(self.encoder.values(some)).to(self.device))

    def all_encoded(self, samples: Samples, together: int) -> Tensor:
        """Checked samples as the networks take them (n, ...), read so many at a time."""
        parts = [self.encoded(some) for some in samples.chunks(together)]
        return torch.cat([torch.zeros(0, *self.encoder.shape, device=self.device), *parts])

    def passed(self, samples: Samples) -> Iterator[Passed]:
        """Pass samples through the networks block by block, in order, without scoring them."""
        for some in samples.chunks(self.size):
            x, n = self._block(some)
            yield _first(self._pass(x), n)

    def scored(self, samples: Samples, score: Score) -> Iterator[Block]:
        """Score samples block by block, in order."""
        return (self._score(*self._block(some), score) for some in samples.chunks(self.size))

    def scored_outside(self, some: Samples, score: Score) -> Block:
        """Score some samples outside of a block: a moment for one, but other last bits."""
        x = self.encoded(some)
        return self._score(x, len(x), score)

    def scores(
        self, samples: Samples, score: Score, *, reentrant: bool
    ) -> Iterator[npt.NDArray[np.float32]]:
        """The scores of samples by themselves, block by block, in order.

        Blocks of a table are shared among as many threads as torch has, each of which does its
        arithmetic by itself: several for one block mostly wait for one another. The bits are those
        of one thread. Not so where there is little arithmetic, which Python's own lock would hold
        up, nor for images, whose bits depend on how many threads an image has, nor where blocks are
        so wide that several would take more than a GiB. reentrant: whether several threads may call
        the networks at once; a user's own may keep something from one call to the next.
        """

        def scores(some: Samples) -> npt.NDArray[np.float32]:
            block = self._score(*self._block(some), score)
            return np.asarray(block.scored.score.cpu().numpy())

        chunks, shape = samples.chunks(self.size), self.encoder.shape
        threads = torch.get_num_threads()
        most = MOST_HELD // (HELD * self.size * shape[0])
        shared = min(threads, -(-len(samples) // self.size), most)
        held = (*self.networks.state_dict().values(), *score.state_dict().values())
        operations = 2 * self.size * sum(tensor.numel() for tensor in held)
        table = len(shape) == 1 and self.device.type == "cpu"
        if shared < 2 or not table or not reentrant or operations < WORTH_THREADS:
            yield from map(scores, chunks)
            return
        score.warm_up()
        restore = partial(torch.set_num_threads, threads)  # for threads yet to come
        yield from in_threads(scores, chunks, shared, start=_single_threaded, started=restore)

    def all_scores(
        self,
        samples: Samples,
        score: Score,
        *,
        reentrant: bool,
        unscored: npt.NDArray[np.bool_] | None = None,
    ) -> npt.NDArray[np.float64]:
        """The scores (n,) of all samples; see `scores`. Raises InvalidInput for one not finite.

        unscored: which samples (n,) have none, and get NaN; see `Kind.unscored`.
        """
        if unscored is None or not unscored.any():
            return joined_scores(len(samples), self.scores(samples, score, reentrant=reentrant))
        known = np.flatnonzero(~unscored)
        scores = np.full(len(samples), np.nan)
        scores[known] = self.all_scores(samples.take(known), score, reentrant=reentrant)
        return scores

    def _block(self, some: Samples) -> tuple[Tensor, int]:
        """Some checked samples encoded as one block on the device, and how many they are.

        Kernels change with the number of samples and with the alignment of memory, and with them
        the last bits of a result. So all blocks of a model have one size and memory of their own,
        zeros behind the last sample: the score of a sample does not depend on those beside it.
        """
        n = len(some)
        shape, dtype = self.encoder.form(some)
        x = torch.empty(self.size, *shape, dtype=torch.from_numpy(np.empty(0, dtype)).dtype)
        x[n:] = 0
        self.encoder.values(some, out=x.numpy()[:n])
        return self.encoder.tensor(x.to(self.device)), n

    @torch.inference_mode()
    def _pass(self, x: Tensor) -> Passed:
        return Passed(x, *self.networks(x))  # codes (block, latent), reconstructions (block, ...)

    @torch.inference_mode()
    def _score(self, x: Tensor, n: int, score: Score) -> Block:
        passed = self._pass(x)
        if score.by_row:  # what lies behind the last sample need not be scored
            passed = _first(passed, -(-n // TOGETHER) * TOGETHER)
        return Block(_first(passed, n), score(self.networks, passed).first(n))


def _single_threaded() -> None:
    """Have this thread do its arithmetic by itself.

    torch gives a thread the number that holds for all when it first asks, and then keeps it.
    """
    torch.get_num_threads()
    torch.set_num_threads(1)


def _first(passed: Passed, n: int) -> Passed:
    """The first n samples."""
    return Passed(*(part[:n] for part in passed))


def to_float64(parts: list[Tensor]) -> npt.NDArray[np.float64]:
    """Tensors joined along the first axis, as float64 on the CPU."""
    return np.asarray(torch.cat([torch.zeros(0), *(part.cpu() for part in parts)]).double().numpy())
