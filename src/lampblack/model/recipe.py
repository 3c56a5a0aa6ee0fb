"""What a method is made of: its parameters, networks, training step and score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from lampblack.model.building import autoencoder_networks, reconstruction_score, reconstruction_step
from lampblack.model.parameters import Parameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lampblack.data.kind import Encoder
    from lampblack.networks import AutoencoderPair
    from lampblack.scores import Score
    from lampblack.training.single_process import Runner
    from lampblack.training.steps import TrainingStep

P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True)
class Recipe(Generic[P]):
    """Four values that make a detector of a method; `model/methods/` has one for each.

    parameters: the class of what it can be told. networks: builds them, before training, from the
    parameters, the encoder, the features that vary and a generator. step: what training repeats,
    from the parameters, what runs it, the networks, known anomalies (encoded, on the device, or
    None) and a seed. score: how samples are scored, before it has learned anything. Where one of
    the last three is not named, it is that of the plain autoencoder.
    """

    parameters: type[P]
    networks: Callable[[P, Encoder, Tensor, torch.Generator], AutoencoderPair] = (
        autoencoder_networks
    )
    step: Callable[[P, Runner, AutoencoderPair, Tensor | None, int], TrainingStep] = (
        reconstruction_step
    )
    score: Callable[[P], Score] = reconstruction_score


AnyRecipe: TypeAlias = Recipe[Any]
