"""Toll: the codes of normal data are pulled to the origin."""

from __future__ import annotations

from typing import final

from lampblack.detectors.base import ReconstructionDetector
from lampblack.model.methods.toll import TOLL, TollParameters


@final
class TollDetector(TollParameters, ReconstructionDetector):
    """Pull the codes of normal rows to the origin, so that the decoder can express little else.

    Loss = mean ‖x − x̂‖₂ + β · mean ‖z‖₂ and score = ‖x − x̂‖₂ + β ‖z‖₂, norms not squared, β =
    `latent_weight`. The score needs both terms: an anomaly keeps a larger error or a larger code.
    Not weight decay: the norm of the code is penalised, not of the weights.

    Attributes and methods: see `ReconstructionDetector`. Equations and where we
    deviate: docs/methods/toll.md.

    References
    ----------
    arXiv 2306.12627 (IEEE TNNLS 2024).

    Examples
    --------
    >>> import numpy as np
    >>> from lampblack import TollDetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> normal[:, 3] = normal[:, 0] - normal[:, 1]
    >>> detector = TollDetector(max_steps=200, random_state=0).fit(normal)
    >>> detector.predict([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -9.0]]).tolist()
    [1, -1]
    """

    recipe = TOLL
