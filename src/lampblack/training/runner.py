"""What the steps of a training run on: this process alone, or lightning-fabric."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from lampblack.exceptions import InvalidInput
from lampblack.training.ranks import answered
from lampblack.training.single_process import Runner, SingleProcess

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def is_under_torchrun() -> bool:
    """Whether torchrun, or something that sets the same variables, has started this process."""
    return all(name in os.environ for name in TORCHRUN)


def has_started_several() -> bool:
    """Whether torchrun has started other processes beside this one."""
    return is_under_torchrun() and int(os.environ["WORLD_SIZE"]) > 1


def start_runner(device: torch.device, precision: str, *, distributed: bool) -> Runner:
    """What trains on a device: this process alone, or all that torchrun has started.

    With distributed=True it returns when all of them have come. They stay connected until they
    end, so that a later training finds them.
    Raises InvalidInput where torchrun has not started this process, or lightning-fabric is needed
    and not installed; TrainingError where another process does not come.
    """
    if distributed and not is_under_torchrun():
        raise InvalidInput(
            "distributed=True trains in the processes that torchrun starts, and this one was "
            "started without it; start with: torchrun --nproc-per-node 2 SCRIPT.py"
        )
    several = distributed and has_started_several()
    if not several and precision == "32-true":
        return SingleProcess(device)
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError:
        what = "training in several processes" if several else f"precision {precision!r}"
        raise InvalidInput(
            f"{what} needs lightning-fabric: pip install 'lampblack[distributed]'"
        ) from None
    if not several:
        devices = [device.index] if device.type != "cpu" and device.index is not None else 1
        return Fabric(accelerator=device.type, devices=devices, precision=precision)  # type: ignore[arg-type]
    if device.type not in {"cpu", "cuda"} or device.index is not None:
        raise InvalidInput(
            f"device {str(device)!r} is one device, and several processes were asked for; use "
            'device="cuda" or device="cpu"'
        )
    from lampblack.training.strategy import AveragedGradients

    here, every = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    fabric = Fabric(
        accelerator=device.type,
        devices=here,
        num_nodes=every // here,
        strategy=AveragedGradients(),
        precision=precision,
    )
    with answered(), _without_announcements():
        fabric.launch()
    return fabric


@contextmanager
def _without_announcements() -> Iterator[None]:
    """Keep back what Fabric says of processes that meet."""
    logger = logging.getLogger("lightning_fabric")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
