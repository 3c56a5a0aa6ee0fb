"""A model is a value, and its parameters are written once."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import lampblack
from lampblack.choices import CRITIC_SCORES, NetworkName, ScoreName
from lampblack.data.kinds import find_kind
from lampblack.detectors.registry import DETECTORS
from lampblack.exceptions import InvalidInput
from lampblack.fitting.fit import fit_model
from lampblack.model.methods import RECIPES
from lampblack.model.model import Model, as_model
from lampblack.model.parameters import Parameters, about, choices_of, filled_in, hints_of
from lampblack.networks import PUBLISHED
from lampblack.training.single_process import SingleProcess
from tests.conftest import FAST


def test_a_model_is_fitted_without_an_estimator(normal: np.ndarray) -> None:
    recipe = RECIPES["TollDetector"]
    parameters = recipe.parameters(**FAST)
    schema, samples = find_kind(normal).learn(normal, parameters, "TollDetector")
    model = fit_model(
        recipe,
        parameters,
        schema,
        samples,
        detector="TollDetector",
        runner=SingleProcess(torch.device("cpu")),
    )
    expected = lampblack.TollDetector(**FAST).fit(normal)
    np.testing.assert_array_equal(model.anomaly_score(normal), expected.anomaly_score(normal))
    assert model.parameters.as_dict() == expected.parameters_.as_dict()
    assert parameters.latent_weight is None  # what was asked for stays as it was
    assert as_model(expected) is expected.model_
    assert as_model(model) is model


def test_a_model_does_not_change(fitted: lampblack.TollDetector, normal: np.ndarray) -> None:
    model = fitted.model_
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.calibration = None  # type: ignore[misc]
    before = model.calibration
    other = model.recalibrated(normal[:300], 0.1)
    assert isinstance(other, Model)
    assert model.calibration is before
    assert other.calibration.promised == other.parameters.false_alarm_rate == 0.1
    assert other.networks is model.networks


def test_what_was_fitted_does_not_follow_set_params(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    expected = detector.anomaly_score(normal)
    detector.set_params(scaling="minmax", latent_weight=7.0, contamination=0.2)
    assert detector.scaling_ == "standard"
    assert detector.parameters_.latent_weight == 0.1
    assert detector.filled_in_["latent_weight"] == 0.1
    np.testing.assert_array_equal(detector.anomaly_score(normal), expected)


def test_attributes_of_an_unfitted_detector_are_not_there() -> None:
    detector = lampblack.TollDetector()
    for name in ("networks_", "calibration_", "offset_", "n_features_in_", "feature_names_in_"):
        assert not hasattr(detector, name)


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_parameter_is_in_the_docstring_with_its_default(name: str) -> None:
    cls = DETECTORS[name]
    written = str(cls.__doc__)
    for parameter, field in cls.__dataclass_fields__.items():
        assert f"\n{parameter} : " in written
        assert re.search(
            rf"\n{parameter} : .*; default {re.escape(repr(field.default))}\n", written
        )


def test_a_parameter_is_written_in_one_place() -> None:
    source = Path(lampblack.__file__).parent
    names = {name for recipe in RECIPES.values() for name in recipe.parameters.__dataclass_fields__}
    text = "\n".join(path.read_text() for path in sorted((source / "model").rglob("*.py")))
    for name in names:
        assert len(re.findall(rf"^    {name}: .* = parameter\(", text, re.MULTILINE)) == 1, name
    shells = "\n".join(path.read_text() for path in sorted((source / "detectors").glob("*.py")))
    assert "parameter(" not in shells
    assert "self.latent_weight" not in shells


def test_flags_are_of_one_parameter_each() -> None:
    flags: dict[str, str] = {}
    for recipe in RECIPES.values():
        for name, field in recipe.parameters.__dataclass_fields__.items():
            flag = about(field).flag
            if flag is not None:
                assert flags.setdefault(flag, name) == name


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_stands_for_a_parameter_can_be_given_itself(name: str) -> None:
    cls = RECIPES[name].parameters
    for kind in ("table", "images"):
        defaults = filled_in(cls(), kind)
        assert {"latent_weight", "latent_dim", "batch_size", "max_steps"} <= defaults.keys()
        cls().replaced(**defaults).check(name)
        assert filled_in(cls(**defaults), kind) == {}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_steps", 0, r"an int in the range \[1, inf\) or None. Got 0"),
        ("max_steps", 2.5, r"an int in the range \[1, inf\) or None. Got 2.5"),
        ("false_alarm_rate", 0.6, r"a float in the range \(0, 0.5\]. Got 0.6"),
        ("false_alarm_rate", float("nan"), r"\(0, 0.5\]. Got nan"),
        ("validation_fraction", 1.0, r"\(0, 1\). Got 1.0"),
        ("schedule", "cosine", r"a str among \{'constant', 'one_cycle'\}. Got 'cosine'"),
        ("early_stopping", 1, "True or False. Got 1"),
        ("networks", (1, 2, 3), "a tuple or list of 2 or None"),
        ("networks", (1, 2), "networks must be a pair of torch modules"),
        ("types", ["x0"], "a mapping or None"),
        ("hidden", "abc", "a list or tuple. Got 'abc'"),
        ("hidden", (3, 0), "hidden must hold whole numbers from 1"),
        ("image_size", (0, 8), "image_size must be a number or"),
        ("device", None, "an instance of 'str'. Got None"),
    ],
)
def test_parameters_that_cannot_be_are_refused_in_a_line(
    name: str, value: object, expected: str
) -> None:
    with pytest.raises(InvalidInput, match=expected) as refused:
        Parameters(**{name: value}).check("TollDetector")
    assert "\n" not in str(refused.value)


def test_numpy_numbers_are_numbers() -> None:
    Parameters(
        max_steps=np.int64(3), false_alarm_rate=np.float32(0.25), early_stopping=np.bool_(True)
    ).check("TollDetector")


def test_choices_are_read_from_the_types() -> None:
    assert choices_of(hints_of(Parameters)["amplification"]) == ("log", "quantile")
    assert choices_of(hints_of(Parameters)["max_steps"]) == ()


def test_choices_of_networks_and_scores_are_those_there_are() -> None:
    assert set(get_args(NetworkName)) == {"auto", "positions", *PUBLISHED}
    assert set(get_args(ScoreName)) == {*CRITIC_SCORES, "reconstruction"}
