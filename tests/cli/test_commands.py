"""The commands as a stranger types them: what they print, what they write, what they refuse."""

from __future__ import annotations

import dataclasses
import gzip
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
from benchmarks.lab.apart import command as measured
from click.testing import Result
from typer.testing import CliRunner

import lampblack
from lampblack.cli import options
from lampblack.cli.main import app
from lampblack.data.tables.layout import RowFormat
from lampblack.data.tables.schema import Rows, Schema
from lampblack.model.methods import RECIPES
from lampblack.model.parameters import about
from lampblack.persistence import read_config
from tests.conftest import mixed_frame

ROOT = Path(__file__).parents[2]
QUICK = ["--steps", "40", "--quiet"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result


def refused(*arguments: object) -> str:
    """Run what must be refused: exit code 2 and one line; return the line."""
    result = run(*arguments)
    lines = [line for line in result.stderr.splitlines() if "error:" in line]
    assert result.exit_code == 2, result.output
    assert len(lines) == 1
    assert result.stdout == ""
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """normal.csv; today.csv with labels and, in its last 20 rows, anomalies; a fitted model."""
    folder = tmp_path_factory.mktemp("cli")
    frame = mixed_frame(800)
    frame.head(600).to_csv(folder / "normal.csv", index=False)
    today = frame.tail(200).reset_index(drop=True)
    today.loc[180:, "flow"] = 100.0
    today["part"] = [f"p{i}" for i in range(200)]
    today["label"] = np.where(today.index < 180, "good", "bad")
    today.to_csv(folder / "today.csv", index=False)
    today.to_parquet(folder / "today.parquet")
    fitted = run("fit", folder / "normal.csv", "-o", folder / "pump.model", *QUICK)
    assert fitted.exit_code == 0, fitted.output
    return folder


def test_fit_says_what_it_promises_and_where_the_model_is(folder: Path) -> None:
    result = run("fit", folder / "normal.csv", "-o", folder / "again.model", *QUICK)
    assert "432 rows trained, 48 validated, 120 calibrated" in result.stdout
    assert "at most 1.00% of new normal rows raise an alarm, in expectation" in result.stdout
    assert f"saved {folder / 'again.model'}" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("detector", ["ama", "autoencoder", "lamp", "toll"])
def test_fitted_in_the_shell_is_fitted_in_python(folder: Path, detector: str) -> None:
    run("fit", folder / "normal.csv", "-o", folder / "d.model", "--detector", detector, *QUICK)
    loaded = lampblack.load(folder / "d.model")
    frame = pa_csv.read_csv(folder / "normal.csv")
    again = type(loaded)(max_steps=40).fit(frame)
    np.testing.assert_array_equal(loaded.anomaly_score(frame), again.anomaly_score(frame))


def test_a_table_is_converted_once_where_all_of_its_rows_can_be_used(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converted = []
    convert = Schema._convert

    def counted(schema: Schema, table: pa.Table) -> Rows:
        converted.append(table.num_rows)
        return convert(schema, table)

    monkeypatch.setattr(Schema, "_convert", counted)
    assert run("fit", folder / "normal.csv", "-o", tmp_path / "a.model", *QUICK).exit_code == 0
    assert converted == [600]


def test_a_row_that_is_skipped_leaves_no_trace_in_the_model(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "normal.csv").read_text().splitlines(keepends=True)
    cells = lines[-1].split(",")
    (tmp_path / "bad.csv").write_text("".join([*lines, ",".join([*cells[:2], "inf", *cells[3:]])]))
    options = ("-o", tmp_path / "a.model", "--on-bad-row", "skip", *QUICK)
    fitted = run("fit", tmp_path / "bad.csv", *options)
    assert "row 601, column 'flow': the value is infinite" in fitted.stderr
    model, same = lampblack.load(tmp_path / "a.model"), lampblack.load(folder / "pump.model")
    frame = pa_csv.read_csv(folder / "normal.csv")
    np.testing.assert_array_equal(model.anomaly_score(frame), same.anomaly_score(frame))


def test_a_model_keeps_every_field_of_how_its_file_was_written(
    folder: Path, tmp_path: Path
) -> None:
    options = ("--delimiter", ",", "--missing", "?", "--types", "mode=category")
    assert run("fit", folder / "normal.csv", "-o", tmp_path / "a", *options, *QUICK).exit_code == 0
    reading = read_config(tmp_path / "a").reading
    assert set(reading) == {each.name for each in dataclasses.fields(RowFormat)}
    told = RowFormat(types={"mode": "category"}, delimiter=",", missing=("?",))
    assert RowFormat.of_reading(reading) == told


@pytest.mark.parametrize("data", ["today.csv", "today.parquet", "today.csv.gz"])
@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet", "scores.csv.gz"])
def test_scores_are_those_of_python_in_every_format(folder: Path, data: str, output: str) -> None:
    with gzip.open(folder / "today.csv.gz", "wb") as file:
        file.write((folder / "today.csv").read_bytes())
    result = run(
        "score",
        folder / "pump.model",
        folder / data,
        "-o",
        folder / output,
        "--id",
        "part",
        "--exclude",
        "label",
        "--explain",
        "2",
    )
    assert result.exit_code == 0, result.output
    assert "200 rows" in result.stdout
    written = (
        pd.read_parquet(folder / output)
        if output.endswith("parquet")
        else pd.read_csv(folder / output)
    )
    assert list(written.columns) == [
        "part",
        "anomaly_score",
        "p_value",
        "decision",
        "column_1",
        "contribution_1",
        "column_2",
        "contribution_2",
    ]
    detector = lampblack.load(folder / "pump.model")
    rows = pd.read_csv(folder / "today.csv", parse_dates=["at"])[detector.feature_names_in_]
    np.testing.assert_allclose(written["anomaly_score"], detector.anomaly_score(rows), rtol=1e-9)
    np.testing.assert_allclose(written["p_value"], detector.p_value(rows), rtol=1e-9)
    np.testing.assert_array_equal(written["decision"] == "anomaly", detector.predict(rows) == -1)
    assert (written["column_1"].tail(20) == "flow").all()
    assert (written["contribution_1"] >= written["contribution_2"]).all()


def test_score_without_output_shows_the_strongest_alarms(folder: Path) -> None:
    result = run("score", folder / "pump.model", folder / "today.csv", "--exclude", "label,part")
    assert result.exit_code == 0, result.output
    assert "10 strongest alarms" in result.stdout
    assert "flow" in result.stdout
    assert "row" in result.stdout


@pytest.mark.parametrize(("options", "reasons"), [((), 3), (("--explain", 1), 1)])
def test_as_many_reasons_are_shown_as_were_asked_for(
    folder: Path, options: tuple[object, ...], reasons: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    command = ("score", folder / "pump.model", folder / "today.csv", "--exclude", "label,part")
    shown = [line for line in run(*command, *options).stdout.splitlines() if "%)" in line]
    assert len([line for line in shown if line.startswith("│")]) == 10
    assert {line.count("%)") for line in shown if line.startswith("│")} == {reasons}


def test_score_writes_to_standard_output(folder: Path) -> None:
    command = [sys.executable, "-m", "lampblack.cli.main", "score", folder / "pump.model"]
    command += [folder / "today.csv", "-o", "-", "--exclude", "label,part"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.splitlines()[0] == '"row","anomaly_score","p_value","decision"'
    assert len(output.splitlines()) == 201


def test_closed_pipe_ends_quietly(folder: Path) -> None:
    shell = (
        f"{sys.executable} -m lampblack.cli.main score {folder}/pump.model {folder}/today.csv "
        "-o - --exclude label,part | head -1"
    )
    finished = subprocess.run(shell, shell=True, check=True, capture_output=True, text=True)
    assert "Traceback" not in finished.stderr
    assert "error" not in finished.stderr


def test_evaluate_prints_a_table_and_json(folder: Path) -> None:
    arguments = ["evaluate", folder / "pump.model", folder / "today.csv", "--label", "label"]
    arguments += ["--exclude", "part"]
    table = run(*arguments, "--anomaly", "bad")
    assert table.exit_code == 0, table.output
    assert "auroc" in table.stdout
    result = json.loads(run(*arguments, "--anomaly", "bad", "--json").stdout)
    assert result["rows"] == 200
    assert result["anomalies"] == 20
    assert result["auroc"] == 1.0
    assert result["recall_at_threshold"] == 1.0
    assert result["promised_false_alarm_rate"] == 0.01
    assert 0 <= result["false_alarm_rate"] < 0.1
    assert json.loads(run(*arguments, "--normal", "good", "--json").stdout) == result


def test_evaluation_refuses_what_it_cannot_judge(folder: Path) -> None:
    arguments = ["evaluate", folder / "pump.model", folder / "today.csv", "--exclude", "part"]
    assert "holds bad, good" in refused(*arguments, "--label", "label")
    assert "no row has the label 'ugly'" in refused(
        *arguments, "--label", "label", "--anomaly", "ugly"
    )
    assert "no column 'verdict'" in refused(*arguments, "--label", "verdict", "--anomaly", "bad")
    assert "fitted with column 'city'" in refused(
        *arguments, "--label", "city", "--anomaly", "Rome"
    )
    only_good = [*arguments, "--label", "label", "--normal", "good", "--where", "label == 'good'"]
    assert "no anomaly among 180 rows" in refused(*only_good)


def test_info_shows_columns_threshold_and_json(folder: Path) -> None:
    shown = run("info", folder / "pump.model").stdout
    for fact in (
        "LampblackDetector",
        "threshold",
        "1.00%",
        "flow (number, may be missing)",
        "torch",
    ):
        assert fact in shown
    assert json.loads(run("info", folder / "pump.model", "--json").stdout)["format"] == 4


def test_calibrate_sets_a_new_threshold_without_training(folder: Path) -> None:
    result = run(
        "calibrate",
        folder / "pump.model",
        folder / "normal.csv",
        "-o",
        folder / "new.model",
        "--false-alarm-rate",
        "0.1",
    )
    assert result.exit_code == 0, result.output
    assert "at most 10.00% of new normal rows" in result.stdout
    old, new = lampblack.load(folder / "pump.model"), lampblack.load(folder / "new.model")
    assert new.offset_ > old.offset_
    rows = pa_csv.read_csv(folder / "normal.csv")
    np.testing.assert_array_equal(new.anomaly_score(rows), old.anomaly_score(rows))
    assert (new.predict(rows) == -1).mean() == pytest.approx(0.1, abs=0.005)


def test_calibrate_warns_of_rows_that_were_fitted(folder: Path, tmp_path: Path) -> None:
    new = ("-o", tmp_path / "new.model", "--exclude", "label,part")
    fitted = run("calibrate", folder / "pump.model", folder / "normal.csv", *new[:2])
    assert "warning: the promise does not hold if these rows were fitted" in fitted.stderr
    assert "600 of 600 looked at equal one that was" in fitted.stderr
    fresh = run("calibrate", folder / "pump.model", folder / "today.csv", *new)
    assert "equal one that was" not in fresh.stderr
    assert "note: the promise" not in fresh.stderr
    toll = tmp_path / "toll.model"
    run("fit", folder / "normal.csv", "-o", toll, "-d", "toll", *QUICK)
    told = run("calibrate", toll, folder / "today.csv", *new)
    assert "note: the promise holds only if none of these rows was fitted" in told.stderr


def test_demo_prints_promise_auroc_ten_alarms_with_reasons_and_place(tmp_path: Path) -> None:
    started = time.process_time()
    result = run("demo", "-o", tmp_path / "demo.model")
    assert result.exit_code == 0, result.output
    assert time.process_time() - started < 20
    for fact in ("at most 1.00%", "AUROC 0.9", "10 strongest alarms", "saved "):
        assert fact in result.stdout
    assert result.stderr == ""
    assert (tmp_path / "demo.model" / "manifest.json").exists()
    reasons = [line for line in result.stdout.splitlines() if "%)" in line or "%;" in line]
    assert len(reasons) >= 10


def test_no_arguments_show_help() -> None:
    result = run()
    for command in ("fit", "score", "evaluate", "calibrate", "info", "demo"):
        assert command in result.output
    assert run("--version").stdout.strip() == f"lampblack {lampblack.__version__}"


def test_left_out_columns_are_remembered(folder: Path) -> None:
    run(
        "fit",
        folder / "today.csv",
        "-o",
        folder / "m.model",
        "--exclude",
        "label,part",
        "--where",
        "label == 'good'",
        "--false-alarm-rate",
        "0.05",
        *QUICK,
    )
    result = run("score", folder / "m.model", folder / "today.csv", "-o", folder / "o.csv")
    assert result.exit_code == 0, result.output
    assert "left out" in run("info", folder / "m.model").stdout


def test_filter_on_a_column_that_is_learned_from_is_pointed_out(folder: Path) -> None:
    result = run(
        "fit",
        folder / "today.csv",
        "-o",
        folder / "w.model",
        "--where",
        "label == 'good'",
        "--false-alarm-rate",
        "0.05",
        *QUICK,
    )
    assert "--where uses label, which is also learned from" in result.stderr


def test_columns_are_chosen_by_name(folder: Path) -> None:
    run("fit", folder / "normal.csv", "-o", folder / "c.model", "--columns", "flow,city", *QUICK)
    assert lampblack.load(folder / "c.model").schema_.names == ["flow", "city"]
    assert (
        run("score", folder / "c.model", folder / "normal.csv", "-o", folder / "o.csv").exit_code
        == 0
    )


def test_file_without_header_is_scored_as_it_was_fitted(tmp_path: Path) -> None:
    X = np.random.default_rng(0).normal(size=(300, 3)).round(4)
    np.savetxt(tmp_path / "bare.csv", X, delimiter=",")
    fitted = run("fit", tmp_path / "bare.csv", "-o", tmp_path / "m", "--no-header", *QUICK)
    assert fitted.exit_code == 0, fitted.output
    result = run("score", tmp_path / "m", tmp_path / "bare.csv", "-o", tmp_path / "o.csv")
    assert result.exit_code == 0, result.output
    assert len(pd.read_csv(tmp_path / "o.csv")) == 300


def test_types_and_missing_spellings_are_obeyed_and_remembered(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{rng.integers(1, 4):02d},{'?' if i % 9 == 0 else i}" for i in range(300)]
    (tmp_path / "a.csv").write_text("code,x\n" + "\n".join(lines))
    arguments = ["fit", tmp_path / "a.csv", "-o", tmp_path / "m", *QUICK]
    assert "'?'" in refused(*arguments)
    assert run(*arguments, "--missing", "?", "--types", "code=category").exit_code == 0
    kinds = {c.name: (c.kind, c.nullable) for c in lampblack.load(tmp_path / "m").schema_.columns}
    assert kinds == {"code": ("category", False), "x": ("number", True)}
    (tmp_path / "b.csv").write_text("code,x\n01,?\n07,5\n")
    result = run("score", tmp_path / "m", tmp_path / "b.csv", "-o", tmp_path / "o.csv")
    assert result.exit_code == 0, result.output
    assert pd.read_csv(tmp_path / "o.csv")["decision"].tolist()[1] == "anomaly"


def bad_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text("at,city,flow,mode,open\n" + text)
    return path


GOOD = "2024-01-01,Bern,10.0,3.0,True\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD * 3 + "2024-01-02,Bern,abc,3.0,True\n", "row 4, column 'flow': 'abc' is not a numb"),
        (GOOD + "2024-01-02,Bern,inf,3.0,True\n", "row 2, column 'flow': the value is infinite"),
        (GOOD * 2 + "2024-01-02,Bern,1.0,,True\n", "row 3, column 'mode': the value is missing"),
        (GOOD + "2024-01-02,Bern,1.0,3.0\n", "row 2: 4 fields instead of 5"),
        (GOOD + "yesterday,Bern,1.0,3.0,True\n", "row 2, column 'at': 'yesterday' is not a date"),
    ],
    ids=["text", "infinite", "missing", "short row", "date"],
)
def test_bad_row_is_named_or_skipped_and_counted(
    folder: Path, tmp_path: Path, text: str, message: str
) -> None:
    path = bad_file(tmp_path, "bad.csv", text + GOOD * 2)
    line = refused("score", folder / "pump.model", path, "-o", tmp_path / "out.csv")
    assert message in line
    assert str(path) in line
    assert list(tmp_path.iterdir()) == [path]
    skipping = run(
        "score", folder / "pump.model", path, "-o", tmp_path / "out.csv", "--on-bad-row", "skip"
    )
    assert skipping.exit_code == 0, skipping.output
    bad = text.count("\n")
    assert "1 row was skipped" in skipping.stderr
    assert f"row {bad}" in skipping.stderr
    assert bad not in pd.read_csv(tmp_path / "out.csv")["row"].tolist()
    assert len(pd.read_csv(tmp_path / "out.csv")) == text.count("\n") + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="flow"), "missing: column 'flow'"),
        (lambda f: f.assign(extra=1), "unexpected: column 'extra'"),
        (lambda f: f.rename(columns={"flow": "Flow"}), "renamed?"),
        (lambda f: f.head(0), "no rows"),
    ],
    ids=["missing", "extra", "renamed", "empty"],
)
def test_changed_file_is_refused(
    folder: Path, tmp_path: Path, change: object, message: str
) -> None:
    change(mixed_frame(20)).to_csv(tmp_path / "x.csv", index=False)
    line = refused("score", folder / "pump.model", tmp_path / "x.csv", "-o", tmp_path / "o.csv")
    assert message in line
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("dictionary", [False, True])
def test_parquet_text_that_is_not_utf8_is_named_or_skipped(
    folder: Path, tmp_path: Path, dictionary: bool
) -> None:
    """A file that Latin-1 was written into; only columns that are used matter."""
    rows = pa_csv.read_csv(folder / "normal.csv")
    raw = pa.array([text.as_py().encode() for text in rows["city"][:-1]] + [b"Z\xfcrich"])
    text = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    text = text.dictionary_encode() if dictionary else text
    city, data, fresh = rows.schema.get_field_index("city"), tmp_path / "a.parquet", tmp_path / "m"
    pa_parquet.write_table(rows.set_column(city, "city", text), data)
    at = f"{data}: row 600, column 'city': the text is not UTF-8"
    assert at in refused("score", folder / "pump.model", data)
    assert at in refused("fit", data, "-o", fresh, *QUICK)
    assert at in refused("fit", data, "-o", fresh, "--stream", *QUICK)
    assert run("fit", data, "-o", fresh, "--exclude", "city", *QUICK).exit_code == 0
    skipped = run("score", folder / "pump.model", data, "--on-bad-row", "skip")
    assert "599 rows" in skipped.stdout
    assert "row 600, column 'city': the text is not UTF-8" in skipped.stderr
    named = tmp_path / "named.parquet"
    pa_parquet.write_table(rows.append_column("part", text), named)
    assert (
        "599 rows"
        not in run(
            "score", folder / "pump.model", named, "--exclude", "part", "--on-bad-row", "skip"
        ).stdout
    )
    assert "column 'part': the text" in refused(
        "score", folder / "pump.model", named, "--id", "part"
    )


def test_reordered_columns_are_put_in_order(folder: Path, tmp_path: Path) -> None:
    frame = mixed_frame(50)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame[frame.columns[::-1]].to_csv(tmp_path / "b.csv", index=False)
    for name in "ab":
        run(
            "score",
            folder / "pump.model",
            tmp_path / f"{name}.csv",
            "-o",
            tmp_path / f"{name}.o.csv",
        )
    assert (tmp_path / "a.o.csv").read_text() == (tmp_path / "b.o.csv").read_text()


def test_what_is_not_there_is_refused(folder: Path, tmp_path: Path) -> None:
    model, data = folder / "pump.model", folder / "today.csv"
    assert "does not exist" in refused("fit", tmp_path / "no.csv", "-o", tmp_path / "m")
    assert "is a folder" in refused("fit", tmp_path, "-o", tmp_path / "m")
    (tmp_path / "empty.csv").touch()
    assert "0 bytes" in refused("fit", tmp_path / "empty.csv", "-o", tmp_path / "m")
    assert "does not exist" in refused("score", tmp_path / "no.model", data)
    assert "not a model" in refused("score", tmp_path, data)
    assert "does not exist" in refused("info", tmp_path / "no.model")
    assert "must end in" in refused("score", model, data, "-o", "x.xlsx", "--exclude", "label,part")
    assert "no column 'nobody'" in refused("score", model, data, "--id", "nobody")
    assert "which is not there" in refused("score", model, data, "--exclude", "nobody")
    assert "which is not there" in refused(
        "fit", folder / "normal.csv", "-o", tmp_path / "m", "--columns", "nobody"
    )
    assert "no column to learn" in refused(
        "fit", folder / "normal.csv", "-o", tmp_path / "m", "--columns", "flow", "--exclude", "flow"
    )
    assert "write it as column=category" in refused(
        "fit", folder / "normal.csv", "-o", tmp_path / "m", "--types", "flow"
    )
    assert "no row" in refused(
        "fit", folder / "normal.csv", "-o", tmp_path / "m", "--where", "flow > 1e9"
    )
    assert "false_alarm_rate" in refused(
        "fit", folder / "normal.csv", "-o", tmp_path / "m", "--false-alarm-rate", "2"
    )
    assert not (tmp_path / "m").exists()


def test_output_that_is_no_model_is_refused_before_training(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    line = refused("fit", folder / "normal.csv", "-o", tmp_path / "thesis.txt")
    assert "is not a model" in line
    assert (tmp_path / "thesis.txt").read_text() == "irreplaceable"


def test_damaged_model_is_refused_by_every_command(folder: Path, tmp_path: Path) -> None:
    import shutil

    model = shutil.copytree(folder / "pump.model", tmp_path / "m")
    (model / "weights.safetensors").write_bytes(b"x")
    for arguments in (
        ["info", model],
        ["score", model, folder / "today.csv"],
        ["evaluate", model, folder / "today.csv", "--label", "label", "--anomaly", "bad"],
        ["calibrate", model, folder / "normal.csv"],
    ):
        assert "weights.safetensors is damaged" in refused(*arguments)


def test_an_option_of_several_commands_is_written_once() -> None:
    commands = [inspect.unwrap(command.callback) for command in app.registered_commands]
    groups = filter(dataclasses.is_dataclass, filter(inspect.isclass, vars(options).values()))
    written = [
        annotation
        for holder in [*commands, *groups]
        for annotation in inspect.get_annotations(holder).values()
        if annotation.startswith("Annotated")
    ]
    drawn = [
        f for recipe in RECIPES.values() for f in recipe.parameters.__dataclass_fields__.values()
    ]
    flags = {about(field).flag for field in drawn} - {None}
    assert len(written) + len(flags) > 70
    assert [annotation for annotation, n in Counter(written).items() if n > 1] == []


def test_unusual_usage_is_refused_without_a_traceback() -> None:
    for arguments in (["fit"], ["frobnicate"], ["score", "a"], ["fit", "x", "--detector", "svm"]):
        result = run(*arguments)
        assert result.exit_code == 2


def test_interrupted_score_leaves_nothing_under_the_final_name(
    folder: Path, tmp_path: Path
) -> None:
    frame = mixed_frame(200_000)
    frame.to_csv(tmp_path / "big.csv", index=False)
    before = set(tmp_path.iterdir())
    command = [sys.executable, "-m", "lampblack.cli.main", "score", folder / "pump.model"]
    process = subprocess.Popen(
        [*command, tmp_path / "big.csv", "-o", tmp_path / "out.csv"], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while set(tmp_path.iterdir()) == before and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in error
    assert set(tmp_path.iterdir()) == before


def test_checkpointed_fit_from_the_shell_gives_the_same_model(folder: Path, tmp_path: Path) -> None:
    arguments = ["fit", folder / "normal.csv", *QUICK]
    run(*arguments, "-o", tmp_path / "a.model")
    run(*arguments, "-o", tmp_path / "b.model", "--checkpoint", tmp_path / "state")
    run(*arguments, "-o", tmp_path / "c.model", "--checkpoint", tmp_path / "state")
    weights = {(tmp_path / f"{n}.model" / "weights.safetensors").read_bytes() for n in "abc"}
    assert len(weights) == 1


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        (["--contamination", "0.1"], "contamination", 0.1),
        (["--error", "l1"], "reconstruction_error", "l1"),
        (["--amplification", "log"], "amplification", "log"),
        (["--amplification", "none"], "amplification", None),
        (["--latent-weight", "3"], "latent_weight", 3.0),
        (["--batch-size", "16"], "batch_size", 16),
        (["--learning-rate", "0.001"], "learning_rate", 0.001),
        (["--early-stopping"], "early_stopping", True),
        (["--seed", "5"], "random_state", 5),
        (["--device", "cpu"], "device", "cpu"),
    ],
)
def test_every_option_of_fit_reaches_the_detector(
    folder: Path, tmp_path: Path, option: list[str], name: str, value: object
) -> None:
    result = run("fit", folder / "normal.csv", "-o", tmp_path / "m", *QUICK, *option)
    assert result.exit_code == 0, result.output
    assert lampblack.load(tmp_path / "m").get_params()[name] == value


def test_contamination_scores_without_p_values(folder: Path, tmp_path: Path) -> None:
    run("fit", folder / "normal.csv", "-o", tmp_path / "m", *QUICK, "--contamination", "0.1")
    result = run("score", tmp_path / "m", folder / "normal.csv", "-o", tmp_path / "o.parquet")
    assert result.exit_code == 0, result.output
    assert pa_parquet.read_table(tmp_path / "o.parquet")["p_value"].null_count == 600
    assert (
        "nothing is promised"
        in run(
            "fit", folder / "normal.csv", "-o", tmp_path / "m", *QUICK, "--contamination", "0.1"
        ).stdout
    )


@pytest.mark.parametrize(
    ("command", "ending", "growth"),
    [("score", "csv", 20), ("score", "parquet", 20), ("fit", "parquet", 40)],
)
def test_memory_does_not_grow_with_the_file(
    tmp_path: Path, command: str, ending: str, growth: int
) -> None:
    """Peak RSS of 5·10⁵ and of 10⁶ rows is the same; both fill what is read ahead.

    The 5·10⁵ rows more would take 45 MiB. A fit holds 24 bytes of each, its positions: 11 MiB.
    What is read ahead depends on how threads take turns, by up to 30 MiB on a busy machine: the
    least of up to three runs is what a file needs.
    """
    commands = []
    frame = mixed_frame(100_000)
    frame[list("abcdefgh")] = np.random.default_rng(0).normal(size=(len(frame), 8)).round(6)
    model = tmp_path / "toll.model"  # scores ten times as many rows a second as the default does
    frame.head(1000).to_csv(tmp_path / "normal.csv", index=False)
    assert run("fit", tmp_path / "normal.csv", "-o", model, "-d", "toll", *QUICK).exit_code == 0
    for copies in (5, 10):
        file = tmp_path / f"{copies}.{ending}"
        if ending == "csv":
            head, _, rows = frame.to_csv(index=False).partition("\n")
            with file.open("w") as target:
                target.write(f"{head}\n")
                target.writelines([rows] * copies)
        else:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            with pa_parquet.ParquetWriter(file, table.schema) as writer:
                for _ in range(copies):
                    writer.write_table(table, row_group_size=25_000)
        arguments = {
            "score": [model, file, "-o", tmp_path / "o.parquet"],
            "fit": [file, "-o", tmp_path / f"{copies}.model", *QUICK, "--stream"],
        }[command]
        commands.append([command, *arguments, "--quiet"])
    half, whole = [], []
    for _ in range(3):
        for peaks, arguments in zip((half, whole), commands, strict=True):
            peaks.append(measured(*arguments, threads=1)["peak_mib"])
        if min(whole) - min(half) < growth:
            break
    assert min(whole) - min(half) < growth
    assert min(whole) < 1024


@pytest.mark.parametrize("rate", ["0", "-1", "0.7", "5"])
def test_calibrate_refuses_an_unusable_rate_and_keeps_the_model(folder: Path, rate: str) -> None:
    before = (folder / "pump.model" / "manifest.json").read_bytes()
    assert "false_alarm_rate" in refused(
        "calibrate", folder / "pump.model", folder / "normal.csv", "--false-alarm-rate", rate
    )
    assert (folder / "pump.model" / "manifest.json").read_bytes() == before


def test_score_never_writes_over_its_input_or_into_the_model(folder: Path) -> None:
    model, data = folder / "pump.model", folder / "normal.csv"
    assert "is the file that is scored" in refused("score", model, data, "-o", data)
    assert "lies in the model's folder" in refused("score", model, data, "-o", model / "o.csv")
    assert "has a column of that name" in refused("score", model, data, "--id", "p_value")
    assert "the model needs it" in refused("score", model, data, "--exclude", "flow")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate mem"),
    ],
)
def test_too_little_memory_is_one_line(
    folder: Path, tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("lampblack.model.blocks.Blocks._pass", fail)
    line = refused("score", folder / "pump.model", folder / "normal.csv", "-o", tmp_path / "o.csv")
    assert "not enough memory" in line


def test_names_and_values_in_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"rate [/min]": rng.normal(size=300), "[/x]": rng.choice(["[/a]", "b"], 300)}
    frame = pd.DataFrame(columns)
    frame.to_csv(tmp_path / "n.csv", index=False)
    run("fit", tmp_path / "n.csv", "-o", tmp_path / "m", *QUICK)
    frame.loc[0, "rate [/min]"] = 99.0
    frame.to_csv(tmp_path / "n.csv", index=False)
    shown = run("score", tmp_path / "m", tmp_path / "n.csv", "--id", "[/x]")
    assert shown.exit_code == 0, shown.output
    assert "rate [/min]" in shown.stdout
    assert "rate [/min]" in run("info", tmp_path / "m").stdout


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["$5", "€7"] * 150, "seems to hold numbers with several marks, such as '$5' and '€7'"),
        (["<40", "50"] * 150, "150 of 300 values are not numbers, the first '<40'"),
        (["$5"] * 299 + ["free"], "1 of 300 values are not numbers as $1234.5, the first 'free'"),
        (["01.12.2024", "02.11.2024"] * 150, "--types a=date:%d.%m.%Y"),
        (["2024-01-05 00:00Z", "2024-01-05 00:00"] * 150, "mixes times with a time zone"),
        (["2024-01-05"] * 299 + ["soon"], "1 of 300 values are not dates, the first 'soon'"),
    ],
    ids=["several", "bounds", "one bad price", "dates", "zones", "one bad date"],
)
def test_values_in_no_one_spelling_are_refused(
    tmp_path: Path, values: list[str], message: str
) -> None:
    pd.DataFrame({"x": range(300), "a": values}).to_csv(tmp_path / "a.csv", sep=";", index=False)
    assert message in refused("fit", tmp_path / "a.csv", "-o", tmp_path / "m", *QUICK)
    kept = run("fit", tmp_path / "a.csv", "-o", tmp_path / "m", *QUICK, "--exclude", "a")
    assert kept.exit_code == 0, kept.output


def test_missing_spelling_of_a_number_is_taken_by_value(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = [f"{v:.3f}" for v in rng.normal(size=300)]
    for i, spelling in enumerate(['"-999"', " -999", "-999.0", "-999"]):
        values[i] = spelling
    (tmp_path / "a.csv").write_text("k,x\n" + "\n".join(f"{i},{v}" for i, v in enumerate(values)))
    frame = pd.read_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        run("fit", tmp_path / name, "-o", tmp_path / "m", "--missing", "-999", *QUICK)
        assert lampblack.load(tmp_path / "m").schema_.columns[1].nullable
        scored = run("score", tmp_path / "m", tmp_path / name, "-o", tmp_path / "o.csv")
        assert scored.exit_code == 0, scored.output


def test_missing_labels_are_not_taken_for_anomalies(folder: Path, tmp_path: Path) -> None:
    frame = mixed_frame(100).assign(label=[np.nan, 0.0, 1.0, 0.0] * 25)
    frame.to_parquet(tmp_path / "l.parquet")
    arguments = ["evaluate", folder / "pump.model", tmp_path / "l.parquet", "--label", "label"]
    assert "25 labels are missing" in refused(*arguments, "--anomaly", "1")
    result = run(*arguments, "--anomaly", "1", "--where", "`label` is not None", "--json")
    assert json.loads(result.stdout)["anomalies"] == 25


def test_contradicting_promises_are_refused(folder: Path, tmp_path: Path) -> None:
    assert "give one of the two" in refused(
        "fit",
        folder / "normal.csv",
        "-o",
        tmp_path / "m",
        "--contamination",
        "0.1",
        "--false-alarm-rate",
        "0.1",
    )


def test_infinite_value_in_fit_and_changed_type_in_parquet_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    mixed_frame(200).assign(flow=np.inf).to_csv(tmp_path / "inf.csv", index=False)
    assert "row 1, column 'flow': the value is infinite" in refused(
        "fit", tmp_path / "inf.csv", "-o", tmp_path / "m"
    )
    mixed_frame(200).assign(flow="x").to_parquet(tmp_path / "t.parquet")
    line = refused("score", folder / "pump.model", tmp_path / "t.parquet", "-o", tmp_path / "o.csv")
    assert "t.parquet: column 'flow' held numbers" in line


KDD = Path(os.environ.get("LAMPBLACK_DATA", ROOT.parent / "shared" / "data")) / "kddcup99"


@pytest.mark.skipif(not KDD.exists(), reason="needs KDD Cup 99 in LAMPBLACK_DATA")
def test_kdd_cup_goes_through_as_it_is(tmp_path: Path) -> None:
    fitted = run(
        "fit",
        KDD / "kddcup.data_10_percent.gz",
        "--no-header",
        "--where",
        "c42 != 'normal.'",
        "--exclude",
        "c42",
        "-o",
        tmp_path / "m",
        *QUICK,
    )
    assert fitted.exit_code == 0, fitted.output
    assert "376,743 rows trained, 10,000 validated, 10,000 calibrated" in fitted.stdout
    kinds = [column.kind for column in lampblack.load(tmp_path / "m").schema_.columns]
    assert kinds.count("category") == 3
    assert len(kinds) == 41
