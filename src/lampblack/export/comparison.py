"""What a graph says beside what its detector says, on samples that are made up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lampblack.data.images.stored import ArrayImages
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.schema import Rows
from lampblack.detectors.base import ReconstructionDetector
from lampblack.exceptions import ExportError
from lampblack.portable import PortableModel

TOLERANCE = 1e-4  # of the score or the threshold, whichever is larger
ROWS, IMAGES = 256, 16


def compare(detector: ReconstructionDetector, content: bytes) -> None:
    """Raise ExportError where the graph's scores are not the detector's."""
    samples = made_up(detector)
    expected = detector.anomaly_score(samples)
    found = PortableModel.from_bytes(content, "the exported graph").anomaly_score(samples)
    allowed = TOLERANCE * np.maximum(expected, detector.calibration_.threshold)
    away = np.abs(found - expected)
    if not (away <= allowed).all():
        worst = int((away / allowed).argmax())
        raise ExportError(
            "torch's exporter made a graph with other scores than the detector's "
            f"({found[worst]:.6g} instead of {expected[worst]:.6g}), so nothing was written; "
            "networks of one's own must do the same to a sample whatever lies beside it"
        )


def made_up(detector: ReconstructionDetector) -> Rows | ArrayImages:
    """Checked samples: some near those that were fitted, some far, with every kind of value."""
    rng = np.random.default_rng(0)
    encoder = detector.encoder_
    if not isinstance(encoder, TableEncoder):
        shape = (IMAGES, *encoder.shape)
        noise = rng.random(shape) * rng.random((IMAGES, 1, 1, 1))
        flat = np.broadcast_to(rng.random((IMAGES, encoder.shape[0], 1, 1)), shape)
        mixed = np.where(rng.random((IMAGES, 1, 1, 1)) < 0.5, noise, (flat + noise) / 2)
        return ArrayImages((255 * mixed).astype(np.uint8))
    flat_columns = encoder.schema.of_kind("number", "boolean")
    scaler, d = encoder.scaler, len(flat_columns)
    reach = np.where(rng.random((ROWS, 1)) < 0.5, 1.0, 10.0 ** rng.uniform(0, 4, (ROWS, 1)))
    numbers = scaler.center[:d] + reach * scaler.scale[:d] * rng.normal(size=(ROWS, d))
    for i, column in enumerate(flat_columns):
        if column.kind == "boolean":
            numbers[:, i] = rng.random(ROWS) < 0.5
        elif scaler.constant[i]:
            numbers[rng.random(ROWS) < 0.9, i] = scaler.center[i]
        if column.nullable:
            numbers[rng.random(ROWS) < 0.2, i] = np.nan
    categories = []
    for column, levels in zip(encoder.schema.of_kind("category"), encoder.levels, strict=True):
        values = [*levels, "never seen", *([None] if column.nullable else [])]
        categories.append(pa.array([values[i] for i in rng.integers(len(values), size=ROWS)]))
    return Rows(numbers, tuple(categories))
