"""scikit-learn's contract, for every registered detector."""

from __future__ import annotations

import unittest

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_outliers_train, estimator_checks_generator

import lampblack
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import DETECTORS
from lampblack.exceptions import InvalidInput
from lampblack.model.parameters import about
from tests.conftest import FAST

SKIPPED_BY_SCIKIT_LEARN = {"check_array_api_input"}
CHECKS = [
    pytest.param(estimator, check, id=f"{name}:{i}")
    for name, cls in DETECTORS.items()
    for i, (estimator, check) in enumerate(
        estimator_checks_generator(cls(max_steps=20, hidden=(32, 16)))
    )
]


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CollapseWarning")
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_check_passes(estimator: BaseEstimator, check: object) -> None:
    name = check.func.__name__
    try:
        check(estimator)
    except unittest.SkipTest as reason:
        if name not in SKIPPED_BY_SCIKIT_LEARN:
            pytest.fail(f"{name} was skipped: {reason}")
        pytest.skip(str(reason))


def test_a_check_of_outliers_passes_with_the_defaults(detector_class: type) -> None:
    """As the checks above, which all pass with few steps."""
    check_outliers_train(detector_class.__name__, detector_class())


def test_every_detector_is_final_and_on_the_one_abstract_class(detector_class: type) -> None:
    assert set(detector_class.__mro__) >= {ReconstructionDetector, OutlierMixin, BaseEstimator}
    assert detector_class.__dict__["__final__"] is True
    with pytest.raises(TypeError, match="abstract"):
        ReconstructionDetector()  # type: ignore[abstract,call-arg]


def test_parameters_are_keyword_only(detector_class: type) -> None:
    with pytest.raises(TypeError, match="positional"):
        detector_class("l2")


def test_every_parameter_has_a_constraint(detector_class: type) -> None:
    for name, field in detector_class.__dataclass_fields__.items():
        parameters = detector_class()
        setattr(parameters, name, object())
        with pytest.raises(InvalidInput, match=f"The '{name}' parameter of"):
            parameters.check(detector_class.__name__)
        assert about(field).meaning.endswith((".", ")"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reconstruction_error", "ssim"),
        ("amplification", "linear"),
        ("latent_weight", -1.0),
        ("latent_dim", 0),
        ("batch_size", 1),
        ("max_steps", 0),
        ("learning_rate", 0.0),
        ("false_alarm_rate", 0.0),
        ("false_alarm_rate", 0.9),
        ("contamination", 0.6),
        ("device", 3),
        ("random_state", -1),
    ],
)
def test_unusable_parameter_is_refused_naming_it(
    detector_class: type, normal: np.ndarray, name: str, value: object
) -> None:
    with pytest.raises(lampblack.exceptions.InvalidInput, match=name) as caught:
        detector_class(**{name: value}).fit(normal)
    assert "\n" not in str(caught.value)


def test_device_that_is_not_there_is_refused(normal: np.ndarray) -> None:
    with pytest.raises(lampblack.exceptions.InvalidInput, match="device"):
        lampblack.TollDetector(device="cuda:7", **FAST).fit(normal)


def test_scores_signs_and_decisions_agree(fitted: ReconstructionDetector) -> None:
    X = np.random.default_rng(1).normal(size=(50, 5)) * 3
    score = fitted.anomaly_score(X)
    np.testing.assert_array_equal(fitted.score_samples(X), -score)
    np.testing.assert_array_equal(fitted.decision_function(X), -score - fitted.offset_)
    np.testing.assert_array_equal(fitted.predict(X) == -1, fitted.decision_function(X) < 0)
    np.testing.assert_array_equal(fitted.predict(X) == -1, fitted.p_value(X) <= 0.01)


def test_anomalies_score_higher_than_normal_rows(detector_class: type, normal: np.ndarray) -> None:
    detector = detector_class(max_steps=200, random_state=0).fit(normal[:500])
    broken = normal[500:].copy()
    broken[:, 3] += 4.0
    assert detector.anomaly_score(broken).min() > np.median(detector.anomaly_score(normal[500:]))
    assert (detector.predict(broken) == -1).mean() > 0.9


def test_works_in_a_pipeline_with_frames(detector_class: type, normal: np.ndarray) -> None:
    frame = pd.DataFrame(normal, columns=list("abcde"))
    pipeline = make_pipeline(
        StandardScaler().set_output(transform="pandas"), detector_class(**FAST)
    )
    assert set(pipeline.fit(frame).predict(frame)) <= {-1, 1}
    assert list(pipeline[-1].feature_names_in_) == list("abcde")


def test_works_under_grid_search(normal: np.ndarray) -> None:
    y = np.where(np.arange(len(normal)) % 10, 1, -1)
    search = GridSearchCV(
        lampblack.TollDetector(**FAST), {"latent_weight": [0.1, 1.0]}, scoring="roc_auc", cv=2
    )
    search.fit(normal, y)
    assert search.best_params_["latent_weight"] in (0.1, 1.0)


def test_labels_change_no_bit(detector_class: type, normal: np.ndarray) -> None:
    without = detector_class(**FAST).fit(normal).anomaly_score(normal)
    labels = np.where(np.arange(len(normal)) % 7, 1, -1)
    np.testing.assert_array_equal(
        detector_class(**FAST).fit(normal, labels).anomaly_score(normal), without
    )


def test_clone_keeps_every_parameter(detector_class: type) -> None:
    detector = detector_class(latent_weight=3.0, hidden=(8,), types={"a": "category"})
    assert clone(detector).get_params() == detector.get_params()


def test_unfitted_detector_says_so(detector_class: type) -> None:
    for method in ("predict", "explain", "p_value", "encode", "reconstruct", "recalibrate"):
        with pytest.raises(NotFittedError):
            getattr(detector_class(), method)(np.zeros((2, 2)))
    with pytest.raises(NotFittedError):
        detector_class().save("never-written")


def test_scores_follow_the_fit_and_not_later_parameters(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    before = detector.anomaly_score(normal)
    detector.set_params(latent_weight=50.0, reconstruction_error="l1", amplification="log")
    np.testing.assert_array_equal(detector.anomaly_score(normal), before)


def test_scores_do_not_fall_as_rows_move_away(detector_class: type, normal: np.ndarray) -> None:
    """Along 200 rays to 1,000 standard deviations, beyond ten the score stays above the normal."""
    detector = detector_class(max_steps=200, random_state=0).fit(normal)
    bound = np.quantile(detector.anomaly_score(normal), 0.99)
    directions = np.random.default_rng(0).normal(size=(200, 5))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for radius in (10.0, 30.0, 100.0, 1000.0):
        rows = normal.mean(axis=0) + radius * normal.std(axis=0) * directions
        assert (detector.anomaly_score(rows) > bound).mean() > 0.95


@pytest.mark.parametrize("hidden", [(0,), ("a",), (8.0,)])
def test_widths_that_are_no_counts_are_refused(normal: np.ndarray, hidden: tuple) -> None:
    with pytest.raises(lampblack.exceptions.InvalidInput, match="hidden must hold whole numbers"):
        lampblack.TollDetector(hidden=hidden).fit(normal)


@pytest.mark.parametrize("rate", [0.0, -1.0, 0.7, 5.0])
def test_recalibration_refuses_an_unusable_rate(normal: np.ndarray, rate: float) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal).set_params(false_alarm_rate=rate)
    with pytest.raises(lampblack.exceptions.InvalidInput, match="false_alarm_rate"):
        detector.recalibrate(normal)
