"""What a fitted detector does: score, decide, explain, reconstruct."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from lampblack.calibration import Calibration, DecisionsMixin
from lampblack.data.blocks import block_size
from lampblack.data.checking import check_samples, joined_scores
from lampblack.data.images.schema import ImageSchema
from lampblack.data.samples import CheckedSamples, Encoder
from lampblack.data.tables.encoder import TableEncoder
from lampblack.explanation import Explanation, ImageExplanation, TableExplanation
from lampblack.model.blocks import (
    Block,
    block_scores,
    passed_blocks,
    scored_blocks,
    to_float64,
)
from lampblack.model.recipe import Method
from lampblack.networks import AutoencoderPair
from lampblack.scores import Passed, Score

Values = npt.NDArray[np.float64]


class ScoringMixin(DecisionsMixin):
    """Scores and what follows from them, of whatever has the attributes of a fitted detector.

    The attributes are those of `ReconstructionDetector`. Neither scikit-learn nor anything that
    trains is imported: loading a model to score with it must not wait for them.
    """

    networks_: AutoencoderPair
    encoder_: Encoder
    schema_: Any  # Schema or ImageSchema
    parameters_: dict[str, Any]
    history_: list[dict[str, Any]]
    rows_: dict[str, int]
    notes_: list[str]
    reading_: dict[str, Any]
    versions_: dict[str, str]
    threads_: int
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    @property
    @abstractmethod
    def _name(self) -> str:
        """The detector's class."""

    @property
    @abstractmethod
    def _method(self) -> Method:
        """What builds its networks and its score."""

    @abstractmethod
    def _as_array(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        """What is no table as an array (n, d) of numbers. Raises InvalidInput."""

    @abstractmethod
    def _refuse_unfitted(self) -> None:
        """Raise where nothing can be scored yet."""

    def _build_score(self) -> Score:
        """How samples are scored, and explained."""
        return self._method.build_score(self.parameters_)

    def anomaly_score(self, X: Any) -> Values:
        """How anomalous each sample is (n,), higher for more; finite and non-negative."""
        return self._score_checked(self._checked(X))

    def explain(self, X: Any) -> Explanation:
        """What every column or pixel adds to each score: (n, columns) or (n, height, width).

        A `TableExplanation` or an `ImageExplanation`.
        """
        contributions, remainders, attributed = [], [], []
        samples = self._checked(X)
        score = self._build_score()
        for block in self._blocks(samples):
            parts, remainder = score.explain(self.networks_, block.passed, self._at_once)
            contributions.append(self.encoder_.fold(parts.cpu().numpy()))
            remainders.append(to_float64([remainder]))
            attributed.append(
                self.encoder_.fold(self._attribute_remainder(score, block).cpu().numpy())
            )
        none = self.encoder_.fold(np.zeros((0, *self.encoder_.shape), np.float32))
        parts_of_all: dict[str, Any] = {
            "contributions": np.concatenate([none, *contributions]),
            "remainder": np.concatenate([np.zeros(0), *remainders]),
            "remainder_name": score.remainder_name,
            "attributed": np.concatenate([none, *attributed]),
        }
        if isinstance(self.schema_, ImageSchema):
            return ImageExplanation(**parts_of_all)
        return TableExplanation(columns=tuple(self.schema_.names), **parts_of_all)

    def reconstruct(self, X: Any) -> Any:
        """What the network expects in place of each sample.

        Images: float32 (n, channels, height, width), mostly in [0, 1]. An array (n, d): the same,
        in the columns' own units; a named table: a pyarrow table of the same columns, less the
        dates, of which only cycles are encoded.
        """
        passed = self._passed(X)
        none = torch.zeros(0, *self.encoder_.shape)
        features = torch.cat([none, *(block.reconstruction.cpu() for block in passed)]).numpy()
        if not isinstance(self.encoder_, TableEncoder):
            return features
        columns = self.encoder_.decode(features)
        return pa.table(columns) if self.schema_.named else np.column_stack(list(columns.values()))

    def encode(self, X: Any) -> npt.NDArray[np.float32]:
        """The codes z (n, latent) of the rows."""
        passed = self._passed(X)
        codes = [block.z.flatten(start_dim=1).cpu() for block in passed]
        return np.asarray(torch.cat(codes).numpy()) if codes else np.zeros((0, 0), np.float32)

    def _checked(self, X: Any) -> CheckedSamples:
        self._refuse_unfitted()
        return self._checked_by_schema(X)

    def _checked_by_schema(self, X: Any) -> CheckedSamples:
        return check_samples(X, self.schema_, self._name, self._as_array)

    def _passed(self, X: Any) -> Iterator[Passed]:
        samples = self._checked(X)
        return passed_blocks(self.networks_, self.encoder_, samples)

    def _blocks(self, samples: CheckedSamples) -> Iterator[Block]:
        return scored_blocks(self.networks_, self.encoder_, samples, self._build_score())

    def _score_checked(self, samples: CheckedSamples, score: Score | None = None) -> Values:
        """Anomaly scores (n,) of checked samples, by the detector's own score or another."""
        score = self._build_score() if score is None else score
        own = self.parameters_["networks"] is not None
        scores = block_scores(self.networks_, self.encoder_, samples, score, reentrant=not own)
        return joined_scores(len(samples), scores)

    def _set_calibration(self, calibration: Calibration) -> None:
        """Take a new threshold over, and note where it promises less than was asked for."""
        self.calibration_ = calibration
        self.offset_ = -calibration.threshold
        if calibration.shortfall and calibration.shortfall not in self.notes_:
            self.notes_.append(calibration.shortfall)

    @property
    def _at_once(self) -> int:
        """How many samples go through the networks together where their gradients are kept."""
        return 4 * block_size(self.encoder_.shape)

    def _encoded(self, X: Any, device: torch.device) -> Tensor:
        """X as the networks take it (n, ...), on the device; also while it is being fitted."""
        encoder: Any = self.encoder_
        samples = self._checked_by_schema(X)
        chunks = [encoder.transform(chunk) for chunk in samples.chunks(self._at_once)]
        none = np.zeros((0, *encoder.shape), np.float32)
        return torch.from_numpy(np.concatenate([none, *chunks])).to(device)

    def _attribute_remainder(self, score: Score, block: Block) -> Tensor:
        """Which elements move the remainder (n, ...), for alarms that rest on it."""
        attributed = torch.zeros_like(block.passed.x)
        alarm = block.scored.score.cpu().double() > self.calibration_.threshold
        mostly = (block.scored.remainder > block.scored.error).cpu()
        rows = (alarm & mostly).nonzero().flatten().to(attributed.device)
        if len(rows):
            passed = Passed(*(part[rows] for part in block.passed))
            attributed[rows] = score.attribute_remainder(self.networks_, passed, self._at_once)
        return attributed
