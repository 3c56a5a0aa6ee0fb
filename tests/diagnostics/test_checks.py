"""Every notice: what triggers it, and what does not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lampblack
from lampblack.calibration import Calibration
from lampblack.diagnostics import Check, checks, diagnose
from lampblack.diagnostics.checks import CHECKS, relative_spread
from lampblack.exceptions import CalibrationWarning, CollapseWarning
from tests.conftest import FAST, IMAGE_FAST, discs


def found(detector: object, X: object, name: str) -> Check:
    return next(check for check in checks(detector, X) if check.name == name)


class Through(nn.Module):
    """A decoder of one weight: what `shown` makes of the code."""

    def __init__(self, shown: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self._shown = shown

    def forward(self, z: Tensor) -> Tensor:
        return self._shown(z, self.weight)


@pytest.fixture(scope="module")
def fresh() -> np.ndarray:
    """New rows of the table that `fitted` was fitted on."""
    X = np.random.default_rng(7).normal(size=(400, 5))
    X[:, 3] = X[:, 0] - X[:, 1] + 0.1 * X[:, 3]
    X[:, 4] = X[:, 2] ** 2 + 0.1 * X[:, 4]
    return X


def test_a_sound_model_gets_no_notice(fitted: lampblack.TollDetector, fresh: np.ndarray) -> None:
    every = checks(fitted, fresh)
    assert [check.name for check in every] == list(CHECKS)
    assert all(check.passed is True for check in every), every
    assert all(check.figures and check.text for check in every)


def test_too_little_data_for_the_promise(normal: np.ndarray, fresh: np.ndarray) -> None:
    with pytest.warns(CalibrationWarning):
        small = lampblack.TollDetector(**FAST).fit(normal[:60])
    check = found(small, fresh, "data for the promise")
    assert check.passed is False
    assert check.figures["calibration"] == 30
    assert check.figures["promised"] == pytest.approx(1 / 31)
    assert check.text.startswith("expect more false alarms than were asked for, 3.23% of normal")
    assert "30 calibration rows cannot promise 1.00%" in check.text
    flagging = lampblack.TollDetector(contamination=0.1, **FAST).fit(normal)
    assert found(flagging, fresh, "data for the promise").passed is None


def test_the_bound_on_the_realised_rate_holds() -> None:
    """Of many calibrations, 95 % have a rate below what the check says of their number."""
    from types import SimpleNamespace

    rng = np.random.default_rng(0)
    rates = []
    for _ in range(2000):
        calibration = Calibration.held_out(rng.random(199), 0.01)
        rates.append(1 - calibration.threshold)
    given = SimpleNamespace(
        detector=SimpleNamespace(calibration=calibration, facts=SimpleNamespace(rows={})),
        what="rows",
    )
    _, _, figures = CHECKS["data for the promise"](given)
    bound = figures["realised_below"]
    assert np.mean(np.array(rates) < bound) == pytest.approx(0.95, abs=0.015)


def test_scores_that_barely_vary_over_a_collapsed_latent_space() -> None:
    """Rows on a circle, all reconstructed as nearly its centre, have all nearly one score."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 900)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    networks = (nn.Linear(2, 2), Through(lambda z, w: 0.5 + 1e-4 * w * z))
    with pytest.warns(CollapseWarning):
        flat = lampblack.TollDetector(
            networks=networks, latent_weight=0, max_steps=100, scaling="minmax", random_state=0
        ).fit(circle[:600])
    scores = found(flat, circle[600:], "spread of the scores")
    assert scores.passed is False
    assert scores.text.startswith("the least change of a value can turn an alarm on or off")
    assert "barely vary" in scores.text
    codes = found(flat, circle[600:], "latent space")
    assert codes.passed is False
    assert codes.figures["reconstructions_vary"] < 0.01
    assert codes.text.startswith("anomalies may be missed")
    assert "collapsed to a point" in codes.text
    notices = diagnose(flat, circle[600:]).notices
    assert {"spread of the scores", "latent space"} <= {notice.name for notice in notices}


def test_a_collapse_whose_norm_still_tells_is_said_and_no_notice() -> None:
    """One reconstruction for all, and codes that know how far a row lies off a line."""
    rng = np.random.default_rng(0)
    line = rng.normal(size=(900, 1)) @ np.ones((1, 4)) + 0.05 * rng.normal(size=(900, 4))
    off_the_line = Through(lambda x, w: w * (x - x.mean(dim=1, keepdim=True)))
    detector = lampblack.TollDetector(
        networks=(off_the_line, Through(lambda z, w: 1e-4 * w * z)),
        latent_weight=10.0,
        max_steps=20,
        random_state=0,
    ).fit(line[:600])
    check = found(detector, line[600:], "latent space")
    assert check.figures["reconstructions_vary"] < 0.01
    assert check.figures["auroc_of_chimeras"] > 0.6
    assert check.passed is True
    assert "still tells them from chimeras" in check.text


def test_relative_spread() -> None:
    assert relative_spread(np.linspace(1, 2, 1001)) == pytest.approx(0.98 / 1.5)
    assert relative_spread(np.zeros(9)) == 0
    assert relative_spread(np.full(9, 3.0)) == 0


def test_a_column_that_alone_decides(normal: np.ndarray) -> None:
    X = np.random.default_rng(2).normal(size=(1000, 3))
    X[:600, 1] = 7.0  # never varied while it was fitted
    detector = lampblack.AutoencoderDetector(**FAST).fit(X[:600])
    check = found(detector, X[600:], "no column decides alone")
    assert check.passed is False
    assert check.figures["column"] == "column 'x1'"
    assert check.text.startswith("alarms will mostly be about column 'x1' alone")
    assert float(str(check.figures["share"])) > 0.8
    single = lampblack.AutoencoderDetector(**FAST).fit(normal[:, :1])
    assert found(single, normal[:, :1], "no column decides alone").passed is None


def test_drift_of_what_is_given(fitted: lampblack.TollDetector, fresh: np.ndarray) -> None:
    check = found(fitted, fresh + 0.5, "drift")
    assert check.passed is False
    assert float(str(check.figures["p_value"])) < 0.01
    assert check.text.startswith("the promised false-alarm rate may not hold for rows like these")
    assert "recalibrate" in check.text


def test_drift_between_training_and_a_recalibration(
    fitted: lampblack.TollDetector, fresh: np.ndarray
) -> None:
    moved = copy.deepcopy(fitted).recalibrate(fresh + 0.5)
    check = found(moved, fresh[:200] + 0.5, "drift")
    assert check.passed is False
    assert check.text.startswith("the model may know normal rows as they were, not as they are")
    assert "the data have moved since" in check.text
    still = copy.deepcopy(fitted).recalibrate(fresh)
    assert found(still, fresh[:200], "drift").passed is True
    assert not still.notes_


def test_drift_cannot_be_told_without_held_out_scores(normal: np.ndarray) -> None:
    flagging = lampblack.TollDetector(contamination=0.1, **FAST).fit(normal)
    assert found(flagging, normal, "drift").passed is None


def test_copies_across_the_split(normal: np.ndarray, fresh: np.ndarray, tmp_path) -> None:
    doubled = np.repeat(normal[:300], 2, axis=0)
    detector = lampblack.TollDetector(**FAST).fit(doubled)
    detector.save(tmp_path / "m")
    loaded = lampblack.load(tmp_path / "m")
    check = found(loaded, fresh, "no copies across the split")
    assert check.passed is False
    assert check.text.startswith("new rows may do worse than the figures here")
    assert "calibration samples equal a training sample" in check.text
    anew = loaded.recalibrate(fresh)
    assert found(anew, fresh, "no copies across the split").passed is True


@pytest.mark.parametrize("copied", [False, True])
def test_wide_rows_are_copies_only_where_all_their_values_agree(copied: bool) -> None:
    """Copies are looked for by 64 of the values; here every third, and 1 is between two of them."""
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(150, 150)), 2, axis=0)
    if not copied:
        X[:, 1] = rng.normal(size=300)
    notes = lampblack.TollDetector(**FAST).fit(X).notes_
    assert any("calibration samples equal a training sample" in note for note in notes) is copied


def test_copies_among_what_is_given(fitted: lampblack.TollDetector, fresh: np.ndarray) -> None:
    check = found(fitted, np.repeat(fresh, 2, axis=0), "no copies across the split")
    assert check.passed is False
    assert check.figures["given_repeated"] == 400


def test_copies_of_what_the_model_remembers(normal: np.ndarray, fresh: np.ndarray) -> None:
    detector = lampblack.LampblackDetector(**FAST).fit(normal)
    check = found(detector, normal, "no copies across the split")
    assert check.passed is False
    assert check.figures["given_remembered"] == len(detector.model_.score.remembered.samples)
    assert found(detector, fresh, "no copies across the split").passed is True


def test_copies_of_images(images: np.ndarray) -> None:
    doubled = lampblack.TollDetector(**IMAGE_FAST).fit(np.repeat(images[:130], 2, axis=0))
    fresh = discs(60, seed=9)
    assert found(doubled, fresh, "no copies across the split").passed is False
    single = lampblack.TollDetector(**IMAGE_FAST).fit(images)
    assert found(single, fresh, "no copies across the split").passed is True


def test_a_score_that_falls_far_from_all_data(normal: np.ndarray, fresh: np.ndarray) -> None:
    """A network that hands through whatever is large, as a rectifier network may."""

    def shown(z: Tensor, weight: Tensor) -> Tensor:
        return torch.where(z.square().mean(dim=1, keepdim=True) > 400, z, 0.1 * weight * z)

    detector = lampblack.AutoencoderDetector(
        networks=(nn.Identity(), Through(shown)), max_steps=20, random_state=0
    ).fit(normal)
    check = found(detector, fresh, "far from all data")
    assert check.passed is False
    assert (check.figures["left"], check.figures["stays"]) == (1.0, 0.0)
    assert check.text.startswith("something far from all data may look normal and raise no alarm")


def test_checks_can_be_left_out(fitted: lampblack.TollDetector, fresh: np.ndarray) -> None:
    names = [check.name for check in checks(fitted, fresh, leave_out=("drift",))]
    assert names == [name for name in CHECKS if name != "drift"]


def test_checks_follow_their_seed(fitted: lampblack.TollDetector, fresh: np.ndarray) -> None:
    assert checks(fitted, fresh, seed=1) == checks(fitted, fresh, seed=1)


def test_a_table_of_categories_alone_is_diagnosed() -> None:
    from tests.conftest import mixed_frame

    frame = mixed_frame(500)[["city", "open"]]
    detector = lampblack.TollDetector(**FAST).fit(frame[:300])
    diagnosis = diagnose(detector, frame[300:])
    assert diagnosis.extrapolation is None
    assert next(c for c in diagnosis.checks if c.name == "far from all data").passed is None


def test_anomalies_reach_figures_and_no_check(
    fitted: lampblack.TollDetector, fresh: np.ndarray
) -> None:
    without, with_them = diagnose(fitted, fresh), diagnose(fitted, fresh, anomalies=fresh + 6)
    assert without.checks == with_them.checks
    assert without.sharpness == with_them.sharpness
    assert without.norms.keys() == {"normal"}
    assert with_them.norms.keys() == {"normal", "anomalies"}
    assert np.median(with_them.errors["anomalies"]) > np.median(with_them.errors["normal"])


def test_public_names_are_frozen() -> None:
    from lampblack import diagnostics

    assert diagnostics.__all__ == [
        "Check",
        "CodeNorms",
        "CriticDistances",
        "DecoderSpectrum",
        "Diagnosis",
        "Extrapolation",
        "Landscape",
        "Mirror",
        "Sharpness",
        "along_rays",
        "checks",
        "critic_distances",
        "decoder_spectrum",
        "diagnose",
        "loss_landscape",
        "sharpness",
    ]
    assert all(getattr(diagnostics, name) is not None for name in diagnostics.__all__)


def test_a_landscape_that_is_not_finite_far_out_is_still_json(
    fitted: lampblack.TollDetector, fresh: np.ndarray
) -> None:
    import dataclasses
    import json

    found = diagnose(fitted, fresh)
    plane = {"plain": np.array([[np.inf, 1.0]]), "training": np.array([[np.nan, 1.0]])}
    found = dataclasses.replace(found, landscape=dataclasses.replace(found.landscape, plane=plane))
    written = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert written["landscape"]["plane"]["training"] == [[None, 1.0]]
