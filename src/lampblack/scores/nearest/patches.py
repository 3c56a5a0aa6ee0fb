"""A network's error beside distances to remembered positions of maps, weighed without labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lampblack.data.kind import Encoder
from lampblack.networks import AutoencoderPair
from lampblack.scores.base import Passed, Score, Scored
from lampblack.scores.reconstruction import ReconstructionScore, share_of_worst

MOST_IMAGES = 5_000  # of which positions are drawn
LEAST_SPREAD = 0.05  # of a part's logarithms on normal images


class PatchScore(Score):
    """Score = Σ wᵢ · log₂(1 + sᵢ / s̄ᵢ) of two parts sᵢ, s̄ᵢ their means on normal images.

    s₁ is the network's score, the error at the worst 1 % of the positions of a map. s₂ is the mean,
    over as many, of the largest distances from a position's features to the nearest of those that
    are remembered: so many positions, drawn at random from maps of training images. No image that
    calibrates is remembered, so a new normal one is compared as they are.

    The weights, unless they are given, are the larger the less a part's logarithm varies among
    normal images that were not trained on. An ordinary one has a score of about 1.

    Buffers: `patches` (m, features), `units` s̄ᵢ and `weights` (2,), which sum to 1.

    Source of the distances: PatchCore, arXiv 2106.08265, with a random memory in place of a
    k-centre one, and without its reweighing.
    """

    patches: Tensor
    units: Tensor
    weights: Tensor

    needs_reference = True
    of_training_only: ClassVar[bool] = True

    def __init__(
        self,
        network: ReconstructionScore,
        *,
        memory: int,
        worst: float,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self._network, self._most, self._worst = network, memory, worst
        self._given_weights = weights
        self.register_buffer("units", torch.ones(2))
        self.register_buffer("weights", torch.full((2,), 0.5))

    def prepare(self, encoder: Encoder, networks: AutoencoderPair) -> None:
        self.register_buffer("patches", torch.zeros(0, encoder.shape[0]))

    @property
    def memory(self) -> int:
        return MOST_IMAGES

    @property
    def watched(self) -> Score:
        """The part that is learned by training."""
        return self._network

    def forward(self, networks: AutoencoderPair, passed: Passed) -> Scored:
        """The scores of a batch; the remainder is the share of the weighted norm of the code."""
        network = self._network(networks, passed)
        distances = self._distances(passed.x)
        weighed = self._weighed(self._parts(network.score, distances))
        remainder = weighed[:, 0] * network.remainder / network.score.clamp(min=1e-30)
        return Scored(weighed.sum(dim=1) - remainder, remainder)

    def explain(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> tuple[Tensor, Tensor]:
        """Each element's share of both parts, zero but at the worst positions of each.

        The distance of a position is dealt out evenly over its features.
        """
        errors, norm = self._network.explain(networks, passed, at_once)
        distances = self._distances(passed.x)
        parts = self._parts(self._network(networks, passed).score, distances)
        rates = (self._weighed(parts) / parts.clamp(min=1e-30))[:, :, None, None, None]
        shares = distances * share_of_worst(distances, self._worst) / passed.x.shape[1]
        return rates[:, 0] * errors + rates[:, 1] * shares[:, None], rates[:, 0, 0, 0, 0] * norm

    @torch.no_grad()
    def remember(self, networks: AutoencoderPair, batches: Iterable[Tensor]) -> None:
        """Keep positions of these maps, all as likely as each other, in place of any others."""
        generator = torch.Generator().manual_seed(0)
        kept, keys = self.patches[:0], torch.zeros(0)
        for maps in batches:
            positions = maps.permute(0, 2, 3, 1).flatten(end_dim=2)
            kept = torch.cat([kept, positions])
            keys = torch.cat([keys, torch.rand(len(positions), generator=generator)])
            keys, first = keys.topk(min(self._most, len(keys)))
            kept = kept[first.to(kept.device)]
        self.patches = kept

    @torch.no_grad()
    def fit(self, networks: AutoencoderPair, reference: Iterable[Passed]) -> None:
        """Learn the means and weights from normal images that were not trained on."""
        parts = torch.cat(
            [
                self._parts(self._network(networks, passed).score, self._distances(passed.x))
                for passed in reference
            ]
        )
        self.units.copy_(parts.mean(dim=0).clamp(min=1e-9))
        if self._given_weights is not None:
            weights = torch.tensor(self._given_weights, dtype=self.weights.dtype)
        else:
            spreads = parts.clamp(min=1e-9).log().std(dim=0, correction=0)
            weights = 1 / (spreads + LEAST_SPREAD)
        self.weights.copy_(weights / weights.sum())

    def _parts(self, network: Tensor, distances: Tensor) -> Tensor:
        """Both parts (n, 2), from the network's scores (n,) and distances by position (n, h, w)."""
        counted = share_of_worst(distances, self._worst)
        return torch.stack([network, (distances * counted).sum(dim=(1, 2))], dim=1)

    def _weighed(self, parts: Tensor) -> Tensor:
        return self.weights * torch.log1p(parts / self.units) / math.log(2)

    def _distances(self, x: Tensor) -> Tensor:
        """Distances (n, h, w) from positions of maps (n, features, h, w) to the nearest patches.

        Root mean squares of the differences.
        """
        if torch.compiler.is_exporting():  # in a graph for any number of images
            return self._nearest(x)
        return torch.cat([self._nearest(image) for image in torch.split(x, 1)])

    def _nearest(self, x: Tensor) -> Tensor:
        positions = x.permute(0, 2, 3, 1).flatten(end_dim=2)  # (n·h·w, features)
        halves = self.patches.square().sum(dim=1) / 2
        closest = (positions @ self.patches.T - halves).amax(dim=1)
        squares = positions.square().sum(dim=1) - 2 * closest
        distances = (squares.clamp(min=1e-12) / x.shape[1]).sqrt()
        return distances.reshape(-1, *x.shape[2:])

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Make room for as many patches as are to be loaded."""
        stored = state_dict.get(prefix + "patches")
        if stored is not None:
            self.patches = self.patches.new_zeros(len(stored), *self.patches.shape[1:])
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
