"""The plain autoencoder: the measure that LAMP and Toll are held against."""

from __future__ import annotations

from typing import final

from lampblack.detectors.base import ReconstructionDetector
from lampblack.model.methods.autoencoder import AUTOENCODER


@final
class AutoencoderDetector(ReconstructionDetector):
    """Reconstruct normal rows; score by the reconstruction error.

    Loss and score are mean (x − x̂)². The reference for the other detectors, and a good first
    choice. Not a variational autoencoder: codes have no distribution.

    Attributes and methods: see `ReconstructionDetector`.

    References
    ----------
    Japkowicz, Myers & Gluck (1995), A novelty detection approach to classification, IJCAI.

    Examples
    --------
    >>> import numpy as np
    >>> from lampblack import AutoencoderDetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> normal[:, 3] = normal[:, 0] - normal[:, 1]
    >>> detector = AutoencoderDetector(max_steps=200, random_state=0).fit(normal)
    >>> detector.predict([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -9.0]]).tolist()
    [1, -1]
    """

    recipe = AUTOENCODER
