"""LAMP: the plain autoencoder, but for its loss."""

from __future__ import annotations

from dataclasses import dataclass

from lampblack.choices import Amplification
from lampblack.model.parameters import Parameters, changed
from lampblack.model.recipe import Recipe


@dataclass(kw_only=True, eq=False, repr=False)
class LAMPParameters(Parameters):
    """Errors are amplified in training."""

    amplification: Amplification | None = changed(Parameters, "amplification", default="log")


LAMP = Recipe(LAMPParameters)
