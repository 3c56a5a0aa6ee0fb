"""Sharpness and landscapes where they are known in closed form, and on every kind of detector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import lampblack
from lampblack.diagnostics import loss_landscape, sharpness
from lampblack.diagnostics.chosen import encoded
from lampblack.diagnostics.curvature import (
    autoencoder_weights,
    filter_normalised,
    mean_loss,
    random_direction,
    sharpness_of,
    transposed_weights,
)
from lampblack.exceptions import InvalidInput
from tests.conftest import FAST, IMAGE_FAST, discs


def quadratic(matrix: torch.Tensor):
    def loss(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        flat = torch.cat([weights["a"].flatten(), weights["b"]])
        return flat @ matrix @ flat / 2

    return loss, {"a": torch.full((2, 3), 0.5), "b": torch.ones(2)}


def with_eigenvalues(values: list[float]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    axes, _ = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator))
    return axes @ torch.diag(torch.tensor(values)) @ axes.T


@pytest.mark.parametrize("least", [0.1, -9.0], ids=["convex", "a larger negative eigenvalue"])
def test_eigenvalue_and_trace_of_a_quadratic(least: float) -> None:
    values = [5.0, 2.0, 1.0, 1.0, 0.5, 0.5, 0.2, least]
    found = sharpness_of(*quadratic(with_eigenvalues(values)), probes=400)
    assert found.largest_eigenvalue == pytest.approx(5.0, rel=0.02)
    assert found.converged
    assert found.trace == pytest.approx(sum(values), abs=4 * found.trace_error)
    assert 0 < found.trace_error < 1


def test_trace_of_a_diagonal_is_exact_and_the_gradient_known() -> None:
    diagonal = torch.arange(1.0, 9.0)
    loss, weights = quadratic(torch.diag(diagonal))
    found = sharpness_of(loss, weights, probes=2)
    assert found.trace == pytest.approx(36.0, rel=1e-5)
    assert found.trace_error == pytest.approx(0.0, abs=1e-4)
    flat = torch.cat([weights["a"].flatten(), weights["b"]])
    assert found.gradient_norm == pytest.approx(float((diagonal * flat).norm()), rel=1e-5)
    assert found.loss == pytest.approx(float((diagonal * flat.square()).sum() / 2), rel=1e-5)


def test_curvature_by_filter_is_that_of_directions_as_long_as_the_filters() -> None:
    loss, weights = quadratic(3.0 * torch.eye(8))
    found = sharpness_of(loss, weights)  # dᵀ(3I)d, d as long as the rows of a, and 0 in b
    assert found.curvature == pytest.approx(3.0 * float(weights["a"].square().sum()), rel=1e-5)


def test_few_iterations_are_said_not_to_settle() -> None:
    loss, weights = quadratic(with_eigenvalues([1.0, 0.99, 0.98, 0.97, 0.5, 0.4, 0.3, 0.2]))
    assert not sharpness_of(loss, weights, iterations=1).converged


def test_a_loss_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        sharpness_of(lambda weights: weights["a"].sum().log(), {"a": -torch.ones(2, 2)})


def test_filters_have_the_length_of_the_weights() -> None:
    layer, transposed = nn.Conv2d(3, 5, 2), nn.ConvTranspose2d(5, 3, 2)
    networks = nn.Sequential(layer, nn.BatchNorm2d(5), transposed)
    names = transposed_weights(networks)
    assert names == {"2.weight"}
    weights = {name: weight.detach() for name, weight in networks.named_parameters()}
    way = random_direction(weights, torch.Generator().manual_seed(0), transposed=names)
    own, found = (w["0.weight"].flatten(1).norm(dim=1) for w in (weights, way))
    torch.testing.assert_close(found, own)
    own, found = (w["2.weight"].transpose(0, 1).flatten(1).norm(dim=1) for w in (weights, way))
    torch.testing.assert_close(found, own)
    for name in ("0.bias", "1.weight", "1.bias", "2.bias"):
        assert not way[name].any()


def test_directions_do_not_depend_on_their_own_length() -> None:
    weights = {"encoder.w": torch.randn(4, 3, generator=torch.Generator().manual_seed(0))}
    way = {"encoder.w": torch.randn(4, 3, generator=torch.Generator().manual_seed(1))}
    longer = {"encoder.w": way["encoder.w"] * torch.tensor([[1.0], [5.0], [0.1], [9.0]])}
    first, second = (filter_normalised(w, weights)["encoder.w"] for w in (way, longer))
    torch.testing.assert_close(first, second)


def test_curvature_by_filter_survives_a_rescaling_that_changes_the_eigenvalue() -> None:
    """One layer twice as large and the next half as large: the same function, a steeper Hessian."""
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(4, 4, generator=generator) for _ in range(2))

    def loss(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return (x - torch.relu(x @ weights["a"].T) @ weights["b"].T).square().mean()

    plain = sharpness_of(loss, {"a": first, "b": second})
    scaled = sharpness_of(loss, {"a": 4 * first, "b": second / 4})
    assert scaled.loss == pytest.approx(plain.loss, rel=1e-5)
    assert scaled.curvature == pytest.approx(plain.curvature, rel=1e-3)
    assert abs(scaled.largest_eigenvalue / plain.largest_eigenvalue - 1) > 0.5


@pytest.mark.parametrize("amplification", ["log", "quantile"])
def test_the_amplified_loss_is_steeper_at_the_same_weights(
    normal: np.ndarray, amplification: str
) -> None:
    detector = lampblack.AutoencoderDetector(scaling="minmax", **FAST).fit(normal)
    x, weights = encoded(detector, normal, 200), autoencoder_weights(detector.networks_)
    plain, amplified = (
        sharpness_of(mean_loss(detector.networks_, x, error="l2", amplification=chosen), weights)
        for chosen in (None, amplification)
    )
    assert amplified.loss > plain.loss
    assert amplified.largest_eigenvalue > plain.largest_eigenvalue
    assert amplified.curvature > plain.curvature


def test_losses_are_those_that_the_score_and_training_have(fitted, normal: np.ndarray) -> None:
    found = sharpness(fitted, normal[:300])
    norm = 0.1 * np.linalg.norm(fitted.encode(normal[:300]), axis=1)
    scores = fitted.anomaly_score(normal[:300])
    assert found["training"].loss == pytest.approx(scores.mean(), rel=1e-5)
    assert found["plain"].loss == pytest.approx((scores - norm).mean(), rel=1e-5)


def test_landscape_has_the_loss_in_its_middle_and_follows_its_seed(
    fitted, normal: np.ndarray
) -> None:
    before = torch.random.get_rng_state()
    landscape = loss_landscape(fitted, normal, points=5)
    assert torch.equal(before, torch.random.get_rng_state())
    middle = sharpness(fitted, normal)
    for name in ("plain", "training"):
        np.testing.assert_allclose(landscape.lines[name][:, 2], middle[name].loss, rtol=1e-5)
        assert landscape.plane[name][2, 2] == pytest.approx(middle[name].loss, rel=1e-5)
        np.testing.assert_allclose(landscape.plane[name][:, 2], landscape.lines[name][0], rtol=1e-5)
        assert (landscape.lines[name][:, [0, -1]] > middle[name].loss).all()
    again, other = (loss_landscape(fitted, normal, points=5, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(landscape.plane["plain"], again.plane["plain"])
    assert not np.array_equal(landscape.plane["plain"], other.plane["plain"])


def test_without_amplification_or_norm_the_two_losses_are_one(normal: np.ndarray) -> None:
    detector = lampblack.AutoencoderDetector(**FAST).fit(normal)
    found = sharpness(detector, normal)
    assert found["training"] is found["plain"]
    landscape = loss_landscape(detector, normal, points=3)
    assert landscape.lines["training"] is landscape.lines["plain"]


@pytest.mark.parametrize("images", [False, True], ids=["table", "images"])
def test_every_detector_is_measured(detector_class: type, normal: np.ndarray, images: bool) -> None:
    X = discs(80) if images else normal
    detector = detector_class(**(IMAGE_FAST if images else FAST), contamination=0.1).fit(X)
    assert all("critic" not in name for name in autoencoder_weights(detector.networks_))
    before = {name: value.clone() for name, value in detector.networks_.state_dict().items()}
    found = sharpness(detector, X)
    landscape = loss_landscape(detector, X, points=3)
    assert found["training"].largest_eigenvalue > 0
    assert np.isfinite(landscape.plane["training"]).all()
    for name, value in detector.networks_.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_loss_by_structure_is_measured_too() -> None:
    X = discs(40)
    detector = lampblack.LAMPDetector(
        reconstruction_error="ssim", contamination=0.1, **{**IMAGE_FAST, "max_steps": 3}
    ).fit(X)
    found = sharpness(detector, X[:8])
    assert found["training"].largest_eigenvalue > 0
    assert found["training"].loss > found["plain"].loss
