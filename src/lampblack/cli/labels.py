"""Labels of rows: a column of the file, and which of its values mean an anomaly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.exceptions import InvalidInput

SHOWN_LABELS = 10


def as_labels(values: pa.ChunkedArray, column: str) -> npt.NDArray[np.object_]:
    """Labels as text (n,), None where missing; 1.0 is written as 1."""
    if pa.types.is_floating(values.type):
        labels = [_number_label(value) for value in values.to_pylist()]
    else:
        try:
            labels = values.cast(pa.string()).to_pylist()
        except pa.ArrowException:
            raise InvalidInput(f"column {column!r} of type {values.type} is no label") from None
    return np.array(labels, dtype=object)


def _number_label(value: float | None) -> str | None:
    if value is None or value != value:
        return None
    return str(int(value)) if value == int(value) else repr(value)


def is_anomaly(
    labels: npt.NDArray[np.object_], column: str, anomaly: list[str], normal: list[str]
) -> npt.NDArray[np.bool_]:
    """Which rows are anomalies (n,)."""
    found = sorted({str(label) for label in labels if label is not None})
    shown = ", ".join(found[:SHOWN_LABELS]) + (", ..." if len(found) > SHOWN_LABELS else "")
    if bool(anomaly) == bool(normal):
        raise InvalidInput(
            f"say which labels are anomalies, with --anomaly or with --normal (all others); "
            f"column {column!r} holds {shown}"
        )
    for value in [*anomaly, *normal]:
        if value not in found:
            raise InvalidInput(f"no row has the label {value!r}; column {column!r} holds {shown}")
    if any(label is None for label in labels):
        missing = sum(label is None for label in labels)
        raise InvalidInput(
            f"column {column!r}: {missing} labels are missing; leave those rows out with "
            f'--where "`{column}` is not None"'
        )
    return marked(labels, anomaly, normal)


def marked(
    labels: npt.NDArray[np.object_], anomaly: list[str], normal: list[str]
) -> npt.NDArray[np.bool_]:
    """Which of some labels, as `is_anomaly` checks those of all rows, are of anomalies (n,)."""
    return np.isin(labels.astype(str), anomaly) if anomaly else ~np.isin(labels.astype(str), normal)


def refuse_input_as_label(label: str, names: Sequence[str]) -> None:
    """Raise InvalidInput where a model that was fitted on these columns is to be judged by one."""
    if label in names:
        raise InvalidInput(
            f"the model was fitted with column {label!r} as an input and cannot be judged by it; "
            f"fit again with --exclude {label}"
        )
