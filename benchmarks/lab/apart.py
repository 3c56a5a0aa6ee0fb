"""A function called in a process of its own, so that memory, threads and imports are its alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.lab.memory import Peak

ROOT = Path(__file__).parents[2]
LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def apart(
    function: Callable[..., Any],
    *arguments: Any,
    threads: int | None = 1,
    folder: Path | None = None,
) -> Any:
    """What a function of a module gives; arguments and result are plain enough for JSON.

    threads: None for as many as the libraries choose. folder: where the process runs.
    """
    environment = {name: value for name, value in os.environ.items() if name not in LIMITS}
    if threads is not None:
        environment |= dict.fromkeys(LIMITS, str(threads))
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    call = [function.__module__, function.__name__, json.dumps(arguments)]
    finished = subprocess.run(
        [sys.executable, "-m", __spec__.name, *call],
        check=True,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=folder,
    )
    return json.loads(finished.stdout.splitlines()[-1])


def command(*arguments: object, threads: int | None = None, folder: Path | None = None) -> Any:
    """Seconds and memory of `lampblack ARGUMENTS`, a whole process, imports included."""
    started = time.perf_counter()
    found = apart(run_command, *map(str, arguments), threads=threads, folder=folder)
    return {**found, "wall_s": round(time.perf_counter() - started, 3)}


def run_command(*arguments: str) -> dict[str, Any]:
    """The command in this process."""
    with Peak() as peak:
        from lampblack.cli.main import app

        app(list(arguments), standalone_mode=False)
    cpu = round(time.process_time(), 3)
    return {"cpu_s": cpu, "extra_mib": peak.more, "peak_mib": peak.mib}


def main() -> None:
    """Call what the command line names, and print what it gives as the last line."""
    warnings.simplefilter("ignore")
    module, name, arguments = sys.argv[1:]
    print(json.dumps(getattr(import_module(module), name)(*json.loads(arguments))))


if __name__ == "__main__":
    main()
