"""Which inputs move a function of a sample: integrated gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

FEWEST_POINTS = 16
MOST_POINTS = 16 * 4**6
TOLERANCE = 0.005


def integrated_gradients(
    function: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, at_once: int = 4096
) -> Tensor:
    """Attribute function(end) − function(start) to the elements of the samples.

    function: (n, ...) → (n,); start, end: (n, ...); at_once: samples evaluated together. Returns
    signed attributions of the shape of `end`. Midpoint rule along the straight path, its points
    quadrupled for the samples whose sum is not yet within 0.5 % of the difference (a rectifier
    network has kinks).
    Source: Sundararajan et al. 2017, arXiv 1703.01365.
    """
    with torch.no_grad():
        before, after = function(start), function(end)
    difference = after - before
    rounding = 1e-5 * torch.maximum(before.abs(), after.abs())
    allowed = torch.maximum(TOLERANCE * difference.abs(), rounding)
    attributions = torch.zeros_like(end)
    unfinished = torch.arange(len(end), device=end.device)
    points = FEWEST_POINTS
    while len(unfinished) and points <= MOST_POINTS:
        part = _midpoint_rule(function, start[unfinished], end[unfinished], points, at_once)
        attributions[unfinished] = part
        missing = part.flatten(start_dim=1).sum(dim=1) - difference[unfinished]
        unfinished = unfinished[missing.abs() > allowed[unfinished]]
        points *= 4
    return attributions


def _midpoint_rule(
    function: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, points: int, at_once: int
) -> Tensor:
    """The mean gradient at evenly spaced points of the path, times the step."""
    step = end - start
    total = torch.zeros(end.shape, dtype=torch.float64)  # thousands of terms that may cancel
    positions = (torch.arange(points, device=end.device) + 0.5) / points
    for some in torch.split(positions, max(1, at_once // len(end))):
        along = some.reshape(-1, *[1] * end.ndim)
        path = (start + along * step).requires_grad_(True)  # (some, n, ...)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(function(path.flatten(0, 1)).sum(), path)
        total += gradient.sum(dim=0).cpu().double()
    return (total / points).to(step) * step
