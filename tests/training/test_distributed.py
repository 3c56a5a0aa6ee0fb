"""torchrun's processes train one network: the same as one that takes the parts in turn."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv
from pyarrow import parquet as pq
from safetensors import safe_open
from torch import Tensor, nn

import lampblack
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput, TrainingError
from lampblack.fitting.seeds import Seeds
from lampblack.fitting.split import split_samples
from lampblack.losses import amplify_rescaled, latent_norm, reconstruction_error
from lampblack.losses.reconstruction import elementwise_error
from lampblack.model.folder import build
from lampblack.training.checkpoint import FILE
from lampblack.training.progress import bar_console
from lampblack.training.ranks import Ranks, answered
from lampblack.training.runner import TORCHRUN, has_started_several
from lampblack.training.schedule import Budget
from tests.conftest import FAST
from tests.training import in_two
from tests.training.in_two import AMA, TOLL, networks

ROOT = Path(__file__).parents[2]
FIT = ["fit", "n.csv", "-d", "toll", "--amplification", "quantile", "--early-stopping"]
FIT += ["--steps", "40", "-q"]

Found = dict[str, dict[str, np.ndarray]]


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes, in a folder; whatever becomes of them, they end within two minutes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*command, "--nproc-per-node", "2", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def table(normal: np.ndarray) -> pa.Table:
    return pa.table(dict(zip("abcde", normal.T, strict=True)))


@pytest.fixture(scope="module")
def found(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What the processes of `in_two.fits` have left, by name and rank."""
    folder = tmp_path_factory.mktemp("found")
    pq.write_table(table, folder / "n.parquet", row_group_size=100)
    process = torchrun(folder, str(ROOT / "tests" / "training" / "in_two.py"), "fits", str(folder))
    assert process.returncode == 0, process.stderr
    assert "distributed_backend" not in process.stderr  # Fabric's announcements
    return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}


@pytest.fixture(scope="module")
def alone(table: pa.Table) -> ReconstructionDetector:
    return lampblack.TollDetector(networks=networks(), **TOLL).fit(table)


def history(found: dict[str, np.ndarray]) -> list[dict[str, float]]:
    return list(json.loads(str(found["history"])))


def weights(found: dict[str, np.ndarray]) -> dict[str, Tensor]:
    return {
        name.removeprefix("network."): torch.from_numpy(value)
        for name, value in found.items()
        if name.startswith("network.")
    }


def ingredients(
    detector: ReconstructionDetector, X: pa.Table
) -> tuple[Tensor, Tensor, nn.Module, Seeds, Budget]:
    """Training and validation rows as `fit` encodes them, the first networks, seeds and budget."""
    seeds = Seeds.draw(0)
    fitted, score = detector.parameters_, detector.model_.score
    split = split_samples(len(X), fitted, score, seeds.split, stored=False)
    rows = detector.schema_.read_table(X)
    train, validation = (
        torch.from_numpy(detector.encoder_.values(rows.take(index)))
        for index in (split.train, split.validation)
    )
    budget = Budget(fitted.max_steps, fitted.batch_size, fitted.learning_rate)
    return (
        train,
        validation,
        build(detector.recipe, fitted, detector.encoder_, seeds.weights)[0],
        seeds,
        budget,
    )


def halves(n: int, steps: int, seed: int) -> list[tuple[Tensor, ...]]:
    """Positions of the halves of every batch of 128, in epochs of two, each shuffled anew."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(n, generator=generator) for _ in range(steps // 2)]
    return [batch.chunk(2) for order in orders for batch in order.split(128)[:2]]


def test_two_processes_train_as_one_that_normalises_the_same_half_batches(
    found: Found, alone: ReconstructionDetector, table: pa.Table
) -> None:
    """The reference, by hand: the halves through two copies of the networks, in turn."""
    train, validation, pair, seeds, budget = ingredients(alone, table)
    copies = [pair, copy.deepcopy(pair)]
    optimizer = torch.optim.Adam(pair.parameters(), lr=budget.learning_rate, fused=True)
    scale, losses, validated = torch.zeros(()), [], []
    best: dict[str, Tensor] = {}
    for step, parts in enumerate(halves(len(train), budget.steps, seeds.batches)):
        optimizer.param_groups[0]["lr"] = budget.learning_rate_at(step)
        pairs = [
            (train[part], each.train()(train[part]))
            for part, each in zip(parts, copies, strict=True)
        ]
        quantile = torch.zeros(())
        for x, (_, made) in pairs:
            errors = elementwise_error(x, made.detach(), "l2_norm").flatten()
            quantile += errors.kthvalue(round(0.99 * len(errors))).values / 2
        scale = 0.95 * scale + 0.05 * quantile if step else quantile
        amplified = partial(amplify_rescaled, scale=scale)
        losses.append(0.0)
        for each, (x, (z, made)) in zip(copies, pairs, strict=True):
            each.zero_grad()
            error = reconstruction_error(x, made, "l2_norm", amplified)
            loss = error.mean() + 0.1 * latent_norm(z).mean()
            loss.backward()
            losses[-1] += float(loss.detach()) / 2
        for first, second in zip(*(each.parameters() for each in copies), strict=True):
            first.grad = (first.grad + second.grad) / 2
        optimizer.step()
        with torch.no_grad():
            for first, second in zip(*(each.parameters() for each in copies), strict=True):
                second.copy_(first)
        if step % 2:  # the end of an epoch
            with torch.no_grad():
                for first, second in zip(*(each.buffers() for each in copies), strict=True):
                    if first.is_floating_point():
                        first.copy_((first + second) / 2)
                    second.copy_(first)
                z, made = pair.eval()(validation)
                error = reconstruction_error(validation, made, "l2_norm")
                validated.append(float((error + 0.1 * latent_norm(z)).mean()))
            if validated[-1] == min(validated):
                best = copy.deepcopy(pair.state_dict())
    records = history(found["toll.0"])
    assert alone.parameters_.latent_weight == 0.1
    epochs = np.reshape(losses, (-1, 2)).mean(axis=1)
    np.testing.assert_allclose([record["loss"] for record in records], epochs, rtol=1e-5)
    np.testing.assert_allclose([r["validation_loss"] for r in records], validated, rtol=1e-5)
    for name, value in weights(found["toll.0"]).items():
        torch.testing.assert_close(value, best[name], rtol=1e-5, atol=1e-5)


class Together:
    """Two threads that meet, and give each other's tensors their mean."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=60)
        self.slots: list[list[Tensor]] = [[], []]

    def average(self, rank: int, tensors: list[Tensor]) -> None:
        self.slots[rank] = tensors
        self.barrier.wait()
        means = [(a + b) / 2 for a, b in zip(*self.slots, strict=True)]
        self.barrier.wait()
        for tensor, mean in zip(tensors, means, strict=True):
            tensor.copy_(mean)
        self.barrier.wait()


class HalfFabric:
    """What a step asks of Fabric, in one of two threads of one process."""

    device = torch.device("cpu")
    world_size = 1

    def __init__(self, together: Together, rank: int) -> None:
        self.together, self.global_rank = together, rank

    def setup(self, networks: nn.Module, *optimizers: torch.optim.Optimizer) -> Any:
        return (networks, *(self._averaging(optimizer) for optimizer in optimizers))

    def _averaging(self, optimizer: torch.optim.Optimizer) -> Any:
        step = optimizer.step

        def averaged() -> None:
            weights = [w for group in optimizer.param_groups for w in group["params"]]
            self.together.average(self.global_rank, [w.grad for w in weights])
            step()

        optimizer.step = averaged
        return optimizer

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def test_a_step_of_several_passes_and_optimisers_is_averaged_too(
    found: Found, table: pa.Table
) -> None:
    """AMA's, in two processes and in two threads of one that take turns at averaging."""
    detector = lampblack.AMADetector(networks=networks(), **AMA).fit(table)
    train, _, pair, seeds, budget = ingredients(detector, table)
    together, pairs = Together(), [pair, copy.deepcopy(pair)]
    order = halves(len(train), budget.steps, seeds.batches)

    def run(rank: int) -> None:
        fabric: Any = HalfFabric(together, rank)
        step = detector.recipe.step(
            detector.parameters_, fabric, pairs[rank].train(), None, seeds.step
        )
        for number, parts in enumerate(order):
            step.set_learning_rate(budget.learning_rate_at(number))
            step.update(train[parts[rank]])
            if number % 2:  # the end of an epoch
                floats = [b for b in pairs[rank].buffers() if b.is_floating_point()]
                together.average(rank, floats)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = pair.state_dict()
    learned_later = {"centre", "whitening", "quantiles", "usual", "units"}
    for name, value in weights(found["ama.0"]).items():
        if name.removeprefix("log_") not in learned_later:
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["toll", "ama", "streamed"])
def test_all_processes_hold_the_same_model(found: Found, name: str) -> None:
    first, second = found[f"{name}.0"], found[f"{name}.1"]
    assert first.keys() == second.keys()
    for part, value in first.items():
        np.testing.assert_array_equal(value, second[part])


def test_a_fit_under_torchrun_that_is_not_told_is_alone(
    found: Found, alone: ReconstructionDetector, table: pa.Table
) -> None:
    """And it is the same as without torchrun, and differs from one in two processes."""
    assert history(found["alone"]) == alone.history_
    np.testing.assert_array_equal(found["alone"]["scores"], alone.anomaly_score(table))
    joined = history(found["toll.0"])
    assert [record["step"] for record in joined] == [record["step"] for record in alone.history_]
    assert joined[-1]["loss"] != alone.history_[-1]["loss"]
    both = np.corrcoef(found["toll.0"]["scores"], alone.anomaly_score(table))
    assert both[0, 1] > 0.9  # of the same rows, by half-batches and by whole ones


def test_two_processes_read_the_file_as_it_lies(found: Found) -> None:
    for part, value in found["streamed.0"].items():
        np.testing.assert_array_equal(value, found["whole.0"][part])


def test_a_joined_fit_without_torchrun_says_how_to_start(normal: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match=r"^distributed=True [^\n]*torchrun --nproc-per-node 2 "):
        lampblack.TollDetector(**FAST).fit(normal, distributed=True)


def test_a_joined_fit_needs_a_seed(normal: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="need a seed; give random_state an integer"):
        lampblack.TollDetector(**{**FAST, "random_state": None}).fit(normal, distributed=True)


def start(monkeypatch: pytest.MonkeyPatch, world_size: str) -> None:
    """Set what torchrun sets."""
    for name in TORCHRUN:
        monkeypatch.setenv(name, "0" if "RANK" in name else world_size)


def test_one_process_of_torchrun_is_alone(
    normal: np.ndarray, fitted: lampblack.TollDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(monkeypatch, "1")
    assert not has_started_several()
    detector = lampblack.TollDetector(**FAST).fit(normal, distributed=True)
    assert detector.history_ == fitted.history_
    start(monkeypatch, "2")
    assert has_started_several()
    monkeypatch.delenv("LOCAL_RANK")
    assert not has_started_several()


@pytest.mark.parametrize(
    ("what", "parameters", "distributed"),
    [
        ("training in several processes", {}, True),
        ("precision 'bf16-mixed'", {"precision": "bf16-mixed"}, False),
    ],
)
def test_a_missing_extra_is_named(
    normal: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    parameters: dict[str, str],
    distributed: bool,
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    start(monkeypatch, "2")
    line = f"^{what} needs lightning-fabric: pip install 'lampblack\\[distributed\\]'$"
    with pytest.raises(InvalidInput, match=line):
        lampblack.TollDetector(**FAST, **parameters).fit(normal, distributed=distributed)


def test_one_process_of_a_machine_draws_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    assert bar_console() is not None
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert bar_console() is None


def test_a_message_that_is_not_answered_is_one_line() -> None:
    line = r"^another process of this training was lost or is silent \(reset by peer\); the same"
    with pytest.raises(TrainingError, match=line):
        with answered():
            raise RuntimeError("reset by\npeer")


def test_a_batch_is_divided_evenly_or_refused() -> None:
    ranks = [Ranks(3, rank) for rank in range(3)]
    assert ranks[0].divided(128) == 126
    parts = torch.cat([r.share(torch.arange(126)) for r in ranks])
    assert parts.tolist() == list(range(126))
    with pytest.raises(InvalidInput, match="a batch of 5 cannot be divided among 3"):
        ranks[0].divided(5)
    assert Ranks().divided(5) == 5


def test_processes_that_differ_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = Ranks(2, 0)
    monkeypatch.setattr(ranks, "gathered", lambda value: [value, "other"])
    with pytest.raises(TrainingError, match="process 1 has other data, parameters, versions"):
        ranks.agree("mine")
    monkeypatch.setattr(ranks, "gathered", lambda value: [value, value])
    ranks.agree("mine")


@pytest.fixture(scope="module")
def by_command(
    table: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], dict[str, Tensor]]:
    """The lines of a fit by the command in two processes, and the weights."""
    folder = tmp_path_factory.mktemp("command")
    csv.write_csv(table, folder / "n.csv")
    process = torchrun(folder, "-m", "lampblack", *FIT, "-o", "run.model")
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines(), lampblack.load(folder / "run.model").networks_.state_dict()


def equal_weights(model: Path, weights: dict[str, Tensor]) -> bool:
    loaded = lampblack.load(model).networks_.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in loaded.items())


@pytest.mark.slow
def test_the_first_process_of_the_command_alone_speaks(
    by_command: tuple[list[str], dict[str, Tensor]],
) -> None:
    assert [line.split()[0] for line in by_command[0]] == ["TollDetector:", "threshold", "saved"]


@pytest.mark.slow
def test_a_killed_process_ends_the_command_which_resumes_to_the_same_bits(
    table: pa.Table, by_command: tuple[list[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    csv.write_csv(table, tmp_path / "n.csv")
    command = [*FIT, "-o", "run.model", "--checkpoint", "kept"]
    process = torchrun(tmp_path, str(ROOT / "tests" / "training" / "in_two.py"), "killed", *command)
    assert process.returncode != 0
    assert "SIGKILL" in process.stderr  # torchrun's account of it
    assert "please report" not in process.stderr  # as of a fault of lampblack
    assert process.stdout == ""
    assert not (tmp_path / "run.model").exists()
    with safe_open(tmp_path / "kept" / FILE, framework="np") as file:
        assert json.loads(file.metadata()["progress"])["done"] == in_two.KILLED_AT - 1
        assert {"extra.amplification_scale", "process.1.amplification_scale"} <= {*file.keys()}
    detector = lampblack.TollDetector(**{**TOLL, "verbose": False})
    with pytest.raises(TrainingError, match="other data, parameters or versions"):
        detector.fit(table, checkpoint_dir=tmp_path / "kept")  # by one process
    process = torchrun(tmp_path, "-m", "lampblack", *command)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == by_command[0]
    assert equal_weights(tmp_path / "run.model", by_command[1])


@pytest.mark.slow
def test_two_machines_fit_the_same_model_as_two_processes(
    table: pa.Table, by_command: tuple[list[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    """Two commands, numbered as machines are, that meet at an address."""
    csv.write_csv(table, tmp_path / "n.csv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank"]
    meeting = ["--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    machines = [
        subprocess.Popen(
            [*command, str(rank), *meeting, "-m", "lampblack", *FIT, "-o", "run.model"],
            cwd=tmp_path,
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (1, 0)
    ]
    said = [machine.communicate(timeout=120) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert said[0][0] == ""  # the second machine saves and prints nothing
    assert said[1][0].splitlines()[-1] == "saved run.model"
    assert equal_weights(tmp_path / "run.model", by_command[1])
