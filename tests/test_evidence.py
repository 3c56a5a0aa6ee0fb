"""What the pages say is what the result files hold."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest
from benchmarks import pages
from benchmarks.lab import methods
from benchmarks.lab.results import read
from benchmarks.lab.study import jobs_of
from benchmarks.studies import arrhythmia, comparison, memory, recommended, sensitivity

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda path: path.name)
def test_every_table_of_the_pages_is_that_of_the_results(page: Path) -> None:
    assert page.read_text() == pages.rendered(page.read_text())


def test_a_changed_figure_would_be_noticed() -> None:
    text = (ROOT / "README.md").read_text()
    changed = text.replace("| Toll | ", "| Toll | 1", 1)
    assert changed != text
    assert pages.rendered(changed) != changed


def test_readme_examples_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failures, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried > 10
    assert failures == 0


def test_every_set_method_and_seed_is_in_the_results() -> None:
    rows = read("tables")
    sets = {row["set"] for row in rows}
    found = {(row["set"], row["method"], row["seed"]) for row in rows}
    assert len(sets) == 28
    seeds = {m: 1 if m in methods.ABLATIONS else 5 for m in methods.TABLES}
    assert found == {(s, m, seed) for s in sets for m in seeds for seed in range(seeds[m])}
    tried = {(row["set"], row["method"], row["seed"]) for row in read("sensitivity")}
    assert tried == {(s, m, seed) for s in sets for m in sensitivity.SETTINGS for seed in range(3)}
    settings = {(row["set"], row["method"]) for row in read("recommended")}
    assert settings == {(s, m) for s in sets for m in recommended.SETTINGS}
    ten = {(row["method"], row["seed"]) for row in read("arrhythmia")}
    assert ten == {(m, seed) for m in arrhythmia.METHODS for seed in range(10)}


@pytest.mark.parametrize("results", ["images", "adversarial", "why"])
def test_results_are_of_jobs_that_the_studies_run(results: str) -> None:
    found = [(r["set"], r["method"], r["seed"]) for r in read(results)]
    assert found
    assert len(set(found)) == len(found)
    assert set(found) <= set(jobs_of(results))


def test_ama_far_from_its_training_images_keeps_what_its_page_says() -> None:
    by_method = {r["method"]: r["auroc"] for r in read("adversarial") if r["set"] == "far"}
    joint, plain = by_method["AMA"]["joint"], by_method["autoencoder"][""]
    assert all(joint[kind] >= 0.85 for kind in ("one colour", "blurred", "low contrast"))
    assert sum(joint.values()) > sum(plain.values())


def test_the_recommended_detector_keeps_what_its_pages_say() -> None:
    found = comparison.Comparison(comparison.STUDY.rows())
    assert found.methods[0] == comparison.OURS
    assert found.ranks.argmin() == 0
    assert all(
        all(share == 1 for share in row["above"].values())
        for row in read("rays")
        if row["method"] == "recommended"
    )


def test_toll_ends_where_its_page_says() -> None:
    """With batch norm in the decoder it escapes, without it collapses; the score needs both."""
    rows = {(r["set"], r["method"], r["seed"]): r for r in read("why")}
    for seed in range(3):
        escape, collapse = (
            rows["arc", setting, seed] for setting in ("β = 10", "β = 10, no batch norm")
        )
        assert escape["reconstructions_vary"] > 0.9
        assert collapse["reconstructions_vary"] < 0.01
        assert escape["auroc_error"] > escape["auroc_norm"]
        assert collapse["auroc_norm"] > collapse["auroc_error"]


def test_memory_of_scoring_is_measured_and_below_the_promise() -> None:
    rows = {row["set"]: row for row in read("memory")}
    assert rows.keys() == memory.CASES.keys()
    least = rows["2,000 rows"]["peak_mib"]
    assert rows["CSV"]["file_mb"] >= 5000
    assert all(row["peak_mib"] - least < 700 for row in rows.values())
