"""Shell sessions that the README shows: every command is run, and its output is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.protocol import data_folder

KDD = """
lampblack fit kddcup.data_10_percent.gz --no-header --where "c42 != 'normal.'" --exclude c42 \
-o attacks.model
lampblack evaluate attacks.model corrected.gz --label c42 --anomaly normal.
lampblack score attacks.model corrected.gz --explain 2 -o scores.parquet
"""
DIGITS = """
lampblack fit train-images-idx3-ubyte.gz --normal 8 -o eight.model
lampblack evaluate eight.model t10k-images-idx3-ubyte.gz --normal 8
"""
TOUR = """
lampblack fit normal.csv -o pump.model
lampblack score pump.model today.csv --id part --exclude verdict
lampblack score pump.model today.csv --id part --exclude verdict --explain 2 -o scores.parquet
lampblack evaluate pump.model today.csv --label verdict --anomaly leak --exclude part
"""
PUMP = """
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)


def shift(n, start):
    at = pd.Timestamp(start) + pd.to_timedelta(np.arange(n) * 17, "min")
    site = rng.choice(["Bern", "Oslo", "Rome"], n, p=[0.5, 0.3, 0.2])
    flow = rng.normal(12.0, 2.0, n)
    pressure = 0.4 * flow + rng.normal(0.0, 0.1, n) + (site == "Oslo")
    frame = pd.DataFrame({"at": at, "site": site, "flow": flow, "pressure": pressure})
    frame["valve"] = rng.random(n) > 0.5
    frame.loc[rng.random(n) < 0.05, "flow"] = np.nan
    return frame.round({"flow": 3, "pressure": 3})


shift(2000, "2026-01-01").to_csv("normal.csv", index=False)
today = shift(300, "2026-03-01")
today["part"] = [f"p{i}" for i in range(300)]
today["verdict"] = "fine"
today.loc[[40, 41, 42, 200], "pressure"] -= 1.5
today.loc[[40, 41, 42, 200], "verdict"] = "leak"
today.loc[250, ["site", "verdict"]] = ["Atlantis", "leak"]
today.to_csv("today.csv", index=False)
"""


IMAGE_TOUR = """
lampblack fit parts/train/good -o part.model
lampblack score part.model parts/test --heatmaps maps
lampblack score part.model parts/test -o scores.parquet
lampblack evaluate part.model parts/test
"""
PARTS = """
from pathlib import Path

import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
SIDE = 48
y, x = np.mgrid[:SIDE, :SIDE]


def washer():
    middle = SIDE / 2 + rng.normal(0, 1, 2)
    radius = np.hypot(x - middle[0], y - middle[1])
    colour = np.array([60.0, 62.0, 66.0]) + np.zeros((SIDE, SIDE, 3))
    colour[(radius < 18) & (radius > 6)] = [170, 150, 120]
    return colour + rng.normal(0, 4, colour.shape) + rng.normal(0, 3)


def save(path, image):
    path = Path("parts", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)


for i in range(400):
    save(f"train/good/{i:03}.png", washer())
for i in range(60):
    save(f"test/good/{i:03}.png", washer())
for kind in ("dent", "stain"):
    for i in range(15):
        image = washer()
        row, column = rng.integers(10, SIDE - 14, 2)
        mask = np.zeros((SIDE, SIDE), bool)
        mask[row : row + 5, column : column + 5] = True
        image[mask] = [40, 40, 45] if kind == "dent" else image[mask] * [0.8, 0.8, 1.3]
        save(f"test/{kind}/{i:03}.png", image)
        save(f"ground_truth/{kind}/{i:03}_mask.png", mask * 255)
"""
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "contact-sheet.png"


def run_image_tour(output: Path) -> None:
    """Made-up photographs of washers, and the commands on them; keeps the contact sheet."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", PARTS], cwd=folder, check=True)
        output.write_text(_session(IMAGE_TOUR, Path(folder)))
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copy(Path(folder) / "maps" / "contact-sheet.png", PICTURE)


def run_tour(output: Path) -> None:
    """Two made-up files, the second with a leak and an unknown site, and the commands on them."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", PUMP], cwd=folder, check=True)
        output.write_text(_session(TOUR, Path(folder)))


def run_kdd(output: Path) -> None:
    """KDD Cup 99 as it is; the rare "normal." rows are the anomalies, as in the papers."""
    _session_on_data("kddcup99", KDD, output)


def run_digits(output: Path) -> None:
    """MNIST as it is, the digit 8 normal."""
    _session_on_data("mnist", DIGITS, output)


def _session_on_data(name: str, commands: str, output: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for file in (data_folder() / name).glob("*.gz"):
            shutil.copy(file, folder)
        output.write_text(_session(commands, Path(folder)))


def _session(commands: str, folder: Path) -> str:
    """Run each line in the folder; the lines and what they printed, as a terminal shows it."""
    shown = []
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "96",
    }
    for command in commands.replace("\\\n", "").strip().splitlines():
        finished = subprocess.run(
            command,
            cwd=folder,
            shell=True,
            check=True,
            capture_output=True,
            text=True,
            env=environment,
        )
        warnings = [line for line in finished.stderr.splitlines() if line.startswith("lampblack:")]
        text = re.sub(r" +$", "", finished.stdout.rstrip(), flags=re.MULTILINE)
        shown.append("\n".join([f"$ {command}", *warnings, text]))
    return "\n\n".join(shown) + "\n"
