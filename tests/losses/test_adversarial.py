"""AMA's losses against what they are by hand."""

from __future__ import annotations

import pytest
import torch

from lampblack.losses import critic_loss, deception_loss, gradient_penalty

REAL = torch.tensor([2.0, -1.0, 0.5])
FAKE = torch.tensor([0.0, 3.0, -0.5])


def test_wasserstein_loss_of_normal_samples_is_the_gap() -> None:
    ones = torch.ones(3)
    torch.testing.assert_close(critic_loss(REAL, FAKE, ones, "wasserstein"), FAKE - REAL)
    torch.testing.assert_close(deception_loss(FAKE, ones), -FAKE)


def test_anomalies_turn_the_sign_and_weigh_more() -> None:
    label = torch.tensor([1.0, -5.0, 1.0])
    loss = critic_loss(REAL, FAKE, label, "wasserstein")
    torch.testing.assert_close(loss, torch.tensor([-2.0, -20.0, -1.0]))
    torch.testing.assert_close(deception_loss(FAKE, label)[1], torch.tensor(15.0))


def test_hinge_loss_is_bounded_below_and_flat_where_pairs_are_told_apart() -> None:
    loss = critic_loss(REAL, FAKE, torch.ones(3), "hinge")
    torch.testing.assert_close(loss, torch.tensor([1.0, 6.0, 1.0]))
    far = critic_loss(REAL + 100, FAKE - 100, torch.ones(3), "hinge")
    torch.testing.assert_close(far, torch.zeros(3))
    anomalies = critic_loss(REAL - 100, FAKE + 100, -5 * torch.ones(3), "hinge")
    torch.testing.assert_close(anomalies, torch.zeros(3))


@pytest.mark.parametrize("length", [0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_known(length: float) -> None:
    """D(a, b) = w · [a, b] has the gradient w everywhere."""
    torch.manual_seed(0)
    weight = torch.randn(8)
    weight = length * weight / weight.norm()

    def critic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cat([a, b], dim=1) @ weight

    x, fake = torch.randn(5, 4), torch.randn(5, 4)
    penalty = gradient_penalty(critic, x, fake, torch.rand(5))
    torch.testing.assert_close(penalty, torch.full((5,), (length - 1) ** 2), atol=1e-5, rtol=1e-4)


def test_penalty_is_taken_on_the_segment_between_sample_and_reconstruction() -> None:
    seen = []

    def critic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append((a.detach().clone(), b.detach().clone()))
        return b.sum(dim=1)

    x, fake = torch.zeros(3, 2), torch.ones(3, 2)
    position = torch.tensor([0.0, 0.25, 1.0])
    penalty = gradient_penalty(critic, x, fake, position)
    torch.testing.assert_close(seen[0][0], x)
    torch.testing.assert_close(seen[0][1], position[:, None].expand(3, 2))
    torch.testing.assert_close(penalty, torch.full((3,), (2**0.5 - 1) ** 2))


def test_penalty_teaches_the_critic() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 1)
    x = torch.randn(16, 2)
    for _ in range(200):
        penalty = gradient_penalty(
            lambda a, b: layer(torch.cat([a, b], dim=1)).squeeze(1), x, -x, torch.rand(16)
        ).mean()
        layer.zero_grad()
        penalty.backward()
        with torch.no_grad():
            layer.weight -= 0.05 * layer.weight.grad
    assert layer.weight.norm().item() == pytest.approx(1.0, abs=0.01)
