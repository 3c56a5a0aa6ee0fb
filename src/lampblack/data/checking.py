"""Whatever a user passes to be scored, checked against what a model was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from lampblack.data.images.inputs import are_images, check_images
from lampblack.data.images.schema import ImageSchema
from lampblack.data.images.stored import Images
from lampblack.data.tables.inputs import check_rows
from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.stored import StoredRows
from lampblack.exceptions import InvalidInput, Place, SchemaMismatch


def check_samples(
    X: Any,
    schema: Schema | ImageSchema,
    name: str,
    as_array: Callable[[Any], npt.NDArray[np.floating[Any]]],
) -> Rows | StoredRows | Images:
    """Samples of the fitted schema. Raises SchemaMismatch or InvalidInput where X is none such.

    name: of the detector, for messages. as_array: see `check_rows`.
    """
    if isinstance(schema, ImageSchema):
        if not are_images(X):
            raise SchemaMismatch(
                f"{name} was fitted on images of shape {schema.shape}, and X is none; "
                "pass (n, channels, height, width), paths or PIL images"
            )
        return check_images(X, schema)
    if are_images(X):
        raise SchemaMismatch(
            f"{name} was fitted on a table, and X is images or a path; pass a table (n, d)"
        )
    return check_rows(X, schema, name, as_array)


def joined_scores(
    n: int, parts: Iterable[npt.NDArray[np.floating[Any]]]
) -> npt.NDArray[np.float64]:
    """The scores (n,) of all samples from those of some after others.

    They are copied as they come: kept part by part, they would lie between what is freed, and a
    long file would take gigabytes of holes. Raises InvalidInput where one is infinite or no number,
    naming the row, and where there are not n.
    """
    scores, filled = np.empty(n), 0
    for part in parts:
        scores[filled : filled + len(part)] = part[: max(0, n - filled)]
        filled += len(part)
    if filled != n:
        raise InvalidInput(f"{n} samples became {filled} while they were read; the file changed")
    _refuse_not_finite(scores)
    return scores


def _refuse_not_finite(scores: npt.NDArray[np.float64]) -> None:
    """Raise InvalidInput, naming the row, where a score (n,) is infinite or no number."""
    if not np.isfinite(scores).all():
        row = int((~np.isfinite(scores)).argmax()) + 1
        raise InvalidInput(
            "the network gives a score that is not finite; the row lies too far from "
            "the fitted data, or the network diverged",
            at=Place(row=row),
        )
