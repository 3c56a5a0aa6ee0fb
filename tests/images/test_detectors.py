"""Images keep the promises that tables do: the same bits, exact explanations, safe folders."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from torch import nn

import lampblack
from lampblack.data.images import stored as samples
from lampblack.exceptions import (
    InvalidInput,
    LampblackWarning,
    SchemaMismatch,
    TrainingError,
)
from lampblack.model.parameters import filled_in
from tests.conftest import FAST, IMAGE_FAST, discs
from tests.killed import Starts, kill_a_fit

ERRORS = ("l2", "l1", "l2_norm", "ssim")


def save_all(folder: Path, images: np.ndarray) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(path)
    return paths


def test_every_detector_tells_a_broken_disc(detector_class: type, images: np.ndarray) -> None:
    detector = detector_class(max_steps=100, width=8, random_state=0).fit(images)
    new, broken = discs(60, seed=1), discs(60, seed=2)
    broken[:, :, 5:9, 5:9] = 0
    truth = np.repeat([False, True], 60)
    scores = detector.anomaly_score(np.concatenate([new, broken]))
    assert roc_auc_score(truth, scores) > 0.95
    assert (detector.predict(new) == -1).mean() <= 0.15


def test_large_images_come_in_smaller_batches() -> None:
    for side, batch in ((32, 128), (64, 64), (128, 16), (256, 16)):
        images = np.zeros((4, side, side), np.uint8)
        with pytest.warns(LampblackWarning):
            detector = lampblack.TollDetector(max_steps=1, width=1, latent_dim=1).fit(images)
        assert detector.parameters_.batch_size == batch


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("amplification", [None, "log", "quantile"])
def test_every_error_trains_scores_and_adds_up(
    images: np.ndarray, error: str, amplification: str | None
) -> None:
    detector = lampblack.LAMPDetector(
        **{**IMAGE_FAST, "max_steps": 6},
        false_alarm_rate=0.02,
        reconstruction_error=error,
        amplification=amplification,
        latent_weight=0.1,
    ).fit(images[:250])
    scores = detector.anomaly_score(images)
    explanation = detector.explain(images)
    assert explanation.shape == (260, 16, 16)
    assert (explanation.maps >= 0).all()
    np.testing.assert_allclose(explanation.scores, scores, rtol=1e-5)
    assert np.isfinite([record["loss"] for record in detector.history_]).all()


def test_explanation_points_at_the_defect(fitted_images: lampblack.TollDetector) -> None:
    broken = discs(30, seed=3)
    broken[:, :, 2:5, 10:13] = 255
    explanation = fitted_images.explain(broken)
    assert (explanation.remainder > explanation.maps.sum(axis=(1, 2))).all()
    blame = explanation.blame()
    inside = blame[:, 2:5, 10:13].sum(axis=(1, 2)) / blame.sum(axis=(1, 2))
    assert np.median(inside) > 4 * 9 / 256
    errors = explanation.maps
    inside = errors[:, 2:5, 10:13].sum(axis=(1, 2)) / errors.sum(axis=(1, 2))
    assert np.median(inside) > 4 * 9 / 256
    attributed = explanation.attributed.any(axis=(1, 2))
    np.testing.assert_allclose(
        blame.sum(axis=(1, 2))[attributed], explanation.scores[attributed], rtol=1e-5
    )


def test_attribution_of_the_norm_is_complete(fitted_images: lampblack.TollDetector) -> None:
    broken = discs(30, seed=3)
    broken[:, :, 2:5, 10:13] = 255
    explanation = fitted_images.explain(broken)
    attributed = explanation.attributed.any(axis=(1, 2))
    assert attributed.any()
    weight = fitted_images.parameters_.latent_weight
    start = fitted_images.encode(fitted_images.reconstruct(broken).clip(0, 1))
    rise = weight * (
        np.linalg.norm(fitted_images.encode(broken), axis=1) - np.linalg.norm(start, axis=1)
    )
    total = explanation.attributed.sum(axis=(1, 2))
    missing = np.abs(total - rise)[attributed]
    assert (missing <= 0.01 * np.abs(rise[attributed]) + 1e-4).all()


@pytest.mark.parametrize("error", ERRORS)
def test_batch_size_does_not_change_scores(images: np.ndarray, error: str) -> None:
    detector = lampblack.TollDetector(
        **{**IMAGE_FAST, "max_steps": 5}, reconstruction_error=error
    ).fit(images[:250])
    whole = detector.anomaly_score(images)
    one_by_one = [detector.anomaly_score(images[i : i + 1])[0] for i in range(70)]
    np.testing.assert_array_equal(one_by_one, whole[:70])
    np.testing.assert_array_equal(detector.anomaly_score(images[::-1]), whole[::-1])


def test_bytes_and_floats_give_the_same_bits(images: np.ndarray) -> None:
    by_bytes = lampblack.TollDetector(**IMAGE_FAST).fit(images)
    told = lampblack.TollDetector(kind="images", **IMAGE_FAST)
    by_floats = told.fit(images[:, 0] / 255.0)
    np.testing.assert_array_equal(
        by_bytes.anomaly_score(images), by_floats.anomaly_score(images.astype("f4") / 255)
    )


def test_layout_in_memory_does_not_change_the_bits() -> None:
    last = np.ascontiguousarray(discs(260, channels=3).transpose(0, 2, 3, 1))
    first = last.transpose(0, 3, 1, 2)
    scores = [
        lampblack.TollDetector(**IMAGE_FAST).fit(X).anomaly_score(first)
        for X in (first, np.ascontiguousarray(first), first.astype("f4") / np.float32(255))
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_killed_worker_ends_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "FEWEST_FOR_WORKERS", 0)
    monkeypatch.setattr(samples, "decode_file", lambda path, schema: os.kill(os.getpid(), 9))
    paths = save_all(tmp_path, discs(20))
    with pytest.raises(TrainingError, match="a process that decodes images was killed"):
        lampblack.TollDetector(**IMAGE_FAST).fit(paths)


def test_start_method_that_imports_the_script_decodes_here(tmp_path: Path) -> None:
    save_all(tmp_path / "images", discs(300))
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing, sys, lampblack\n"
        "multiprocessing.set_start_method('spawn')\n"
        "d = lampblack.TollDetector(max_steps=2, width=2, latent_dim=2).fit(sys.argv[1])\n"
        "print(d.rows_['train'])\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "images")]
    assert subprocess.run(command, check=True, capture_output=True).stdout.strip() == b"201"


def test_every_way_to_hand_images_over_gives_the_same_scores(
    tmp_path: Path, images: np.ndarray, fitted_images: lampblack.TollDetector
) -> None:
    paths = save_all(tmp_path / "images", images)
    scores = fitted_images.anomaly_score(images)
    pictures = [Image.open(path) for path in paths]
    for X in (paths, pictures, tmp_path / "images", list(images[:, 0]), torch.from_numpy(images)):
        np.testing.assert_array_equal(fitted_images.anomaly_score(X), scores)
    for X in (paths, pictures, tmp_path / "images"):
        refitted = lampblack.TollDetector(**IMAGE_FAST).fit(X)
        np.testing.assert_array_equal(refitted.anomaly_score(images), scores)


def test_fitting_twice_gives_the_same_bits_and_leaves_global_states(images: np.ndarray) -> None:
    states = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
    detector = lampblack.TollDetector(**IMAGE_FAST).fit(images)
    first = detector.anomaly_score(images)
    np.testing.assert_array_equal(clone(detector).fit(images).anomaly_score(images), first)
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tobytes() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_reading_files_leaves_global_states(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "IN_MEMORY", 0)
    monkeypatch.setattr(samples, "FEWEST_FOR_WORKERS", 0)
    paths = save_all(tmp_path, discs(40))
    state = torch.get_rng_state()
    lampblack.TollDetector(**{**IMAGE_FAST, "false_alarm_rate": 0.1}).fit(paths)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [False, True])
def test_folder_larger_than_memory_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: bool
) -> None:
    images = discs(120)
    paths = save_all(tmp_path, images)
    parameters = {**IMAGE_FAST, "false_alarm_rate": 0.05, "batch_size": 16}
    in_memory = lampblack.TollDetector(**parameters).fit(paths)
    if workers:
        monkeypatch.setattr(samples, "FEWEST_FOR_WORKERS", 0)
    monkeypatch.setattr("lampblack.data.images.stored.IN_MEMORY", 0)
    asked = []
    read = samples.FileReader.read
    monkeypatch.setattr(
        samples.FileReader, "read", lambda self, p: (asked.append(len(p)), read(self, p))[1]
    )
    streamed = lampblack.TollDetector(**parameters).fit(paths)
    assert asked, "nothing was streamed"
    np.testing.assert_array_equal(streamed.anomaly_score(images), in_memory.anomaly_score(images))
    assert streamed.history_ == in_memory.history_


def test_save_and_load_in_a_new_process(
    tmp_path: Path, images: np.ndarray, fitted_images: lampblack.TollDetector
) -> None:
    fitted_images.save(tmp_path / "a.model")
    assert not (tmp_path / "a.model" / "encoder.json").exists()
    np.save(tmp_path / "X.npy", images)
    code = (
        "import sys, numpy as np, torch, lampblack; torch.set_num_threads(int(sys.argv[2]));"
        "d = lampblack.load(sys.argv[1] + '/a.model');"
        "sys.stdout.buffer.write(d.anomaly_score(np.load(sys.argv[1] + '/X.npy')).tobytes())"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(torch.get_num_threads())]
    output = subprocess.run(command, check=True, capture_output=True).stdout
    np.testing.assert_array_equal(np.frombuffer(output), fitted_images.anomaly_score(images))
    loaded = lampblack.load(tmp_path / "a.model")
    assert loaded.get_params() == fitted_images.get_params()
    assert loaded.parameters_.as_dict() == fitted_images.parameters_.as_dict()
    assert loaded.schema_ == fitted_images.schema_


def test_killed_fit_of_a_folder_resumes_at_the_same_bits(tmp_path: Path) -> None:
    parameters = {"max_steps": 120, "width": 4, "latent_dim": 8, "batch_size": 16}
    parameters |= {"random_state": 0, "amplification": "quantile", "false_alarm_rate": 0.05}
    parameters |= {"early_stopping": True, "patience": 1000}
    data = tmp_path / "images"
    save_all(data, discs(120))
    done = kill_a_fit("TollDetector", parameters, data, tmp_path / "cut", 30)
    assert 30 <= done < 120
    detector = lampblack.TollDetector(**parameters)
    whole = detector.fit(data).anomaly_score(data)
    starts = Starts()
    resumed = detector.fit(data, checkpoint_dir=tmp_path / "cut", callbacks=[starts])
    assert starts.first_steps == [done]
    np.testing.assert_array_equal(resumed.anomaly_score(data), whole)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 9, 13), (2, 31, 17), (1, 64, 40), (3, 512, 8)], ids=str
)
def test_networks_for_any_size(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, *shape), dtype=np.uint8)
    with pytest.warns(LampblackWarning):
        detector = lampblack.AutoencoderDetector(**{**IMAGE_FAST, "max_steps": 2}).fit(images)
    assert detector.reconstruct(images).shape == images.shape
    assert detector.encode(images).shape == (8, 8)
    assert np.isfinite(detector.anomaly_score(images)).all()


def test_largest_size_trains_and_scores() -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 1, 512, 512), dtype=np.uint8)
    with pytest.warns(LampblackWarning):
        detector = lampblack.TollDetector(**{**IMAGE_FAST, "max_steps": 1}).fit(images)
    assert np.isfinite(detector.anomaly_score(images)).all()


def test_sizes_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInput, match="networks take 8 to 512 a side"):
        lampblack.TollDetector().fit(np.zeros((4, 600, 600), np.uint8))
    with pytest.raises(InvalidInput, match="networks take 8 to 512 a side"):
        lampblack.TollDetector().fit(np.zeros((4, 7, 7), np.uint8))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of the papers take seconds for 64 images."""
    monkeypatch.setattr("lampblack.data.blocks.IMAGES", 4)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("name", "shape", "latent"),
    [
        ("toll-mnist", (1, 28, 28), 128),
        ("toll-cifar10", (3, 32, 32), 64),
        ("ama-cifar10", (3, 32, 32), 128),
    ],
)
def test_published_networks_by_name(name: str, shape: tuple[int, ...], latent: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, *shape), dtype=np.uint8)
    parameters = {"max_steps": 1, "batch_size": 2, "network": name, "latent_dim": latent}
    with pytest.warns(LampblackWarning):
        detector = lampblack.TollDetector(**parameters).fit(images)
    assert detector.encode(images).shape == (4, latent)
    with pytest.raises(InvalidInput, match="takes images of shape"):
        lampblack.TollDetector(network=name).fit(discs(10))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("mirror", [True, False])
def test_published_critic_comes_with_its_networks(mirror: bool, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    parameters = {"network": "ama-cifar10", "mirror": mirror, "spectral_norm": True}
    with pytest.warns(LampblackWarning):
        detector = lampblack.AMADetector(max_steps=1, batch_size=2, **parameters).fit(images)
    assert detector.model_.score.centre.shape == (128,)
    detector.save(tmp_path / "m")
    scores = detector.anomaly_score(images)
    np.testing.assert_array_equal(lampblack.load(tmp_path / "m").anomaly_score(images), scores)


class Flat(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(start_dim=1)


def test_own_networks(tmp_path: Path, images: np.ndarray) -> None:
    encoder = nn.Sequential(Flat(), nn.Linear(256, 8))
    decoder = nn.Sequential(nn.Linear(8, 256), nn.Unflatten(1, (1, 16, 16)))
    detector = lampblack.TollDetector(max_steps=20, networks=(encoder, decoder)).fit(images)
    detector.save(tmp_path / "own.model")
    again = lampblack.load(tmp_path / "own.model", networks=(encoder, decoder))
    np.testing.assert_array_equal(again.anomaly_score(images), detector.anomaly_score(images))


def test_image_size_brings_all_to_one_size(tmp_path: Path) -> None:
    paths = save_all(tmp_path / "a", discs(60)) + save_all(tmp_path / "b", discs(60, size=24))
    with pytest.raises(SchemaMismatch, match=r"b/0000.png has 24×24 pixels and .* has 16×16"):
        lampblack.TollDetector(**IMAGE_FAST).fit(paths)
    detector = lampblack.TollDetector(**IMAGE_FAST, image_size=12, false_alarm_rate=0.05).fit(paths)
    assert detector.reconstruct(paths[:3]).shape == (3, 1, 12, 12)
    detector.save(tmp_path / "m")
    scores = lampblack.load(tmp_path / "m").anomaly_score(paths)
    np.testing.assert_array_equal(scores, detector.anomaly_score(paths))
    assert detector.anomaly_score(discs(2, size=40)).shape == (2,)


def test_parameters_without_meaning_are_refused(images: np.ndarray, normal: np.ndarray) -> None:
    for parameters in ({"types": {"a": "category"}}, {"scaling": "standard"}):
        with pytest.raises(InvalidInput, match="has no meaning for images"):
            lampblack.TollDetector(**parameters).fit(images)
    for parameters in ({"width": 8}, {"depth": 2}, {"image_size": 16}, {"network": "toll-mnist"}):
        with pytest.raises(InvalidInput, match="has no meaning for a table"):
            lampblack.TollDetector(**parameters).fit(normal)
    with pytest.raises(InvalidInput, match="is for images, and this is a table"):
        lampblack.TollDetector(reconstruction_error="ssim").fit(normal)
    with pytest.raises(InvalidInput, match="pair of torch modules"):
        lampblack.TollDetector(networks=(1, 2)).fit(images)
    with pytest.raises(InvalidInput, match="is a generator, which has no order"):
        lampblack.TollDetector().fit(path for path in ["a.png"])
    sized = lampblack.TollDetector(**IMAGE_FAST, image_size=np.int64(8)).fit(images)
    assert sized.schema_.shape == (1, 8, 8)
    with pytest.raises(InvalidInput, match="image_size must be"):
        lampblack.TollDetector(image_size=(3, 4, 5)).fit(images)


def test_tables_and_images_are_not_mixed_up(
    images: np.ndarray,
    normal: np.ndarray,
    fitted: lampblack.TollDetector,
    fitted_images: lampblack.TollDetector,
) -> None:
    with pytest.raises(SchemaMismatch, match="was fitted on a table"):
        fitted.predict(images)
    with pytest.raises(SchemaMismatch, match=r"was fitted on images of shape \(1, 16, 16\)"):
        fitted_images.predict(normal)
    with pytest.raises(SchemaMismatch, match="has 20×20 pixels, and the model takes 16×16"):
        fitted_images.predict(discs(3, size=20))
    with pytest.raises(SchemaMismatch, match="3 channels, and the model was fitted on images with"):
        fitted_images.predict(discs(3, channels=3))


def test_bad_images_in_python_are_named(
    tmp_path: Path, images: np.ndarray, fitted_images: lampblack.TollDetector
) -> None:
    with pytest.raises(InvalidInput, match="look like 0 to 255"):
        fitted_images.predict(images.astype(float))
    with pytest.raises(InvalidInput, match="pass a list of images"):
        fitted_images.predict(Image.fromarray(images[0, 0]))
    path = save_all(tmp_path, images[:1])[0]
    with pytest.raises(InvalidInput, match="is given twice"):
        fitted_images.predict([path, path])
    with pytest.raises(InvalidInput, match="mixes paths and images"):
        fitted_images.predict([path, Image.fromarray(images[0, 0])])
    with pytest.raises(InvalidInput, match="1 images cannot be fitted"):
        lampblack.TollDetector().fit([path])


def test_promise_holds_on_images() -> None:
    rates = []
    for seed in range(10):
        X = discs(600, seed=seed, size=8)
        parameters = {"max_steps": 3, "width": 2, "latent_dim": 2, "false_alarm_rate": 0.1}
        detector = lampblack.TollDetector(**parameters, random_state=seed).fit(X[:300])
        rates.append((detector.predict(X[300:]) == -1).mean())
    assert 0.05 < np.mean(rates) < 0.15


def test_contamination_and_recalibration(images: np.ndarray) -> None:
    detector = lampblack.TollDetector(**IMAGE_FAST, contamination=0.1).fit(images)
    assert (detector.predict(images) == -1).mean() == pytest.approx(0.1, abs=0.01)
    detector.set_params(contamination=None, false_alarm_rate=0.05)
    detector.recalibrate(discs(100, seed=9))
    assert len(detector.calibration_.scores) == 100
    assert detector.p_value(255 - images).min() == pytest.approx(1 / 101)


def test_default_sizes_stand_in_the_parameters(images: np.ndarray, normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(max_steps=1)
    for X, kind in ((images, "images"), (normal, "table")):
        detector.fit(X)
        defaults = filled_in(lampblack.TollDetector(max_steps=1), kind)
        assert defaults["latent_weight"] == (1000.0 if kind == "images" else 0.1)
        assert detector.filled_in_ == defaults
    assert detector.get_params()["latent_dim"] is None


def test_unknown_error_message_for_a_path_that_is_a_table(
    tmp_path: Path, fitted: lampblack.TollDetector
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match="is not an image or a file of images"):
        lampblack.TollDetector(**FAST).fit(tmp_path / "a.csv")
