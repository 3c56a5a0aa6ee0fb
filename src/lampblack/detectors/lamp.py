"""LAMP: amplified reconstruction loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

from lampblack.data.images.learning import ImageSize
from lampblack.data.tables.column_kinds import ColumnKind
from lampblack.data.tables.scaling import Scaling
from lampblack.detectors.base import Precision, ReconstructionDetector
from lampblack.losses import Amplification, ReconstructionErrorName
from lampblack.model.recipe import Networks
from lampblack.networks import NetworkName
from lampblack.training.schedule import Schedule


@final
class LAMPDetector(ReconstructionDetector):
    """Amplify the reconstruction loss, so that the network fits normal rows and little else.

    Training minimises the mean of amplified elementwise errors; the score is the plain mean error.
    Not a change of the network, nor of the score. Two forms:

    - amplification="log", the default, is the paper's: A(ℓ) = −ln(1 − ℓ), with ℓ the error of
      columns scaled to [0, 1] on the training range and a decoder that ends in a sigmoid. New
      values outside that range keep their distance: their ℓ may exceed 1, which the score takes as
      it is.
    - amplification="quantile" is this project's variant: s · A(ℓ / s) with s a running 99 %
      quantile of the batches' own errors, on standardised columns.

    Parameters, attributes and methods: see `ReconstructionDetector`. Equations and where we
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

    def __init__(
        self,
        *,
        reconstruction_error: ReconstructionErrorName = "l2",
        amplification: Amplification | None = "log",
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
