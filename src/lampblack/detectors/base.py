"""The one abstract detector: everything but what makes a method a method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from lampblack.calibration import Calibration, false_discovery_alarms
from lampblack.data.kinds import Kind
from lampblack.data.scaling import Scaling
from lampblack.data.schema import Rows
from lampblack.detectors.blocks import Block, scored_blocks, to_float64
from lampblack.detectors.fitting import fit_rows
from lampblack.detectors.folder import to_parts
from lampblack.detectors.reading import check, learn
from lampblack.exceptions import InvalidInput
from lampblack.explanation import Explanation
from lampblack.losses import Amplification, ReconstructionErrorName, latent_norm
from lampblack.networks import AutoencoderPair, dense_networks
from lampblack.scores import (
    Scored,
    error_contributions,
    integrated_gradients,
    reconstruction_score,
)
from lampblack.training.callbacks import Callback
from lampblack.training.schedule import Schedule
from lampblack.training.steps import ReconstructionStep, TrainingStep

if TYPE_CHECKING:
    from typing import Self  # type: ignore[attr-defined,unused-ignore]

    from lightning_fabric import Fabric

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Networks = tuple[nn.Module, nn.Module]
Values = npt.NDArray[np.float64]


class ReconstructionDetector(OutlierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Learn to reconstruct normal rows; score a row by what the reconstruction lacks.

    Signs, once for all detectors: `anomaly_score` is higher for more anomalous rows;
    `score_samples` = −anomaly_score; `decision_function` = score_samples − offset_; `predict`
    gives −1 for anomalies, where decision_function < 0, and +1 for normal rows.

    A table is a NumPy array (n, d) or a pandas, polars or pyarrow table with columns of numbers,
    booleans, text, categories and dates, with values missing where the fitted data had some.
    Columns of a named table are matched by name, in any order.

    A method overrides three hooks at most: `_build_networks`, `_training_step`, `_score_batch`.

    Parameters
    ----------
    reconstruction_error : {"l2", "l1", "l2_norm"}
        Mean squared, mean absolute, or Euclidean norm of x − x̂, for training and score.
    amplification : {None, "log", "quantile"}
        Amplify elementwise errors in training, never in the score: None is off; "log" is LAMP's
        −ln(1 − ℓ), which needs data and reconstructions in [0, 1]; "quantile" applies it to errors
        divided by a running 99 % quantile of the batches' own errors (this project's variant).
    latent_weight : float ≥ 0
        β of Toll: β · ‖z‖₂ joins the loss and the score. 0 is off.
    hidden : tuple of int
        Widths of the hidden layers of the dense encoder; the decoder mirrors them.
    latent_dim : int
        Width of the code. It may exceed the width of the data: batch norm, few steps and a rate
        that decays keep the network from copying its input (docs/methods/autoencoder.md).
    networks : (encoder, decoder) or None
        Your own `torch.nn.Module` pair instead: (n, width) → (n, latent) → (n, width), `width`
        being the number of encoded features. They are copied, not changed.
    scaling : {"auto", "standard", "minmax"}
        How encoded features are scaled on the training rows; "auto" is "minmax" where
        amplification is "log", else "standard".
    types : mapping of column to {"number", "boolean", "category", "date"}, or None
        Overrides what a column's own type implies, for integer codes say.
    batch_size, max_steps, learning_rate, schedule
        The budget of training: a fixed number of steps of Adam. schedule is "one_cycle" (rises,
        then decays to zero) or "constant".
    early_stopping, validation_fraction, patience
        Stop when the loss on held-out normal rows has not improved for `patience` epochs, and keep
        the best weights. Off by default.
    false_alarm_rate : float in (0, 0.5]
        Share of new normal rows that may raise an alarm, promised by rows held out from everything
        that is fitted.
    contamination : float in (0, 0.5] or None
        scikit-learn's meaning instead: train on all rows and flag this share of them. No row is
        held out, so nothing is promised and there are no p-values. None: use false_alarm_rate.
    device : str
        "auto" (CUDA, else MPS, else CPU) or a torch device. Only the CPU is tested.
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        Of training, as lightning-fabric names it; scores are always computed in float32.
    random_state : int or None
        The seed. The same seed, versions and thread count give the same bits. None draws one.
    verbose : bool
        Show a progress bar.

    Attributes
    ----------
    networks_ : AutoencoderPair, on the device. history_ : list of dict, one an epoch.
    calibration_ : Calibration. offset_ : float, minus the threshold on anomaly_score.
    false_alarm_rate_ : float, the rate that is promised (NaN under contamination).
    rows_ : dict, how many rows trained, validated and calibrated.
    encoder_ : TableEncoder. schema_ : Schema. n_features_in_, feature_names_in_.
    parameters_ : dict, the parameters that it was fitted with; scores follow these, also after
    `set_params`, which takes effect with the next fit.
    notes_ : list of str, warnings given while fitting. versions_, threads_ : what fitted it.
    """

    rows_: dict[str, int]
    notes_: list[str]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "reconstruction_error": [StrOptions({"l2", "l1", "l2_norm"})],
        "amplification": [StrOptions({"log", "quantile"}), None],
        "latent_weight": [Interval(Real, 0, None, closed="left")],
        "hidden": ["array-like"],
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "networks": [tuple, list, None],
        "scaling": [StrOptions({"auto", "standard", "minmax"})],
        "types": [Mapping, None],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "schedule": [StrOptions({"one_cycle", "constant"})],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "false_alarm_rate": [Interval(Real, 0, 0.5, closed="right")],
        "contamination": [Interval(Real, 0, 0.5, closed="right"), None],
        "device": [str],
        "precision": [StrOptions({"32-true", "bf16-mixed", "16-mixed"})],
        "random_state": [Interval(Integral, 0, None, closed="left"), None],
        "verbose": ["boolean"],
    }

    @abstractmethod
    def __init__(
        self,
        *,
        reconstruction_error: ReconstructionErrorName,
        amplification: Amplification | None,
        latent_weight: float,
        hidden: Sequence[int],
        latent_dim: int,
        networks: Networks | None,
        scaling: Scaling | str,
        types: Mapping[str, Kind] | None,
        batch_size: int,
        max_steps: int,
        learning_rate: float,
        schedule: Schedule,
        early_stopping: bool,
        validation_fraction: float,
        patience: int,
        false_alarm_rate: float,
        contamination: float | None,
        device: str,
        precision: Precision,
        random_state: int | None,
        verbose: bool,
    ) -> None:
        self.reconstruction_error = reconstruction_error
        self.amplification = amplification
        self.latent_weight = latent_weight
        self.hidden = hidden
        self.latent_dim = latent_dim
        self.networks = networks
        self.scaling = scaling
        self.types = types
        self.batch_size = batch_size
        self.max_steps = max_steps
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.false_alarm_rate = false_alarm_rate
        self.contamination = contamination
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    # Hooks: what a method may override.

    def _build_networks(self, width: int, generator: torch.Generator) -> Networks:
        """Encoder and decoder for `width` encoded features; first weights from `generator`."""
        if self.networks is not None:
            encoder, decoder = self.networks
            return encoder, decoder
        bounded = self.scaling_ == "minmax"
        return dense_networks(
            width,
            hidden=self.hidden,
            latent_dim=self.latent_dim,
            bounded=bounded,
            generator=generator,
        )

    def _training_step(self, fabric: Fabric, networks: AutoencoderPair) -> TrainingStep:
        """What training repeats."""
        return ReconstructionStep(
            fabric,
            networks,
            error=self.reconstruction_error,
            amplification=self.amplification,
            latent_weight=self.latent_weight,
            learning_rate=self.learning_rate,
        )

    def _score_batch(self, x: Tensor, z: Tensor, reconstruction: Tensor) -> Scored:
        """The score of a batch x (n, width), its error and its remainder apart."""
        fitted = self.parameters_
        return reconstruction_score(
            x,
            z,
            reconstruction,
            name=fitted["reconstruction_error"],
            weight=fitted["latent_weight"],
        )

    # Fitting.

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint_dir: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Fit to normal rows.

        X: a table of at least 2 rows. y: ignored. checkpoint_dir: where the state of training is
        written after every epoch; a later fit with the same data and parameters goes on from there
        and ends at the same bits. callbacks: see `lampblack.training.callbacks.Callback`.

        Raises InvalidInput for unusable data or parameters, TrainingError where training breaks
        down. Warns with CalibrationWarning where the rows are too few for `false_alarm_rate`, and
        with CollapseWarning where the network stops telling rows apart.
        """
        self._check_parameters()
        if hasattr(self, "calibration_"):
            del self.calibration_  # not fitted, should anything below fail
        self.parameters_ = self.get_params(deep=False)
        schema, rows = learn(self, X, self.types)
        fit_rows(self, schema, rows, checkpoint_dir, callbacks)
        return self

    def recalibrate(self, X: Any) -> Self:
        """Set a new threshold from new normal rows, without training.

        X: normal rows that fitting did not see, exchangeable with those to be scored. The rate is
        `false_alarm_rate`, which may have been set anew.
        """
        self._check_parameters()
        calibration = Calibration.held_out(self.anomaly_score(X), self.false_alarm_rate)
        self.parameters_["false_alarm_rate"] = self.false_alarm_rate
        self.notes_ = [note for note in self.notes_ if note != self.calibration_.shortfall]
        self._set_calibration(calibration)
        self.rows_ = {**self.rows_, "calibration": len(calibration.scores)}
        return self

    # Scores and decisions.

    def anomaly_score(self, X: Any) -> Values:
        """How anomalous each row is (n,), higher for more anomalous; finite and non-negative."""
        return self._score_rows(self._checked(X))

    def score_samples(self, X: Any) -> Values:
        """Minus `anomaly_score` (n,): higher is more normal, as in scikit-learn."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Any) -> Values:
        """`score_samples` − `offset_` (n,): negative for anomalies."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any, *, fdr: float | None = None) -> npt.NDArray[np.int64]:
        """−1 for anomalies, +1 for normal rows (n,).

        Without `fdr`, a row is an anomaly where its score is above the threshold: at most a share
        `false_alarm_rate_` of normal rows is, in expectation. With `fdr`, at most that share of the
        rows *called* anomalies is normal, on average (Benjamini-Hochberg over this batch).
        """
        if fdr is not None:
            return np.where(false_discovery_alarms(self.p_value(X), fdr), -1, 1)
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: Any) -> Values:
        """Conformal p-values (n,) in (0, 1], small for anomalies; see `Calibration.p_values`."""
        check_is_fitted(self)
        return self.calibration_.p_values(self.anomaly_score(X))

    def explain(self, X: Any) -> Explanation:
        """What every column adds to each row's score (n, columns); see `Explanation`."""
        contributions, remainders, attributed = [], [], []
        for block in self._blocks(self._checked(X)):
            name = self.parameters_["reconstruction_error"]
            parts = error_contributions(block.x, block.reconstruction, name=name)
            contributions.append(self.encoder_.fold(parts.cpu().numpy()))
            remainders.append(to_float64([block.scored.remainder]))
            attributed.append(self.encoder_.fold(self._attribute_remainder(block).cpu().numpy()))
        none = np.zeros((0, len(self.schema_.columns)))
        return Explanation(
            columns=tuple(self.schema_.names),
            contributions=np.concatenate([none, *contributions]),
            remainder=np.concatenate([np.zeros(0), *remainders]),
            remainder_name="latent",
            attributed=np.concatenate([none, *attributed]),
        )

    def reconstruct(self, X: Any) -> Any:
        """What the network expects in place of each row, in the columns' own units.

        An array (n, d) for an array; for a named table a pyarrow table of the same columns, less
        the dates, of which only cycles are encoded.
        """
        blocks = self._blocks(self._checked(X))
        none = torch.zeros(0, self.encoder_.width)
        features = torch.cat([none, *(block.reconstruction.cpu() for block in blocks)])
        columns = self.encoder_.decode(features.numpy())
        return pa.table(columns) if self.schema_.named else np.column_stack(list(columns.values()))

    def encode(self, X: Any) -> npt.NDArray[np.float32]:
        """The codes z (n, latent) of the rows."""
        codes = [block.z.flatten(start_dim=1).cpu() for block in self._blocks(self._checked(X))]
        return np.asarray(torch.cat(codes).numpy()) if codes else np.zeros((0, 0), np.float32)

    # Saving.

    def save(self, path: str | Path) -> None:
        """Write the model as a folder without pickles, which `lampblack.load` reads.

        An existing model at `path` is replaced, by renaming; anything else there is refused.
        """
        check_is_fitted(self)
        to_parts(self).write(Path(path))

    # Inner workings.

    @property
    def scaling_(self) -> Scaling:
        """The scaling in use, "auto" resolved."""
        if self.scaling == "auto":
            return "minmax" if self.amplification == "log" else "standard"
        return "minmax" if self.scaling == "minmax" else "standard"

    @property
    def false_alarm_rate_(self) -> float:
        """The promised false-alarm rate; NaN under `contamination`, which promises none."""
        held_out = self.calibration_.origin == "held-out"
        return self.calibration_.promised if held_out else float("nan")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "calibration_")

    def _check_parameters(self) -> None:
        """Raise InvalidInput for a parameter, or a pair of them, that cannot be used."""
        try:
            validate_parameter_constraints(
                self._parameter_constraints, self.get_params(deep=False), type(self).__name__
            )
        except InvalidParameterError as error:
            raise InvalidInput(" ".join(str(error).split())) from None
        if self.amplification == "log" and self.scaling_ != "minmax":
            raise InvalidInput(
                'amplification="log" needs errors below 1, so scaling must be "minmax" or "auto"; '
                'for standardised columns use amplification="quantile"'
            )
        if not all(isinstance(width, Integral) and width >= 1 for width in self.hidden):
            raise InvalidInput(f"hidden must hold whole numbers from 1, and is {self.hidden!r}")
        if self.networks is not None and len(self.networks) != 2:
            raise InvalidInput("networks must be a pair: (encoder, decoder)")

    def _checked(self, X: Any) -> Rows:
        check_is_fitted(self)
        return check(self, X, self.schema_)

    def _blocks(self, rows: Rows) -> Iterator[Block]:
        return scored_blocks(self.networks_, self.encoder_, rows, self._score_batch)

    def _score_rows(self, rows: Rows) -> Values:
        """Anomaly scores (n,) of checked rows."""
        scores = to_float64([block.scored.score for block in self._blocks(rows)])
        if not np.isfinite(scores).all():
            row = int((~np.isfinite(scores)).argmax()) + 1
            raise InvalidInput(
                f"row {row}: the network gives a score that is not finite; the row lies too far "
                "from the fitted data, or the network diverged"
            )
        return scores

    def _set_calibration(self, calibration: Calibration) -> None:
        """Take a new threshold over, and note where it promises less than was asked for."""
        self.calibration_ = calibration
        self.offset_ = -calibration.threshold
        if calibration.shortfall and calibration.shortfall not in self.notes_:
            self.notes_.append(calibration.shortfall)

    def _attribute_remainder(self, block: Block) -> Tensor:
        """Integrated gradients (n, width) of the remainder, for alarms that rest on it."""
        attributed = torch.zeros_like(block.x)
        alarm = block.scored.score.cpu().double() > self.calibration_.threshold
        mostly = (block.scored.remainder > block.scored.error).cpu()
        rows = (alarm & mostly).nonzero().flatten().to(block.x.device)
        if len(rows):
            weight = self.parameters_["latent_weight"]
            attributed[rows] = integrated_gradients(
                lambda x: weight * latent_norm(self.networks_.encode(x)),
                start=block.reconstruction[rows].clone(),
                end=block.x[rows].clone(),
            )
        return attributed
