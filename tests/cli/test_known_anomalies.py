"""`lampblack fit --detector ama` with anomalies that somebody has labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lampblack
from lampblack.detectors.ama import AMADetector
from tests.cli.test_commands import refused, run
from tests.conftest import discs

AMA = ["--detector", "ama", "--steps", "20", "--quiet"]
RATE = ["--false-alarm-rate", "0.1"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 normal rows and 30 anomalies of two kinds."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(530, 3)), columns=["a", "b", "c"])
    frame.loc[500:, "b"] += 8
    frame["state"] = ["fine"] * 500 + ["worn"] * 20 + ["torn"] * 10
    path = tmp_path_factory.mktemp("labels") / "rows.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("options", "anomalies"),
    [
        (["--anomaly", "worn", "--anomaly", "torn"], 30),
        (["--normal", "fine"], 30),
        (["--anomaly", "torn"], 10),
    ],
)
def test_label_column_marks_anomalies_and_is_not_learned_from(
    rows: Path, tmp_path: Path, options: list[str], anomalies: int
) -> None:
    result = run("fit", rows, "-o", tmp_path / "m", *AMA, "--label", "state", *options)
    assert result.exit_code == 0, result.output
    assert f"{anomalies} known anomalies" in result.stdout
    detector = lampblack.load(tmp_path / "m")
    assert detector.schema_.names == ["a", "b", "c"]
    assert detector.rows_["anomalies"] == anomalies
    frame = pd.read_csv(rows)
    y = np.where(frame["state"].isin(["fine", "worn"][: 1 + (anomalies == 10)]), 1, -1)
    again = AMADetector(supervision="labels", max_steps=20).fit(frame[["a", "b", "c"]], y)
    np.testing.assert_array_equal(
        again.anomaly_score(frame[["a", "b", "c"]]), detector.anomaly_score(frame[["a", "b", "c"]])
    )
    scored = run("score", tmp_path / "m", rows, "-o", tmp_path / "s.csv", "--quiet")
    assert scored.exit_code == 0, scored.output  # the label was left out of the model


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "state", "--anomaly", "worn"], "--detector ama alone"),
        ([*AMA, "--label", "state"], "say which labels are anomalies"),
        ([*AMA, "--label", "state", "--anomaly", "lost"], "no row has the label 'lost'"),
        ([*AMA, "--label", "colour", "--anomaly", "red"], "there is no column 'colour'"),
        ([*AMA, "--anomaly", "worn"], "say which column holds the label: --label COLUMN"),
        (["--detector", "toll", "--score", "critic"], "--score is for --detector ama"),
    ],
)
def test_labels_that_make_no_sense_are_refused(
    rows: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    assert words in refused("fit", rows, "-o", tmp_path / "m", *options)
    assert not (tmp_path / "m").exists()


def test_class_folders_of_known_anomalies(tmp_path: Path) -> None:
    for label, seed, n in (("good", 0, 120), ("scratch", 1, 6), ("dent", 2, 4)):
        (tmp_path / "parts" / label).mkdir(parents=True)
        for i, disc in enumerate(discs(n, seed)):
            Image.fromarray(disc[0]).save(tmp_path / "parts" / label / f"{i}.png")
    model = tmp_path / "m"
    result = run("fit", tmp_path / "parts", "-o", model, *AMA, "--anomaly", "scratch", *RATE)
    assert result.exit_code == 0, result.output
    assert "6 known anomalies" in result.stdout
    line = refused("fit", tmp_path / "parts", "-o", model, *AMA, *RATE, "--anomaly", "hole")
    assert "--anomaly hole" in line
    assert "dent, good, scratch" in line
    line = refused("fit", tmp_path / "parts", "-o", model, *AMA, *RATE, "--anomaly", "good")
    assert "class good is taken as normal" in line


def test_score_is_an_option(rows: Path, tmp_path: Path) -> None:
    result = run(
        "fit", rows, "-o", tmp_path / "m", *AMA, "--where", "state == 'fine'", "--exclude", "state",
        "--score", "joint",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert lampblack.load(tmp_path / "m").score_by == "joint"
