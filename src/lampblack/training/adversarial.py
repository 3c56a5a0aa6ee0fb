"""AMA's step: a critic of mirrored pairs, and an autoencoder that tries to deceive it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm

from lampblack.choices import AdversarialLoss, Atypical
from lampblack.losses import critic_loss, deception_loss, gradient_penalty
from lampblack.networks import AdversarialPair
from lampblack.training.single_process import Runner
from lampblack.training.steps import ReconstructionObjective, Terms, TrainingStep

NEAREST = 0.01  # smallest α of outward selection, which divides by it


@dataclass(frozen=True)
class AdversarialSettings:
    """What AMA's training is made of; 0, None and False switch a part off.

    See `AMADetector` for the meaning of each. warm_up: updates before atypical selection starts.
    """

    reconstruction_weight: float
    adversarial_weight: float
    form: AdversarialLoss
    critic_steps: int
    gradient_penalty: float
    spectral_norm: bool
    simplex_weight: float
    atypical: Atypical | None
    warm_up: int
    anomaly_share: float
    anomaly_weight: float


class AdversarialStep(TrainingStep):
    """Some updates of the critic, then one of the autoencoder, on the same batch; both with Adam.

    Critic: minimise mean of y·(D(x, x̂) − D(x, x)) + λ_gp · penalty. Autoencoder: minimise
    reconstruction_weight · (error + latent_weight · ‖z‖₂) over normal samples, and
    −adversarial_weight · mean y·D(x, x̂). Both have the same over decoded mixtures of three codes,
    times simplex_weight. y is 1 for normal samples and −anomaly_weight for known anomalies and
    synthetic ones, which take the place of a share of the batch.
    anomalies: known ones (m, ...) on the device, or None. seed: of everything drawn at random here,
    and in every process of a training otherwise.
    Source: AMA, arXiv 2003.10713; the reconstruction term is this project's (docs/methods/ama.md).
    """

    falling: ClassVar[str] = "reconstruction"  # two players' losses rise and fall
    BETAS: ClassVar[dict[str, tuple[float, float]]] = {  # the authors'
        "encoder": (0.5, 0.9),
        "decoder": (0.0, 0.9),
        "critic": (0.0, 0.9),
    }

    def __init__(
        self,
        fabric: Runner,
        networks: AdversarialPair,
        objective: ReconstructionObjective,
        settings: AdversarialSettings,
        *,
        learning_rate: float,
        seed: int,
        anomalies: Tensor | None = None,
    ) -> None:
        if settings.spectral_norm:
            _normalise_spectrally(networks.critic, seed)
        groups = [
            {"params": list(getattr(networks, part).parameters()), "betas": self.BETAS[part]}
            for part in ("encoder", "decoder")
        ]
        players = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        critic = torch.optim.Adam(
            networks.critic.parameters(), lr=learning_rate, betas=self.BETAS["critic"], fused=True
        )
        self._fabric = fabric
        self._wrapped, self._player, self._critic = fabric.setup(networks, players, critic)
        if self._wrapped is not networks:  # Fabric's wrapper
            for method in ("decode", "criticise"):
                self._wrapped.mark_forward_method(method)
        self.networks: AdversarialPair = networks
        self.optimizers = [players, critic]
        self._objective = objective
        self._settings = settings
        self._anomalies = anomalies
        self._generator = torch.Generator().manual_seed(seed + fabric.global_rank)
        self._updates = 0

    def update(self, batch: Tensor) -> Terms:
        """Update the critic `critic_steps` times, then the autoencoder once."""
        settings = self._settings
        x, label = self._with_anomalies(batch)
        normal = label > 0
        z, fake = self._wrapped(x)
        mixed = self._mixture(z[normal]) if settings.simplex_weight else None
        terms: Terms = {}
        for _ in range(settings.critic_steps):
            terms = self._update_critic(x, fake.detach(), _detached(mixed), label)
        terms |= self._update_autoencoder(x, z, fake, mixed, label)
        self._updates += 1
        return {name: term.detach() for name, term in terms.items()}

    def losses(self, batch: Tensor) -> Tensor:
        """The error and the weighted norm of the code (n,): the critic's own loss never settles."""
        return self._objective.plain(batch, *self._wrapped(batch))

    def extra_state(self) -> dict[str, Tensor]:
        """The running quantile of the errors, the state of the generator, and the updates made."""
        return {
            "amplification_scale": self._objective.scale,
            "adversarial_generator": self._generator.get_state(),
            "updates": torch.tensor(self._updates),
        }

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        self._objective.scale = state["amplification_scale"].to(self._objective.scale)
        self._generator.set_state(state["adversarial_generator"])
        self._updates = int(state["updates"])

    def finish(self) -> None:
        """Leave the critic with its normalised weights, as plain layers."""
        for layer in self.networks.critic.modules():
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight")

    def _update_critic(self, x: Tensor, fake: Tensor, mixed: Tensor | None, label: Tensor) -> Terms:
        settings, normal = self._settings, label > 0
        with parametrize.cached():  # one power iteration an update
            pairs = [(x, x), (x, fake), *_mixture_pairs(x[normal], mixed)]
            real, judged, *of_mixtures = self._judge(pairs)
            loss = critic_loss(real, judged, label, settings.form).mean()
            terms: Terms = {"critic_gap": (real - judged)[normal].mean()}
            if mixed is not None:
                shifted = torch.cat([real[normal].roll(shift) for shift in range(3)])
                of_triples = torch.cat(of_mixtures)
                ones = torch.ones_like(of_triples)
                over_triples = critic_loss(shifted, of_triples, ones, settings.form).mean()
                loss = loss + settings.simplex_weight * over_triples
            if settings.gradient_penalty:
                position = self._uniform(len(x), x)
                penalty = gradient_penalty(self._wrapped.criticise, x, fake, position).mean()
                terms["gradient_penalty"] = settings.gradient_penalty * penalty
                loss = loss + terms["gradient_penalty"]
            self._critic.zero_grad(set_to_none=True)
            self._fabric.backward(loss)
        self._critic.step()
        return {"critic": loss, **terms}

    def _update_autoencoder(
        self, x: Tensor, z: Tensor, fake: Tensor, mixed: Tensor | None, label: Tensor
    ) -> Terms:
        settings, normal = self._settings, label > 0
        error = self._objective.error(x[normal], fake[normal]).mean()
        terms: Terms = {"reconstruction": error}
        loss = settings.reconstruction_weight * error
        if self._objective.latent_weight:
            latent = self._objective.latent(z[normal]).mean()
            terms["latent"] = (settings.reconstruction_weight or 1.0) * latent
            loss = loss + terms["latent"]
        with parametrize.cached(), _frozen(self.networks.critic):
            pairs = [(x, fake), *_mixture_pairs(x[normal], mixed)]
            judged, *of_mixtures = self._judge(pairs)
            deception = deception_loss(judged, label).mean()
            if mixed is not None:
                of_triples = torch.cat(of_mixtures)
                over_triples = deception_loss(of_triples, torch.ones_like(of_triples)).mean()
                deception = deception + settings.simplex_weight * over_triples
            terms["deception"] = settings.adversarial_weight * deception
            loss = loss + terms["deception"]
            self._player.zero_grad(set_to_none=True)
            self._fabric.backward(loss)
        self._player.step()
        return {"loss": loss, **terms}

    def _judge(self, pairs: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """D of every pair of batches, in one pass."""
        first, second = zip(*pairs, strict=True)
        judged = self._wrapped.criticise(torch.cat(first), torch.cat(second))
        return list(torch.split(judged, [len(a) for a in first]))

    def _mixture(self, z: Tensor) -> Tensor:
        """Decoded mixtures of three codes each, with weights a₁, a₂ ~ U(0, ½), a₃ the rest."""
        first, second = (0.5 * self._uniform(len(z), z) for _ in range(2))
        weights = torch.stack([first, second, 1 - first - second])
        codes = torch.stack([z.roll(shift, dims=0) for shift in range(3)])
        mixture = (weights.reshape(3, -1, *[1] * (z.ndim - 1)) * codes).sum(dim=0)
        with _as_scored(self.networks):
            return torch.as_tensor(self._wrapped.decode(mixture))

    def _with_anomalies(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The batch with some samples replaced by known and by synthetic anomalies; its labels."""
        settings = self._settings
        label = batch.new_ones(len(batch))
        replaced = min(max(1, round(settings.anomaly_share * len(batch))), (len(batch) - 1) // 2)
        if replaced < 1:
            return batch, label
        pieces = []
        if self._anomalies is not None:
            chosen = torch.randint(len(self._anomalies), (replaced,), generator=self._generator)
            pieces.append(self._anomalies[chosen.to(batch.device)])
        if settings.atypical is not None and self._updates >= settings.warm_up:
            pieces.append(self._synthetic(batch[:replaced], settings.atypical))
        count = sum(len(piece) for piece in pieces)
        label[len(batch) - count :] = -settings.anomaly_weight
        return torch.cat([batch[: len(batch) - count], *pieces]), label

    @torch.no_grad()
    def _synthetic(self, x: Tensor, direction: Atypical) -> Tensor:
        """G(α·E(x)) or G(E(x) / α), α ~ U(0, ½); at least 0.01 where it divides."""
        alpha = 0.5 * self._uniform(len(x), x)
        with _as_scored(self.networks):
            z, _ = self._wrapped(x)
            alpha = alpha.reshape(-1, *[1] * (z.ndim - 1))
            moved = alpha * z if direction == "inward" else z / alpha.clamp(min=NEAREST)
            return torch.as_tensor(self._wrapped.decode(moved))

    def _uniform(self, n: int, like: Tensor) -> Tensor:
        return torch.rand(n, generator=self._generator).to(like)


def _detached(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.detach()


def _mixture_pairs(x: Tensor, mixed: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """Mixtures beside each of the three samples that they mix."""
    return [] if mixed is None else [(x.roll(shift, dims=0), mixed) for shift in range(3)]


def _normalise_spectrally(critic: nn.Module, seed: int) -> None:
    """Divide the weights of every layer by their largest singular value, from now on."""
    with torch.random.fork_rng(devices=[]):  # torch draws its first vectors from the global state
        torch.manual_seed(seed)
        for layer in list(critic.modules()):
            if isinstance(layer, nn.Linear | nn.Conv2d):
                spectral_norm(layer)


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Gradients pass through the module and are not kept in it."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


@contextmanager
def _as_scored(module: nn.Module) -> Iterator[None]:
    """Batch norms and the like work as in scoring, and learn nothing from what passes through."""
    module.eval()
    try:
        yield
    finally:
        module.train()
