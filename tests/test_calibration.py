from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, chisquare

from lampblack.calibration import Calibration, calibration_size, false_discovery_alarms
from lampblack.exceptions import CalibrationWarning, InvalidInput

scores = st.lists(st.floats(0, 1e6), min_size=1, max_size=300).map(np.array)
rates = st.floats(0.001, 0.5)


@given(scores, rates)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_an_alarm_is_a_p_value_at_most_the_promised_rate(scores: np.ndarray, rate: float) -> None:
    calibration = Calibration.held_out(scores, rate)
    new = np.concatenate([scores, scores + 0.5, [0.0, 1e9]])
    alarms = new > calibration.threshold
    np.testing.assert_array_equal(alarms, calibration.p_values(new) <= calibration.promised + 1e-9)


@given(scores, rates)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_p_values_lie_above_zero_and_up_to_one(scores: np.ndarray, rate: float) -> None:
    p = Calibration.held_out(scores, rate).p_values(np.concatenate([scores, [-1.0, 1e9]]))
    assert (p > 0).all()
    assert (p <= 1).all()


@given(scores, rates)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_leaving_one_score_out_raises_no_more_alarms_than_promised(
    scores: np.ndarray, rate: float
) -> None:
    """The bound itself, by symmetry: each of n + 1 exchangeable rows in turn is the new one."""
    together = np.append(scores, scores[0])
    alarms = 0
    for i in range(len(together)):
        calibration = Calibration.held_out(np.delete(together, i), rate)
        alarms += together[i] > calibration.threshold
    assert alarms <= calibration.promised * len(together) + 1e-9


@given(scores, rates)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_no_threshold_is_out_of_reach(scores: np.ndarray, rate: float) -> None:
    assert np.isfinite(Calibration.held_out(scores, rate).threshold)


def test_too_few_rows_promise_what_they_can_and_say_so() -> None:
    with pytest.warns(CalibrationWarning, match=r"71 calibration rows cannot promise 1\.00%"):
        calibration = Calibration.held_out(np.arange(71.0), 0.01)
    assert calibration.promised == pytest.approx(1 / 72)
    assert calibration.threshold == 70.0


def test_ninety_nine_rows_promise_one_percent_without_warning() -> None:
    calibration = Calibration.held_out(np.arange(99.0), 0.01)
    assert calibration.promised == 0.01
    assert calibration.threshold == 98.0


@pytest.mark.parametrize(("n", "rate"), [(99, 0.01), (150, 0.05), (500, 0.1)])
def test_realised_alarms_follow_the_exact_beta_binomial_law(n: int, rate: float) -> None:
    """Of N new rows, alarms ~ BetaBinomial(N, m + 1, n − m): chi-square over 4,000 draws."""
    rng = np.random.default_rng(7)
    new, draws = 200, 4000
    counts = np.array(
        [
            (rng.random(new) > Calibration.held_out(rng.random(n), rate).threshold).sum()
            for _ in range(draws)
        ]
    )
    m = int(np.floor(rate * (n + 1) + 1e-9)) - 1
    law = betabinom(new, m + 1, n - m)
    edges = np.unique([int(law.ppf(q)) for q in np.linspace(0.1, 0.9, 9)])
    observed = np.bincount(np.searchsorted(edges, counts, side="left"), minlength=len(edges) + 1)
    upper = np.append(law.cdf(edges), 1.0)
    expected = draws * np.diff(np.concatenate([[0.0], upper]))
    assert chisquare(observed, expected).pvalue > 0.001
    assert counts.mean() / new <= rate + 4 * law.std() / new / np.sqrt(draws)


@given(st.integers(2, 10**6), rates)
def test_at_most_half_of_the_rows_calibrate(n: int, rate: float) -> None:
    assert 1 <= calibration_size(n, rate) <= n // 2


def test_small_tables_give_more_rows_to_calibration() -> None:
    assert calibration_size(60, 0.01) == 30
    assert calibration_size(250, 0.01) == 99
    assert calibration_size(250, 0.1) == 50


@pytest.mark.parametrize("share", [0.01, 0.1, 0.37, 0.5])
def test_contamination_flags_exactly_its_share_of_the_rows(share: float) -> None:
    scores = np.random.default_rng(0).random(300)
    calibration = Calibration.contaminated(scores, share)
    assert (scores > calibration.threshold).sum() == round(300 * share)


def test_contamination_gives_no_p_values() -> None:
    with pytest.raises(InvalidInput, match="p-values need held-out rows"):
        Calibration.contaminated(np.arange(9.0), 0.1).p_values(np.ones(2))


def test_no_row_cannot_calibrate() -> None:
    with pytest.raises(InvalidInput, match="no row to calibrate"):
        Calibration.held_out(np.zeros(0), 0.1)


def test_false_discoveries_stay_below_their_rate_on_average() -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        calibration = Calibration.held_out(rng.normal(size=500), 0.1)
        new = np.concatenate([rng.normal(size=90), rng.normal(5.0, 1.0, 10)])
        alarms = false_discovery_alarms(calibration.p_values(new), 0.1)
        shares.append(alarms[:90].sum() / max(1, alarms.sum()))
    assert 0 < np.mean(shares) <= 0.1


def test_false_discovery_rate_outside_its_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        false_discovery_alarms(np.ones(3), 1.5)


def test_too_few_calibration_rows_for_a_false_discovery_rate_are_said() -> None:
    calibration = Calibration.held_out(np.arange(99.0), 0.1)
    far = np.full(20, 200.0)
    with pytest.warns(CalibrationWarning, match=r"99 .* too few .*; it takes 199 .* 19,999 where"):
        assert not calibration.discoveries(far, 0.005).any()
    mixed = np.concatenate([np.zeros(181), far[:19]])  # 20 of 200 would do
    with pytest.warns(CalibrationWarning, match="unless 10.00% of all rows score above every"):
        assert not calibration.discoveries(mixed, 0.1).any()


def test_a_false_discovery_rate_in_reach_is_met_in_silence() -> None:
    calibration = Calibration.held_out(np.arange(99.0), 0.1)
    mixed = np.concatenate([np.zeros(180), np.full(20, 200.0)])
    assert calibration.discoveries(mixed, 0.1).sum() == 20
    assert not calibration.discoveries(np.zeros(200), 0.1).any()
    assert not calibration.discoveries(np.zeros(0), 0.001).any()


def test_no_p_value_raises_no_alarm() -> None:
    assert len(false_discovery_alarms(np.zeros(0), 0.1)) == 0


@pytest.mark.parametrize(("n", "rate"), [(99, 0.01), (400, 0.01), (400, 0.05), (30, 0.1)])
def test_the_law_of_false_alarms_is_beta_binomial(n: int, rate: float) -> None:
    calibration = Calibration.held_out(np.arange(float(n)), rate)
    above = int((calibration.scores > calibration.threshold).sum())
    for normal in (1, 50, 3000):
        law = betabinom(normal, above + 1, n - above)
        for alarms in {0, 1, normal // 20, normal // 3, normal}:
            found = calibration.promise_p_value(alarms, normal)
            assert found == pytest.approx(law.sf(alarms - 1), rel=1e-6, abs=1e-9)


def test_a_promise_that_is_kept_seldom_seems_broken() -> None:
    rng = np.random.default_rng(0)
    seen = []
    for _ in range(2000):
        calibration = Calibration.held_out(rng.random(400), 0.01)
        false = int((rng.random(500) > calibration.threshold).sum())
        seen.append(calibration.promise_p_value(false, 500) < 0.01)
    assert np.mean(seen) < 0.015


def test_where_nothing_is_promised_nothing_is_broken() -> None:
    calibration = Calibration.contaminated(np.arange(100.0), 0.1)
    assert calibration.promise_p_value(90, 100) is None
    assert Calibration.held_out(np.arange(100.0), 0.1).promise_p_value(0, 0) is None
