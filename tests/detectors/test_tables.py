"""Tables of every make, columns of every kind, and what is refused."""

from __future__ import annotations

import decimal
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lampblack
from lampblack.exceptions import InvalidInput, SchemaMismatch, TrainingWarning
from tests.conftest import FAST, mixed_frame

MAKES: dict[str, Callable[[pd.DataFrame], object]] = {
    "pandas": lambda frame: frame,
    "pandas_arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas_category": lambda frame: frame.astype({"city": "category"}),
    "polars": pl.from_pandas,
    "polars_lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": pa.Table.from_pandas,
    "record_batch": pa.RecordBatch.from_pandas,
}


@pytest.mark.parametrize("make", MAKES)
def test_every_make_of_table_fits_and_scores_the_same(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector, make: str
) -> None:
    table = MAKES[make](frame)
    expected = fitted_frame.anomaly_score(frame)
    np.testing.assert_array_equal(fitted_frame.anomaly_score(table), expected)
    refitted = lampblack.TollDetector(**FAST).fit(table)
    np.testing.assert_array_equal(refitted.anomaly_score(frame), expected)


def test_permuted_columns_are_reordered_by_name(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector
) -> None:
    permuted = frame[["open", "mode", "at", "flow", "city"]]
    np.testing.assert_array_equal(
        fitted_frame.anomaly_score(permuted), fitted_frame.anomaly_score(frame)
    )


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "missing column": (lambda f: f.drop(columns="flow"), "missing: column 'flow'"),
    "extra column": (lambda f: f.assign(extra=1), "unexpected: column 'extra'"),
    "renamed column": (
        lambda f: f.rename(columns={"flow": "Flow"}),
        "missing: column 'flow'; unexpected: column 'Flow'; renamed",
    ),
    "text in numbers": (lambda f: f.assign(flow="x"), "'flow' held numbers .* now holds text"),
    "numbers in dates": (lambda f: f.assign(at=1.5), "'at' held dates .* now holds numbers"),
    "fractions in text": (lambda f: f.assign(city=0.5), "'city' held text .* now holds numbers"),
    "two in booleans": (lambda f: f.assign(open=2), r"'open' held true/false .* \(such as 2"),
    "infinite value": (
        lambda f: f.assign(flow=[1.0] * 5 + [np.inf] + [1.0] * (len(f) - 6)),
        "'flow', row 6: the value is infinite",
    ),
    "huge value": (lambda f: f.assign(mode=1e200), "'mode', row 1: the value is beyond"),
    "new hole in numbers": (lambda f: f.assign(mode=np.nan), "'mode', row 1: the value is missing"),
    "new hole in text": (lambda f: f.assign(city=None), "'city', row 1: the value is missing"),
    "new hole in dates": (lambda f: f.assign(at=pd.NaT), "'at', row 1: the value is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_changed_table_is_refused_naming_the_column(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector, case: str
) -> None:
    change, message = REFUSED[case]
    with pytest.raises(SchemaMismatch, match=message) as caught:
        fitted_frame.predict(change(frame.copy()))
    assert "\n" not in str(caught.value)


def test_missing_value_is_scored_where_training_had_some(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector
) -> None:
    holes = frame[frame["flow"].isna()]
    assert np.isfinite(fitted_frame.anomaly_score(holes)).all()


def test_unseen_category_is_an_alarm_that_names_its_column(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector
) -> None:
    unseen = frame.head(3).assign(city="Atlantis")
    assert (fitted_frame.predict(unseen) == -1).all()
    assert fitted_frame.explain(unseen).top(0, 1)[0].column == "city"


@pytest.mark.parametrize(("value", "move"), [(2e9, 1.0), (2.0240101e13, 1.0), (-1e-9, 1e-12)])
def test_constant_of_any_size_is_an_alarm_when_it_moves(
    normal: np.ndarray, value: float, move: float
) -> None:
    X = np.column_stack([normal, np.full(len(normal), value)])
    detector = lampblack.TollDetector(**FAST).fit(X)
    moved = X[:5] + np.eye(6)[5] * move
    assert (detector.predict(moved) == -1).all()
    assert detector.explain(moved).top(0, 1)[0].column == "x5"


@pytest.mark.parametrize("move", [1e-6, -0.5, 1e12])
def test_constant_column_that_moves_is_a_finite_alarm_that_names_it(
    detector_class: type, frame: pd.DataFrame, move: float
) -> None:
    detector = detector_class(**FAST).fit(frame)
    moved = frame.tail(4).assign(mode=3.0 + move)
    scores = detector.anomaly_score(moved)
    assert np.isfinite(scores).all()
    assert (detector.predict(moved) == -1).all()
    assert detector.explain(moved).top(0, 1)[0].column == "mode"


def test_table_of_constants_only_flags_what_moves(detector_class: type) -> None:
    detector = detector_class(**FAST).fit(np.ones((300, 3)))
    assert detector.predict([[1.0, 1.0, 1.0], [1.0, 1.0, 2.0]]).tolist() == [1, -1]


def test_tomorrow_is_no_anomaly(frame: pd.DataFrame, fitted_frame: lampblack.TollDetector) -> None:
    later = frame.assign(at=frame["at"] + pd.Timedelta(days=700))
    ratio = fitted_frame.anomaly_score(later) / fitted_frame.anomaly_score(frame)
    assert 0.5 < np.median(ratio) < 1.5


def test_hour_of_the_day_is_learned_from_dates() -> None:
    rng = np.random.default_rng(0)
    hours = rng.integers(8, 12, 800)
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.integers(0, 60, 800) * 24 + hours, "h")
    frame = pd.DataFrame({"at": at, "flow": rng.normal(size=800)})
    detector = lampblack.TollDetector(max_steps=200, random_state=0).fit(frame)
    night = frame.head(5).assign(at=pd.Timestamp("2024-04-10 22:00"))
    assert (detector.predict(night) == -1).all()
    assert detector.explain(night).top(0, 1)[0].column == "at"


def test_identifiers_carry_nothing_and_raise_no_alarm(normal: np.ndarray) -> None:
    frame = pd.DataFrame(normal, columns=list("abcde")).assign(
        key=[f"id-{i}" for i in range(len(normal))]
    )
    with pytest.warns(TrainingWarning, match="the text of column 'key' never repeats"):
        detector = lampblack.TollDetector(**FAST).fit(frame)
    other = frame.assign(key="id-unheard-of")
    np.testing.assert_array_equal(detector.anomaly_score(other), detector.anomaly_score(frame))


def test_types_override_what_a_column_seems_to_be() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"code": rng.integers(1, 4, 400), "x": rng.normal(size=400)})
    detector = lampblack.TollDetector(types={"code": "category"}, **FAST).fit(frame)
    assert [column.kind for column in detector.schema_.columns] == ["category", "number"]
    assert (detector.predict(frame.head(3).assign(code=9)) == -1).all()
    array = lampblack.TollDetector(types={"x0": "category"}, **FAST).fit(frame.to_numpy())
    np.testing.assert_array_equal(
        array.anomaly_score(frame.to_numpy()), detector.anomaly_score(frame)
    )


@pytest.mark.parametrize(
    ("types", "message"),
    [({"no": "number"}, "names 'no', which is not there"), ({"flow": "float"}, "is no type")],
)
def test_unusable_types_are_refused(
    frame: pd.DataFrame, types: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        lampblack.TollDetector(types=types, **FAST).fit(frame)


def test_object_array_with_text_is_a_table() -> None:
    frame = mixed_frame()[["city", "mode", "open"]]
    detector = lampblack.AutoencoderDetector(**FAST).fit(frame.to_numpy())
    assert detector.explain(frame.to_numpy()[:2]).columns == ("x0", "x1", "x2")
    assert not hasattr(detector, "feature_names_in_")


def test_decimals_durations_and_times_are_numbers() -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "price": [decimal.Decimal(f"{v:.2f}") for v in rng.normal(10, 1, 200)],
            "took": pa.array(rng.integers(1, 99, 200), pa.duration("ms")),
            "clock": pa.array(rng.integers(0, 86399, 200).astype("int32")).cast(pa.time32("s")),
        }
    )
    detector = lampblack.TollDetector(**FAST, false_alarm_rate=0.1).fit(table)
    assert {column.kind for column in detector.schema_.columns} == {"number"}
    assert len(detector.anomaly_score(table)) == 200


UNFIT: dict[str, tuple[object, str]] = {
    "no rows": (pd.DataFrame({"a": []}), "0 rows"),
    "one row": (pd.DataFrame({"a": [1.0]}), "1 rows"),
    "no columns": (pd.DataFrame(index=range(5)), "0 columns"),
    "lists": (pd.DataFrame({"a": [[1], [2]]}), "column 'a' has type list"),
    "mixed types": (pd.DataFrame({"a": [1, "x", 2]}), "'a' mixes types: row 2 holds 'x'"),
    "repeated names": (pd.DataFrame(np.zeros((4, 2)), columns=["a", "a"]), "'a' occurs more than"),
    "sparse": (pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])}), "'a' is sparse"),
    "infinite": (np.array([[1.0], [np.inf], [2.0]]), "'x0', row 2: the value is infinite"),
    "a line of numbers": (np.arange(5.0), "Reshape your data"),
    "only a short-lived date": (
        pd.DataFrame({"at": pd.date_range("2024-01-01", periods=3)}),
        "no column carries anything",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_unusable_table_is_refused_in_one_line(case: str) -> None:
    X, message = UNFIT[case]
    with pytest.raises(InvalidInput, match=message) as caught:
        lampblack.TollDetector(**FAST).fit(X)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_wrong_number_of_features_is_named(fitted: lampblack.TollDetector) -> None:
    with pytest.raises(InvalidInput, match="X has 3 features, but TollDetector is expecting 5"):
        fitted.predict(np.zeros((2, 3)))


def test_frame_after_array_is_taken_by_position_with_a_warning(
    fitted: lampblack.TollDetector, normal: np.ndarray
) -> None:
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        scores = fitted.anomaly_score(pd.DataFrame(normal, columns=list("abcde")))
    np.testing.assert_array_equal(scores, fitted.anomaly_score(normal))


def test_array_after_frame_is_taken_by_position_with_a_warning(normal: np.ndarray) -> None:
    frame = pd.DataFrame(normal, columns=list("abcde"))
    detector = lampblack.TollDetector(**FAST).fit(frame)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        scores = detector.anomaly_score(normal)
    np.testing.assert_array_equal(scores, detector.anomaly_score(frame))


def test_columns_named_by_numbers_are_taken(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(pd.DataFrame(normal))
    assert detector.explain(pd.DataFrame(normal).head(1)).columns == ("0", "1", "2", "3", "4")


def test_no_rows_give_no_scores(fitted_frame: lampblack.TollDetector, frame: pd.DataFrame) -> None:
    assert len(fitted_frame.anomaly_score(frame.head(0))) == 0
    assert fitted_frame.explain(frame.head(0)).shape == (0, 5)
    assert len(fitted_frame.predict(frame.head(0), fdr=0.1)) == 0
    assert fitted_frame.encode(frame.head(0)).shape[0] == 0
    assert fitted_frame.reconstruct(frame.head(0)).num_rows == 0


def test_far_away_row_has_a_finite_score(detector_class: type, frame: pd.DataFrame) -> None:
    detector = detector_class(**FAST).fit(frame)
    far = frame.head(2).assign(flow=[1e99, -1e99])
    assert np.isfinite(detector.anomaly_score(far)).all()
    assert (detector.predict(far) == -1).all()


def test_global_output_configuration_of_scikit_learn_changes_nothing(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector
) -> None:
    import sklearn

    with sklearn.config_context(transform_output="pandas"):
        again = lampblack.TollDetector(**FAST).fit(frame)
        np.testing.assert_array_equal(again.anomaly_score(frame), fitted_frame.anomaly_score(frame))


def test_reconstruction_is_in_the_columns_own_units(
    frame: pd.DataFrame, fitted_frame: lampblack.TollDetector
) -> None:
    expected = fitted_frame.reconstruct(frame).to_pandas()
    assert list(expected.columns) == ["city", "flow", "mode", "open"]
    assert expected["flow"].mean() == pytest.approx(10.0, abs=1.0)
    assert set(expected["city"]) <= {"Bern", "Oslo", "Rome"}
    assert (expected["mode"] == 3.0).all()


def test_a_category_is_the_same_however_it_is_written() -> None:
    rng = np.random.default_rng(0)
    codes, flags = rng.integers(1, 4, 400), rng.random(400) > 0.5
    text = pd.DataFrame({"code": codes.astype(str), "flag": np.where(flags, "True", "False")})
    types = {"code": "category", "flag": "category"}
    detector = lampblack.TollDetector(types=types, **FAST).fit(text)
    expected = detector.anomaly_score(text)
    for code in (codes, codes.astype(float), [f"{c}.0" for c in codes]):
        for flag in (flags, np.where(flags, "true", "false")):
            frame = pd.DataFrame({"code": code, "flag": flag})
            np.testing.assert_array_equal(detector.anomaly_score(frame), expected)


def test_masked_values_are_missing_values(normal: np.ndarray) -> None:
    holes = normal.copy()
    holes[::9, 2] = np.nan
    masked = np.ma.masked_invalid(np.where(np.isnan(holes), np.inf, holes))
    np.testing.assert_array_equal(
        lampblack.TollDetector(**FAST).fit(masked).anomaly_score(holes),
        lampblack.TollDetector(**FAST).fit(holes).anomaly_score(holes),
    )


def test_units_do_not_matter(normal: np.ndarray) -> None:
    detector = lampblack.TollDetector(**FAST).fit(normal)
    large = lampblack.TollDetector(**FAST).fit(normal * 1e60)
    np.testing.assert_allclose(
        large.anomaly_score(normal * 1e60), detector.anomaly_score(normal), rtol=1e-2
    )
    tiny = lampblack.TollDetector(**FAST).fit(normal * 1e-170)  # its variance is below the least
    assert (tiny.predict(normal * 1e-168) == -1).mean() > 0.9


@pytest.mark.parametrize("scaling", ["standard", "minmax"])
def test_the_smallest_numbers_there_are_have_finite_scores(
    normal: np.ndarray, scaling: str
) -> None:
    """One over the range of such a column is infinite, and infinitely often 0 is no number."""
    X = normal.copy()
    X[:, 0] = np.arange(len(X)) % 3 * 5e-311
    detector = lampblack.TollDetector(scaling=scaling, **FAST).fit(X)
    X[0, 0] = 1.0
    assert np.isfinite(detector.anomaly_score(X)).all()
    assert detector.predict(X[:1]) == -1


def test_float32_with_a_hole_is_read_without_a_warning(normal: np.ndarray) -> None:
    rows = normal.astype(np.float32)
    rows[0, 0] = np.nan
    detector = lampblack.TollDetector(**FAST).fit(rows)
    assert np.isfinite(detector.anomaly_score(rows)).all()


def test_scores_of_parts_of_a_block_have_the_bits_of_the_whole(normal: np.ndarray) -> None:
    """The recommended score leaves out what only fills a block up."""
    detector = lampblack.LampblackDetector(**FAST).fit(normal)
    whole = detector.anomaly_score(normal)
    parts = [detector.anomaly_score(part) for part in np.split(normal, [1, 3, 64, 200])]
    assert (np.concatenate(parts) == whole).all()
