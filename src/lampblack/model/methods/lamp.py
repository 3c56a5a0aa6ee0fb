"""LAMP: the plain autoencoder, but for its loss."""

from __future__ import annotations

from dataclasses import dataclass

from lampblack.choices import Amplification
from lampblack.model.building import autoencoder_networks, reconstruction_score, reconstruction_step
from lampblack.model.parameters import Parameters, changed
from lampblack.model.recipe import Recipe


@dataclass(kw_only=True, eq=False, repr=False)
class LAMPParameters(Parameters):
    """Errors are amplified in training."""

    amplification: Amplification | None = changed(Parameters, "amplification", default="log")


LAMP = Recipe(
    parameters=LAMPParameters,
    networks=autoencoder_networks,
    step=reconstruction_step,
    score=reconstruction_score,
)
