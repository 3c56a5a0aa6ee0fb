"""Samples through a fitted network, in blocks of one size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lampblack.data.blocks import block_size
from lampblack.data.samples import CheckedSamples, Encoder
from lampblack.networks import AutoencoderPair
from lampblack.networks.remembering import TOGETHER
from lampblack.scores import Passed, Score, Scored


class Block(NamedTuple):
    """Encoded samples with their codes and reconstructions, and their scores, on the device."""

    passed: Passed
    scored: Scored


def scored_blocks(
    networks: AutoencoderPair, encoder: Encoder, samples: CheckedSamples, score: Score
) -> Iterator[Block]:
    """Score samples block by block, in order."""
    for x, n in _blocks(networks, encoder, samples):
        yield _score(networks, x, n, score)


def passed_blocks(
    networks: AutoencoderPair, encoder: Encoder, samples: CheckedSamples
) -> Iterator[Passed]:
    """Pass samples through the networks block by block, in order, without scoring them."""
    for x, n in _blocks(networks, encoder, samples):
        yield _first(_pass(networks, x), n)


def _blocks(
    networks: AutoencoderPair, encoder: Encoder, samples: CheckedSamples
) -> Iterator[tuple[Tensor, int]]:
    """Encoded samples on the device, block by block, and how many each block holds.

    Kernels change with the number of samples and with the alignment of memory, and with them the
    last bits of a result. So all blocks of a model have one size and memory of their own, zeros
    behind the last sample: the score of a sample does not depend on those beside it.
    """
    device = networks.varying.device
    transform: Any = encoder.transform
    block = block_size(encoder.shape)
    for some in samples.chunks(block):
        encoded = torch.from_numpy(transform(some))
        whole = len(encoded) == block
        x = encoded.clone() if whole else torch.zeros(block, *encoded.shape[1:])
        if not whole:
            x[: len(encoded)] = encoded
        yield x.to(device), len(encoded)


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
