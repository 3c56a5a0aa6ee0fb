"""Every part of AMA's training, switched on and off."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import lampblack
from lampblack.exceptions import CollapseWarning, TrainingError, TrainingWarning
from lampblack.model.building import autoencoder_networks
from lampblack.model.methods.ama import AMA
from lampblack.networks import AdversarialPair, Critic, dense_critic
from lampblack.training.adversarial import AdversarialSettings, AdversarialStep
from lampblack.training.steps import ReconstructionObjective
from tests.conftest import FAST

OFF: dict[str, Any] = {
    "reconstruction_weight": 1.0,
    "adversarial_weight": 1.0,
    "form": "wasserstein",
    "critic_steps": 1,
    "gradient_penalty": 0.0,
    "spectral_norm": False,
    "simplex_weight": 0.0,
    "atypical": None,
    "warm_up": 0,
    "anomaly_share": 0.1,
    "anomaly_weight": 5.0,
}


class Spy(AdversarialPair):
    """Identity networks whose critic remembers the pairs it sees."""

    def __init__(self) -> None:
        critic = Critic(nn.Linear(6, 4), nn.Linear(4, 1), mirror=True)
        super().__init__(nn.Linear(3, 3), nn.Linear(3, 3), critic, torch.ones(3))
        for network in (self.encoder, self.decoder):
            nn.init.eye_(network.weight)
            nn.init.zeros_(network.bias)
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.decoded: list[torch.Tensor] = []

    def criticise(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        self.seen.append((a.detach().clone(), b.detach().clone()))
        return super().criticise(a, b)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        self.decoded.append(z.detach().clone())
        return super().decode(z)


def step_with(
    networks: AdversarialPair, anomalies: torch.Tensor | None = None, **changed: Any
) -> AdversarialStep:
    fabric = Fabric(accelerator="cpu", devices=1)
    objective = ReconstructionObjective("l2", None, 0.0, fabric)
    settings = AdversarialSettings(**{**OFF, **changed})
    return AdversarialStep(
        fabric, networks, objective, settings, learning_rate=1e-9, seed=0, anomalies=anomalies
    )


def batch(n: int = 20) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(1)) + 4


@pytest.mark.parametrize("mirror", [True, False])
def test_critic_sees_the_sample_beside_the_reconstruction_or_not(mirror: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    critic = dense_critic(3, hidden=(8,), features=4, mirror=mirror, generator=generator)
    a, other, b = batch(), batch() + 1, batch() - 1
    depends = not torch.equal(critic(a, b), critic(other, b))
    assert depends == mirror
    assert critic.features(a, b).shape == (20, 4)


@pytest.mark.parametrize("steps", [1, 3])
def test_critic_is_updated_so_often_for_each_update_of_the_autoencoder(steps: int) -> None:
    networks = Spy()
    step_with(networks, critic_steps=steps).update(batch())
    assert len(networks.seen) == steps + 1


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_gradient_penalty_is_a_term_or_is_not(weight: float) -> None:
    terms = step_with(Spy(), gradient_penalty=weight).update(batch())
    assert ("gradient_penalty" in terms) == (weight > 0)


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_gradient_penalty_holds_the_slope_of_the_critic(normal: np.ndarray, penalty: float) -> None:
    detector = lampblack.AMADetector(
        gradient_penalty=penalty, spectral_norm=False, reconstruction_weight=0.0, **SLOW
    ).fit(normal)
    x = detector.model_.encoded(normal)
    x = x.requires_grad_(True)
    _, expected = detector.networks_(x)
    judged = detector.networks_.criticise(x, expected.detach()).sum()
    slope = torch.autograd.grad(judged, x)[0].norm(dim=1).mean().item()
    assert (slope < 2.0) == (penalty > 0)


SLOW = {"max_steps": 150, "hidden": (32, 16), "random_state": 0}


@pytest.mark.parametrize("normalised", [True, False])
def test_spectral_norm_bounds_every_layer_of_the_critic(
    normal: np.ndarray, normalised: bool
) -> None:
    detector = lampblack.AMADetector(
        spectral_norm=normalised, gradient_penalty=0.0, learning_rate=0.02, **SLOW
    ).fit(normal)
    layers = [m for m in detector.networks_.critic.modules() if isinstance(m, nn.Linear)]
    largest = [torch.linalg.matrix_norm(layer.weight, 2).item() for layer in layers]
    assert (max(largest) < 1.1) == normalised


@pytest.mark.parametrize("weight", [0.0, 500.0])
def test_latent_weight_pulls_codes_to_the_origin(normal: np.ndarray, weight: float) -> None:
    detector = lampblack.AMADetector(latent_weight=weight, **SLOW).fit(normal)
    assert ("latent" in detector.history_[-1]) == (weight > 0)
    assert (np.linalg.norm(detector.encode(normal), axis=1).mean() < 0.5) == (weight > 0)


@pytest.mark.parametrize("weight", [0.0, 0.2])
def test_simplex_interpolation_decodes_mixtures_of_three_codes(weight: float) -> None:
    networks = Spy()
    x = batch()
    step_with(networks, simplex_weight=weight).update(x)
    mixtures = networks.decoded[1:]  # the first is of the batch itself
    assert len(mixtures) == (weight > 0)
    for mixed in mixtures:
        three = torch.stack([x.roll(shift, dims=0) for shift in range(3)])
        assert (mixed >= three.amin(dim=0) - 1e-5).all()
        assert (mixed <= three.amax(dim=0) + 1e-5).all()
        assert not torch.allclose(mixed, x)
        first, second = networks.seen[0]
        assert len(first) == 5 * len(x)
        torch.testing.assert_close(first[2 * len(x) :], three.flatten(0, 1))
        torch.testing.assert_close(second[2 * len(x) :], mixed.repeat(3, 1))


@pytest.mark.parametrize("direction", [None, "inward", "outward"])
def test_atypical_selection_starts_after_the_warm_up(direction: str | None) -> None:
    networks = Spy()
    step = step_with(networks, atypical=direction, warm_up=2)
    x = batch()
    for _ in range(2):
        step.update(x)
    torch.testing.assert_close(networks.seen[0][0][:20], x)
    networks.seen.clear()
    step.update(x)
    trained = networks.seen[0][0][:20]
    replaced = (trained != x).any(dim=1)
    assert replaced.sum() == (0 if direction is None else 2)
    ratio = trained[replaced].norm(dim=1) / x[:2].norm(dim=1) if direction else torch.empty(0)
    if direction == "inward":
        assert (ratio <= 0.5 + 1e-6).all()
    elif direction == "outward":
        assert (ratio >= 2.0 - 1e-5).all()


@pytest.mark.parametrize("form", ["wasserstein", "hinge"])
def test_form_of_the_loss(form: str) -> None:
    terms = step_with(Spy(), form=form).update(batch())
    assert (terms["critic"] > 1.0) == (form == "hinge")  # 2 where nothing is told apart


def test_known_anomalies_take_their_share_of_every_batch() -> None:
    networks = Spy()
    step_with(networks, anomalies=torch.full((3, 3), 77.0)).update(batch())
    assert (networks.seen[0][0][:20] == 77.0).all(dim=1).sum() == 2


def test_autoencoder_update_leaves_the_critic_alone() -> None:
    networks = Spy()
    step = step_with(networks)
    step.update(batch())
    assert all(parameter.requires_grad for parameter in networks.critic.parameters())
    gradients = [parameter.grad.clone() for parameter in networks.critic.parameters()]
    step._update_autoencoder(batch(), *networks(batch()), None, torch.ones(20))
    for parameter, gradient in zip(networks.critic.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize(
    ("cls", "parameters"),
    [
        (lampblack.AutoencoderDetector, {"reconstruction_error": "l2"}),
        (lampblack.LAMPDetector, {"reconstruction_error": "l2", "amplification": "quantile"}),
        (lampblack.TollDetector, {"reconstruction_error": "l2_norm", "latent_weight": 0.1}),
    ],
)
def test_without_a_critic_it_is_the_detector_of_the_other_parts(
    cls: type, parameters: dict[str, Any], normal: np.ndarray
) -> None:
    ama = lampblack.AMADetector(adversarial_weight=0.0, **parameters, **FAST).fit(normal)
    other = cls(**parameters, **FAST).fit(normal)
    assert "critic" not in ama.history_[0]
    assert ama.rows_ == other.rows_
    np.testing.assert_array_equal(ama.anomaly_score(normal), other.anomaly_score(normal))


def test_training_that_diverges_ends_in_an_error_that_names_the_term(normal: np.ndarray) -> None:
    with pytest.raises(TrainingError, match=r"not finite at step \d+ \(term: .*critic"):
        lampblack.AMADetector(
            learning_rate=1e6, spectral_norm=False, schedule="constant", max_steps=400
        ).fit(normal)


def test_reconstruction_that_gets_worse_is_warned_of(normal: np.ndarray) -> None:
    with pytest.warns(TrainingWarning, match="did not lower the reconstruction error"):
        lampblack.AMADetector(
            reconstruction_weight=0.0,
            learning_rate=0.1,
            schedule="constant",
            spectral_norm=False,
            gradient_penalty=0.0,
            max_steps=150,
            hidden=(8,),
        ).fit(normal)


class Average(nn.Module):
    """A decoder that can learn one row, and gives it for every code."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.full((5,), 3.0))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return 0.0 * z.sum(dim=1, keepdim=True) + self.row


def test_reconstructions_that_are_all_alike_are_warned_of(normal: np.ndarray) -> None:
    networks = (nn.Linear(5, 2), Average())
    with pytest.warns(CollapseWarning, match="reconstructed alike"):
        lampblack.AMADetector(networks=networks, max_steps=150, hidden=(8,)).fit(normal)


def test_constant_scores_are_an_error(normal: np.ndarray) -> None:
    class Nothing(nn.Module):
        def forward(self, pairs: torch.Tensor) -> torch.Tensor:
            return 0.0 * pairs[:, :4]

    def blind(*given: Any) -> AdversarialPair:
        pair = autoencoder_networks(*given)
        critic = Critic(Nothing(), nn.Linear(4, 1), mirror=True)
        return AdversarialPair(pair.encoder, pair.decoder, critic, pair.varying)

    class Blind(lampblack.AMADetector):  # type: ignore[misc]
        recipe = dataclasses.replace(AMA, networks=blind)

    with pytest.raises(TrainingError, match="all samples have the same score"):
        Blind(max_steps=10, score_by="critic").fit(normal)
