"""Whatever a user passes as rows of a table, checked against a schema."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Set
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.stored import StoredRows
from lampblack.data.tables.table import from_object_array, is_frame, to_arrow
from lampblack.exceptions import InvalidInput, SchemaMismatch

Matrix = npt.NDArray[np.floating[Any]]


class CheckedRows(NamedTuple):
    """Rows to be fitted that their schema has checked already: they are not converted again."""

    schema: Schema
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)


def check_rows(
    X: Any, schema: Schema, name: str, as_array: Callable[[Any], Matrix]
) -> Rows | StoredRows:
    """Rows of the fitted schema; columns of a named table are put in order by name.

    `Rows` were checked already, by this schema, and are taken as they are; `StoredRows` are checked
    as they are read. name: of the detector, for messages. as_array: makes of anything but a table
    the array (n, columns).
    """
    if isinstance(X, Rows):
        return X
    if isinstance(X, StoredRows):
        return X.under(schema)
    if is_table(X):
        return _check_table(X, schema, name)
    array = as_array(X)
    if len(schema.of_kind("number")) < len(schema.columns) and not schema.named:
        return schema.read_table(pa.table(dict(zip(schema.names, array.T, strict=True))))
    return schema.read_array(array)


def _check_table(X: Any, schema: Schema, name: str) -> Rows:
    table = as_table(X)
    if schema.named and is_frame(X):
        return schema.read_table(table)
    if table.num_columns != len(schema.columns):
        raise SchemaMismatch(_other_width(table.num_columns, len(schema.columns), name))
    if not isinstance(X, np.ndarray):
        warnings.warn(
            f"X has feature names, but {name} was fitted without feature names; "
            "its columns are taken by position",
            UserWarning,
            stacklevel=2,
        )
    return schema.read_table(table.rename_columns(schema.names))


def is_table(X: Any) -> bool:
    """Whether X is a frame, or an array that holds text."""
    return is_frame(X) or (
        isinstance(X, np.ndarray) and X.dtype.kind in "OU" and X.ndim == 2 and _holds_text(X)
    )


def _holds_text(X: npt.NDArray[Any]) -> bool:
    """Whether an array of objects holds text that is not just written numbers."""
    for value in X.flat:
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return True
    return False


def as_table(X: Any) -> pa.Table:
    """A frame, or an array that holds text, as an Arrow table."""
    try:
        return from_object_array(X) if isinstance(X, np.ndarray) else to_arrow(X)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise InvalidInput(f"X holds values that cannot be used: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def unmasked(X: Any) -> Any:
    """X as it was, or a masked array with NaN for what is masked; dates are refused."""
    if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M"):
        raise InvalidInput("an array of dates cannot be used; pass a table with named columns")
    return np.ma.filled(X.astype(np.float64), np.nan) if isinstance(X, np.ma.MaskedArray) else X


def refuse_unordered(X: Any) -> None:
    """Raise InvalidInput for a set or an iterator."""
    if isinstance(X, Iterator | Set):
        raise InvalidInput(f"X is a {type(X).__name__}, which has no order or end; pass a list")


def as_matrix(X: Any, schema: Schema, name: str) -> Matrix:
    """What is no table as an array (n, columns) of numbers, n ≥ 1; `name` is the detector's.

    scikit-learn checks what detectors are given, in the same words; this is for where it is not.
    """
    width = len(schema.columns)
    refuse_unordered(X)
    if hasattr(X, "toarray"):
        raise InvalidInput("X is sparse; pass a dense array: X.toarray()")
    try:
        given = np.asarray(unmasked(X))
        if given.dtype.kind == "c":
            raise InvalidInput("X holds complex numbers; pass real ones")
        if given.dtype.kind in "US":
            given = given.astype(object)  # for errors that quote the text as it is
        array = given if given.dtype == np.float32 else given.astype(np.float64)
    except InvalidInput:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidInput(one_line(error)) from None
    if array.ndim != 2:
        raise InvalidInput(_other_axes(array))
    if schema.named:
        warnings.warn(
            f"X does not have valid feature names, but {name} was fitted with feature names",
            UserWarning,
            stacklevel=2,
        )
    if not len(array):
        raise InvalidInput(
            f"Found array with 0 sample(s) (shape={array.shape}) while a minimum of 1 is required "
            f"by {name}."
        )
    if array.shape[1] != width:
        raise InvalidInput(f"{_other_width(array.shape[1], width, name)}.")
    return array


def _other_axes(array: Matrix) -> str:
    if array.ndim > 2:
        return f"Found array with dim {array.ndim}, while dim <= 2 is required."
    kind = "scalar" if array.ndim == 0 else "1D"
    shown = one_line(ValueError(f"{array}."))
    return (
        f"Expected 2D array, got {kind} array instead: array={shown} Reshape your data either "
        "using array.reshape(-1, 1) if your data has a single feature or array.reshape(1, -1) if "
        "it contains a single sample."
    )


def _other_width(given: int, width: int, name: str) -> str:
    return f"X has {given} features, but {name} is expecting {width} features as input"
