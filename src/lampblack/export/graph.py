"""A model as one torch module: from what a user knows to a score and a decision."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from lampblack.calibration import Calibration
from lampblack.export.graph_inputs import BEGINNINGS
from lampblack.model.model import Model
from lampblack.scores import Passed


class ModelGraph(nn.Module):
    """Preprocessing, networks, score and decision of a model, on the CPU.

    inputs: those of `TablePreprocessing` or `ImagePreprocessing`. outputs: `anomaly_score` float32
    (n,), `is_anomaly` bool (n,), whether the score is above the threshold, and, where held-out rows
    calibrated it, `p_value` float64 (n,).
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.preprocessing = BEGINNINGS[model.kind.name].module(model.encoder)
        self.networks = copy.deepcopy(model.networks).cpu().eval().requires_grad_(False)
        self.score = copy.deepcopy(model.score).cpu().eval()
        self.decision = Decision(model.calibration)

    @property
    def outputs(self) -> list[str]:
        """Their names, in order."""
        p_value = ["p_value"] if self.decision.promises else []
        return ["anomaly_score", "is_anomaly", *p_value]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        x = self.preprocessing(*inputs)
        scores = self.score(self.networks, Passed(x, *self.networks(x))).score
        return (scores, *self.decision(scores.double()))


class Decision(nn.Module):
    """A calibration: whether scores are above the threshold, and their conformal p-values."""

    scores: Tensor

    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.threshold = calibration.threshold
        self.promises = calibration.origin == "held-out"
        self.register_buffer("scores", torch.from_numpy(calibration.scores.copy()))

    def forward(self, scores: Tensor) -> tuple[Tensor, ...]:
        """Of scores (n,) in float64: is_anomaly (n,), and p_value (n,) where one is promised."""
        above = scores > self.threshold
        if not self.promises:
            return (above,)
        n = len(self.scores)
        return above, (1 + n - self._below(scores)).double() / (1 + n)

    def _below(self, scores: Tensor) -> Tensor:
        """How many calibration scores are smaller (n,): found by halving, one bit a step."""
        n = len(self.scores)
        below = torch.zeros_like(scores, dtype=torch.int64)
        step = 1 << (n.bit_length() - 1)
        while step:
            probed = below + step
            smaller = self.scores[(probed - 1).clamp(max=n - 1)] < scores
            below = torch.where((probed <= n) & smaller, probed, below)
            step >>= 1
        return below
