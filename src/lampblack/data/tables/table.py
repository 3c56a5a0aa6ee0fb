"""Tables of every make to one: NumPy arrays stay arrays, frames become Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.names import wrong_column
from lampblack.exceptions import InvalidInput, Place


def is_frame(X: object) -> bool:
    """Whether X is a table with named columns: pandas, polars, pyarrow or a record batch."""
    if isinstance(X, pa.Table | pa.RecordBatch) or hasattr(X, "collect_schema"):
        return True
    return hasattr(X, "columns") and hasattr(X, "iloc")


def to_arrow(X: Any) -> pa.Table:
    """A frame as an Arrow table; a pandas index is dropped.

    Raises InvalidInput where a column's values have no common type, naming the column.
    """
    if isinstance(X, pa.Table):
        return X
    if isinstance(X, pa.RecordBatch):
        return pa.Table.from_batches([X])
    if hasattr(X, "collect_schema"):  # polars, perhaps lazy
        return (X.collect() if hasattr(X, "collect") else X).to_arrow()
    return _pandas_to_arrow(X)


def _pandas_to_arrow(X: Any) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for position, name in enumerate(map(str, X.columns)):
        if name in columns:
            raise wrong_column(name, "occurs more than once", "rename it")
        if str(X.dtypes.iloc[position]).startswith("Sparse"):
            raise wrong_column(name, "is sparse", "make it dense first")
        try:
            columns[name] = pa.Array.from_pandas(X.iloc[:, position])
        except (pa.ArrowException, OverflowError, UnicodeError):
            raise _mixed(name, X.iloc[:, position]) from None
    return pa.table({name: _flat(values) for name, values in columns.items()})


def _flat(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _mixed(name: str, values: Iterable[object]) -> InvalidInput:
    """The error for a column, at the row where its values change their type."""
    first = None
    for row, value in enumerate(values, start=1):
        if _is_missing(value):
            continue
        first = first or type(value)
        if type(value) is not first:
            return InvalidInput(
                f"column {name!r} mixes types: row {row} holds {value!r} "
                f"({type(value).__name__}) after {first.__name__} values",
                names=Place(row=row, column=name),
                remedy="make them one type",
            )
    return wrong_column(name, "holds values that cannot be used", "give numbers, text or dates")


def _is_missing(value: object) -> bool:
    """None, NaN, NaT and pandas' NA, which is neither equal to itself nor unequal."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def from_object_array(X: npt.NDArray[np.object_]) -> pa.Table:
    """An object array (n, d) that holds text among its values, as a table x0, x1, ..."""
    columns = {}
    for i in range(X.shape[1]):
        values = [None if _is_missing(v) else v for v in X[:, i].tolist()]
        try:
            columns[f"x{i}"] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            raise _mixed(f"x{i}", values) from None
    return pa.table(columns)
