"""Samples through a fitted network, in blocks of one size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lampblack.data.ahead import by_threads
from lampblack.data.blocks import block_size
from lampblack.data.samples import CheckedSamples, Encoder
from lampblack.networks import AutoencoderPair
from lampblack.scores import Passed, Score, Scored
from lampblack.scores.nearest.memory import TOGETHER, RememberingPair

WORTH_THREADS = 2e8  # floating-point operations on a block, about
HELD = 32  # values that scoring a sample by its neighbours holds for each of its own, about
MOST_HELD = 1 << 28  # values held for the blocks that are scored at the same time: 1 GiB


class Block(NamedTuple):
    """Encoded samples with their codes and reconstructions, and their scores, on the device."""

    passed: Passed
    scored: Scored


def scored_blocks(
    networks: AutoencoderPair, encoder: Encoder, samples: CheckedSamples, score: Score
) -> Iterator[Block]:
    """Score samples block by block, in order."""
    for some in samples.chunks(block_size(encoder.shape)):
        yield _score(networks, *_block(networks, encoder, some), score)


def scored_alone(networks: AutoencoderPair, encoder: Encoder, some: Any, score: Score) -> Block:
    """Score some checked samples outside of a block: a moment for one, but other last bits."""
    transform: Any = encoder.transform
    x = torch.from_numpy(transform(some)).to(networks.varying.device)
    return _score(networks, x, len(x), score)


def passed_blocks(
    networks: AutoencoderPair, encoder: Encoder, samples: CheckedSamples
) -> Iterator[Passed]:
    """Pass samples through the networks block by block, in order, without scoring them."""
    for some in samples.chunks(block_size(encoder.shape)):
        x, n = _block(networks, encoder, some)
        yield _first(_pass(networks, x), n)


def block_scores(
    networks: AutoencoderPair,
    encoder: Encoder,
    samples: CheckedSamples,
    score: Score,
    *,
    reentrant: bool,
) -> Iterator[npt.NDArray[np.float32]]:
    """The scores of samples alone, block by block, in order.

    Blocks of a table are shared among as many threads as torch has, each of which does its
    arithmetic alone: several for one block mostly wait for one another. The bits are those of one
    thread. Not so where there is little arithmetic, which Python's own lock would hold up, nor for
    images, whose bits depend on how many threads an image has, nor where blocks are so wide that
    several would take more than a GiB. reentrant: whether several threads may call the networks at
    once; a user's own may keep something from one call to the next.
    """

    def scores(some: Any) -> npt.NDArray[np.float32]:
        block = _score(networks, *_block(networks, encoder, some), score)
        return np.asarray(block.scored.score.cpu().numpy())

    size = block_size(encoder.shape)
    chunks = samples.chunks(size)
    threads = torch.get_num_threads()
    shared = min(threads, -(-len(samples) // size), MOST_HELD // (HELD * size * encoder.shape[0]))
    operations = 2 * size * sum(tensor.numel() for tensor in networks.state_dict().values())
    table = len(encoder.shape) == 1 and networks.varying.device.type == "cpu"
    if shared < 2 or not table or not reentrant or operations < WORTH_THREADS:
        yield from map(scores, chunks)
        return
    if isinstance(networks, RememberingPair):
        networks.see()
    restore = partial(torch.set_num_threads, threads)  # for threads yet to come
    yield from by_threads(scores, chunks, shared, start=_alone, started=restore)


def _alone() -> None:
    """Have this thread do its arithmetic alone.

    torch gives a thread the number that holds for all when it first asks, and then keeps it.
    """
    torch.get_num_threads()
    torch.set_num_threads(1)


def _block(networks: AutoencoderPair, encoder: Encoder, some: Any) -> tuple[Tensor, int]:
    """Some checked samples encoded as one block on the device, and how many they are.

    Kernels change with the number of samples and with the alignment of memory, and with them the
    last bits of a result. So all blocks of a model have one size and memory of their own, zeros
    behind the last sample: the score of a sample does not depend on those beside it.
    """
    transform: Any = encoder.transform
    n, size = len(some), block_size(encoder.shape)
    x = torch.empty(size, *encoder.shape)
    x[n:] = 0
    transform(some, out=x.numpy()[:n])
    return x.to(networks.varying.device), n


@torch.inference_mode()
def _pass(networks: AutoencoderPair, x: Tensor) -> Passed:
    return Passed(x, *networks(x))  # codes (block, latent), reconstructions (block, ...)


@torch.inference_mode()
def _score(networks: AutoencoderPair, x: Tensor, n: int, score: Score) -> Block:
    passed = _pass(networks, x)
    if score.by_row:  # what lies behind the last sample need not be scored
        passed = _first(passed, -(-n // TOGETHER) * TOGETHER)
    return Block(_first(passed, n), score(networks, passed).first(n))


def _first(passed: Passed, n: int) -> Passed:
    """The first n samples."""
    return Passed(*(part[:n] for part in passed))


def to_float64(parts: list[Tensor]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Tensors joined along the first axis, as float64 on the CPU."""
    return np.asarray(torch.cat([torch.zeros(0), *(part.cpu() for part in parts)]).double().numpy())
