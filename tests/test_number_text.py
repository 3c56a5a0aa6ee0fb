"""Numbers are written by one rule, in Python and in the service's page."""

from __future__ import annotations

import math
import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lampblack
from lampblack.number_text import count, duration, number, percent

CHROMIUM = shutil.which("chromium")
SOURCES = sorted(Path(lampblack.__file__).parent.rglob("*.py"))
WRITTEN = [
    (5000, "5000"),
    (6420.0, "6420"),
    (100, "100"),
    (888000, "888000"),
    (888000.4, "888000"),
    (99999.5, "100000"),
    (1234.5, "1235"),  # exactly half: away from zero, as browsers round
    (-1234.5, "-1235"),
    (0.00015, "0.00015"),
    (0.1 + 0.2, "0.3"),
    (9.99996, "10"),
    (-0.5, "-0.5"),
    (-0.0, "0"),
    (1e-300, "1e-300"),
    (5e-324, "4.941e-324"),
    (0.00001234567, "1.235e-5"),
    (0.00009999999, "1e-4"),
    (999999999999999, "999999999999999"),
    (1e15, "1e15"),
    (1.7976931348623157e308, "1.798e308"),
    (math.nan, "–"),
    (None, "–"),
    (math.inf, "∞"),
    (-math.inf, "-∞"),
]
COUNTS = [(0, "0"), (999, "999"), (5000, "5,000"), (1234567, "1,234,567"), (-1000, "-1,000")]
PERCENTS = [
    (0.0, "0.00%"),
    (1.0, "100.00%"),
    (0.01, "1.00%"),
    (0.00004, "0.004%"),
    (1e-9, "1e-7%"),
    (0.99999, ">99.99%"),
    (0.00125, "0.13%"),  # 0.125 is exact in binary
    (51.2, "5120.00%"),
    (math.nan, "–"),
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text
    if value is not None and abs(value) < 3e38:
        rounded = np.float64(value)
        assert number(rounded) == text


@pytest.mark.parametrize(("value", "text"), COUNTS)
def test_counts(value: int, text: str) -> None:
    assert count(value) == count(float(value)) == count(np.int64(value)) == text


@pytest.mark.parametrize(("value", "text"), PERCENTS)
def test_percents(value: float, text: str) -> None:
    assert percent(value) == text


def test_times() -> None:
    assert duration(math.nan) == "–"
    assert [duration(s) for s in (59.94, 59.96, 3599.6)] == ["59.9 s", "1 min", "1 h"]


@given(st.floats(-1e308, 1e308))
def test_a_written_number_is_near_the_number(value: float) -> None:
    text = number(value)
    assert math.isclose(float(text), value, rel_tol=5.1e-4, abs_tol=0)
    assert not re.search(r"\.\d*0(e|$)|\.(e|$)|^-0$", text)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as Debian installs it")
def test_the_page_of_the_service_follows_the_same_rule() -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    rng = np.random.default_rng(0)
    values = [value for value, _ in (*WRITTEN, *COUNTS, *PERCENTS) if value is not None]
    values += (rng.normal(size=2000) * 10.0 ** rng.integers(-320, 300, 2000)).tolist()
    values += (rng.integers(-(10**6), 10**6, 2000) / 2).tolist()  # with exact halves
    shares = [*np.abs(values[-2000:]) / 10**6, *(value for value, _ in PERCENTS)]
    wholes = [value for value in values if abs(value) < 1e15]
    with playwright.sync_playwright() as runner:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page()
        page.set_content(files("lampblack.service").joinpath("page.html").read_text("utf-8"))

        def on_page(call: str, of: list[float]) -> list[str]:
            return list(page.evaluate(f"values => values.map({call})", [float(x) for x in of]))

        assert on_page("x => number(x)", values) == [number(x) for x in values]
        assert on_page("x => percent(x)", shares) == [percent(x) for x in shares]
        assert on_page("x => percent(x, 0)", shares) == [percent(x, 0) for x in shares]
        assert on_page("x => count(x)", wholes) == [count(x) for x in wholes]
        assert page.evaluate("[number(null), number(undefined)]") == ["–", "–"]
        browser.close()


def test_nothing_else_writes_numbers_with_an_exponent_or_shares_as_nothing() -> None:
    """Formats like :.4g, which make 8.88e+05 of 888000, and :.2%, 0.00% of a few."""
    formats = re.compile(r"\{[^{}]*:,?(\.\d+)?[gGeE%]\}")
    found = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text("utf-8").splitlines()
        if formats.search(line) and path.name != "number_text.py"
    ]
    assert found == []
