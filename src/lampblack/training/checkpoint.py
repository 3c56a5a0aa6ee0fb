"""The state of a training on disk: written after every epoch, read after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lampblack.exceptions import Place, Remedy, Setting, TrainingError
from lampblack.training.steps import TrainingStep

FILE = "checkpoint.safetensors"


def write_checkpoint(
    folder: Path,
    step: TrainingStep,
    generator: torch.Generator,
    progress: dict[str, Any],
    own: Sequence[Mapping[str, Tensor]],
) -> None:
    """Write weights, optimisers, random state and `progress` (JSON) as one file, atomically.

    own: for every process of the training, what it alone has. The new file is complete on disk
    before it takes the old one's name, so that a kill at any moment leaves one of the two.
    """
    tensors = {f"network.{name}": value for name, value in step.networks.state_dict().items()}
    for i, optimizer in enumerate(step.optimizers):
        for key, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{key}.{name}": value for name, value in state.items()}
    for rank, state in enumerate(own):
        tensors |= {_own_name(rank) + name: value for name, value in state.items()}
    tensors |= {f"best.{name}": value for name, value in progress.get("best", {}).items()}
    tensors["generator"] = generator.get_state()
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    facts = {name: value for name, value in progress.items() if name != "best"}
    told = json.dumps(facts)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / f".{FILE}.{os.getpid()}"
    save_file(plain, beside, metadata={"progress": told, "sha256": _digest(plain, told)})
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, folder / FILE)


def read_checkpoint(
    folder: Path, step: TrainingStep, generator: torch.Generator, fingerprint: str, rank: int
) -> dict[str, Any] | None:
    """Put a training back to its last checkpoint and return its progress; None where there is none.

    The progress has what the process of this rank alone had as "own".
    Raises TrainingError where the checkpoint is of other data, parameters or versions
    (`fingerprint`), or cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata()
            progress: dict[str, Any] = json.loads(told["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if _digest(tensors, told["progress"]) != told["sha256"]:
            raise ValueError("its digest is another")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        what = f"{path} is damaged ({error})"
        anew = "delete it to start anew"
        raise TrainingError(what, names=Place(path), remedy=anew) from None
    if progress["fingerprint"] != fingerprint:
        raise TrainingError(
            f"{path} belongs to a fit with other data, parameters or versions",
            names=Place(path),
            remedy=Remedy("delete it or give another ", Setting("checkpoint_dir")),
        )
    step.networks.load_state_dict(_under("network.", tensors))
    for i, optimizer in enumerate(step.optimizers):
        _load_optimizer(optimizer, _under(f"optimizer.{i}.", tensors))
    generator.set_state(tensors["generator"])
    progress["own"] = _under(_own_name(rank), tensors)
    if best := _under("best.", tensors):
        progress["best"] = best
    return progress


def _digest(tensors: Mapping[str, Tensor], progress: str) -> str:
    """The hash of everything that a checkpoint holds: one flipped bit changes it."""
    digest = hashlib.sha256(progress.encode())
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        digest.update(f"\n{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _own_name(rank: int) -> str:
    return f"process.{rank}." if rank else "extra."


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state = optimizer.state_dict()
    for name, tensor in tensors.items():
        key, slot = name.split(".", maxsplit=1)
        state["state"].setdefault(int(key), {})[slot] = tensor
    optimizer.load_state_dict(state)
