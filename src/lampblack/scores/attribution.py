"""Which inputs move a function of a sample: integrated gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FEWEST_POINTS = 16
MOST_POINTS = 16 * 4**6
TOLERANCE = 0.005


def integrated_gradients(
    function: Callable[..., Tensor],
    start: Tensor,
    end: Tensor,
    at_once: int = 4096,
    *,
    beside: Tensor | None = None,
    of_larger: bool = False,
) -> Tensor:
    """Attribute function(end) − function(start) to the elements of the samples.

    function: (n, ...) → (n,); start, end: (n, ...); at_once: samples evaluated together; beside:
    (n, ...), held fixed along the way as the function's second argument, or None. Returns signed
    attributions of the shape of `end`. Midpoint rule along the straight path, its points quadrupled
    for the samples whose sum is not yet within 0.5 % of the difference, or, `of_larger`, of the
    larger of the two values (a rectifier network has kinks).
    Source: Sundararajan et al. 2017, arXiv 1703.01365.
    """
    second = () if beside is None else (beside,)
    with torch.no_grad():
        before, after = function(start, *second), function(end, *second)
    difference, larger = after - before, torch.maximum(before.abs(), after.abs())
    allowed = TOLERANCE * (larger if of_larger else difference.abs())
    allowed = torch.maximum(allowed, 1e-5 * larger)  # what float32 rounds away
    attributions = torch.zeros_like(end)
    unfinished = torch.arange(len(end), device=end.device)
    points = FEWEST_POINTS
    while len(unfinished) and points <= MOST_POINTS:
        path = Path(start[unfinished], end[unfinished], tuple(held[unfinished] for held in second))
        part = path.integrate(function, points, at_once)
        attributions[unfinished] = part
        missing = part.flatten(start_dim=1).sum(dim=1) - difference[unfinished]
        unfinished = unfinished[missing.abs() > allowed[unfinished]]
        points *= 4
    return attributions


class Path:
    """The straight way from `start` to `end` (n, ...), `beside` being held fixed."""

    def __init__(self, start: Tensor, end: Tensor, beside: tuple[Tensor, ...]) -> None:
        self._start, self._step, self._beside = start, end - start, beside

    def integrate(self, function: Callable[..., Tensor], points: int, at_once: int) -> Tensor:
        """The integral of the gradient over the way, times the step (n, ...)."""
        start, step = self._start, self._step
        total = torch.zeros(start.shape, dtype=torch.float64)  # thousands of terms may cancel
        even = (torch.arange(points, device=start.device) + 0.5) / points
        for some in torch.split(even, max(1, at_once // len(start))):
            along = some.reshape(-1, *[1] * start.ndim)
            x = (start + along * step).requires_grad_(True)  # (some, n, ...)
            fixed = (held.expand(len(some), *held.shape).flatten(0, 1) for held in self._beside)
            with torch.enable_grad():
                values = function(x.flatten(0, 1), *fixed)
                (gradient,) = torch.autograd.grad(values.sum(), x)
            total += gradient.sum(dim=0).cpu().double()
        return (total / points).to(step) * step
