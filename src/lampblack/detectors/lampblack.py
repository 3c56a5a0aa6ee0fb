"""The recommended detector: LAMP and Toll in the network, nearest neighbours beside it."""

from __future__ import annotations

from typing import final

from lampblack.detectors.base import ReconstructionDetector
from lampblack.model.methods.lampblack import LAMPBLACK, LampblackParameters


@final
class LampblackDetector(LampblackParameters, ReconstructionDetector):
    """Score by two explanations of a sample: a network's, and that of the nearest normal samples.

    The network is trained with Toll's objective, error + β‖z‖₂ with β = `latent_weight`, its errors
    amplified as in LAMP. Normal samples are remembered. The score is the weighted mean of
    log₂(1 + s / s̄) over parts s, each over its mean s̄ on normal samples: the network's score, and
    the distance to the nearest remembered samples; for a table three such distances, with columns
    by their standard deviation, by their range, and by rank. So about 1 is an ordinary normal
    sample. The weights are those that best tell held-out normal samples from distorted ones. Every
    column or pixel has its share in every part.

    A saved model holds the remembered samples, encoded: whoever has it can read them. Equations and
    evidence: docs/methods/lampblack.md.

    Attributes and methods: see `ReconstructionDetector`.

    References
    ----------
    arXiv 2308.14595 (LAMP), arXiv 2306.12627 (Toll), Ramaswamy et al., SIGMOD 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from lampblack import LampblackDetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> normal[:, 3] = normal[:, 0] - normal[:, 1]
    >>> detector = LampblackDetector(max_steps=200, random_state=0).fit(normal)
    >>> detector.predict([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -9.0]]).tolist()
    [1, -1]
    """

    recipe = LAMPBLACK
