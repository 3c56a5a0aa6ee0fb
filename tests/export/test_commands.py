"""`lampblack export`, and the other commands on what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import lampblack
from lampblack.cli.main import app
from lampblack.exceptions import SchemaMismatch
from lampblack.model.model import Model
from tests.conftest import mixed_frame
from tests.export.conftest import Exported, frame


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("lampblack: error: ")


def test_export_says_what_it_wrote_and_nothing_else(
    of_table: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    of_table.detector.save("a.model")
    done = run("export", "a.model", "--format", "onnx")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["saved model.onnx"]
    assert Path("model.onnx").read_bytes() == of_table.file.read_bytes()
    assert "Invalid value for '--format'" in run("export", "a.model", "--format", "pt").stderr


NEW_FORMAT = """
import sys
from lampblack.export import FORMATS, Format

FORMATS["note"] = Format("tests.export.test_commands", "write_note", "a note")
from lampblack.cli.main import app
from lampblack.exceptions import SchemaMismatch

app(sys.argv[1:])
"""


def write_note(model: Model, path: Path) -> None:
    path.write_text(model.detector)


def test_a_new_format_is_one_entry(of_table: Exported, tmp_path: Path) -> None:
    of_table.detector.save(tmp_path / "a.model")
    arguments = ["export", tmp_path / "a.model", "-o", tmp_path / "note", "--format", "note"]
    command = [sys.executable, "-c", NEW_FORMAT, *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a note, 17 B" in done.stdout
    assert (tmp_path / "note").read_text() == type(of_table.detector).__name__


def test_dates_with_zones_go_through_the_graph(tmp_path: Path) -> None:
    """Their phases, local ones, are computed outside, by whatever reads the rows."""
    frame = mixed_frame(200)
    frame["at"] = frame["at"].dt.tz_localize("UTC")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    model, file = tmp_path / "a.model", tmp_path / "m.onnx"
    arguments = ("-d", "toll", "--steps", 5, "-q", "--false-alarm-rate", 0.1)
    arguments += ("--timezone", "America/New_York")
    assert run("fit", tmp_path / "rows.csv", "-o", model, *arguments).exit_code == 0
    assert run("export", model, "-o", file).exit_code == 0
    expected = lampblack.load(model).anomaly_score(frame)
    np.testing.assert_allclose(lampblack.load_portable(file).anomaly_score(frame), expected, 1e-4)
    frame["at"] = frame["at"].dt.tz_localize(None)
    with pytest.raises(SchemaMismatch, match="held times with a time zone"):
        lampblack.load_portable(file).anomaly_score(frame)


def test_a_model_beside_the_one_that_is_missing_is_named(
    of_table: Exported, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.csv"
    of_table.samples.to_csv(rows, index=False)
    missing = tmp_path / "pump.model"
    either = f"{missing} does not exist; give a model folder (from lampblack fit) or an .onnx file"
    for command in (
        ("score", missing, rows),
        ("info", missing),
        ("evaluate", missing, rows, "--label", "city", "--anomaly", "Bern"),
    ):
        text = refused(run(*command))
        assert text.startswith(either)
        assert "there is" not in text
    (tmp_path / "pump.onnx").write_bytes(of_table.file.read_bytes())
    (tmp_path / "pump.csv").touch()
    assert refused(run("score", missing, rows)).endswith(f"; there is {tmp_path / 'pump.onnx'}")
    of_table.detector.save(missing)
    misspelt = tmp_path / "pmup.model"
    assert refused(run("score", misspelt, rows)).endswith(f"; there is {missing}")
    (tmp_path / "pump.onnx").unlink()
    assert refused(run("score", tmp_path / "pump.onnx", rows)).endswith(f"; there is {missing}")


def test_evaluate_is_that_of_the_model_folder(of_table: Exported, tmp_path: Path) -> None:
    of_table.detector.save(tmp_path / "a.model")
    rows = frame(200, seed=9).assign(state="ok")
    rows.loc[:9, ["city", "state"]] = ["Atlantis", "bad"]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    found = [
        json.loads(
            run(
                *("evaluate", model, tmp_path / "rows.csv", "--json"),
                *("--label", "state", "--anomaly", "bad"),
            ).stdout
        )
        for model in (tmp_path / "a.model", of_table.file)
    ]
    assert found[0] == pytest.approx(found[1])
    assert found[0]["anomalies"] == 10


def test_what_a_portable_model_cannot_do_is_said_in_one_line(
    of_table: Exported, of_images: Exported, tmp_path: Path
) -> None:
    rows, images = tmp_path / "rows.csv", tmp_path / "images.npz"
    of_table.samples.to_csv(rows, index=False)
    np.savez(images, images=of_images.samples)
    table, pictures = of_table.file, of_images.file
    explains = "is a portable model, which scores and does not explain; give the model folder"
    assert explains in refused(run("score", table, rows, "--explain", 2))
    assert explains in refused(run("score", pictures, images, "--heatmaps", tmp_path / "maps"))
    assert "runs on the CPU" in refused(run("score", table, rows, "--device", "cuda"))
    for command in ("report", "plot", "calibrate"):
        text = refused(run(command, table, rows, "-o", tmp_path / "out"))
        assert "is a portable model, which scores and does nothing else" in text
    assert "was fitted on images" in refused(run("score", pictures, rows))
    assert "was fitted on a table" in refused(run("score", table, images))
    assert "does not exist" in refused(run("score", tmp_path / "none.onnx", rows))
    assert "--heatmaps" not in run("score", pictures, images).stdout
    shown = run("info", pictures).stdout
    assert "TollDetector, portable" in shown
