"""Ray in this process: data sets, bad rows, and what is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lampblack
from lampblack.data.files import RowFormat
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput
from lampblack.scale import Scoring, score_dataset, score_files, session
from tests.conftest import mixed_frame

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray warns of its own defaults
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
pytest.importorskip("ray")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray as a user starts it, for all of this file: two cores, no dashboard."""
    environment = dict(os.environ)
    os.environ.pop("RAY_ADDRESS", None)
    with session.ray_session(None, 2) as ray:
        yield ray
    os.environ.clear()
    os.environ.update(environment)


def test_a_data_set_gets_the_scores_of_the_detector(
    ray: Any, fitted_frame: ReconstructionDetector
) -> None:
    frame = mixed_frame(500, seed=3)
    frame["part"] = np.arange(500)
    frame.loc[480:, "flow"] = 100.0
    dataset = ray.data.from_arrow(pa.Table.from_pandas(frame)).repartition(3)
    scored = score_dataset(fitted_frame, dataset, explain=1, keep=["part"], workers=1)
    found = scored.to_pandas().sort_values("part", ignore_index=True)
    assert list(found.columns) == [
        "part",
        "anomaly_score",
        "p_value",
        "decision",
        "column_1",
        "contribution_1",
    ]
    rows = frame.drop(columns="part")
    np.testing.assert_array_equal(found["anomaly_score"], fitted_frame.anomaly_score(rows))
    np.testing.assert_array_equal(found["p_value"], fitted_frame.p_value(rows))
    np.testing.assert_array_equal(found["decision"] == "anomaly", fitted_frame.predict(rows) < 0)
    assert (found["column_1"].tail(20) == "flow").all()


def test_files_are_scored_in_a_ray_that_is_there_and_stays(
    ray: Any, fitted_frame: ReconstructionDetector, tmp_path: Path
) -> None:
    """A bad row stops it with this library's line; skipped, it is told; Ray is left running."""
    fitted_frame.save(tmp_path / "a.model")
    files = [tmp_path / f"{name}.csv" for name in "abc"]
    for i, file in enumerate(files):
        mixed_frame(40, seed=i).to_csv(file, index=False)
    files[1].write_text(
        files[1].read_text().replace(",3.0,", ",broken,", 2).replace("broken", "3", 1)
    )

    def go(engine: Any, *, skip: bool, workers: int = 1) -> Any:
        scoring = Scoring(RowFormat(), skip_bad_rows=skip)
        output = tmp_path / f"{engine}-{skip}"
        return score_files(
            tmp_path / "a.model", files, output, scoring, engine=engine, workers=workers
        )

    lines = []
    for engine in ("local", "ray"):
        with pytest.raises(InvalidInput) as caught:
            go(engine, skip=False)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
    assert lines[0].startswith(f"{files[1]}: row 2, column 'mode': 'broken' is not a number")
    here, there = go("local", skip=True), go("ray", skip=True)
    assert here == there
    assert len(there.skipped) == 1
    for name in "abc":
        first, second = (
            pd.read_parquet(tmp_path / f"{e}-True" / f"{name}.parquet") for e in ("local", "ray")
        )
        pd.testing.assert_frame_equal(first, second)
    assert ray.is_initialized()


def test_a_data_set_without_a_column_of_the_models_is_refused(
    ray: Any, fitted_frame: ReconstructionDetector
) -> None:
    dataset = ray.data.from_arrow(pa.Table.from_pandas(mixed_frame(20).drop(columns="flow")))
    with pytest.raises(Exception, match="the data set has no column flow; there are at, city"):
        score_dataset(fitted_frame, dataset).take_all()


def test_an_address_beside_a_ray_that_is_there_is_refused(ray: Any) -> None:
    with pytest.raises(InvalidInput, match="Ray is running already"):
        with session.ray_session("10.0.0.1:6379", 1):
            pass


def test_images_are_refused(ray: Any, fitted_images: lampblack.TollDetector) -> None:
    with pytest.raises(InvalidInput, match="was fitted on images"):
        score_dataset(fitted_images, ray.data.range(3))
