"""The shell of every detector: scikit-learn's estimator around a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from lampblack.calibration import Calibration
from lampblack.data.kinds import find_kind
from lampblack.detectors.fitted import Fitted
from lampblack.exceptions import InvalidInput
from lampblack.explanation import Explanation, Values
from lampblack.fitting.fit import fit_model
from lampblack.model.device import resolve_device
from lampblack.model.folder import save_model
from lampblack.model.model import Model
from lampblack.model.parameters import Parameters, with_parameters
from lampblack.model.recipe import AnyRecipe
from lampblack.results import Decisions
from lampblack.training.callbacks import Callback
from lampblack.training.runner import start_runner

if TYPE_CHECKING:
    from typing import Self  # type: ignore[attr-defined,unused-ignore]


class ReconstructionDetector(Fitted, Parameters, Decisions, OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Learn to reconstruct normal samples; score one by what the reconstruction lacks.

    Signs, once for all detectors: `anomaly_score` is higher for more anomalous rows;
    `score_samples` = −anomaly_score; `decision_function` = score_samples − offset_; `predict`
    gives −1 for anomalies, where decision_function < 0, and +1 for normal rows.

    A table is a NumPy array (n, d) or a pandas, polars or pyarrow table with columns of numbers,
    booleans, text, categories and dates, with values missing where the fitted data had some.
    Columns of a named table are matched by name, in any order.

    Images are an array (n, channels, height, width) of uint8, uint16, bool or floats in [0, 1], an
    array (n, height, width) of uint8, uint16 or bool, or of floats with kind="images", a list of
    paths or PIL images, or the path of a folder or file of images (see `lampblack.find_images`).
    uint8 and the same values over 255 give the same bits.

    What a method is, its parameters, networks, training and score, is its `recipe`
    (`model/methods/`); a detector's class names it, and computes nothing. What a fit leaves is
    `model_`, and the attributes of `Fitted`, which are read from it.
    """

    if TYPE_CHECKING:
        recipe: ClassVar[AnyRecipe]
    else:

        @property
        @abstractmethod
        def recipe(self) -> AnyRecipe:
            """What the method is made of: a class variable of every final class."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = with_parameters(cls)

    # Fitting.

    def fit(
        self,
        X: object,
        y: object = None,
        *,
        checkpoint_dir: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        distributed: bool = False,
    ) -> Self:
        """Fit to normal rows or images.

        X: a table of at least 2 rows, or as many images. y: ignored, except by AMA where it was
        asked for labels. checkpoint_dir: where the state of training is written after every epoch;
        a later fit with the same data and parameters goes on from there and ends at the same bits.
        callbacks: see `lampblack.Callback`. distributed: whether to train together with the other
        processes that torchrun has started, each of which calls this with the same X
        (docs/scale.md). Each takes its part of every batch, in which batch norm is its own. The
        same number of processes gives the same bits.

        A fit that fails leaves what was fitted before as it was. Raises InvalidInput for unusable
        data or parameters, TrainingError where training breaks down. Warns with CalibrationWarning
        where the rows are too few for `false_alarm_rate`, and with CollapseWarning where the
        network stops telling rows apart.
        """
        self.check(self._name)
        if distributed and self.random_state is None:
            raise InvalidInput("processes that fit alike need a seed; give random_state an integer")
        kind = find_kind(X, self.kind)
        runner = start_runner(resolve_device(self.device), self.precision, distributed=distributed)
        schema, samples = kind.learn(X, self, self._name)
        self.model_ = fit_model(
            self.recipe,
            self._asked(),
            schema,
            samples,
            detector=self._name,
            runner=runner,
            y=y,
            checkpoint_dir=checkpoint_dir,
            callbacks=callbacks,
        )
        return self

    def fit_predict(
        self, X: object, y: object = None, **fit_parameters: Any
    ) -> npt.NDArray[np.int64]:
        """`predict` of the samples that are fitted, (n,): −1 for anomalies, +1 for normal ones."""
        return self.fit(X, y, **fit_parameters).predict(X)

    def recalibrate(self, X: object) -> Self:
        """Set a new threshold from new normal rows, without training.

        X: normal rows that fitting did not see, exchangeable with those to be scored. The rate is
        `false_alarm_rate`, which may have been set anew. Where their scores differ from those of
        the rows that calibrated before, it is noted: the data have moved since training.
        """
        self.check(self._name)
        self.model_ = self._fitted().recalibrated(X, self.false_alarm_rate)
        return self

    # Scoring.

    def anomaly_score(self, X: object) -> Values:
        """How anomalous each sample is (n,), higher for more; finite and non-negative."""
        return self._fitted().anomaly_score(X)

    def explain(self, X: object) -> Explanation:
        """What every column or pixel adds to each score: (n, columns) or (n, height, width).

        A `TableExplanation` or an `ImageExplanation`.
        """
        return self._fitted().explain(X)

    def reconstruct(self, X: object) -> Any:
        """What the network expects in place of each sample; see `Model.reconstruct`."""
        return self._fitted().reconstruct(X)

    def encode(self, X: object) -> npt.NDArray[np.float32]:
        """The codes z (n, latent) of the rows."""
        return self._fitted().encode(X)

    def save(self, path: str | Path) -> None:
        """Write the model as a folder without pickles, which `lampblack.load` reads.

        An existing model at `path` is replaced, by renaming; anything else there is refused.
        """
        save_model(self._fitted(), path)

    @classmethod
    def of_model(cls, model: Model) -> Self:
        """A detector around a model of its recipe, with the parameters that were asked for."""
        given = {**model.parameters.as_dict(), **dict.fromkeys(model.filled_in)}
        detector = cls(**given)
        detector.model_ = model
        return detector

    # Inner workings.

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def _calibration(self) -> Calibration:
        return self._fitted().calibration

    def _fitted(self) -> Model:
        check_is_fitted(self)
        return self.model_

    def _asked(self) -> Parameters:
        """The parameters as they are now, apart from the detector."""
        asked: Parameters = self.recipe.parameters(**self.as_dict())
        return asked

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")
