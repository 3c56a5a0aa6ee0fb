"""Encoding in pieces: the scales of the whole table, the values of scikit-learn's scalers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from lampblack.choices import Scaling
from lampblack.data.tables import encoder
from lampblack.data.tables.encoder import EncoderState, TableEncoder
from lampblack.data.tables.schema import Schema
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
    found = fitted.values(schema.read_array(X[:rows]))
    expected = scaler().fit(X).transform(X[:rows])
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1e-6)


def test_single_precision_has_the_bits_of_double() -> None:
    X = np.random.default_rng(0).normal(3.0, size=(5000, 30)).astype(np.float32)
    schema = Schema.of_array(X)
    single, double = schema.read_array(X), schema.read_array(X.astype(np.float64))
    first = TableEncoder(schema, "standard").fit(single)
    assert first.state() == TableEncoder(schema, "standard").fit(double).state()
    np.testing.assert_array_equal(first.values(single), first.values(double))


def test_memory_may_be_laid_out_in_any_way() -> None:
    X = np.random.default_rng(0).normal(3.0, size=(5000, 30))
    schema = Schema.of_array(X)
    expected = TableEncoder(schema, "standard").fit(schema.read_array(X)).state()
    for other in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X.astype(">f8")):
        assert TableEncoder(schema, "standard").fit(schema.read_array(other)).state() == expected


def test_indicators_of_a_category_share_one_divisor() -> None:
    """√Σ p(1 − p): together they weigh as much as a number."""
    table = pa.table({"city": ["Bern", "Bern", "Oslo", "Oslo", "Oslo", "Rome", "Rome", "Rome"]})
    schema = Schema.of_table(table)
    scaler = TableEncoder(schema, "standard").fit(schema.read_table(table)).scaler
    shares = np.array([2, 3, 3]) / 8
    assert scaler.scale[:3] == pytest.approx(np.sqrt((shares * (1 - shares)).sum()))
    assert scaler.center[:3] == pytest.approx(shares)


def test_columns_of_every_kind_do_not_depend_on_the_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a piece leaves in its memory is not seen in the next."""
    table = pa.Table.from_pandas(mixed_frame(500), preserve_index=False)
    schema = Schema.of_table(table)
    rows = schema.read_table(table)
    fitted = TableEncoder(schema, "standard").fit(rows)
    whole = fitted.values(rows)
    monkeypatch.setattr(encoder, "PIECE", 7 * fitted.width)
    np.testing.assert_array_equal(fitted.values(rows), whole)
    again = TableEncoder(schema, "standard").fit(rows)
    np.testing.assert_allclose(again.scaler.center, fitted.scaler.center, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(again.scaler.scale, fitted.scaler.scale, rtol=1e-12)
    np.testing.assert_array_equal(again.scaler.constant, fitted.scaler.constant)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-310, float("inf"), float("nan")])
def test_a_stored_scale_that_no_fit_gives_is_refused(scale: float) -> None:
    X = np.random.default_rng(0).normal(size=(50, 1))
    schema = Schema.of_array(X)
    state = TableEncoder(schema, "standard").fit(schema.read_array(X)).state()
    assert EncoderState.model_validate(state)
    with pytest.raises(ValidationError, match="scale"):
        EncoderState.model_validate({**state, "scale": [scale]})
