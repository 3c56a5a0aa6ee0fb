"""The methods there are: one file each, one line here."""

from __future__ import annotations

from typing import Final

from lampblack.model.methods.ama import AMA
from lampblack.model.methods.autoencoder import AUTOENCODER
from lampblack.model.methods.lamp import LAMP
from lampblack.model.methods.lampblack import LAMPBLACK
from lampblack.model.methods.toll import TOLL
from lampblack.model.recipe import AnyRecipe

RECIPES: Final[dict[str, AnyRecipe]] = {
    "AMADetector": AMA,
    "AutoencoderDetector": AUTOENCODER,
    "LAMPDetector": LAMP,
    "LampblackDetector": LAMPBLACK,
    "TollDetector": TOLL,
}  # by the detector's class
