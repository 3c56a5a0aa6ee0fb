"""The networks, training steps and scores that recipes name. torch is loaded when one is built."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from lampblack.exceptions import InvalidInput
from lampblack.model.parameters import Parameters, given

WORST = 0.01  # share of the positions of a map that make the score of its image

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lampblack.data.kind import Encoder
    from lampblack.networks import AutoencoderPair
    from lampblack.scores import ReconstructionScore
    from lampblack.training.single_process import Runner
    from lampblack.training.steps import ReconstructionObjective, TrainingStep


def autoencoder_networks(
    parameters: Parameters, encoder: Encoder, varying: Tensor, generator: torch.Generator
) -> AutoencoderPair:
    """An autoencoder before training, its first weights from `generator`.

    varying: which encoded features took more than one value; of images, one True. The user's own
    networks are copied.
    """
    from lampblack.networks import AutoencoderPair

    if parameters.networks is not None:
        first, second = copy.deepcopy(tuple(parameters.networks))
    else:
        first, second = _default_networks(parameters, encoder.shape, generator)
    return AutoencoderPair(first, second, varying)


def _default_networks(
    parameters: Parameters, shape: tuple[int, ...], generator: torch.Generator
) -> tuple[nn.Module, nn.Module]:
    from lampblack.networks import (
        PUBLISHED,
        context_networks,
        convolutional_networks,
        dense_networks,
        position_networks,
    )

    latent_dim = given(parameters.latent_dim)
    if len(shape) == 1:
        return dense_networks(
            shape[0],
            hidden=parameters.hidden,
            latent_dim=latent_dim,
            bounded=parameters.scaling_in_use == "minmax",
            generator=generator,
        )
    if parameters.network in PUBLISHED:
        wanted, build = PUBLISHED[parameters.network]
        if wanted != shape:
            raise InvalidInput(
                f"network={parameters.network!r} takes images of shape {wanted}, "
                f"and these have {shape}"
            )
        return build(latent_dim, generator)
    channels, height, width = shape
    if parameters.features is not None:
        build_maps = position_networks if parameters.network == "positions" else context_networks
        return build_maps(channels, latent_dim=latent_dim, generator=generator)
    return convolutional_networks(
        (channels, height, width),
        width=given(parameters.width),
        depth=parameters.depth,
        latent_dim=latent_dim,
        generator=generator,
    )


def reconstruction_objective(parameters: Parameters, fabric: Runner) -> ReconstructionObjective:
    """The error, amplified or not, and the weighted norm of the code."""
    from lampblack.training.steps import ReconstructionObjective

    return ReconstructionObjective(
        parameters.reconstruction_error,
        parameters.amplification,
        given(parameters.latent_weight),
        fabric,
    )


def reconstruction_step(
    parameters: Parameters,
    fabric: Runner,
    networks: AutoencoderPair,
    anomalies: Tensor | None,
    seed: int,
) -> TrainingStep:
    """Lower the reconstruction objective; known anomalies are not asked for."""
    from lampblack.training.steps import ReconstructionStep

    objective = reconstruction_objective(parameters, fabric)
    rate = given(parameters.learning_rate)
    return ReconstructionStep(fabric, networks, objective, learning_rate=rate)


def reconstruction_score(parameters: Parameters) -> ReconstructionScore:
    """The reconstruction error, and the weighted norm of the code."""
    from lampblack.scores import ReconstructionScore

    worst = WORST if parameters.features is not None else 1.0
    weight = given(parameters.latent_weight)
    return ReconstructionScore(parameters.reconstruction_error, weight, worst)
