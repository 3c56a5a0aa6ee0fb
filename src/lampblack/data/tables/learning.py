"""What a detector learns of the rows it is fitted on, before any network sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from lampblack.data.tables.column_kinds import ColumnKind
from lampblack.data.tables.inputs import (
    CheckedRows,
    as_table,
    is_table,
    one_line,
    refuse_unordered,
    unmasked,
)
from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.stored import StoredRows
from lampblack.exceptions import InvalidInput

FEWEST_ROWS = 2


def learn(
    detector: BaseEstimator, X: Any, types: Mapping[str, ColumnKind] | None
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
    if isinstance(X, CheckedRows):
        refuse_few(len(X), len(X.schema.columns))
        _remember_columns(detector, X.schema)
        return X.schema, X.rows
    if is_table(X):
        table = as_table(X)
        refuse_few(table.num_rows, table.num_columns)
        schema = Schema.of_table(table, types)
        if isinstance(X, np.ndarray):
            schema = schema.model_copy(update={"named": False})
        _remember_columns(detector, schema)
        return schema, schema.read_table(table)
    array = as_array(detector, X, reset=True)
    if types:
        table = pa.table({f"x{i}": array[:, i] for i in range(array.shape[1])})
        schema = Schema.of_table(table, types).model_copy(update={"named": False})
        return schema, schema.read_table(table)
    schema = Schema.of_array(array)
    return schema, schema.read_array(array)


def refuse_few(rows: int, columns: int) -> None:
    """Raise InvalidInput where a table is too small to be fitted."""
    if rows < FEWEST_ROWS or not columns:
        raise InvalidInput(
            f"a table of {rows} rows and {columns} columns cannot be fitted; at least "
            f"{FEWEST_ROWS} rows and 1 column are needed"
        )


def as_array(
    detector: BaseEstimator, X: Any, *, reset: bool = False
) -> npt.NDArray[np.floating[Any]]:
    """What is no table as an array (n, d) of numbers, as scikit-learn checks it.

    reset: whether d is learned, or must be that of the fitted data. Raises InvalidInput.
    """
    try:
        array = validate_data(
            detector,
            unmasked(X),
            reset=reset,
            dtype=[np.float64, np.float32],  # the first, where it is neither
            ensure_all_finite=False,
            ensure_min_samples=FEWEST_ROWS if reset else 1,
        )
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(one_line(error)) from None
    except TypeError:
        refuse_unordered(X)
        raise
    return np.asarray(array)


def _remember_columns(detector: BaseEstimator, schema: Schema) -> None:
    detector.n_features_in_ = len(schema.columns)
    if schema.named:
        detector.feature_names_in_ = np.array(schema.names, dtype=object)
    elif hasattr(detector, "feature_names_in_"):
        del detector.feature_names_in_
