"""Scores of samples, and what each element adds to them. Higher is more anomalous."""

from lampblack.scores.attribution import integrated_gradients
from lampblack.scores.reconstruction import Scored, error_contributions, reconstruction_score

__all__ = ["Scored", "error_contributions", "integrated_gradients", "reconstruction_score"]
