"""The networks and the score that a detector's parameters stand for.

Loading a model builds both, and so does fitting one; neither needs the detector itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lampblack.data.samples import Encoder
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.scaling import Scaling
from lampblack.networks import (
    PUBLISHED,
    AdversarialPair,
    AutoencoderPair,
    Critic,
    ama_cifar10_critic,
    convolutional_critic,
    convolutional_networks,
    dense_critic,
    dense_networks,
)
from lampblack.scores import CriticScore, NearestScore, ReconstructionScore, Score
from lampblack.scores.nearest.memory import RememberingPair

Parameters = Mapping[str, Any]  # of a detector, every default filled in
Networks = tuple[nn.Module, nn.Module]
BuildNetworks = Callable[[Parameters, Encoder, Tensor, torch.Generator], AutoencoderPair]
BuildScore = Callable[[Parameters], Score]


def resolved_scaling(parameters: Parameters) -> Scaling:
    """The scaling in use, "auto" resolved."""
    if parameters["scaling"] == "auto":
        return "minmax" if parameters["amplification"] == "log" else "standard"
    return "minmax" if parameters["scaling"] == "minmax" else "standard"


def autoencoder_networks(
    parameters: Parameters, encoder: Encoder, varying: Tensor, generator: torch.Generator
) -> AutoencoderPair:
    """An autoencoder before training, its first weights from `generator`.

    varying: which encoded features of a table took more than one value; of images, one True. The
    user's own networks are copied.
    """
    if parameters["networks"] is not None:
        first, second = copy.deepcopy(tuple(parameters["networks"]))
    else:
        first, second = _default_networks(parameters, encoder.shape, generator)
    return AutoencoderPair(first, second, varying)


def _default_networks(
    parameters: Parameters, shape: tuple[int, ...], generator: torch.Generator
) -> Networks:
    if len(shape) == 1:
        return dense_networks(
            shape[0],
            hidden=parameters["hidden"],
            latent_dim=parameters["latent_dim"],
            bounded=resolved_scaling(parameters) == "minmax",
            generator=generator,
        )
    if parameters["network"] in PUBLISHED:
        return PUBLISHED[parameters["network"]][1](parameters["latent_dim"], generator)
    channels, height, width = shape
    return convolutional_networks(
        (channels, height, width),
        width=parameters["width"],
        depth=parameters["depth"],
        latent_dim=parameters["latent_dim"],
        generator=generator,
    )


def reconstruction_score(parameters: Parameters) -> ReconstructionScore:
    """The reconstruction error, and the weighted norm of the code."""
    return ReconstructionScore(parameters["reconstruction_error"], parameters["latent_weight"])


def remembering_networks(
    parameters: Parameters, encoder: Encoder, varying: Tensor, generator: torch.Generator
) -> AutoencoderPair:
    """The recommended detector's: an autoencoder, and room for the samples it will remember."""
    pair = autoencoder_networks(parameters, encoder, varying, generator)
    numbers = torch.from_numpy(encoder.numbers) if isinstance(encoder, TableEncoder) else None
    return RememberingPair(pair.encoder, pair.decoder, varying, encoder.shape, numbers)


def nearest_score(parameters: Parameters) -> Score:
    """The recommended detector's: the network's score beside distances to normal samples."""
    return NearestScore(
        reconstruction_score(parameters),
        k=parameters["n_neighbors"],
        memory=parameters["memory_size"],
        weights=parameters["part_weights"],
    )


def adversarial_networks(
    parameters: Parameters, encoder: Encoder, varying: Tensor, generator: torch.Generator
) -> AutoencoderPair:
    """AMA's: an autoencoder and a critic of pairs."""
    pair = autoencoder_networks(parameters, encoder, varying, generator)
    critic = _critic(parameters, encoder.shape, generator)
    return AdversarialPair(pair.encoder, pair.decoder, critic, varying)


def _critic(parameters: Parameters, shape: tuple[int, ...], generator: torch.Generator) -> Critic:
    if parameters["network"] == "ama-cifar10":
        return ama_cifar10_critic(mirror=parameters["mirror"], generator=generator)
    if len(shape) == 1:
        return dense_critic(
            shape[0],
            hidden=parameters["hidden"],
            features=parameters["critic_features"],
            mirror=parameters["mirror"],
            generator=generator,
        )
    channels, height, width = shape
    return convolutional_critic(
        (channels, height, width),
        width=parameters["width"],
        depth=parameters["depth"],
        features=parameters["critic_features"],
        mirror=parameters["mirror"],
        generator=generator,
    )


def critic_score(parameters: Parameters) -> Score:
    """AMA's: by what the critic sees, or as the other detectors score."""
    if parameters["score_by"] == "reconstruction":
        return reconstruction_score(parameters)
    return CriticScore(
        parameters["score_by"],
        parameters["density"],
        error=parameters["reconstruction_error"],
        critic=parameters["adversarial_weight"] > 0,
    )


class Method(NamedTuple):
    """What distinguishes a fitted detector of one class from that of another.

    own_parameters: those it takes beside the `COMMON` ones. They are named here, too, since a model
    that names others is of another lampblack, and may mean another score.
    """

    build_networks: BuildNetworks = autoencoder_networks
    build_score: BuildScore = reconstruction_score
    own_parameters: frozenset[str] = frozenset()


_COMMON = """
reconstruction_error amplification latent_weight hidden network width depth image_size latent_dim
networks scaling types batch_size max_steps learning_rate schedule early_stopping
validation_fraction patience false_alarm_rate contamination device precision random_state verbose
"""
_OF_AMA = """
score_by density adversarial_weight reconstruction_weight critic_loss mirror critic_steps
critic_features gradient_penalty spectral_norm simplex_weight atypical atypical_warm_up
anomaly_share anomaly_weight supervision
"""
_OF_LAMPBLACK = "n_neighbors part_weights memory_size"

COMMON = frozenset(_COMMON.split())
PLAIN = Method()
METHODS: dict[str, Method] = {
    "AMADetector": Method(adversarial_networks, critic_score, frozenset(_OF_AMA.split())),
    "AutoencoderDetector": PLAIN,
    "LAMPDetector": PLAIN,
    "LampblackDetector": Method(
        remembering_networks, nearest_score, frozenset(_OF_LAMPBLACK.split())
    ),
    "TollDetector": PLAIN,
}  # by class


def check_names(detector: str, parameters: Parameters) -> None:
    """Raise ValueError where these are not the parameters of the detector, of a class here."""
    expected = COMMON | METHODS[detector].own_parameters
    if differing := expected ^ parameters.keys():
        raise ValueError(f"{detector} does not take, or lacks, {', '.join(sorted(differing))}")


def initial_networks(
    method: Method, parameters: Parameters, encoder: Encoder, seed: int
) -> AutoencoderPair:
    """The networks before training."""
    generator = torch.Generator().manual_seed(seed)
    varying = torch.from_numpy(encoder.varying)
    if not varying.any():
        varying = torch.ones_like(varying)
    return method.build_networks(parameters, encoder, varying, generator)
