"""Who gets in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lampblack.cli.main import app
from lampblack.exceptions import InvalidInput
from lampblack.service.settings import read_settings
from tests.service.conftest import serving

TOKEN = "0123456789abcdef0123"
GUARDED = ("/v1/model", "/metrics", "/openapi.json", "/nope")
OPEN = ("/", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def guarded(table_model: Path) -> Any:
    with serving(table_model, token=TOKEN.encode(), cors_origins=("https://good.example",)) as c:
        yield c


def test_a_token_opens_all_but_the_page_and_the_probes(guarded: httpx.Client) -> None:
    for path in OPEN:
        assert guarded.get(path).status_code == 200
    for path in GUARDED:
        refused = guarded.get(path)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert "Bearer" in refused.json()["error"]
        assert guarded.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code in (
            200,
            404,
        )
    assert guarded.post("/v1/score", content=b"x" * 10_000_000).status_code == 401
    assert guarded.post("/v1/reload").status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0"],
)
def test_anything_but_the_token_is_refused(guarded: httpx.Client, header: str) -> None:
    assert guarded.get("/v1/model", headers={"Authorization": header}).status_code == 401
    odd = {"Authorization": f"Bearer {TOKEN}é".encode()}
    assert guarded.get("/v1/model", headers=odd).status_code == 401
    assert guarded.get(f"/v1/model?token={TOKEN}").status_code == 401


def test_a_wrong_token_is_told_from_none(guarded: httpx.Client) -> None:
    none = [guarded.get("/v1/model", headers={"Authorization": h}) for h in ("", "Bearer")]
    wrong = guarded.get("/v1/model", headers={"Authorization": f"Bearer {TOKEN}0"})
    assert all("no token was sent" in answer.json()["error"] for answer in none)
    assert "is not this service's" in wrong.json()["error"]
    assert wrong.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert TOKEN not in wrong.text


def test_with_a_token_any_host_is_served(guarded: httpx.Client) -> None:
    headers = {"Host": "scores.example", "Authorization": f"bearer {TOKEN}"}
    assert guarded.get("/v1/model", headers=headers).status_code == 200


def test_without_a_token_other_hosts_and_origins_are_refused(table_model: Path) -> None:
    with serving(table_model, allowed_hosts=("front.example",)) as client:
        for host in ("localhost", "localhost:80", "127.0.0.1:9", "[::1]:8000", "front.example"):
            assert client.get("/v1/model", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "localhost.evil.example", "[::1", ""):
            answer = client.get("/v1/model", headers={"Host": host})
            assert answer.status_code == 421, host
        own = f"http://{client.base_url.netloc.decode()}"
        for origin, status in ((own, 200), ("http://evil.example", 403), ("null", 403)):
            answer = client.post("/v1/reload", headers={"Origin": origin})
            assert answer.status_code == status


def test_pages_of_other_origins_are_let_in_only_when_listed(
    guarded: httpx.Client, client: httpx.Client
) -> None:
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    good = guarded.options("/v1/score", headers={"Origin": "https://good.example", **asked})
    assert good.status_code == 200
    assert good.headers["Access-Control-Allow-Origin"] == "https://good.example"
    bad = guarded.options("/v1/score", headers={"Origin": "https://bad.example", **asked})
    assert bad.status_code == 400
    assert "Access-Control-Allow-Origin" not in bad.headers
    plain = client.options("/v1/score", headers={"Origin": str(client.base_url), **asked})
    assert "Access-Control-Allow-Origin" not in plain.headers


def test_every_answer_says_that_it_is_not_to_be_kept_or_guessed(client: httpx.Client) -> None:
    for path in (*OPEN, *GUARDED):
        answer = client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "server" not in answer.headers


def test_the_page_may_do_nothing_but_call_its_own_service(client: httpx.Client) -> None:
    policy = client.get("/").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy


# Settings.


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "0.0.0.0"}, "there is no token"),
        ({"host": "scores.example"}, "there is no token"),
        ({"host": "::"}, "there is no token"),
        ({"token": "short"}, "16 characters"),
        ({"token": "0123456789abcdef 0"}, "space"),
        ({"token": "0123456789abcdefé"}, "16 characters"),
        ({"token_file": Path("/nonexistent/token")}, "cannot be read"),
        ({"token": TOKEN, "token_file": Path("x")}, "twice"),
    ],
)
def test_tokens_that_do_not_protect_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_settings(**given).read_token()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_this_machine_needs_no_token(host: str) -> None:
    assert read_settings(host=host).read_token() is None


def test_tokens_come_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    assert read_settings(token_file=file).read_token() == TOKEN.encode()
    monkeypatch.setenv("LAMPBLACK_TOKEN", TOKEN)
    assert read_settings(host="0.0.0.0").read_token() == TOKEN.encode()
    assert TOKEN not in repr(read_settings())


def test_options_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PORT": "9000",
        "QUEUE": "3",
        "ALLOWED_HOSTS": "a.example, b.example",
        "CORS_ORIGINS": "https://a",
        "ACCESS_LOG": "true",
    }.items():
        monkeypatch.setenv(f"LAMPBLACK_{name}", value)
    settings = read_settings(port=None, queue=5)
    assert (settings.port, settings.queue) == (9000, 5)
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.cors_origins == ("https://a",)
    assert settings.access_log is True


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "there is no token"),
        (["--port", "70000"], "--port (or LAMPBLACK_PORT)"),
        (["--queue", "0"], "--queue (or LAMPBLACK_QUEUE)"),
        (["--deadline", "-1"], "--deadline"),
        (["--token-file", "/nonexistent"], "cannot be read"),
        (["--host", "192.0.2.1", "--token-file", "TOKEN"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    table_model: Path, tmp_path: Path, options: list[str], says: str
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    options = [str(tmp_path / "token") if option == "TOKEN" else option for option in options]
    finished = CliRunner().invoke(app, ["serve", str(table_model), *options])
    assert finished.exit_code == 2, finished.output
    assert says in finished.output
    assert len(finished.output.strip().splitlines()) == 1


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    finished = CliRunner().invoke(app, ["serve", str(tmp_path / "none.model")])
    assert finished.exit_code == 2
    assert "does not exist" in finished.output


def test_a_missing_extra_is_named(table_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import lampblack.cli.serve as command

    real = command.find_spec
    monkeypatch.setattr(command, "find_spec", lambda n: None if n == "uvicorn" else real(n))
    finished = CliRunner().invoke(app, ["serve", str(table_model)])
    assert finished.exit_code == 2
    assert "pip install 'lampblack[serve]'" in finished.output
