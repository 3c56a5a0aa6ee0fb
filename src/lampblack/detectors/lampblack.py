"""The recommended detector: LAMP and Toll in the network, nearest neighbours beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal, final

from sklearn.utils._param_validation import Interval

from lampblack.data.images.learning import ImageSize
from lampblack.data.images.schema import ImageSchema
from lampblack.data.samples import AnySchema
from lampblack.data.tables.column_kinds import ColumnKind
from lampblack.data.tables.scaling import Scaling
from lampblack.detectors.base import Precision, ReconstructionDetector
from lampblack.exceptions import InvalidInput
from lampblack.losses import Amplification, ReconstructionErrorName
from lampblack.model.recipe import Networks
from lampblack.networks import NetworkName
from lampblack.training.schedule import Schedule


@final
class LampblackDetector(ReconstructionDetector):
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

    Beside those of `ReconstructionDetector`:

    Parameters
    ----------
    n_neighbors : int
        A distance is the middle of that to the nearest sample and the mean of those to so many.
    part_weights : (network, by deviation, by range, by rank) or None
        Weights of the parts, which are brought to a sum of 1; None learns them. Images have two
        parts: (network, distance).
    memory_size : int
        How many samples are remembered at most: all, if so many are given, or else as many as fit
        of those that trained, drawn at random. Images are remembered at 16 pixels a side.

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

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "table": {**ReconstructionDetector.DEFAULTS["table"], "latent_weight": 0.1},
        "images": {**ReconstructionDetector.DEFAULTS["images"], "latent_weight": 1000.0},
    }

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **ReconstructionDetector._parameter_constraints,
        "part_weights": [tuple, list, None],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "memory_size": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_neighbors: int = 5,
        part_weights: Sequence[float] | None = None,
        memory_size: int = 10_000,
        reconstruction_error: ReconstructionErrorName = "l2_norm",
        amplification: Amplification | None = "quantile",
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
        self.n_neighbors = n_neighbors
        self.part_weights = part_weights
        self.memory_size = memory_size

    def _check_parameters(self) -> None:
        super()._check_parameters()
        weights: Any = self.part_weights
        if weights is not None and not (
            all(isinstance(w, int | float) and math.isfinite(w) and w >= 0 for w in weights)
            and sum(weights) > 0
        ):
            raise InvalidInput(
                "part_weights must be numbers that are not negative and not all 0, "
                f"and are {weights!r}"
            )

    def _resolve_parameters(self, schema: AnySchema) -> None:
        super()._resolve_parameters(schema)
        parts = 2 if isinstance(schema, ImageSchema) else 4
        if self.part_weights is not None and len(self.part_weights) != parts:
            raise InvalidInput(
                f"part_weights must be {parts} numbers for this kind of data, "
                f"and are {self.part_weights!r}"
            )
