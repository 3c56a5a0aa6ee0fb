"""Several processes train one network: the same as one that takes the parts of a batch in turn."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import csv
from safetensors import safe_open
from torch import Tensor, nn
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import InvalidInput, TrainingError
from lampblack.fitting.fit import Seeds, split_rows
from lampblack.losses import amplify_rescaled, latent_norm, reconstruction_error
from lampblack.losses.reconstruction import elementwise_error
from lampblack.model.recipe import initial_networks
from lampblack.training import processes
from lampblack.training.callbacks import Callback
from lampblack.training.checkpoint import FILE
from lampblack.training.processes import find_world, joined
from lampblack.training.ranks import Ranks
from lampblack.training.schedule import Budget
from tests.conftest import FAST
from tests.training import light_helper

TOLL = {"amplification": "quantile", "early_stopping": True, "max_steps": 40}
FIT = ["-d", "toll", "--amplification", "quantile", "--early-stopping", "--steps", "40", "-q"]


def networks() -> tuple[nn.Module, nn.Module]:
    """An encoder and a decoder without biases before batch norm.

    Their gradient is 0 but for rounding, which Adam makes steps of; so they wander, and two ways to
    compute the same would not stay within 1e-5 of each other.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder, decoder = (
            nn.Sequential(
                nn.Linear(before, 32, bias=False),
                nn.BatchNorm1d(32),
                nn.ReLU(),
                nn.Linear(32, after),
            )
            for before, after in ((5, 8), (8, 5))
        )
    return encoder, decoder


class Steps(Callback):
    """Notes what it is told, and does something at one step."""

    def __init__(self, step: int = 0, action: Any = None) -> None:
        self.step, self.action = step, action
        self.starts: list[int] = []

    def on_fit_start(self, budget: Budget, first_step: int) -> None:
        self.starts.append(first_step)

    def on_step_end(self, step: int) -> None:
        if step == self.step:
            self.action()


def meeting_places() -> dict[str, str]:
    """What processes that meet are told through the environment, which others must not inherit."""
    prefixes = ("GLOO", "LOCAL_", "MASTER_", "NODE_RANK", "OMP_", "RANK", "WORLD_SIZE")
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}


@pytest.fixture(scope="module")
def table(normal: np.ndarray) -> pa.Table:
    return pa.table(dict(zip("abcde", normal.T, strict=True)))


@pytest.fixture(scope="module")
def in_two(table: pa.Table) -> ReconstructionDetector:
    before = torch.random.get_rng_state(), torch.get_num_threads(), meeting_places()
    detector = lampblack.TollDetector(networks=networks(), **TOLL).fit(table, devices=2)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (torch.get_num_threads(), meeting_places()) == before[1:]
    assert not torch.distributed.is_initialized()
    return detector


def ingredients(
    detector: ReconstructionDetector, X: pa.Table
) -> tuple[Tensor, Tensor, nn.Module, Seeds, Budget]:
    """Training and validation rows as `fit` encodes them, the first networks, seeds and budget."""
    seeds = Seeds.draw(0)
    split = split_rows(len(X), detector, seeds.split)
    rows = detector.schema_.read_table(X)
    train, validation = (
        torch.from_numpy(detector.encoder_.transform(rows.take(index)))
        for index in (split.train, split.validation)
    )
    fitted = detector.parameters_
    budget = Budget(fitted["max_steps"], fitted["batch_size"], fitted["learning_rate"])
    return (
        train,
        validation,
        initial_networks(detector._method, detector.parameters_, detector.encoder_, seeds.weights),
        seeds,
        budget,
    )


def halves(n: int, steps: int, seed: int) -> list[tuple[Tensor, ...]]:
    """Positions of the halves of every batch of 128, in epochs of two, each shuffled anew."""
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(n, generator=generator) for _ in range(steps // 2)]
    return [batch.chunk(2) for order in orders for batch in order.split(128)[:2]]


def test_two_processes_train_as_one_that_normalises_the_same_half_batches(
    in_two: ReconstructionDetector, table: pa.Table
) -> None:
    """The reference, by hand: the halves through two copies of the networks, in turn."""
    train, validation, pair, seeds, budget = ingredients(in_two, table)
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
    history = in_two.history_
    assert in_two.parameters_["latent_weight"] == 0.1
    epochs = np.reshape(losses, (-1, 2)).mean(axis=1)
    np.testing.assert_allclose([record["loss"] for record in history], epochs, rtol=1e-5)
    np.testing.assert_allclose([r["validation_loss"] for r in history], validated, rtol=1e-5)
    for name, value in in_two.networks_.state_dict().items():
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


def test_a_step_of_several_passes_and_optimisers_is_averaged_too(table: pa.Table) -> None:
    """AMA's, in two processes and in two threads of one that take turns at averaging."""
    detector = lampblack.AMADetector(networks=networks(), critic_steps=2, max_steps=40)
    in_two = detector.fit(table, devices=2)
    train, _, pair, seeds, budget = ingredients(in_two, table)
    together, pairs = Together(), [pair, copy.deepcopy(pair)]
    order = halves(len(train), budget.steps, seeds.batches)

    def run(rank: int) -> None:
        fabric: Any = HalfFabric(together, rank)
        step = in_two._training_step(fabric, pairs[rank].train(), None, seeds.step)
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
    for name, value in in_two.networks_.state_dict().items():
        if name.removeprefix("log_") not in learned_later:
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-5)


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    started: list[subprocess.Popen[bytes]] = []

    class Recording(subprocess.Popen):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(processes.subprocess, "Popen", Recording)
    return started


def test_a_killed_process_ends_the_fit_which_resumes_to_the_same_bits(
    in_two: ReconstructionDetector,
    table: pa.Table,
    tmp_path: Path,
    helpers: list[subprocess.Popen[bytes]],
) -> None:
    detector = lampblack.TollDetector(networks=networks(), **TOLL)
    killed: list[float] = []

    def end() -> None:
        killed.append(time.monotonic())
        helpers[0].send_signal(signal.SIGKILL)

    with pytest.raises(TrainingError, match=r"^process 1 of 2 was ended by SIGKILL[^\n]*$"):
        detector.fit(table, devices=2, checkpoint_dir=tmp_path, callbacks=[Steps(25, end)])
    assert time.monotonic() - killed[0] < 60  # noticed, and not waited for: that takes ten minutes
    assert helpers[0].returncode == -signal.SIGKILL
    assert not torch.distributed.is_initialized()
    with pytest.raises(TrainingError, match="other data, parameters or versions"):
        detector.fit(table, checkpoint_dir=tmp_path)  # by one process, it is another training
    steps = Steps()
    detector.fit(table, devices=2, checkpoint_dir=tmp_path, callbacks=[steps])
    assert steps.starts == [24]
    assert detector.history_ == in_two.history_
    np.testing.assert_array_equal(detector.anomaly_score(table), in_two.anomaly_score(table))


def test_one_and_two_processes_differ(in_two: ReconstructionDetector, table: pa.Table) -> None:
    detector = lampblack.TollDetector(networks=networks(), **TOLL)
    alone = detector.fit(table, devices=1, num_nodes=1)
    assert [r["step"] for r in alone.history_] == [r["step"] for r in in_two.history_]
    assert alone.history_[-1]["loss"] != in_two.history_[-1]["loss"]
    assert alone.rows_ == in_two.rows_


def test_a_silent_process_ends_the_others_with_one_line(
    helpers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also: tensors that are sent as files are those of the sender."""
    monkeypatch.setattr(processes, "PATIENCE", timedelta(seconds=2))
    monkeypatch.setattr(processes, "FAREWELL", 0.1)
    large = torch.arange(1 << 19, dtype=torch.float32)
    total = large.clone()

    def add_up() -> None:
        with joined(find_world(2, 1), light_helper.add, 100, large, backend="gloo"):
            torch.distributed.all_reduce(total)
            helpers[0].send_signal(signal.SIGSTOP)
            for _ in range(100):
                torch.distributed.all_reduce(large.clone())

    with pytest.raises(TrainingError, match=r"^another process of this training was lost or is si"):
        add_up()
    assert torch.equal(total, 2 * large)
    assert helpers[0].returncode == -signal.SIGKILL
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("error", "kind", "line"),
    [
        (InvalidInput("a.png: is cut short"), InvalidInput, "^a.png: is cut short$"),
        (
            ValueError("of its own"),
            TrainingError,
            "^process 1 of 2 failed: ValueError: of its own$",
        ),
    ],
    ids=["ours", "another"],
)
def test_an_error_of_a_helper_is_told(
    error: Exception, kind: type[Exception], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "FAREWELL", 20.0)
    with pytest.raises(kind, match=line):
        with joined(find_world(2, 1), light_helper.complain, error, backend="gloo"):
            pass


def test_a_helper_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "INTERPRETER", "raise SystemExit('no such luck')")
    with pytest.raises(TrainingError, match="process 1 of 2 ended with code 1: no such luck"):
        with joined(find_world(2, 1), light_helper.add, backend="gloo"):
            pass


def test_networks_of_the_running_script_are_refused(normal: np.ndarray) -> None:
    own = type("Own", (nn.Linear,), {"__module__": "__main__"})
    with pytest.raises(InvalidInput, match=r"^Own is defined in the script that runs"):
        lampblack.TollDetector(networks=(own(5, 3), own(3, 5)), **FAST).fit(normal, devices=2)


@pytest.mark.parametrize("name", ["devices", "num_nodes"])
@pytest.mark.parametrize("count", [0, 2.5])
def test_counts_that_are_none_are_refused(normal: np.ndarray, name: str, count: float) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be a whole number from 1"):
        lampblack.TollDetector(**FAST).fit(normal, **{name: count})


def test_machines_must_know_where_to_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with pytest.raises(InvalidInput, match="MASTER_PORT, NODE_RANK is not set"):
        find_world(2, 2)
    monkeypatch.setenv("MASTER_PORT", "29400")
    monkeypatch.setenv("NODE_RANK", "1")
    world = find_world(2, 2)
    assert world is not None
    assert (world.size, world.rank, world.started) == (4, 2, False)
    for rank, problem in (("2", "NODE_RANK is 2; give it from 0 to 1"), ("one", "is 'one'; give")):
        monkeypatch.setenv("NODE_RANK", rank)
        with pytest.raises(InvalidInput, match=problem):
            find_world(2, 2)
    monkeypatch.setenv("NODE_RANK", "0")
    monkeypatch.setenv("MASTER_PORT", "0")
    with pytest.raises(InvalidInput, match="MASTER_PORT is 0; give it from 1 to 65535"):
        find_world(2, 2)
    monkeypatch.setenv("MASTER_PORT", "29400")
    monkeypatch.setenv("MASTER_ADDR", "nowhere.invalid")
    with pytest.raises(InvalidInput, match=r"MASTER_ADDR is 'nowhere\.invalid': "):
        find_world(2, 2)


def test_torchrun_is_noticed_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_world(None, None) is None
    assert find_world(1, 1) is None
    environment = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**environment, "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    world = find_world(None, None)
    assert world is not None
    assert (world.size, world.rank, world.local_rank, world.started) == (4, 3, 1, True)
    assert find_world(1, 1) is None  # a fit of this process alone, though others are there
    assert find_world(2, None) is not None
    with pytest.raises(InvalidInput, match="torchrun has started 2 processes here and 4 in all"):
        find_world(3, 2)


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
def two_devices(
    table: pa.Table, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], dict[str, Tensor]]:
    """The lines of a fit by the command in two processes, and the weights."""
    folder = tmp_path_factory.mktemp("two")
    csv.write_csv(table, folder / "n.csv")
    command = ["fit", str(folder / "n.csv"), *FIT, "-o", str(folder / "here.model")]
    result = CliRunner().invoke(app, [*command, "--devices", "2", "--num-nodes", "1"])
    assert result.exit_code == 0, result.output
    weights = lampblack.load(folder / "here.model").networks_.state_dict()
    return result.stdout.splitlines(), weights


def equal_weights(model: Path, weights: dict[str, Tensor]) -> bool:
    loaded = lampblack.load(model).networks_.state_dict()
    return all(torch.equal(value, weights[name]) for name, value in loaded.items())


@pytest.mark.slow
def test_torchrun_fits_the_same_model_as_devices(
    table: pa.Table, two_devices: tuple[list[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    """One of its processes alone prints and saves; the checkpoint holds what each has to itself."""
    csv.write_csv(table, tmp_path / "n.csv")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "lampblack", "fit", "n.csv", *FIT]
    process = subprocess.run(
        [*command, "-o", "run.model", "--checkpoint", "kept"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TollDetector:", "threshold", "saved"]
    with safe_open(tmp_path / "kept" / FILE, framework="np") as file:
        assert {"extra.amplification_scale", "process.1.amplification_scale"} <= {*file.keys()}
    assert two_devices[0][:2] == lines[:2]
    assert equal_weights(tmp_path / "run.model", two_devices[1])


@pytest.mark.slow
def test_a_port_that_is_in_use_is_named(normal: np.ndarray, monkeypatch: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for name, value in {"ADDR": "127.0.0.1", "PORT": port}.items():
            monkeypatch.setenv(f"MASTER_{name}", value)
        monkeypatch.setenv("NODE_RANK", "0")
        with pytest.raises(TrainingError, match=f"^port {port} is in use on this machine; set an"):
            lampblack.TollDetector(**FAST).fit(normal, num_nodes=2)


@pytest.mark.slow
def test_two_machines_fit_the_same_model_as_two_processes(
    table: pa.Table, two_devices: tuple[list[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    """Two commands, numbered as machines are, that meet at an address and share no folder."""
    csv.write_csv(table, tmp_path / "n.csv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    fit = [sys.executable, "-m", "lampblack", "fit", "n.csv", *FIT, "--num-nodes", "2"]
    machines = [
        subprocess.Popen(
            [*fit, "-o", "run.model"],
            cwd=tmp_path,
            env={**os.environ, **where, "NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (1, 0)
    ]
    said = [machine.communicate(timeout=240) for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], said
    assert said[0][0] == ""  # the second machine saves and prints nothing
    assert said[1][0].splitlines()[-1] == "saved run.model"
    assert equal_weights(tmp_path / "run.model", two_devices[1])


@pytest.mark.slow
def test_the_death_of_the_first_process_ends_the_others(table: pa.Table, tmp_path: Path) -> None:
    csv.write_csv(table, tmp_path / "n.csv")
    command = [sys.executable, "-m", "lampblack", "fit", "n.csv", *FIT, "-o", "run.model"]
    command += ["--devices", "2", "--steps", "100000", "--checkpoint", "kept"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "kept" / FILE).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    helpers = children(process.pid)
    assert len(helpers) == 1
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in helpers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
