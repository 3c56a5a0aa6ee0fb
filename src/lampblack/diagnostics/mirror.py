"""AMA's mirror: how far the critic holds samples and their reconstructions apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lampblack.diagnostics.chosen import encoded
from lampblack.diagnostics.codes import Recorder
from lampblack.exceptions import InvalidInput
from lampblack.explanation import Values
from lampblack.model.model import Model, as_model
from lampblack.networks import AdversarialPair, AutoencoderPair
from lampblack.scores import CriticScore

SYNTHETIC = "synthetic"
WITHIN = 2.5758  # standard deviations either side that hold 99 % of a normal density
MOST = 2000


@dataclass(frozen=True)
class Mirror:
    """Critic distances s = ‖f(x, x) − f(x, x̂)‖₁ by group (n,), and the typicality band.

    Groups are those that were given, and "synthetic": decoded codes of the first one, drawn
    towards the origin, which stand in for anomalies in training. band: what is typical, μ ± 2.58 σ
    of held-out distances where the score learned them, else of the first group's; below it, too, a
    distance is unusual.
    """

    distances: dict[str, Values]
    band: tuple[float, float]

    @property
    def outside(self) -> dict[str, tuple[float, float]]:
        """Share of each group's distances below the band, and above it."""
        low, high = self.band
        return {
            name: (float((values < low).mean()), float((values > high).mean()))
            for name, values in self.distances.items()
        }


class CriticDistances(Recorder):
    """The critic's distance of groups of samples over training, for AMA.

    The first group also gives "synthetic" ones: G(α·E(x)), α ~ U(0, ½), the same α at every look.

    >>> import numpy as np
    >>> from lampblack import AMADetector
    >>> from lampblack.diagnostics import CriticDistances
    >>> normal = np.random.default_rng(0).normal(size=(300, 4))
    >>> seen = CriticDistances({"normal": normal[:50], "far": normal[:50] + 5})
    >>> detector = AMADetector(max_steps=40, hidden=(16,), random_state=0)
    >>> detector = detector.fit(normal, callbacks=[seen])
    >>> [record["group"] for record in seen.records[:3]]
    ['normal', 'synthetic', 'far']
    """

    def __init__(self, groups: Mapping[str, object], *, seed: int = 0) -> None:
        super().__init__(groups)
        if SYNTHETIC in self.groups:
            raise InvalidInput(f"a group cannot be called {SYNTHETIC!r}; rename it")
        self._seed = seed

    def measure(self, networks: AutoencoderPair, x: Tensor) -> dict[str, Tensor]:
        return {"distance": distances(_with_critic(networks), x)}

    @torch.no_grad()
    def _look(self, step: int) -> None:
        given = self._encoded
        self._encoded = _with_synthetic(self._networks, given, self._seed)
        super()._look(step)
        self._encoded = given


def critic_distances(detector: Model, groups: Mapping[str, object], *, seed: int = 0) -> Mirror:
    """Critic distances of groups of samples, the first of them normal, and the typicality band.

    Raises InvalidInput for a detector without a trained critic.

    >>> import numpy as np
    >>> from lampblack import AMADetector
    >>> from lampblack.diagnostics import critic_distances
    >>> normal = np.random.default_rng(0).normal(size=(300, 4))
    >>> detector = AMADetector(max_steps=40, hidden=(16,), random_state=0).fit(normal)
    >>> found = critic_distances(detector, {"normal": normal})
    >>> list(found.distances), found.band[0] < found.band[1]
    (['normal', 'synthetic'], True)
    """
    model = as_model(detector)
    if not has_critic(model):
        raise InvalidInput(f"{model.detector} has trained no critic; fit an AMADetector")
    networks = _with_critic(model.networks)
    samples = {name: encoded(detector, X, MOST, seed=seed) for name, X in groups.items()}
    with torch.no_grad():
        found = {
            name: distances(networks, x).cpu().double().numpy()
            for name, x in _with_synthetic(networks, samples, seed).items()
        }
    usual = next(iter(found.values()))
    if isinstance(model.score, CriticScore):
        usual = model.score.quantiles.cpu().double().numpy()
    away = WITHIN * usual.std()
    return Mirror(found, (float(usual.mean() - away), float(usual.mean() + away)))


def has_critic(detector: Model) -> bool:
    """Whether a critic was trained beside the networks."""
    return bool(getattr(detector.parameters, "adversarial_weight", 0))


def distances(networks: AdversarialPair, x: Tensor) -> Tensor:
    """Distances s (n,) of samples x (n, ...)."""
    _, reconstruction = networks(x)
    difference = networks.features(x, x) - networks.features(x, reconstruction)
    return difference.abs().sum(dim=1)


@torch.no_grad()
def synthetic(networks: AutoencoderPair, x: Tensor, *, seed: int = 0) -> Tensor:
    """G(α·E(x)), α ~ U(0, ½), as in atypical selection."""
    generator = torch.Generator().manual_seed(seed)
    z = networks.encode(x)
    alpha = 0.5 * torch.rand(len(x), generator=generator).to(z)
    return networks.decode(alpha.reshape(-1, *[1] * (z.ndim - 1)) * z)


def _with_synthetic(
    networks: AutoencoderPair, groups: Mapping[str, Tensor], seed: int
) -> dict[str, Tensor]:
    """The groups, with synthetic samples of the first one behind it."""
    (first, x), *rest = groups.items()
    return dict([(first, x), (SYNTHETIC, synthetic(networks, x, seed=seed)), *rest])


def _with_critic(networks: AutoencoderPair) -> AdversarialPair:
    if not isinstance(networks, AdversarialPair):
        raise InvalidInput("these networks have no critic; fit an AMADetector")
    return networks
