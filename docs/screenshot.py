"""Take the picture of a report that the docs show: `python docs/screenshot.py`.

Needs Chromium, as Debian installs it, and playwright. The data are those of the README's tour.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.studies.tour import PUMP

PICTURE = Path(__file__).parent / "pictures" / "report.png"
COMMANDS = (
    "fit normal.csv -o pump.model -q",
    "report pump.model today.csv --id part --label verdict --anomaly leak -q",
)
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Fit, report, and photograph the page."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("there is no chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as runner:
        subprocess.run([sys.executable, "-c", PUMP], cwd=folder, check=True)
        for command in COMMANDS:
            call = [sys.executable, "-m", "lampblack", *command.split()]
            subprocess.run(call, cwd=folder, check=True)
        browser = runner.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": 960, "height": 1500})
        page.goto((Path(folder) / "report.html").as_uri())
        page.locator("summary").first.click()
        page.locator("#alarms").scroll_into_view_if_needed()
        page.screenshot(path=str(PICTURE), full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
