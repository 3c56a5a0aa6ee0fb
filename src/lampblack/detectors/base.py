"""The one abstract detector: everything but what makes a method a method."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils._param_validation import (
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from lampblack.calibration import Calibration
from lampblack.data.images.inputs import are_images
from lampblack.data.images.learning import ImageSize, learn_images
from lampblack.data.images.schema import ImageSchema
from lampblack.data.samples import AnySchema, CheckedSamples
from lampblack.data.tables.column_kinds import ColumnKind
from lampblack.data.tables.learning import as_array, learn
from lampblack.data.tables.scaling import Scaling
from lampblack.exceptions import InvalidInput
from lampblack.fitting.fit import REPEATED, fit_samples
from lampblack.losses import RECONSTRUCTION_ERRORS, Amplification, ReconstructionErrorName
from lampblack.model.folder import to_parts
from lampblack.model.recipe import METHODS, PLAIN, Method, Networks, resolved_scaling
from lampblack.model.scoring import ScoringMixin
from lampblack.networks import PUBLISHED, AutoencoderPair, NetworkName
from lampblack.training.callbacks import Callback
from lampblack.training.processes import find_world
from lampblack.training.schedule import Schedule
from lampblack.training.steps import (
    ReconstructionObjective,
    ReconstructionStep,
    TrainingStep,
)

if TYPE_CHECKING:
    from typing import Self  # type: ignore[attr-defined,unused-ignore]

    from lampblack.training.alone import Runner

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

MOST_PIXELS_A_STEP = 1 << 18
DRIFT = 0.01  # p-value below which scores are said to have moved
MOVED = "samples of a recalibration are scored otherwise than those that calibrated before"


class ReconstructionDetector(OutlierMixin, BaseEstimator, ScoringMixin):  # type: ignore[misc]
    """Learn to reconstruct normal samples; score one by what the reconstruction lacks.

    Signs, once for all detectors: `anomaly_score` is higher for more anomalous rows;
    `score_samples` = −anomaly_score; `decision_function` = score_samples − offset_; `predict`
    gives −1 for anomalies, where decision_function < 0, and +1 for normal rows.

    A table is a NumPy array (n, d) or a pandas, polars or pyarrow table with columns of numbers,
    booleans, text, categories and dates, with values missing where the fitted data had some.
    Columns of a named table are matched by name, in any order.

    Images are an array (n, height, width) or (n, channels, height, width) of uint8, uint16, bool or
    floats in [0, 1], a list of paths or PIL images, or the path of a folder or file of images (see
    `lampblack.find_images`). uint8 and the same values over 255 give the same bits.

    What builds a method's networks and its score is in `model/recipe.py`; its class says how
    it trains (`_training_step`) and overrides nothing else but checks of parameters and labels.

    Parameters
    ----------
    reconstruction_error : {"l2", "l1", "l2_norm", "ssim"}
        Mean squared, mean absolute, Euclidean norm of x − x̂, or (images) the mean of
        (1 − SSIM) / 2 over pixels, for training and score.
    amplification : {None, "log", "quantile"}
        Amplify elementwise errors in training, never in the score: None is off; "log" is LAMP's
        −ln(1 − ℓ), which needs data and reconstructions in [0, 1]; "quantile" applies it to errors
        divided by a running 99 % quantile of the batches' own errors (this project's variant).
    latent_weight : float ≥ 0 or None
        β of Toll: β · ‖z‖₂ joins the loss and the score. 0 is off. None, here and below, is the
        default for the kind of data, in `DEFAULTS`.
    hidden : tuple of int
        Tables: widths of the hidden layers of the dense encoder; the decoder mirrors them.
    network : {"auto", "toll-mnist", "toll-cifar10", "ama-cifar10"}
        Images: a published network by name (made for a GPU); "auto" is a convolutional one for
        images of 8×8 to 512×512 pixels, a dense one for tables.
    width, depth : int or None
        Images: channels of the first block, and how often height and width are halved; None
        halves until the shorter side is 4 to 7 pixels.
    image_size : int, (height, width) or None
        Images: bring all to this size; None refuses images of different sizes.
    latent_dim : int or None
        Width of the code. It may exceed the width of the data: batch norm, few steps and a rate
        that decays keep the network from copying its input (docs/methods/autoencoder.md).
    networks : (encoder, decoder) or None
        Your own `torch.nn.Module` pair instead: (n, width) → (n, latent) → (n, width), `width`
        being the number of encoded features; for images (n, channels, height, width) instead.
        They are copied, not changed.
    scaling : {"auto", "standard", "minmax"}
        Tables: how encoded features are scaled on the training rows; "auto" is "minmax" where
        amplification is "log", else "standard". Images stay in [0, 1].
    types : mapping of column to {"number", "boolean", "category", "date"}, or None
        Overrides what a column's own type implies, for integer codes say.
    batch_size, max_steps, learning_rate, schedule
        The budget of training: a fixed number of steps of Adam. schedule is "one_cycle" (rises,
        then decays to zero) or "constant". By default fewer images a step where they are large:
        64 of 64×64 pixels, 16 of 128×128 and above.
    early_stopping, validation_fraction, patience
        Stop when the loss on held-out normal rows has not improved for `patience` epochs, and keep
        the best weights. Off by default. Scores that learn what is usual (AMA) learn it from the
        same rows.
    false_alarm_rate : float in (0, 0.5]
        Share of new normal rows that may raise an alarm, promised by rows held out from everything
        that is fitted.
    contamination : float in (0, 0.5] or None
        scikit-learn's meaning instead: flag this share of all rows. None is held out for
        calibration, so nothing is promised and there are no p-values. None: use false_alarm_rate.
    device : str
        "auto" (CUDA, else MPS, else CPU) or a torch device. Only the CPU is tested.
    precision : {"32-true", "bf16-mixed", "16-mixed"}
        Of training, as lightning-fabric names it; scores are always computed in float32.
    random_state : int or None
        The seed. The same seed, versions and thread count give the same bits. None draws one.
    verbose : bool
        Show a progress bar, on a terminal or in a notebook.

    Attributes
    ----------
    networks_ : AutoencoderPair, on the device. history_ : list of dict, one an epoch.
    calibration_ : Calibration. offset_ : float, minus the threshold on anomaly_score.
    false_alarm_rate_ : float, the rate that is promised (NaN under contamination).
    rows_ : dict, how many rows trained, validated and calibrated.
    encoder_ : TableEncoder or ImageEncoder. schema_ : Schema or ImageSchema. n_features_in_,
    feature_names_in_ (tables with names).
    parameters_ : dict, the parameters that it was fitted with, defaults filled in; scores follow
    these, also after `set_params`, which takes effect with the next fit. filled_in_ : dict, those
    defaults alone.
    notes_ : list of str, warnings given while fitting. versions_, threads_ : what fitted it.
    """

    DEFAULTS: ClassVar[dict[str, dict[str, Any]]] = {
        "table": {
            "latent_weight": 0.0,
            "latent_dim": 32,
            "batch_size": 128,
            "max_steps": 500,
            "learning_rate": 5e-3,
        },
        "images": {
            "latent_weight": 0.0,
            "width": 32,
            "latent_dim": 128,
            "batch_size": 128,
            "max_steps": 300,
            "learning_rate": 1e-3,
        },
    }

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "reconstruction_error": [StrOptions(RECONSTRUCTION_ERRORS)],
        "amplification": [StrOptions({"log", "quantile"}), None],
        "latent_weight": [Interval(Real, 0, None, closed="left"), None],
        "hidden": ["array-like"],
        "network": [StrOptions({"auto", *PUBLISHED})],
        "width": [Interval(Integral, 1, None, closed="left"), None],
        "depth": [Interval(Integral, 1, None, closed="left"), None],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "networks": [tuple, list, None],
        "scaling": [StrOptions({"auto", "standard", "minmax"})],
        "types": [Mapping, None],
        "batch_size": [Interval(Integral, 2, None, closed="left"), None],
        "max_steps": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
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
        latent_weight: float | None,
        hidden: Sequence[int],
        network: NetworkName,
        width: int | None,
        depth: int | None,
        image_size: ImageSize,
        latent_dim: int | None,
        networks: Networks | None,
        scaling: Scaling | str,
        types: Mapping[str, ColumnKind] | None,
        batch_size: int | None,
        max_steps: int | None,
        learning_rate: float | None,
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
        self.network = network
        self.width = width
        self.depth = depth
        self.image_size = image_size
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

    # What a method may override.

    def _training_step(
        self, fabric: Runner, networks: AutoencoderPair, anomalies: Tensor | None, seed: int
    ) -> TrainingStep:
        """What training repeats.

        anomalies: known ones, encoded, on the device, where `_known_anomalies` found any. seed: of
        what the step draws at random.
        """
        fitted = self.parameters_
        objective = self._build_objective(fabric)
        return ReconstructionStep(
            fabric, networks, objective, learning_rate=fitted["learning_rate"]
        )

    def _build_objective(self, fabric: Runner) -> ReconstructionObjective:
        fitted = self.parameters_
        return ReconstructionObjective(
            fitted["reconstruction_error"],
            fitted["amplification"],
            fitted["latent_weight"],
            fabric,
        )

    def _known_anomalies(self, y: Any, n: int) -> npt.NDArray[np.bool_] | None:
        """Which of n samples (n,) are known anomalies; None where labels are not asked for."""
        return None

    # Fitting.

    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        checkpoint_dir: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        devices: int | None = 1,
        num_nodes: int | None = 1,
    ) -> Self:
        """Fit to normal rows or images.

        X: a table of at least 2 rows, or as many images. y: ignored, except by AMA where
        it was asked for labels. checkpoint_dir: where the
        state of training is written after every epoch; a later fit with the same data and
        parameters goes on from there and ends at the same bits.
        callbacks: see `lampblack.training.callbacks.Callback`.
        devices: in how many processes to train on each machine; each takes its part of every
        batch, in which batch norm is its own. num_nodes: on how many machines, each of which calls
        this with the same X (docs/scale.md). None: as many as torchrun has started. The same
        numbers of both give the same bits.

        Raises InvalidInput for unusable data or parameters, TrainingError where training breaks
        down. Warns with CalibrationWarning where the rows are too few for `false_alarm_rate`, and
        with CollapseWarning where the network stops telling rows apart.
        """
        self._check_parameters()
        world = find_world(devices, num_nodes)
        if hasattr(self, "calibration_"):
            del self.calibration_  # not fitted, should anything below fail
        schema: AnySchema
        samples: CheckedSamples
        if are_images(X):
            schema, samples = learn_images(self, X, self.image_size)
        else:
            schema, samples = learn(self, X, self.types)
        self._resolve_parameters(schema)
        anomalous = self._known_anomalies(y, len(samples))
        fit_samples(self, schema, samples, anomalous, checkpoint_dir, callbacks, world)
        return self

    def fit_predict(self, X: Any, y: Any = None, **fit_parameters: Any) -> npt.NDArray[np.int64]:
        """`predict` of the samples that are fitted, (n,): −1 for anomalies, +1 for normal ones."""
        return self.fit(X, y, **fit_parameters).predict(X)

    def recalibrate(self, X: Any) -> Self:
        """Set a new threshold from new normal rows, without training.

        X: normal rows that fitting did not see, exchangeable with those to be scored. The rate is
        `false_alarm_rate`, which may have been set anew. Where their scores differ from those of
        the rows that calibrated before, it is noted: the data have moved since training.
        """
        self._check_parameters()
        calibration = Calibration.held_out(self.anomaly_score(X), self.false_alarm_rate)
        self.parameters_["false_alarm_rate"] = self.false_alarm_rate
        before = self.calibration_
        self.notes_ = [
            note for note in self.notes_ if note != before.shortfall and REPEATED not in note
        ]
        drift = before.drift(calibration.scores)
        if drift is not None and drift.p_value < DRIFT:
            self.notes_.append(
                f"{MOVED} ({len(before.scores)} of them; Kolmogorov-Smirnov statistic "
                f"{drift.statistic:.3f}, p = {drift.p_value:.2g}): the data have moved since; the "
                "threshold follows, what was learned does not: fit again"
            )
        self._set_calibration(calibration)
        self.rows_ = {**self.rows_, "calibration": len(calibration.scores)}
        return self

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
        return resolved_scaling({"scaling": self.scaling, "amplification": self.amplification})

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _method(self) -> Method:
        """That of its class, or of the one of this library's which that inherits from."""
        ours = (c.__name__ for c in type(self).__mro__ if c.__module__.startswith("lampblack."))
        return next((METHODS[name] for name in ours if name in METHODS), PLAIN)

    def _as_array(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        return as_array(self, X)

    def _refuse_unfitted(self) -> None:
        check_is_fitted(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "calibration_")

    def _check_parameters(self) -> None:
        """Raise InvalidInput for a parameter, or a pair of them, that cannot be used."""
        self._check_each(self.get_params(deep=False))
        if self.amplification == "log" and self.scaling_ != "minmax":
            raise InvalidInput(
                'amplification="log" needs errors below 1, so scaling must be "minmax" or "auto"; '
                'for standardised columns use amplification="quantile"'
            )
        if not all(isinstance(width, Integral) and width >= 1 for width in self.hidden):
            raise InvalidInput(f"hidden must hold whole numbers from 1, and is {self.hidden!r}")
        size: Any = self.image_size
        if isinstance(size, tuple | list) and not (
            len(size) == 2
            and all(isinstance(side, int | np.integer) and side >= 1 for side in size)
        ):
            raise InvalidInput(f"image_size must be a number or (height, width), and is {size!r}")
        pair = self.networks
        if pair is not None and not (
            len(pair) == 2 and all(isinstance(network, nn.Module) for network in pair)
        ):
            raise InvalidInput("networks must be a pair of torch modules: (encoder, decoder)")

    def _check_each(self, parameters: dict[str, Any]) -> None:
        """Raise InvalidInput for a parameter that by itself cannot be used."""
        try:
            validate_parameter_constraints(self._parameter_constraints, parameters, self._name)
        except InvalidParameterError as error:
            raise InvalidInput(" ".join(str(error).split())) from None

    def _resolve_parameters(self, schema: AnySchema) -> None:
        """Set `parameters_`: the parameters, with the defaults for this kind of data filled in."""
        shape = schema.shape if isinstance(schema, ImageSchema) else None
        images = shape is not None
        parameters: dict[str, Any] = self.get_params(deep=False)
        unused = (
            {"types": None, "scaling": ("auto", "minmax")}
            if images
            else {"network": ("auto",), "width": None, "depth": None, "image_size": None}
        )
        for name, unset in unused.items():
            if parameters[name] is not None and (unset is None or parameters[name] not in unset):
                raise InvalidInput(
                    f"{name} has no meaning for {'images' if images else 'a table'}; leave it out"
                )
        if not images and self.reconstruction_error == "ssim":
            raise InvalidInput('reconstruction_error="ssim" is for images, and this is a table')
        if images and self.network in PUBLISHED and PUBLISHED[self.network][0] != shape:
            raise InvalidInput(
                f"network={self.network!r} takes images of shape {PUBLISHED[self.network][0]}, "
                f"and these have {shape}"
            )
        defaults = self.DEFAULTS["images" if images else "table"]
        self.filled_in_ = {n: value for n, value in defaults.items() if parameters[n] is None}
        if shape is not None and parameters["batch_size"] is None:
            fitting = MOST_PIXELS_A_STEP // (shape[1] * shape[2])
            self.filled_in_["batch_size"] = min(defaults["batch_size"], max(16, fitting))
        self.parameters_ = {**parameters, **self.filled_in_}
