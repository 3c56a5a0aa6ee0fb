"""The page at /: a file dropped in Chromium, and what a person then sees."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import discs
from tests.service.conftest import rows, serving

CHROMIUM = shutil.which("chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TOKEN = "0123456789abcdef0123"
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium, as Debian installs it"
)


@pytest.fixture(scope="module")
def browser() -> Any:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any) -> Any:
    """Pages whose console, errors and requests are watched: opened(client, scheme)."""
    contexts: list[Any] = []
    said: list[str] = []
    addresses: set[str] = set()

    def open_(client: httpx.Client, scheme: str = "light") -> Any:
        context = browser.new_context(color_scheme=scheme, viewport={"width": 1000, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: addresses.add(request.url))
        page.goto(str(client.base_url))
        return page

    yield open_
    for context in contexts:
        context.close()
    outside = [url for url in addresses if not re.match(r"http://127\.0\.0\.1:|blob:|data:", url)]
    assert not outside
    assert [line for line in said if "status of 4" not in line] == []


def test_the_page_stands_alone(client: httpx.Client) -> None:
    page = client.get("/").text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)([^"']+)""", page)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "innerHTML" not in page  # names and values of files are text, never markup
    assert 'lang="en"' in page


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_of_rows_is_scored_and_explained(
    client: httpx.Client, opened: Any, tmp_path: Path, scheme: str
) -> None:
    frame = rows(300, seed=5)
    frame.loc[7, "site"] = "<b>Atlantis</b>"
    frame["part"] = [f"p{i}" for i in range(300)]
    file = tmp_path / "today.csv"
    frame.to_csv(file, index=False)
    page = opened(client, scheme)
    page.locator("#ready").wait_for()
    page.set_input_files("#file", file)
    page.locator("#problem:not([hidden])").wait_for()
    assert "unexpected: column 'part'" in page.locator("#problem").text_content()
    page.fill("#key", "part")
    page.keyboard.press("Enter")
    page.locator("#strongest:not([hidden])").wait_for()
    assert page.locator("#problem").is_hidden()
    answer = client.post(
        "/v1/score", params={"id": "part"}, files={"file": file.read_bytes()}
    ).json()
    assert page.locator("#samples").text_content() == "300"
    assert page.locator("#alarms").text_content() == str(answer["alarms"])
    assert page.locator("#rate").text_content() == "1.00%"
    first = page.locator("#reasons tbody tr").first.text_content()
    strongest = max(answer["results"], key=lambda result: result["anomaly_score"])
    assert first.startswith(strongest["id"])
    assert "site (<b>Atlantis</b>; " in page.locator("#reasons").text_content()
    assert page.locator("#reasons tbody tr").count() == 10

    rows_ = page.locator("#list tbody tr")
    assert rows_.count() == 200
    assert page.locator("#shown").text_content() == "200 of 300 shown"
    page.fill("#filter", "p29")
    assert rows_.count() == 11
    page.fill("#filter", "")
    page.focus("#only")
    page.keyboard.press("Space")
    assert rows_.count() == answer["alarms"]
    page.keyboard.press("Space")
    page.focus("#list th:nth-child(1) button")
    page.keyboard.press("Enter")
    assert rows_.first.locator("td").first.text_content() == "p0"
    assert page.locator("#list th").first.get_attribute("aria-sort") == "ascending"
    with page.expect_download() as saved:
        page.click("#save")
    lines = Path(saved.value.path()).read_text().splitlines()
    assert lines[0] == "part,anomaly_score,p_value,decision"
    assert len(lines) == 301
    assert float(lines[1].split(",")[1]) == answer["results"][0]["anomaly_score"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=str(tmp_path / f"{scheme}.png"), full_page=True)


@needs_chromium
def test_images_show_their_heat_maps(
    image_client: httpx.Client, opened: Any, tmp_path: Path
) -> None:
    images = discs(3, seed=3)
    images[1, 0, 2:5, 10:13] = 255
    files = []
    for i, image in enumerate(images):
        Image.fromarray(np.asarray(image).squeeze()).save(tmp_path / f"{i}.png")
        files.append(str(tmp_path / f"{i}.png"))
    page = opened(image_client)
    page.locator("#ready").wait_for()
    assert page.locator("#key").is_hidden()
    # Dropped, not chosen: the event that a drag from the desktop ends with.
    page.set_input_files("#file", files)
    page.locator("#strongest:not([hidden])").wait_for()
    assert page.locator("#reasons img").count() == 6
    sizes = page.locator("#reasons img").evaluate_all(
        "async images => { await Promise.all(images.map(i => i.decode()));"
        " return images.map(i => i.naturalWidth); }"
    )
    assert sizes == [16] * 6
    texts = page.locator("#reasons img").evaluate_all("images => images.map(i => i.alt)")
    assert all(texts)
    page.screenshot(path=str(tmp_path / "images.png"), full_page=True)


@needs_chromium
def test_a_file_is_dropped(client: httpx.Client, opened: Any) -> None:
    page = opened(client)
    page.locator("#ready").wait_for()
    held = page.evaluate_handle(
        "text => { const held = new DataTransfer();"
        " held.items.add(new File([text], 'dropped.csv', {type: 'text/csv'})); return held; }",
        rows(30, seed=5).to_csv(index=False),
    )
    page.dispatch_event("#drop", "dragover", {"dataTransfer": held})
    assert "over" in page.locator("#drop").get_attribute("class")
    page.dispatch_event("#drop", "drop", {"dataTransfer": held})
    page.locator("#strongest:not([hidden])").wait_for()
    assert page.locator("#heading").text_content() == "dropped.csv"
    assert page.locator("#samples").text_content() == "30"


@needs_chromium
def test_the_token_is_asked_for_and_kept_nowhere(table_model: Path, opened: Any) -> None:
    with serving(table_model, token=TOKEN.encode()) as client:
        page = opened(client)
        page.locator("#entry:not([hidden])").wait_for()
        assert page.evaluate("document.activeElement.id") == "token"
        page.keyboard.type("not the token")
        page.keyboard.press("Enter")
        page.locator("#problem:not([hidden])").wait_for()
        assert page.locator("#problem").text_content() == "That is not the token."
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.locator("#ready:not([hidden])").wait_for()
        assert page.locator("#problem").is_hidden()
        kept = page.evaluate(
            "JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])"
        )
        assert TOKEN not in kept
        page.reload()
        page.locator("#entry:not([hidden])").wait_for()


@needs_chromium
def test_tab_reaches_everything_in_order(client: httpx.Client, opened: Any) -> None:
    page = opened(client)
    page.locator("#ready").wait_for()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached[:3] == ["file", "key", "exclude"]
    assert "SUMMARY" in reached
