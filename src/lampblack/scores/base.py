"""What a score is, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from lampblack.data.kind import Encoder
from lampblack.networks import AutoencoderPair


@dataclass(frozen=True)
class Scored:
    """The anomaly scores of a batch and their two parts, all (n,).

    error: of the reconstruction, or by a critic; remainder: the weighted norm of the code.
    """

    error: Tensor
    remainder: Tensor

    @property
    def score(self) -> Tensor:
        """The anomaly score: error + remainder, non-negative."""
        return self.error + self.remainder

    def first(self, n: int) -> Scored:
        """The first n samples."""
        return Scored(self.error[:n], self.remainder[:n])


class Passed(NamedTuple):
    """Samples x (n, ...) that went through the networks: codes z (n, latent), reconstructions."""

    x: Tensor
    z: Tensor
    reconstruction: Tensor


class Score(nn.Module, ABC):
    """How samples that went through fitted networks are scored, and why.

    `networks` is the module that was trained. Whatever a score learns from data it keeps itself, in
    buffers, which are saved beside the weights.
    """

    remainder_name: ClassVar[str] = "latent"
    needs_reference: ClassVar[bool] = False
    by_row: ClassVar[bool] = False
    """Whether some of a block's samples, by the 64, have the bits that they have among all."""

    of_training_only: ClassVar[bool] = False
    """Whether no sample that validates or calibrates is ever remembered."""

    @property
    def memory(self) -> int:
        """How many of the samples that trained it wants to `remember`, at most."""
        return 0

    @property
    def watched(self) -> Score:
        """The part by which a collapse is noticed in training."""
        return self

    def of_remembered(self) -> Score:
        """The score for samples that calibrate though they are among those remembered."""
        return self

    def prepare(self, encoder: Encoder, networks: AutoencoderPair) -> None:
        """Make room for what is to be learned, or loaded, about such samples and networks."""

    def warm_up(self) -> None:
        """Compute what all calls share, before several threads call."""

    @abstractmethod
    def forward(self, networks: AutoencoderPair, passed: Passed) -> Scored:
        """The scores of a batch."""

    def __call__(self, networks: AutoencoderPair, passed: Passed) -> Scored:
        scored: Scored = super().__call__(networks, passed)
        return scored

    @abstractmethod
    def explain(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> tuple[Tensor, Tensor]:
        """What every element adds to the scores, the shape of x, and the remainders (n,).

        Sample by sample they sum to the score. at_once: how many samples fit through the networks
        together.
        """

    def attribute_remainder(
        self, networks: AutoencoderPair, passed: Passed, at_once: int
    ) -> Tensor:
        """Which elements move the remainder, signed, the shape of x; zeros where nothing is said.

        See `Explanation.attributed`.
        """
        return passed.x.new_zeros(passed.x.shape)

    def remember(self, networks: AutoencoderPair, batches: Iterable[Tensor]) -> None:
        """Keep samples, in batches (n, ...), if `memory` asks for any."""

    def fit(self, networks: AutoencoderPair, reference: Iterable[Passed]) -> None:
        """Learn what is normal from samples that were not trained on, if `needs_reference`."""
