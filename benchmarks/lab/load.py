"""The service in a process of its own, clients that load it, and what they see."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.lab.apart import LIMITS
from benchmarks.lab.memory import resident_mib

QUIET = {**os.environ, **dict.fromkeys(LIMITS, "1")}
SIZES = {1: 50, 10: 25, 100: 20, 1000: 5}  # rows of a request, and its weight in the mixture
ALONE = 300  # requests of one row, one after the other
RESTARTS = 3
ROUNDING = 1e-6  # relative difference of scores that counts as none
LONGEST_START = 120


@dataclass
class Tally:
    """What the clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    rows: int = 0
    sent: int = 0
    lost: int = 0
    different: int = 0
    largest: float = 0.0
    without_retry: int = 0


@dataclass(frozen=True)
class Prepared:
    """A request as bytes, how many rows it has, and the body that answers it."""

    content: bytes
    rows: int
    answer: bytes


class Served:
    """`lampblack serve` in a process of its own."""

    def __init__(self, model: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._command = [sys.executable, "-m", "lampblack", "serve", str(model)]
        self._command += ["--port", str(self.port)]
        self._log = folder / "serve.log"

    def start(self) -> float:
        """Start it; seconds until it is ready."""
        started = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stderr=log, env=QUIET)
        while time.perf_counter() - started < LONGEST_START:
            if self._process.poll() is not None:
                raise SystemExit(f"the service ended:\n{self._log.read_text()}")
            if self._is_ready():
                return time.perf_counter() - started
            time.sleep(0.02)
        raise SystemExit("the service did not get ready")

    def _is_ready(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b" 200 " in connection.recv(64)
        return False

    def kill(self) -> None:
        """As a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> int:
        """As an operator would; the exit code."""
        self._process.terminate()
        return self._process.wait()

    @property
    def resident_mib(self) -> int:
        """Memory of the process, where it is told."""
        return round(resident_mib(self._process.pid) or 0)


class Connection:
    """A connection that stays open, and just enough of HTTP."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, content: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body of the answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(content)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return int(head[9:12]), head, body

    def close(self) -> None:
        """Drop it; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def request(body: bytes, kind: str, path: str = "/v1/score") -> bytes:
    """A POST as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def prepare(port: int, csv: str) -> dict[int, list[Prepared]]:
    """Requests of every size, JSON and CSV, with their answers when nothing else runs."""
    header, *lines = csv.splitlines()
    names = header.split(",")
    draw = random.Random(0)
    connection = Connection(port)
    prepared: dict[int, list[Prepared]] = {size: [] for size in SIZES}
    for size in SIZES:
        for number in range(8):
            chosen = draw.choices(lines, k=size)
            if number % 2:
                content = request("\n".join([header, *chosen, ""]).encode(), "text/csv")
            else:
                rows = [
                    dict(zip(names, map(_value, line.split(",")), strict=True)) for line in chosen
                ]
                content = request(json.dumps({"rows": rows}).encode(), "application/json")
            status, _, answer = await connection.ask(content)
            if status != 200:
                raise SystemExit(f"a request was refused: {answer.decode()}")
            prepared[size].append(Prepared(content, size, answer))
    connection.close()
    return prepared


def _value(cell: str) -> Any:
    if not cell:
        return None
    if cell in ("True", "False"):
        return cell == "True"
    try:
        return float(cell)
    except ValueError:
        return cell


async def client(
    number: int, port: int, prepared: dict[int, list[Prepared]], until: float, tally: Tally
) -> None:
    """One client: the next request when the last is answered."""
    draw = random.Random(number)
    sizes, weights = list(SIZES), list(SIZES.values())
    connection = Connection(port)
    while time.perf_counter() < until:
        chosen = draw.choice(prepared[draw.choices(sizes, weights)[0]])
        started = time.perf_counter()
        tally.sent += 1
        try:
            status, head, body = await connection.ask(chosen.content)
        except (OSError, EOFError, ValueError):
            tally.lost += 1
            connection.close()
            continue
        tally.statuses[status] += 1
        if status == 200:
            tally.seconds.append(time.perf_counter() - started)
            tally.rows += chosen.rows
            if body != chosen.answer:
                _compare(json.loads(body), json.loads(chosen.answer), tally)
        else:
            tally.without_retry += b"retry-after" not in head.lower()
            await asyncio.sleep(0.05)
    connection.close()


def _compare(found: dict[str, Any], expected: dict[str, Any], tally: Tally) -> None:
    """Note how far an answer is from the expected one."""
    pairs = list(zip(found["results"], expected["results"], strict=True))
    gaps = (
        abs(a["anomaly_score"] - b["anomaly_score"]) / max(b["anomaly_score"], 1e-300)
        for a, b in pairs
    )
    gap = max(gaps)
    tally.largest = max(tally.largest, gap)
    same = all(a["decision"] == b["decision"] for a, b in pairs)
    tally.different += gap > ROUNDING or not same


async def load(served: Served, csv: str, seconds: float, clients: int) -> dict[str, Any]:
    """The clients all together, and what memory did meanwhile."""
    prepared = await prepare(served.port, csv)
    warm = Tally()
    until = time.perf_counter() + max(1.0, seconds / 6)
    await asyncio.gather(*(client(i, served.port, prepared, until, warm) for i in range(clients)))
    tally, before = Tally(), served.resident_mib
    started = time.perf_counter()
    until = started + seconds
    await asyncio.gather(*(client(i, served.port, prepared, until, tally) for i in range(clients)))
    elapsed = time.perf_counter() - started
    return {
        "clients": clients,
        "seconds": round(elapsed, 1),
        "requests": tally.sent,
        "requests_a_second": round(len(tally.seconds) / elapsed, 1),
        "rows_a_second": round(tally.rows / elapsed),
        "p50_ms": _quantile(tally.seconds, 0.5),
        "p99_ms": _quantile(tally.seconds, 0.99),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "lost": tally.lost,
        "different": tally.different,
        "largest_difference": tally.largest,
        "503_without_retry_after": tally.without_retry,
        "memory_mib": [before, served.resident_mib],
    }


async def alone(served: Served, csv: str) -> dict[str, Any]:
    """One row at a time, and nothing else."""
    prepared = (await prepare(served.port, csv))[1]
    connection, seconds = Connection(served.port), []
    for number in range(ALONE):
        started = time.perf_counter()
        status, _, _ = await connection.ask(prepared[2 * number % len(prepared)].content)
        if status != 200:
            raise SystemExit(f"one row alone was answered with {status}")
        seconds.append(time.perf_counter() - started)
    connection.close()
    return {"one_row_p50_ms": _quantile(seconds, 0.5), "one_row_p99_ms": _quantile(seconds, 0.99)}


def restart(served: Served) -> dict[str, Any]:
    """Seconds from `kill -9` to ready, beside importing torch in a process of its own."""
    ready, torch = [], []
    for _ in range(RESTARTS):
        served.kill()
        ready.append(served.start())
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True, env=QUIET)
        torch.append(time.perf_counter() - started)
    return {"ready_s": _rounded(ready), "import_torch_s": _rounded(torch)}


def _rounded(seconds: list[float]) -> list[float]:
    return sorted(round(value, 2) for value in seconds)


def _quantile(seconds: list[float], share: float) -> float:
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)], 1)
