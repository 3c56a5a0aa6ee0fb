"""What a person at a terminal sees while a command runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import discs, mixed_frame

pty = pytest.importorskip("pty")


def at_terminal(*arguments: object) -> str:
    """Run the command line with standard error at a terminal; what that shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lampblack", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                some = os.read(ours, 4096)
            except OSError:  # the terminal is closed
                break
            if not some:
                break
            shown += some
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def test_bars_have_a_rate_and_the_time_left(tmp_path: Path) -> None:
    mixed_frame(400).to_csv(tmp_path / "rows.csv", index=False)
    for i, image in enumerate(discs(210)[:, 0]):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(np.asarray(image)).save(tmp_path / "images" / f"{i}.png")
    for data, unit in (("rows.csv", "rows"), ("images", "images")):
        model = tmp_path / f"{unit}.model"
        shown = at_terminal("fit", tmp_path / data, "-o", model, "--steps", 30)
        assert "steps/s" in shown
        assert "30/30" in shown
        assert "0:00:00" in shown
        assert ("images/s" in shown) == (unit == "images")
        shown = at_terminal("score", model, tmp_path / data, "-o", tmp_path / "out.csv")
        assert f"{unit}/s" in shown
        assert "Traceback" not in shown
