"""Structural similarity of images, as operations that can be exported for any number of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SIGMA = 1.5
REACH = 5  # pixels to either side: a window of 11×11
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """SSIM around every pixel of images a, b (n, channels, height, width) in [0, 1]: their shape.

    Wang et al. 2004, a Gaussian window of 11×11 pixels, σ = 1.5; beyond the border the image is
    mirrored. It is torchmetrics' value, which lays its five averages out along the samples, so that
    tracing it fixes their number; here they lie along the channels.
    """
    channels = a.shape[1]
    line = torch.exp(-((torch.arange(-REACH, REACH + 1, device=a.device) / SIGMA) ** 2) / 2)
    line = line / line.sum()
    window = torch.outer(line, line).expand(5 * channels, 1, -1, -1)
    a, b = (functional.pad(image, [REACH] * 4, mode="reflect") for image in (a, b))
    values = torch.cat([a, b, a * a, b * b, a * b], dim=1)
    averages = functional.conv2d(values, window, groups=5 * channels)
    mean_a, mean_b, square_a, square_b, product = averages.chunk(5, dim=1)
    spread_a = (square_a - mean_a.square()).clamp(min=0)
    spread_b = (square_b - mean_b.square()).clamp(min=0)
    common = product - mean_a * mean_b
    structure = (2 * common + C2) / (spread_a + spread_b + C2)
    luminance = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    return luminance * structure
