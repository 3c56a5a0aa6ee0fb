"""What detectors see of data, whatever its kind: checked samples, and an encoder to tensors."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.images.schema import ImageSchema
from lampblack.data.images.stored import ArrayImages, FileImages
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.stored import StoredRows

CheckedSamples = Rows | StoredRows | ArrayImages | FileImages
Encoder = TableEncoder | ImageEncoder
AnySchema = Schema | ImageSchema


def blank(schema: AnySchema) -> Rows | ArrayImages:
    """One sample of a schema: zeros, missing categories, the epoch."""
    if isinstance(schema, ImageSchema):
        return ArrayImages(np.zeros((1, *schema.shape), np.uint8))
    return Rows(
        np.zeros((1, len(schema.of_kind("number", "boolean")))),
        tuple(pa.array([None], pa.string()) for _ in schema.of_kind("category")),
        tuple(np.zeros(1, "datetime64[us]") for _ in schema.of_kind("date")),
    )
