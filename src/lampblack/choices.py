"""Names to choose from, as parameters and options of the command line take them.

They stand by themselves so that the command line can list them without loading what they name.
"""

from __future__ import annotations

from typing import Literal

DetectorName = Literal["ama", "autoencoder", "lamp", "lampblack", "toll"]
ReconstructionErrorName = Literal["l2", "l1", "l2_norm", "ssim"]
Amplification = Literal["log", "quantile"]
CriticScoreName = Literal["critic", "typicality", "mahalanobis", "joint"]
ScoreName = Literal[CriticScoreName, "reconstruction"]
NetworkName = Literal["auto", "toll-mnist", "toll-cifar10", "ama-cifar10"]
OnBadRow = Literal["fail", "skip"]
Engine = Literal["local", "ray"]
