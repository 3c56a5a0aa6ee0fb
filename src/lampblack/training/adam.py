"""Adam over one tensor that holds all weights, in place of one update for every layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class FlatAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980) whose parameters become slices of one tensor.

    A step of a small network is many small operations; this one is a single one, whatever the
    number of layers, and gives what fused Adam gives parameter by parameter, but for the last bit
    of a few weights at a vector's end. A parameter without a gradient stays as it is, and one that
    occurs twice counts once. `restore` makes the parameters tensors of their own again, which
    whatever saves them expects.
    Parameters that are not all float32 on one device, or not contiguous, are left apart. `members`
    are the parameters as they were given, and have the gradients.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, flat: bool = True) -> None:
        """flat: False leaves the parameters as they are, and is torch's fused Adam."""
        self.members = [p for p in dict.fromkeys(parameters) if p.requires_grad]
        self._flat: nn.Parameter | None = None
        if flat and _alike(self.members):
            self._flat = nn.Parameter(torch.cat([p.detach().flatten() for p in self.members]))
            sizes = [p.numel() for p in self.members]
            slices = torch.split(self._flat.detach(), sizes)
            for member, values in zip(self.members, slices, strict=True):
                member.data = values.view_as(member)
        super().__init__(self.members if self._flat is None else [self._flat], lr=lr, fused=True)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's, which imports torch._dynamo first: 1.3 s for what compiles nothing here."""
        add = torch.optim.Optimizer.add_param_group
        getattr(add, "__wrapped__", add)(self, param_group)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update all weights from their gradients; with one tensor, by Adam's functional form."""
        if self._flat is None:
            return super().step(closure)
        (group,) = self.param_groups
        state = self.state[self._flat]
        if not state:
            state["step"] = torch.zeros((), device=self._flat.device)
            state["exp_avg"] = torch.zeros_like(self._flat)
            state["exp_avg_sq"] = torch.zeros_like(self._flat)
        beta1, beta2 = group["betas"]
        adam(
            [self._flat],
            [torch.cat([_gradient(member) for member in self.members])],
            [state["exp_avg"]],
            [state["exp_avg_sq"]],
            [],
            [state["step"]],
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
        return None

    # torch wraps a step without this mark in a profiler's range and a search for hooks: 20 µs
    step.hooked = True  # type: ignore[attr-defined]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for member in self.members:
            member.grad = None

    def restore(self) -> None:
        """Give every parameter memory of its own."""
        for member in self.members:
            member.data = member.detach().clone()


def _alike(members: list[nn.Parameter]) -> bool:
    """Whether these fit into one tensor."""
    return bool(members) and all(
        p.dtype == torch.float32 and p.device == members[0].device and p.is_contiguous()
        for p in members
    )


def _gradient(member: nn.Parameter) -> Tensor:
    gradient = member.grad
    return torch.zeros_like(member).flatten() if gradient is None else gradient.flatten()
