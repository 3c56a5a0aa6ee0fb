"""Columns of every type a frame or a file may have: fitted, or refused in one line by name."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lampblack
from lampblack.data.tables.inputs import check_rows, learn_rows
from lampblack.exceptions import InvalidInput
from tests.conftest import FAST

N = 60
AT = np.arange(N)
DAYS = pd.Timestamp("2026-01-01") + pd.to_timedelta(AT % 9, "D")
BYTES = pa.array([b"a", b"b"] * (N // 2))
NOT_TEXT = pa.array([b"\xff", b"b"] * (N // 2))

FITTED: dict[str, tuple[Any, str, object]] = {
    "category of fractions": (pd.Series(AT % 3 / 2).astype("category"), "category", "0.5"),
    "category of whole floats": (pd.Series(AT % 3 * 1.0).astype("category"), "category", "1"),
    "category of days": (pd.Series(DAYS).astype("category"), "date", dt.datetime(2026, 1, 2)),
    "category of durations": (pd.Series(DAYS - DAYS[0]).astype("category"), "number", 86_400.0),
    "category of truths": (pd.Series(AT % 2 == 0).astype("category"), "category", "false"),
    "cut": (pd.Series(pd.cut(AT, [-1, 0, 60])), "category", "(0, 60]"),
    "intervals": (pd.interval_range(0, N), "category", "(1, 2]"),
    "periods": (pd.period_range("2026-01", periods=N, freq="M"), "date", dt.datetime(2026, 2, 1)),
    "decimals": ([decimal.Decimal(int(i)) / 4 for i in AT], "number", 0.25),
    "decimals and floats": (
        [float(i) if i % 2 else decimal.Decimal(int(i)) for i in AT],
        "number",
        1.0,
    ),
    "days": ([dt.date(2026, 1, 1 + i % 28) for i in AT], "date", dt.datetime(2026, 1, 2)),
    "days and moments": (
        [dt.datetime(2026, 1, 2, 5) if i % 2 else dt.date(2026, 1, 1) for i in AT],
        "date",
        dt.datetime(2026, 1, 2, 5),
    ),
    "times": ([dt.time(i % 24) for i in AT], "number", 3600.0),
    "durations": ([dt.timedelta(hours=int(i)) for i in AT], "number", 3600.0),
    "nullable": (pd.Series(AT, dtype="Int64"), "number", 1.0),
    "half precision": (AT.astype(np.float16), "number", 1.0),
    "bytes": ([b"ab"] * N, "category", "ab"),
    "Parquet's categories of bytes": (BYTES.dictionary_encode(), "category", "b"),
    "bytes of one length": (pa.array([b"ab"] * N, pa.binary(2)), "category", "ab"),
    "categories of decimals": (
        pa.array([decimal.Decimal("1.5"), decimal.Decimal("2.5")] * (N // 2)).dictionary_encode(),
        "category",
        "2.5",
    ),
    "wide decimals": (pa.array([decimal.Decimal("1.5")] * N, pa.decimal256(40, 2)), "number", 1.5),
    "large unsigned": (pa.array([2**63 + 2048] * N, pa.uint64()), "number", 2.0**63 + 2048),
    "runs": (pa.RunEndEncodedArray.from_arrays([1, N], [1.0, 2.0]), "number", 2.0),
    "views": (pa.array(["a", "b"] * (N // 2), pa.string_view()), "category", "b"),
    "truths as numbers": (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1] * (N // 2), pa.int8())),
        "number",
        1.0,
    ),
    "nulls": (pa.nulls(N), "number", None),
    "polars' categories": (pl.Series(["a", "b"] * (N // 2), dtype=pl.Categorical), "category", "b"),
    "polars' times": (pl.Series([dt.time(1)] * N), "number", 3600.0),
}

REFUSED: dict[str, tuple[Any, str]] = {
    "lists": ([[1, 2]] * N, "column 'c' has type list<item: int64>"),
    "objects": ([{"a": 1}] * N, "column 'c' has type struct<a: int64>"),
    "polars' lists": (pl.Series([[1]] * N), "column 'c' has type large_list<item: int64>"),
    "polars' objects": (pl.Series([object()] * N, dtype=pl.Object), "column 'c' holds objects"),
    "months": (
        pa.array([(1, 2, 3)] * N, pa.month_day_nano_interval()),
        "column 'c' has type month_day_nano_interval",
    ),
    "complex": (AT + 1j, "column 'c' holds values that cannot be used"),
    "mixed": ([1 if i % 2 else "a" for i in AT], "column 'c' mixes types: row 2 holds 1"),
    "truths and numbers": ([True if i % 2 else 3 for i in AT], "column 'c' mixes types"),
    "bytes": ([b"\xff\xfe"] * N, "column 'c' holds bytes that are not UTF-8 text"),
    "categories of bytes": (
        NOT_TEXT.dictionary_encode(),
        "column 'c' holds bytes that are not UTF-8 text",
    ),
    "pandas' intervals in Arrow": (
        pa.Array.from_pandas(pd.Series(pd.interval_range(0, N))),
        "column 'c' has type pandas.interval",
    ),
}


def framed(values: Any) -> Any:
    other = np.linspace(0, 1, N)
    if isinstance(values, pa.Array):
        return pa.table({"c": values, "x": other})
    if isinstance(values, pl.Series):
        return pl.DataFrame({"c": values, "x": other})
    return pd.DataFrame({"c": values, "x": other})


@pytest.mark.parametrize("case", FITTED)
def test_column_is_fitted_and_read_again(case: str) -> None:
    values, kind, second = FITTED[case]
    frame = framed(values)
    schema, rows = learn_rows(frame, None, "D")
    assert schema.columns[0].kind == kind
    for found in (rows, check_rows(frame, schema, "D")):
        read = found.in_memory()
        if kind == "number":
            cell: object = read.numbers[1, 0]
        else:
            cell = read.categories[0][1].as_py() if read.categories else read.dates[0][1].item()
        np.testing.assert_equal(cell, np.nan if second is None else second)


@pytest.mark.parametrize("case", REFUSED)
def test_column_is_refused_in_one_line(case: str) -> None:
    values, said = REFUSED[case]
    with pytest.raises(InvalidInput) as caught:
        learn_rows(framed(values), None, "D")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spread", [5e-324, 1e-310, 2e-308])
@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_subnormal_spread_is_fitted_and_saved(spread: float, scaling: str, tmp_path: Any) -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[:, 1] = np.arange(200) % 7 * spread
    detector = lampblack.TollDetector(**FAST, scaling=scaling).fit(X)
    detector.save(tmp_path / "m")
    scores = lampblack.load(tmp_path / "m").anomaly_score(X)
    np.testing.assert_array_equal(scores, detector.anomaly_score(X))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_table_whose_spread_is_all_subnormal_is_one_of_constants(scaling: str) -> None:
    X = np.outer(np.arange(300), [5e-324, 1e-311])
    detector = lampblack.TollDetector(**FAST, scaling=scaling).fit(X)
    assert (detector.predict(X) == 1).all()
    assert detector.predict([[0.0, 0.0], [0.0, 1e-300]]).tolist() == [1, -1]
