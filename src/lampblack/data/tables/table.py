"""Tables of every make to one: NumPy arrays stay arrays, frames become Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.names import wrong_column
from lampblack.exceptions import InvalidInput, Place

NUMBERS: Final = {int, float, Decimal, np.float64, np.float32, np.int64, np.int32}  # not bool


def is_frame(X: object) -> bool:
    """Whether X is a table with named columns: pandas, polars, pyarrow or a record batch."""
    if isinstance(X, pa.Table | pa.RecordBatch) or hasattr(X, "collect_schema"):
        return True
    return hasattr(X, "columns") and hasattr(X, "iloc")


def to_arrow(X: Any, missing: tuple[str, ...] = ()) -> pa.Table:
    """A frame as an Arrow table; a pandas index is dropped.

    missing: spellings of a missing value, which may stand among values of another type. Raises
    InvalidInput where a column's values have no common type, naming the column.
    """
    if isinstance(X, pa.Table):
        return X
    if isinstance(X, pa.RecordBatch):
        return pa.Table.from_batches([X])
    if hasattr(X, "collect_schema"):  # polars, perhaps lazy
        return _polars_to_arrow(X.collect() if hasattr(X, "collect") else X)
    return _pandas_to_arrow(X, missing)


def _polars_to_arrow(X: Any) -> pa.Table:
    for name, kind in X.schema.items():
        if str(kind) == "Object":
            raise wrong_column(name, "holds objects", "give numbers, text or dates")
    return X.to_arrow()


def _pandas_to_arrow(X: Any, missing: tuple[str, ...]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for position, name in enumerate(map(str, X.columns)):
        if name in columns:
            raise wrong_column(name, "occurs more than once", "rename it")
        if str(X.dtypes.iloc[position]).startswith("Sparse"):
            raise wrong_column(name, "is sparse", "make it dense first")
        values = _without_intervals(X.iloc[:, position])
        if values.dtype == object:
            columns[name] = _of_objects(name, values.to_list(), missing)
            continue
        try:
            columns[name] = pa.Array.from_pandas(values)
        except (pa.ArrowException, OverflowError, UnicodeError):
            raise _mixed(name, values) from None
    return pa.table({name: _flat(values) for name, values in columns.items()})


def _without_intervals(values: Any) -> Any:
    """A pandas column, intervals as text, as CSV has them, and periods as their first moments."""
    dtype = values.dtype
    kind = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    name = str(getattr(kind, "name", kind))
    if name.startswith("interval"):
        return values.astype(object).map(str, na_action="ignore")
    if name.startswith("period"):
        moments = values.astype(kind) if kind is not dtype else values
        return moments.dt.to_timestamp()
    return values


def _of_objects(name: str, values: list[Any], missing: tuple[str, ...]) -> pa.Array:
    """A column of Python's objects: of one type, or numbers of several, or dates and moments."""
    values = [None if _is_missing(value) else value for value in values]
    types = {type(value) for value in values if value is not None}
    if len(types) > 1 and str in types:
        values = [None if isinstance(v, str) and v in missing else v for v in values]
        types = {type(value) for value in values if value is not None}
    moments = [v for v in values if isinstance(v, datetime)]
    if len({v.tzinfo is None for v in moments}) > 1:
        raise wrong_column(
            name,
            "mixes times with a time zone and without",
            "give all of them one, or none",
        )
    if moments and date in types:  # as Arrow infers a day from the first, times would be lost
        values = [datetime(v.year, v.month, v.day) if type(v) is date else v for v in values]
    elif types and types <= NUMBERS and len(types) > 1:
        values = [None if v is None else float(v) for v in values]
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, OverflowError, UnicodeError):
        raise _mixed(name, values) from None


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


def from_object_array(X: npt.NDArray[np.object_], missing: tuple[str, ...] = ()) -> pa.Table:
    """An object array (n, d) that holds text among its values, as a table x0, x1, ..."""
    return pa.table(
        {f"x{i}": _of_objects(f"x{i}", X[:, i].tolist(), missing) for i in range(X.shape[1])}
    )
