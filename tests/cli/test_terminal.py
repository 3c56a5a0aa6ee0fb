"""What a person at a terminal sees while a command runs."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from lampblack.training import progress
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
        assert f"- {unit}/s" not in shown
        assert not re.search(rf"(?<![\d,.])0 {unit}/s", shown)


def test_a_bar_of_few_parts_says_how_many_there_are(tmp_path: Path) -> None:
    mixed_frame(400).to_csv(tmp_path / "rows.csv", index=False)
    at_terminal("fit", tmp_path / "rows.csv", "-o", tmp_path / "m", "--steps", 30, "-q")
    shown = at_terminal("diagnose", tmp_path / "m", tmp_path / "rows.csv", "-o", tmp_path / "d")
    assert "0 of 4 parts" in shown
    assert "4 of 4 parts" in shown
    assert "so far" in shown
    assert "- parts/s" not in shown


@pytest.mark.parametrize(("total", "shows"), [(0, False), (3, True), (None, True)])
def test_a_bar_with_nothing_to_do_is_not_drawn(
    monkeypatch: pytest.MonkeyPatch, total: int | None, shows: bool
) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "bar_console", lambda: console)
    with progress.counted("read", total, "images", False) as advance:
        advance(3)
    assert bool(written.getvalue()) == shows
    assert ("3 of 3 images" in written.getvalue()) == (total == 3)


def test_a_resumed_training_counts_its_own_steps_alone() -> None:
    column = progress.rate_column("steps")
    task = SimpleNamespace(completed=1010, elapsed=2.0, finished_time=None, fields={"first": 1000})
    assert column.render(task).plain == "5 steps/s"
