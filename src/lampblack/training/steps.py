"""What is done with one batch. A method brings its own step; the loop repeats it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lampblack.choices import Amplification, ReconstructionErrorName
from lampblack.losses import amplify, amplify_rescaled, latent_norm, reconstruction_error
from lampblack.networks import AutoencoderPair
from lampblack.training.adam import FlatAdam
from lampblack.training.ranks import Ranks
from lampblack.training.single_process import Runner

Terms = dict[str, Tensor]


class TrainingStep(ABC):
    """One update of the weights, and everything that has to survive an interruption.

    networks: the module that is trained, on the device. optimizers: in a fixed order. falling: the
    term that training must lower to be of use.
    """

    falling: ClassVar[str] = "loss"

    networks: nn.Module
    optimizers: list[torch.optim.Optimizer]

    @abstractmethod
    def update(self, batch: Tensor) -> Terms:
        """Change the weights once; return the terms of the loss as detached scalars.

        batch: (n, ...) on the device. "loss", the whole objective, is among the terms.
        """

    @abstractmethod
    def losses(self, batch: Tensor) -> Tensor:
        """What to validate by, a value per sample (n,); changes nothing."""

    def set_learning_rate(self, rate: float) -> None:
        """Set the rate of every optimiser."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate

    def extra_state(self) -> dict[str, Tensor]:
        """Tensors beside weights and optimisers that the next update depends on."""
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:  # noqa: B027, optional
        """Put back what `extra_state` gave."""

    def finish(self) -> None:  # noqa: B027, optional
        """Take away from the networks what training alone needs."""


class ReconstructionObjective:
    """The error of every sample, amplified where asked for; and the norm of its code, weighed.

    Keeps what "quantile" amplification needs: a running quantile of the batches' own errors.
    """

    QUANTILE = 0.99
    MEMORY = 0.95

    def __init__(
        self,
        error: ReconstructionErrorName,
        amplification: Amplification | None,
        latent_weight: float,
        fabric: Runner,
    ) -> None:
        self._error: ReconstructionErrorName = error
        self._amplification = amplification
        self.latent_weight = latent_weight
        self._ranks = Ranks.of(fabric)
        self.scale = torch.zeros((), device=fabric.device)  # 0: no batch seen yet

    def error(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The error to train by (n,); moves the running quantile."""
        if self._amplification is None:
            return reconstruction_error(x, reconstruction, self._error)
        if self._amplification == "log":
            return reconstruction_error(x, reconstruction, self._error, amplify)
        return reconstruction_error(x, reconstruction, self._error, self._amplify_rescaled)

    def latent(self, z: Tensor) -> Tensor:
        """latent_weight · ‖z‖₂ (n,)."""
        return self.latent_weight * latent_norm(z)

    def plain(self, x: Tensor, z: Tensor, reconstruction: Tensor) -> Tensor:
        """The objective (n,) without amplification, whose scale moves."""
        error = reconstruction_error(x, reconstruction, self._error)
        return error + self.latent(z) if self.latent_weight else error

    def _amplify_rescaled(self, errors: Tensor) -> Tensor:
        self._follow_scale(errors.detach().flatten())
        return amplify_rescaled(errors, self.scale.clamp(min=1e-12))

    def _follow_scale(self, errors: Tensor) -> None:
        """Move the scale towards the high quantile of this batch's elementwise errors.

        Of several processes, each with its part of the batch, towards the mean of their quantiles:
        all keep the same scale.
        """
        rank = max(1, round(self.QUANTILE * len(errors)))
        quantile = self._ranks.mean(errors.kthvalue(rank).values)
        memory = torch.where(self.scale > 0, self.MEMORY, 0.0)
        self.scale = memory * self.scale + (1 - memory) * quantile


class ReconstructionStep(TrainingStep):
    """Minimise mean error(x, x̂), amplified or not, plus latent_weight · mean ‖z‖₂, with Adam.

    One step serves the plain autoencoder, LAMP, Toll and LAMP × Toll: they differ in their
    objective's parameters alone (docs/methods).
    """

    def __init__(
        self,
        fabric: Runner,
        networks: AutoencoderPair,
        objective: ReconstructionObjective,
        *,
        learning_rate: float,
    ) -> None:
        self._fabric = fabric
        self._wrapped: Any = fabric.setup_module(networks)
        trained = [*networks.encoder.parameters(), *networks.decoder.parameters()]
        self._adam = FlatAdam(trained, lr=learning_rate, flat=not _scales_losses(fabric))
        self._optimizer: Any = fabric.setup_optimizers(self._adam)
        self.networks = networks
        self.optimizers = [self._adam]
        self._objective = objective

    def update(self, batch: Tensor) -> Terms:
        """One step of Adam on the batch's mean objective."""
        z, reconstruction = self._wrapped(batch)  # (n, latent), (n, ...)
        error = self._objective.error(batch, reconstruction).mean()
        terms = {"reconstruction": error}
        loss = error
        if self._objective.latent_weight:
            terms["latent"] = self._objective.latent(z).mean()
            loss = error + terms["latent"]
        self._adam.zero_grad()
        self._fabric.backward(loss)
        self._optimizer.step()
        return {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}}

    def losses(self, batch: Tensor) -> Tensor:
        """The objective of every sample (n,) without amplification."""
        return self._objective.plain(batch, *self._wrapped(batch))

    def extra_state(self) -> dict[str, Tensor]:
        """The running quantile of the errors."""
        return {"amplification_scale": self._objective.scale}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        self._objective.scale = state["amplification_scale"].to(self._objective.scale)

    def finish(self) -> None:
        """Give every weight memory of its own again."""
        self._adam.restore()


def _scales_losses(fabric: Runner) -> bool:
    """Whether losses are scaled ("16-mixed"), by what unscales the optimiser's own parameters."""
    precision = getattr(getattr(fabric, "strategy", None), "precision", None)
    return getattr(precision, "scaler", None) is not None
