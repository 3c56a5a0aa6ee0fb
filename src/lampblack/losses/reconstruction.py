"""How far a reconstruction is from its sample."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from lampblack.choices import ReconstructionErrorName
from lampblack.losses.similarity import structural_similarity

ELEMENTWISE = {  # one pass over memory, where x - x̂ and its square take two
    "l1": functional.l1_loss,
    "l2": functional.mse_loss,
    "l2_norm": functional.mse_loss,
}


def elementwise_error(x: Tensor, reconstruction: Tensor, name: ReconstructionErrorName) -> Tensor:
    """The error of every element: |x − x̂| for "l1", (x − x̂)² for "l2" and "l2_norm".

    For "ssim", (1 − SSIM) / 2 around every pixel of images (n, channels, height, width) in [0, 1].
    For "cosine", of maps (n, channels, h, w), (1 − cos) / 2 of a position's two vectors, in [0, 1],
    for each of its channels.
    x, reconstruction: the same shape (n, ...). Returns that shape.
    Raises ValueError where the shapes differ, since broadcasting would hide it.
    """
    if x.shape != reconstruction.shape:
        raise ValueError(
            f"a sample of shape {tuple(x.shape)} was reconstructed as {tuple(reconstruction.shape)}"
        )
    if name == "cosine":
        return _angles(x, reconstruction)
    if name == "ssim":
        return _dissimilarity(x, reconstruction)
    return ELEMENTWISE[name](reconstruction, x, reduction="none")


def reconstruction_error(
    x: Tensor,
    reconstruction: Tensor,
    name: ReconstructionErrorName,
    amplified: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """The error of every sample (n,), reduced over all other axes.

    "l2" is the mean of (x − x̂)², "l1" the mean of |x − x̂|, "ssim" the mean of (1 − SSIM) / 2,
    "cosine" that of (1 − cos) / 2, and "l2_norm" the Euclidean norm ‖x − x̂‖₂, not squared, as Toll
    has it (arXiv 2306.12627).
    `amplified` acts on the elementwise errors before the reduction; under "l2_norm" it acts on the
    squares inside the root.
    """
    error = elementwise_error(x, reconstruction, name)
    if amplified is not None:
        error = amplified(error)
    by_sample = error.flatten(start_dim=1)
    total = by_sample.sum(dim=1)  # divided as (n,): the slope of a mean is laid out per element
    return _root(total) if name == "l2_norm" else total / by_sample.shape[1]


def _dissimilarity(x: Tensor, reconstruction: Tensor) -> Tensor:
    """(1 − SSIM) / 2 around every pixel, in [0, 1].

    SSIM as Wang et al. 2004 have it: a Gaussian window of 11×11 pixels, σ = 1.5, for values in
    [0, 1]; beyond the border the image is mirrored. In float32 whatever the precision of training:
    it takes differences of nearly equal numbers.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    if torch.compiler.is_compiling():  # torchmetrics' cannot be exported
        return ((1 - structural_similarity(reconstruction, x)) / 2).clamp(0, 1)
    with torch.autocast(x.device.type, enabled=False):
        _, similarity = structural_similarity_index_measure(
            reconstruction.float(),
            x.float(),
            data_range=1.0,
            reduction="none",
            return_full_image=True,
        )
    return ((1 - similarity) / 2).clamp(0, 1)


def _angles(x: Tensor, reconstruction: Tensor) -> Tensor:
    """(1 − cos) / 2 of the vectors along the second axis, laid out along it: the shape of x."""
    cosine = functional.cosine_similarity(x, reconstruction, dim=1, eps=1e-6)
    return ((1 - cosine) / 2).clamp(0, 1)[:, None].expand_as(x)


def _root(squares: Tensor) -> Tensor:
    """Square root (n,) whose slope at 0 is 0: a perfect reconstruction must not give NaN."""
    return torch.sqrt(squares.clamp(min=1e-30))
