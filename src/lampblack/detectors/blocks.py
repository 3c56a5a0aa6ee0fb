"""Samples through a fitted network, in blocks of one size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lampblack.data.samples import CheckedSamples, Encoder
from lampblack.networks import AutoencoderPair
from lampblack.scores import Passed, Score, Scored

ROWS = 1024  # rows of a table scored at a time
IMAGES, PIXELS = 64, 1 << 20  # images scored at a time, and values of them at most
CHUNK = 8  # blocks of rows encoded at a time: memory does not grow with the table


class Block(NamedTuple):
    """Encoded samples with their codes and reconstructions, and their scores, on the device."""

    passed: Passed
    scored: Scored


def scored_blocks(
    networks: AutoencoderPair, encoder: Encoder, samples: CheckedSamples, score: Score
) -> Iterator[Block]:
    """Score samples block by block, in order.

    Kernels change with the number of samples and with the alignment of memory, and with them the
    last bits of a result. So all blocks of a model have one size and memory of their own, zeros
    behind the last sample: the score of a sample does not depend on those beside it.
    """
    device = networks.varying.device
    transform: Any = encoder.transform
    block = block_size(encoder.shape)
    chunk_size = CHUNK * block if len(encoder.shape) == 1 else block
    for chunk in samples.chunks(chunk_size):
        encoded = torch.from_numpy(transform(chunk))
        for piece in torch.split(encoded, block):
            x = piece.clone() if len(piece) == block else _padded(piece, block)
            yield _score(networks, x.to(device), len(piece), score)


def block_size(shape: tuple[int, ...]) -> int:
    """How many samples of this shape are scored at a time; a power of two.

    >>> block_size((30,)), block_size((1, 28, 28)), block_size((3, 256, 256))
    (1024, 64, 4)
    """
    if len(shape) == 1:
        return ROWS
    fitting = max(1, PIXELS // math.prod(shape))
    return min(IMAGES, 1 << (fitting.bit_length() - 1))


def _padded(piece: Tensor, block: int) -> Tensor:
    x = torch.zeros(block, *piece.shape[1:])
    x[: len(piece)] = piece
    return x


@torch.inference_mode()
def _score(networks: AutoencoderPair, x: Tensor, n: int, score: Score) -> Block:
    passed = Passed(x, *networks(x))  # codes (block, latent), reconstructions (block, ...)
    scored = score(networks, passed)
    return Block(Passed(*(part[:n] for part in passed)), scored.first(n))


def to_float64(parts: list[Tensor]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Tensors joined along the first axis, as float64 on the CPU."""
    return np.asarray(torch.cat([torch.zeros(0), *(part.cpu() for part in parts)]).double().numpy())
