"""What a fit leaves on a detector: attributes read from its model."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lampblack.calibration import Calibration
from lampblack.choices import Scaling
from lampblack.data.kind import Encoder, Schema
from lampblack.model.model import Model
from lampblack.model.parameters import Parameters
from lampblack.networks import AutoencoderPair


class Fitted:
    """The fitted attributes of every detector.

    Attributes
    ----------
    model_ : Model, all that was fitted; it scores without scikit-learn. The others are read from
    it. networks_ : AutoencoderPair, on the device. history_ : list of dict, one an epoch.
    calibration_ : Calibration. offset_ : float, minus the threshold on anomaly_score.
    false_alarm_rate_ : float, the rate that is promised (NaN under contamination).
    rows_ : dict, how many rows trained, validated and calibrated. encoder_, schema_.
    n_features_in_, feature_names_in_ (tables with names).
    parameters_ : the parameters that it was fitted with, defaults filled in; scores follow these,
    also after `set_params`, which takes effect with the next fit. filled_in_ : dict, those defaults
    by name. notes_ : list of str, warnings given while fitting. versions_, threads_ : what fitted
    it. reading_ : dict, how the fitted file was written. scaling_ : of a table.
    """

    model_: Model

    networks_ = cast(AutoencoderPair, property(lambda self: self.model_.networks))
    encoder_ = cast(Encoder, property(lambda self: self.model_.encoder))
    schema_ = cast(Schema, property(lambda self: self.model_.schema))
    parameters_ = cast(Parameters, property(lambda self: self.model_.parameters))
    calibration_ = cast(Calibration, property(lambda self: self.model_.calibration))
    history_ = cast("list[dict[str, Any]]", property(lambda self: self.model_.facts.history))
    rows_ = cast("dict[str, int]", property(lambda self: self.model_.facts.rows))
    notes_ = cast("list[str]", property(lambda self: self.model_.facts.notes))
    versions_ = cast("dict[str, str]", property(lambda self: self.model_.facts.versions))
    threads_ = cast(int, property(lambda self: self.model_.facts.threads))
    reading_ = cast("dict[str, Any]", property(lambda self: self.model_.facts.reading))
    scaling_ = cast(Scaling, property(lambda self: self.model_.parameters.scaling_in_use))
    n_features_in_ = cast(int, property(lambda self: self.model_.schema.n_features))
    offset_ = cast(float, property(lambda self: -self.model_.calibration.threshold))
    false_alarm_rate_ = cast(float, property(lambda self: self.model_.calibration.false_alarm_rate))

    @property
    def filled_in_(self) -> dict[str, object]:
        """The defaults that stood in for parameters that were left out, by name."""
        return {name: getattr(self.parameters_, name) for name in self.model_.filled_in}

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """The names of the fitted columns (d,), of a table with names."""
        names = self.model_.schema.feature_names
        if names is None:
            raise AttributeError(f"{type(self).__name__} was fitted without feature names")
        return np.array(names, dtype=object)
