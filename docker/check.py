"""Run the steps of the Dockerfile without Docker: `python docker/check.py MODEL.onnx DATA`.

Reads the Dockerfile, and carries out its COPY and RUN lines in a folder of their own, with two
fresh virtual environments in place of its two stages; then scores DATA with the installed command,
asserts that torch is not there, and starts the service as CMD says, with a token, and asks for
/healthz as HEALTHCHECK does. What is left out: useradd and USER, which need root, and the base
image itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
WAIT = 30  # seconds for the service to be ready


def instructions(text: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, (name, arguments), comments dropped and lines joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


class Stage:
    """One stage: a folder that stands for /, and a virtual environment for its Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.work = folder
        self.environment = folder / "usr" / "local"
        subprocess.run([sys.executable, "-m", "venv", self.environment], check=True)
        self.bin = self.environment / "bin"

    def place(self, path: str) -> Path:
        """Where a path of the image lies."""
        return self.root / path.lstrip("/") if path.startswith("/") else self.work / path

    def copy(self, arguments: str, stages: dict[str, Stage]) -> None:
        """A COPY line; sources are the project's, or another stage's."""
        *sources, target = arguments.split()
        origin = re.fullmatch(r"--from=(\w+)", sources[0])
        found = [
            stages[origin[1]].place(s) if origin else ROOT / s for s in sources[bool(origin) :]
        ]
        for source in found:
            place = self.place(target)
            if target.endswith("/") and (source.is_file() or len(found) > 1):
                place = place / source.name
            place.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True)
            else:
                shutil.copy(source, place)

    def run(self, command: str) -> None:
        """A RUN line, paths of the image turned into those below the stage's folder."""
        if command.startswith("useradd"):
            return
        local = re.sub(r"(?<=\s)/(?=\w)", f"{self.root}/", command)
        path = {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        subprocess.run(local, shell=True, check=True, cwd=self.work, env={**clean(), **path})


def clean() -> dict[str, str]:
    """The environment without what would let another Python's packages in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def build(folder: Path) -> tuple[Stage, list[str]]:
    """Carry the Dockerfile out; the last stage, and the command that it would run."""
    stages: dict[str, Stage] = {}
    stage = None
    entry: list[str] = []
    for name, arguments in instructions((ROOT / "Dockerfile").read_text()):
        if name == "FROM":
            label = arguments.split(" AS ")[1] if " AS " in arguments else "image"
            stage = stages[label] = Stage(folder / label)
            continue
        assert stage is not None
        if name == "WORKDIR":
            stage.work = stage.place(arguments)
            stage.work.mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            stage.copy(arguments, stages)
        elif name == "RUN":
            print(f"RUN {arguments}", flush=True)
            stage.run(arguments)
        elif name in ("ENTRYPOINT", "CMD"):
            entry += json.loads(arguments)
    return stages["image"], entry


def serve(stage: Stage, entry: list[str], model: Path) -> None:
    """Start what the image starts, on a free port, and ask as HEALTHCHECK does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(stage.bin / entry[0]), *entry[1:], "--port", str(port)]
    command[command.index("/model.onnx")] = str(model)
    (check,) = (a for n, a in instructions((ROOT / "Dockerfile").read_text()) if n == "HEALTHCHECK")
    asked = json.loads(check[check.index("[") :].replace(":8000/", f":{port}/"))
    asked[0] = str(stage.bin / asked[0])
    environment = {**clean(), "LAMPBLACK_TOKEN": "a-token-of-the-check-alone"}
    started = time.monotonic()
    with subprocess.Popen(command, env=environment) as service:
        try:
            while subprocess.run(asked, capture_output=True, check=False).returncode:
                if service.poll() is not None or time.monotonic() > started + WAIT:
                    raise SystemExit(f"{' '.join(entry)} is not healthy")
                time.sleep(0.1)
            print(f"healthy after {time.monotonic() - started:.1f} s")
        finally:
            service.terminate()


def main() -> None:
    """Build, score, serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--no-serve", action="store_true", help="leave the service out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        stage, entry = build(Path(name))
        python = stage.bin / "python"
        absent = "import importlib.util as u; assert not u.find_spec('torch')"
        subprocess.run([python, "-c", absent], env=clean(), check=True)
        size = sum(f.stat().st_size for f in stage.environment.rglob("*") if f.is_file())
        print(f"{size / 2**20:.0f} MiB installed, without torch")
        score = [stage.bin / "lampblack", "score", given.model, given.data]
        subprocess.run(score, env=clean(), check=True)
        if not given.no_serve:
            serve(stage, entry, given.model.resolve())


if __name__ == "__main__":
    main()
