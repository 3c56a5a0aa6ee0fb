"""Small tables and small budgets that many tests share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lampblack
from lampblack.detectors.registry import DETECTORS

FAST = {"max_steps": 40, "hidden": (32, 16), "random_state": 0}


def pytest_make_parametrize_id(val: object) -> str | None:
    return val.__name__ if isinstance(val, type) else None


@pytest.fixture(params=list(DETECTORS.values()), ids=list(DETECTORS))
def detector_class(request: pytest.FixtureRequest) -> type:
    return request.param


@pytest.fixture(scope="session")
def normal() -> np.ndarray:
    """600 rows of 5 columns, of which two follow from the others."""
    X = np.random.default_rng(0).normal(size=(600, 5))
    X[:, 3] = X[:, 0] - X[:, 1] + 0.1 * X[:, 3]
    X[:, 4] = X[:, 2] ** 2 + 0.1 * X[:, 4]
    return X


def mixed_frame(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """Columns of every kind: a date, a category, a number with holes, a constant, a boolean."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=n, freq="7h"),
            "city": rng.choice(["Bern", "Oslo", "Rome"], n),
            "flow": rng.normal(10.0, 2.0, n),
            "mode": np.full(n, 3.0),
            "open": rng.random(n) > 0.5,
        }
    )
    frame.loc[::17, "flow"] = np.nan
    return frame


@pytest.fixture(scope="session")
def frame() -> pd.DataFrame:
    return mixed_frame()


def discs(n: int, seed: int = 0, size: int = 16, channels: int = 1) -> np.ndarray:
    """Photographs of discs (n, channels, size, size) uint8, each a little off the middle."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centres = rng.normal((size - 1) / 2, size / 30, (n, 2))
    radii = np.hypot(x - centres[:, :1, None], y - centres[:, 1:, None])
    values = np.where(radii < size / 3, 180.0, 60.0)[:, None] + rng.normal(
        0, 5, (n, channels, size, size)
    )
    return values.clip(0, 255).astype(np.uint8)


IMAGE_FAST = {"max_steps": 30, "width": 4, "latent_dim": 8, "random_state": 0}


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return discs(260)


@pytest.fixture(scope="session")
def fitted_images(images: np.ndarray) -> lampblack.TollDetector:
    return lampblack.TollDetector(**IMAGE_FAST).fit(images)


@pytest.fixture(scope="session")
def fitted(normal: np.ndarray) -> lampblack.TollDetector:
    return lampblack.TollDetector(**FAST).fit(normal)


@pytest.fixture(scope="session")
def fitted_frame(frame: pd.DataFrame) -> lampblack.TollDetector:
    return lampblack.TollDetector(**FAST).fit(frame)
