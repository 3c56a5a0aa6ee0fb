"""The names that parameters and options choose from. Importing this loads nothing else."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

DetectorClass = Literal[
    "AMADetector", "AutoencoderDetector", "LAMPDetector", "LampblackDetector", "TollDetector"
]
KindName = Literal["table", "images"]
ColumnKind = Literal["number", "boolean", "category", "date"]
OnBadRow = Literal["fail", "skip"]
ReconstructionErrorName = Literal["l2", "l1", "l2_norm", "ssim", "cosine"]
FeaturesName = Literal["efficientnet-lite0"]
Amplification = Literal["log", "quantile"]
AdversarialLoss = Literal["wasserstein", "hinge"]
Atypical = Literal["inward", "outward"]
CriticScoreName = Literal["critic", "typicality", "mahalanobis", "joint"]
ScoreName: TypeAlias = Literal["critic", "typicality", "mahalanobis", "joint", "reconstruction"]
Density = Literal["gaussian", "kernel"]
NetworkName = Literal["auto", "positions", "toll-mnist", "toll-cifar10", "ama-cifar10"]
Scaling = Literal["standard", "minmax"]
ScalingName: TypeAlias = Literal["auto", "standard", "minmax"]
Schedule = Literal["one_cycle", "constant"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
ScoringEngine = Literal["local", "ray"]

DETECTOR_CLASSES: Final[tuple[DetectorClass, ...]] = get_args(DetectorClass)
CRITIC_SCORES: Final[tuple[CriticScoreName, ...]] = get_args(CriticScoreName)
DENSITIES: Final[tuple[Density, ...]] = get_args(Density)
RECONSTRUCTION_ERRORS: Final[tuple[ReconstructionErrorName, ...]] = get_args(
    ReconstructionErrorName
)
