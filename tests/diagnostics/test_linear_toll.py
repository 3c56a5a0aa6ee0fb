"""The one-dimensional linear case of Toll: closed form against gradient descent."""

from __future__ import annotations

import pytest
from benchmarks.studies.linear_toll import (
    BARRIER,
    CRITICAL,
    along_ridge,
    closed_form,
    released,
    simulated,
)


@pytest.mark.parametrize("beta", [0.3, 1.0, 1.7, 1.8, 1.95, 2.05, 3.0, 8.0])
def test_closed_form_is_what_gradient_descent_does(beta: float) -> None:
    expected, found = closed_form(beta, 6.0), simulated(beta, 6.0, step=5e-4)
    assert expected.collapses == found.collapses == (beta > CRITICAL)
    assert found.norm == pytest.approx(expected.norm, abs=3e-3)
    assert found.error == pytest.approx(expected.error, abs=3e-3)
    if expected.collapses:
        assert found.when == pytest.approx(expected.when, rel=0.05)


def test_before_it_collapses_the_norm_is_known_too() -> None:
    when = closed_form(3.0, 10.0).when
    for time in (0.5 * when, 0.95 * when):
        expected, found = closed_form(3.0, time), simulated(3.0, time, step=2e-4)
        assert found.norm == pytest.approx(expected.norm, abs=5e-3)
        assert found.error == pytest.approx(expected.error, abs=5e-3)


def test_the_ridge_lets_go_only_beyond_the_barrier() -> None:
    assert released(BARRIER - 1e-6) is None
    root = released(BARRIER + 1e-3)
    assert root is not None
    assert root < 1
    assert released(CRITICAL) == pytest.approx(1.0)


def test_the_norm_falls_as_the_cube_root_of_time() -> None:
    w = along_ridge(2.0, 0.7, 1e6)
    assert w == pytest.approx((3 * 0.7 * 1e6) ** (-1 / 3), rel=1e-2)


def test_a_small_start_collapses_where_a_perfect_one_does_not() -> None:
    """From below the ridge it is w + v < β that decides: the penalty must not come first."""
    assert simulated(1.0, 6.0, w=0.4, v=0.4).collapses
    assert not simulated(1.0, 6.0, w=0.6, v=0.6).collapses


def test_squared_norms_do_not_collapse() -> None:
    assert not simulated(10.0, 40.0, squared=True, step=1e-3).collapses


def test_a_bounded_decoder_stops_the_norm_short_of_zero() -> None:
    found = simulated(1.0, 60.0, bound=3.0, step=1e-3)
    assert found.norm == pytest.approx(1 / 3, rel=1e-2)
    assert simulated(1.0, 60.0, step=1e-3).norm < 0.2


def test_at_a_constant_rate_what_is_left_of_the_norm_is_the_step() -> None:
    times = [6.0 + 0.01 * i for i in range(10)]
    left = [simulated(3.0, time, step=1e-2, decays=False).norm for time in times]
    gone = [simulated(3.0, time, step=1e-2).norm for time in times]
    assert max(gone) < 1e-3 < max(left) < 5e-2
