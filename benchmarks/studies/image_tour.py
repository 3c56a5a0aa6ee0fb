"""What do the commands print on photographs?

The README's tour of images: made-up photographs of washers, some with a dent or a stain.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.lab.drawing import PICTURES
from benchmarks.lab.sessions import made_by, session

COMMANDS = """
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


def keep_contact_sheet(folder: Path) -> None:
    """Put the picture that the commands drew into the documentation."""
    shutil.copy(folder / "maps" / "contact-sheet.png", PICTURES)


STUDY = session("image-tour", COMMANDS, made_by(PARTS), keep_contact_sheet)
