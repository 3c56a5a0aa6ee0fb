"""One row has one score, whichever way it comes: files, frames, the service, a portable model."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from lampblack.data.tables.model_rows import ModelRows
from lampblack.model.folder import load_model
from lampblack.model.model import Model
from tests.service.conftest import serving

GONE = "?"


def typed(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Rows as a program has them: a price, a day, a zoned time, a country, a boolean, holes."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "price": (rng.random(n) * 4000).round(2),
            "day": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
            "at": pd.Timestamp("2025-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 5000, n), "h"),
            "country": rng.choice(["DE", "NA", "FR", "x y"], n),
            "on": rng.random(n) > 0.5,
            "flow": rng.normal(size=n).round(3),
        }
    )
    for name in ("price", "day", "country", "flow"):
        frame.loc[rng.random(n) < 0.1, name] = None
    return frame


def written(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows as text, as the fitted file writes them."""
    text = pd.DataFrame(
        {
            "price": [GONE if pd.isna(v) else f"${v:,.2f}" for v in frame["price"]],
            "day": ["" if pd.isna(v) else v.strftime("%d/%m/%Y") for v in frame["day"]],
            "at": [v.strftime("%Y-%m-%d %H:%M:%S+00:00") for v in frame["at"]],
            "country": [GONE if pd.isna(v) else v for v in frame["country"]],
            "on": ["true" if v else "False" for v in frame["on"]],
            "flow": [GONE if pd.isna(v) else repr(float(v)) for v in frame["flow"]],
        }
    )
    return text.astype(object)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a file of text, which says what its reading of it is."""
    folder = tmp_path_factory.mktemp("ways")
    written(typed()).to_csv(folder / "rows.csv", index=False)
    arguments = ["fit", folder / "rows.csv", "-o", folder / "m", "-d", "toll", "--steps", 30, "-q"]
    arguments += ["--missing", GONE, "--not-missing", "NA", "--timezone", "Europe/Berlin"]
    arguments += ["--false-alarm-rate", 0.05]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    assert "is read as numbers, as $1,234.5; keep the column as text (--types" in done.stderr
    assert "is read as dates, as %d/%m/%Y" in done.stderr
    return folder / "m"


def of_file(name: str, write: Callable[[Path], object], model: Model, folder: Path) -> Any:
    path = folder / name
    write(path)
    choice = type("All", (), {"exclude": (), "where": None, "skip_bad_rows": False})()
    from lampblack.data.tables.layout import RowFormat

    rows = ModelRows(path, model.schema, RowFormat.of_reading(model.reading), choice)
    return np.concatenate([model.anomaly_score(batch.rows) for batch in rows])


WAYS: dict[str, Callable[[pd.DataFrame, Model, Path], Any]] = {
    "csv": lambda f, m, at: of_file("a.csv", lambda p: written(f).to_csv(p, index=False), m, at),
    "csv of types": lambda f, m, at: of_file(
        "t.csv",
        lambda p: f.assign(price=written(f)["price"]).to_csv(p, index=False, na_rep=""),
        m,
        at,
    ),
    "quoted csv": lambda f, m, at: of_file(
        "q.csv", lambda p: written(f).to_csv(p, index=False, quoting=1), m, at
    ),
    "gz": lambda f, m, at: of_file("a.csv.gz", lambda p: written(f).to_csv(p, index=False), m, at),
    "parquet": lambda f, m, at: of_file("a.parquet", f.to_parquet, m, at),
    "parquet of text": lambda f, m, at: of_file(
        "s.parquet", lambda p: written(f).drop(columns="on").assign(on=f["on"]).to_parquet(p), m, at
    ),
    "pandas": lambda f, m, at: m.anomaly_score(f),
    "pandas of text": lambda f, m, at: m.anomaly_score(written(f).assign(on=f["on"])),
    "pandas of Arrow": lambda f, m, at: m.anomaly_score(f.convert_dtypes(dtype_backend="pyarrow")),
    "pandas with signs": lambda f, m, at: m.anomaly_score(
        f.assign(flow=f["flow"].astype(object).where(f["flow"].notna(), GONE))
    ),
    "categories": lambda f, m, at: m.anomaly_score(f.astype({"country": "category"})),
    "local": lambda f, m, at: m.anomaly_score(f.assign(at=f["at"].dt.tz_convert("Asia/Tokyo"))),
    "polars": lambda f, m, at: m.anomaly_score(pl.from_pandas(f)),
    "polars of text": lambda f, m, at: m.anomaly_score(
        pl.from_pandas(written(f).assign(on=f["on"]))
    ),
    "pyarrow": lambda f, m, at: m.anomaly_score(pa.Table.from_pandas(f)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_row_has_one_score_whichever_way_it_comes(way: str, model: Path, tmp_path: Path) -> None:
    frame, fitted = typed(120, seed=1), load_model(model)
    assert fitted.schema.timezone == "Europe/Berlin"
    expected = fitted.anomaly_score(frame)
    np.testing.assert_array_equal(WAYS[way](frame, fitted, tmp_path), expected)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 6),
    country=st.sampled_from(["DE", "NA", "Atlantis", "null", "", "?", "1.0"]),
    way=st.sampled_from(sorted(set(WAYS) - {"csv of types"})),
)
def test_any_rows_have_one_score(
    model: Path, tmp_path: Path, seed: int, n: int, country: str, way: str
) -> None:
    frame, fitted = typed(n, seed), load_model(model)
    frame["country"] = frame["country"].astype(object)
    frame.loc[0, "country"] = country
    expected = fitted.anomaly_score(frame)
    np.testing.assert_array_equal(WAYS[way](frame, fitted, tmp_path), expected)


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.assign(
        day=frame["day"].dt.strftime("%Y-%m-%d"), at=frame["at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    ).astype(object)
    return plain.where(frame.notna(), None).to_dict("records")


def text_as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """JSON whose texts are those of the fitted file, with numbers as numbers."""
    text = written(frame).assign(on=frame["on"].astype(object))
    text["flow"] = [GONE if pd.isna(v) else v for v in frame["flow"]]
    return text.to_dict("records")


def test_the_service_gives_the_same_scores(model: Path) -> None:
    frame = typed(60, seed=2)
    expected = load_model(model).anomaly_score(frame)
    parquet = io.BytesIO()
    frame.to_parquet(parquet)
    bodies: list[dict[str, Any]] = [
        {"json": {"rows": as_json(frame)}},
        {"json": {"rows": text_as_json(frame)}},
        {
            "content": written(frame).to_csv(index=False).encode(),
            "headers": {"Content-Type": "text/csv"},
        },
        {
            "content": parquet.getvalue(),
            "headers": {"Content-Type": "application/vnd.apache.parquet"},
        },
    ]
    with serving(model) as client:
        for body in bodies:
            answer = client.post("/v1/score", **body)
            assert answer.status_code == 200, answer.text
            found = [result["anomaly_score"] for result in answer.json()["results"]]
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_portable_model_gives_them_within_its_bound(model: Path, tmp_path: Path) -> None:
    frame, fitted = typed(100, seed=3), load_model(model)
    lampblack.export_onnx(fitted, tmp_path / "m.onnx")
    portable = lampblack.load_portable(tmp_path / "m.onnx")
    expected = fitted.anomaly_score(frame)
    for way in ("csv", "parquet", "pandas of text", "polars"):
        found = WAYS[way](frame, portable, tmp_path)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_na_is_a_country_where_it_is_said(model: Path) -> None:
    """And by default it is missing, however a row comes, which a frame is warned of."""
    kept = load_model(model)
    frame = typed(20, seed=4).assign(country="NA")
    other = frame.assign(country=None)
    assert (kept.anomaly_score(frame) != kept.anomaly_score(other)).any()
    plain = typed(200)
    with pytest.warns(lampblack.ReadingWarning, match=r"not_missing=\['NA'\]"):
        detector = lampblack.TollDetector(max_steps=5, random_state=0).fit(plain)
    np.testing.assert_array_equal(detector.anomaly_score(frame), detector.anomaly_score(other))
    told = lampblack.TollDetector(max_steps=5, random_state=0, not_missing=("NA",)).fit(plain)
    assert (told.anomaly_score(frame) != told.anomaly_score(other)).any()


def test_codes_are_missing_in_arrays_too() -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[::9, 1] = -999
    detector = lampblack.TollDetector(max_steps=5, random_state=0, missing=("-999",)).fit(X)
    holes = np.where(X == -999, np.nan, X)
    np.testing.assert_array_equal(detector.anomaly_score(X), detector.anomaly_score(holes))
    assert [column.nullable for column in detector.schema_.columns] == [False, True, False]
