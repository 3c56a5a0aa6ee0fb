"""The recommended detector: its three parts, their weights, its memory, and far from all data."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from typer.testing import CliRunner

import lampblack
from lampblack.calibration import Calibration
from lampblack.cli.main import app
from lampblack.exceptions import InvalidInput, ModelFileError
from lampblack.networks import AutoencoderPair
from lampblack.persistence.parts import ModelParts
from lampblack.scores import NearestScore, Passed, ReconstructionScore, Score
from lampblack.scores.nearest.memory import Memory, Remembered
from lampblack.scores.nearest.score import _separating_weights, distorted
from lampblack.scores.nearest.views import ByRange, ByRank
from tests.conftest import FAST, mixed_frame

FARTHEST = 1000.0  # standard deviations


@pytest.fixture(scope="module")
def fitted(normal: np.ndarray) -> lampblack.LampblackDetector:
    return lampblack.LampblackDetector(**FAST).fit(normal)


def as_seen(memory: Memory, rows: np.ndarray) -> list[np.ndarray]:
    """Rows in the three views, written anew with NumPy and SciPy."""
    _, by_range, by_rank = memory.views
    known, edge = by_rank.values.numpy(), float(by_rank.beyond)
    ranked = np.empty_like(rows)
    for j, column in enumerate(rows.T):
        ranked[:, j] = np.interp(column, known[j], by_rank.scores[j].numpy())
        low, high = known[j, 0], known[j, -1]
        above, below = column > high, column < low
        ranked[above, j] = edge + np.log1p(4 * (column[above] - high) / (high - low))
        ranked[below, j] = -edge - np.log1p(4 * (low - column[below]) / (high - low))
    return [rows, rows * by_range.factor.numpy(), ranked]


def test_score_is_the_weighted_mean_of_its_parts_logarithms(
    fitted: lampblack.LampblackDetector, normal: np.ndarray
) -> None:
    networks, score = fitted.networks_, fitted.model_.score
    new = normal[:20] + np.random.default_rng(0).normal(size=normal[:20].shape)
    x = fitted.model_.encoded(new).numpy()
    with torch.no_grad():
        z, expected = (part.numpy().astype(float) for part in networks(torch.from_numpy(x)))
    error = np.linalg.norm(x - expected, axis=1)
    parts = [error + fitted.parameters_.latent_weight * np.linalg.norm(z, axis=1)]
    memory = score.remembered
    known = memory.samples.numpy()
    for shown, kept in zip(as_seen(memory, x), as_seen(memory, known), strict=True):
        away = np.sort(np.linalg.norm(shown[:, None] - kept[None], axis=2))[:, :5]
        parts.append((away[:, 0] + away.mean(axis=1)) / 2)
    ratios = np.stack(parts, axis=1) / score.units.numpy()
    expected_score = np.log2(1 + ratios) @ score.weights.numpy()
    np.testing.assert_allclose(fitted.anomaly_score(new), expected_score, rtol=1e-4)


def test_ranks_become_normal_scores_and_ties_share_the_middle() -> None:
    view = ByRank(torch.ones(2, dtype=torch.bool))
    view.learn(torch.tensor([[1.0, 7.0], [1.0, 7.0], [2.0, 7.0], [5.0, 7.0]]))
    asked = torch.tensor([[1.0, 7.0], [2.0, 8.0], [3.5, 7.0], [5.0, 7.0], [9.0, 7.0], [0.0, 7.0]])
    seen = view(asked)
    at = norm.ppf([1.5 / 5, 3 / 5, 4 / 5, 1 - 0.5 / 5])
    outside = at[3] + np.log1p(4), -at[3] - np.log1p(1)  # a range, a quarter of one
    wanted = [at[0], at[1], (at[1] + at[2]) / 2, at[2], *outside]
    np.testing.assert_allclose(seen[:, 0].numpy(), wanted, rtol=1e-5)
    assert torch.equal(seen[:, 1], asked[:, 1])  # a column that never moved stays as it is


def test_ranks_of_many_values_are_nearly_those_of_all() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).lognormal(0, 2, (5000, 1)).astype(np.float32))
    view = ByRank(torch.ones(1, dtype=torch.bool))
    view.learn(rows)
    ranks = rankdata(rows.numpy()[:, 0]) / 5001
    inner = (ranks > 0.01) & (ranks < 0.99)
    np.testing.assert_allclose(view(rows)[inner, 0].numpy(), norm.ppf(ranks[inner]), atol=0.03)


def test_ranges_weigh_a_rarely_moving_column_less() -> None:
    view = ByRange(torch.tensor([True, True, True, False]))
    rows = torch.tensor([[0.0, 5.0, 0.0, 9.0], [10.0, 5.0, 0.0, 9.0], [5.0, 5.0, 2.0, 8.0]])
    view.learn(rows)
    seen = view(rows)
    assert torch.equal(seen[:, 3], rows[:, 3])  # no number
    ratio = seen[1, :3] / torch.tensor([1.0, 5 / 4, 0.0])  # in ranges; a constant in quarters
    assert ratio[0] == pytest.approx(float(ratio[1]))
    whole = rows[:, :3].var(dim=0, correction=0).sum()
    assert seen[:, :3].var(dim=0, correction=0).sum() == pytest.approx(float(whole), rel=1e-5)


def test_levels_and_phases_are_seen_as_they_are_encoded() -> None:
    rows = mixed_frame(400)
    fitted = lampblack.LampblackDetector(**FAST).fit(rows)
    encoder = fitted.encoder_
    x = fitted.model_.encoded(rows)
    assert encoder.numbers.sum() == 2  # flow and mode; not open, nor date, city and indicators
    others = torch.from_numpy(~encoder.numbers)
    for view in fitted.model_.score.remembered.views:
        assert torch.equal(view(x)[:, others], x[:, others])


def test_an_ordinary_normal_row_scores_about_one(
    fitted: lampblack.LampblackDetector, normal: np.ndarray
) -> None:
    assert 0.7 < fitted.calibration_.scores.mean() < 1.3
    assert 0.7 < fitted.anomaly_score(normal).mean() < 1.3


def test_weights_are_learned_and_none_vanishes(fitted: lampblack.LampblackDetector) -> None:
    weights = fitted.model_.score.weights.numpy()
    assert weights.shape == (4,)
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert (weights > 0.01).all()
    assert weights.std() > 0.01


def test_weights_prefer_the_part_that_tells_distorted_rows_apart() -> None:
    """Columns that are copies of one another: a network knows it, and neighbours hardly do."""
    rng = np.random.default_rng(0)
    normal = np.repeat(rng.normal(size=(1500, 12)), 2, axis=1)
    weights = lampblack.LampblackDetector(latent_dim=12).fit(normal).model_.score.weights
    assert weights[0] > 0.4
    assert weights[0] > 2 * weights[1:].max()


def test_a_part_that_varies_less_among_normal_rows_weighs_more() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(1.0, [0.1, 0.4], (2000, 2))
    changed = normal + np.array([0.1, 0.4])  # as far, in their own spread
    weights = _separating_weights(normal, changed)
    assert weights[0] / weights[1] == pytest.approx(4, rel=0.1)
    assert weights.sum() == pytest.approx(1)


def test_given_weights_are_kept(normal: np.ndarray) -> None:
    detector = lampblack.LampblackDetector(part_weights=(0, 3, 1, 0), **FAST).fit(normal)
    np.testing.assert_allclose(detector.model_.score.weights.numpy(), [0, 0.75, 0.25, 0])
    assert (detector.explain(normal[:5]).remainder == 0).all()


@pytest.mark.parametrize(
    "weights", [(1, 1), (0, 0, 0, 0), (1, -1, 1, 1), (float("nan"), 1, 1, 1), "abcd"]
)
def test_weights_that_cannot_be_used_are_refused(weights: object, normal: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="part_weights"):
        lampblack.LampblackDetector(part_weights=weights, **FAST).fit(normal)  # type: ignore[arg-type]


def n_remembered(detector: lampblack.LampblackDetector) -> int:
    return len(detector.model_.score.remembered.samples)


def test_memory_holds_what_trained_and_no_more_than_asked_for(normal: np.ndarray) -> None:
    few = lampblack.LampblackDetector(memory_size=50, **FAST).fit(normal)
    assert few.model_.score.remembered.samples.shape == (50, normal.shape[1])
    everything = lampblack.LampblackDetector(**FAST).fit(normal)
    assert (
        len(everything.model_.score.remembered.samples)
        == sum(everything.rows_.values())
        == len(normal)
    )
    almost = lampblack.LampblackDetector(memory_size=len(normal) - 1, **FAST).fit(normal)
    assert (
        len(almost.model_.score.remembered.samples)
        == almost.rows_["train"] + almost.rows_["validation"]
    )


def test_a_calibration_row_is_scored_without_itself(normal: np.ndarray) -> None:
    """Otherwise every calibration row would be at distance 0 from one remembered."""
    fitted = lampblack.LampblackDetector(part_weights=(0, 1, 0, 0), **FAST).fit(normal)
    assert fitted.calibration_.scores.min() > 0.2
    new = np.random.default_rng(5).normal(size=(3000, 5))
    new[:, 3] = new[:, 0] - new[:, 1] + 0.1 * new[:, 3]
    new[:, 4] = new[:, 2] ** 2 + 0.1 * new[:, 4]
    assert fitted.anomaly_score(new).mean() == pytest.approx(
        fitted.calibration_.scores.mean(), rel=0.1
    )


@pytest.mark.parametrize("levels", [2, 12, 0], ids=["two levels", "twelve", "continuous"])
def test_remembered_calibration_rows_keep_the_promise(levels: int) -> None:
    """Of small tables, with and without equal rows: P(p ≤ α) ≤ α, for any α.

    1,000 tables, the networks left out; a bound of four standard errors.
    """
    rng = np.random.default_rng(levels)
    pair = AutoencoderPair(torch.nn.Identity(), torch.nn.Identity(), torch.ones(2))
    score = NearestScore(ReconstructionScore("l2", 0.0), k=3, memory=100, weights=(0, 1, 1, 1))
    score.prepare(SimpleNamespace(shape=(2,), numbers=None), pair)  # type: ignore[arg-type]
    alphas, tables = np.array([0.1, 0.2, 0.5]), 1000
    hits = np.zeros(len(alphas))
    for _ in range(tables):
        drawn = rng.integers(levels, size=(30, 2)) if levels else rng.normal(size=(30, 2))
        rows = torch.from_numpy(drawn.astype(np.float32))
        train, calibration, new = rows[:10], rows[10:29], rows[29:]
        score.remember(pair, [train])
        score.fit(pair, [Passed(train, train, train)])
        score.remember(pair, [train, calibration])

        def scored(by: Score, x: torch.Tensor) -> np.ndarray:
            return by(pair, Passed(x, x, x)).score.numpy().astype(float)

        known = Calibration.held_out(scored(score.of_remembered(), calibration), 0.5)
        hits += known.p_values(scored(score, new))[0] <= alphas + 1e-9
    assert (hits / tables <= alphas + 4 * np.sqrt(alphas * (1 - alphas) / tables)).all()
    assert (hits / tables >= 0.4 * alphas).all() or levels == 2  # nor is it idle


def test_a_remembered_row_does_not_hide_itself_but_its_double_does() -> None:
    memory = Memory((1,))
    memory.remember([torch.tensor([[0.0], [2.0], [5.0], [5.0]])])
    asked = torch.tensor([[0.0], [2.0], [5.0], [1.8]])
    known = Remembered(memory.samples)
    assert known.nearest(asked, 1, 1)[:, 0, 0].tolist() == [2.0, 0.0, 5.0, 2.0]
    two = known.nearest(asked, 2, 1)[:, :, 0]
    assert two.tolist() == [[2.0, 5.0], [0.0, 5.0], [5.0, 2.0], [2.0, 0.0]]
    assert known.nearest(asked, 1, 2)[:, 0, 0].tolist() == [2.0, 0.0, 2.0, 2.0]
    assert known.nearest(asked, 1, 0)[:, 0, 0].tolist() == [0.0, 2.0, 5.0, 2.0]


@pytest.mark.parametrize("remembered", [1, 2, 3, 5, 6])
def test_few_remembered_rows_do_not_hide_themselves_either(remembered: int) -> None:
    memory = Memory((1,))
    rows = torch.arange(float(remembered))[:, None]
    memory.remember([rows])
    nearest = Remembered(memory.samples).nearest(rows, 5, 1)
    assert nearest.shape == (remembered, min(5, max(1, remembered - 2)), 1)
    if remembered > 1:
        assert ((nearest[:, :, 0] - rows).abs() >= 1).all()


def test_the_closest_are_found_among_groups_as_among_all() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(1013, 6, generator=generator)
    asked = torch.randn(150, 6, generator=generator)
    found = Remembered(samples).nearest(asked, 5, 1)
    wanted = samples[torch.cdist(asked.double(), samples.double()).argsort(dim=1)[:, :5]]
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_neighbours_are_right_in_clusters_far_from_the_centre(offset: float) -> None:
    """Float32 loses small distances beside large norms: exact ones decide among candidates."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 0.3, (400, 4))
    rows[::2] += offset
    rows = rows.astype(np.float32)
    memory = Memory((4,))
    memory.remember([torch.from_numpy(rows)])
    found = Remembered(memory.samples).nearest(torch.from_numpy(rows), 1, 1)[:, 0].numpy()
    away = np.linalg.norm(rows[:, None].astype(float) - rows[None], axis=2)
    np.fill_diagonal(away, np.inf)
    distance = np.linalg.norm(rows.astype(float) - found, axis=1)
    assert (distance > 0).all()
    assert (distance <= away.min(axis=1) + 1e-6).mean() > 0.99


def test_an_outlier_among_the_training_rows_is_found(normal: np.ndarray) -> None:
    rows = np.concatenate([normal, normal.mean(axis=0)[None] + 12 * normal.std(axis=0)])
    labels = lampblack.LampblackDetector(contamination=0.01, **FAST).fit_predict(rows)
    assert labels[-1] == -1


def test_a_pickle_holds_its_memory_once(normal: np.ndarray, tmp_path: Path) -> None:
    detector = lampblack.LampblackDetector(**FAST).fit(normal)
    detector.save(tmp_path / "a.model")
    scores = detector.anomaly_score(normal)
    pickled = pickle.dumps(detector)
    never_scored = pickle.dumps(lampblack.load(tmp_path / "a.model"))
    assert len(pickled) < len(never_scored) + detector.model_.score.remembered.samples.numel()
    np.testing.assert_array_equal(pickle.loads(pickled).anomaly_score(normal), scores)


def test_distorted_samples_differ_and_are_of_one_kind_each() -> None:
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    kinds = list(distorted(x))
    assert all(len(kind) >= 200 for kind in kinds)
    swapped, noisy, middles = kinds
    assert all(bool(torch.isin(swapped[:, j], x[:, j]).all()) for j in range(6))
    added = (noisy - x.repeat(5, 1)).std(dim=0)
    np.testing.assert_allclose(added, x.std(dim=0, correction=0), rtol=0.2)
    assert middles.std() < 0.8 * x.std()
    assert all(torch.equal(a, b) for a, b in zip(kinds, distorted(x), strict=True))


def heavy_tailed() -> np.ndarray:
    return np.random.default_rng(0).standard_t(2, size=(800, 5))


def one_column() -> np.ndarray:
    return np.random.default_rng(0).lognormal(0, 1, size=(600, 1))


@pytest.mark.parametrize(
    "rows",
    [
        load_breast_cancer().data,
        load_digits().data,
        load_wine().data,
        heavy_tailed(),
        one_column(),
    ],
    ids=["breast cancer", "digits", "wine", "heavy tails", "one column"],
)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.CalibrationWarning")
def test_far_from_all_data_it_stays_alarmed(rows: np.ndarray) -> None:
    """On any ray, beyond 10 standard deviations and the data's own tails, it is an alarm."""
    detector = lampblack.LampblackDetector(random_state=0).fit(rows)
    moving = rows.std(axis=0) > 0
    usual = np.quantile(detector.anomaly_score(rows), 0.99)
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(50, rows.shape[1])) * moving
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    farthest = np.linalg.norm((rows - rows.mean(0))[:, moving] / rows.std(0)[moving], axis=1).max()
    checked = 0
    for distance in np.geomspace(10, FARTHEST, 8):
        if distance < 2 * farthest / np.sqrt(moving.sum()) and distance < farthest:
            continue  # still among the data, whose tails are heavy
        points = rows.mean(axis=0) + distance * np.sqrt(moving.sum()) * directions * rows.std(
            axis=0
        )
        assert (detector.anomaly_score(points) > usual).all(), distance
        checked += 1
    assert checked >= 4


@pytest.mark.parametrize(("size", "width"), [((1, 28, 28), 196), ((3, 33, 20), 3 * 11 * 7)])
def test_images_are_remembered_small_and_their_parts_spread_over_pixels(
    size: tuple[int, ...], width: int
) -> None:
    memory = Memory(size)
    assert memory.samples.shape == (0, width)
    whole = torch.rand(2, *size)
    parts = torch.rand(2, width)
    np.testing.assert_allclose(
        memory.spread(parts, whole).flatten(1).sum(1), parts.sum(1), rtol=1e-5
    )


def test_a_saved_memory_of_another_width_is_refused(
    fitted: lampblack.LampblackDetector, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "a.model")
    again = lampblack.load(tmp_path / "a.model")
    assert torch.equal(
        again.model_.score.remembered.samples, fitted.model_.score.remembered.samples
    )
    state = fitted.model_.score.state_dict()
    state["remembered.samples"] = state["remembered.samples"][:, :-1]
    with pytest.raises(RuntimeError, match="samples"):
        again.model_.score.load_state_dict(state)


def test_it_is_what_the_library_recommends_and_the_command_fits(tmp_path: Path) -> None:
    assert type(lampblack.recommended(n_neighbors=3)) is lampblack.LampblackDetector
    assert lampblack.recommended(n_neighbors=3).n_neighbors == 3
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{a:.4f},{b:.4f}" for a, b in rng.normal(size=(300, 2)))
    (tmp_path / "rows.csv").write_text(f"a,b\n{rows}\n")
    arguments = ["fit", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "a.model"), "--steps", "5"]
    finished = CliRunner().invoke(app, [*arguments, "--quiet"])
    assert finished.exit_code == 0, finished.output
    assert type(lampblack.load(tmp_path / "a.model")) is lampblack.LampblackDetector


@pytest.mark.parametrize("version", ["0.0.9", importlib.metadata.version("lampblack")])
def test_a_model_of_another_lampblack_is_said_to_be_one(
    fitted: lampblack.LampblackDetector, tmp_path: Path, version: str
) -> None:
    """As the recommended detector was saved when it had two parts for tables."""
    fitted.save(tmp_path / "old.model")
    parts = ModelParts.read(tmp_path / "old.model")
    others = ("score.remembered.views.", "score.units", "score.weights")
    weights = {name: w for name, w in parts.weights.items() if not name.startswith(others)}
    config = parts.config.model_copy(
        update={"versions": {**parts.config.versions, "lampblack": version}}
    )
    dataclasses.replace(parts, config=config, weights=weights).write(tmp_path / "old.model")
    with pytest.raises(ModelFileError, match="written by") as refused:
        lampblack.load(tmp_path / "old.model")
    assert f"lampblack {version}" in str(refused.value)
    assert "fit again" in str(refused.value)


@pytest.mark.parametrize("m", [13, 14, 139, 140, 999, 1400, 1417, 10_000])
def test_the_largest_values_are_found_among_groups(m: int) -> None:
    from lampblack.scores.nearest.memory import _largest

    generator = torch.Generator().manual_seed(m)
    few = torch.randint(0, 50, (64, m), generator=generator).float()
    for values in (torch.randn(64, m, generator=generator), few):
        found = _largest(values, 13)
        assert all(len(row.unique()) == 13 for row in found)
        largest = values.gather(1, found).sort(dim=1, descending=True).values
        torch.testing.assert_close(largest, values.topk(13, dim=1).values, rtol=0, atol=0)
