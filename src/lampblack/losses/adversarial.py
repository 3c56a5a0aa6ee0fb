"""AMA's mirrored adversarial losses: a value per sample, never a mean (arXiv 2003.10713)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lampblack.choices import AdversarialLoss


def critic_loss(real: Tensor, fake: Tensor, label: Tensor, form: AdversarialLoss) -> Tensor:
    """What the critic minimises, for every sample (n,).

    real: D(x, x); fake: D(x, x̂); label y: +1 for normal samples, −λ for known or synthetic
    anomalies; all (n,). "wasserstein": −y·D(x, x) + y·D(x, x̂). "hinge": |y| · (max(0, 1 − s·D(x,
    x)) + max(0, 1 + s·D(x, x̂))) with s the sign of y, bounded below, so that a critic that tells
    all apart has nothing more to gain.

    >>> import torch
    >>> real, fake, y = torch.tensor([3.0]), torch.tensor([-2.0]), torch.tensor([1.0])
    >>> critic_loss(real, fake, y, "wasserstein").item(), critic_loss(real, fake, y, "hinge").item()
    (-5.0, 0.0)
    """
    if form == "wasserstein":
        return label * (fake - real)
    sign = label.sign()
    return label.abs() * ((1 - sign * real).clamp(min=0) + (1 + sign * fake).clamp(min=0))


def deception_loss(fake: Tensor, label: Tensor) -> Tensor:
    """What the autoencoder minimises against the critic, for every sample (n,): −y·D(x, x̂)."""
    return -label * fake


def gradient_penalty(
    critic: Callable[[Tensor, Tensor], Tensor], x: Tensor, fake: Tensor, position: Tensor
) -> Tensor:
    """(‖∇D‖₂ − 1)² at pairs (x, u), u on the segment between x and x̂, for every sample (n,).

    critic: D(a, b) (n,); x, fake: (n, ...); position: (n,), uniform on [0, 1]. The gradient is that
    with respect to the whole pair, x being one of its halves.
    Source: Gulrajani et al. 2017, arXiv 1704.00028, at AMA's pairs.
    """
    weight = position.reshape(-1, *[1] * (x.ndim - 1))
    a = x.detach().requires_grad_(True)
    b = (x + weight * (fake - x)).detach().requires_grad_(True)
    with torch.enable_grad():
        judged = critic(a, b).sum()
        gradients = torch.autograd.grad(judged, (a, b), create_graph=True, allow_unused=True)
    squares = [g.flatten(start_dim=1).square().sum(dim=1) for g in gradients if g is not None]
    norm = torch.stack(squares).sum(dim=0).clamp(min=1e-12).sqrt()
    return (norm - 1).square()
