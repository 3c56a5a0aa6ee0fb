"""The recommended method: LAMP and Toll in the network, nearest neighbours beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lampblack.choices import Amplification
from lampblack.exceptions import InvalidInput
from lampblack.model.building import WORST, reconstruction_score
from lampblack.model.methods.toll import TollParameters
from lampblack.model.parameters import Parameters, changed, parameter
from lampblack.model.recipe import Recipe

if TYPE_CHECKING:
    from lampblack.scores import Score


@dataclass(kw_only=True, eq=False, repr=False)
class LampblackParameters(TollParameters):
    """Those of Toll, amplified errors, and what is remembered and how it is weighed."""

    latent_weight: float | None = changed(TollParameters, "latent_weight", of_features=0.0)
    amplification: Amplification | None = changed(Parameters, "amplification", default="quantile")
    n_neighbors: int = parameter(
        5,
        "A distance is the middle of that to the nearest sample and the mean of those to so many.",
        at_least=1,
    )
    part_weights: Sequence[float] | None = parameter(
        None,
        """Weights of the parts, (network, by deviation, by range, by rank), which are brought to a
        sum of 1; None learns them. Images have two parts: (network, distance).""",
    )
    memory_size: int = parameter(
        10_000,
        """How many samples are remembered at most. All, if so many are given, or else as many as
        fit of those that trained, drawn at random. Images are remembered at 16 pixels a side;
        of features, positions are counted, not images.""",
        at_least=2,
    )

    def check_together(self) -> None:
        """Raise InvalidInput for weights that are none, too."""
        super().check_together()
        weights: Any = self.part_weights
        if weights is not None and not (
            all(isinstance(w, int | float) and math.isfinite(w) and w >= 0 for w in weights)
            and sum(weights) > 0
        ):
            raise InvalidInput(
                "part_weights must be numbers that are not negative and not all 0, "
                f"and are {weights!r}"
            )

    def for_kind(self, kind: str, described: str) -> None:
        """Raise InvalidInput, too, where there are other parts than weights."""
        super().for_kind(kind, described)
        parts = 4 if kind == "table" else 2
        if self.part_weights is not None and len(self.part_weights) != parts:
            raise InvalidInput(
                f"part_weights must be {parts} numbers for this kind of data, "
                f"and are {self.part_weights!r}"
            )


def nearest_score(parameters: LampblackParameters) -> Score:
    """The network's score beside distances to the samples that are remembered."""
    from lampblack.scores import NearestScore, PatchScore

    if parameters.features is not None:
        return PatchScore(
            reconstruction_score(parameters),
            memory=parameters.memory_size,
            worst=WORST,
            weights=parameters.part_weights,
        )
    return NearestScore(
        reconstruction_score(parameters),
        k=parameters.n_neighbors,
        memory=parameters.memory_size,
        weights=parameters.part_weights,
    )


LAMPBLACK = Recipe(LampblackParameters, score=nearest_score)
