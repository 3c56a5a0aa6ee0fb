"""Whatever a user passes as rows of a table, checked against a schema."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.tables.column_kinds import nulls
from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.stored import StoredRows
from lampblack.data.tables.table import from_object_array, is_frame, to_arrow
from lampblack.exceptions import InvalidInput, Place, SchemaMismatch

Matrix = npt.NDArray[np.floating]

FEWEST_ROWS = 2


@dataclass(frozen=True, eq=False)
class CheckedRows:
    """Rows to be fitted that their schema has checked already: they are not converted again."""

    schema: Schema
    rows: Rows


def learn_rows(
    X: object,
    types: Mapping[str, str] | None,
    name: str,
    *,
    missing: Sequence[str] = (),
    not_missing: Sequence[str] = (),
) -> tuple[Schema, Rows | StoredRows]:
    """The schema of the rows to be fitted, and the rows.

    types: overrides what a column's own type implies. name: of the detector, for messages. missing,
    not_missing: further spellings of a missing value, and usual ones that are text.
    """
    gone = nulls(tuple(missing), tuple(not_missing))
    if isinstance(X, StoredRows):
        if types or missing or not_missing:
            raise InvalidInput(
                "give types, missing and not_missing to find_rows, which reads the file"
            )
        if len(X) < FEWEST_ROWS:
            what = f"{len(X)} rows cannot be fitted"
            raise InvalidInput(what, at=Place(X.path), remedy=f"give {FEWEST_ROWS}")
        return X.schema, X
    if isinstance(X, CheckedRows):
        _refuse_few(len(X.rows), len(X.schema.columns))
        return X.schema, X.rows
    if is_table(X):
        table = as_table(X, gone)
        _refuse_few(table.num_rows, table.num_columns)
        schema = Schema.of_table(table, types, gone)
        if isinstance(X, np.ndarray):
            schema = schema.model_copy(update={"named": False})
        return schema, schema.read_table(table)
    array = as_matrix(X, name, fewest=FEWEST_ROWS)
    if types:
        table = pa.table({f"x{i}": array[:, i] for i in range(array.shape[1])})
        schema = Schema.of_table(table, types, gone).model_copy(update={"named": False})
        return schema, schema.read_table(table)
    schema = Schema.of_array(array, gone)
    return schema, schema.read_array(array)


def _refuse_few(rows: int, columns: int) -> None:
    """Raise InvalidInput where a table is too small to be fitted."""
    if rows < FEWEST_ROWS or not columns:
        raise InvalidInput(
            f"a table of {rows} rows and {columns} columns cannot be fitted; at least "
            f"{FEWEST_ROWS} rows and 1 column are needed"
        )


def check_rows(X: object, schema: Schema, name: str) -> Rows | StoredRows:
    """Rows of the fitted schema; columns of a named table are put in order by name.

    `Rows` were checked already, by this schema, and are taken as they are; `StoredRows` are checked
    as they are read. name: of the detector, for messages.
    """
    if isinstance(X, Rows):
        return X
    if isinstance(X, StoredRows):
        return X.under(schema)
    if is_table(X):
        return _check_table(X, schema, name)
    array = as_matrix(X, name, schema)
    if len(schema.of_kind("number")) < len(schema.columns) and not schema.named:
        return schema.read_table(pa.table(dict(zip(schema.names, array.T, strict=True))))
    return schema.read_array(array)


def _check_table(X: object, schema: Schema, name: str) -> Rows:
    table = as_table(X, schema.missing)
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


def is_table(X: object) -> bool:
    """Whether X is a frame, or an array that holds text."""
    return is_frame(X) or (
        isinstance(X, np.ndarray) and X.dtype.kind in "OU" and X.ndim == 2 and _holds_text(X)
    )


def _holds_text(X: npt.NDArray[np.object_]) -> bool:
    """Whether an array of objects holds text that is not just written numbers."""
    for value in X.flat:
        if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return True
    return False


def as_table(X: object, missing: tuple[str, ...]) -> pa.Table:
    """A frame, or an array that holds text, as an Arrow table.

    missing: spellings of a missing value, which may stand among values of another type.
    """
    try:
        return from_object_array(X, missing) if isinstance(X, np.ndarray) else to_arrow(X, missing)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise InvalidInput(f"X holds values that cannot be used: {one_line(error)}") from None


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())


def unmasked(X: object) -> Any:
    """X as it was, or a masked array with NaN for what is masked; dates are refused."""
    if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M"):
        raise InvalidInput("an array of dates cannot be used; pass a table with named columns")
    return np.ma.filled(X.astype(np.float64), np.nan) if isinstance(X, np.ma.MaskedArray) else X


def refuse_unordered(X: object) -> None:
    """Raise InvalidInput for a set or an iterator."""
    if isinstance(X, Iterator | Set):
        raise InvalidInput(f"X is a {type(X).__name__}, which has no order or end; pass a list")


def as_matrix(X: object, name: str, schema: Schema | None = None, *, fewest: int = 1) -> Matrix:
    """What is no table as an array (n, columns) of numbers, in the words of scikit-learn's checks.

    name: of the detector. schema: of the fitted columns; None while fitting. fewest: rows needed.
    Raises InvalidInput, and TypeError for values that are no numbers.
    """
    refuse_unordered(X)
    if hasattr(X, "toarray"):
        raise InvalidInput("X is sparse; pass a dense array: X.toarray()")
    try:
        given = np.asarray(unmasked(X))
        if given.dtype.kind == "c":
            raise InvalidInput("Complex data not supported; pass real numbers")
        if given.dtype.kind in "US":
            given = given.astype(object)  # for errors that quote the text as it is
        array = given if given.dtype == np.float32 else given.astype(np.float64)
    except InvalidInput:
        raise
    except ValueError as error:
        raise InvalidInput(one_line(error)) from None
    if array.ndim != 2:
        raise InvalidInput(_other_axes(array))
    if schema is not None and schema.named:
        warnings.warn(
            f"X does not have valid feature names, but {name} was fitted with feature names",
            UserWarning,
            stacklevel=2,
        )
    if len(array) < fewest:
        raise InvalidInput(
            f"Found array with {len(array)} sample(s) (shape={array.shape}) while a minimum of "
            f"{fewest} is required by {name}."
        )
    if not array.shape[1]:
        raise InvalidInput(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required "
            f"by {name}."
        )
    if schema is not None and array.shape[1] != len(schema.columns):
        raise InvalidInput(f"{_other_width(array.shape[1], len(schema.columns), name)}.")
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
