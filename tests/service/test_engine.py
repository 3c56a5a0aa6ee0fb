"""The engine without torch, and parts that requests are cut into."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

import lampblack
from lampblack.exceptions import MissingExtra, ModelFileError
from lampblack.service.engine import load_engine
from tests.service.conftest import as_json, rows, serving

# A stand-in for what `lampblack export` writes, until it is there: scores without torch.
PORTABLE = """
import sys, types
from pathlib import Path
import numpy as np
from lampblack.calibration import Calibration
from lampblack.data.kinds import kind_named
from lampblack.persistence.config import read_config

class Portable:
    def __init__(self, folder):
        config = read_config(folder)
        self.facts = types.SimpleNamespace(config=config)
        self.kind, self.schema = kind_named(config.kind), config.schema_of_data()
        self.reading = config.reading
        self.calibration = Calibration.held_out(np.arange(99.0), 0.01)
    def anomaly_score(self, X):
        return np.abs(np.nan_to_num(X.numbers)).sum(axis=1)

module = types.ModuleType("lampblack.portable")
module.load_portable = lambda path: Portable(path.with_suffix(".model"))
sys.modules["lampblack.portable"] = module
"""
RUN = """
from lampblack.service.engine import load_engine
import lampblack.service.server
engine = load_engine(Path(sys.argv[1]))
assert engine.runtime == "onnx" and not engine.explains and engine.detector and engine.card
heavy = {"torch", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""


WITH_TORCH = """
import sys
from pathlib import Path
from lampblack.service.engine import load_engine
import lampblack.service.server
assert load_engine(Path(sys.argv[1])).explains
assert "torch" in sys.modules and not {"sklearn", "scipy"} & set(sys.modules)
"""


def test_a_folder_is_served_without_scikit_learn(table_model: Path) -> None:
    command = [sys.executable, "-c", WITH_TORCH, str(table_model)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


@pytest.fixture
def portable(table_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = table_model.with_suffix(".onnx")
    path.write_bytes(b"graph")
    monkeypatch.setitem(sys.modules, "lampblack.portable", None)  # put back afterwards
    exec(PORTABLE, {})
    return path


def test_a_portable_model_is_served_without_torch(portable: Path) -> None:
    command = [sys.executable, "-c", PORTABLE + RUN, str(portable)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_a_portable_model_gives_scores_and_no_reasons(portable: Path) -> None:
    pytest.importorskip("onnxruntime")
    sent = {"rows": as_json(rows(5, seed=1))}
    with serving(portable) as client:
        found = client.post("/v1/score", json=sent).json()
        refused = client.post("/v1/explain", json=sent)
        model = client.get("/v1/model").json()
    assert len(found["results"]) == 5
    assert (model["runtime"], model["explains"]) == ("onnx", False)
    assert refused.status_code == 501
    assert "gives scores and no reasons" in refused.json()["error"]


def test_an_exported_model_scores_as_its_folder_does(table_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("lampblack.portable", reason="there is no export yet")
    from lampblack.export.onnx_file import export_onnx

    frame = rows(50, seed=1).drop(columns="at")
    detector = lampblack.TollDetector(max_steps=30, random_state=0)
    detector.fit(rows().drop(columns="at"))
    path = tmp_path / "m.onnx"
    export_onnx(detector, path)
    with serving(path) as client:
        content = frame.to_csv(index=False).encode()
        found = client.post("/v1/score", files={"file": content}).json()
        assert client.post("/v1/explain", files={"file": content}).status_code in (200, 501)
    scores = detector.anomaly_score(frame)
    given = np.array([result["anomaly_score"] for result in found["results"]])
    threshold = detector.calibration_.threshold
    assert (np.abs(given - scores) <= 1e-4 * np.maximum(scores, threshold)).all()


def test_a_missing_onnxruntime_is_named(portable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: None if n == "onnxruntime" else real(n)
    )
    with pytest.raises(MissingExtra, match=r"lampblack\[onnx\]"):
        load_engine(portable)


def test_the_digest_is_of_the_files(table_model: Path, other_model: Path) -> None:
    digests = {load_engine(path).digest for path in (table_model, table_model, other_model)}
    assert len(digests) == 2


def test_a_folder_that_keeps_changing_is_not_taken(
    table_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lampblack.service.engine as module

    engine = load_engine(table_model)
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "_load", lambda *_: engine)
    digests = iter(range(100))
    monkeypatch.setattr(module, "digest_of", lambda _: str(next(digests)))
    with pytest.raises(ModelFileError, match="kept changing"):
        load_engine(table_model)
    torn = iter(["old", "new", "new", "new"])  # replaced during the first reading alone
    monkeypatch.setattr(module, "digest_of", lambda _: next(torn))
    assert load_engine(table_model) is engine


def test_samples_are_joined_and_cut_without_loss(client: httpx.Client) -> None:
    engine = client.service.engine
    samples = engine.schema.read_table(__import__("pyarrow").Table.from_pandas(rows(30)))
    kind = engine.kind
    parts = [kind.sliced(samples, first, last) for first, last in ((0, 7), (7, 8), (8, 30))]
    again = kind.joined(parts)
    np.testing.assert_array_equal(engine.score(again), engine.score(samples))
    assert len(kind.joined([kind.blank(engine.schema)])) == 1


def test_images_of_bytes_and_floats_are_joined_to_the_same_bits(
    image_client: httpx.Client,
) -> None:
    from lampblack.data.images.stored import ArrayImages
    from tests.conftest import discs

    engine = image_client.service.engine
    bytes_ = ArrayImages(discs(3))
    floats = ArrayImages(discs(3).astype("f4") / np.float32(255))
    scores = engine.score(bytes_)
    np.testing.assert_array_equal(
        engine.score(engine.kind.joined([bytes_, floats])), [*scores, *scores]
    )
    assert replace(engine, scorer=engine.scorer).explains
