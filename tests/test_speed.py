"""The studies of speed and growth: their arithmetic, their jobs, and one run of each."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from benchmarks.lab import generated, timing
from benchmarks.lab.apart import apart
from benchmarks.lab.results import read
from benchmarks.studies import bounds, growth, speed


def test_ratio_is_the_median_of_the_pairs_and_above_one_where_ours_is_faster() -> None:
    pairs = [((1.0, 2.0), (3.0, 2.0)), ((2.0, 1.0), (4.0, 4.0)), ((1.0, 1.0), (5.0, 1.0))]
    found = timing.summary(pairs, 1.0)
    assert found["cpu_ratio"] == 3.0
    assert found["cpu_ratios"] == [3.0, 2.0, 5.0]
    assert found["wall_ratio"] == 1.0
    assert timing.summary(pairs, 10)["cpu_ratio"] == 30.0  # theirs did a tenth of the work


def test_both_sides_run_in_turn_and_the_first_of_each_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count()  # a real clock may stand still for so little work
    monkeypatch.setattr(timing, "now", lambda **_: (float(next(ticks)),) * 2)
    calls: list[str] = []
    watch = timing.Stopwatch(repeats=2)
    found = watch.compare(lambda: calls.append("a"), lambda: calls.append("b"))
    assert calls == ["a", "b"] * 3
    assert len(found["cpu_ratios"]) == 2


def test_judged_rows_are_told_apart_by_what_columns_have_in_common_alone() -> None:
    X, anomalous = generated.judged(30)
    assert anomalous.sum() == 2000
    for column in X.T:
        assert abs(column[anomalous].mean() - column[~anomalous].mean()) < 0.5
        assert 0.8 < column[anomalous].std() / column[~anomalous].std() < 1.25


def test_slope_is_that_of_the_largest_sizes() -> None:
    assert growth.slope([(10, 5.0), (100, 1.0), (1000, 100.0), (10000, 10000.0)]) == pytest.approx(
        2.0
    )


@pytest.mark.parametrize("axis", ["columns"])
def test_a_point_of_growth_is_measured_in_a_process_of_its_own(axis: str, tmp_path: Path) -> None:
    for part in ("fit", "score"):
        row = apart(growth.run, part, axis, 16, str(tmp_path / "none"))
        assert row["cpu_s"] > 0
        assert 0 <= row["extra_mib"] < row["peak_mib"]


def test_results_are_of_jobs_that_the_studies_run() -> None:
    found = [(row["set"], row["threads"]) for row in read("speed")]
    assert sorted(found) == sorted((name, threads) for name in speed.JOBS for threads in (1, 2))
    found = [(row["set"], row["size"]) for row in read("growth")]
    assert sorted(found) == sorted(growth.jobs())
    assert sorted(row["set"] for row in read("bounds")) == sorted(bounds.BOUNDS)
    assert set(bounds.BOUNDS) <= set(speed.JOBS)


def test_memory_of_ten_million_rows_is_below_the_promise() -> None:
    """The figures as they are kept; tests/cli bounds the memory of smaller runs."""
    rows = {(row["set"], row["size"]): row for row in read("growth")}
    for axis in ("rows", growth.LONG, growth.COMMAND):
        assert rows[axis, 10_000_000]["score"]["peak_mib"] < 1024
        assert rows[axis, 10_000_000]["fit"]["peak_mib"] < 2048


def test_scoring_is_linear_in_rows_and_flat_in_memory() -> None:
    """As it was measured: from a tenth of a million rows on, the exponents of time and memory."""
    rows = read("growth")
    for axis in ("rows", growth.COMMAND):
        assert growth.slope(growth.points(rows, axis, "score", "cpu_s")) == pytest.approx(
            1, abs=0.1
        )
    flat = growth.slope(growth.points(rows, growth.COMMAND, "score", "extra_mib"))
    assert flat == pytest.approx(0, abs=0.15)


def test_what_the_page_says_of_what_falls_short_is_measured() -> None:
    ratios = {(row["set"], row["threads"]): row["cpu_ratio"] for row in read("speed")}
    assert 2.7 < ratios["fit, batch 1024, 5,000 × 274", 1] < 3
    assert 1.8 < ratios["fit, batch 1024, 10,000 × 28 × 28", 1] < 2.2
    assert 9.5 < ratios["score, 5,000 × 274", 1] < 12.5
    assert 1 / 30 < ratios["score and network, recommended, 50,000 × 30", 1] < 1 / 20
    assert 1 / 20 < ratios["score a CSV file, recommended", 1] < 1 / 18
    assert 0.4 < ratios["score a CSV file, autoencoder", 1] < 0.6


def test_what_the_page_says_of_bare_torch_is_measured() -> None:
    rows = {row["set"]: row for row in read("bounds")}
    for rows_of in ("5,000 × 274", "10,000 × 28 × 28"):
        assert 2.5 < rows[f"fit, batch 1024, {rows_of}"]["limit_ratio"] < 3.2
    assert 18 < rows["score, 5,000 × 274"]["limit_ratio"] < 22
    share = {name: row["cpu_ratio"] / row["limit_ratio"] for name, row in rows.items()}
    for rows_of in ("50,000 × 30", "5,000 × 274"):
        assert share[f"fit, batch 32, {rows_of}"] > 0.95
    for rows_of in ("500,000 × 30", "5,000 × 274"):  # as much again as the network
        assert 0.45 < share[f"score, {rows_of}"] < 0.6
    ours = {(row["set"], row["threads"]): row["cpu_ratio"] for row in read("speed")}
    assert 0.8 < ours["score and network, autoencoder, 500,000 × 30", 1] < 0.87  # a fifth more
    assert 0.25 < share["score and network, recommended, 50,000 × 30"] < 1 / 3


def test_a_third_side_takes_its_turn_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(timing, "now", lambda **_: (float(next(ticks)),) * 2)
    calls: list[str] = []
    sides = [lambda name=name: calls.append(name) for name in "abc"]
    plain = timing.Stopwatch(repeats=2).compare(*sides[:2], limit=sides[2])
    assert "limit_ratio" not in plain
    assert calls == ["a", "b"] * 3
    calls.clear()
    watch = timing.Stopwatch(repeats=2, bounded=True)
    assert watch.compare(*sides[:2], share=10, limit=sides[2])["limit_ratio"] == 10
    assert calls == ["a", "b", "c"] * 3


def test_what_the_page_says_was_reached_is_measured() -> None:
    """The figures as they are kept: none of them is measured here."""
    ratios = {(row["set"], row["threads"]): row["cpu_ratio"] for row in read("speed")}
    for threads in (1, 2):
        for rows in ("50,000 × 30", "500,000 × 30"):
            assert ratios[f"fit, batch 32, {rows}", threads] > 1.6
            assert ratios[f"fit, batch 1024, {rows}", threads] > 3
        assert ratios["fit, batch 32, 5,000 × 274", threads] > 1.6
        assert ratios["fit, batch 32, 10,000 × 28 × 28", threads] > 1.6
        for name in ("autoencoder", "recommended"):
            assert ratios[f"fit, defaults, {name}, 50,000 × 30", threads] > 10
        assert ratios["score, 500,000 × 30", threads] > 30
        assert ratios["score and network, autoencoder, 500,000 × 30", threads] > 0.7
        assert ratios["train and torch.mm, 274 → 256 → 128 → 32, batch 1024", threads] > 0.5
