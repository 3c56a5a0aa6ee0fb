"""Whatever is sent: a status, one sentence, the place; never a traceback, a path or a crash."""

from __future__ import annotations

import io
import json
import random
import zlib
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from lampblack.service import parquet as bounds
from tests.conftest import discs
from tests.service.conftest import as_json, rows, serving
from tests.service.test_scoring import csv_of, parquet_of, png_of

NEW = rows(20, seed=5)
ROW = as_json(NEW.head(1))[0]
JSON, PARQUET = "application/json", "application/vnd.apache.parquet"


def sent(client: httpx.Client, content: bytes, kind: str = JSON, **headers: str) -> httpx.Response:
    return client.post("/v1/score", content=content, headers={"Content-Type": kind, **headers})


def refused(answer: httpx.Response, status: int, says: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert says in body["error"]
    assert set(body) <= {"error", "row", "column"}
    for internal in ("Traceback", "/tmp", "site-packages", "--on-bad-row", "pyarrow", "0x"):
        assert internal not in answer.text
    answer.content.decode("ascii")
    return body


def with_value(column: str, value: str) -> bytes:
    """A JSON body whose second row has this JSON text in one column."""
    marked = [ROW, {**ROW, column: "MARK"}]
    return json.dumps({"rows": marked}).replace('"MARK"', value).encode()


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"  ", 400, "empty"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe{", 400, "not UTF-8"),
        ('{"rows": []}'.encode("utf-16"), 400, "UTF-8"),
        (b"\xef\xbb\xbf{}", 400, "not JSON"),
        (b"[" * 500, 400, "not JSON"),
        (b"[" * 150_000, 400, "nested too deeply"),
        (b"[" * 500_000, 413, "rows"),
        (b'{"rows": [], "rows": []}', 400, "key 'rows' twice"),
        (b'{"rows": [{"flow": 1, "flow": 2}]}', 400, "key 'flow' twice"),
        (b'{"rows": [{"flow": NaN}]}', 400, "NaN"),
        (b'{"rows": [{"flow": -Infinity}]}', 400, "-Infinity"),
        (b'{"rows": [{"flow": ' + b"9" * 5000 + b"}]}", 400, "too long"),
        (b"null", 422, "the body must be"),
        (b"[]", 422, "the body must be"),
        (b'{"rows": [], "columns": {}}', 422, "the body must be"),
        (b'{"rows": []}', 422, "at least one"),
        (b'{"rows": {}}', 422, "at least one"),
        (b'{"rows": [1]}', 422, "row 1 is not an object"),
        (b'{"rows": [{}]}', 422, "missing: columns 'at'"),
        (b'{"rows": [{"\\ud800": 1}]}', 422, "renamed?"),
        (b'{"columns": {}}', 422, "columns must be an object"),
        (b'{"columns": {"flow": 1}}', 422, "column 'flow' must be a list"),
        (b'{"columns": {"flow": []}}', 422, "no rows"),
        (b'{"columns": {"flow": [1], "at": [1, 2]}}', 422, "column 'at' has 2 values"),
    ],
)
def test_json_that_is_none_or_no_rows(
    client: httpx.Client, content: bytes, status: int, says: str
) -> None:
    refused(sent(client, content), status, says)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("flow", '"3.5"', '"3.5" is not a number'),
        ("flow", "true", "true is not a number"),
        ("flow", "[1]", "a list is not a number"),
        ("flow", "{}", "an object is not a number"),
        ("flow", "1e400", "infinite"),
        ("flow", "-1e101", "beyond"),
        ("flow", "9" * 400, "too large"),
        ("pressure", "null", "the value is missing"),
        ("site", "1.5", "1.5 is not text"),
        ("site", "1e300", "is not text"),
        ("site", "null", "the value is missing"),
        ("site", '"\\ud800"', "not Unicode"),
        ("valve", "1", "1 is not true or false"),
        ("valve", '"true"', "is not true or false"),
        ("at", "5", "5 is not a date"),
        ("at", '"yesterday"', '"yesterday" is not a date'),
        ("at", '"2026-02-30"', "is not a date"),
        ("at", '""', "the value is missing"),
        ("at", '"NA"', "the value is missing"),
        ("site", '"NA"', "the value is missing"),
        ("at", '"2026-01-31T10:00:00Z"', "is not a date without a time zone"),
        ("at", '"2026-01-31 10:00+02:00"', "is not a date without a time zone"),
        ("at", '"' + "x" * 1000 + '"', "... is not a date"),
        ("at", '"999999-01-01"', "is not a date"),
    ],
)
def test_values_that_do_not_fit_are_named_with_their_place(
    client: httpx.Client, column: str, value: str, says: str
) -> None:
    body = refused(sent(client, with_value(column, value)), 422, says)
    assert body["column"] == column
    if "Unicode" not in says:
        assert body["row"] == 2


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("flow", "null"),
        ("flow", "12345678901234567890"),
        ("flow", "1e100"),
        ("flow", "-0"),
        ("site", "3"),
        ("site", "true"),
        ("site", '"Pékin \\ud83d\\ude00"'),
        ("at", '"2026-01-31"'),
        ("at", '"2026-01-31T10:00:00.123456789"'),
    ],
)
def test_values_that_do_fit_are_scored(client: httpx.Client, column: str, value: str) -> None:
    answer = sent(client, with_value(column, value))
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["results"]) == 2


def test_missing_and_unknown_columns_are_named(client: httpx.Client) -> None:
    lacking = {name: value for name, value in ROW.items() if name != "flow"}
    for content in (
        json.dumps({"rows": [lacking]}).encode(),
        json.dumps({"columns": {name: [value] for name, value in lacking.items()}}).encode(),
    ):
        refused(sent(client, content), 422, "missing: column 'flow'")
    refused(
        sent(client, json.dumps({"rows": [{**ROW, "x": 1}]}).encode()),
        422,
        "unexpected: column 'x'",
    )
    body = refused(
        sent(client, json.dumps({"rows": [ROW, lacking]}).encode()),
        422,
        "row 2 lacks column 'flow'",
    )
    assert (body["row"], body["column"]) == (2, "flow")
    longer = json.dumps({"rows": [ROW, {**ROW, "x": 1}]}).encode()
    refused(sent(client, longer), 422, "row 2 has column 'x'")


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 422, "empty"),
        (b"\n\n", 422, "no rows"),
        (b"at,site,flow,pressure,valve\n", 422, "no rows"),
        (b"at,site\n2026-01-01,Bern\n", 422, "missing: columns 'flow', 'pressure', 'valve'"),
        (b"at,at\n1,2\n", 422, "'at'"),
        (b"\0\1\2,\n", 422, "binary"),
        (b"\xff\xfea\0", 422, "UTF-16"),
        (b"\x1f\x8b" + b"x" * 50, 415, "compressed"),
        (b"PK\x03\x04" + b"x" * 50, 415, "compressed"),
        (b"x" * (2 << 20), 413, "longer than 1 MiB"),
        (b"x\n" * 500_000, 413, "more than 100,000 rows"),
        (csv_of(NEW).replace(b"Bern", b'"Bern', 1), 422, "quote"),
        (csv_of(NEW).replace(b"Bern", b"B\xe9rn", 1), 422, "UTF-8"),
    ],
)
def test_csv_that_is_none_or_no_rows(
    client: httpx.Client, content: bytes, status: int, says: str
) -> None:
    refused(sent(client, content, "text/csv"), status, says)


def test_csv_cells_are_named_with_their_place(client: httpx.Client) -> None:
    frame = NEW.astype(object)
    frame.loc[12, "pressure"] = "high"
    body = refused(sent(client, csv_of(frame), "text/csv"), 422, "'high' is not a number")
    assert (body["row"], body["column"]) == (13, "pressure")
    frame.loc[12, "pressure"] = None
    body = refused(sent(client, csv_of(frame), "text/csv"), 422, "the value is missing")
    assert (body["row"], body["column"]) == (13, "pressure")
    short = csv_of(NEW) + b"2026-01-01\n"
    body = refused(sent(client, short, "text/csv"), 422, "1 field instead of 5")
    assert body["row"] == 21


def test_rows_are_counted_whatever_carries_them(table_model: Path) -> None:
    with serving(table_model, max_rows=19) as client:
        for answer in (
            client.post("/v1/score", json={"rows": as_json(NEW)}),
            client.post("/v1/score", json={"columns": {n: [1] * 20 for n in NEW}}),
            sent(client, csv_of(NEW), "text/csv"),
            sent(client, parquet_of(NEW), PARQUET),
        ):
            refused(answer, 413, "more than 19")
        assert sent(client, csv_of(NEW.head(19)), "text/csv").status_code == 200


def test_bytes_are_counted_while_they_come(table_model: Path) -> None:
    with serving(table_model, max_body=0.01) as client:
        large = b"x" * 200_000
        refused(sent(client, large, "text/csv"), 413, "0.01 MiB")  # by Content-Length

        def chunks() -> Any:
            for _ in range(20):
                yield large[:10_000]

        streamed = client.post("/v1/score", content=chunks(), headers={"Content-Type": "text/csv"})
        refused(streamed, 413, "0.01 MiB")
        assert sent(client, csv_of(NEW), "text/csv").status_code == 200


# Parquet.


def written(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    parquet.write_table(table, file, **options)
    return file.getvalue()


def test_a_dictionary_that_unfolds_to_gigabytes_is_not_unfolded(client: httpx.Client) -> None:
    """A text of 1 MiB, 50,000 times: 50 GB that 1 MB of Parquet stands for."""
    frame = NEW.sample(50_000, replace=True, random_state=0)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    long = pa.DictionaryArray.from_arrays(np.zeros(50_000, "i4"), ["x" * (1 << 20)])
    position = table.schema.get_field_index("site")
    content = written(table.set_column(position, "site", long))
    assert len(content) < 4 << 20
    refused(sent(client, content, PARQUET), 413, "unpacks to more than")


def test_pages_that_unpack_to_too_much_are_not_unpacked(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_UNFOLDED", 1 << 22)
    frame = NEW.sample(8, random_state=0)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    position = table.schema.get_field_index("site")
    long = pa.array(["x" * (1 << 20)] * 8)
    content = written(
        table.set_column(position, "site", long), compression="zstd", use_dictionary=False
    )
    assert len(content) < 1 << 18
    refused(sent(client, content, PARQUET), 413, "unpacks to more than")


def test_shared_prefixes_are_refused(client: httpx.Client) -> None:
    table = pa.Table.from_pandas(NEW, preserve_index=False)
    content = written(table, use_dictionary=False, column_encoding={"site": "DELTA_BYTE_ARRAY"})
    refused(sent(client, content, PARQUET), 422, "DELTA_BYTE_ARRAY")


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_honest_parquet_is_read(client: httpx.Client, compression: str, version: str) -> None:
    table = pa.Table.from_pandas(NEW, preserve_index=False)
    content = written(
        table,
        compression=compression,
        data_page_version=version,
        row_group_size=7,
        write_page_checksum=True,
        store_schema=version == "2.0",
    )
    answer = sent(client, content, PARQUET)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["results"]) == 20


def test_parquet_of_other_types_is_refused(client: httpx.Client) -> None:
    nested = NEW.astype(object)
    nested["flow"] = [[1.0]] * 20
    refused(sent(client, parquet_of(nested), PARQUET), 422, "nested")
    texts = NEW.assign(pressure=NEW["pressure"].astype(str))
    body = refused(sent(client, parquet_of(texts), PARQUET), 422, "held numbers")
    assert body["column"] == "pressure"
    refused(sent(client, csv_of(NEW), PARQUET), 422, "not a Parquet file")
    refused(sent(client, parquet_of(NEW.head(0)), PARQUET), 422, "no rows")


def test_damaged_parquet_never_crashes(client: httpx.Client) -> None:
    whole = parquet_of(NEW, compression="zstd")
    draw = random.Random(0)
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(draw.choice([1, 3, 20])):
            content[draw.randrange(4, len(content))] = draw.randrange(256)
        if draw.random() < 0.3:
            del content[draw.randrange(4, len(content)) :]
        answer = sent(client, bytes(content), PARQUET)
        assert answer.status_code in (200, 413, 422), answer.text
        if answer.status_code != 200:
            refused(answer, answer.status_code, "")


# Images.


def test_images_that_are_none_are_refused(image_client: httpx.Client) -> None:
    whole = png_of(discs(1)[0])
    refused(sent(image_client, b"", "image/png"), 422, "empty")
    refused(sent(image_client, b"x" * 100, "image/png"), 422, "not an image")
    refused(sent(image_client, whole[:60], "image/png"), 422, "damaged or cut short")
    colour = png_of(np.zeros((16, 16, 3), np.uint8))
    refused(sent(image_client, colour, "image/png"), 422, "3 channels")
    refused(sent(image_client, b'{"rows": []}', JSON), 415, "takes images")
    refused(
        image_client.post("/v1/score?id=a", content=whole, headers={"Content-Type": "image/png"}),
        422,
        "for rows",
    )


def test_an_image_bomb_is_not_unpacked(image_client: httpx.Client) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        head = len(data).to_bytes(4, "big") + kind + data
        return head + zlib.crc32(kind + data).to_bytes(4, "big")

    size = (30_000).to_bytes(4, "big") * 2
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\0\0\0\0")
    bomb += chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    for query in ("", "?resize=true"):
        answer = image_client.post(
            f"/v1/score{query}", content=bomb, headers={"Content-Type": "image/png"}
        )
        refused(answer, 422, "decompression bomb")


def test_images_are_counted(image_model: Path) -> None:
    files = [("file", (f"{i}.png", png_of(image), "image/png")) for i, image in enumerate(discs(3))]
    with serving(image_model, max_images=2) as client:
        refused(client.post("/v1/score", files=files), 413, "3 images are more than 2")
        assert client.post("/v1/score", files=files[:2]).status_code == 200
        refused(client.post("/v1/score", files=files * 5), 400, "Too many files")


def test_one_bad_image_of_several_is_named(image_client: httpx.Client) -> None:
    files = [("file", ("a.png", png_of(discs(1)[0]))), ("file", ("b.png", b"nothing"))]
    refused(image_client.post("/v1/score", files=files), 422, "b.png is not an image")


# Content types and forms.


@pytest.mark.parametrize(
    ("headers", "status", "says"),
    [
        ({}, 415, "Content-Type must say"),
        ({"Content-Type": "text/plain"}, 415, "Content-Type must say"),
        ({"Content-Type": "\xff/x"}, 415, "Content-Type must say"),
        ({"Content-Type": "image/png"}, 415, "takes rows"),
        ({"Content-Type": JSON, "Content-Encoding": "gzip"}, 415, "compressed"),
        ({"Content-Type": "multipart/form-data"}, 400, "form cannot be read"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, 400, "form"),
    ],
)
def test_bodies_must_say_what_they_are(
    client: httpx.Client, headers: dict[str, str], status: int, says: str
) -> None:
    given = {name: value.encode("latin-1") for name, value in headers.items()}
    refused(client.post("/v1/score", content=b"{}", headers=given), status, says)


def test_forms_hold_one_file_of_rows(client: httpx.Client) -> None:
    two = [("file", ("a.csv", csv_of(NEW))), ("file", ("b.csv", csv_of(NEW)))]
    refused(client.post("/v1/score", files=two), 422, "one file of rows")
    field = client.post("/v1/score", files={"note": (None, "x")})
    refused(field, 400, "holds no file")
    strange = {"file": ("../../etc/\r\npass\0wd", csv_of(NEW.head(2)))}
    assert client.post("/v1/score", files=strange).status_code == 200


@pytest.mark.parametrize("query", ["resize=maybe", "top=0", "most=0", "most=101", "top=x"])
def test_queries_out_of_range_are_refused(client: httpx.Client, query: str) -> None:
    path = "/v1/explain" if "resize" not in query else "/v1/score"
    answer = client.post(f"{path}?{query}", json={"rows": [ROW]})
    refused(answer, 422, query.split("=", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("path", "query", "known"),
    [
        ("/v1/score", "explian=3", "id, exclude, resize"),
        ("/v1/explain", "top=2&mots=1", "id, exclude, resize, top, most"),
        ("/v1/reload", "path=/etc", "none"),
        ("/v1/score", "x" * 5000, "id, exclude, resize"),
    ],
)
def test_a_query_parameter_that_is_not_known_is_refused_by_name(
    client: httpx.Client, path: str, query: str, known: str
) -> None:
    answer = client.post(f"{path}?{query}", json={"rows": [ROW]})
    name = query.rpartition("&")[2].partition("=")[0]
    body = refused(answer, 422, f"query parameter '{name[:40]}' is not known")
    assert f"takes {known}:" in body["error"]
    refused(client.get("/v1/model?verbose=1"), 422, "'verbose'")
    assert client.get("/healthz?from=balancer").status_code == 200


def test_other_paths_and_methods_are_answered_in_the_same_shape(client: httpx.Client) -> None:
    refused(client.get("/v1/../../etc/passwd"), 404, "Not Found")
    refused(client.get("/nope"), 404, "Not Found")
    answer = client.delete("/v1/score")
    refused(answer, 405, "Method Not Allowed")
    assert answer.headers["Allow"] == "POST"


def test_a_fault_of_the_service_says_nothing_of_its_inside(table_model: Path) -> None:
    from lampblack.service.engine import load_engine

    real = load_engine(table_model)

    class Broken:
        kind, schema, calibration, reading = real.kind, real.schema, real.calibration, {}

        def anomaly_score(self, X: Any) -> Any:
            raise RuntimeError("secret at /tmp/model")

    from dataclasses import replace

    with serving(table_model, engine=replace(real, scorer=Broken())) as client:
        answer = client.post("/v1/score", json={"rows": [ROW]})
        assert answer.status_code == 500
        assert answer.json() == {"error": "a fault of the service; its log says more"}


def test_long_names_are_cut_in_messages(client: httpx.Client) -> None:
    answer = client.post("/v1/score", json={"rows": [{"x" * 100_000: 1}]})
    assert answer.status_code == 422
    assert len(answer.content) < 1000


def test_a_frame_is_what_it_seems(client: httpx.Client) -> None:
    """The rows of these tests are scored when nothing is wrong with them."""
    assert isinstance(NEW, pd.DataFrame)
    assert client.post("/v1/score", json={"rows": [ROW, ROW]}).status_code == 200
    with Image.open(io.BytesIO(png_of(discs(1)[0]))) as image:
        assert image.size == (16, 16)
