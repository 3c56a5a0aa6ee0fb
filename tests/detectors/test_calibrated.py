"""Thresholds, promises and p-values of fitted detectors."""

from __future__ import annotations

import numpy as np
import pytest

import lampblack
from lampblack.data.kind import Split
from lampblack.exceptions import CalibrationWarning, InvalidInput
from lampblack.fitting.seeds import Seeds
from lampblack.fitting.split import split_samples
from lampblack.training.callbacks import Callback
from tests.conftest import FAST


def split_of(n: int, detector: lampblack.TollDetector, seed: int) -> Split:
    score = detector.recipe.score(detector.recipe.parameters(latent_weight=0.1))
    return split_samples(n, detector, score, seed, stored=False)


def test_no_row_does_two_jobs() -> None:
    detector = lampblack.TollDetector(early_stopping=True)
    split = split_of(1000, detector, seed=3)
    together = np.concatenate(split)
    assert sorted(together) == list(range(1000))
    assert [len(part) for part in split] == [720, 80, 200]


def test_calibration_rows_reach_nothing_that_is_fitted(normal: np.ndarray) -> None:
    """Move the held-out rows far away: scaling, weights and scores must not change by a bit."""
    detector = lampblack.TollDetector(**FAST).fit(normal)
    before = detector.anomaly_score(normal)
    split = split_of(len(normal), detector, Seeds.draw(0).split)
    moved = normal.copy()
    moved[split.calibration] += 50.0
    again = lampblack.TollDetector(**FAST).fit(moved)
    np.testing.assert_array_equal(again.anomaly_score(normal), before)
    assert again.offset_ < detector.offset_


def test_small_table_promises_what_it_can_and_keeps_a_note() -> None:
    X = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.warns(CalibrationWarning, match=r"set for 1\.96%"):
        detector = lampblack.TollDetector(**FAST).fit(X)
    assert detector.false_alarm_rate_ == pytest.approx(1 / 51)
    assert len(detector.notes_) == 1
    assert (detector.predict(X + 100.0) == -1).all()


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_rows_fits(detector_class: type, n: int) -> None:
    X = np.random.default_rng(0).normal(size=(n, 3))
    detector = detector_class(**FAST).fit(X)
    assert (detector.predict(X + 1e6) == -1).all()


def test_realised_false_alarms_stay_near_the_promise(normal: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    rates = []
    for seed in range(8):
        X = rng.normal(size=(2300, 4))
        detector = lampblack.AutoencoderDetector(
            max_steps=30, hidden=(16,), random_state=seed, false_alarm_rate=0.1
        ).fit(X[:300])
        rates.append((detector.predict(X[300:]) == -1).mean())
    assert np.mean(rates) < 0.1 + 3 * np.std(rates) / np.sqrt(8)
    assert np.mean(rates) > 0.03


def test_contamination_flags_its_share_of_the_training_rows(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(contamination=0.1, **FAST).fit(normal)
    assert (detector.predict(normal) == -1).sum() == 60
    assert detector.rows_ == {"train": 600, "validation": 0, "calibration": 0}
    assert np.isnan(detector.false_alarm_rate_)
    with pytest.raises(InvalidInput, match="p-values need held-out rows"):
        detector.p_value(normal)
    with pytest.raises(InvalidInput, match="p-values need held-out rows"):
        detector.predict(normal, fdr=0.1)


def test_recalibration_moves_the_threshold_and_nothing_else(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    before, scores = detector.offset_, detector.anomaly_score(normal)
    new = np.random.default_rng(9).normal(size=(400, 5)) * 2
    assert detector.recalibrate(new) is detector
    assert detector.offset_ < before
    assert (detector.predict(new) == -1).mean() <= 0.01
    np.testing.assert_array_equal(detector.anomaly_score(normal), scores)


def test_recalibration_replaces_the_note_on_what_is_promised() -> None:
    X = np.random.default_rng(0).normal(size=(400, 3))
    with pytest.warns(CalibrationWarning):
        detector = lampblack.TollDetector(**FAST).fit(X[:100])
    assert detector.recalibrate(X[100:]).notes_ == []
    with pytest.warns(CalibrationWarning, match="10 calibration rows"):
        detector.recalibrate(X[:10])
    assert len(detector.notes_) == 1


class Stop(Callback):
    def on_step_end(self, step: int) -> None:
        raise RuntimeError("broken off")


def test_failed_refit_leaves_the_old_model_whole(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    model, expected = detector.model_, detector.anomaly_score(normal)
    with pytest.raises(InvalidInput):
        detector.fit(normal[:1])
    with pytest.raises(RuntimeError, match="broken off"):
        detector.set_params(latent_dim=3).fit(normal[:, :3], callbacks=[Stop()])
    assert detector.model_ is model
    assert detector.n_features_in_ == 5
    np.testing.assert_array_equal(detector.anomaly_score(normal), expected)


def test_recalibration_after_contamination_gives_p_values(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(contamination=0.1, **FAST).fit(normal[:300])
    detector.recalibrate(normal[300:])
    assert detector.p_value(normal[300:]).min() == pytest.approx(2 / 301)


def test_false_discovery_rate_calls_only_clear_anomalies(fitted: object) -> None:
    rng = np.random.default_rng(2)
    mixed = np.concatenate([rng.normal(size=(50, 5)) * 0.1, np.full((50, 5), 40.0)])
    alarms = fitted.predict(mixed, fdr=0.1) == -1
    assert alarms[50:].all()
    assert alarms[:50].sum() <= 10


def test_alarms_of_fitted_detectors_follow_the_beta_binomial_law() -> None:
    """Over 60 fits, the law's value at the realised count is uniform (Kolmogorov-Smirnov)."""
    from scipy.stats import betabinom, kstest

    rng = np.random.default_rng(11)
    held, new, rate = 60, 400, 0.1
    law = betabinom(new, 6, held - 5)  # m = floor(0.1 * 61) - 1 = 5
    positions = []
    for seed in range(60):
        X = rng.normal(size=(300 + new, 3))
        detector = lampblack.AutoencoderDetector(
            max_steps=10, hidden=(8,), random_state=seed, false_alarm_rate=rate
        ).fit(X[:300])
        assert detector.rows_["calibration"] == held
        count = int((detector.predict(X[300:]) == -1).sum())
        positions.append(law.cdf(count - 1) + rng.random() * law.pmf(count))
    assert kstest(positions, "uniform").pvalue > 0.001
