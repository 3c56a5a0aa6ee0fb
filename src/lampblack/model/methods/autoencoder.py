"""The plain autoencoder."""

from __future__ import annotations

from lampblack.model.parameters import Parameters
from lampblack.model.recipe import Recipe

AUTOENCODER = Recipe(Parameters)
