"""Rays on scores that are known, and on every kind of data."""

from __future__ import annotations

import numpy as np
import pytest

import lampblack
from lampblack.diagnostics import along_rays
from lampblack.diagnostics.rays import Extrapolation, rays_of
from lampblack.exceptions import InvalidInput
from tests.conftest import FAST, mixed_frame

CENTRE, SPREAD = np.array([1.0, -2.0, 5.0]), np.array([2.0, 0.5, 0.0])


def distance(points: np.ndarray) -> np.ndarray:
    return np.sqrt((((points - CENTRE)[:, :2] / SPREAD[:2]) ** 2).mean(axis=1))


def test_a_distance_leaves_and_stays() -> None:
    found = rays_of(distance, 3.0, CENTRE, SPREAD)
    assert found.left == found.stays == 1.0
    np.testing.assert_array_equal(found.share_above, np.array(found.positions) > 3)


def test_columns_that_never_varied_stay_where_they_are() -> None:
    seen = []
    rays_of(lambda points: seen.append(points) or np.zeros(len(points)), 1.0, CENTRE, SPREAD)
    assert (np.concatenate(seen)[:, 2] == 5.0).all()
    np.testing.assert_allclose(distance(seen[3]), 0.1 * 10 ** (3 / 8), rtol=1e-5)


def test_a_score_that_comes_back_does_not_stay() -> None:
    found = rays_of(
        lambda points: np.where(abs(distance(points) - 10) < 5, 9.0, 0.0), 3.0, CENTRE, SPREAD
    )
    assert (found.left, found.stays) == (1.0, 0.0)


def test_a_score_that_never_leaves_does_not_stay() -> None:
    found = rays_of(lambda points: np.zeros(len(points)), 3.0, CENTRE, SPREAD)
    assert (found.left, found.stays) == (0.0, 0.0)


def test_shares_are_of_all_rays() -> None:
    above = np.array([[0, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 1]], dtype=bool)
    found = Extrapolation((1.0, 2.0, 3.0), above, 0.0)
    assert (found.left, found.stays) == (0.75, 0.25)


def test_there_must_be_a_way_out() -> None:
    with pytest.raises(InvalidInput, match="no column of numbers varies"):
        rays_of(distance, 3.0, CENTRE, np.zeros(3))


def test_bound_is_the_99th_percentile_unless_given(fitted, normal: np.ndarray) -> None:
    scores = fitted.anomaly_score(normal)
    found = along_rays(fitted, normal)
    assert found.bound == pytest.approx(np.quantile(scores, 0.99))
    assert along_rays(fitted, normal, bound=1e30).left == 0.0
    assert along_rays(fitted, normal, bound=-1.0).share_above.min() == 1.0


def test_rays_of_an_array_are_scores_of_the_same_points(fitted, normal: np.ndarray) -> None:
    centre, spread = normal.mean(axis=0), normal.std(axis=0)
    bound = float(np.quantile(fitted.anomaly_score(normal), 0.99))
    known = rays_of(fitted.anomaly_score, bound, centre, spread, seed=3)
    np.testing.assert_array_equal(along_rays(fitted, normal, seed=3).above, known.above)


def test_mixed_tables_keep_their_other_columns(fitted_frame) -> None:
    frame = mixed_frame(300)
    found = along_rays(fitted_frame, frame, n_rays=20)
    assert found.above.shape == (20, 33)
    assert found.stays == 1.0


def test_a_table_without_numbers_has_no_rays() -> None:
    frame = mixed_frame(300)[["city", "open"]]
    detector = lampblack.TollDetector(**FAST).fit(frame)
    with pytest.raises(InvalidInput, match="no column of numbers"):
        along_rays(detector, frame)


def test_images_go_to_one_colour(fitted_images, images: np.ndarray) -> None:
    found = along_rays(fitted_images, images, n_rays=8)
    assert found.positions[0] == 0.0
    assert found.positions[-1] == 1.0
    assert found.above.shape == (8, 17)
    assert not along_rays(fitted_images, images, n_rays=8, bound=1e30).above.any()


def test_no_samples_are_refused(fitted, normal: np.ndarray) -> None:
    from lampblack.data.tables.schema import Rows

    with pytest.raises(InvalidInput, match="there is no sample"):
        along_rays(fitted, Rows(normal[:0]))


def test_large_samples_are_few(fitted_images, images: np.ndarray) -> None:
    from lampblack.diagnostics.chosen import encoded

    assert len(encoded(fitted_images, images, 50)) == 50
    assert len(encoded(fitted_images, images, 50, most_values=5 * 256)) == 5
    assert len(encoded(fitted_images, images, 50, most_values=1)) == 2
