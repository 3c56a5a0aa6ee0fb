"""AMA's scores, labels and explanations, and every cell of LAMP × Toll × AMA."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

import lampblack
from lampblack.exceptions import CalibrationWarning, InvalidInput, TrainingError
from lampblack.fitting.seeds import Seeds
from lampblack.fitting.split import split_samples
from lampblack.scores import CriticScore
from tests.conftest import FAST, IMAGE_FAST, discs

SCORES = ("critic", "typicality", "mahalanobis", "joint", "reconstruction")
LEARNED = SCORES[:-1]


@pytest.fixture(scope="module")
def by_score(normal: np.ndarray) -> dict[str, lampblack.AMADetector]:
    """One training; every score of its networks."""
    first = lampblack.AMADetector(score_by="critic", **FAST).fit(normal)
    detectors = {}
    for name in SCORES:
        parameters = first.parameters_.replaced(score_by=name)
        score = first.recipe.score(parameters)
        score.prepare(first.encoder_, first.networks_)
        if name != "reconstruction":
            score.load_state_dict(first.model_.score.state_dict())
        model = dataclasses.replace(first.model_, parameters=parameters, score=score)
        detectors[name] = lampblack.AMADetector.of_model(model)
    return detectors


def features(detector: lampblack.AMADetector, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
    x = detector.model_.encoded(X)
    with torch.no_grad():
        _, expected = detector.networks_(x)
        return detector.networks_.features(x, x), detector.networks_.features(x, expected)


def test_critic_score_is_the_distance_of_its_features(
    by_score: dict[str, lampblack.AMADetector], normal: np.ndarray
) -> None:
    detector = by_score["critic"]
    of_sample, of_expected = features(detector, normal)
    distance = (of_sample - of_expected).abs().sum(dim=1).numpy()
    np.testing.assert_allclose(detector.anomaly_score(normal), distance, rtol=1e-3, atol=1e-5)


def test_gaussian_typicality_rises_on_both_sides_of_the_usual_distance(
    by_score: dict[str, lampblack.AMADetector], normal: np.ndarray
) -> None:
    distance = by_score["critic"].anomaly_score(normal)
    usual = float(by_score["critic"].model_.score.quantiles.mean())
    typicality = by_score["typicality"].anomaly_score(normal)
    order = np.argsort(np.abs(distance - usual))
    assert (np.diff(typicality[order]) >= -1e-4 * typicality[order][1:] - 1e-6).all()
    assert (distance < usual).any()
    assert (distance > usual).any()


def test_kernel_density_follows_a_skewed_distribution_where_a_normal_one_cannot() -> None:
    """Usual distances are 1 (often) and 9 (seldom): 5 lies between them, and is unusual."""
    usual = torch.cat([torch.full((224,), 1.0), torch.full((32,), 9.0)])
    usual += 0.05 * torch.randn(256, generator=torch.Generator().manual_seed(0))
    distances = torch.tensor([[1.0], [5.0], [9.0]])

    def scores(density: str) -> list[float]:
        score = CriticScore("typicality", density)
        score.register_buffer("quantiles", usual)
        return score._of_parts("typicality", distances, None).tolist()

    often, between, seldom = scores("kernel")
    assert often < seldom < between
    often, between, seldom = scores("gaussian")
    assert between < seldom


@pytest.mark.parametrize("name", LEARNED)
def test_learned_scores_see_no_calibration_row(normal: np.ndarray, name: str) -> None:
    """Calibration rows that change leave every score as it was."""
    detector = lampblack.AMADetector(score_by=name, **FAST)
    before = detector.fit(normal).anomaly_score(normal[:50])
    seed, score = Seeds.draw(0).split, detector.model_.score
    held = split_samples(600, detector.parameters_, score, seed, stored=False).calibration
    changed = normal.copy()
    changed[held] *= 3.0
    assert detector.rows_["validation"] > 0
    np.testing.assert_array_equal(detector.fit(changed).anomaly_score(normal[:50]), before)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_explained_to_within_one_per_cent(
    by_score: dict[str, lampblack.AMADetector], normal: np.ndarray, name: str
) -> None:
    rows = np.concatenate([normal[:40], normal[:10] * 4])
    explanation = by_score[name].explain(rows)
    scores = by_score[name].anomaly_score(rows)
    missing = np.abs(explanation.scores - scores)
    assert (missing <= 0.01 * scores + 1e-6).all()
    expected = "latent" if name == "reconstruction" else "baseline"
    assert explanation.remainder_name == expected


@pytest.mark.parametrize("name", LEARNED)
def test_images_are_explained_to_within_one_per_cent(images: np.ndarray, name: str) -> None:
    detector = lampblack.AMADetector(score_by=name, **IMAGE_FAST).fit(images)
    explanation = detector.explain(images[:10])
    assert explanation.maps.shape == (10, 16, 16)
    scores = detector.anomaly_score(images[:10])
    missing = np.abs(explanation.scores - scores)
    assert (missing <= 0.01 * scores + 1e-6).all()


@pytest.mark.parametrize("name", LEARNED)
def test_constant_column_that_moves_is_an_alarm_and_blamed(name: str) -> None:
    X = np.random.default_rng(0).normal(size=(500, 4))
    X[:, 2] = 7.0
    detector = lampblack.AMADetector(score_by=name, **FAST).fit(X)
    moved = X[:20].copy()
    moved[:, 2] = 7.5
    assert (detector.predict(moved) == -1).all()
    assert all(detector.explain(moved).top(i, 1)[0].column == "x2" for i in range(20))


def test_labels_are_ignored_unless_asked_for(normal: np.ndarray) -> None:
    y = np.where(np.arange(600) < 60, -1, 1)
    first = lampblack.AMADetector(**FAST).fit(normal)
    second = lampblack.AMADetector(**FAST).fit(normal, y)
    np.testing.assert_array_equal(first.anomaly_score(normal), second.anomaly_score(normal))
    assert "anomalies" not in second.rows_


def test_known_anomalies_train_the_critic_and_calibrate_nothing(normal: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    anomalies = rng.normal(size=(40, 5)) + 3 * np.eye(5)[0]
    X = np.concatenate([normal, anomalies])
    y = np.repeat([1, -1], [600, 40])
    detector = lampblack.AMADetector(supervision="labels", score_by="critic", **FAST).fit(X, y)
    plain = lampblack.AMADetector(score_by="critic", **FAST).fit(normal)
    assert detector.rows_ == {**plain.rows_, "anomalies": 40}
    np.testing.assert_array_equal(
        detector.model_.encoded(normal).numpy(),
        plain.model_.encoded(normal).numpy(),
    )
    assert not np.array_equal(detector.anomaly_score(normal), plain.anomaly_score(normal))
    assert (detector.predict(normal) == -1).mean() < 0.05


def test_all_known_anomalies_train_and_another_one_is_another_fit(
    normal: np.ndarray, tmp_path: Path
) -> None:
    anomalies = np.random.default_rng(1).normal(size=(1500, 5)) + 5
    X, y = np.concatenate([normal, anomalies]), np.repeat([1, -1], [600, 1500])
    detector = lampblack.AMADetector(supervision="labels", score_by="critic", **FAST)
    assert detector.fit(X, y, checkpoint_dir=tmp_path).rows_["anomalies"] == 1500
    assert detector.notes_ == []
    changed = X.copy()
    changed[-1] += 1
    with pytest.raises(TrainingError, match="belongs to a fit with other data"):
        clone(detector).fit(changed, y, checkpoint_dir=tmp_path)


def test_fit_predict_takes_the_labels(normal: np.ndarray) -> None:
    y = np.where(np.arange(600) < 10, -1, 1)
    detector = lampblack.AMADetector(supervision="labels", **FAST)
    decisions = detector.fit_predict(normal, y)
    assert detector.rows_["anomalies"] == 10
    np.testing.assert_array_equal(decisions, detector.predict(normal))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (None, "needs y of shape"),
        (np.ones(7), "needs y of shape"),
        (np.repeat([0, 1], 300), r"y must be \+1"),
        (np.repeat(["good", "bad"], 300), r"y must be \+1"),
        (np.full(600, -1), "at least 2 samples as normal"),
    ],
)
def test_labels_that_cannot_be_are_refused(normal: np.ndarray, y: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        lampblack.AMADetector(supervision="labels", **FAST).fit(normal, y)


CELLS = [
    {"amplification": amplification, "latent_weight": latent, "adversarial_weight": adversarial}
    for amplification in (None, "quantile")
    for latent in (0.0, 0.1)
    for adversarial in (0.0, 1.0)
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(map(str, cell.values())))
@pytest.mark.parametrize("kind", ["table", "images"])
def test_every_cell_of_the_composition_is_built_trained_saved_and_scored(
    cell: dict[str, Any], kind: str, normal: np.ndarray, images: np.ndarray, tmp_path: Path
) -> None:
    X, sizes = (normal, FAST) if kind == "table" else (images, IMAGE_FAST)
    score = "critic" if cell["adversarial_weight"] else "reconstruction"
    detector = lampblack.AMADetector(score_by=score, **cell, **sizes).fit(X)
    record = detector.history_[-1]
    assert ("critic" in record) == bool(cell["adversarial_weight"])
    assert ("latent" in record) == bool(cell["latent_weight"])
    detector.save(tmp_path / "cell.model")
    loaded = lampblack.load(tmp_path / "cell.model")
    scores = detector.anomaly_score(X)
    np.testing.assert_array_equal(loaded.anomaly_score(X), scores)
    assert np.ptp(scores) > 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"adversarial_weight": 0.0, "score_by": "critic"}, "needs a critic"),
        ({"adversarial_weight": 0.0, "reconstruction_weight": 0.0}, "nothing is trained"),
        ({"adversarial_weight": 0.0, "supervision": "labels"}, "labels train the critic"),
        ({"reconstruction_weight": 0.0, "amplification": "quantile"}, "give it a weight"),
        ({"critic_loss": "lsgan"}, "critic_loss"),
        ({"atypical": "sideways"}, "atypical"),
        ({"anomaly_share": 0.9}, "anomaly_share"),
    ],
)
def test_parameters_that_cannot_be_are_refused(
    normal: np.ndarray, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        lampblack.AMADetector(**parameters, **FAST).fit(normal)


def test_own_networks_get_a_critic(normal: np.ndarray, tmp_path: Path) -> None:
    pair = (torch.nn.Linear(5, 2), torch.nn.Linear(2, 5))
    detector = lampblack.AMADetector(networks=pair, **FAST).fit(normal)
    detector.save(tmp_path / "own.model")
    loaded = lampblack.load(tmp_path / "own.model", networks=pair)
    np.testing.assert_array_equal(loaded.anomaly_score(normal), detector.anomaly_score(normal))


def test_known_anomalies_of_images(images: np.ndarray) -> None:
    broken = discs(20, seed=5)
    broken[:, :, 4:8, 4:8] = 255
    X, y = np.concatenate([images, broken]), np.repeat([1, -1], [len(images), 20])
    detector = lampblack.AMADetector(supervision="labels", **IMAGE_FAST).fit(X, y)
    assert detector.rows_["anomalies"] == 20
    assert detector.anomaly_score(broken).mean() > detector.anomaly_score(images).mean()


@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_a_folder_with_known_anomalies(tmp_path: Path) -> None:
    from PIL import Image

    for label, seed, n in (("good", 0, 30), ("scratch", 1, 6), ("dent", 2, 4)):
        (tmp_path / label).mkdir()
        for i, disc in enumerate(discs(n, seed)):
            Image.fromarray(disc[0]).save(tmp_path / label / f"{i}.png")
    found = lampblack.find_images(tmp_path, role="fit", anomalous="scratch")
    assert found.labels == ["good"] * 30 + ["scratch"] * 6
    y = np.where(found.is_normal, 1, -1)
    detector = lampblack.AMADetector(supervision="labels", **IMAGE_FAST).fit(found, y)
    assert detector.rows_["anomalies"] == 6


def test_few_rows_promise_less_and_say_so(normal: np.ndarray) -> None:
    with pytest.warns(CalibrationWarning):
        detector = lampblack.AMADetector(score_by="joint", **FAST).fit(normal[:60])
    assert detector.rows_ == {"train": 27, "validation": 3, "calibration": 30}
