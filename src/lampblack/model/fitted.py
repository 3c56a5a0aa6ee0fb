"""A fitted detector without the estimator around it: it scores, and is loaded sooner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.data.tables.inputs import as_matrix
from lampblack.model.device import resolve_device
from lampblack.model.folder import (
    fitting_together,
    read_parts,
    refuse_own_networks,
    take_parts,
)
from lampblack.model.recipe import METHODS, Method, check_names
from lampblack.model.scoring import ScoringMixin
from lampblack.persistence.parts import ModelParts


class FittedModel(ScoringMixin):
    """What a saved detector does but for fitting: its scores, decisions and reasons, to the bit.

    scikit-learn is not imported, which a process that only scores would wait for longest, after
    torch. `detector`: the class that was fitted.
    """

    def __init__(self, parts: ModelParts) -> None:
        """Put it together, on the CPU. Raises where the parts are not of one model."""
        config = parts.config
        self.detector = config.detector
        self.parameters_ = {**config.parameters, **config.filled_in, "networks": None}
        check_names(config.detector, self.parameters_)
        take_parts(self, parts)

    @property
    def _name(self) -> str:
        return self.detector

    @property
    def _method(self) -> Method:
        return METHODS[self.detector]

    def _as_array(self, X: Any) -> npt.NDArray[np.floating[Any]]:
        return as_matrix(X, self.schema_, self.detector)

    def _refuse_unfitted(self) -> None:
        """It is fitted."""


def load_fitted(path: Path, *, device: str = "auto") -> FittedModel:
    """What `lampblack.load` loads, to score with it alone.

    Raises the same errors, but for a parameter of training alone that is out of range: nothing here
    depends on it.
    """
    parts = read_parts(path)
    refuse_own_networks(parts.config, path, None)
    where = resolve_device(device)
    with fitting_together(parts.config, path):
        model = FittedModel(parts)
    model.networks_.to(where)
    return model
