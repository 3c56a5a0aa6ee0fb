"""A fitted detector without its estimator: the same bits, and scikit-learn stays away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import lampblack
from lampblack.detectors.building import METHODS
from lampblack.detectors.fitted import load_fitted
from lampblack.detectors.registry import DETECTORS
from lampblack.exceptions import InvalidInput, ModelFileError
from tests.conftest import FAST, discs
from tests.persistence.test_model_folder import change_config

ALONE = """
import sys
from pathlib import Path
from lampblack.detectors.fitted import load_fitted
from lampblack.data.samples import blank
model = load_fitted(Path(sys.argv[1]))
model.explain(blank(model.schema_))
heavy = {"sklearn", "scipy", "lightning_fabric", "lampblack.training"} & set(sys.modules)
assert not heavy, heavy
"""


def test_every_detector_is_loaded_by_its_own_method() -> None:
    assert {cls.__name__: cls._method for cls in DETECTORS.values()} == METHODS


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_it_does_what_the_detector_does_to_the_bit(
    detector_class: type, frame: pd.DataFrame, tmp_path: Path
) -> None:
    detector = detector_class(**FAST).fit(frame)
    detector.save(tmp_path / "rows.model")
    fitted = load_fitted(tmp_path / "rows.model")
    for name in ("anomaly_score", "score_samples", "decision_function", "predict", "p_value"):
        np.testing.assert_array_equal(getattr(fitted, name)(frame), getattr(detector, name)(frame))
    np.testing.assert_array_equal(fitted.encode(frame), detector.encode(frame))
    assert fitted.reconstruct(frame).equals(detector.reconstruct(frame))
    found, expected = fitted.explain(frame), detector.explain(frame)
    assert found.columns == expected.columns
    np.testing.assert_array_equal(found.blame(), expected.blame())
    assert fitted.false_alarm_rate_ == detector.false_alarm_rate_
    assert (fitted.detector, fitted.rows_) == (detector_class.__name__, detector.rows_)


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_so_it_does_of_images(detector_class: type, tmp_path: Path) -> None:
    images = discs(60)
    detector = detector_class(max_steps=5, width=4, latent_dim=8).fit(images)
    detector.save(tmp_path / "images.model")
    fitted = load_fitted(tmp_path / "images.model")
    np.testing.assert_array_equal(fitted.anomaly_score(images), detector.anomaly_score(images))
    np.testing.assert_array_equal(
        fitted.explain(images).contributions, detector.explain(images).contributions
    )


def test_arrays_are_taken_and_refused_as_by_the_detector(
    normal: np.ndarray, tmp_path: Path
) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    detector.save(tmp_path / "rows.model")
    fitted = load_fitted(tmp_path / "rows.model")
    expected = detector.anomaly_score(normal[:7])
    np.testing.assert_array_equal(fitted.anomaly_score(normal[:7].tolist()), expected)
    for wrong in (normal[:, :3], normal[0], normal[:0], [["a"] * 5]):
        with pytest.raises(InvalidInput) as by_detector:
            detector.anomaly_score(wrong)
        with pytest.raises(InvalidInput) as by_fitted:
            fitted.anomaly_score(wrong)
        assert str(by_fitted.value) == str(by_detector.value)


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_scikit_learn_is_not_imported(name: str, normal: np.ndarray, tmp_path: Path) -> None:
    DETECTORS[name](**FAST).fit(normal).save(tmp_path / "rows.model")
    command = [sys.executable, "-c", ALONE, str(tmp_path / "rows.model")]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("latent_weight", "much"), ("reconstruction_error", "l3"), ("n_neighbors", None)],
)
def test_a_score_that_cannot_be_is_refused_on_loading(
    normal: np.ndarray, tmp_path: Path, parameter: str, value: object
) -> None:
    path = tmp_path / "changed.model"
    lampblack.LampblackDetector(**FAST).fit(normal).save(path)
    config = json.loads((path / "config.json").read_text())
    place = "filled_in" if parameter in config["filled_in"] else "parameters"
    change_config(path, **{place: {**config[place], parameter: value}})
    with pytest.raises(ModelFileError, match="do not fit together"):
        load_fitted(path)


def test_networks_of_ones_own_need_the_detector(normal: np.ndarray, tmp_path: Path) -> None:
    own = torch.nn.Linear(5, 2), torch.nn.Linear(2, 5)
    lampblack.TollDetector(networks=own, **FAST).fit(normal).save(tmp_path / "own.model")
    with pytest.raises(ModelFileError, match=r"load\(path, networks="):
        load_fitted(tmp_path / "own.model")


def test_an_unknown_device_is_named(normal: np.ndarray, tmp_path: Path) -> None:
    lampblack.TollDetector(**FAST).fit(normal).save(tmp_path / "rows.model")
    with pytest.raises(InvalidInput, match="unknown device 'gpu'"):
        load_fitted(tmp_path / "rows.model", device="gpu")
