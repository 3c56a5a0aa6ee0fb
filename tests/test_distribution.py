"""The source distribution holds what its tests import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_imports import ROOT, graph_of, modules

LARGEST = 5_000_000  # bytes of a shipped file, as it lies


def shipped() -> set[Path]:
    builder = pytest.importorskip("hatchling.builders.sdist").SdistBuilder(str(ROOT))
    return {ROOT / file.relative_path for file in builder.recurse_included_files()}


def test_everything_that_shipped_tests_import_is_shipped() -> None:
    files = shipped()
    places = {"lampblack": ROOT / "src", "benchmarks": ROOT, "tests": ROOT}
    known = {n: path for package, at in places.items() for n, path in modules(at, package).items()}
    found = {
        other
        for name, others in graph_of(ROOT, "tests", known).items()
        if known[name] in files
        for other in others
    }
    assert "benchmarks.lab.protocol" in found
    assert "lampblack.calibration" in found
    assert [name for name in sorted(found) if known[name] not in files] == []


def test_results_that_shipped_tests_read_are_shipped() -> None:
    files = shipped()
    results = {path for path in (ROOT / "benchmarks" / "results").iterdir() if path.is_file()}
    assert len(results) > 20
    assert results <= files
    assert max(path.stat().st_size for path in files) < LARGEST
