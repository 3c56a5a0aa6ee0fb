"""Toll: the codes of normal data are pulled to the origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final

from lampblack.data.images.learning import ImageSize
from lampblack.data.tables.column_kinds import ColumnKind
from lampblack.data.tables.scaling import Scaling
from lampblack.detectors.base import Precision, ReconstructionDetector
from lampblack.losses import Amplification, ReconstructionErrorName
from lampblack.model.recipe import Networks
from lampblack.networks import NetworkName
from lampblack.training.schedule import Schedule


@final
class TollDetector(ReconstructionDetector):
    """Pull the codes of normal rows to the origin, so that the decoder can express little else.

    Loss = mean ‖x − x̂‖₂ + β · mean ‖z‖₂ and score = ‖x − x̂‖₂ + β ‖z‖₂, norms not squared, β =
    `latent_weight`. The score needs both terms: an anomaly keeps a larger error or a larger code.
    Not weight decay: the norm of the code is penalised, not of the weights.

    Parameters, attributes and methods: see `ReconstructionDetector`. Equations and where we
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

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "table": {**ReconstructionDetector.DEFAULTS["table"], "latent_weight": 0.1},
        "images": {**ReconstructionDetector.DEFAULTS["images"], "latent_weight": 1000.0},
    }

    def __init__(
        self,
        *,
        reconstruction_error: ReconstructionErrorName = "l2_norm",
        amplification: Amplification | None = None,
        latent_weight: float | None = None,
        hidden: Sequence[int] = (256, 128),
        network: NetworkName = "auto",
        width: int | None = None,
        depth: int | None = None,
        image_size: ImageSize = None,
        latent_dim: int | None = None,
        networks: Networks | None = None,
        scaling: Scaling | Literal["auto"] = "auto",
        types: Mapping[str, ColumnKind] | None = None,
        batch_size: int | None = None,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        schedule: Schedule = "one_cycle",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        false_alarm_rate: float = 0.01,
        contamination: float | None = None,
        device: str = "auto",
        precision: Precision = "32-true",
        random_state: int | None = 0,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            reconstruction_error=reconstruction_error,
            amplification=amplification,
            latent_weight=latent_weight,
            hidden=hidden,
            network=network,
            width=width,
            depth=depth,
            image_size=image_size,
            latent_dim=latent_dim,
            networks=networks,
            scaling=scaling,
            types=types,
            batch_size=batch_size,
            max_steps=max_steps,
            learning_rate=learning_rate,
            schedule=schedule,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            false_alarm_rate=false_alarm_rate,
            contamination=contamination,
            device=device,
            precision=precision,
            random_state=random_state,
            verbose=verbose,
        )
