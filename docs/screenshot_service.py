"""Take the pictures of the service's page that the docs show: `python docs/screenshot_service.py`.

Needs Chromium, as Debian installs it, and playwright. The data are those of the README's tour, and
washers drawn by the same script as its images.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.studies.image_tour import PARTS
from benchmarks.studies.tour import PUMP

PICTURES = Path(__file__).parent / "pictures"
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def served(folder: Path, model: str) -> Iterator[str]:
    """The address of a service that is ready."""
    command = [sys.executable, "-m", "lampblack", "serve", model, "--port", "0"]
    running = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    address = re.findall(r"http://\S+", running.stderr.readline())[0]
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/readyz")
                break
            except urllib.error.HTTPError:
                time.sleep(0.2)
        yield address
    finally:
        running.terminate()
        running.wait()
        running.stderr.close()


def photograph(browser: Any, address: str, scheme: str, files: list[Path], name: str) -> None:
    """Give the page these files, and keep what it then shows."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": 960, "height": 1000})
    page.goto(address)
    page.locator("#ready").wait_for()
    if files[0].suffix == ".csv":
        page.fill("#key", "part")
        page.fill("#exclude", "verdict")
    page.set_input_files("#file", files)
    page.locator("#strongest:not([hidden])").wait_for()
    page.screenshot(path=str(PICTURES / f"{name}.png"))
    page.close()


def main() -> None:
    """Fit, serve, and photograph the page."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("there is no chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as runner:
        folder = Path(name)
        for script in (PUMP, PARTS):
            subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
        fit = [sys.executable, "-m", "lampblack", "fit", "-q"]
        subprocess.run([*fit, "normal.csv", "-o", "pump.model"], cwd=folder, check=True)
        subprocess.run([*fit, "parts/train/good", "-o", "part.model"], cwd=folder, check=True)
        browser = runner.chromium.launch(executable_path=chromium, args=OPTIONS)
        with served(folder, "pump.model") as address:
            photograph(browser, address, "light", [folder / "today.csv"], "service")
        parts = folder / "parts" / "test"
        images = [
            parts / "dent" / "001.png",
            parts / "dent" / "005.png",
            parts / "good" / "003.png",
        ]
        with served(folder, "part.model") as address:
            photograph(browser, address, "dark", images, "service-images")
        browser.close()


if __name__ == "__main__":
    main()
