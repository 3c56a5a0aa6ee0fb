"""Scores of samples, and what each element adds to them. Higher is more anomalous."""

from lampblack.scores.attribution import integrated_gradients
from lampblack.scores.base import Passed, Score, Scored
from lampblack.scores.critic import CriticScore
from lampblack.scores.nearest.patches import PatchScore
from lampblack.scores.nearest.score import NearestScore
from lampblack.scores.reconstruction import ReconstructionScore, error_contributions

__all__ = [
    "CriticScore",
    "NearestScore",
    "Passed",
    "PatchScore",
    "ReconstructionScore",
    "Score",
    "Scored",
    "error_contributions",
    "integrated_gradients",
]
