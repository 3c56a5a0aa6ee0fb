"""How steep a loss is around trained weights: eigenvalues, trace, and curvature by filter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vjp
from torch.nn.modules.conv import _ConvTransposeNd

from lampblack.choices import Amplification, ReconstructionErrorName
from lampblack.diagnostics.time_limit import NO_LIMIT, TimeLimit
from lampblack.exceptions import InvalidInput
from lampblack.losses import (
    amplify,
    amplify_rescaled,
    elementwise_error,
    latent_norm,
    reconstruction_error,
)
from lampblack.networks import AutoencoderPair
from lampblack.training.steps import ReconstructionObjective

Weights = dict[str, Tensor]
Loss = Callable[[Weights], Tensor]

PROBES = 16  # random vectors of Hutchinson's estimator, and directions of the curvature
MOST_ITERATIONS = 100
TOLERANCE = 1e-3  # of the eigenvalue, between two iterations


@dataclass(frozen=True)
class Sharpness:
    """How steep a mean loss is at the weights w, H being its Hessian there.

    largest_eigenvalue: of H, algebraically, by power iteration; `converged` says whether two
    iterations agreed to 0.1 %. trace: of H, by Hutchinson's estimator, and its standard error.
    curvature: the mean of dᵀHd over random directions d that are as long as the weights, filter by
    filter (Li et al. 2018); unlike the others it does not change when one layer is scaled up and
    the next one down by the same factor.
    """

    loss: float
    gradient_norm: float
    largest_eigenvalue: float
    converged: bool
    trace: float
    trace_error: float
    curvature: float
    curvature_error: float


def autoencoder_weights(networks: AutoencoderPair) -> Weights:
    """The weights of encoder and decoder by name, detached; no critic's."""
    return {
        name: weight.detach()
        for name, weight in networks.named_parameters()
        if name.startswith(("encoder.", "decoder."))
    }


def mean_loss(
    networks: AutoencoderPair,
    x: Tensor,
    *,
    error: ReconstructionErrorName,
    amplification: Amplification | None = None,
    latent_weight: float = 0.0,
) -> Loss:
    """The mean over samples x (n, ...) of a reconstruction loss, as a function of the weights.

    error(x, x̂), amplified or not, plus latent_weight · ‖z‖₂. Networks work as in scoring: batch
    norms with their running statistics, which are no weights. "quantile" amplification measures
    errors by their 99 % quantile on x at the networks' own weights, which stays fixed.
    """
    amplified = None
    if amplification == "log":
        amplified = amplify
    elif amplification == "quantile":
        with torch.no_grad():
            errors = elementwise_error(x, networks(x)[1], error).flatten()
        rank = max(1, round(ReconstructionObjective.QUANTILE * len(errors)))
        scale = errors.kthvalue(rank).values.clamp(min=1e-12)
        amplified = partial(amplify_rescaled, scale=scale)

    def loss(weights: Weights) -> Tensor:
        z, reconstruction = functional_call(networks, weights, (x,))
        value = reconstruction_error(x, reconstruction, error, amplified).mean()
        return value + latent_weight * latent_norm(z).mean() if latent_weight else value

    return loss


def sharpness_of(
    loss: Loss,
    weights: Weights,
    *,
    transposed: frozenset[str] = frozenset(),
    probes: int = PROBES,
    iterations: int = MOST_ITERATIONS,
    seed: int = 0,
    limit: TimeLimit = NO_LIMIT,
) -> Sharpness:
    """Measure a loss around weights; the same seed gives the same figures.

    transposed: see `filter_normalised`. Hessian-vector products are products of vectors with the
    Jacobian of the gradient, which is symmetric. Rectifiers have kinks; there H is that of the
    piece of the loss on which the weights lie.
    Raises InvalidInput where a figure is not finite, or the limit is over first.
    """
    generator = torch.Generator().manual_seed(seed)
    gradient, transpose, *_ = vjp(grad(loss), weights)

    def hessian(vector: Weights) -> Weights:
        limit.ask()
        (product,) = transpose(vector)
        return dict(product)

    largest, converged = _largest_eigenvalue(hessian, weights, iterations, generator)
    signs, ways = [], []
    for _ in range(probes):
        sign = {name: _signs(weight, generator) for name, weight in weights.items()}
        signs.append(inner(sign, hessian(sign)))
        way = random_direction(weights, generator, transposed=transposed)
        ways.append(inner(way, hessian(way)))
    found = Sharpness(
        loss=float(loss(weights)),
        gradient_norm=inner(gradient, gradient) ** 0.5,
        largest_eigenvalue=largest,
        converged=converged,
        trace=_mean(signs),
        trace_error=_error(signs),
        curvature=_mean(ways),
        curvature_error=_error(ways),
    )
    figures = (found.loss, found.largest_eigenvalue, found.trace, found.curvature)
    if not torch.tensor(figures).isfinite().all():
        raise InvalidInput("the loss around these weights is not finite; nothing can be measured")
    return found


def random_direction(
    weights: Weights, generator: torch.Generator, *, transposed: frozenset[str] = frozenset()
) -> Weights:
    """A random direction, normalised by filter."""
    drawn = {name: _drawn(weight, generator) for name, weight in weights.items()}
    return filter_normalised(drawn, weights, transposed=transposed)


def filter_normalised(
    direction: Weights, weights: Weights, *, transposed: frozenset[str] = frozenset()
) -> Weights:
    """Scale every filter of a direction to the length of the weights' own (Li et al. 2018).

    A filter is what makes one output of a layer: a row of a matrix, a block of a convolution; it
    lies along the first axis, or along the second for the names in `transposed`. Biases and the
    weights of batch norms stay where they are, as in the authors' code: their entries are 0.
    Source: arXiv 1712.09913.
    """
    scaled = {}
    for name, weight in weights.items():
        if weight.ndim < 2 or name.endswith(".bias"):
            scaled[name] = torch.zeros_like(weight)
            continue
        axes = [axis for axis in range(weight.ndim) if axis != int(name in transposed)]
        own = torch.linalg.vector_norm(weight, dim=axes, keepdim=True)
        length = torch.linalg.vector_norm(direction[name], dim=axes, keepdim=True)
        scaled[name] = direction[name] * own / length.clamp(min=1e-30)
    return scaled


def transposed_weights(networks: nn.Module) -> frozenset[str]:
    """Names of the weights whose filters lie along the second axis: transposed convolutions."""
    return frozenset(
        f"{name}.weight"
        for name, layer in networks.named_modules()
        if isinstance(layer, _ConvTransposeNd)
    )


def moved(weights: Weights, direction: Weights, step: float) -> Weights:
    """The weights after a step along a direction."""
    return {name: weight + step * direction[name] for name, weight in weights.items()}


def inner(a: Weights, b: Weights) -> float:
    """The inner product of two vectors of weights."""
    return sum(float((a[name].double() * b[name].double()).sum()) for name in a)


def _largest_eigenvalue(
    hessian: Callable[[Weights], Weights],
    weights: Weights,
    iterations: int,
    generator: torch.Generator,
) -> tuple[float, bool]:
    """The algebraically largest eigenvalue, and whether the iteration settled.

    Power iteration finds the one of largest magnitude. Where that is negative, a second run on
    H − λI finds the largest.
    """
    value, converged = _power(hessian, weights, iterations, generator, shift=0.0)
    if value >= 0:
        return value, converged
    return _power(hessian, weights, iterations, generator, shift=value)


def _power(
    hessian: Callable[[Weights], Weights],
    weights: Weights,
    iterations: int,
    generator: torch.Generator,
    *,
    shift: float,
) -> tuple[float, bool]:
    vector = _unit({name: _drawn(weight, generator) for name, weight in weights.items()})
    value = 0.0
    for _ in range(iterations):
        product = moved(hessian(vector), vector, -shift)
        before, value = value, inner(vector, product)
        if abs(value - before) <= TOLERANCE * abs(value):
            return value + shift, True
        vector = _unit(product)
    return value + shift, False


def _unit(vector: Weights) -> Weights:
    length = max(inner(vector, vector) ** 0.5, 1e-30)
    return {name: values / length for name, values in vector.items()}


def _drawn(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(0, 2, like.shape, generator=generator).to(like) * 2 - 1


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _error(values: list[float]) -> float:
    """The standard error of a mean."""
    mean, n = _mean(values), len(values)
    variance = sum((value - mean) ** 2 for value in values) / max(1, n - 1)
    return float((variance / n) ** 0.5)
