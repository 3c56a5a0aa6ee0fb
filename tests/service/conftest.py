"""A served model in this process, and one in a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from uvicorn import Server

import lampblack
from lampblack.service.app import Service
from lampblack.service.engine import load_engine
from lampblack.service.server import configured
from lampblack.service.settings import ServiceSettings
from tests.conftest import FAST, IMAGE_FAST, discs


def rows(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """A date, a category, a number with holes, a number, a boolean."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=n, freq="h")})
    frame["site"] = rng.choice(["Bern", "Oslo"], n)
    frame["flow"] = np.where(rng.random(n) < 0.1, np.nan, rng.normal(10, 2, n))
    frame["pressure"] = rng.normal(4, 1, n)
    frame["valve"] = rng.random(n) > 0.5
    return frame.round({"flow": 3, "pressure": 3})


def as_json(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as JSON has them."""
    plain = frame.assign(at=frame["at"].dt.strftime("%Y-%m-%dT%H:%M:%S")).astype(object)
    return plain.where(frame.notna(), None).to_dict("records")


@pytest.fixture(scope="session")
def table_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "table.model"
    lampblack.LampblackDetector(max_steps=40, random_state=0).fit(rows()).save(path)
    return path


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "images.model"
    lampblack.TollDetector(**IMAGE_FAST).fit(discs(260)).save(path)
    return path


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same columns."""
    path = tmp_path_factory.mktemp("served") / "other.model"
    lampblack.TollDetector(**FAST).fit(rows(seed=1)).save(path)
    return path


@contextlib.contextmanager
def serving(
    path: Path, token: bytes | None = None, engine: Any = None, **settings: Any
) -> Iterator[httpx.Client]:
    """A client of a service in a thread. engine: in place of what `path` holds."""
    service = Service(path, ServiceSettings(**settings))
    service.use(engine or load_engine(path))
    server = Server(configured(service, token))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        try:
            with httpx.Client(base_url=address, timeout=60) as client:
                client.service = service  # type: ignore[attr-defined]
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def client(table_model: Path) -> Iterator[httpx.Client]:
    with serving(table_model) as client:
        yield client


@pytest.fixture(scope="session")
def image_client(image_model: Path) -> Iterator[httpx.Client]:
    with serving(image_model) as client:
        yield client


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def process(
    model: Path, *options: object, environment: dict[str, str] | None = None, wait: bool = True
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`lampblack serve` as a process, ready; and its address."""
    port = free_port()
    command = [sys.executable, "-m", "lampblack", "serve", str(model), "--port", str(port)]
    running = subprocess.Popen(
        [*command, *map(str, options)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    address = f"http://127.0.0.1:{port}"
    try:
        if wait:
            wait_until_ready(running, address)
        yield running, address
    finally:
        running.kill()
        running.wait()
        if running.stderr is not None:
            running.stderr.close()


def wait_until_ready(running: subprocess.Popen[str], address: str, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert running.poll() is None, running.communicate()[1]
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the service did not get ready")
