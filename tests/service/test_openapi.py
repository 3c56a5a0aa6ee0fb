"""The OpenAPI document: true to the model's schema, and the service true to it.

`LAMPBLACK_SCHEMATHESIS=500 pytest tests/service/test_openapi.py` draws more examples.
"""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest

from lampblack.service.openapi import example_csv
from tests.service.conftest import rows

EXAMPLES = int(os.environ.get("LAMPBLACK_SCHEMATHESIS", "12"))


def test_examples_are_of_the_models_columns_and_are_scored(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    for path in ("/v1/score", "/v1/explain"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        for example in content["application/json"]["examples"].values():
            answer = client.post(path, json=example["value"])
            assert answer.status_code == 200, answer.text
        text = content["text/csv"]["example"]
        assert text.splitlines()[0] == "at,site,flow,pressure,valve"
        sent = client.post(path, content=text, headers={"Content-Type": "text/csv"})
        assert sent.status_code == 200, sent.text
    row = content["application/json"]["schema"]["oneOf"][0]["properties"]["rows"]["items"]
    assert row["required"] == list(rows(1))
    assert row["properties"]["flow"]["type"] == ["number", "null"]
    assert row["properties"]["pressure"]["type"] == ["number"]
    assert row["properties"]["at"]["format"] == "date-time"


def test_names_with_commas_and_quotes_are_quoted(client: httpx.Client) -> None:
    from lampblack.data.tables.schema import Column, Schema

    names = ("a,b", 'say "x"')
    columns = tuple(Column(name=name, kind="number", nullable=False) for name in names)
    text = example_csv(Schema(columns=columns, named=True))
    assert text == '"a,b","say ""x"""\n1.5,1.5\n'


def test_images_have_their_content_types(image_client: httpx.Client) -> None:
    document = image_client.get("/openapi.json").json()
    content = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]
    assert {"image/png", "image/jpeg", "multipart/form-data"} <= content.keys()
    assert "application/json" not in content


def test_tokens_are_in_the_document_only_where_there_is_one(client: httpx.Client) -> None:
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestWarning")
@pytest.mark.parametrize("kind", ["table", "images"])
def test_the_service_keeps_to_its_document(
    client: httpx.Client, image_client: httpx.Client, kind: str
) -> None:
    """Schemathesis draws requests, right and wrong, and checks every answer.

    Left out: that every drawn file or list of columns is accepted. A document cannot say that
    lists are of one length, or what a CSV file holds.
    """
    pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import openapi
    from schemathesis.checks import CHECKS

    served = client if kind == "table" else image_client
    schema = openapi.from_url(f"{served.base_url}/openapi.json")
    schema.config.output.sanitization.enabled = False
    checks = _checks(CHECKS)
    seen = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path == "/v1/reload":
            continue

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy())
        def hold(case: Any) -> None:
            response = case.call()
            seen.add((case.path, response.status_code))
            case.validate_response(response, checks=checks)

        hold()
    assert ("/v1/model", 200) in seen
    assert any(path == "/v1/score" for path, _ in seen)


def _checks(registry: Any) -> list[Any]:
    wanted = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    )
    return [registry.get_one(name) for name in wanted]
