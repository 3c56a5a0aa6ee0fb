"""The process: it listens at once, takes a new model on SIGHUP, and finishes on SIGTERM."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from lampblack.exceptions import ModelFileError
from tests.service.conftest import as_json, process, rows, wait_until_ready

NEW = rows(20, seed=5)
BODY = {"rows": as_json(NEW)}


def test_a_process_serves_reloads_and_finishes_what_it_accepted(
    table_model: Path, other_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.model"
    shutil.copytree(table_model, path)
    options = ("--batch-wait", "0.7", "--drain", "2", "--idle-timeout", "30")
    with process(path, *options, wait=False) as (running, address):
        first = None
        while first is None:
            try:
                first = httpx.get(f"{address}/readyz")
            except httpx.TransportError:
                time.sleep(0.02)
        assert first.json() == {"status": "loading"}  # it listens before the model is there
        wait_until_ready(running, address)
        before = httpx.get(f"{address}/v1/model").json()["digest"]
        lampblack.load(other_model).save(path)
        running.send_signal(signal.SIGHUP)
        until = time.monotonic() + 30
        while httpx.get(f"{address}/v1/model").json()["digest"] == before:
            assert time.monotonic() < until
            time.sleep(0.05)
        (path / "weights.safetensors").write_bytes(b"x")
        running.send_signal(signal.SIGHUP)  # broken: the one in use stays
        time.sleep(1.0)
        assert httpx.post(f"{address}/v1/score", json=BODY).status_code == 200

        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(httpx.post, f"{address}/v1/score", json=BODY) for _ in range(8)]
            time.sleep(0.35)  # they wait for their batch
            running.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            assert httpx.get(f"{address}/readyz").json() == {"status": "draining"}
            assert [answer.result().status_code for answer in sent] == [200] * 8
        assert running.wait(60) == 0
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/readyz")
        assert running.stderr is not None
        said = running.stderr.read()
    assert "there is no token, so only this machine can connect" in said
    assert "reload failed" in said
    assert "graceful shutdown exceeded" not in said  # it ended by itself
    assert "Traceback" not in said


def test_slow_clients_are_dropped(table_model: Path) -> None:
    from tests.service.conftest import serving

    with serving(table_model, body_timeout=0.4, idle_timeout=0.4) as client:
        port = client.base_url.port

        def opened() -> socket.socket:
            return socket.create_connection(("127.0.0.1", port), timeout=10)

        def seconds_until_closed(connection: socket.socket) -> tuple[float, bytes]:
            started, received = time.monotonic(), b""
            while chunk := connection.recv(1 << 16):
                received += chunk
            return time.monotonic() - started, received

        with opened() as silent:
            seconds, received = seconds_until_closed(silent)
            assert seconds < 3
            assert received == b""
        with opened() as slow_head:
            slow_head.sendall(b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nX: ")
            seconds, received = seconds_until_closed(slow_head)
            assert seconds < 3
            assert received == b""
        with opened() as slow_body:
            slow_body.sendall(
                b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 100\r\n\r\nat,site"
            )
            seconds, received = seconds_until_closed(slow_body)
            assert seconds < 3
            assert received.startswith(b"HTTP/1.1 408 ")
        with opened() as second:  # a second request on the same connection, never finished
            get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
            second.sendall(get + b"\r\n" + get)
            seconds, received = seconds_until_closed(second)
            assert seconds < 3
            assert received.count(b"HTTP/1.1 200") == 1
        assert client.get("/healthz").status_code == 200


def test_a_client_that_goes_away_is_no_fault(
    table_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.service.conftest import serving

    with serving(table_model) as client:
        with socket.create_connection(("127.0.0.1", client.base_url.port)) as leaving:
            leaving.sendall(
                b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
                b"Content-Length: 100\r\n\r\nat,site"
            )
            while "in_progress 1.0" not in client.get("/metrics").text:
                time.sleep(0.02)
        while "in_progress 1.0" in client.get("/metrics").text:
            time.sleep(0.02)
        assert 'status="500"' not in client.get("/metrics").text
    assert "Traceback" not in capsys.readouterr().err


def test_clients_that_do_not_read_are_dropped(table_model: Path) -> None:
    from tests.service.conftest import serving

    body = NEW.sample(80_000, replace=True, random_state=0).to_csv(index=False).encode()
    with serving(table_model, body_timeout=1.5) as client:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(30)
            deaf.connect(("127.0.0.1", client.base_url.port))
            deaf.sendall(
                b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)
            )
            deaf.sendall(body)
            until = time.monotonic() + 20
            while 'endpoint="/v1/score",status="200"' not in client.get("/metrics").text:
                assert time.monotonic() < until
                time.sleep(0.05)
            time.sleep(2.0)
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while chunk := deaf.recv(1 << 16):
                    received += chunk
    head, _, answer = received.partition(b"\r\n\r\n")
    (promised,) = re.findall(rb"content-length: (\d+)", head)
    assert len(answer) < int(promised)  # dropped, not finished


def test_a_damaged_model_is_refused_before_anything_slow(table_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.model"
    shutil.copytree(table_model, path)
    (path / "weights.safetensors").write_bytes(b"x")
    finished = CliRunner().invoke(app, ["serve", str(path)])
    assert finished.exit_code == 2
    assert "weights.safetensors is damaged" in finished.output
    assert len(finished.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ModelFileError("its parts do not fit together"), "error: its parts do not fit"),
        (RuntimeError("no room"), "error: the model cannot be loaded: no room"),
    ],
)
def test_a_model_that_cannot_be_loaded_ends_the_process(
    table_model: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr("lampblack.service.app.load_engine", broken)
    finished = CliRunner().invoke(app, ["serve", str(table_model), "--port", "0"])
    assert finished.exit_code == 2
    assert says in finished.output.splitlines()[-1]
    assert "Traceback" not in finished.output


def test_an_unknown_device_is_refused(table_model: Path) -> None:
    options = ["--port", "0", "--device", "abacus"]
    finished = CliRunner().invoke(app, ["serve", str(table_model), *options])
    assert finished.exit_code == 2
    assert "abacus" in finished.output.splitlines()[-1]


@pytest.mark.parametrize("wanted", [False, True])
def test_requests_are_logged_only_when_asked(
    table_model: Path, capsys: pytest.CaptureFixture[str], wanted: bool
) -> None:
    from tests.service.conftest import serving

    with serving(table_model, access_log=wanted) as client:
        client.get("/healthz")
    assert ("GET /healthz" in capsys.readouterr().err) == wanted
