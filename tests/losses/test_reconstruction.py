from __future__ import annotations

import pytest
import torch

from lampblack.losses import elementwise_error, latent_norm, reconstruction_error
from lampblack.scores import Passed, ReconstructionScore, error_contributions

x = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
y = torch.tensor([[4.0, 6.0], [0.0, 0.0]])


@pytest.mark.parametrize(("name", "expected"), [("l2", 12.5), ("l1", 3.5), ("l2_norm", 5.0)])
def test_error_is_its_equation(name: str, expected: float) -> None:
    torch.testing.assert_close(reconstruction_error(x, y, name), torch.tensor([expected, 0.0]))


def test_shapes_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="was reconstructed as"):
        elementwise_error(x, y[:, :1], "l2")


@pytest.mark.parametrize("name", ["l2", "l1", "l2_norm"])
def test_perfect_reconstruction_has_a_finite_gradient(name: str) -> None:
    guess = x.clone().requires_grad_(True)
    reconstruction_error(x, guess, name).sum().backward()
    assert guess.grad is not None
    assert torch.isfinite(guess.grad).all()


def test_code_at_the_origin_has_a_finite_gradient() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    latent_norm(z).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


@pytest.mark.parametrize("name", ["l2", "l1", "l2_norm"])
def test_contributions_are_not_negative_and_sum_to_the_error(name: str) -> None:
    a, b = torch.randn(50, 7), torch.randn(50, 7)
    parts = error_contributions(a, b, name=name)
    assert (parts >= 0).all()
    torch.testing.assert_close(parts.sum(dim=1), reconstruction_error(a, b, name))


def test_score_adds_the_weighted_norm_of_the_code() -> None:
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    scored = ReconstructionScore("l2_norm", 2.0)(None, Passed(x, z, y))
    torch.testing.assert_close(scored.score, torch.tensor([15.0, 0.0]))
