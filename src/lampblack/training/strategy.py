"""lightning-fabric's DDP, with gradients averaged where an optimiser steps. Imports Fabric."""

from __future__ import annotations

from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from lampblack.training.adam import FlatAdam
from lampblack.training.processes import World
from lampblack.training.ranks import average


class WorldEnvironment(ClusterEnvironment):
    """Tells Fabric which process this is; all of them were started by somebody else."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    @property
    def creates_processes_externally(self) -> bool:
        """Always: see `lampblack.training.processes`."""
        return True

    @property
    def main_address(self) -> str:
        """Not needed: the processes have met before Fabric starts."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Not needed either."""
        return 0

    @staticmethod
    def detect() -> bool:
        """Never chosen by Fabric itself."""
        return False

    def world_size(self) -> int:
        """All processes."""
        return self._world.size

    def set_world_size(self, size: int) -> None:
        """It is fixed."""

    def global_rank(self) -> int:
        """Which of all processes this is."""
        return self._world.rank

    def set_global_rank(self, rank: int) -> None:
        """It is fixed."""

    def local_rank(self) -> int:
        """Which of this machine's processes it is."""
        return self._world.local_rank

    def node_rank(self) -> int:
        """Which machine this is."""
        return self._world.node_rank


class AveragedGradients(DDPStrategy):
    """Data-parallel training that averages an optimiser's gradients as it steps.

    torch's DistributedDataParallel averages them inside the backward pass, and takes one forward
    pass for each. Of AMA's step, with several of both for two optimisers in turn, that would be
    wrong. Here every step that is taken through Fabric averages the gradients of its own
    parameters over all processes first, in one message, whatever made them. What that costs beside
    the wrapper, which sends one layer's gradients while it computes the next one's, is measured in
    docs/scale.md. Everything else is `DDPStrategy`'s.
    """

    def _configure_launcher(self) -> None:
        """No launcher: the processes are there, and Fabric's own would set threads for good."""
        self._launcher = None

    def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
        """The module as it is; it starts from the same weights in all processes."""
        return module

    def optimizer_step(self, optimizer: Any, **kwargs: Any) -> Any:
        """Average, then step."""
        groups = [group["params"] for group in optimizer.param_groups]
        if isinstance(optimizer, FlatAdam):
            groups = [optimizer.members]
        average([weight.grad for group in groups for weight in group if weight.grad is not None])
        return super().optimizer_step(optimizer, **kwargs)
