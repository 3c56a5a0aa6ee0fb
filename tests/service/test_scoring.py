"""Scores and reasons over HTTP are those of the library, whatever carries the rows."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lampblack
from lampblack.data.tables.kind import Tables
from tests.conftest import discs
from tests.service.conftest import as_json, rows, serving

NEW = rows(300, seed=5)
NEW.loc[7, "site"] = "Atlantis"
NEW.loc[9, "pressure"] = 90.0


def csv_of(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def parquet_of(frame: pd.DataFrame, **options: Any) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False, **options)
    return file.getvalue()


def png_of(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "PNG")
    return file.getvalue()


def columns_of(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {name: [row[name] for row in as_json(frame)] for name in frame}


def post(client: httpx.Client, how: str, frame: pd.DataFrame, path: str = "/v1/score") -> Any:
    if how == "rows":
        return client.post(path, json={"rows": as_json(frame)})
    if how == "columns":
        return client.post(path, json={"columns": columns_of(frame)})
    content, kind = {
        "csv": (csv_of(frame), "text/csv; charset=utf-8"),
        "parquet": (parquet_of(frame), "application/vnd.apache.parquet"),
        "binary": (parquet_of(frame, compression="zstd"), "application/octet-stream"),
        "form": (csv_of(frame), "text/csv"),
        "excel": (csv_of(frame), "application/vnd.ms-excel"),
    }[how]
    if how in ("form", "excel"):
        return client.post(path, files={"file": ("today.csv", content, kind)})
    return client.post(path, content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize("how", ["rows", "columns", "csv", "parquet", "binary", "form", "excel"])
def test_scores_are_those_of_the_library(client: httpx.Client, table_model: Path, how: str) -> None:
    detector = lampblack.load(table_model)
    answer = post(client, how, NEW)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    scores = detector.anomaly_score(NEW)
    results = found["results"]
    np.testing.assert_allclose([r["anomaly_score"] for r in results], scores, rtol=1e-6)
    np.testing.assert_array_equal([r["p_value"] for r in results], detector.p_value(NEW))
    decisions = np.where([r["decision"] == "anomaly" for r in results], -1, 1)
    np.testing.assert_array_equal(decisions, detector.predict(NEW))
    assert [r["row"] for r in results] == list(range(1, 301))
    assert found["threshold"] == detector.calibration_.threshold
    assert found["false_alarm_rate"] == 0.01
    assert found["alarms"] == (scores > detector.calibration_.threshold).sum() >= 2
    assert found["samples"] == 300
    assert found["model"] == client.get("/v1/model").json()["digest"]


def test_scores_do_not_depend_on_what_else_is_scored(
    table_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tables, "a_turn", 512)  # long requests are cut
    frame = rows(3000, seed=6)
    scores = lampblack.load(table_model).anomaly_score(frame)
    pieces = [slice(i, i + n) for i, n in [(0, 1), (1, 7), (8, 900), (0, 3000), (2000, 1000)] * 4]
    with serving(table_model, batch_wait=0.05) as client:
        with ThreadPoolExecutor(len(pieces)) as pool:
            found = list(pool.map(lambda piece: post(client, "csv", frame[piece]).json(), pieces))
        metrics = client.get("/metrics").text
    for piece, answer in zip(pieces, found, strict=True):
        given = [result["anomaly_score"] for result in answer["results"]]
        np.testing.assert_array_equal(given, scores[piece])
    batches = float(metrics.split("lampblack_batch_requests_count ")[1].split()[0])
    requests = float(metrics.split("lampblack_batch_requests_sum ")[1].split()[0])
    assert requests > 1.5 * batches  # they were scored together


def test_ids_name_rows_and_columns_can_be_left_out(client: httpx.Client) -> None:
    frame = NEW.assign(part=[f"p{i}" for i in range(300)], verdict="fine")
    query = {"id": "part", "exclude": "verdict"}
    answers = [
        client.post("/v1/score", params=query, files={"file": csv_of(frame)}),
        client.post("/v1/score", params=query, files={"file": parquet_of(frame)}),
        client.post("/v1/score", params=query, json={"rows": as_json(frame)}),
    ]
    for answer in answers:
        assert [r["id"] for r in answer.json()["results"]] == list(frame["part"])
    numbered = NEW.assign(n=range(300))
    for content, key in ((csv_of(numbered), "4"), (parquet_of(numbered), 4)):
        found = client.post("/v1/score", params={"id": "n"}, files={"file": content}).json()
        assert found["results"][4]["id"] == key  # of a CSV file, as it is written: 04 is not 4
    own = client.post("/v1/score", params={"id": "site"}, files={"file": csv_of(NEW)})
    assert own.json()["results"][7]["id"] == "Atlantis"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "unexpected: column 'part'"),
        ({"id": "nope"}, "'nope', which is not there"),
        ({"exclude": ["part", "nope"]}, "'nope', which is not there"),
        ({"exclude": ["part", "flow"]}, "the model needs column 'flow'"),
        ({"id": "part", "resize": "true"}, "resize is for images"),
    ],
)
def test_queries_that_do_not_fit_are_refused(client: httpx.Client, query: Any, says: str) -> None:
    frame = NEW.head(5).assign(part="p")
    for sent in ({"files": {"file": csv_of(frame)}}, {"json": {"rows": as_json(frame)}}):
        answer = client.post("/v1/score", params=query, **sent)
        assert answer.status_code == 422
        assert says in answer.json()["error"]


def test_reasons_are_those_of_the_library(client: httpx.Client, table_model: Path) -> None:
    detector = lampblack.load(table_model)
    explanation = detector.explain(NEW)
    order = np.argsort(-detector.anomaly_score(NEW), kind="stable")[:4]
    answer = client.post("/v1/explain", params={"top": 2, "most": 4}, files={"file": csv_of(NEW)})
    found = answer.json()
    assert [r["row"] for r in found["results"]] == [i + 1 for i in order]
    for result, i in zip(found["results"], order.tolist(), strict=True):
        own = explanation.top(i, 2)
        assert [r["column"] for r in result["reasons"]] == [r.column for r in own]
        amounts = [r["amount"] for r in result["reasons"]]
        np.testing.assert_allclose(amounts, [r.amount for r in own], rtol=1e-5)
    reasons = {r["row"]: r["reasons"] for r in found["results"]}
    assert reasons[8][0]["value"] == "Atlantis"
    assert reasons[10][0]["value"] == 90.0
    assert found["samples"] == 300
    one = client.post("/v1/explain", json={"rows": as_json(NEW.head(1))}).json()
    assert len(one["results"]) == 1
    assert len(one["results"][0]["reasons"]) == 3


def test_images_come_one_as_the_body_or_several_as_a_form(
    image_client: httpx.Client, image_model: Path
) -> None:
    detector = lampblack.load(image_model)
    images = discs(5, seed=3)
    images[2] = 255 - images[2]
    scores = detector.anomaly_score(images)
    sent = [("file", (f"{i}.png", png_of(image), "image/png")) for i, image in enumerate(images)]
    found = image_client.post("/v1/score", files=sent).json()
    np.testing.assert_array_equal([r["anomaly_score"] for r in found["results"]], scores)
    assert [r["id"] for r in found["results"]] == [f"{i}.png" for i in range(5)]
    for kind in ("image/png", "application/octet-stream"):
        one = image_client.post(
            "/v1/score", content=png_of(images[1]), headers={"Content-Type": kind}
        )
        assert one.json()["results"][0]["anomaly_score"] == scores[1]


def test_heat_maps_mark_what_answers_for_the_score(
    image_client: httpx.Client, image_model: Path
) -> None:
    images = discs(3, seed=3)
    images[1, 0, 2:5, 10:13] = 255
    sent = [("file", (f"{i}.png", png_of(image), "image/png")) for i, image in enumerate(images)]
    found = image_client.post("/v1/explain", files=sent).json()
    strongest = found["results"][0]
    detector = lampblack.load(image_model)
    order = np.argsort(-detector.anomaly_score(images), kind="stable")
    blame = detector.explain(images[order]).blame()
    row, column = np.unravel_index(blame[0].argmax(), blame[0].shape)
    assert strongest["row"] == order[0] + 1
    assert strongest["strongest_at"] == {"column": column, "row": row}
    head, _, data = strongest["heat_map"].partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (16, 16)
        light = np.asarray(picture.convert("L"), dtype=float)
    assert light[row, column] == light.max()


def test_images_of_another_size_are_resized_only_when_asked(image_client: httpx.Client) -> None:
    large = png_of(discs(1, size=32)[0])
    sent = {"files": {"file": ("large.png", large, "image/png")}}
    refused = image_client.post("/v1/score", **sent)
    assert refused.status_code == 422
    assert "32×32" in refused.json()["error"]
    assert "--" not in refused.json()["error"]
    assert image_client.post("/v1/score", params={"resize": "true"}, **sent).status_code == 200


def test_the_model_tells_what_it_is(client: httpx.Client, image_client: httpx.Client) -> None:
    model = client.get("/v1/model").json()
    assert [c["name"] for c in model["columns"]] == ["at", "site", "flow", "pressure", "valve"]
    assert [c["nullable"] for c in model["columns"]] == [False, False, True, False, False]
    assert (model["kind"], model["runtime"]) == ("table", "torch")
    assert "at most 1.00%" in model["promise"]
    assert "# LampblackDetector" in model["card"]
    assert model["explains"] is True
    images = image_client.get("/v1/model").json()
    assert images["images"] == {"channels": 1, "height": 16, "width": 16, "resize": False}


def test_without_a_promise_there_are_no_p_values(tmp_path: Path) -> None:
    detector = lampblack.TollDetector(max_steps=10, contamination=0.1, random_state=0)
    detector.fit(rows()).save(tmp_path / "c.model")
    with serving(tmp_path / "c.model") as client:
        found = post(client, "csv", NEW).json()
        metrics = client.get("/metrics").text
    assert found["false_alarm_rate"] is None
    assert all(result["p_value"] is None for result in found["results"])
    assert "lampblack_promised_false_alarm_rate NaN" in metrics


def test_an_array_model_takes_its_columns_by_name(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(300, 3))
    detector = lampblack.TollDetector(max_steps=10, random_state=0).fit(X)
    detector.save(tmp_path / "a.model")
    sent = [{f"x{i}": value for i, value in enumerate(row)} for row in X[:4].tolist()]
    with serving(tmp_path / "a.model") as client:
        found = client.post("/v1/score", json={"rows": sent}).json()
    scores = [result["anomaly_score"] for result in found["results"]]
    np.testing.assert_allclose(scores, detector.anomaly_score(X[:4]), rtol=1e-6)


def test_a_file_is_read_as_the_fitted_one_was(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from lampblack.cli.main import app

    frame = rows().drop(columns="at").fillna(-9)
    frame.to_csv(tmp_path / "n.csv", index=False, header=False, sep=";")
    model = tmp_path / "m.model"
    options = ["--no-header", "--delimiter", ";", "--missing", "-9", "--types", "c4=category"]
    fit = ["fit", str(tmp_path / "n.csv"), "-o", str(model), "--steps", "10", "-q", *options]
    assert CliRunner().invoke(app, fit).exit_code == 0
    scored = tmp_path / "s.csv"
    command = ["score", str(model), str(tmp_path / "n.csv"), "-o", str(scored), "-q"]
    assert CliRunner().invoke(app, command).exit_code == 0
    with serving(model) as client:
        found = client.post("/v1/score", files={"file": (tmp_path / "n.csv").read_bytes()}).json()
    given = [result["anomaly_score"] for result in found["results"]]
    np.testing.assert_allclose(given, pd.read_csv(scored)["anomaly_score"], rtol=1e-6)


def test_counters_tell_what_was_scored(table_model: Path) -> None:
    with serving(table_model) as client:
        alarms = post(client, "csv", NEW).json()["alarms"]
        post(client, "csv", NEW, "/v1/explain")  # the same rows again: they count once
        client.post("/v1/score", content=b"x")
        client.get("/nope")
        text = client.get("/metrics").text
        digest = client.get("/v1/model").json()["digest"]
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['lampblack_requests_total{endpoint="/v1/score",status="200"}'] == "1.0"
    assert lines['lampblack_requests_total{endpoint="/v1/score",status="415"}'] == "1.0"
    assert lines['lampblack_requests_total{endpoint="other",status="404"}'] == "1.0"
    assert float(lines["lampblack_scored_total"]) == 300
    assert float(lines["lampblack_alarms_total"]) == alarms
    assert float(lines["lampblack_recent_alarm_share"]) == pytest.approx(alarms / 300)
    assert float(lines["lampblack_promised_false_alarm_rate"]) == 0.01
    assert float(lines["lampblack_queue_depth"]) == 0
    assert f'digest="{digest}"' in text


def test_recent_share_forgets_what_is_old() -> None:
    from lampblack.service.metrics import RECENT, Metrics

    metrics = Metrics(lambda: 0, lambda: 0)
    metrics.scored(RECENT, RECENT)
    metrics.scored(RECENT, 0)
    assert b"lampblack_recent_alarm_share 0.0" in metrics.text()
