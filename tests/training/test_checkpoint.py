"""A killed fit goes on from its last epoch and ends at the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import lampblack
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput, TrainingError
from lampblack.training.callbacks import Callback
from lampblack.training.checkpoint import FILE
from tests.conftest import FAST
from tests.killed import Starts, kill_a_fit


@pytest.mark.parametrize(
    ("name", "own"),
    [("TollDetector", {}), ("AMADetector", {"spectral_norm": True, "score_by": "joint"})],
)
def test_killed_fit_resumes_and_ends_at_the_same_bits(
    name: str, own: dict[str, object], normal: np.ndarray, tmp_path: Path
) -> None:
    """In another process: the fit that is killed is one of its own, what resumes it is this one."""
    parameters = {"max_steps": 150, "hidden": (32, 16), "random_state": 0, **own}
    parameters |= {"amplification": "quantile", "early_stopping": True, "patience": 1000}
    np.save(tmp_path / "X.npy", normal)
    done = kill_a_fit(name, parameters, tmp_path / "X.npy", tmp_path / "cut", 30)
    assert 30 <= done < 150

    detector = getattr(lampblack, name)(**parameters)
    whole = detector.fit(normal).anomaly_score(normal)
    starts = Starts()
    resumed = detector.fit(normal, checkpoint_dir=tmp_path / "cut", callbacks=[starts])
    assert starts.first_steps == [done]
    np.testing.assert_array_equal(resumed.anomaly_score(normal), whole)


class StopAt(Callback):
    """Raise at a step, as a fault would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, step: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def test_resumed_fit_loses_at_most_one_epoch_and_keeps_its_history(
    detector_class: type, normal: np.ndarray, tmp_path: Path
) -> None:
    whole = detector_class(**FAST).fit(normal)
    starts = Starts()
    with pytest.raises(KeyboardInterrupt):
        detector_class(**FAST).fit(normal, checkpoint_dir=tmp_path, callbacks=[StopAt(25)])
    resumed = detector_class(**FAST).fit(normal, checkpoint_dir=tmp_path, callbacks=[starts])
    assert starts.first_steps == [24]  # epochs of two steps: step 25 was lost
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.anomaly_score(normal), whole.anomaly_score(normal))


@pytest.mark.parametrize(
    "detector",
    [
        lampblack.TollDetector(**FAST),
        lampblack.AMADetector(spectral_norm=True, score_by="critic", **FAST),
    ],
    ids=["toll", "ama"],
)
def test_finished_fit_is_not_trained_again(
    detector: ReconstructionDetector, normal: np.ndarray, tmp_path: Path
) -> None:
    first = clone(detector).fit(normal, checkpoint_dir=tmp_path)
    again = clone(detector).fit(normal, checkpoint_dir=tmp_path, callbacks=[StopAt(1)])
    np.testing.assert_array_equal(again.anomaly_score(normal), first.anomaly_score(normal))


@pytest.mark.parametrize("change", ["data", "parameters"])
def test_checkpoint_of_another_fit_is_refused(
    normal: np.ndarray, tmp_path: Path, change: str
) -> None:
    lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path)
    X = normal + 1e-3 * normal**2 if change == "data" else normal
    weight = 2.0 if change == "parameters" else 0.1
    with pytest.raises(TrainingError, match="other data, parameters or versions"):
        lampblack.TollDetector(latent_weight=weight, **FAST).fit(X, checkpoint_dir=tmp_path)


def test_fit_without_a_seed_cannot_be_resumed(normal: np.ndarray, tmp_path: Path) -> None:
    detector = lampblack.TollDetector(**{**FAST, "random_state": None})
    with pytest.raises(InvalidInput, match="give random_state an integer"):
        detector.fit(normal, checkpoint_dir=tmp_path)


def test_damaged_checkpoint_is_named(normal: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors is damaged"):
        lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path)


def test_stop_of_a_callback_is_not_remembered(normal: np.ndarray, tmp_path: Path) -> None:
    class StopEarly(Callback):
        def on_epoch_end(self, record: dict[str, float]) -> bool:
            return record["epoch"] == 3

    whole = lampblack.TollDetector(**FAST).fit(normal)
    cut = lampblack.TollDetector(**FAST).fit(
        normal, checkpoint_dir=tmp_path, callbacks=[StopEarly()]
    )
    assert len(cut.history_) == 3
    resumed = lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path)
    np.testing.assert_array_equal(resumed.anomaly_score(normal), whole.anomaly_score(normal))


def test_resumed_dropout_ends_at_the_same_bits(normal: np.ndarray, tmp_path: Path) -> None:
    from tests.detectors.test_determinism import networks_with_dropout

    pair = networks_with_dropout()
    whole = lampblack.TollDetector(networks=pair, **FAST).fit(normal)
    with pytest.raises(KeyboardInterrupt):
        lampblack.TollDetector(networks=pair, **FAST).fit(
            normal, checkpoint_dir=tmp_path, callbacks=[StopAt(25)]
        )
    resumed = lampblack.TollDetector(networks=pair, **FAST).fit(normal, checkpoint_dir=tmp_path)
    np.testing.assert_array_equal(resumed.anomaly_score(normal), whole.anomaly_score(normal))
    other = networks_with_dropout()
    with pytest.raises(TrainingError, match="other data, parameters or versions"):
        lampblack.TollDetector(networks=other, **FAST).fit(normal, checkpoint_dir=tmp_path)


def test_parameters_from_numpy_can_be_resumed(normal: np.ndarray, tmp_path: Path) -> None:
    parameters = {**FAST, "max_steps": np.int64(30), "random_state": np.int64(3)}
    first = lampblack.TollDetector(**parameters).fit(normal, checkpoint_dir=tmp_path)
    first.save(tmp_path / "m.model")
    assert lampblack.load(tmp_path / "m.model").get_params()["max_steps"] == 30


def test_a_checkpoint_with_one_flipped_bit_is_refused(normal: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path, callbacks=[StopAt(25)])
    whole = (tmp_path / FILE).read_bytes()
    rng = np.random.default_rng(0)
    for place in [*rng.integers(len(whole), size=15), len(whole) - 1]:
        content = bytearray(whole)
        content[place] ^= 1 << rng.integers(7)
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(TrainingError, match="is damaged"):
            lampblack.TollDetector(**FAST).fit(normal, checkpoint_dir=tmp_path)
