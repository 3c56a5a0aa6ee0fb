"""AMA: a critic of mirrored pairs, and scores by what it sees."""

from __future__ import annotations

from typing import final

from lampblack.detectors.base import ReconstructionDetector
from lampblack.model.methods.ama import AMA, AMAParameters


@final
class AMADetector(AMAParameters, ReconstructionDetector):
    """Train an autoencoder against a critic of pairs, and score by what the critic sees.

    The critic D sees (x, x) as real and (x, x̂) as fake; the autoencoder tries to make the second
    look like the first. Codes of normal samples are mixed three at a time (simplex interpolation),
    and decoded codes moved to or from the origin stand in for anomalies (atypical selection).
    Equations and where we deviate: docs/methods/ama.md.

    Attributes and methods: see `ReconstructionDetector`.

    References
    ----------
    arXiv 2003.10713 (UAI 2021).

    Examples
    --------
    >>> import numpy as np
    >>> from lampblack import AMADetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> normal[:, 3] = normal[:, 0] - normal[:, 1]
    >>> detector = AMADetector(max_steps=200, random_state=0).fit(normal)
    >>> detector.predict([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -9.0]]).tolist()
    [1, -1]
    """

    recipe = AMA
