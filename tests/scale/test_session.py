"""Without Ray, one line says what to install."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lampblack.cli.errors import in_options
from lampblack.exceptions import InvalidInput, MissingExtra
from lampblack.scale import session


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtra, match=r"^engine='ray' needs Ray: pip install 'lampblack\[ray\]'$"
    ) as caught:
        session.import_ray()
    assert isinstance(caught.value, ImportError)
    assert caught.value.extra == "ray"
    shown = in_options(caught.value)
    assert shown == "--engine ray needs Ray: pip install 'lampblack[ray]'"


@pytest.mark.parametrize(("workers", "given"), [(0, None), (4, None), (8, None), (9, 5), (16, 8)])
def test_ray_counts_cores_itself_unless_workers_need_more(
    monkeypatch: pytest.MonkeyPatch, workers: int, given: int | None
) -> None:
    """Half a core a worker, on a machine of four."""
    asked: dict[str, object] = {}
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=asked.update,
        shutdown=lambda: None,
        data=SimpleNamespace(),
    )
    ray.data.DataContext = SimpleNamespace(get_current=SimpleNamespace)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "import_ray", lambda: ray)
    monkeypatch.setattr(session.os, "cpu_count", lambda: 4)
    with session.ray_session(None, workers):
        assert asked["address"] == "local"
        assert asked.get("num_cpus") == given


@pytest.mark.parametrize(
    ("reason", "hinted"),
    [
        ("Authentication token required but not found", True),
        ("the handshake failed: invalid Token", True),
        ("connection refused", False),
    ],
)
def test_tokens_are_spoken_of_where_the_cluster_asks_for_one(
    monkeypatch: pytest.MonkeyPatch, reason: str, hinted: bool
) -> None:
    def fail(**_: object) -> None:
        raise ConnectionError(reason)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = SimpleNamespace(is_initialized=lambda: False, init=fail)
    monkeypatch.setattr(session, "import_ray", lambda: ray)
    with (
        pytest.raises(InvalidInput, match=f"cannot be reached at head:6379: {reason}") as error,
        session.ray_session("head:6379", 1),
    ):
        pass
    assert ("RAY_AUTH_MODE and RAY_AUTH_TOKEN" in str(error.value)) == hinted
