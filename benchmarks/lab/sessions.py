"""Shell sessions that the pages show: every command is run, and its output is kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.lab.protocol import data_folder
from benchmarks.lab.results import KEPT, Rows
from benchmarks.lab.study import Script, Study


def session(
    name: str,
    commands: str,
    prepare: Callable[[Path], None],
    keep: Callable[[Path], object] | None = None,
) -> Study:
    """A study that runs commands in a folder of files, and shows them as a block of its name.

    prepare: puts the files there. keep: takes from there what the documentation shows.
    """

    def run(results: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder))
            (results / f"{name}.txt").write_text(recorded(commands, Path(folder)))
            if keep is not None:
                keep(Path(folder))

    def block(_: Rows) -> str:
        return f"```\n{(KEPT / f'{name}.txt').read_text().rstrip()}\n```\n"

    return Study(work=Script(run), blocks={name: block})


def made_by(program: str) -> Callable[[Path], None]:
    """Files that a program of Python writes."""

    def prepare(folder: Path) -> None:
        subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)

    return prepare


def of_data(name: str) -> Callable[[Path], None]:
    """Public data as they are."""

    def prepare(folder: Path) -> None:
        for file in (data_folder() / name).glob("*.gz"):
            shutil.copy(file, folder)

    return prepare


def recorded(commands: str, folder: Path) -> str:
    """Run each line in the folder; the lines and what they printed, as a terminal shows it."""
    shown = []
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for command in commands.replace("\\\n", "").strip().splitlines():
        finished = subprocess.run(
            command,
            cwd=folder,
            shell=True,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": path, "COLUMNS": "96"},
        )
        warnings = [line for line in finished.stderr.splitlines() if line.startswith("lampblack:")]
        text = re.sub(r" +$", "", finished.stdout.rstrip(), flags=re.MULTILINE)
        shown.append("\n".join([f"$ {command}", *warnings, text]))
    return "\n\n".join(shown) + "\n"
