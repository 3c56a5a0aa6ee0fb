"""Landscapes of few points: what they hold is tested in test_curvature.py."""

from __future__ import annotations

import pytest

from lampblack.diagnostics import landscape


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landscape, "POINTS", 5)
    monkeypatch.setattr(landscape, "IMAGE_POINTS", 3)
