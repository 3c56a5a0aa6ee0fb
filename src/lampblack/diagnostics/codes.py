"""The codes: how long they are, over training too, and how much the decoder can express."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jacfwd, jacrev, vmap

from lampblack.choices import ReconstructionErrorName
from lampblack.diagnostics.chosen import encoded
from lampblack.diagnostics.time_limit import NO_LIMIT, TimeLimit
from lampblack.explanation import Values
from lampblack.losses import latent_norm, reconstruction_error
from lampblack.model.model import Model, as_model
from lampblack.networks import AutoencoderPair
from lampblack.training.callbacks import Callback, Record
from lampblack.training.schedule import Budget

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_SAMPLES = 64  # of which a Jacobian is taken
MOST_OUTPUTS = 1 << 19  # of decoders whose Jacobians are taken together


class Recorder(Callback, ABC):
    """Looks at groups of samples before training and after every epoch; changes nothing.

    groups: samples by name, as `fit` takes them. `records` holds, for every look and group, the
    quantiles 5, 25, 50, 75 and 95 % of what is measured: {"step", "group", name: [5 values]}.
    """

    def __init__(self, groups: Mapping[str, object]) -> None:
        self.groups = dict(groups)
        self.records: list[dict[str, Any]] = []

    @abstractmethod
    def measure(self, networks: AutoencoderPair, x: Tensor) -> dict[str, Tensor]:
        """What is measured of samples x (n, ...), by name: values (n,)."""

    def on_networks(self, networks: AutoencoderPair, encode: Callable[[object], Tensor]) -> None:
        self.records = []
        self._networks = networks
        self._encoded = {name: encode(X) for name, X in self.groups.items()}

    def on_fit_start(self, budget: Budget, first_step: int) -> None:
        """Look at the networks before they are trained."""
        training = self._networks.training
        self._networks.eval()
        self._look(first_step)
        self._networks.train(training)

    def on_epoch_end(self, record: Record) -> None:
        self._look(int(record["step"]))

    @torch.no_grad()
    def _look(self, step: int) -> None:
        for group, x in self._encoded.items():
            measured = self.measure(self._networks, x)
            quantiles = {
                name: np.quantile(values.cpu().double().numpy(), QUANTILES).tolist()
                for name, values in measured.items()
            }
            self.records.append({"step": step, "group": group, **quantiles})


class CodeNorms(Recorder):
    """‖z‖₂ and the reconstruction error of groups of samples over training.

    error: which reconstruction error, plain.

    >>> import numpy as np
    >>> from lampblack import TollDetector
    >>> from lampblack.diagnostics import CodeNorms
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> norms = CodeNorms({"normal": normal[:50], "far": normal[:50] + 5})
    >>> detector = TollDetector(max_steps=50, hidden=(16,), random_state=0)
    >>> detector = detector.fit(normal, callbacks=[norms])
    >>> first, last = norms.records[0], norms.records[-2]
    >>> first["group"], first["step"], last["step"], last["norm"][2] < first["norm"][2]
    ('normal', 0, 50, True)
    """

    def __init__(
        self, groups: Mapping[str, object], *, error: ReconstructionErrorName = "l2_norm"
    ) -> None:
        super().__init__(groups)
        self._error: ReconstructionErrorName = error

    def measure(self, networks: AutoencoderPair, x: Tensor) -> dict[str, Tensor]:
        z, reconstruction = networks(x)
        error = reconstruction_error(x, reconstruction, self._error)
        return {"norm": latent_norm(z), "error": error}


@dataclass(frozen=True)
class DecoderSpectrum:
    """What the decoder can express at the codes of normal samples, J = ∂G/∂z.

    singular_values: (n, k), of J at every code, descending. code_norms: (n,).
    """

    singular_values: Values
    code_norms: Values

    @property
    def effective_rank(self) -> float:
        """The mean over samples of exp(−Σ p ln p), p = σ / Σσ (Roy & Vetterli 2007).

        Between 1, where one direction of the code does all, and k; 0 where J is 0.
        """
        total = self.singular_values.sum(axis=1, keepdims=True)
        p = np.divide(
            self.singular_values, total, out=np.zeros_like(self.singular_values), where=total > 0
        )
        entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1)
        return float(np.where(total[:, 0] > 0, np.exp(entropy), 0).mean())

    @property
    def largest(self) -> float:
        """The mean over samples of the largest singular value."""
        return float(self.singular_values[:, 0].mean())


def decoder_spectrum(
    detector: Model,
    X: object,
    *,
    most: int = MOST_SAMPLES,
    seed: int = 0,
    limit: TimeLimit = NO_LIMIT,
) -> DecoderSpectrum:
    """Singular values of the decoder's Jacobian at the codes of normal samples X.

    most: how many samples, drawn with the seed. Batch norms work as in scoring. Raises InvalidInput
    where the limit is over first.

    >>> import numpy as np
    >>> from lampblack import TollDetector
    >>> from lampblack.diagnostics import decoder_spectrum
    >>> normal = np.random.default_rng(0).normal(size=(500, 4))
    >>> detector = TollDetector(max_steps=50, hidden=(16,), random_state=0).fit(normal)
    >>> found = decoder_spectrum(detector, normal)
    >>> found.singular_values.shape, 1 <= found.effective_rank <= 4
    ((64, 4), True)
    """
    networks = as_model(detector).networks
    with torch.no_grad():
        z = networks.encode(encoded(detector, X, most, seed=seed))
    return DecoderSpectrum(
        jacobian_singular_values(networks.decode, z, limit), latent_norm(z).cpu().double().numpy()
    )


def jacobian_singular_values(
    decode: Callable[[Tensor], Tensor], z: Tensor, limit: TimeLimit = NO_LIMIT
) -> Values:
    """Singular values (n, k) of ∂decode/∂z at every code z (n, ...), descending.

    decode: (n, ...) to (n, ...), every sample by itself.
    """

    def single(code: Tensor) -> Tensor:
        return decode(code[None])[0].flatten()

    with torch.no_grad():
        width = single(z[0]).numel()
    differentiate = jacfwd if z[0].numel() < width else jacrev
    found = []
    with warnings.catch_warnings():  # torch warns of itself when it first differentiates forward
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        at_once = max(1, min(16, MOST_OUTPUTS // width))  # a Jacobian of images is large
        for codes in torch.split(z, at_once):
            limit.ask()
            try:
                jacobians = vmap(differentiate(single))(codes)
            except RuntimeError:  # a user's own network may hold what torch.func cannot batch
                jacobians = torch.stack(
                    [torch.autograd.functional.jacobian(single, code) for code in codes]  # type: ignore[no-untyped-call]
                )
            matrices = jacobians.detach().reshape(len(codes), width, -1).cpu().double()
            found.append(torch.linalg.svdvals(matrices).numpy())
    return np.concatenate(found)
