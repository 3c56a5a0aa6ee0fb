"""Toll: the plain autoencoder, whose codes are pulled to the origin and scored."""

from __future__ import annotations

from dataclasses import dataclass

from lampblack.choices import ReconstructionErrorName
from lampblack.model.parameters import Parameters, changed
from lampblack.model.recipe import Recipe


@dataclass(kw_only=True, eq=False, repr=False)
class TollParameters(Parameters):
    """Norms in loss and score, neither of them squared."""

    reconstruction_error: ReconstructionErrorName = changed(
        Parameters, "reconstruction_error", default="l2_norm"
    )
    latent_weight: float | None = changed(
        Parameters, "latent_weight", by_kind={"table": 0.1, "images": 1000.0}, of_features=1e-3
    )


TOLL = Recipe(TollParameters)
