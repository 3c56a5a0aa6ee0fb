"""Without Ray, one line says what to install."""

from __future__ import annotations

import pytest

from lampblack.exceptions import InvalidInput
from lampblack.scale import session


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "find_spec", lambda name: None)
    with pytest.raises(
        InvalidInput, match=r"^--engine ray needs Ray: pip install 'lampblack\[ray\]'$"
    ):
        session.import_ray()
