"""The decoder's Jacobian where it is known; what is recorded over training changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lampblack
from lampblack.diagnostics import CodeNorms, CriticDistances, critic_distances, decoder_spectrum
from lampblack.diagnostics.codes import DecoderSpectrum, jacobian_singular_values
from lampblack.exceptions import InvalidInput
from tests.conftest import FAST, IMAGE_FAST, mixed_frame


@pytest.mark.parametrize("shape", [(7, 3), (3, 7)], ids=["wide output", "wide code"])
def test_singular_values_of_a_linear_decoder_are_its_own(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = jacobian_singular_values(lambda z: z @ matrix.T + 1.0, torch.randn(20, shape[1]))
    expected = torch.linalg.svdvals(matrix.double()).numpy()
    np.testing.assert_allclose(found, np.tile(expected, (20, 1)), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "rank"), [([2.0, 2.0, 2.0], 3.0), ([5.0, 0.0, 0.0], 1.0), ([0.0, 0.0, 0.0], 0.0)]
)
def test_effective_rank_counts_directions(values: list[float], rank: float) -> None:
    spectrum = DecoderSpectrum(np.array([values, values]), np.ones(2))
    assert spectrum.effective_rank == pytest.approx(rank)
    assert spectrum.largest == values[0]


def test_jacobian_agrees_with_differences(fitted, normal: np.ndarray) -> None:
    spectrum = decoder_spectrum(fitted, normal[:3])
    z = torch.from_numpy(fitted.encode(normal[:3])).double()
    decode = fitted.networks_.double().decode
    for i, code in enumerate(z):
        steps = 1e-6 * torch.eye(len(code), dtype=torch.float64)
        jacobian = (decode(code + steps) - decode(code - steps)) / 2e-6
        values = torch.linalg.svdvals(jacobian).numpy()
        np.testing.assert_allclose(spectrum.singular_values[i], values, rtol=1e-3, atol=1e-5)
    fitted.networks_.float()


def test_spectrum_of_images(fitted_images, images: np.ndarray) -> None:
    spectrum = decoder_spectrum(fitted_images, images, most=5)
    assert spectrum.singular_values.shape == (5, 8)
    norms = np.sort(np.linalg.norm(fitted_images.encode(images), axis=1))
    assert norms[0] <= spectrum.code_norms.min() <= spectrum.code_norms.max() <= norms[-1]


def test_norms_are_recorded_from_before_training_to_its_end(normal: np.ndarray) -> None:
    seen = CodeNorms({"normal": normal[:100], "far": normal[:100] + 6})
    detector = lampblack.TollDetector(**FAST).fit(normal, callbacks=[seen])
    steps = [record["step"] for record in seen.records]
    assert steps[:2] == [0, 0]
    assert steps[-1] == 40
    assert len(steps) == 2 * (len(detector.history_) + 1)
    norms = np.linalg.norm(detector.encode(normal[:100]), axis=1)
    last = seen.records[-2]
    assert last["group"] == "normal"
    np.testing.assert_allclose(
        last["norm"], np.quantile(norms, [0.05, 0.25, 0.5, 0.75, 0.95]), rtol=1e-4
    )
    error = detector.anomaly_score(normal[:100]) - 0.1 * norms
    assert last["error"][2] == pytest.approx(np.median(error), rel=1e-4)


def test_watching_changes_no_bit(normal: np.ndarray) -> None:
    groups = {"normal": normal[:100]}
    for cls, seen in (
        (lampblack.TollDetector, CodeNorms),
        (lampblack.AMADetector, CriticDistances),
    ):
        plain = cls(**FAST).fit(normal)
        watched = cls(**FAST).fit(normal, callbacks=[seen(groups)])
        np.testing.assert_array_equal(plain.anomaly_score(normal), watched.anomaly_score(normal))


def test_mixed_tables_and_images_are_recorded_too(images: np.ndarray) -> None:
    frame = mixed_frame(300)
    for X, parameters in ((frame, FAST), (images, IMAGE_FAST)):
        seen = CodeNorms({"normal": X[:40]})
        detector = lampblack.TollDetector(**parameters).fit(X, callbacks=[seen])
        norms = np.linalg.norm(detector.encode(X[:40]), axis=1)
        assert seen.records[-1]["norm"][2] == pytest.approx(np.median(norms), rel=1e-3)


def test_a_resumed_fit_is_recorded_from_where_it_goes_on(
    normal: np.ndarray, tmp_path: Path
) -> None:
    lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path)
    seen = CodeNorms({"normal": normal[:50]})
    lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path, callbacks=[seen])
    assert [record["step"] for record in seen.records] == [40]


def test_samples_of_another_table_are_refused(normal: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="features"):
        lampblack.TollDetector(**FAST).fit(normal, callbacks=[CodeNorms({"a": normal[:, :3]})])


def test_the_mirror_shows_the_score_of_the_critic(normal: np.ndarray) -> None:
    detector = lampblack.AMADetector(score_by="critic", **FAST).fit(normal)
    found = critic_distances(detector, {"normal": normal, "far": normal[:50] + 6})
    np.testing.assert_allclose(found.distances["normal"], detector.anomaly_score(normal), rtol=1e-4)
    assert found.distances["synthetic"].shape == (600,)
    learned = detector.model_.score.quantiles.numpy()
    assert sum(found.band) / 2 == pytest.approx(learned.mean(), rel=1e-4)
    assert found.outside["far"][1] > found.outside["normal"][1]


def test_without_a_learned_score_the_band_is_that_of_normal_samples(normal: np.ndarray) -> None:
    detector = lampblack.AMADetector(**FAST).fit(normal)  # scored by the plain error
    found = critic_distances(detector, {"normal": normal})
    assert sum(found.band) / 2 == pytest.approx(found.distances["normal"].mean(), rel=1e-6)


def test_synthetic_distances_are_recorded_after_the_first_group(normal: np.ndarray) -> None:
    seen = CriticDistances({"normal": normal[:50], "far": normal[:50] + 6})
    detector = lampblack.AMADetector(**FAST).fit(normal, callbacks=[seen])
    assert [record["group"] for record in seen.records[-3:]] == ["normal", "synthetic", "far"]
    found = critic_distances(detector, {"normal": normal[:50]})
    median = np.median(found.distances["synthetic"])
    assert seen.records[-2]["distance"][2] == pytest.approx(median, rel=1e-4)


def test_there_is_no_mirror_without_a_critic(fitted, normal: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="trained no critic"):
        critic_distances(fitted, {"normal": normal})
    plain = lampblack.AMADetector(adversarial_weight=0, score_by="reconstruction", **FAST)
    with pytest.raises(InvalidInput, match="trained no critic"):
        critic_distances(plain.fit(normal), {"normal": normal})
    with pytest.raises(InvalidInput, match="no critic; fit an AMADetector"):
        lampblack.TollDetector(**FAST).fit(normal, callbacks=[CriticDistances({"a": normal})])
    with pytest.raises(InvalidInput, match="rename"):
        CriticDistances({"synthetic": normal})


def test_jacobian_of_a_user_s_decoder() -> None:
    decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh())
    values = jacobian_singular_values(decoder, torch.zeros(1, 2))
    slope = 1 - torch.tanh(decoder[0].bias.detach()) ** 2
    expected = torch.linalg.svdvals((slope[:, None] * decoder[0].weight.detach()).double())
    np.testing.assert_allclose(values[0], expected.numpy(), rtol=1e-4)


def test_a_decoder_that_cannot_be_batched_is_differentiated_sample_by_sample() -> None:
    matrix = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))

    def decode(z: torch.Tensor) -> torch.Tensor:
        return z @ matrix.T if float(z.detach().sum()) > 0 else 2 * z @ matrix.T

    values = jacobian_singular_values(decode, torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
    expected = torch.linalg.svdvals(matrix.double()).numpy()
    np.testing.assert_allclose(values, [expected, 2 * expected], rtol=1e-5)
