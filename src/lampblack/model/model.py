"""A fitted model: a value that scores, explains, reconstructs and encodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lampblack.calibration import Calibration
from lampblack.data.kind import AnyKind, Encoder, Event, Samples
from lampblack.data.kinds import kind_of
from lampblack.explanation import Explanation, Values
from lampblack.model.blocks import Block, Blocks, to_float64
from lampblack.model.parameters import Parameters
from lampblack.networks import AutoencoderPair
from lampblack.number_text import number
from lampblack.results import Decisions
from lampblack.scores import Passed, Score

DRIFT = 0.01  # p-value below which scores are said to have moved
MOVED = "samples of a recalibration are scored otherwise than those that calibrated before"
REPEATED = "calibration samples equal a training sample"  # by which that note is known


@dataclass(frozen=True)
class Facts:
    """What became of a fit, beside what it learned.

    rows: how many samples trained, validated and calibrated. history: a record an epoch. notes:
    warnings given while fitting. reading: how the fitted file was written. versions, threads: those
    that fitted it.
    """

    rows: dict[str, int]
    history: list[dict[str, Any]]
    notes: list[str]
    versions: dict[str, str]
    threads: int
    reading: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model(Decisions):
    """What a fit makes, a folder holds, and service, export and report rest on.

    detector: the class that was fitted. parameters: its parameters, defaults filled in; filled_in:
    the names of those. networks and score: on one device, after training. Nothing of it changes:
    `recalibrated` gives another model.
    """

    detector: str
    parameters: Parameters
    filled_in: tuple[str, ...]
    schema: Any
    encoder: Encoder
    networks: AutoencoderPair
    score: Score
    calibration: Calibration
    facts: Facts

    @property
    def kind(self) -> AnyKind:
        """The kind of data that it takes."""
        return kind_of(self.schema)

    @property
    def reading(self) -> Mapping[str, Any]:
        """How the fitted file was written."""
        return self.facts.reading

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.blocks.device

    @property
    def blocks(self) -> Blocks:
        """What takes samples through its networks."""
        return Blocks(self.networks, self.encoder, self.kind.block_size(self.encoder.shape))

    @property
    def at_once(self) -> int:
        """How many samples go through the networks together where their gradients are kept."""
        return 4 * self.blocks.size

    @property
    def _calibration(self) -> Calibration:
        return self.calibration

    def checked(self, X: object) -> Samples:
        """X as samples of the fitted schema. Raises SchemaMismatch or InvalidInput."""
        samples: Samples = self.kind.check(X, self.schema, self.detector)
        return samples

    def anomaly_score(self, X: object) -> Values:
        """How anomalous each sample is (n,), higher for more; finite and non-negative.

        NaN for a sample that has no score, for want of what came before it.
        """
        samples = self.checked(X)
        return self.blocks.all_scores(
            samples,
            self.score,
            reentrant=self.parameters.networks is None,
            unscored=self.kind.unscored(samples),
        )

    def events(self, X: object) -> list[Event] | None:
        """Alarms that belong together, in order; None where every sample stands for itself."""
        samples = self.checked(X)
        scores = self.anomaly_score(samples)
        return self.kind.events(samples, scores > self.calibration.threshold, scores)

    def explain(self, X: object) -> Explanation:
        """What every part of a sample adds to its score, as its kind of data has parts."""
        contributions, remainders, attributed = [], [], []
        samples = self.checked(X)
        for block in self.blocks.scored(samples, self.score):
            parts, remainder = self.score.explain(self.networks, block.passed, self.at_once)
            contributions.append(self.encoder.fold(parts.cpu().numpy()))
            remainders.append(to_float64([remainder]))
            attributed.append(self.encoder.fold(self._attribute_remainder(block).cpu().numpy()))
        none = self.encoder.fold(np.zeros((0, *self.encoder.shape), np.float32))
        return self.kind.explanation(
            self.schema,
            {
                "contributions": np.concatenate([none, *contributions]),
                "remainder": self._where_scored(samples, remainders),
                "remainder_name": self.score.remainder_name,
                "attributed": np.concatenate([none, *attributed]),
            },
        )

    def reconstruct(self, X: object) -> Any:
        """What the network expects in place of each sample.

        Images: float32 (n, channels, height, width), mostly in [0, 1]. An array (n, d): the same,
        in the columns' own units; a named table: a pyarrow table of the same columns, less the
        dates, of which only cycles are encoded.
        """
        none = torch.zeros(0, *self.encoder.shape)
        parts = [passed.reconstruction.cpu() for passed in self._passed(X)]
        return self.kind.reconstructed(self.encoder, torch.cat([none, *parts]).numpy())

    def encode(self, X: object) -> npt.NDArray[np.float32]:
        """The codes z (n, latent) of the samples."""
        codes = [passed.z.flatten(start_dim=1).cpu() for passed in self._passed(X)]
        return np.asarray(torch.cat(codes).numpy()) if codes else np.zeros((0, 0), np.float32)

    def encoded(self, X: object) -> Tensor:
        """X as the networks take it (n, ...), on the device."""
        return self.blocks.all_encoded(self.checked(X), self.at_once)

    def recalibrated(self, X: object, false_alarm_rate: float) -> Model:
        """The same model with a threshold from new normal samples X; see `recalibrate`."""
        calibration = Calibration.held_out(self.anomaly_score(X), false_alarm_rate)
        before, facts = self.calibration, self.facts
        notes = [note for note in facts.notes if note != before.shortfall and REPEATED not in note]
        drift = before.drift(calibration.scores)
        if drift is not None and drift.p_value < DRIFT:
            notes.append(
                f"{MOVED} ({len(before.scores)} of them; Kolmogorov-Smirnov statistic "
                f"{drift.statistic:.3f}, p = {number(drift.p_value)}): the data have moved since; "
                "the threshold follows, what was learned does not: fit again"
            )
        return dataclasses.replace(
            self,
            parameters=self.parameters.replaced(false_alarm_rate=false_alarm_rate),
            calibration=calibration,
            facts=dataclasses.replace(
                facts,
                notes=with_shortfall(notes, calibration),
                rows={**facts.rows, "calibration": len(calibration.scores)},
            ),
        )

    def read_as(self, ignored: Sequence[str], reading: Mapping[str, Any]) -> Model:
        """The same model, which knows how its file was written, and what columns it passes over."""
        return dataclasses.replace(
            self,
            schema=self.schema.model_copy(update={"ignored": tuple(ignored)}),
            facts=dataclasses.replace(self.facts, reading=dict(reading)),
        )

    def _where_scored(self, samples: Samples, parts: list[Values]) -> Values:
        """Values (n,) of some samples after others, NaN for those that have no score."""
        values, unscored = np.concatenate([np.zeros(0), *parts]), self.kind.unscored(samples)
        return values if unscored is None else np.where(unscored, np.nan, values)

    def _passed(self, X: object) -> Iterator[Passed]:
        return self.blocks.passed(self.checked(X))

    def _attribute_remainder(self, block: Block) -> Tensor:
        """Which elements move the remainder (n, ...), for alarms that rest on it."""
        attributed = torch.zeros_like(block.passed.x)
        alarm = block.scored.score.cpu().double() > self.calibration.threshold
        mostly = (block.scored.remainder > block.scored.error).cpu()
        rows = (alarm & mostly).nonzero().flatten().to(attributed.device)
        if len(rows):
            passed = Passed(*(part[rows] for part in block.passed))
            attributed[rows] = self.score.attribute_remainder(self.networks, passed, self.at_once)
        return attributed


def as_model(fitted: Any) -> Model:
    """The model of a fitted detector, or what is a model already."""
    model: Model = getattr(fitted, "model_", fitted)
    return model


def with_shortfall(notes: list[str], calibration: Calibration) -> list[str]:
    """Notes, and one more where a threshold promises less than was asked for."""
    shortfall = calibration.shortfall
    return notes if shortfall is None or shortfall in notes else [*notes, shortfall]
