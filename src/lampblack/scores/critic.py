"""AMA's scores: how far a critic holds a sample and its reconstruction apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import ClassVar, cast

import torch
from torch import Tensor

from lampblack.choices import (
    CRITIC_SCORES,
    DENSITIES,
    RECONSTRUCTION_ERRORS,
    CriticScoreName,
    Density,
    ReconstructionErrorName,
)
from lampblack.data.kind import Encoder
from lampblack.losses import latent_norm, reconstruction_error
from lampblack.networks import AdversarialPair, AutoencoderPair
from lampblack.scores.attribution import integrated_gradients
from lampblack.scores.base import Passed, Score, Scored

QUANTILES = 256  # of usual distances that are kept
POINTS = 16  # between which the most usual one is looked for
FLOOR = 0.01  # of its usual value, below which a part of the joint score counts as nothing


class CriticScore(Score):
    """What the critic's features f say of a sample beside its reconstruction.

    With d = f(x, x) − f(x, x̂), and "usual" as learned from normal samples that trained nothing:

    - "critic": s = ‖d‖₁.
    - "typicality": how low the density of s is. (s − μ)² / 2σ², −ln of a normal density less its
      lowest value, where `density` is "gaussian"; under "kernel" −ln of the mean of
      exp(−(s − sᵢ)² / 2h²) over 256 quantiles sᵢ of usual distances, never below 0. Two-sided: an
      unusually small distance is anomalous.
    - "mahalanobis": √((d − m)ᵀ Σ⁻¹ (d − m)), m and Σ the usual ones, Σ shrunk (Ledoit & Wolf 2004).
    - "joint": the same of three logarithms, of the reconstruction error, of ‖z‖₂ and of s (of the
      first two where no critic was trained). Two-sided in each, and in what they are together.

    What is usual is kept in buffers. centre, whitening: mean (features,) and whitening (features,
    features) of d. quantiles (256,) of s. usual (3,): medians of error, norm of the code and s;
    log_centre, log_whitening: of the logarithms of the three. units (4,): mean scores by each name.

    Features of a table that never varied are not shown to the critic. When one moves, the mean of
    their squares is added, in units of the mean score of normal samples.
    Sources: AMA, arXiv 2003.10713, for the first two; the others are this project's. Raises
    ValueError for names that are none of these.
    """

    remainder_name: ClassVar[str] = "baseline"
    needs_reference: ClassVar[bool] = True

    centre: Tensor
    whitening: Tensor
    quantiles: Tensor
    usual: Tensor
    log_centre: Tensor
    log_whitening: Tensor
    units: Tensor

    def __init__(
        self,
        name: CriticScoreName,
        density: Density = "gaussian",
        *,
        error: ReconstructionErrorName = "l2",
        critic: bool = True,
    ) -> None:
        super().__init__()
        if name not in CRITIC_SCORES or density not in DENSITIES:
            raise ValueError(f"no score by {name!r} with density {density!r} is known")
        if error not in RECONSTRUCTION_ERRORS:
            raise ValueError(f"unknown reconstruction error {error!r}")
        self._by = name
        self._density = density
        self._error: ReconstructionErrorName = error
        self._critic = critic

    def prepare(self, encoder: Encoder, networks: AutoencoderPair) -> None:
        width = _critic_of(networks).critic.head.in_features
        assert isinstance(width, int)
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width))
        self.register_buffer("quantiles", torch.zeros(QUANTILES))
        self.register_buffer("usual", torch.ones(3))
        self.register_buffer("log_centre", torch.zeros(3))
        self.register_buffer("log_whitening", torch.eye(3))
        self.register_buffer("units", torch.ones(4))

    def forward(self, networks: AutoencoderPair, passed: Passed) -> Scored:
        """The scores of a batch; no remainder."""
        x, z, reconstruction = passed
        constants = self._of_constants(networks, x).flatten(start_dim=1).sum(dim=1)
        score = self._of(networks, x, reconstruction, z) + constants
        return Scored(score, torch.zeros_like(score))

    def explain(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> tuple[Tensor, Tensor]:
        """Signed integrated gradients from the most usual point between x̂ and x; its score.

        x̂ is held beside every point of the way. A two-sided score falls on it first, since a
        perfect reconstruction is unusual, too; what is attributed is the rise from the lowest of 17
        points. A sample that is unusually close to its reconstruction keeps all in the remainder.
        """
        x, reconstruction = passed.x.clone(), passed.reconstruction.clone()
        start, lowest = self._most_usual(networks, x, reconstruction)
        parts = integrated_gradients(
            partial(self._of, networks), start, x, at_once, beside=reconstruction, of_larger=True
        )
        return parts + self._of_constants(networks, x), lowest

    @torch.no_grad()
    def _most_usual(
        self, networks: AutoencoderPair, x: Tensor, reconstruction: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Of points between x̂ and x, denser near x̂, those of the lowest score, and it (n,)."""
        positions = (torch.arange(POINTS + 1, device=x.device) / POINTS) ** 2
        way = [reconstruction + t * (x - reconstruction) for t in positions]
        scores = torch.stack([self._of(networks, point, reconstruction) for point in way])
        lowest, which = scores.min(dim=0)
        t = positions[which].reshape(-1, *[1] * (x.ndim - 1))
        return reconstruction + t * (x - reconstruction), lowest

    @torch.no_grad()
    def fit(self, networks: AutoencoderPair, reference: Iterable[Passed]) -> None:
        """Keep what is usual, for every name."""
        gathered = [
            (
                self._differences(networks, x, reconstruction),
                self._summaries(networks, x, reconstruction, z),
            )
            for x, z, reconstruction in reference
        ]
        differences, summaries = (torch.cat(parts) for parts in zip(*gathered, strict=True))
        levels = (torch.arange(QUANTILES) + 0.5) / QUANTILES
        distances = differences.abs().sum(dim=1).cpu()
        self.quantiles.copy_(distances.double().quantile(levels.double()))
        self.usual.copy_(summaries.median(dim=0).values.clamp(min=1e-12))
        for values, centre, whitening in (
            (differences, self.centre, self.whitening),
            (self._logarithms(summaries), self.log_centre, self.log_whitening),
        ):
            learned_centre, learned_whitening = _normal_distribution(values.cpu().double())
            centre.copy_(learned_centre)
            whitening.copy_(learned_whitening)
        for i, name in enumerate(CRITIC_SCORES):
            self.units[i] = self._of_parts(name, differences, summaries).mean()

    def _of(
        self, networks: AutoencoderPair, x: Tensor, reconstruction: Tensor, z: Tensor | None = None
    ) -> Tensor:
        """The score (n,) of samples x beside reconstructions, without constant features."""
        if self._by == "joint":
            z = networks.encode(x) if z is None else z
            summaries = self._summaries(networks, x, reconstruction, z)
            return self._of_parts(self._by, None, summaries)
        return self._of_parts(self._by, self._differences(networks, x, reconstruction), None)

    def _of_parts(
        self, name: CriticScoreName, differences: Tensor | None, summaries: Tensor | None
    ) -> Tensor:
        if name == "joint":
            assert summaries is not None
            logarithms = self._logarithms(summaries)
            return _length((logarithms - self.log_centre) @ self.log_whitening)
        assert differences is not None
        if name == "mahalanobis":
            return _length((differences - self.centre) @ self.whitening)
        distance = differences.abs().sum(dim=1)
        return distance if name == "critic" else self._typicality(distance)

    def _typicality(self, distance: Tensor) -> Tensor:
        known = self.quantiles
        spread = known.std(correction=0).clamp(min=1e-6 * known.mean() + 1e-12)
        if self._density == "gaussian":
            return ((distance - known.mean()) / spread).square() / 2
        width = 1.06 * spread * len(known) ** -0.2  # Silverman's rule, for the 256 quantiles
        away = -((distance[:, None] - known) / width).square() / 2
        return torch.as_tensor(math.log(len(known)) - away.logsumexp(dim=1))

    def _differences(self, networks: AutoencoderPair, x: Tensor, reconstruction: Tensor) -> Tensor:
        features = _critic_of(networks).features
        return features(x, x) - features(x, reconstruction)

    def _summaries(
        self, networks: AutoencoderPair, x: Tensor, reconstruction: Tensor, z: Tensor
    ) -> Tensor:
        """Error, norm of the code and critic's distance of samples (n, 3); 0 without a critic."""
        seen = x if networks.all_vary else x * networks.varying
        parts = [reconstruction_error(seen, reconstruction, self._error), latent_norm(z)]
        if self._critic:
            parts.append(self._differences(networks, x, reconstruction).abs().sum(dim=1))
        else:
            parts.append(torch.zeros_like(parts[0]))
        return torch.stack(parts, dim=1)

    def _logarithms(self, summaries: Tensor) -> Tensor:
        return (summaries / self.usual + FLOOR).log()

    def _of_constants(self, networks: AutoencoderPair, x: Tensor) -> Tensor:
        """What each element that never varied adds, the shape of x."""
        if networks.all_vary:
            return torch.zeros_like(x)
        unit = self.units[CRITIC_SCORES.index(self._by)]
        return unit * (x * (1 - networks.varying)).square() / x[0].numel()


def _critic_of(networks: AutoencoderPair) -> AdversarialPair:
    """The networks, which have a critic, as AMA's recipe builds them."""
    return cast(AdversarialPair, networks)


def _length(vectors: Tensor) -> Tensor:
    """Euclidean norms (n,) whose slope at 0 is 0."""
    return vectors.square().sum(dim=1).clamp(min=1e-30).sqrt()


def _normal_distribution(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and whitening matrix W of values (n, d): ‖(v − mean) W‖₂ is the Mahalanobis distance."""
    from sklearn.covariance import LedoitWolf

    centre = values.mean(dim=0)
    if len(values) < 2:
        return centre, torch.eye(len(centre), dtype=values.dtype) / centre.norm().clamp(min=1e-12)
    covariance = torch.from_numpy(LedoitWolf().fit(values.numpy()).covariance_)
    variances, axes = torch.linalg.eigh(covariance)
    smallest = (1e-9 * variances.max()).clamp(min=1e-24)
    return centre, axes / variances.clamp(min=smallest).sqrt()
