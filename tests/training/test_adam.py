"""Adam over one tensor is Adam, and steps aside where losses are scaled."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from lampblack.networks import AutoencoderPair
from lampblack.training.adam import FlatAdam
from lampblack.training.single_process import SingleProcess
from lampblack.training.steps import ReconstructionObjective, ReconstructionStep

CPU = torch.device("cpu")


def pair() -> AutoencoderPair:
    torch.manual_seed(0)
    encoder = nn.Sequential(
        nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)
    )
    return AutoencoderPair(encoder, nn.Linear(3, 6), torch.ones(6))


@pytest.mark.parametrize("flat", [True, False])
def test_it_is_torchs_adam(flat: bool) -> None:
    ours, theirs = pair(), pair()
    mine = FlatAdam(ours.parameters(), lr=0.01, flat=flat)
    reference = torch.optim.Adam(theirs.parameters(), lr=0.01, fused=True)
    batches = torch.randn(30, 16, 6, generator=torch.Generator().manual_seed(1))
    for batch in batches:
        for networks, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            (batch - networks(batch)[1]).square().mean().backward()
            optimizer.step()
    mine.restore()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_a_parameter_without_a_gradient_stays() -> None:
    used, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    before = copy.deepcopy(unused.state_dict())
    adam = FlatAdam([*used.parameters(), *unused.parameters()], lr=0.1)
    used(torch.ones(4, 2)).sum().backward()
    adam.step()
    torch.testing.assert_close(dict(unused.state_dict()), dict(before), rtol=0, atol=0)


class Scaling(SingleProcess):
    """What fabric does under "16-mixed", on the CPU and in float32."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        self.strategy = SimpleNamespace(precision=SimpleNamespace(scaler=self.scaler))

    def setup_optimizers(self, optimizer: torch.optim.Optimizer) -> Any:
        def step() -> None:
            self.scaler.step(optimizer)
            self.scaler.update()

        return SimpleNamespace(step=step)

    def backward(self, loss: torch.Tensor) -> None:
        self.scaler.scale(loss).backward()


def test_scaled_losses_train_to_the_same_weights() -> None:
    trained = []
    batches = torch.randn(20, 16, 6, generator=torch.Generator().manual_seed(1))
    for fabric in (SingleProcess(CPU), Scaling()):
        networks = pair()
        objective = ReconstructionObjective("l2", None, 0.0, fabric)
        step = ReconstructionStep(fabric, networks, objective, learning_rate=0.01)
        for batch in batches:
            step.update(batch)
        step.finish()
        trained.append(networks.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(trained[1][name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [FlatAdam, torch.optim.Adam])
def test_a_step_is_no_range_of_a_profiler(kind: type[torch.optim.Adam]) -> None:
    networks = pair()
    optimizer = kind(networks.parameters(), lr=0.1)
    networks(torch.ones(4, 6))[1].sum().backward()
    with torch.autograd.profiler.profile() as profile:
        optimizer.step()
    ranges = [event.name for event in profile.function_events]
    assert any("Optimizer.step" in name for name in ranges) is (kind is torch.optim.Adam)
