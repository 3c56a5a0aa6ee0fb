"""Labels of rows: a column of the file, and which of its values mean an anomaly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.exceptions import InvalidInput, Place, Remedy, Setting

SHOWN_LABELS = 10


class LabelColumn:
    """A column of labels, read part by part, of which some values mean an anomaly."""

    def __init__(self, name: str, anomaly: Sequence[str], normal: Sequence[str]) -> None:
        """anomaly, normal: values that mean one or the other; one of the two is empty."""
        self._name, self._anomaly, self._normal = name, anomaly, normal
        self._found: set[str] = set()
        self._missing = 0

    def marks(self, values: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Which rows of a part are anomalies (n,), provided that `check` says nothing in the end.

        Raises InvalidInput where values of this type are no labels.
        """
        labels = _as_labels(values, self._name)
        self._found |= {label for label in labels if label is not None}
        self._missing += sum(label is None for label in labels)
        texts = np.array(labels, dtype=object).astype(str)
        if self._anomaly:
            return np.isin(texts, self._anomaly)
        return ~np.isin(texts, self._normal)

    def check(self) -> None:
        """Raise InvalidInput where the labels read do not say of each row what it is."""
        found = sorted(self._found)
        shown = ", ".join(found[:SHOWN_LABELS]) + (", ..." if len(found) > SHOWN_LABELS else "")
        if bool(self._anomaly) == bool(self._normal):
            raise InvalidInput(
                "say which labels are anomalies, with ",
                Setting("anomaly"),
                " or with ",
                Setting("normal"),
                f" (all others); column {self._name!r} holds {shown}",
                names=Place(column=self._name),
            )
        for value in [*self._anomaly, *self._normal]:
            if value not in self._found:
                raise InvalidInput(
                    f"no row has the label {value!r}; column {self._name!r} holds {shown}",
                    names=Place(column=self._name),
                )
        if self._missing:
            known = Setting("where", f"`{self._name}` is not None")
            raise InvalidInput(
                f"{self._missing} labels are missing",
                at=Place(column=self._name),
                remedy=Remedy("leave those rows out with ", known),
            )


def refuse_input_as_label(label: str, names: Sequence[str]) -> None:
    """Raise InvalidInput where a model that was fitted on these columns is to be judged by one."""
    if label in names:
        raise InvalidInput(
            f"the model was fitted with column {label!r} as an input and cannot be judged by it",
            names=Place(column=label),
            remedy=Remedy("fit again with ", Setting("exclude", [label])),
        )


def _as_labels(values: pa.ChunkedArray, column: str) -> list[str | None]:
    """Labels as text (n,), None where missing; 1.0 is written as 1."""
    if pa.types.is_floating(values.type):
        return [_number_label(value) for value in values.to_pylist()]
    try:
        labels: list[str | None] = values.cast(pa.string()).to_pylist()
    except pa.ArrowException:
        raise InvalidInput(f"column {column!r} of type {values.type} is no label") from None
    return labels


def _number_label(value: float | None) -> str | None:
    if value is None or value != value:
        return None
    return str(int(value)) if value == int(value) else repr(value)
