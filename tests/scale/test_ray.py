"""Ray in this process: data sets, bad rows, and what is left behind."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import lampblack
from lampblack.cli.errors import in_options
from lampblack.data.tables.files import RowFormat
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput
from lampblack.model.folder import load_model
from lampblack.scale import (
    Scoring,
    dataset,
    partitions,
    ray_files,
    score_dataset,
    score_files,
    session,
)
from lampblack.scale.ray_files import score_with_ray
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


@pytest.mark.filterwarnings("ignore:The minimum number of concurrent actors")
def test_two_processes_score_parquet_files_on_two_cores(
    ray: Any, fitted_frame: ReconstructionDetector, tmp_path: Path
) -> None:
    """Whole cores for each would leave none to the tasks that read: the run would not begin.

    Rows cross the blocks that are scored at a time, and the batches that are handed over.
    """
    frame = mixed_frame(dataset.BATCH_ROWS + 5000, seed=3)
    frame["part"] = np.arange(len(frame))
    for i, rows in enumerate(np.array_split(np.arange(len(frame)), 3)):
        frame.iloc[rows].to_parquet(tmp_path / f"{i}.parquet", row_group_size=3000)
    files = ray.data.read_parquet(str(tmp_path))
    scored = score_dataset(fitted_frame, files, workers=2)
    found = scored.to_pandas().sort_values("part", ignore_index=True)
    rows = frame.drop(columns="part")
    np.testing.assert_array_equal(found["anomaly_score"], fitted_frame.anomaly_score(rows))


def test_a_process_of_less_than_a_core(ray: Any) -> None:
    assert session.actor_options(ray, 2, "cpu")["num_cpus"] < 1
    assert session.actor_options(ray, 2, "cuda")["num_gpus"] == 1
    assert session.most_workers(ray, "auto") == int(ray.cluster_resources()["CPU"])


class Deadly(torch.nn.Module):
    """Networks that end their process: so many times, counted in a folder, or always."""

    def __init__(self, networks: torch.nn.Module, folder: Path, times: int) -> None:
        super().__init__()
        self.networks, self.folder, self.times = networks, folder, times

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("networks"), name)

    def forward(self, x: torch.Tensor) -> Any:
        died = len(list(self.folder.iterdir()))
        if died < self.times:
            (self.folder / str(died)).touch()
            os._exit(1)
        return self.networks(x)


def test_a_process_that_dies_is_started_again_but_not_for_ever(
    ray: Any, fitted_frame: ReconstructionDetector, tmp_path: Path
) -> None:
    """The first file is done by the second process; over the second one four have died before."""
    frame = mixed_frame(40, seed=1)
    for name in "ab":
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    fitted_frame.save(tmp_path / "a.model")
    detector = load_model(tmp_path / "a.model")
    expected = detector.anomaly_score(frame)
    (tmp_path / "deaths").mkdir()
    deadly = Deadly(detector.networks, tmp_path / "deaths", times=1)
    detector = dataclasses.replace(detector, networks=deadly)
    scoring = Scoring(RowFormat())
    output = tmp_path / "out"
    parts = partitions.partitions({tmp_path / f"{n}.csv": Path(f"{n}.csv") for n in "ab"}, output)
    ledger = partitions.Ledger(output, tmp_path / "a.model", scoring)
    ledger._folder.mkdir(parents=True)
    for _ in range(ray_files.MOST_DEATHS):
        ledger.begin(parts[1], ray_files.MOST_DEATHS)
    run = score_with_ray(detector, parts, scoring, ledger, 1, None, "cpu")
    part, done = next(run)
    assert (part, done.rows) == (parts[0], 40)
    found = pd.read_parquet(output / "a.parquet")
    np.testing.assert_array_equal(found["anomaly_score"], expected)
    assert len(list((tmp_path / "deaths").iterdir())) == 1
    with pytest.raises(InvalidInput, match=r"/b.csv: the process that scores it died 4 times"):
        next(run)
    ledger._begun(parts[1]).unlink()  # as another run does
    ledger.begin(parts[1], ray_files.MOST_DEATHS)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "a.csv: there is not enough memory to score it; give fewer --workers"),
        (RuntimeError("DefaultCPUAllocator: can't allocate"), "a.csv: there is not enough memory"),
        (OSError(5, "Input/output error"), "a.csv: Input/output error"),
        (InvalidInput("a.csv: is odd"), "a.csv: is odd"),
    ],
)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_fails_in_a_process_is_told_with_its_place(
    error: Exception, line: str, elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ray_files, "fetched", lambda *_: None)
    monkeypatch.setattr(ray_files, "finish", fail)
    asking = "another" if elsewhere else socket.gethostname()
    ledger = SimpleNamespace(begin=lambda *_: None)
    scorer = ray_files.FileScorer(None, "cpu", Scoring(RowFormat()), ledger, asking)
    part = partitions.Partition(Path("a.csv"), Path("a.parquet"))
    told = scorer({"index": np.array([0]), "part": np.array([part], object)})["result"][0]
    with pytest.raises(InvalidInput) as caught:
        ray_files._result(told)
    shown = in_options(caught.value)
    assert shown.startswith(line)
    assert ("which must see the same paths" in shown) is elsewhere


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
