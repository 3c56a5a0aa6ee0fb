"""Rows through a fitted network, in blocks of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lampblack.data.encoder import TableEncoder
from lampblack.data.schema import Rows
from lampblack.networks import AutoencoderPair
from lampblack.scores import Scored

BLOCK = 1024  # rows scored at a time; the last block is padded, so that every row meets one kernel
CHUNK = 64 * BLOCK  # rows encoded at a time: memory does not grow with the table

ScoreBatch = Callable[[Tensor, Tensor, Tensor], Scored]


class Block(NamedTuple):
    """Encoded rows x (n, width), their codes, reconstructions and scores, on the device."""

    x: Tensor
    z: Tensor
    reconstruction: Tensor
    scored: Scored


def scored_blocks(
    networks: AutoencoderPair, encoder: TableEncoder, rows: Rows, score_batch: ScoreBatch
) -> Iterator[Block]:
    """Score rows block by block, in order.

    Matrix kernels change with the number of rows and with the alignment of memory, and with them
    the last bits of a result. So every block has BLOCK rows in memory of its own, zeros behind the
    last row: the score of a row does not depend on the rows beside it.
    """
    device = networks.varying.device
    for chunk in rows.chunks(CHUNK):
        encoded = torch.from_numpy(encoder.transform(chunk))
        for piece in torch.split(encoded, BLOCK):
            x = torch.zeros(BLOCK, *encoded.shape[1:])
            x[: len(piece)] = piece
            yield _score(networks, x.to(device), len(piece), score_batch)


@torch.inference_mode()
def _score(networks: AutoencoderPair, x: Tensor, n: int, score_batch: ScoreBatch) -> Block:
    z, reconstruction = networks(x)  # (BLOCK, latent), (BLOCK, width)
    scored = score_batch(x, z, reconstruction)
    return Block(x[:n], z[:n], reconstruction[:n], scored.first(n))


def to_float64(parts: list[Tensor]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Tensors joined along the first axis, as float64 on the CPU."""
    return np.asarray(torch.cat([torch.zeros(0), *(part.cpu() for part in parts)]).double().numpy())
