"""The processes of one training: who starts them, how they meet, and what happens if one is lost.

Under torchrun each process runs the whole fit, and they meet where torchrun says. Otherwise the
process that fits starts the others of its machine itself, as new interpreters that run nothing of
the caller's script: they need no `if __name__ == "__main__"`, and a notebook or a REPL may call.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.distributed import (  # type: ignore[attr-defined]
    FileStore,
    PrefixStore,
    TCPStore,
)

from lampblack import exceptions
from lampblack.exceptions import InvalidInput, LampblackError, TrainingError

# How long one process waits for another that has not come yet, or is silent. The first also runs
# callbacks and writes checkpoints while the others wait. A process that ends is noticed at once.
PATIENCE = timedelta(minutes=10)
START = timedelta(minutes=10)  # how long the others may take to read what they are sent
FAREWELL = 3.0  # seconds in which a process that failed may say why
UNEXPECTED = 3  # exit code of a helper that has written down why
LOST = "lost"  # what a helper writes down that has itself lost another process

_numbers = itertools.count()

INTERPRETER = "from lampblack.training.processes import help_out; help_out()"


@dataclass(frozen=True)
class World:
    """Which process this is, of how many, on which of how many machines.

    started: whether somebody else (torchrun) started all processes. number: of the meeting, counted
    alike by all. folder: one that all processes share, for they are on one machine; None where
    they meet at MASTER_ADDR and MASTER_PORT. sign: where a helper says that it is about to meet.
    """

    devices: int
    num_nodes: int
    node_rank: int
    local_rank: int
    started: bool
    number: int
    folder: str | None = None
    sign: str | None = None

    @property
    def size(self) -> int:
        """How many processes there are on all machines."""
        return self.devices * self.num_nodes

    @property
    def rank(self) -> int:
        """Which of all processes this is."""
        return self.node_rank * self.devices + self.local_rank


def started_by_torchrun() -> bool:
    """Whether this is one of several processes that torchrun, or the like of it, has started."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return all(name in os.environ for name in names) and int(os.environ["WORLD_SIZE"]) > 1


def find_world(devices: int | None, num_nodes: int | None) -> World | None:
    """The processes that are asked for; None for one alone.

    devices: processes on each machine; num_nodes: machines. None: as torchrun has started, or 1.
    Raises InvalidInput where torchrun has started others, or the machines cannot meet.
    """
    for name, count in (("devices", devices), ("num_nodes", num_nodes)):
        if count is not None and (not isinstance(count, int) or count < 1):
            raise InvalidInput(f"{name} must be a whole number from 1, and is {count!r}")
    if started_by_torchrun() and (devices is None or num_nodes is None or devices * num_nodes > 1):
        here, every = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        if (devices or here) != here or (num_nodes or every // here) * here != every:
            raise InvalidInput(
                f"devices={devices}, num_nodes={num_nodes} were asked for, and torchrun has "
                f"started {here} processes here and {every} in all; leave both to torchrun"
            )
        rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
        return World(here, every // here, rank // here, local, True, next(_numbers))
    devices, num_nodes = devices or 1, num_nodes or 1
    if devices * num_nodes == 1:
        return None
    if num_nodes == 1:
        return World(devices, 1, 0, 0, False, next(_numbers))
    missing = [n for n in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK") if n not in os.environ]
    if missing:
        raise InvalidInput(
            f"{num_nodes} machines meet at MASTER_ADDR and MASTER_PORT and number themselves by "
            f"NODE_RANK, from 0; {', '.join(missing)} is not set: set it, or start with torchrun"
        )
    port, node_rank = (_whole_number(name) for name in ("MASTER_PORT", "NODE_RANK"))
    for name, value, least, most in (
        ("NODE_RANK", node_rank, 0, num_nodes - 1),
        ("MASTER_PORT", port, 1, (1 << 16) - 1),
    ):
        if not least <= value <= most:
            raise InvalidInput(f"{name} is {value}; give it from {least} to {most}")
    address = os.environ["MASTER_ADDR"]
    try:
        socket.getaddrinfo(address, port)
    except OSError as error:
        raise InvalidInput(f"MASTER_ADDR is {address!r}: {error.strerror}") from None
    return World(devices, num_nodes, node_rank, 0, False, next(_numbers))


def _whole_number(name: str) -> int:
    """What an environment variable says. Raises InvalidInput where that is no whole number."""
    text = os.environ[name]
    if not text.strip().isdecimal():
        raise InvalidInput(f"{name} is {text!r}; give a whole number")
    return int(text)


@contextmanager
def joined(
    world: World | None, helper: Callable[..., None], *task: Any, backend: str
) -> Iterator[World | None]:
    """Have the other processes of this machine run helper(world, *task), and meet all of them.

    helper, task: what can be pickled without the caller's script. A helper that fails, is killed or
    falls silent ends the block with TrainingError (or the helper's own error, where it is one of
    this library's). Whatever ends the block, helpers are gone and the meeting is closed after it.
    """
    if world is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="lampblack-") as folder:
        if not world.started and world.num_nodes == 1:
            world = replace(world, folder=folder)
        helpers = _Helpers(world, Path(folder), helper, task)
        try:
            helpers.start()
            with _told(helpers), _met(world, backend):
                yield world
        finally:
            helpers.stop()


def help_out() -> None:
    """What a helper process runs: `INTERPRETER FOLDER LOCAL_RANK`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that fits ends its helpers
    folder, local_rank = Path(sys.argv[1]), int(sys.argv[2])
    try:
        with (folder / "task").open("rb") as file:
            world, threads, helper, task = pickle.load(file)
        torch.set_num_threads(threads)
        helper(replace(world, local_rank=local_rank, sign=str(folder)), *task)
    except BaseException as error:
        known = type(error).__name__ if isinstance(error, LampblackError) else None
        known = LOST if known is None and _is_loss(error) else known
        text = " ".join(str(error).split()) or type(error).__name__
        told = {"kind": known, "text": text if known else f"{type(error).__name__}: {text}"}
        with suppress(OSError):  # nobody is left to read it
            (folder / f"error.{local_rank}").write_text(json.dumps(told))
        os._exit(UNEXPECTED)  # not through destructors, which may wait for lost processes


@contextmanager
def met(world: World, backend: str) -> Iterator[None]:
    """Meet the other processes; for helpers, which have nothing left to do before."""
    if world.sign is not None:
        (Path(world.sign) / f"ready.{world.local_rank}").touch()
    with _met(world, backend):
        yield


def threads_of_each(world: World | None) -> int:
    """How many threads one of the processes of a machine gets: an equal share of this one's."""
    threads = torch.get_num_threads()
    return threads if world is None or world.started else max(1, threads // world.devices)


class _Pickler(pickle.Pickler):
    """Puts large tensors into files of their own, which all helpers map: one copy serves all."""

    LARGE = 1 << 20  # bytes

    def __init__(self, file: IO[bytes], folder: Path) -> None:
        super().__init__(file)
        self._folder = folder
        self._count = itertools.count()

    def reducer_override(self, value: Any) -> Any:
        """How to send a value that is not sent as it is."""
        if getattr(value, "__module__", None) == "__main__" and isinstance(value, type):
            raise InvalidInput(
                f"{value.__name__} is defined in the script that runs, which the other processes "
                "do not read; move it to a module that can be imported, or start with torchrun"
            )
        plain = type(value) is Tensor and not value.requires_grad and value.device.type == "cpu"
        if not plain or value.nbytes < self.LARGE:
            return NotImplemented
        path = self._folder / f"tensor.{next(self._count)}.npy"
        np.save(path, value.numpy())
        return _mapped, (str(path),)


def _mapped(path: str) -> Tensor:
    """A tensor in a file, read where it is used; what is written to it stays in this process."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))


class _Helpers:
    """The processes beside this one that it has started on this machine."""

    def __init__(
        self, world: World, folder: Path, helper: Callable[..., None], task: tuple[Any, ...]
    ) -> None:
        self._world, self._folder = world, folder
        self._helper, self._task = helper, task
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start them and wait until each is about to meet the others."""
        if self._world.started or self._world.devices == 1:
            return
        content = (self._world, threads_of_each(self._world), self._helper, self._task)
        try:
            with (self._folder / "task").open("xb") as file:
                _Pickler(file, self._folder).dump(content)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InvalidInput(
                f"what trains cannot be sent to another process ({' '.join(str(error).split())}); "
                "start with torchrun instead"
            ) from None
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        for local_rank in range(1, self._world.devices):
            with (self._folder / f"said.{local_rank}").open("xb") as said:
                command = [sys.executable, "-c", INTERPRETER, str(self._folder), str(local_rank)]
                self._processes[local_rank] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    env=environment,
                )
        deadline = time.monotonic() + START.total_seconds()
        waiting = set(self._processes)
        while waiting:
            waiting = {r for r in waiting if not (self._folder / f"ready.{r}").exists()}
            if (loss := self.loss()) is not None:
                raise loss
            if time.monotonic() > deadline:
                raise TrainingError(f"process {min(waiting)} has not started in {START}")
            time.sleep(0.02)
        for sent in self._folder.glob("t*"):
            sent.unlink()  # mapped by those who need it, and gone with them, whatever happens

    def loss(self) -> LampblackError | None:
        """Why a helper has ended though the training goes on; None where none has."""
        for local_rank, process in self._processes.items():
            code = process.poll()
            if code:
                return self._reason(local_rank, code)
        return None

    def stop(self) -> None:
        """End those that still run, and wait for them."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
        for process in self._processes.values():
            process.wait()

    def wait(self) -> None:
        """Wait a little for helpers that are done to end by themselves."""
        deadline = time.monotonic() + FAREWELL
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return

    def _reason(self, local_rank: int, code: int) -> LampblackError:
        rank = self._world.rank + local_rank
        name = f"process {rank} of {self._world.size}"
        if code < 0:
            likely = "; the likely cause is too little memory" if -code == signal.SIGKILL else ""
            return TrainingError(
                f"{name} was ended by {signal.Signals(-code).name} and the training with it{likely}"
            )
        error = self._folder / f"error.{local_rank}"
        if code == UNEXPECTED and error.exists():
            told = json.loads(error.read_text())
            if told["kind"] == LOST:
                return _loss_elsewhere(told["text"])
            if told["kind"] is not None:
                kind: type[LampblackError] = getattr(exceptions, told["kind"])
                return kind(told["text"])
            return TrainingError(f"{name} failed: {told['text']}")
        lines = (self._folder / f"said.{local_rank}").read_text(errors="replace").splitlines()
        return TrainingError(f"{name} ended with code {code}: {(lines or ['no message'])[-1]}")


@contextmanager
def _told(helpers: _Helpers) -> Iterator[None]:
    """Turn what torch says when a process is lost into one line that says which."""
    try:
        yield
        helpers.wait()
    except LampblackError:
        raise
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        helpers.wait()
        raise helpers.loss() or _loss_elsewhere(str(error)) from None


def _loss_elsewhere(text: str) -> TrainingError:
    """What to say of a process that this one did not start; text: torch's."""
    text = re.sub(r"^\[\S+\.cc:\d+\] ?", "", " ".join(text.split())).partition(". This is")[0]
    if "EADDRINUSE" in text:
        port = os.environ.get("MASTER_PORT")
        return TrainingError(f"port {port} is in use on this machine; set another MASTER_PORT")
    return TrainingError(
        f"another process of this training was lost or is silent ({text[:200]}); "
        "the same command goes on from the last checkpoint, where there is one"
    )


def _is_loss(error: BaseException) -> bool:
    """Whether torch could not reach another process."""
    text = str(error).lower()
    if not isinstance(error, RuntimeError):
        return False
    signs = ("gloo", "connection closed", "connection reset", "timed out", "timeout", "broken pipe")
    return isinstance(error, distributed.DistError) or any(sign in text for sign in signs)


@contextmanager
def _met(world: World, backend: str) -> Iterator[None]:
    """A process group of all processes; one that the caller has made already is used and kept."""
    if distributed.is_initialized():
        if distributed.get_world_size() != world.size:
            raise InvalidInput(
                f"torch.distributed was set up for {distributed.get_world_size()} processes, "
                f"and {world.size} were asked for"
            )
        yield
        return
    with _loopback(world):
        distributed.init_process_group(
            backend,
            store=_store(world),
            rank=world.rank,
            world_size=world.size,
            timeout=PATIENCE,
        )
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _store(world: World) -> Any:
    """Where the processes leave their addresses for each other."""
    if world.folder is not None:
        return FileStore(str(Path(world.folder) / "store"), world.size)
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # torchrun has a store of its own there, unless it was told otherwise
    torchrun = world.started and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = TCPStore(
        host,
        port,
        world.size,
        is_master=world.rank == 0 and not torchrun,
        timeout=PATIENCE,
        wait_for_workers=False,
    )
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if world.started else "0"
    return PrefixStore(f"lampblack/{attempt}/{world.number}", store)


@contextmanager
def _loopback(world: World) -> Iterator[None]:
    """On one machine, talk through its own interface: a host name need not resolve."""
    name = "GLOO_SOCKET_IFNAME"
    own = [interface for _, interface in socket.if_nameindex() if interface.startswith("lo")]
    if world.num_nodes > 1 or name in os.environ or not own:
        yield
        return
    os.environ[name] = own[0]
    try:
        yield
    finally:
        os.environ.pop(name, None)
