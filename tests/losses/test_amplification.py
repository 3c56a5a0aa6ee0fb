from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lampblack.losses import amplify, amplify_rescaled
from lampblack.losses.amplification import CEILING

errors = st.floats(0.0, 0.999, allow_nan=False)


def double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def slope(value: float) -> float:
    error = double(value).requires_grad_(True)
    amplify(error).backward()
    assert error.grad is not None
    return float(error.grad)


@given(errors)
def test_amplified_error_is_minus_log_of_its_complement(value: float) -> None:
    assert float(amplify(double(value))) == pytest.approx(-math.log1p(-value), abs=1e-12)


@given(st.floats(0.0, 10.0))
def test_amplification_never_lowers_an_error(value: float) -> None:
    assert float(amplify(double(value))) >= value - 1e-12


@given(st.floats(0.0, 10.0))
def test_slope_is_never_below_one(value: float) -> None:
    assert slope(value) >= 1.0


@given(errors)
def test_slope_is_that_of_the_equation(value: float) -> None:
    assert slope(value) == pytest.approx(1 / (1 - value))


@given(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.floats(0.0, 1.0))
def test_amplification_is_convex(a: float, b: float, weight: float) -> None:
    mixed = float(amplify(double(weight * a + (1 - weight) * b)))
    chord = weight * float(amplify(double(a))) + (1 - weight) * float(amplify(double(b)))
    assert mixed <= chord + 1e-7 * (1 + chord)


@given(st.floats(1e-8, 1e-3))
def test_small_errors_pass_almost_unchanged(value: float) -> None:
    assert float(amplify(double(value))) / value == pytest.approx(1.0, abs=value)


def test_error_of_one_stays_finite_with_a_finite_slope() -> None:
    error = torch.ones(3, requires_grad=True)
    amplified = amplify(error)
    amplified.sum().backward()
    assert torch.isfinite(amplified).all()
    assert error.grad is not None
    assert torch.isfinite(error.grad).all()
    assert (error.grad > 1 / (1 - CEILING) / 2).all()


def test_amplification_is_continuous_at_its_ceiling() -> None:
    below, above = double(CEILING - 1e-9), double(CEILING + 1e-9)
    assert float(amplify(above) - amplify(below)) == pytest.approx(2e-9 / (1 - CEILING), rel=0.01)


@given(st.floats(0.0, 100.0), st.floats(0.01, 100.0))
def test_rescaled_amplification_never_lowers_an_error(value: float, scale: float) -> None:
    assert float(amplify_rescaled(double(value), double(scale))) >= value * (1 - 1e-9) - 1e-12


def test_rescaled_amplification_commutes_with_units() -> None:
    error = torch.rand(20, dtype=torch.float64)
    metres = amplify_rescaled(error, double(0.5))
    millimetres = amplify_rescaled(1000 * error, double(500.0))
    torch.testing.assert_close(1000 * metres, millimetres)
