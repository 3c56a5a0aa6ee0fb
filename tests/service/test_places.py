"""The place of a fault, whatever names and cells look like: in the service and on the command line.

A column may be called like a place in a message, and a cell may hold one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from tests.conftest import FAST
from tests.service.conftest import serving
from tests.service.test_refusals import JSON, PARQUET, sent
from tests.service.test_scoring import csv_of, parquet_of

NAMES = ["it's", "a', row 9", "column 'flow', row 8"]
CELL = "a note on row 7"


def odd_rows(n: int) -> pd.DataFrame:
    values = np.random.default_rng(0).normal(size=(n, len(NAMES)))
    return pd.DataFrame(values.round(3), columns=NAMES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("odd") / "odd.model"
    lampblack.TollDetector(**FAST).fit(odd_rows(200)).save(path)
    return path


@pytest.fixture(scope="module")
def odd(model: Path) -> Iterator[httpx.Client]:
    with serving(model) as client:
        yield client


def faulty(column: str, value: Any) -> pd.DataFrame:
    """Ten rows, the second of which has this value."""
    frame = odd_rows(10).astype(object)
    frame.loc[1, column] = value
    return frame


def as_body(frame: pd.DataFrame) -> bytes:
    return json.dumps({"rows": frame.where(frame.notna(), None).to_dict("records")}).encode()


def place(answer: httpx.Response) -> tuple[int | None, str | None]:
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert "--" not in body["error"]
    return body.get("row"), body.get("column")


@pytest.mark.parametrize("column", NAMES)
def test_a_missing_value_has_its_place_in_every_body(odd: httpx.Client, column: str) -> None:
    frame = faulty(column, None)
    assert place(sent(odd, as_body(frame), JSON)) == (2, column)
    assert place(sent(odd, csv_of(frame), "text/csv")) == (2, column)
    assert place(sent(odd, parquet_of(frame.astype(float)), PARQUET)) == (2, column)


@pytest.mark.parametrize("column", NAMES)
def test_text_among_numbers_has_its_own_place(odd: httpx.Client, column: str) -> None:
    frame = faulty(column, CELL)
    for content, kind in ((as_body(frame), JSON), (csv_of(frame), "text/csv")):
        answer = sent(odd, content, kind)
        assert place(answer) == (2, column)
        assert CELL in answer.json()["error"]
    texts = odd_rows(10).assign(**{column: CELL})  # of a whole column, no row is at fault
    answer = sent(odd, parquet_of(texts), PARQUET)
    assert place(answer) == (None, column)
    assert CELL in answer.json()["error"]


@pytest.mark.parametrize("column", NAMES)
def test_a_column_that_is_missing_is_named(odd: httpx.Client, column: str) -> None:
    frame = odd_rows(10).drop(columns=column)
    for content, kind in (
        (as_body(frame), JSON),
        (csv_of(frame), "text/csv"),
        (parquet_of(frame), PARQUET),
    ):
        assert place(sent(odd, content, kind)) == (None, column)


def test_of_several_columns_none_is_named(odd: httpx.Client) -> None:
    assert place(sent(odd, csv_of(odd_rows(10)[NAMES[:1]]), "text/csv")) == (None, None)


def test_a_remedy_is_what_a_request_can_do(odd: httpx.Client) -> None:
    answer = sent(odd, csv_of(odd_rows(10).assign(part=1)), "text/csv")
    assert place(answer) == (None, "part")
    assert answer.json()["error"] == (
        "unexpected: column 'part'; the model was fitted without: leave out what it does not "
        "know (exclude), or name rows by one such column (id)"
    )
    assert (
        sent(odd, csv_of(faulty(NAMES[0], CELL)), "text/csv")
        .json()["error"]
        .endswith(f"{CELL!r} is not a number; correct it")
    )


@pytest.mark.parametrize("column", NAMES)
def test_the_command_line_says_the_same_places(model: Path, tmp_path: Path, column: str) -> None:
    data = tmp_path / "new.csv"
    command = ["score", str(model), str(data), "-o", str(tmp_path / "out.csv")]
    start = f"lampblack: error: {data}: row 2, column {column!r}:"
    for value, says in (
        (CELL, f"{CELL!r} is not a number; correct it or skip such rows (--on-bad-row skip)"),
        (
            None,
            "the value is missing, and the fitted data had no missing value there; fill it or "
            "leave the row out, or skip such rows (--on-bad-row skip)",
        ),
    ):
        data.write_bytes(csv_of(faulty(column, value)))
        finished = CliRunner().invoke(app, command)
        assert finished.exit_code == 2, finished.output
        assert finished.output.strip() == f"{start} {says}"
    data.write_bytes(csv_of(odd_rows(10).assign(part=1)))
    assert CliRunner().invoke(app, command).output.strip() == (
        f"lampblack: error: {data}: unexpected: column 'part'; the model was fitted without: leave "
        "out what it does not know (--exclude), or name rows by one such column (--id)"
    )
