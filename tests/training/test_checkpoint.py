"""A killed fit goes on from its last epoch and ends at the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from sklearn.base import clone

import lampblack
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput, TrainingError
from lampblack.training.callbacks import Callback
from lampblack.training.checkpoint import FILE
from tests.conftest import FAST

FIT = """
import sys, time, numpy as np, torch
import lampblack
from lampblack.training.callbacks import Callback

class Slow(Callback):
    def on_step_end(self, step):
        time.sleep(0.02)

torch.set_num_threads(1)
X = np.load(sys.argv[1])
detector = getattr(lampblack, sys.argv[5])(
    max_steps=150, hidden=(32, 16), random_state=0, amplification="quantile",
    early_stopping=True, patience=1000,
    **({"spectral_norm": True, "score_by": "joint"} if sys.argv[5] == "AMADetector" else {}),
)
detector.fit(X, checkpoint_dir=sys.argv[2], callbacks=[Slow()] if sys.argv[3] == "slow" else [])
np.save(sys.argv[4], detector.anomaly_score(X))
"""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", FIT, *map(str, arguments)])


def steps_done(folder: Path) -> int:
    import json

    with safe_open(folder / FILE, framework="np") as file:
        return int(json.loads(file.metadata()["progress"])["done"])


@pytest.mark.parametrize("name", ["TollDetector", "AMADetector"])
def test_killed_fit_resumes_and_ends_at_the_same_bits(
    name: str, normal: np.ndarray, tmp_path: Path
) -> None:
    data = tmp_path / "X.npy"
    np.save(data, normal)
    assert start(data, tmp_path / "whole", "fast", tmp_path / "whole.npy", name).wait() == 0

    interrupted = start(data, tmp_path / "cut", "slow", tmp_path / "never.npy", name)
    deadline = time.monotonic() + 60
    while not (tmp_path / "cut" / FILE).exists() or steps_done(tmp_path / "cut") < 30:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    interrupted.send_signal(signal.SIGKILL)
    assert interrupted.wait() == -signal.SIGKILL
    assert not (tmp_path / "never.npy").exists()
    assert 30 <= steps_done(tmp_path / "cut") < 150

    assert start(data, tmp_path / "cut", "fast", tmp_path / "cut.npy", name).wait() == 0
    np.testing.assert_array_equal(np.load(tmp_path / "cut.npy"), np.load(tmp_path / "whole.npy"))


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
    starts = []

    class Start(Callback):
        def on_fit_start(self, budget: object, first_step: int) -> None:
            starts.append(first_step)

    with pytest.raises(KeyboardInterrupt):
        detector_class(**FAST).fit(normal, checkpoint_dir=tmp_path, callbacks=[StopAt(25)])
    resumed = detector_class(**FAST).fit(normal, checkpoint_dir=tmp_path, callbacks=[Start()])
    assert starts == [24]  # epochs of two steps: step 25 was lost
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
