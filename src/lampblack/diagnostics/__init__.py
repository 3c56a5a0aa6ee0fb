"""Why a detector works, and when not to trust it: on a user's own model and data.

Loss landscapes and sharpness (LAMP), the collapse of codes (Toll), the critic's distances (AMA),
how scores extrapolate, and checks that say in words what is wrong. Labels reach figures alone.
docs/why.md shows what they show of the three methods.
"""

from lampblack.diagnostics.checks import Check, checks
from lampblack.diagnostics.codes import CodeNorms, DecoderSpectrum, decoder_spectrum
from lampblack.diagnostics.curvature import Sharpness
from lampblack.diagnostics.diagnosis import Diagnosis, diagnose
from lampblack.diagnostics.landscape import Landscape, loss_landscape, sharpness
from lampblack.diagnostics.mirror import CriticDistances, Mirror, critic_distances
from lampblack.diagnostics.rays import Extrapolation, along_rays

__all__ = [
    "Check",
    "CodeNorms",
    "CriticDistances",
    "DecoderSpectrum",
    "Diagnosis",
    "Extrapolation",
    "Landscape",
    "Mirror",
    "Sharpness",
    "along_rays",
    "checks",
    "critic_distances",
    "decoder_spectrum",
    "diagnose",
    "loss_landscape",
    "sharpness",
]
