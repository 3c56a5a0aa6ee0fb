"""Encoding in pieces: the scales of the whole table, the values of scikit-learn's scalers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from lampblack.data import encoder
from lampblack.data.encoder import TableEncoder
from lampblack.data.scaling import Scaling
from lampblack.data.schema import Schema
from tests.conftest import mixed_frame


@pytest.mark.parametrize(
    ("scaling", "scaler"), [("standard", StandardScaler), ("minmax", MinMaxScaler)]
)
@pytest.mark.parametrize("rows", [1, 63, 64, 65, 1000])
def test_numbers_are_scaled_as_scikit_learn_scales_them(
    monkeypatch: pytest.MonkeyPatch, scaling: Scaling, scaler: type, rows: int
) -> None:
    """Whatever they are added to and multiplied by, in pieces of 64 rows."""
    monkeypatch.setattr(encoder, "PIECE", 64 * 4)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 4)) * [1.0, 1e-6, 1e60, 3.0] + [0.0, 0.0, 1e60, 1e9]
    schema = Schema.of_array(X)
    fitted = TableEncoder(schema, scaling).fit(schema.read_array(X))
    found = fitted.transform(schema.read_array(X[:rows]))
    expected = scaler().fit(X).transform(X[:rows])
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1e-6)


def test_single_precision_has_the_bits_of_double() -> None:
    X = np.random.default_rng(0).normal(3.0, size=(5000, 30)).astype(np.float32)
    schema = Schema.of_array(X)
    single, double = schema.read_array(X), schema.read_array(X.astype(np.float64))
    first = TableEncoder(schema, "standard").fit(single)
    assert first.state() == TableEncoder(schema, "standard").fit(double).state()
    np.testing.assert_array_equal(first.transform(single), first.transform(double))


def test_columns_of_every_kind_do_not_depend_on_the_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a piece leaves in its memory is not seen in the next."""
    table = pa.Table.from_pandas(mixed_frame(500), preserve_index=False)
    schema = Schema.of_table(table)
    rows = schema.read_table(table)
    fitted = TableEncoder(schema, "standard").fit(rows)
    whole = fitted.transform(rows)
    monkeypatch.setattr(encoder, "PIECE", 7 * fitted.width)
    np.testing.assert_array_equal(fitted.transform(rows), whole)
    again = TableEncoder(schema, "standard").fit(rows)
    np.testing.assert_allclose(again.scaler.center, fitted.scaler.center, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(again.scaler.scale, fitted.scaler.scale, rtol=1e-12)
    np.testing.assert_array_equal(again.scaler.constant, fitted.scaler.constant)
