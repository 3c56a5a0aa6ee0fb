"""An autoencoder that also remembers normal samples, and how far apart they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lampblack.networks.pair import AutoencoderPair

SPARE = 8  # candidates beyond the nearest that are asked for
LONGEST_SIDE = 16  # pixels at which images are compared


class RememberingPair(AutoencoderPair):
    """Encoder and decoder, and samples to which new ones are compared.

    A row is remembered as it is encoded, an image averaged over squares of pixels so that its
    longer side is 16 at most. The buffers are filled after training: memory (samples, width), its
    centre (width,) and halved squared distances from that (samples,); and for the parts of the
    score `units` (3,), their means on normal samples, and `weights` (3,), which sum to 1.
    """

    memory: Tensor
    centre: Tensor
    half_squares: Tensor
    units: Tensor
    weights: Tensor

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, varying: Tensor, shape: tuple[int, ...]
    ) -> None:
        super().__init__(encoder, decoder, varying)
        self.factor = 1 if len(shape) == 1 else math.ceil(max(shape[1:]) / LONGEST_SIDE)
        width = self.compared(torch.zeros(1, *shape)).shape[1]
        self.register_buffer("memory", torch.zeros(0, width))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("half_squares", torch.zeros(0))
        self.register_buffer("units", torch.ones(3))
        self.register_buffer("weights", torch.full((3,), 1 / 3))

    def remember(self, batches: Iterable[Tensor]) -> None:
        """Keep these samples (n, ...), in place of any others."""
        self.memory = torch.cat([self.memory[:0], *(self.compared(batch) for batch in batches)])
        self.centre = self.memory.mean(dim=0)
        self.half_squares = (self.memory - self.centre).square().sum(dim=1) / 2

    def compared(self, x: Tensor) -> Tensor:
        """What of samples (n, ...) is compared: (n, width)."""
        if self.factor > 1:
            x = functional.avg_pool2d(x, self.factor, ceil_mode=True, count_include_pad=False)
        return x.flatten(start_dim=1)

    def spread(self, parts: Tensor, like: Tensor) -> Tensor:
        """Parts (n, width) of compared elements, dealt out over the elements they average."""
        if self.factor == 1:
            return parts.reshape(like.shape)
        height, width = like.shape[-2:]
        rows = torch.arange(height, device=parts.device) // self.factor
        columns = torch.arange(width, device=parts.device) // self.factor
        share = 1.0 / (rows.bincount()[rows][:, None] * columns.bincount()[columns][None])
        cells = parts.reshape(len(parts), like.shape[1], int(rows[-1]) + 1, int(columns[-1]) + 1)
        return cells[:, :, rows][:, :, :, columns] * share

    def nearest(self, compared: Tensor, k: int) -> Tensor:
        """The nearest remembered samples (n, k, width), nearest first; all but one if they are few.

        One that equals the sample is left out, once, where there is another. Candidates are found
        by one matrix product, whose rounding hides what is small beside the samples' distance from
        their centre; among a few more than are needed, exact distances decide.
        """
        k = min(k, max(1, len(self.memory) - 1))
        centred = compared - self.centre
        # −½‖x − m‖², but for what is the same for every m
        closeness = centred @ (self.memory - self.centre).T - self.half_squares
        candidates = self.memory[closeness.topk(min(k + SPARE, len(self.memory)), dim=1).indices]
        squares = (compared[:, None] - candidates).square().sum(dim=2)
        squares, order = squares.sort(dim=1, stable=True)
        first = ((squares[:, :1] == 0) & (squares.shape[1] > k)).long()
        wanted = order.gather(1, first + torch.arange(k, device=order.device))
        return candidates.gather(1, wanted[:, :, None].expand(-1, -1, candidates.shape[2]))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make room for as many samples as are to be loaded."""
        for name in ("memory", "half_squares"):
            stored = state_dict.get(prefix + name)
            if stored is not None:
                room = getattr(self, name).new_zeros(len(stored), *getattr(self, name).shape[1:])
                setattr(self, name, room)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
