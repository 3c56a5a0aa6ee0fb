"""A fitted detector without the estimator around it: it scores, and is loaded sooner."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.data.reading import as_matrix
from lampblack.data.samples import blank
from lampblack.detectors.building import METHODS, Method
from lampblack.detectors.device import resolve_device
from lampblack.detectors.folder import (
    fitting_together,
    read_parts,
    refuse_own_networks,
    take_parts,
)
from lampblack.detectors.scoring import ScoringMixin
from lampblack.exceptions import InvalidInput
from lampblack.persistence.parts import ModelParts


class FittedModel(ScoringMixin):
    """What a saved detector does but for fitting: its scores, decisions and reasons, to the bit.

    scikit-learn is not imported, which a process that only scores would wait for longest, after
    torch. `detector`: the class that was fitted.
    """

    def __init__(self, parts: ModelParts) -> None:
        """Take the parameters; `load_fitted` gives it the rest."""
        config = parts.config
        self.detector = config.detector
        self.filled_in_ = dict(config.filled_in)
        self.parameters_ = {**config.parameters, **config.filled_in, "networks": None}

    @property
    def _method(self) -> Method:
        return METHODS[self.detector]

    @property
    def _name(self) -> str:
        return self.detector

    def _as_array(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        return as_matrix(X, self.schema_, self.detector)

    def _refuse_unfitted(self) -> None:
        """It is fitted."""


def load_fitted(path: Path, *, device: str = "auto") -> FittedModel:
    """What `lampblack.load` loads, to score with it alone.

    Raises ModelFileError and InvalidInput as that does, but for parameters that nothing here fails
    on: their ranges are checked by the detector alone.
    One blank sample is scored: what cannot be is refused here, and what is done once is done.
    """
    parts = read_parts(path)
    refuse_own_networks(parts.config, path, None)
    where = resolve_device(device)
    with fitting_together(parts.config, path):
        model = FittedModel(parts)
        take_parts(model, parts, where)
        with suppress(InvalidInput):  # blanks may lie anywhere
            model.anomaly_score(blank(model.schema_))
    return model
