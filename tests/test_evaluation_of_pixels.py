"""AUROC over pixels and AUPRO against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lampblack.evaluation import evaluate_pixels
from lampblack.exceptions import InvalidInput


def case() -> tuple[np.ndarray, np.ndarray]:
    masks = np.zeros((2, 10, 10), dtype=bool)
    masks[0, 0, 0] = True  # a region of one pixel
    masks[0, 5:9, 5:9] = True  # and one of sixteen
    return np.zeros((2, 10, 10), dtype=np.float32), masks


def test_perfect_maps() -> None:
    maps, masks = case()
    figures = evaluate_pixels(masks.astype(np.float32) + maps, masks)
    assert figures["pixel_auroc"] == 1.0
    assert figures["aupro"] == pytest.approx(1.0)
    assert figures["images_with_masks"] == 2


def test_regions_weigh_the_same_whatever_their_size() -> None:
    maps, masks = case()
    maps[0, 5:9, 5:9] = 1.0  # the large region is found, the small one only with all other pixels
    figures = evaluate_pixels(maps, masks)
    # Overlap is 1/2 at no false positive and rises in a line to 1 when all pixels are taken: the
    # mean of the line up to 0.3 is 1/2 + 1/2 * 0.15.
    assert figures["aupro"] == pytest.approx(0.5 + 0.5 * 0.15)
    assert figures["pixel_auroc"] == pytest.approx(16 / 17 + 1 / 17 / 2)


def test_maps_of_noise_are_near_chance() -> None:
    _, masks = case()
    maps = np.random.default_rng(0).random((200, 10, 10)).astype(np.float32)
    masks = np.repeat(masks[:1], 200, axis=0)
    figures = evaluate_pixels(maps, masks)
    assert figures["pixel_auroc"] == pytest.approx(0.5, abs=0.03)
    assert figures["aupro"] == pytest.approx(0.15, abs=0.03)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    masks = np.zeros((1, 4, 4), dtype=bool)
    masks[0, [0, 1], [0, 1]] = True
    maps = np.zeros((1, 4, 4), dtype=np.float32)
    maps[0, 0, 0] = 1.0
    assert evaluate_pixels(maps, masks)["aupro"] == pytest.approx(0.5 + 0.5 * 0.15)


def test_masks_without_a_mark_are_refused() -> None:
    maps, masks = case()
    with pytest.raises(InvalidInput, match="no pixel is marked"):
        evaluate_pixels(maps, masks & False)
    with pytest.raises(InvalidInput, match="all pixels are marked"):
        evaluate_pixels(maps, masks | True)
