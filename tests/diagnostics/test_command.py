"""`lampblack diagnose`: what it writes and says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from lampblack.diagnostics import diagnose
from lampblack.report import draw_diagnosis
from tests.conftest import FAST, IMAGE_FAST, discs, mixed_frame

pytest.importorskip("matplotlib")


def run(*arguments: object) -> Any:
    finished = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in finished.output
    assert finished.exit_code == 0, finished.output
    return finished


def refused(*arguments: object) -> str:
    finished = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert finished.exit_code == 2, finished.output
    lines = [line for line in finished.stderr.splitlines() if "error:" in line]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of a mixed table, by two detectors, and of images; data with labels."""
    place = tmp_path_factory.mktemp("diagnose")
    frame = mixed_frame(900)
    lampblack.LampblackDetector(**FAST).fit(frame[:600]).save(place / "a.model")
    lampblack.AMADetector(**FAST).fit(frame[:600]).save(place / "ama.model")
    new = frame[600:].reset_index(drop=True)
    new["state"] = np.where(new.index < 260, "fine", "leak")
    new.loc[260:, "flow"] = 90.0
    new.to_csv(place / "new.csv", index=False)
    lampblack.TollDetector(**IMAGE_FAST).fit(discs(260)).save(place / "discs.model")
    for name, images in (("good", discs(24, seed=1)), ("dark", 255 - discs(6, seed=2))):
        (place / "photos" / name).mkdir(parents=True)
        for i, image in enumerate(images):
            Image.fromarray(image[0]).save(place / "photos" / name / f"{i}.png")
    return place


def test_a_table_with_labels(folder: Path) -> None:
    options = ("--label", "state", "--anomaly", "leak", "-q")
    output = run("diagnose", folder / "a.model", folder / "new.csv", "-o", folder / "a", *options)
    assert "260 normal, 40 anomalies" in output.stdout
    written = {path.name for path in (folder / "a").iterdir()}
    assert written == {"diagnosis.json", "landscape.png", "codes.png", "rays.png"}
    found = json.loads((folder / "a" / "diagnosis.json").read_text())
    detector = lampblack.load(folder / "a.model")
    frame = mixed_frame(900)
    known = diagnose(detector, frame[600:860])
    assert found["sharpness"]["plain"]["loss"] == pytest.approx(
        known.sharpness["plain"].loss, rel=1e-6
    )
    assert [check["name"] for check in found["checks"]] == [check.name for check in known.checks]
    assert found["extrapolation"]["stays"] == known.extrapolation.stays
    assert found["critic"] is None
    for check in found["checks"]:
        assert check["text"] in output.stdout


def test_a_critic_gets_its_figure_and_json_is_printed(folder: Path) -> None:
    options = ("--label", "state", "--normal", "fine", "--json", "--format", "svg")
    output = run("diagnose", folder / "ama.model", folder / "new.csv", "-o", folder / "b", *options)
    found = json.loads(output.stdout)
    assert found["looked_at"] == {"normal": 260, "anomalies": 40}
    assert set(found["critic"]["outside"]) == {"normal", "synthetic", "anomalies"}
    assert (folder / "b" / "critic.svg").read_text().count("<svg") == 1
    assert json.loads((folder / "b" / "diagnosis.json").read_text()) == found


def test_the_seed_decides(folder: Path) -> None:
    data = (folder / "a.model", folder / "new.csv", "--exclude", "state", "--json", "-o")
    first, again, other = (
        json.loads(run("diagnose", *data, folder / "s", "--seed", seed).stdout)
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first["landscape"] != other["landscape"]


@pytest.mark.parametrize("options", [("--normal", "good"), ()], ids=["normal named", "all normal"])
def test_images(folder: Path, options: tuple[str, ...]) -> None:
    photos = folder / "photos" if options else folder / "photos" / "good"
    output = run("diagnose", folder / "discs.model", photos, "-o", folder / "i", "-q", *options)
    found = json.loads((folder / "i" / "diagnosis.json").read_text())
    assert found["looked_at"] == {"normal": 24, **({"anomalies": 6} if options else {})}
    assert "images" in output.stdout
    assert found["extrapolation"]["positions"][-1] == 1.0


def test_every_figure_says_what_it_shows(normal: np.ndarray) -> None:
    detector = lampblack.AMADetector(**FAST).fit(normal)
    drawn = draw_diagnosis(diagnose(detector, normal, anomalies=normal + 5))
    assert list(drawn) == ["landscape", "codes", "critic", "rays"]
    for figure in drawn.values():
        assert len(figure.text) > 40
        assert figure.title


def test_what_cannot_be_diagnosed_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    model, data = folder / "a.model", folder / "new.csv"
    to = ("-o", tmp_path / "d")
    assert "unexpected: column 'state'" in refused("diagnose", model, data, *to)
    assert "--label COLUMN" in refused("diagnose", model, data, *to, "--anomaly", "leak")
    everything = ("--label", "state", "--anomaly", "leak", "--anomaly", "fine")
    assert "all rows are anomalies" in refused("diagnose", model, data, *to, *everything)
    assert "no row has the label 'no'" in refused(
        "diagnose", model, data, *to, "--label", "state", "--anomaly", "no"
    )
    assert "as an input" in refused(
        "diagnose", model, data, *to, "--exclude", "state", "--label", "city", "--anomaly", "Bern"
    )
    assert "no row was left" in refused(
        "diagnose", model, data, *to, "--where", "state == 'x'", "--exclude", "state"
    )
    assert "for tables" in refused(
        "diagnose", folder / "discs.model", folder / "photos", *to, "--label", "state"
    )
    assert "for images" in refused("diagnose", model, data, *to, "--resize")
    assert "was fitted on images" in refused("diagnose", folder / "discs.model", data, *to)
    assert "was fitted on a table" in refused("diagnose", model, folder / "photos", *to)
    assert "is no folder" in refused("diagnose", model, data, "-o", data.with_name("new.csv"))
    assert "does not exist" in refused("diagnose", model, data, "-o", tmp_path / "no" / "d")
    assert "lies in the model's folder" in refused("diagnose", model, data, "-o", model / "d")
    assert not (tmp_path / "d").exists()


def test_without_matplotlib_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    message = refused("diagnose", folder / "a.model", folder / "new.csv", "-o", folder / "x")
    assert "pip install 'lampblack[report]'" in message


def test_a_long_file_is_cut_and_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lampblack.cli.tables.MOST_READ", 100)
    options = ("--label", "state", "--normal", "fine", "--json", "-o", folder / "cut")
    finished = run("diagnose", folder / "a.model", folder / "new.csv", *options)
    assert "the first 100 rows are looked at" in finished.stderr
    assert json.loads(finished.stdout)["looked_at"] == {"normal": 100}


def test_the_report_says_whether_to_trust_the_model(folder: Path) -> None:
    pytest.importorskip("jinja2")
    options = ("--exclude", "state", "-q", "--json", "-o", folder / "r.html")
    finished = run("report", folder / "a.model", folder / "new.csv", *options)
    found = json.loads(finished.stdout)["checks"]
    page = (folder / "r.html").read_text()
    assert "Whether to trust it" in page
    assert "far from all data" in found
    assert "drift" not in found  # the page has its own
    doubled = mixed_frame(300)
    doubled = doubled.loc[np.repeat(doubled.index, 2)]
    lampblack.TollDetector(**FAST).fit(doubled).save(folder / "doubled.model")
    run("report", folder / "doubled.model", folder / "new.csv", *options)
    assert "<b>Notice.</b>" in (folder / "r.html").read_text()
    pictures = ("report", folder / "discs.model", folder / "photos", "-q", "--json", "-o")
    for choice, made in (("--diagnose", True), ("--no-diagnose", False)):
        image = json.loads(run(*pictures, folder / "i.html", choice).stdout)
        assert ("far from all data" in image["checks"]) is made
        assert (image["diagnosis"] is not None) is made


def test_the_command_says_what_is_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lampblack.diagnostics import diagnosis
    from lampblack.exceptions import InvalidInput

    def breaks(*_: object, **__: object) -> None:
        raise InvalidInput("the loss is not finite")

    monkeypatch.setattr(diagnosis, "sharpness", breaks)
    options = ("--exclude", "state", "-q", "-o", folder / "left")
    said = run("diagnose", folder / "a.model", folder / "new.csv", *options).stdout
    assert "sharpness left out: the loss is not finite" in said
    found = json.loads((folder / "left" / "diagnosis.json").read_text())
    assert found["left_out"] == {"sharpness": "the loss is not finite"}
    assert (found["sharpness"], found["landscape"] is None) == ({}, False)
