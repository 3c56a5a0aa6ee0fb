"""What a graph says beside what its model says, on samples that are made up."""

from __future__ import annotations

import numpy as np

from lampblack.exceptions import ExportError
from lampblack.export.graph_inputs import BEGINNINGS
from lampblack.model.model import Model
from lampblack.portable import PortableModel

TOLERANCE = 1e-4  # of the score or the threshold, whichever is larger


def compare(model: Model, content: bytes) -> None:
    """Raise ExportError where the graph's scores are not the model's."""
    samples = BEGINNINGS[model.kind.name].made_up(model.encoder)
    expected = model.anomaly_score(samples)
    found = PortableModel.from_bytes(content, "the exported graph").anomaly_score(samples)
    allowed = TOLERANCE * np.maximum(expected, model.calibration.threshold)
    away = np.abs(found - expected)
    if not (away <= allowed).all():
        worst = int((away / allowed).argmax())
        raise ExportError(
            "torch's exporter made a graph with other scores than the model's "
            f"({found[worst]!s} instead of {expected[worst]!s}), so nothing was written; "
            "networks of one's own must do the same to a sample whatever lies beside it"
        )
