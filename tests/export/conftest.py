"""Detectors of every kind, fitted, exported and loaded again; each once for all tests."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import lampblack
from lampblack import load_portable
from lampblack.portable import PortableModel
from tests.conftest import FAST, IMAGE_FAST, discs, mixed_frame

PROMISE = {"false_alarm_rate": 0.05}


class Exported(NamedTuple):
    """A detector, its portable model, the file, and samples: some like the fitted, some not.

    fitted: those that it was fitted with, which some scores treat in another way.
    """

    detector: Any
    portable: PortableModel
    file: Path
    samples: Any
    fitted: Any


def frame(n: int = 400, seed: int = 0) -> Any:
    return mixed_frame(n, seed).drop(columns="at")


def new_frame() -> Any:
    rows = frame(150, seed=7)
    rows.loc[0, "city"] = "Atlantis"
    rows.loc[1, "flow"] = 1e50
    rows.loc[2, "mode"] = 4.0
    rows.loc[3, "flow"] = 60.0
    return rows


def dated_frame(n: int = 400, seed: int = 0) -> Any:
    """Of two columns of dates one has holes; the other has a zone and covers no whole week."""
    rows = mixed_frame(n, seed)
    rows["since"] = rows["at"].dt.tz_localize("UTC").dt.floor("D")
    rows["since"] = rows["since"].min() + (rows["since"] - rows["since"].min()) % np.timedelta64(
        3, "D"
    )
    rows.loc[::9, "at"] = None
    return rows


def new_images(channels: int = 1) -> np.ndarray:
    images = discs(60, seed=7, channels=channels)
    images[0] = 255 - images[0]
    images[1] = 0
    images[2, :, 4:7] = 255
    return images


KINDS: dict[str, tuple[Callable[[], Any], Callable[[], Any], Callable[[], Any]]] = {
    "lampblack on a table": (
        lambda: lampblack.LampblackDetector(**FAST, **PROMISE),
        frame,
        new_frame,
    ),
    "toll on dates": (
        lambda: lampblack.TollDetector(**FAST, **PROMISE),
        dated_frame,
        lambda: dated_frame(150, seed=7),
    ),
    "lampblack on images": (
        lambda: lampblack.LampblackDetector(**IMAGE_FAST, **PROMISE),
        lambda: discs(200, size=20, channels=3),
        lambda: discs(60, seed=7, size=20, channels=3),
    ),
    "lamp on an array": (
        lambda: lampblack.LAMPDetector(**FAST, contamination=0.1, amplification="log"),
        lambda: np.random.default_rng(0).normal(size=(300, 4)),
        lambda: np.random.default_rng(1).normal(size=(100, 4)) * [1, 1, 5, 100],
    ),
    "toll on images": (
        lambda: lampblack.TollDetector(**IMAGE_FAST, **PROMISE),
        lambda: discs(200),
        new_images,
    ),
    "autoencoder with ssim": (
        lambda: lampblack.AutoencoderDetector(**IMAGE_FAST, **PROMISE, reconstruction_error="ssim"),
        lambda: discs(100),
        new_images,
    ),
    "ama with its joint score": (
        lambda: lampblack.AMADetector(**IMAGE_FAST, **PROMISE, score_by="joint"),
        lambda: discs(200),
        new_images,
    ),
    "ama on a table": (
        lambda: lampblack.AMADetector(**FAST, **PROMISE, score_by="mahalanobis"),
        frame,
        new_frame,
    ),
}


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """By a name in `KINDS`."""
    folder = tmp_path_factory.mktemp("portable")

    @functools.cache
    def make(kind: str) -> Exported:
        build, normal, samples = KINDS[kind]
        fitted = normal()
        detector = build().fit(fitted)
        file = folder / f"{kind}.onnx"
        lampblack.export_onnx(detector, file)
        return Exported(detector, load_portable(file, threads=1), file, samples(), fitted)

    return make


@pytest.fixture(scope="session")
def of_table(exported: Callable[[str], Exported]) -> Exported:
    return exported("lampblack on a table")


@pytest.fixture(scope="session")
def of_images(exported: Callable[[str], Exported]) -> Exported:
    return exported("toll on images")
