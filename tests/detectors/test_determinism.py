"""The same seed, the same bits; no global state touched."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

import lampblack
from lampblack.detectors.registry import DETECTORS
from lampblack.model import blocks
from tests.conftest import FAST

REFIT = """
import sys, numpy as np, torch
import lampblack
from lampblack.detectors.registry import DETECTORS
torch.set_num_threads(int(sys.argv[2]))
X = np.load(sys.argv[1])
for name in sys.argv[3:]:
    detector = DETECTORS[name](max_steps=40, hidden=(32, 16), random_state=0).fit(X)
    np.save(f"{sys.argv[1]}.{name}.npy", detector.anomaly_score(X))
"""


def global_states() -> tuple[object, ...]:
    _, keys, *rest = np.random.get_state()
    return (random.getstate(), keys.tobytes(), rest, torch.get_rng_state().numpy().tobytes())


def test_fitting_twice_gives_the_same_bits(detector_class: type, normal: np.ndarray) -> None:
    detector = detector_class(**FAST).fit(normal)
    first = detector.anomaly_score(normal)
    np.testing.assert_array_equal(detector.fit(normal).anomaly_score(normal), first)
    np.testing.assert_array_equal(clone(detector).fit(normal).anomaly_score(normal), first)


def test_a_new_process_gives_the_same_bits(normal: np.ndarray, tmp_path: Path) -> None:
    """Which fits the detectors in another order."""
    np.save(tmp_path / "X.npy", normal)
    names = list(DETECTORS)[::-1]
    threads = str(torch.get_num_threads())
    subprocess.run(
        [sys.executable, "-c", REFIT, str(tmp_path / "X.npy"), threads, *names], check=True
    )
    for name, detector in DETECTORS.items():
        here = detector(**FAST).fit(normal).anomaly_score(normal)
        np.testing.assert_array_equal(np.load(tmp_path / f"X.npy.{name}.npy"), here, err_msg=name)


@pytest.mark.parametrize("width", [30, 274, 784])
def test_scores_of_a_table_do_not_depend_on_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """Nor on which thread scores which block, nor on whether there is one; all threads stay."""
    X = np.random.default_rng(0).normal(size=(4200, width)).astype(np.float32)
    detector = lampblack.LampblackDetector(max_steps=5, memory_size=1000).fit(X)
    threads, workers, others = torch.get_num_threads(), set(), set()
    score = blocks.Blocks._score

    def seen(*given: object) -> blocks.Block:
        workers.add((threading.current_thread().name.split("_")[0], torch.get_num_threads()))
        with ThreadPoolExecutor(1) as pool:  # a thread that has come meanwhile
            others.add(pool.submit(torch.get_num_threads).result())
        return score(*given)

    monkeypatch.setattr(blocks.Blocks, "_score", seen)
    try:
        torch.set_num_threads(1)
        alone = detector.anomaly_score(X)
        assert workers == {("MainThread", 1)}
        workers.clear()
        others.clear()
        torch.set_num_threads(3)
        shared = detector.anomaly_score(X)
        assert workers == {("beside", 1)}
        assert others == {3}
        assert torch.get_num_threads() == 3
        few = detector.anomaly_score(X[300:400])  # elsewhere in a block
        assert workers == {("beside", 1), ("MainThread", 3)}
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(shared, alone)
    np.testing.assert_array_equal(few, alone[300:400])


class Skipping(torch.nn.Module):
    """A layer of a user's own that hands something on beside its result."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(30, 400), torch.zeros(0)
        self.wide = torch.nn.Sequential(torch.nn.Linear(400, 400), torch.nn.Linear(400, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return self.wide(self.layer(x))


class Remembering(torch.nn.Module):
    def __init__(self, encoder: Skipping) -> None:
        super().__init__()
        self.layer, self.others = torch.nn.Linear(3, 30), [encoder]

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layer(z) + 0.5 * self.others[0].seen


def test_networks_of_ones_own_are_called_by_one_thread() -> None:
    encoder = Skipping()
    X = np.random.default_rng(0).normal(size=(9000, 30))
    detector = lampblack.AutoencoderDetector(
        networks=(encoder, Remembering(encoder)), max_steps=2, random_state=0
    ).fit(X)
    called, threads = set(), torch.get_num_threads()
    detector.networks_.register_forward_hook(lambda *_: called.add(threading.current_thread().name))
    try:
        torch.set_num_threads(3)
        detector.anomaly_score(X)
    finally:
        torch.set_num_threads(threads)
    assert called == {"MainThread"}


def test_another_seed_gives_another_model(normal: np.ndarray) -> None:
    one = lampblack.TollDetector(**FAST).fit(normal).anomaly_score(normal)
    other = lampblack.TollDetector(**{**FAST, "random_state": 1}).fit(normal)
    assert not np.array_equal(other.anomaly_score(normal), one)


def test_no_seed_draws_a_new_one(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**{**FAST, "random_state": None})
    first = detector.fit(normal).anomaly_score(normal)
    assert not np.array_equal(detector.fit(normal).anomaly_score(normal), first)


def test_global_random_states_are_untouched(detector_class: type, frame: pd.DataFrame) -> None:
    before = global_states()
    detector = detector_class(early_stopping=True, **FAST).fit(frame)
    detector.predict(frame)
    detector.explain(frame)
    assert global_states() == before


def test_number_of_threads_is_put_back(normal: np.ndarray) -> None:
    before = torch.get_num_threads()
    lampblack.TollDetector(**FAST).fit(normal)
    assert torch.get_num_threads() == before


def check_batch_size_does_not_change_scores(detector: object, X: np.ndarray) -> None:
    """The score of a row, bit for bit, is the same alone and in any company."""
    together = detector.anomaly_score(X)
    for size in (1, 7, 300, 1024):
        parts = [detector.anomaly_score(X[i : i + size]) for i in range(0, len(X), size)[:12]]
        joined = np.concatenate(parts)
        np.testing.assert_array_equal(joined, together[: len(joined)])


def test_batch_size_does_not_change_scores(detector_class: type) -> None:
    X = np.random.default_rng(0).normal(size=(2100, 9))
    check_batch_size_does_not_change_scores(detector_class(**FAST).fit(X), X)


def test_order_of_rows_does_not_change_scores(fitted: object, normal: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(len(normal))
    np.testing.assert_array_equal(
        fitted.anomaly_score(normal[order]), fitted.anomaly_score(normal)[order]
    )


@pytest.mark.parametrize("amplification", [None, "quantile"])
def test_own_networks_are_copied_and_not_changed(
    normal: np.ndarray, amplification: str | None
) -> None:
    pair = (torch.nn.Linear(5, 2), torch.nn.Linear(2, 5))
    detector = lampblack.AutoencoderDetector(networks=pair, amplification=amplification, **FAST)
    before = pair[0].weight.detach().clone()
    first = detector.fit(normal).anomaly_score(normal)
    np.testing.assert_array_equal(detector.fit(normal).anomaly_score(normal), first)
    assert torch.equal(pair[0].weight, before)


def networks_with_dropout() -> tuple[torch.nn.Module, torch.nn.Module]:
    encoder = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(0.3))
    return encoder, torch.nn.Linear(8, 5)


def test_own_networks_with_dropout_draw_from_the_seed_alone(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(networks=networks_with_dropout(), **FAST)
    before = global_states()
    first = detector.fit(normal).anomaly_score(normal)
    assert global_states() == before
    torch.rand(7)  # another global state must not matter
    np.testing.assert_array_equal(detector.fit(normal).anomaly_score(normal), first)


def test_fits_in_two_threads_give_the_same_bits(normal: np.ndarray) -> None:
    from concurrent.futures import ThreadPoolExecutor

    alone = lampblack.TollDetector(**FAST).fit(normal).anomaly_score(normal)

    def fit(_: int) -> np.ndarray:
        return lampblack.TollDetector(**FAST).fit(normal).anomaly_score(normal)

    with ThreadPoolExecutor(2) as pool:
        for scores in pool.map(fit, range(4)):
            np.testing.assert_array_equal(scores, alone)


def test_two_threads_in_a_large_step_give_the_same_bits(normal: np.ndarray) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        large = {"hidden": (700, 700), "batch_size": 256, "max_steps": 4, "random_state": 0}
        detector = lampblack.TollDetector(**large).fit(normal)
        assert 6 * sum(p.numel() for p in detector.networks_.parameters()) * 256 > 5e8
        first = detector.anomaly_score(normal)
        np.testing.assert_array_equal(detector.fit(normal).anomaly_score(normal), first)
    finally:
        torch.set_num_threads(before)
