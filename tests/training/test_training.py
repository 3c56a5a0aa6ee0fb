"""The loop: budgets, schedules, history, callbacks, early stopping, and what goes wrong."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import lampblack
from lampblack.exceptions import CollapseWarning, TrainingError
from lampblack.fitting.collapse import CollapseWatch
from lampblack.networks import AutoencoderPair
from lampblack.scores import ReconstructionScore
from lampblack.training.callbacks import Callback
from lampblack.training.schedule import Budget
from tests.conftest import FAST


class Recorder(Callback):
    def __init__(self, stop_after: int | None = None) -> None:
        self.calls: list[str] = []
        self.steps: list[int] = []
        self.records: list[dict[str, float]] = []
        self.stop_after = stop_after

    def on_fit_start(self, budget: Budget, first_step: int) -> None:
        self.calls.append(f"start {budget.steps} {first_step}")

    def on_step_end(self, step: int) -> None:
        self.steps.append(step)

    def on_epoch_end(self, record: dict[str, float]) -> bool:
        self.records.append(record)
        return len(self.records) == self.stop_after

    def on_fit_end(self, history: list[dict[str, float]]) -> None:
        self.calls.append(f"end {len(history)}")


def test_history_has_every_term_of_every_epoch(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    assert [record["epoch"] for record in detector.history_] == list(range(1, 21))
    assert detector.history_[-1]["step"] == 40
    for record in detector.history_:
        assert record.keys() == {
            "epoch",
            "step",
            "loss",
            "reconstruction",
            "latent",
            "learning_rate",
        }
        assert record["loss"] == pytest.approx(record["reconstruction"] + record["latent"])
    assert detector.history_[-1]["loss"] < detector.history_[0]["loss"]


def test_budget_of_steps_is_kept_whatever_the_size(detector_class: type) -> None:
    for n in (40, 300, 5000):
        X = np.random.default_rng(0).normal(size=(n, 3))
        detector = detector_class(max_steps=130, hidden=(8,), false_alarm_rate=0.1).fit(X)
        assert detector.history_[-1]["step"] == 130
        assert 20 <= len(detector.history_) <= 130


def test_callbacks_are_called_in_order(normal: np.ndarray) -> None:
    recorder = Recorder()
    detector = lampblack.TollDetector(**FAST).fit(normal, callbacks=[recorder])
    assert recorder.calls == ["start 40 0", "end 20"]
    assert recorder.steps == list(range(1, 41))
    assert recorder.records == detector.history_


def test_callback_can_stop_training(normal: np.ndarray) -> None:
    recorder = Recorder(stop_after=3)
    detector = lampblack.TollDetector(**FAST).fit(normal, callbacks=[recorder])
    assert len(detector.history_) == 3


def test_early_stopping_ends_training_and_keeps_the_best_weights(normal: np.ndarray) -> None:
    detector = lampblack.AutoencoderDetector(
        max_steps=4000,
        schedule="constant",
        learning_rate=0.02,
        early_stopping=True,
        patience=2,
        hidden=(64,),
        random_state=0,
        false_alarm_rate=0.1,
    ).fit(normal[:150])
    losses = [record["validation_loss"] for record in detector.history_]
    assert detector.history_[-1]["step"] < 4000
    assert losses[-3] == min(losses)
    assert detector.rows_["validation"] > 0


def test_without_early_stopping_no_row_validates(normal: np.ndarray) -> None:
    detector = lampblack.AutoencoderDetector(**FAST).fit(normal)
    assert detector.rows_["validation"] == 0
    assert "validation_loss" not in detector.history_[-1]


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
def test_learning_rate_follows_its_schedule(normal: np.ndarray, schedule: str) -> None:
    detector = lampblack.AutoencoderDetector(schedule=schedule, **FAST).fit(normal)
    rates = [record["learning_rate"] for record in detector.history_]
    if schedule == "constant":
        assert set(rates) == {5e-3}
    else:
        assert max(rates) == pytest.approx(5e-3, rel=0.01)
        assert rates[-1] < 1e-4
        assert rates[0] < max(rates)


def test_exploding_loss_ends_in_an_error_that_names_the_step(normal: np.ndarray) -> None:
    pair = (torch.nn.Linear(5, 5), torch.nn.Linear(5, 5))
    detector = lampblack.AutoencoderDetector(
        networks=pair, learning_rate=1e30, schedule="constant", max_steps=50
    )
    with pytest.raises(TrainingError, match=r"not finite at step \d+ .* learning rate") as caught:
        detector.fit(normal)
    assert "\n" not in str(caught.value)


def networks_without_batch_norm(*, dead: bool = False) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A pair that a heavy latent weight drives to one point (METHODS: batch norm prevents it)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = torch.nn.Linear(5, 32)
        if dead:
            torch.nn.init.constant_(first.bias, -1e4)  # every rectifier is off for every row
        encoder = torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(32, 8))
        return encoder, torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Linear(32, 5))


def test_collapse_is_noticed_during_training_and_kept_with_the_model(
    normal: np.ndarray, tmp_path: Path
) -> None:
    detector = lampblack.TollDetector(
        networks=networks_without_batch_norm(dead=True), latent_weight=1e3, max_steps=600
    )
    noticed = "collapsed by step .*codes do not differ either"
    with pytest.warns(CollapseWarning, match=noticed) as caught:
        detector.fit(normal)
    assert len(caught) == 1
    step = int(str(caught[0].message).split("step ")[1].split(":")[0])
    assert 150 <= step < 600
    assert detector.notes_ == [str(caught[0].message)]
    detector.save(tmp_path / "collapsed.model")
    assert "collapsed by step" in (tmp_path / "collapsed.model" / "README.md").read_text()


def test_collapse_whose_norm_still_tells_rows_apart_is_noted_and_not_warned_of(
    normal: np.ndarray,
) -> None:
    detector = lampblack.TollDetector(
        networks=networks_without_batch_norm(), latent_weight=1e3, max_steps=600
    ).fit(normal)
    (note,) = detector.notes_
    assert "have collapsed by step" in note
    told = float(note.split("AUROC ")[1])
    swapped = np.roll(normal, 1, axis=0)
    swapped[:, :2] = normal[:, :2]
    scores = detector.anomaly_score(np.concatenate([normal, swapped]))
    truth = np.repeat([False, True], len(normal))
    assert told == pytest.approx(roc_auc_score(truth, scores), abs=0.05)
    assert told >= 0.6


class NormOfNoise(torch.nn.Module):
    """Codes whose norm differs from row to row and says nothing about the row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fraction = (x.sum(dim=1, keepdim=True) * 1e4).sin()
        return fraction.abs() + 0.01


class Constant(torch.nn.Module):
    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.new_zeros(len(z), 5)


def test_collapse_whose_norm_is_noise_is_warned_of(normal: np.ndarray) -> None:
    pair = AutoencoderPair(NormOfNoise(), Constant(), torch.ones(5))
    rows = torch.from_numpy(normal).float()
    score = ReconstructionScore("l2_norm", 1e3)
    watch = CollapseWatch(pair, rows, score, steps=300, which="held-out")
    for step in (100, 200):
        watch.look(step)
    assert watch.notes == []
    with pytest.warns(CollapseWarning, match="seems to be noise: it tells them from chimeras"):
        watch.look(300)


def test_healthy_training_gives_no_warning(detector_class: type, normal: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert detector_class(**FAST).fit(normal).notes_ == []


def test_zero_latent_weight_matches_plain_autoencoder(normal: np.ndarray) -> None:
    toll = lampblack.TollDetector(latent_weight=0.0, **FAST).fit(normal)
    plain = lampblack.AutoencoderDetector(reconstruction_error="l2_norm", **FAST).fit(normal)
    np.testing.assert_array_equal(toll.anomaly_score(normal), plain.anomaly_score(normal))


@pytest.mark.parametrize("amplification", ["log", "quantile"])
def test_amplification_changes_training_and_not_the_kind_of_score(
    normal: np.ndarray, amplification: str
) -> None:
    plain = lampblack.AutoencoderDetector(scaling="minmax", **FAST).fit(normal)
    amplified = lampblack.AutoencoderDetector(
        scaling="minmax", amplification=amplification, **FAST
    ).fit(normal)
    assert amplified.history_[0]["loss"] > plain.history_[0]["loss"]
    assert not np.array_equal(plain.anomaly_score(normal), amplified.anomaly_score(normal))
    explained = amplified.explain(normal)
    x = amplified.model_.encoded(normal).numpy()
    error = np.square(x - amplified.networks_(torch.from_numpy(x))[1].numpy()).mean(axis=1)
    np.testing.assert_allclose(explained.scores, error, rtol=1e-4)


def test_log_amplification_refuses_standardised_columns(normal: np.ndarray) -> None:
    with pytest.raises(lampblack.exceptions.InvalidInput, match='scaling must be "minmax"'):
        lampblack.LAMPDetector(amplification="log", scaling="standard").fit(normal)


def test_a_progress_bar_is_for_terminals_and_only_where_asked_for(
    normal: np.ndarray, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    lampblack.TollDetector(verbose=True, **FAST).fit(normal)  # into a file or a pipe
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    lampblack.TollDetector(**FAST).fit(normal)
    assert capfd.readouterr() == ("", "")
    lampblack.TollDetector(verbose=True, **FAST).fit(normal)
    shown = capfd.readouterr()
    assert "40/40" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precision_of_training_is_a_parameter(normal: np.ndarray, precision: str) -> None:
    detector = lampblack.TollDetector(precision=precision, **FAST).fit(normal)
    assert np.isfinite(detector.anomaly_score(normal)).all()
    assert next(detector.networks_.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("hidden", "latent_dim"), [((), 1), ((4,), 5), ((16, 8, 4), 2)])
def test_shape_of_the_networks_is_a_parameter(
    normal: np.ndarray, hidden: tuple[int, ...], latent_dim: int
) -> None:
    detector = lampblack.TollDetector(hidden=hidden, latent_dim=latent_dim, max_steps=20)
    assert detector.fit(normal).encode(normal).shape == (600, latent_dim)
