"""Whatever a user passes as X, checked against what the detector was fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from lampblack.data.kinds import Kind
from lampblack.data.schema import Rows, Schema
from lampblack.data.stored import StoredRows
from lampblack.data.table import from_object_array, is_frame, to_arrow
from lampblack.exceptions import InvalidInput, SchemaMismatch

FEWEST_ROWS = 2


def learn(
    detector: BaseEstimator, X: Any, types: Mapping[str, Kind] | None
) -> tuple[Schema, Rows | StoredRows]:
    """The schema of the rows to be fitted, and the rows.

    Sets `n_features_in_` and, for a named table, `feature_names_in_`, as scikit-learn does.
    """
    if isinstance(X, StoredRows):
        if types:
            raise InvalidInput("give the types to find_rows, which reads the file")
        if len(X) < FEWEST_ROWS:
            raise InvalidInput(f"{X.path}: {len(X)} rows cannot be fitted; give {FEWEST_ROWS}")
        _remember_columns(detector, X.schema)
        return X.schema, X
    if _is_table(X):
        table = _as_table(X)
        if table.num_rows < FEWEST_ROWS or not table.num_columns:
            raise InvalidInput(
                f"a table of {table.num_rows} rows and {table.num_columns} columns cannot be "
                f"fitted; at least {FEWEST_ROWS} rows and 1 column are needed"
            )
        schema = Schema.of_table(table, types)
        if isinstance(X, np.ndarray):
            schema = schema.model_copy(update={"named": False})
        _remember_columns(detector, schema)
        return schema, schema.read_table(table)
    array = _as_array(detector, X, reset=True)
    if types:
        table = pa.table({f"x{i}": array[:, i] for i in range(array.shape[1])})
        schema = Schema.of_table(table, types).model_copy(update={"named": False})
        return schema, schema.read_table(table)
    schema = Schema.of_array(array)
    return schema, schema.read_array(array)


def check(detector: BaseEstimator, X: Any, schema: Schema) -> Rows | StoredRows:
    """Rows of the fitted schema; columns of a named table are put in order by name.

    `Rows` were checked already, by this schema, and are taken as they are; `StoredRows` are checked
    as they are read.
    """
    if isinstance(X, Rows):
        return X
    if isinstance(X, StoredRows):
        return X.under(schema)
    if _is_table(X):
        return _check_table(detector, X, schema)
    array = _as_array(detector, X, reset=False)
    if len(schema.of_kind("number")) < len(schema.columns) and not schema.named:
        return schema.read_table(pa.table(dict(zip(schema.names, array.T, strict=True))))
    return schema.read_array(array)


def _check_table(detector: BaseEstimator, X: Any, schema: Schema) -> Rows:
    table = _as_table(X)
    if schema.named and is_frame(X):
        return schema.read_table(table)
    if table.num_columns != len(schema.columns):
        raise SchemaMismatch(
            f"X has {table.num_columns} features, but {type(detector).__name__} is expecting "
            f"{len(schema.columns)} features as input"
        )
    if not isinstance(X, np.ndarray):
        warnings.warn(
            f"X has feature names, but {type(detector).__name__} was fitted without feature names; "
            "its columns are taken by position",
            UserWarning,
            stacklevel=2,
        )
    return schema.read_table(table.rename_columns(schema.names))


def _is_table(X: Any) -> bool:
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


def _as_table(X: Any) -> pa.Table:
    try:
        return from_object_array(X) if isinstance(X, np.ndarray) else to_arrow(X)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise InvalidInput(f"X holds values that cannot be used: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _as_array(detector: BaseEstimator, X: Any, *, reset: bool) -> npt.NDArray[np.floating[Any]]:
    if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M"):
        raise InvalidInput("an array of dates cannot be used; pass a table with named columns")
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    try:
        array = validate_data(
            detector,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],  # the first, where it is neither
            ensure_all_finite=False,
            ensure_min_samples=FEWEST_ROWS if reset else 1,
        )
    except ValueError as error:
        raise InvalidInput(_one_line(error)) from None
    except TypeError:
        if isinstance(X, Iterator | Set):
            raise InvalidInput(
                f"X is a {type(X).__name__}, which has no order or end; pass a list"
            ) from None
        raise
    return np.asarray(array)


def _remember_columns(detector: BaseEstimator, schema: Schema) -> None:
    detector.n_features_in_ = len(schema.columns)
    if schema.named:
        detector.feature_names_in_ = np.array(schema.names, dtype=object)
    elif hasattr(detector, "feature_names_in_"):
        del detector.feature_names_in_
