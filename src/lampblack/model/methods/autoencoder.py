"""The plain autoencoder."""

from __future__ import annotations

from lampblack.model.building import autoencoder_networks, reconstruction_score, reconstruction_step
from lampblack.model.parameters import Parameters
from lampblack.model.recipe import Recipe

AUTOENCODER = Recipe(
    parameters=Parameters,
    networks=autoencoder_networks,
    step=reconstruction_step,
    score=reconstruction_score,
)
