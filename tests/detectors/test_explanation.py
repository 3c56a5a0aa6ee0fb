"""Contributions sum to the score, and blame the column that was changed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lampblack
from lampblack.scores import integrated_gradients
from tests.conftest import FAST


@pytest.mark.parametrize("error", ["l2", "l1", "l2_norm"])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_contributions_and_remainder_sum_to_the_whole_score(
    detector_class: type, frame: pd.DataFrame, error: str, weight: float
) -> None:
    own_score = {"score_by": "reconstruction"} if detector_class is lampblack.AMADetector else {}
    detector = detector_class(
        reconstruction_error=error, latent_weight=weight, **own_score, **FAST
    ).fit(frame)
    explanation = detector.explain(frame)
    assert explanation.shape == (600, 5)
    assert (explanation.contributions >= 0).all()
    assert (explanation.remainder == 0).all() == (weight == 0)
    np.testing.assert_allclose(explanation.scores, detector.anomaly_score(frame), rtol=1e-5)


def test_changed_column_is_blamed(detector_class: type) -> None:
    """Eight columns follow two factors; the one that leaves them is named."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(800, 8))
    detector = detector_class(max_steps=300, latent_dim=2, random_state=0).fit(X[:760])
    broken = X[760:].copy()
    broken[:, 5] += 5 * X[:, 5].std()
    explanation = detector.explain(broken)
    blamed = [explanation.top(row, 1)[0].column for row in range(40)]
    assert blamed.count("x5") > 30


def test_columns_that_move_a_large_remainder_are_named_completely(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(latent_weight=50.0, **FAST).fit(normal)
    far = normal[:30] * 4
    explanation = detector.explain(far)
    mostly_latent = explanation.remainder > explanation.contributions.sum(axis=1)
    mostly_latent &= detector.predict(far) == -1
    assert mostly_latent.any()
    start = detector.reconstruct(far)
    norm = 50.0 * np.linalg.norm(detector.encode(far), axis=1)
    norm_at_start = 50.0 * np.linalg.norm(detector.encode(start), axis=1)
    missing = explanation.attributed.sum(axis=1) - (norm - norm_at_start)
    relative = np.abs(missing) / np.abs(norm - norm_at_start)
    assert relative[mostly_latent].max() < 0.01
    assert (explanation.attributed[~mostly_latent] == 0).all()


def test_blame_never_exceeds_the_score_and_is_complete_where_the_remainder_is_attributed(
    normal: np.ndarray,
) -> None:
    detector = lampblack.TollDetector(latent_weight=50.0, **FAST).fit(normal)
    explanation = detector.explain(np.concatenate([normal, normal[:30] * 4]))
    blame = explanation.blame()
    assert (blame.sum(axis=1) <= explanation.scores * (1 + 1e-6)).all()
    attributed = explanation.attributed.any(axis=1)
    assert 0 < attributed.sum() < len(normal)
    np.testing.assert_allclose(blame.sum(axis=1)[attributed], explanation.scores[attributed])


def test_integrated_gradients_of_a_square_are_exact() -> None:
    import torch

    start, end = torch.zeros(2, 3), torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]])
    parts = integrated_gradients(lambda x: x.square().sum(dim=1), start, end)
    torch.testing.assert_close(parts, end.square())


def test_explanation_is_an_array_of_contributions(fitted: object, normal: np.ndarray) -> None:
    explanation = fitted.explain(normal[:7])
    np.testing.assert_array_equal(np.asarray(explanation), explanation.contributions)
    assert len(explanation) == 7


def test_top_gives_the_strongest_columns_with_their_shares(
    fitted: object, normal: np.ndarray
) -> None:
    explanation = fitted.explain(normal[:3] + np.eye(5)[4] * 30)
    reasons = explanation.top(0, k=5)
    assert reasons[0].column == "x4"
    values = [reason.amount for reason in reasons]
    assert values == sorted(values, reverse=True)
    assert reasons[0].share == pytest.approx(values[0] / explanation.scores[0])
