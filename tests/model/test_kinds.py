"""A kind of data is one object, and another one needs nothing that asks which kinds there are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lampblack
from lampblack.data import kinds
from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.images.stored import ArrayImages
from lampblack.exceptions import InvalidInput, SchemaMismatch
from lampblack.fitting.seeds import Seeds
from lampblack.fitting.split import split_samples
from lampblack.fitting.train import batches_of
from lampblack.model import parameters
from lampblack.model.model import Model
from tests.conftest import FAST, discs
from tests.model import waves
from tests.model.waves import RUN, Waves

GREY = discs(40)[:, 0]  # (n, height, width), bytes
SMALL = {"false_alarm_rate": 0.2, "max_steps": 5, "width": 4, "latent_dim": 4}


def some_waves(n: int, seed: int = 0) -> Waves:
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, (n, 1))
    values = np.sin(phase + np.arange(8)) + 0.05 * rng.normal(size=(n, 8))
    every = np.arange(n)
    return Waves(values.astype(np.float32), every // RUN, every % RUN == 0)


@pytest.fixture
def of_waves(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A fitted model of a kind that the library does not know."""
    monkeypatch.setitem(kinds._HOMES, "waves", waves.__name__)
    for name in ("latent_weight", "latent_dim", "batch_size", "max_steps", "learning_rate"):
        field = lampblack.TollDetector.__dataclass_fields__[name]
        by_kind = parameters.about(field).by_kind
        monkeypatch.setitem(by_kind, "waves", by_kind["table"])  # type: ignore[arg-type]
    return lampblack.TollDetector(**FAST).fit(some_waves(600)).model_


def test_another_kind_of_data_is_fitted_scored_and_explained(of_waves: Model) -> None:
    new = some_waves(200, seed=1)
    assert of_waves.kind is waves.KIND
    scores = of_waves.anomaly_score(new)
    assert (np.isnan(scores) == new.first).all()
    explained = of_waves.explain(new)
    np.testing.assert_allclose(explained.scores, scores, rtol=1e-5)
    assert (of_waves.predict(new)[new.first] == 1).all()
    assert (np.isnan(of_waves.p_value(new)) == new.first).all()
    with pytest.raises(SchemaMismatch, match="was fitted on waves of 8"):
        of_waves.anomaly_score(np.zeros((3, 8)))


def test_units_are_dealt_out_whole_and_what_has_no_score_calibrates_nothing(
    of_waves: Model,
) -> None:
    normal = some_waves(600)
    split = split_samples(
        600,
        of_waves.parameters,
        of_waves.score,
        Seeds.draw(0).split,
        stored=False,
        units=normal.run,
    )
    held, trained = (set(normal.run[part]) for part in (split.calibration, split.train))
    assert not held & trained
    assert len(held | trained) == 60
    assert of_waves.facts.rows["calibration"] == len(split.calibration) == RUN * len(held)
    assert len(of_waves.calibration.scores) == (RUN - 1) * len(held)


def test_alarms_that_touch_are_one_event(of_waves: Model) -> None:
    new = some_waves(100, seed=2)
    values = new.values.copy()
    values[[31, 32, 33, 57]] *= np.array([[5], [9], [5], [5]], np.float32)
    events = of_waves.events(Waves(values, new.run, new.first))
    assert events is not None
    assert {(31, 33, 32), (57, 57, 57)} <= {tuple(event) for event in events}


def test_a_frozen_network_of_an_encoder_is_saved_and_loaded(
    of_waves: Model, tmp_path: Path
) -> None:
    from lampblack.model.folder import load_model, save_model

    with torch.no_grad():
        of_waves.encoder.frozen.weight.mul_(2)  # as if another had been handed over
    save_model(of_waves, tmp_path / "w.model")
    assert "Of 8 values." in (tmp_path / "w.model" / "README.md").read_text()
    new = some_waves(64, seed=3)
    loaded = load_model(tmp_path / "w.model")
    np.testing.assert_array_equal(loaded.anomaly_score(new), of_waves.anomaly_score(new))


def test_floats_of_three_axes_are_refused_unless_it_is_said_what_they_are() -> None:
    grey = GREY / np.float32(255)
    for X in (grey, list(grey), torch.from_numpy(grey)):
        with pytest.raises(InvalidInput, match="kind='images'"):
            lampblack.TollDetector(**SMALL).fit(X)
    told = lampblack.TollDetector(kind="images", **SMALL).fit(grey)
    as_bytes = lampblack.TollDetector(**SMALL).fit(GREY)
    np.testing.assert_array_equal(told.anomaly_score(grey), as_bytes.anomaly_score(GREY))
    np.testing.assert_array_equal(as_bytes.anomaly_score(grey), as_bytes.anomaly_score(GREY))


@pytest.mark.parametrize("X", [GREY, GREY[:, None] / 255, GREY > 99, GREY.astype(np.uint16)])
def test_bytes_and_four_axes_stay_pictures(X: np.ndarray) -> None:
    assert kinds.find_kind(X).name == "images"
    assert kinds.find_kind([Image.fromarray(image) for image in GREY]).name == "images"


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="'kind' parameter of TollDetector"):
        lampblack.TollDetector(kind="sound").fit(GREY)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="unknown kind of data 'sound'; use one of table"):
        kinds.kind_named("sound")


def test_a_table_that_is_called_one_is_no_picture() -> None:
    with pytest.raises(InvalidInput, match="dim 3"):
        lampblack.TollDetector(kind="table").fit(GREY)


def test_bytes_are_held_as_bytes_and_become_numbers_on_the_device() -> None:
    images = ArrayImages(GREY[:, None])
    encoder = ImageEncoder(lampblack.TollDetector(**SMALL).fit(GREY).schema_)
    held = batches_of(images, encoder, torch.device("cpu"))
    assert held.values.dtype == torch.uint8  # type: ignore[attr-defined]
    (batch,) = held.batches([torch.arange(7)])
    assert batch.dtype == torch.float32
    expected = GREY[:7, None].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(batch.numpy(), expected)


ASKED = re.compile(
    r"\bisinstance\([^)]*\b(Schema|ImageSchema|Rows|StoredRows|ArrayImages|FileImages|ImageSet|"
    r"TableEncoder|ImageEncoder|TableExplanation|ImageExplanation|Tables|ImagesKind)\b"
)


def test_nothing_above_the_data_asks_what_kind_it_has() -> None:
    source = Path(lampblack.__file__).parent
    found = [
        f"{path.relative_to(source)}:{number}"
        for path in sorted(source.rglob("*.py"))
        if path.relative_to(source).parts[0] != "data"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if ASKED.search(line)
    ]
    assert found == []
