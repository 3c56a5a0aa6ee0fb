"""Training in one process and in full precision, where lightning-fabric has nothing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class SingleProcess:
    """What a training step asks of Fabric, for one process in full precision: modules are moved.

    Importing Fabric takes two seconds, more than a table of some thousand rows takes to fit, and
    its wrappers cost 100 µs a step (docs/performance.md).
    """

    world_size, global_rank = 1, 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def setup_module(self, module: nn.Module) -> nn.Module:
        """The module, on the device."""
        return module.to(self.device)

    def setup_optimizers(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimiser as it is."""
        return optimizer

    def setup(self, module: nn.Module, *optimizers: torch.optim.Optimizer) -> tuple[Any, ...]:
        """The module, on the device, and the optimisers as they are."""
        return (self.setup_module(module), *optimizers)

    def backward(self, loss: torch.Tensor) -> None:
        """Gradients of the loss."""
        torch.autograd.backward(loss)


Runner: TypeAlias = "Fabric | SingleProcess"
