"""LAMP: amplified reconstruction loss."""

from __future__ import annotations

from typing import final

from lampblack.detectors.base import ReconstructionDetector
from lampblack.model.methods.lamp import LAMP, LAMPParameters


@final
class LAMPDetector(LAMPParameters, ReconstructionDetector):
    """Amplify the reconstruction loss, so that the network fits normal rows and little else.

    Training minimises the mean of amplified elementwise errors; the score is the plain mean error.
    Not a change of the network, nor of the score. Two forms:

    - amplification="log", the default, is the paper's: A(ℓ) = −ln(1 − ℓ), with ℓ the error of
      columns scaled to [0, 1] on the training range and a decoder that ends in a sigmoid. New
      values outside that range keep their distance: their ℓ may exceed 1, which the score takes as
      it is.
    - amplification="quantile" is this project's variant: s · A(ℓ / s) with s a running 99 %
      quantile of the batches' own errors, on standardised columns.

    Attributes and methods: see `ReconstructionDetector`. Equations and where we
    deviate: docs/methods/lamp.md.

    References
    ----------
    arXiv 2308.14595 (ICASSP 2024); the formula is this project's reading of it.

    Examples
    --------
    >>> import numpy as np
    >>> from lampblack import LAMPDetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> normal[:, 3] = normal[:, 0] - normal[:, 1]
    >>> detector = LAMPDetector(max_steps=200, random_state=0).fit(normal)
    >>> detector.predict([[1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, -9.0]]).tolist()
    [1, -1]
    """

    recipe = LAMP
