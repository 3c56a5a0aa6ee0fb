"""AMA: an autoencoder against a critic of mirrored pairs, and scores by what the critic sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from lampblack.choices import AdversarialLoss, Atypical, Density, ScoreName
from lampblack.exceptions import InvalidInput
from lampblack.model.building import (
    autoencoder_networks,
    reconstruction_objective,
    reconstruction_score,
    reconstruction_step,
)
from lampblack.model.parameters import Parameters, given, parameter
from lampblack.model.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lampblack.data.kind import Encoder, Marks
    from lampblack.networks import AdversarialPair, AutoencoderPair, Critic
    from lampblack.scores import Score
    from lampblack.training.single_process import Runner
    from lampblack.training.steps import TrainingStep


@dataclass(kw_only=True, eq=False, repr=False)
class AMAParameters(Parameters):
    """What trains the critic, what the critic does to the autoencoder, and what scores."""

    score_by: ScoreName | None = parameter(
        None,
        """AMA: what to score by. "critic": ‖f(x, x) − f(x, x̂)‖₁, f the critic's last features.
        "typicality": how unusual that distance is, on either side. "mahalanobis" (this project's):
        how unusual the differences of all features are together. "joint" (likewise): how unusual
        reconstruction error, norm of the code and critic's distance are together, on either side.
        "reconstruction": the plain error, and the weighted norm of the code. All but the last hold
        `validation_fraction` of the rows out from training, to learn what is usual.""",
        flag="score",
        by_kind={"table": "reconstruction", "images": "joint"},
    )
    density: Density = parameter(
        "gaussian",
        """Of "typicality": a normal density, or a kernel estimate for skewed distances.""",
    )
    adversarial_weight: float = parameter(
        1.0,
        """Weight of −D(x, x̂) in the autoencoder's loss. With 0 no critic is trained, and training
        is that of the other detectors, to the bit.""",
        at_least=0,
    )
    reconstruction_weight: float | None = parameter(
        None,
        """Weight in the autoencoder's loss of what the other detectors minimise, error +
        latent_weight · ‖z‖₂; where it is 0, the latent term stays by itself. The authors have no
        reconstruction term.""",
        at_least=0,
        by_kind={"table": 100.0, "images": 10.0},
    )
    critic_loss: AdversarialLoss = parameter("wasserstein", "The critic's loss.")
    mirror: bool = parameter(
        True, "False: the critic sees x̂ alone, as in an ordinary adversarial autoencoder."
    )
    critic_steps: int = parameter(
        1, "Updates of the critic for each of the autoencoder, on the same batch.", at_least=1
    )
    critic_features: int | None = parameter(
        None,
        """Width of the critic's last features; network="ama-cifar10" brings its own critic, of
        128.""",
        at_least=1,
        by_kind={"table": 64, "images": 128},
    )
    gradient_penalty: float = parameter(10.0, "Weight of (‖∇D‖₂ − 1)²; 0 is off.", at_least=0)
    spectral_norm: bool = parameter(
        False, "Whether the critic's layers are divided by their largest singular value."
    )
    simplex_weight: float = parameter(
        0.2, "Weight of the adversarial loss of mixtures; 0 is off.", at_least=0
    )
    atypical: Atypical | None = parameter(
        "inward", "Which way codes are moved to make synthetic anomalies; None is off."
    )
    atypical_warm_up: float = parameter(
        0.1, "Share of `max_steps` before the first of them.", at_least=0, at_most=1
    )
    anomaly_share: float = parameter(
        0.1,
        "Share of a batch that synthetic anomalies take, and known ones again.",
        above=0,
        below=0.5,
    )
    anomaly_weight: float = parameter(
        5.0, "λ, the weight of an anomaly beside a normal sample.", above=0
    )
    supervision: Literal["labels"] | None = parameter(
        None,
        """"labels": `fit` is given y, +1 for normal samples and −1 for known anomalies. These train
        critic and autoencoder; they calibrate nothing and scale no column. None: y is ignored.""",
    )

    def check_together(self) -> None:
        """Raise InvalidInput, too, where a critic is asked for and none is trained."""
        super().check_together()
        if self.adversarial_weight == 0 and self.score_by in (
            "critic",
            "typicality",
            "mahalanobis",
        ):
            raise InvalidInput(
                f"score_by={self.score_by!r} needs a critic, and adversarial_weight=0 trains none; "
                'use score_by="reconstruction" or score_by="joint"'
            )
        if self.adversarial_weight == 0 and self.supervision is not None:
            raise InvalidInput(
                "labels train the critic, and adversarial_weight=0 trains none; give it a weight"
            )
        if self.reconstruction_weight == 0:
            if self.adversarial_weight == 0:
                raise InvalidInput(
                    "adversarial_weight and reconstruction_weight are both 0: nothing is trained"
                )
            if self.amplification is not None:
                raise InvalidInput(
                    "amplification acts on the reconstruction error, and reconstruction_weight "
                    "is 0; give it a weight"
                )

    def known_anomalies(self, y: object, n: int) -> Marks | None:
        """Which of n samples (n,) are known anomalies, by labels y of +1 and −1."""
        import numpy as np

        if self.supervision is None:
            return None
        labels = np.asarray(y)
        if y is None or labels.shape != (n,):
            got = "no y" if y is None else f"y of shape {labels.shape}"
            raise InvalidInput(f'supervision="labels" needs y of shape ({n},), and got {got}')
        known: Marks = labels == -1
        if not (known | (labels == 1)).all():
            raise InvalidInput("y must be +1 for normal samples and -1 for known anomalies")
        if given(self.batch_size) < 3:
            raise InvalidInput("labels need a batch_size of 3 at least, for a normal majority")
        if (~known).sum() < 2:
            raise InvalidInput("y must mark at least 2 samples as normal (+1)")
        return known


def adversarial_networks(
    parameters: AMAParameters, encoder: Encoder, varying: Tensor, generator: torch.Generator
) -> AutoencoderPair:
    """An autoencoder and a critic of pairs."""
    from lampblack.networks import AdversarialPair

    pair = autoencoder_networks(parameters, encoder, varying, generator)
    critic = _critic(parameters, encoder.shape, generator)
    return AdversarialPair(pair.encoder, pair.decoder, critic, varying)


def _critic(
    parameters: AMAParameters, shape: tuple[int, ...], generator: torch.Generator
) -> Critic:
    from lampblack.networks import ama_cifar10_critic, convolutional_critic, dense_critic

    mirror, features = parameters.mirror, given(parameters.critic_features)
    if parameters.network == "ama-cifar10":
        return ama_cifar10_critic(mirror=mirror, generator=generator)
    if len(shape) == 1:
        return dense_critic(
            shape[0],
            hidden=parameters.hidden,
            features=features,
            mirror=mirror,
            generator=generator,
        )
    channels, height, width = shape
    return convolutional_critic(
        (channels, height, width),
        width=given(parameters.width),
        depth=parameters.depth,
        features=features,
        mirror=mirror,
        generator=generator,
    )


def adversarial_step(
    parameters: AMAParameters,
    fabric: Runner,
    networks: AutoencoderPair,
    anomalies: Tensor | None,
    seed: int,
) -> TrainingStep:
    """Critic and autoencoder in turn; without a critic, the other detectors' step."""
    from lampblack.training.adversarial import AdversarialSettings, AdversarialStep

    if not parameters.adversarial_weight:
        return reconstruction_step(parameters, fabric, networks, anomalies, seed)
    settings = AdversarialSettings(
        reconstruction_weight=given(parameters.reconstruction_weight),
        adversarial_weight=parameters.adversarial_weight,
        form=parameters.critic_loss,
        critic_steps=parameters.critic_steps,
        gradient_penalty=parameters.gradient_penalty,
        spectral_norm=parameters.spectral_norm,
        simplex_weight=parameters.simplex_weight,
        atypical=parameters.atypical,
        warm_up=round(parameters.atypical_warm_up * given(parameters.max_steps)),
        anomaly_share=parameters.anomaly_share,
        anomaly_weight=parameters.anomaly_weight,
    )
    return AdversarialStep(
        fabric,
        cast("AdversarialPair", networks),
        reconstruction_objective(parameters, fabric),
        settings,
        learning_rate=given(parameters.learning_rate),
        seed=seed,
        anomalies=anomalies,
    )


def critic_score(parameters: AMAParameters) -> Score:
    """By what the critic sees, or as the other detectors score."""
    from lampblack.scores import CriticScore

    if parameters.score_by == "reconstruction":
        return reconstruction_score(parameters)
    return CriticScore(
        given(parameters.score_by),
        parameters.density,
        error=parameters.reconstruction_error,
        critic=parameters.adversarial_weight > 0,
    )


AMA = Recipe(
    parameters=AMAParameters,
    networks=adversarial_networks,
    step=adversarial_step,
    score=critic_score,
)
