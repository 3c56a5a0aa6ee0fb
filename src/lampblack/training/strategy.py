"""lightning-fabric's DDP, with gradients averaged where an optimiser steps. Imports Fabric."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import nn

from lampblack.training.adam import FlatAdam
from lampblack.training.ranks import average

# How long one process waits for another that has not come yet, or is silent. The first also runs
# callbacks and writes checkpoints while the others wait. A process that ends is noticed at once.
PATIENCE = timedelta(minutes=10)


class AveragedGradients(DDPStrategy):
    """Data-parallel training under torchrun that averages an optimiser's gradients as it steps.

    torch's DistributedDataParallel averages them inside the backward pass, and takes one forward
    pass for each. Of AMA's step, with several of both for two optimisers in turn, that would be
    wrong. Here every step that is taken through Fabric averages the gradients of its own
    parameters over all processes first, in one message, whatever made them. Everything else is
    `DDPStrategy`'s.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=TorchElasticEnvironment(), timeout=PATIENCE)

    def _configure_launcher(self) -> None:
        """No launcher: torchrun is one, and Fabric's own may change the number of threads."""
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
