"""The benchmark's arithmetic, its jobs, and that one can lose in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import pages, run
from benchmarks.lab import image_sets, methods, peers, protocol
from benchmarks.lab.study import Fits, Options, jobs_of, questions, run_job, studies
from benchmarks.studies import comparison, false_alarms, images
from benchmarks.studies.comparison import Comparison
from benchmarks.studies.copies import shared, unscaled
from scipy.stats import wilcoxon


def row(name: str, method: str, auroc: float, seed: int = 0, **others: Any) -> dict[str, Any]:
    figures = {"auroc": auroc, "ap": 0.5, "f1": 0.5, "fit_cpu_s": 1.0, "score_cpu_s": 0.1}
    return {"set": name, "method": method, "seed": seed, **figures, **others}


SETS = [f"{i}_set" for i in range(1, 9)]


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    found = []
    for name in SETS:
        easy = rng.uniform(0.7, 0.9)
        for method, more in ((comparison.OURS, 0.02), ("PyOD LOF", 0.01), ("PyOD KNN", 0.05)):
            found += [row(name, method, easy + more + rng.normal(0, 0.01), s) for s in range(2)]
    return found


def test_means_are_over_sets_of_means_over_seeds(rows: list[dict[str, Any]]) -> None:
    more = [row(SETS[0], "PyOD KNN", 0.0, seed) for seed in range(2, 50)]
    found = Comparison(rows + more)
    one = [r["auroc"] for r in [*rows, *more] if r["method"] == "PyOD KNN" and r["set"] == SETS[0]]
    others = [
        np.mean([r["auroc"] for r in rows if r["method"] == "PyOD KNN" and r["set"] == name])
        for name in SETS[1:]
    ]
    mean = found.figures["auroc"][:, found.methods.index("PyOD KNN")].mean()
    assert mean == pytest.approx(np.mean([np.mean(one), *others]))


def test_a_peer_that_is_better_wins(rows: list[dict[str, Any]]) -> None:
    found = Comparison(rows)
    assert found.methods[0] == "PyOD KNN"
    assert found.ranks[0] == found.ranks.min()
    away = {r["method"]: r for r in found.against(comparison.OURS)}["PyOD KNN"]
    assert away["mean"] < 0
    assert away["losses"] == len(SETS)
    scores = found.figures["auroc"]
    p = wilcoxon(scores[:, found.methods.index(comparison.OURS)] - scores[:, 0]).pvalue
    assert away["p"] == pytest.approx(p)
    assert away["holm"] == pytest.approx(min(1, 2 * p))


def test_a_peer_that_fails_is_listed_and_has_no_rank(rows: list[dict[str, Any]]) -> None:
    failure = {"set": SETS[3], "method": "PyOD X", "seed": 0, "error": "ValueError: no"}
    others = [row(name, "PyOD X", 0.9) for name in SETS if name != SETS[3]]
    found = Comparison([*rows, *others, failure])
    assert "PyOD X" not in found.methods
    assert found.incomplete == ["PyOD X"]
    assert found.failures == [failure]


def test_copies_are_counted_once(rows: list[dict[str, Any]]) -> None:
    again = [{**r, "set": "42_WBC"} for r in rows if r["set"] == SETS[0]]
    assert Comparison(rows + again).sets == SETS


def test_copies_are_recognised_whatever_their_order_and_scale() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    assert shared(rows, rows[::-1][:20]) == 1
    assert shared(rows, 2 * rows + 1) == 0
    assert shared(unscaled(rows), unscaled(2 * rows + 1)) == 1
    assert shared(rows, rows + 1) == 0


def test_false_alarms_are_those_of_the_law() -> None:
    """Exchangeable scores: as many runs exceed the promise as are expected to."""
    rng = np.random.default_rng(0)
    lines = []
    for seed in range(400):
        scores = np.sort(rng.random(199))
        from lampblack.calibration import Calibration

        p = Calibration.held_out(scores, 0.01).p_values(rng.random(300))
        rates = {str(alpha): float((p <= alpha).mean()) for alpha in protocol.RATES}
        facts = {"false_alarms": rates, "calibration_rows": 199, "normal_test_rows": 300}
        lines.append(row("1_set", comparison.OURS, 0.9, seed, **facts))
    for _, alpha, rates, expected in false_alarms.promises(lines):
        assert rates.mean() == pytest.approx(alpha, abs=0.2 * alpha)
        assert (rates > alpha).sum() == pytest.approx(expected, abs=45)


def start(*arguments: str, data: Path) -> subprocess.CompletedProcess[str]:
    """The command, without public data."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        env={**os.environ, "LAMPBLACK_DATA": str(data)},
        cwd=Path(run.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_starts_without_arguments(tmp_path: Path) -> None:
    """Without data it says so, before anything is run: the parser has let it through."""
    finished = start(data=tmp_path)
    assert finished.returncode == 1
    assert "set LAMPBLACK_DATA" in finished.stderr


def test_studies_are_listed_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    listed = start("--list", data=tmp_path)
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names == sorted(studies())
    refused = start("nothing", data=tmp_path)
    assert refused.returncode == 2
    assert "there is no study 'nothing'" in refused.stderr


def test_report_is_a_page_with_its_tables_and_pictures(
    rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    (tmp_path / "tables.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    page = pages.write_report(tmp_path).read_text()
    assert page.count("<svg") >= 2
    assert "PyOD KNN" in page
    assert "best peer PyOD KNN" in page


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "tables.jsonl"
    whole = json.dumps(row("1_set", "a", 0.5))
    file.write_text(whole + "\n" + whole[:20])
    work = Fits(lambda: [("1_set", "a", 0)], no_job)
    work.carry_out("tables", Options(tmp_path, processes=1))
    assert file.read_text() == whole + "\n"


def no_job(*job: object) -> dict[str, Any]:
    raise AssertionError(job)


def constant(name: str, method: str, seed: int) -> dict[str, Any]:
    return {"auroc": seed / 10}


def test_jobs_are_run_side_by_side_and_kept_with_what_made_them(tmp_path: Path) -> None:
    work = Fits(lambda: [("1_set", "a", 1), ("1_set", "a", 4)], constant)
    work.carry_out("x", Options(tmp_path, seeds=3, processes=1))
    (line,) = (tmp_path / "x.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["set"], kept["method"], kept["seed"], kept["auroc"]) == ("1_set", "a", 1, 0.1)
    assert {"protocol", "lampblack", "torch", "machine"} <= kept.keys()


def test_a_peer_that_raises_gives_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(seed: int) -> Any:
        def fit(train: Any) -> Any:
            raise ValueError("cannot\ndo it")

        return fit

    monkeypatch.setitem(peers.PEERS, "PyOD X", fails)
    monkeypatch.setattr(protocol, "adbench_sets", lambda: [("1_set", Path("x"))])
    table = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) < 6
    monkeypatch.setattr(protocol, "load_adbench", lambda path: table)
    found = run_job(peers.judge_peer, ("1_set", "PyOD X", 0))
    assert found["error"] == "ValueError: cannot do it"


def test_peers_of_scikit_learn_and_dte_tell_outliers_apart() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(size=(200, 3))
    test = np.concatenate([rng.normal(size=(50, 3)), rng.normal(size=(20, 3)) + 6])
    split = protocol.Split(train, test, np.arange(70) >= 50)
    for name, fit in peers.PEERS.items():
        if not name.startswith("PyOD"):
            assert protocol.judge(fit(0), split)["auroc"] > 0.95, name


@pytest.fixture
def one_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "adbench_sets", lambda: [("1_set", Path("x"))])


@pytest.mark.usefixtures("one_set")
def test_every_study_has_a_question_and_its_fits_have_jobs() -> None:
    assert [name for name, question in questions().items() if not question.endswith("?")] == []
    for name, study in studies().items():
        assert not isinstance(study.work, Fits) or study.work.chosen(Options()), name
    assert {job[1] for job in jobs_of("tables")} == set(methods.TABLES)


@pytest.mark.usefixtures("one_set")
def test_a_result_file_names_all_studies_that_write_it() -> None:
    assert set(run.named(["images"])) == {"images", "plateau"}
    assert set(run.named([])) == set(studies())
    with pytest.raises(KeyError):
        run.named(["nothing"])


def test_every_block_is_in_a_page_and_of_one_study() -> None:
    blocks = [name for study in studies().values() for name in study.blocks]
    assert len(set(blocks)) == len(blocks)
    text = "".join(page.read_text() for page in pages.PAGES)
    assert [name for name in blocks if f"<!-- {name} -->" not in text] == []
    with pytest.raises(KeyError, match="no-such-block"):
        pages.rendered("<!-- no-such-block -->\n<!-- /no-such-block -->")


def test_further_images_work_by_being_put_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    from PIL import Image

    rng = np.random.default_rng(0)
    idx, parts = tmp_path / "fashion", tmp_path / "washers"
    idx.mkdir()
    for part in ("train", "t10k"):
        pixels = rng.integers(0, 256, (6, 5, 7), dtype=np.uint8)
        head = np.array([0x803, 6, 5, 7], ">i4").tobytes()
        (idx / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
        labels = np.array([0x801, 6], ">i4").tobytes() + bytes([0, 1, 2, 0, 1, 2])
        (idx / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    for place in ("train/good", "test/good", "test/dent"):
        (parts / place).mkdir(parents=True)
        pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(parts / place / "a.png")
    monkeypatch.setenv("LAMPBLACK_DATA", str(tmp_path))
    assert image_sets.further_sets() == ["fashion 0", "fashion 1", "fashion 2", "washers"]
    assert ("fashion 1", "recommended", 0) in images.jobs()
    split = image_sets.load("fashion 1", 0)
    assert split.train.shape == (2, 1, 5, 7)
    assert split.is_anomaly.tolist() == [True, False, True, True, False, True]
    split = image_sets.load("washers", 0)
    assert split.train.shape == (1, 3, 64, 64)
    assert sorted(split.is_anomaly.tolist()) == [False, True]


def test_downloads_are_held_to_their_checksums(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    from benchmarks.lab import download

    urls = []

    def wrong(url: str, output: str, store: Any, *, check_only: bool = False) -> None:
        urls.append(url)
        Path(output).write_bytes(b"something else")

    with pytest.raises(ValueError, match="SHA256"):
        download.fetch(tmp_path, wrong)
    assert urls[0].startswith("https://")
    assert not any(path.is_file() for path in tmp_path.rglob("*.npz"))


def test_checksums_are_those_of_the_data_at_hand() -> None:
    import hashlib

    from benchmarks.lab import download

    known = download.checksums()
    assert sum(name.startswith("adbench/") for name in known) == 28
    here = {name: protocol.data_folder() / name for name in known}
    if not all(path.exists() for path in here.values()):
        pytest.skip("the public data are not here")
    for name in ("adbench/14_glass.npz", "mnist/t10k-labels-idx1-ubyte.gz"):
        assert hashlib.sha256(here[name].read_bytes()).hexdigest() == known[name]


@pytest.mark.usefixtures("one_set")
def test_a_number_of_seeds_limits_tables_and_peers() -> None:
    for name in ("tables", "comparison"):
        work = studies()[name].work
        assert isinstance(work, Fits)
        assert {job[2] for job in work.chosen(Options(seeds=2))} == {0, 1}
