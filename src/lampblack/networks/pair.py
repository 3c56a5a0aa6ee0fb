"""An encoder and a decoder as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AutoencoderPair(nn.Module):
    """z = E(x), x̂ = G(z), with features that never varied kept out of both.

    `varying` (width,) marks the features that took more than one value in training. The encoder is
    shown zeros for the others and their reconstruction is their constant, 0 after scaling: when
    one moves, the error is its own and the codes are not thrown off.
    """

    varying: Tensor

    def __init__(self, encoder: nn.Module, decoder: nn.Module, varying: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.all_vary = bool(varying.all())
        self.register_buffer("varying", varying.float())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Code (n, latent) and reconstruction (n, width) of x (n, width)."""
        z = self.encode(x)
        return z, self.decode(z)

    def encode(self, x: Tensor) -> Tensor:
        """Code (n, latent) of x (n, width)."""
        z = self.encoder(x if self.all_vary else x * self.varying)
        return torch.as_tensor(z)

    def decode(self, z: Tensor) -> Tensor:
        """Reconstruction (n, width) of z (n, latent)."""
        reconstruction = self.decoder(z)
        return torch.as_tensor(reconstruction if self.all_vary else reconstruction * self.varying)
