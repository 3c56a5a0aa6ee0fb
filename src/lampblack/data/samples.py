"""What detectors see of data, whatever its kind: checked samples, and an encoder to tensors."""

from __future__ import annotations

from lampblack.data.encoder import TableEncoder
from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.images.samples import ArrayImages, FileImages
from lampblack.data.images.schema import ImageSchema
from lampblack.data.schema import Rows, Schema
from lampblack.data.stored import StoredRows

CheckedSamples = Rows | StoredRows | ArrayImages | FileImages
Encoder = TableEncoder | ImageEncoder
AnySchema = Schema | ImageSchema
