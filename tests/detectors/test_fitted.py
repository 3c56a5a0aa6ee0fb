"""A model without the estimator around it: the same bits, and scikit-learn stays away."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import sparse

import lampblack
from lampblack.detectors.base import ReconstructionDetector
from lampblack.detectors.registry import DETECTORS
from lampblack.exceptions import InvalidInput, ModelFileError
from lampblack.model.folder import load_model
from lampblack.model.methods import RECIPES
from lampblack.model.model import Model
from lampblack.scores.nearest.memory import Remembered
from tests.conftest import FAST, discs
from tests.persistence.test_model_folder import change_config

ALONE = """
import sys
from pathlib import Path
from lampblack.model.folder import load_model
for name in sys.argv[1:]:
    model = load_model(Path(name))
    model.explain(model.kind.blank(model.schema))
    heavy = {"sklearn", "scipy", "lightning_fabric", "lampblack.training"} & set(sys.modules)
    assert not heavy, (name, heavy)
"""


def test_every_detector_is_loaded_by_its_own_recipe() -> None:
    assert {cls.__name__: cls.recipe for cls in DETECTORS.values()} == RECIPES
    for cls in DETECTORS.values():
        assert cls().get_params().keys() == cls.recipe.parameters.__dataclass_fields__.keys()


def test_a_detector_of_ones_own_inherits_its_method(normal: np.ndarray) -> None:
    class Mine(lampblack.LampblackDetector):  # type: ignore[misc]
        pass

    expected = lampblack.LampblackDetector(**FAST).fit(normal).anomaly_score(normal)
    np.testing.assert_array_equal(Mine(**FAST).fit(normal).anomaly_score(normal), expected)
    other = type("LAMPDetector", (Mine,), {"__module__": "mine"})  # a name that is in use here
    np.testing.assert_array_equal(other(**FAST).fit(normal).anomaly_score(normal), expected)


def test_codes_and_reconstructions_are_not_scored(
    normal: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recommended detector's score takes twenty times what its network does."""
    detector = lampblack.LampblackDetector(**FAST).fit(normal)
    monkeypatch.setattr(Remembered, "nearest", None)
    assert detector.encode(normal).shape[0] == len(normal)
    assert detector.reconstruct(normal).shape == normal.shape
    with pytest.raises(TypeError):
        detector.anomaly_score(normal)


def test_what_was_learned_may_be_read_only(fitted: object, normal: np.ndarray) -> None:
    """As it is where several processes share it: in Ray's store, or mapped by joblib."""
    expected = fitted.anomaly_score(normal)
    shared = copy.deepcopy(fitted)
    for name in ("center", "scale", "constant"):
        getattr(shared.encoder_.scaler, name).setflags(write=False)
    np.testing.assert_array_equal(shared.anomaly_score(normal), expected)


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_it_does_what_the_detector_does_to_the_bit(
    detector_class: type, frame: pd.DataFrame, tmp_path: Path
) -> None:
    detector = detector_class(**FAST).fit(frame)
    detector.save(tmp_path / "rows.model")
    fitted = load_model(tmp_path / "rows.model")
    for name in ("anomaly_score", "score_samples", "decision_function", "predict", "p_value"):
        np.testing.assert_array_equal(getattr(fitted, name)(frame), getattr(detector, name)(frame))
    np.testing.assert_array_equal(fitted.encode(frame), detector.encode(frame))
    assert fitted.reconstruct(frame).equals(detector.reconstruct(frame))
    found, expected = fitted.explain(frame), detector.explain(frame)
    assert found.columns == expected.columns
    np.testing.assert_array_equal(found.blame(), expected.blame())
    assert fitted.calibration.false_alarm_rate == detector.false_alarm_rate_
    assert (fitted.detector, fitted.facts.rows) == (detector_class.__name__, detector.rows_)


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_so_it_does_of_images(detector_class: type, tmp_path: Path) -> None:
    images = discs(60)
    detector = detector_class(max_steps=5, width=4, latent_dim=8).fit(images)
    detector.save(tmp_path / "images.model")
    fitted = load_model(tmp_path / "images.model")
    np.testing.assert_array_equal(fitted.anomaly_score(images), detector.anomaly_score(images))
    np.testing.assert_array_equal(
        fitted.explain(images).contributions, detector.explain(images).contributions
    )


def test_arrays_are_taken_and_refused_as_by_the_detector(
    normal: np.ndarray, tmp_path: Path
) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    detector.save(tmp_path / "rows.model")
    fitted = load_model(tmp_path / "rows.model")
    expected = detector.anomaly_score(normal[:7])
    np.testing.assert_array_equal(fitted.anomaly_score(normal[:7].tolist()), expected)
    for given in (normal.astype(np.float32), normal.astype(int), np.asfortranarray(normal)):
        np.testing.assert_array_equal(fitted.anomaly_score(given), detector.anomaly_score(given))
    moments = np.zeros((2, 5), "datetime64[s]")
    for wrong in (normal[:, :3], normal[0], normal[:0], [["a"] * 5], moments, {1.0}, discs(2)):
        with pytest.raises(InvalidInput) as by_detector:
            detector.anomaly_score(wrong)
        with pytest.raises(InvalidInput) as by_fitted:
            fitted.anomaly_score(wrong)
        assert str(by_fitted.value) == str(by_detector.value)
    for wrong in (sparse.csr_array(normal), normal.astype(complex)):
        for model in (detector, fitted):
            with pytest.raises(InvalidInput, match=r"sparse|Complex"):
                model.anomaly_score(wrong)


def both(detector: ReconstructionDetector, folder: Path) -> tuple[Model, Any]:
    """What a folder of the detector is loaded as, without and with the estimator."""
    detector.save(folder / "any.model")
    return load_model(folder / "any.model"), lampblack.load(folder / "any.model")


def assert_same(fitted: Model, detector: Any, X: Any) -> None:
    np.testing.assert_array_equal(fitted.anomaly_score(X), detector.anomaly_score(X))
    np.testing.assert_array_equal(fitted.predict(X), detector.predict(X))
    assert fitted.facts.notes == detector.notes_


def test_rows_in_a_file_are_scored_as_by_the_detector(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "rows.parquet")
    fitted, detector = both(lampblack.TollDetector(**FAST).fit(frame), tmp_path)
    assert_same(fitted, detector, lampblack.find_rows(tmp_path / "rows.parquet"))


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_a_folder_of_images_is_scored_as_by_the_detector(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for i, image in enumerate(discs(40)):
        Image.fromarray(image[0]).save(photographs / f"{i:03}.png")
    detector = lampblack.TollDetector(max_steps=5, width=4, latent_dim=8).fit(photographs)
    assert_same(*both(detector, tmp_path), photographs)


def test_columns_of_other_types_are_scored_as_by_the_detector(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, 4, 400), rng.normal(size=400)])
    detector = lampblack.TollDetector(types={"x0": "category"}, **FAST).fit(codes)
    assert_same(*both(detector, tmp_path), codes)


def test_medians_of_the_fitted_rows_fill_holes(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(50, 1, (400, 3))
    rows[::9, 1] = np.nan
    fitted, detector = both(lampblack.TollDetector(**FAST).fit(rows), tmp_path)
    assert 49 < fitted.encoder.medians[1] < 51
    assert_same(fitted, detector, rows)


def test_the_parameters_of_the_fit_count_and_a_new_threshold(
    normal: np.ndarray, tmp_path: Path
) -> None:
    detector = lampblack.TollDetector(latent_weight=0.5, **FAST).fit(normal)
    expected = detector.anomaly_score(normal)
    detector.set_params(latent_weight=9.0, false_alarm_rate=0.05).recalibrate(normal[:300])
    fitted, loaded = both(detector, tmp_path)
    np.testing.assert_array_equal(fitted.anomaly_score(normal), expected)
    promised = fitted.calibration.false_alarm_rate
    assert promised == loaded.false_alarm_rate_ == detector.false_alarm_rate_ == 0.05
    assert_same(fitted, loaded, normal)


def test_without_a_promise_there_are_no_p_values(normal: np.ndarray, tmp_path: Path) -> None:
    fitted, detector = both(lampblack.TollDetector(contamination=0.1, **FAST).fit(normal), tmp_path)
    assert_same(fitted, detector, normal)
    assert np.isnan(fitted.calibration.false_alarm_rate)
    for model in (fitted, detector):
        with pytest.raises(InvalidInput, match="contamination"):
            model.p_value(normal)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_score_the_same(twin: Any, normal: np.ndarray, tmp_path: Path) -> None:
    fitted, detector = both(lampblack.LampblackDetector(**FAST).fit(normal), tmp_path)
    fitted.anomaly_score(normal)
    assert_same(twin(fitted), detector, normal)


def test_a_command_that_scores_does_not_import_scikit_learn(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "rows.csv", index=False)
    lampblack.LampblackDetector(**FAST).fit(frame).save(tmp_path / "rows.model")
    command = [sys.executable, "-X", "importtime", "-m", "lampblack", "score", "rows.model"]
    command += ["rows.csv", "-o", "scores.csv"]
    finished = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert finished.returncode in (0, 1), finished.stderr
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == len(frame) + 1
    imported = {line.split("|")[-1].strip() for line in finished.stderr.splitlines()}
    assert "torch" in imported
    assert not {"sklearn", "scipy", "lightning_fabric"} & imported


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_scikit_learn_is_not_imported(normal: np.ndarray, tmp_path: Path) -> None:
    for name, detector in DETECTORS.items():
        detector(**FAST).fit(normal).save(tmp_path / f"{name}.model")
    models = [str(tmp_path / f"{name}.model") for name in DETECTORS]
    command = [sys.executable, "-c", ALONE, *models]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("lampblack", "n_neighbors", None),
        ("lampblack", "n_neighbors", 0),
        ("lampblack", "latent_weight", -1),
        ("ama", "score_by", "os.system"),
        ("ama", "density", "uniform"),
        ("ama", "reconstruction_error", "l3"),
        ("toll", "reconstruction_error", "ssim"),
    ],
)
def test_a_score_that_cannot_be_is_refused_on_loading(
    normal: np.ndarray, tmp_path: Path, name: str, parameter: str, value: object
) -> None:
    path = tmp_path / "changed.model"
    chosen = {"score_by": "typicality"} if name == "ama" else {}
    DETECTORS[name](**chosen, **FAST).fit(normal).save(path)
    config = json.loads((path / "config.json").read_text())
    place = "filled_in" if parameter in config["filled_in"] else "parameters"
    change_config(path, **{place: {**config[place], parameter: value}})
    for load in (load_model, lampblack.load):
        with pytest.raises(ModelFileError, match="do not fit together"):
            load(path)


def test_networks_of_ones_own_need_the_detector(normal: np.ndarray, tmp_path: Path) -> None:
    own = torch.nn.Linear(5, 2), torch.nn.Linear(2, 5)
    lampblack.TollDetector(networks=own, **FAST).fit(normal).save(tmp_path / "own.model")
    with pytest.raises(ModelFileError, match=r"load\(path, networks="):
        load_model(tmp_path / "own.model")


def test_an_unknown_device_is_named(normal: np.ndarray, tmp_path: Path) -> None:
    lampblack.TollDetector(**FAST).fit(normal).save(tmp_path / "rows.model")
    with pytest.raises(InvalidInput, match="unknown device 'gpu'"):
        load_model(tmp_path / "rows.model", device="gpu")
