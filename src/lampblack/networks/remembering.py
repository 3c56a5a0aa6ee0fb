"""An autoencoder that also remembers normal samples, and how far apart they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lampblack.networks.pair import AutoencoderPair

LONGEST_SIDE = 16  # pixels at which images are compared


class RememberingPair(AutoencoderPair):
    """Encoder and decoder, and samples to which new ones are compared.

    A row is remembered as it is encoded, an image averaged over squares of pixels so that its
    longer side is 16 at most. The buffers are filled after training: memory (samples, width), its
    halved squares (samples,), and for the parts of the score `units` (3,), their means on normal
    samples, and `weights` (3,), which sum to 1.
    """

    memory: Tensor
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
        self.register_buffer("half_squares", torch.zeros(0))
        self.register_buffer("units", torch.ones(3))
        self.register_buffer("weights", torch.full((3,), 1 / 3))

    def remember(self, batches: Iterable[Tensor]) -> None:
        """Keep these samples (n, ...), in place of any others."""
        self.memory = torch.cat([self.memory[:0], *(self.compared(batch) for batch in batches)])
        self.half_squares = self.memory.square().sum(dim=1) / 2

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
        """Positions (n, k) of the nearest remembered samples, nearest first.

        One that equals the sample is left out, once, where there is another.
        """
        closeness = compared @ self.memory.T - self.half_squares  # what is left of −½‖x − m‖²
        positions = _largest(closeness, k)
        same = (self.memory[positions[:, 0]] == compared).all(dim=1)
        if len(self.memory) > 1 and same.any():
            others = _largest(closeness[same], k + 1)
            positions[same] = others[:, -positions.shape[1] :]
        return positions

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


def _largest(values: Tensor, k: int) -> Tensor:
    """Positions (n, k) of the k largest in every row, or of all, in descending order."""
    if k == 1:
        return values.argmax(dim=1, keepdim=True)  # five times as fast
    return values.topk(min(k, values.shape[1]), dim=1).indices
