"""Many files become a folder of scores: complete, by one model, whoever scored and was killed."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from lampblack.data.file_names import find_files, is_pattern
from lampblack.data.tables.files import RowFormat
from lampblack.exceptions import InvalidInput
from lampblack.scale import partitions, runs
from lampblack.scale.partitions import LEDGER
from tests.conftest import FAST, mixed_frame

FILES = 3
ROWS = 300


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
    """A model, and data/d0.parquet, d1.csv, d2.csv.gz, each with anomalies in its last rows."""
    folder = tmp_path_factory.mktemp("many")
    lampblack.TollDetector(**FAST).fit(mixed_frame(600)).save(folder / "a.model")
    (folder / "data").mkdir()
    for i, ending in enumerate((".parquet", ".csv", ".csv.gz")):
        frame = mixed_frame(ROWS, seed=i)
        frame["part"] = [f"p{i}-{row}" for row in range(ROWS)]
        frame.loc[ROWS - 20 :, "flow"] = 100.0
        name = folder / "data" / f"d{i}{ending}"
        frame.to_parquet(name) if ending == ".parquet" else frame.to_csv(name, index=False)
    return folder


OPTIONS = ("--id", "part", "--explain", "1", "--quiet")


def scores(folder: Path) -> dict[str, bytes]:
    """The files of scores, by name."""
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.parquet"))}


@pytest.fixture(scope="module")
def local(folder: Path) -> Path:
    result = run("score", folder / "a.model", folder / "data", "-o", folder / "local", *OPTIONS)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("900 rows of 3 files, ")
    assert result.stderr == ""
    return folder / "local"


def test_each_file_has_the_scores_that_it_has_alone(folder: Path, local: Path) -> None:
    assert list(scores(local)) == ["d0.parquet", "d1.parquet", "d2.parquet"]
    for source, target in zip(sorted((folder / "data").iterdir()), scores(local), strict=True):
        alone = folder / "alone.parquet"
        assert run("score", folder / "a.model", source, "-o", alone, *OPTIONS).exit_code == 0
        assert alone.read_bytes() == (local / target).read_bytes()
    frame = pd.read_parquet(local)  # the ledger is passed over
    assert len(frame) == FILES * ROWS
    assert list(frame.columns[:4]) == ["part", "anomaly_score", "p_value", "decision"]
    assert frame["p_value"].between(0, 1).all()


@pytest.mark.parametrize("given", ["pattern", "names", "trailing slash"])
def test_a_pattern_and_names_are_as_good_as_a_folder(
    folder: Path, local: Path, tmp_path: Path, given: str
) -> None:
    data = {
        "pattern": [folder / "data" / "d*"],
        "names": sorted((folder / "data").iterdir()),
        "trailing slash": [folder / "data" / "d1.csv"],
    }[given]
    output = f"{tmp_path / 'out'}{os.sep}"
    assert run("score", folder / "a.model", *data, "-o", output, *OPTIONS).exit_code == 0
    made = scores(tmp_path / "out")
    expected = scores(local)
    assert made == (expected if len(made) > 1 else {"d1.parquet": expected["d1.parquet"]})


def test_what_is_done_is_not_done_again_unless_it_changed(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for file in (folder / "data").glob("d[01]*"):
        (data / file.name).write_bytes(file.read_bytes())
    command = ("score", folder / "a.model", data, "-o", tmp_path / "out", "--exclude", "part", "-q")
    assert "600 rows of 2 files, " in run(*command).stdout
    first = scores(tmp_path / "out")
    marks = {n: (tmp_path / "out" / n).stat().st_mtime_ns for n in first}
    assert "600 rows of 2 files, 2 of them done before, " in run(*command).stdout
    frame = mixed_frame(100, seed=9).assign(part="x")
    frame.to_parquet(data / "d0.parquet")  # changed
    frame.to_parquet(data / "d9.parquet")  # new
    assert "500 rows of 3 files, 1 of them done before, " in run(*command).stdout
    second = scores(tmp_path / "out")
    assert (tmp_path / "out" / "d1.parquet").stat().st_mtime_ns == marks["d1.parquet"]
    assert second["d1.parquet"] == first["d1.parquet"]
    assert second["d0.parquet"] == second["d9.parquet"] != first["d0.parquet"]


def test_a_run_that_was_killed_goes_on(
    folder: Path, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the scores of the second file and their entry: it alone is scored twice."""
    command = ("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    write, scored = partitions.Ledger.write, []

    def die(self: object, partition: partitions.Partition, *rest: object) -> None:
        if partition.target.name == "d1.parquet":
            raise KeyboardInterrupt
        write(self, partition, *rest)

    monkeypatch.setattr(partitions.Ledger, "write", die)
    assert run(*command).exit_code == 130
    assert list(scores(tmp_path / "out")) == ["d0.parquet", "d1.parquet"]
    monkeypatch.setattr(partitions.Ledger, "write", write)
    score_partition = partitions.score_partition

    def noted(detector: object, partition: partitions.Partition, scoring: object) -> object:
        scored.append(partition.target.name)
        return score_partition(detector, partition, scoring)

    monkeypatch.setattr(partitions, "score_partition", noted)
    assert "3 files, 1 of them done before, " in run(*command).stdout
    assert scored == ["d1.parquet", "d2.parquet"]
    assert scores(tmp_path / "out") == scores(local)


def test_a_process_that_is_killed_leaves_files_done_or_to_do(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for i in range(8):
        mixed_frame(20_000, seed=i).to_parquet(tmp_path / "data" / f"{i}.parquet")
    arguments = ["score", folder / "a.model", tmp_path / "data", "--explain", "2", "-q", "-o"]
    command = [sys.executable, "-m", "lampblack", *map(str, arguments), "killed"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    entry = tmp_path / "killed" / LEDGER / "1.parquet.json"
    deadline = time.monotonic() + 120
    while not entry.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    result = run(*arguments, tmp_path / "killed")
    assert result.exit_code == 0, result.output
    kept = int(re.search(r"of 8 files, (\d) of them done before", result.stdout)[1])
    assert 2 <= kept < 8
    assert run(*arguments, tmp_path / "whole").exit_code == 0
    assert scores(tmp_path / "killed") == scores(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.mark.parametrize("change", ["model", "settings"])
def test_scores_of_another_model_or_settings_are_not_mixed_in(
    folder: Path, local: Path, tmp_path: Path, change: str
) -> None:
    model = folder / "a.model"
    options = [*OPTIONS]
    if change == "model":
        model = tmp_path / "b.model"
        lampblack.TollDetector(**{**FAST, "random_state": 1}).fit(mixed_frame(600)).save(model)
    else:
        options[3] = "2"
    before = scores(local)
    line = refused("score", model, folder / "data", "-o", local, *options)
    expected = "another model" if change == "model" else "other settings (explain)"
    assert f"holds scores of {expected}; give another folder, or delete it" in line
    assert scores(local) == before


@pytest.mark.parametrize("action", ["fail", "skip"])
def test_a_bad_row_names_its_file(folder: Path, tmp_path: Path, action: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mixed_frame(20, seed=1).to_csv(data / "a.csv", index=False)
    text = (data / "a.csv").read_text().splitlines()
    text[3] = text[3].replace("3.0", "broken")
    (data / "b.csv").write_text("\n".join(text) + "\n")
    (data / "c.csv").write_text("\n".join([text[0], text[3]]) + "\n")  # holds nothing else
    command = ("score", folder / "a.model", data, "-o", tmp_path / "out", "-q")
    if action == "fail":
        line = refused(*command, "--on-bad-row", "fail")
        assert f"{data / 'b.csv'}: row 3, column 'mode': 'broken' is not a number" in line
        assert list(scores(tmp_path / "out")) == ["a.parquet"]
        return
    result = run(*command, "--on-bad-row", "skip")
    assert result.exit_code == 0, result.output
    assert f"1 row of {data / 'b.csv'} was skipped" in result.stderr
    assert "39 rows of 3 files" in result.stdout
    assert list(scores(tmp_path / "out")) == ["a.parquet", "b.parquet"]
    again = run(*command, "--on-bad-row", "skip")
    assert again.stderr == result.stderr  # also told of files that were done before
    assert "3 of them done before" in again.stdout


def test_what_cannot_be_a_folder_of_scores_is_refused(folder: Path, tmp_path: Path) -> None:
    model, data = folder / "a.model", folder / "data"
    score = ("score", model)
    assert "give -o FOLDER" in refused(*score, data)
    assert "give -o FOLDER" in refused(*score, data, "-o", "-")
    assert "into a folder, one file each" in refused(*score, data, "-o", tmp_path / "s.csv")
    assert "matches no file" in refused(*score, data / "*.txt", "-o", tmp_path / "out")
    assert "does not exist" in refused(*score, data / "a", data / "b", "-o", tmp_path / "out")
    assert "holds what is scored" in refused(*score, data, "-o", data)
    assert "lies in the model's folder" in refused(*score, data, "-o", model / "out")
    assert "does not exist; create it first" in refused(*score, data, "-o", tmp_path / "a" / "b")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    assert "is not empty" in refused(*score, data, "-o", tmp_path / "full")
    twins = [tmp_path / name / "d1.csv" for name in ("x", "y")]
    for twin in twins:
        twin.parent.mkdir()
        mixed_frame(20).to_csv(twin, index=False)
    assert "would both become" in refused(*score, *twins, "-o", tmp_path / "out")
    assert "--workers is for --engine ray" in refused(*score, twins[0], "--workers", "2")
    assert "--address is for --engine ray" in refused(
        *score, data, "-o", tmp_path / "out", "--address", "auto"
    )


def test_what_a_file_manager_leaves_in_a_folder_is_nobody_s(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").touch()
    command = ("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    assert run(*command).exit_code == 0


def test_a_damaged_ledger_is_named(folder: Path, tmp_path: Path) -> None:
    command = ("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    assert run(*command).exit_code == 0
    for damaged in ("{", "[]", "{}", '{"identity": {}}'):
        (tmp_path / "out" / LEDGER / "d0.parquet.json").write_text(damaged)
        assert "d0.parquet.json: is damaged" in refused(*command)


@pytest.mark.parametrize(
    "change", [{"rows": 1}, {"alarms": 10**9}, {"key": None}, {"skipped": [1]}]
)
def test_a_changed_entry_of_the_ledger_is_neither_summed_nor_a_traceback(
    folder: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    command = ("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    assert run(*command).exit_code == 0
    entry = tmp_path / "out" / LEDGER / "d0.parquet.json"
    entry.write_text(json.dumps({**json.loads(entry.read_text()), **change}))
    assert "d0.parquet.json: is damaged" in refused(*command)


def test_scores_changed_at_the_same_size_are_scored_again(folder: Path, tmp_path: Path) -> None:
    command = ("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    assert run(*command).exit_code == 0
    before = scores(tmp_path / "out")
    content = bytearray(before["d1.parquet"])
    content[len(content) // 2] ^= 1
    (tmp_path / "out" / "d1.parquet").write_bytes(content)
    assert "2 of them done before" in run(*command).stdout
    assert scores(tmp_path / "out") == before


def test_patterns_folders_and_names_are_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.parquet", "c[1].csv", "_d.csv", ".e.csv", "note.txt"):
        (tmp_path / name).touch()
    names = [tmp_path / name for name in ("a.parquet", "b.csv", "c[1].csv")]
    assert list(find_files([tmp_path])) == names
    assert list(find_files([tmp_path / "b*", tmp_path, tmp_path / "b.csv"])) == [
        names[1],
        names[0],
        names[2],
    ]
    assert list(find_files([names[2]])) == [names[2]]  # a name that looks like a pattern
    assert not is_pattern(names[2])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"has no file of rows \([^)]*\); check the path"):
        find_files([tmp_path / "empty"])


def test_files_of_nested_folders_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    days = [tmp_path / f"day={day}" / "part.csv" for day in (1, 2)]
    for day in days:
        day.parent.mkdir()
        day.touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part.csv").touch()
    nested = {day: day.relative_to(tmp_path) for day in days}
    out = tmp_path / "out"
    assert find_files([tmp_path / "day=*" / "*.csv"]) == nested
    (out / LEDGER).mkdir()
    (out / LEDGER / "run.json").touch()  # so that it holds scores
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "_temporary" / "part.csv").touch()  # not yet committed
    (tmp_path / "again").symlink_to(tmp_path / "day=1")
    assert find_files([tmp_path / "*" / "part.csv"]) == {
        tmp_path / "again" / "part.csv": Path("again/part.csv"),
        days[1]: nested[days[1]],
    }
    (tmp_path / "again").unlink()
    assert find_files(tmp_path / "**" / "part.csv") == nested
    assert find_files(f"{tmp_path}/day=1/*.csv") == {days[0]: Path("part.csv")}
    assert find_files([out / "part.csv"]) == {out / "part.csv": Path("part.csv")}
    assert find_files([f"{tmp_path}/_temporary/*"]) == {
        tmp_path / "_temporary" / "part.csv": Path("part.csv")
    }
    with pytest.raises(InvalidInput, match=r"for those in folders below it give '\S+/\*\*/\*.csv'"):
        find_files([tmp_path])


def test_a_partitioned_folder_keeps_its_partitions(folder: Path, tmp_path: Path) -> None:
    """The output lies among the input, as `**` sees it, and is passed over the second time."""
    for day in (1, 2):
        (tmp_path / f"day={day}").mkdir()
        mixed_frame(40, seed=day).to_parquet(tmp_path / f"day={day}" / "part-0.parquet")
    command = ("score", folder / "a.model", tmp_path / "**" / "*.parquet", "-q")
    command = (*command, "-o", tmp_path / "scores")
    assert run(*command).stdout.startswith("80 rows of 2 files, ")
    assert run(*command).stdout.startswith("80 rows of 2 files, 2 of them done before, ")
    frame = pd.read_parquet(tmp_path / "scores")
    assert frame["day"].value_counts().to_dict() == {1: 40, 2: 40}
    line = refused("score", folder / "a.model", tmp_path, "-o", tmp_path / "other")
    assert "has no file of rows" in line
    assert "/**/*.parquet'" in line


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_without_rows_is_done_without_scores(
    folder: Path, tmp_path: Path, ending: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    frame = mixed_frame(30, seed=1)
    for name, rows in (("a", frame), ("b", frame.iloc[:0])):
        file = data / f"{name}.{ending}"
        rows.to_csv(file, index=False) if ending == "csv" else rows.to_parquet(file)
    command = ("score", folder / "a.model", data, "-o", tmp_path / "out", "-q")
    assert run(*command).stdout.startswith("30 rows of 2 files, ")
    assert list(scores(tmp_path / "out")) == ["a.parquet"]
    assert run(*command).stdout.startswith("30 rows of 2 files, 2 of them done before, ")
    only = ("score", folder / "a.model", data / f"b.{ending}")
    assert "no rows; give a file" in refused(*only, "-o", tmp_path / "b.csv")  # alone, it is named
    assert "no row was left to score" in refused(*only, "-o", f"{tmp_path / 'none'}{os.sep}")


def test_scores_of_another_file_of_the_name_are_not_written_over(
    folder: Path, tmp_path: Path
) -> None:
    for day in ("monday", "tuesday"):
        (tmp_path / day).mkdir()
        mixed_frame(20, seed=len(day)).to_csv(tmp_path / day / "rows.csv", index=False)
    command = ("score", folder / "a.model", "-o", f"{tmp_path / 'out'}{os.sep}", "-q")
    assert run(*command, tmp_path / "monday" / "rows.csv").exit_code == 0
    before = scores(tmp_path / "out")
    line = refused(*command, tmp_path / "tuesday" / "rows.csv")
    assert "rows.parquet: holds the scores of" in line
    assert "monday/rows.csv, not of" in line
    assert scores(tmp_path / "out") == before
    (tmp_path / "monday").rename(tmp_path / "first")  # moved, it is the same file
    result = run(*command, tmp_path / "first" / "rows.csv")
    assert "1 of them done before" in result.stdout
    (tmp_path / "out" / "rows.parquet").write_bytes(b"")  # damaged, it is scored again
    result = run(*command, tmp_path / "first" / "rows.csv")
    assert "done before" not in result.stdout
    assert scores(tmp_path / "out") == before


def test_settings_are_kept_once_something_is_done(folder: Path, tmp_path: Path) -> None:
    """A mistake is put right by the same command; files without bad rows stand where some skip."""
    (tmp_path / "data").mkdir()
    frame = mixed_frame(20)
    frame.to_csv(tmp_path / "data" / "a.csv", index=False)
    text = (tmp_path / "data" / "a.csv").read_text()
    (tmp_path / "data" / "b.csv").write_text(text.replace("3.0", "broken", 1))
    command = ("score", folder / "a.model", tmp_path / "data", "-o", tmp_path / "out", "-q")
    assert "not a condition" in refused(*command, "--where", "flow = 1")
    assert "row 1, column 'mode'" in refused(*command, "--where", "flow < 1000")
    assert "other settings (where)" in refused(*command)
    result = run(*command, "--where", "flow < 1000", "--on-bad-row", "skip")
    assert "2 files, 1 of them done before" in result.stdout
    assert "other settings (skip_bad_rows)" in refused(*command, "--where", "flow < 1000")


@pytest.mark.filterwarnings("always::lampblack.exceptions.LampblackWarning")
def test_keys_that_do_not_make_one_table_are_told(folder: Path, tmp_path: Path) -> None:
    frame = mixed_frame(20)
    frame.assign(part=range(20)).to_parquet(tmp_path / "a.parquet")
    frame.assign(part=[f"p{i}" for i in range(20)]).to_parquet(tmp_path / "b.parquet")
    command = ("score", folder / "a.model", tmp_path / "*.parquet", "-o", tmp_path / "out", "-q")
    for done in (0, 2):  # the second run scores nothing, and says so too
        result = run(*command, "--id", "part")
        assert result.exit_code == 0
        assert ("2 of them done before" in result.stdout) == bool(done)
        assert "part is" in result.stderr
        assert "int64 in a.parquet" in result.stderr
    (tmp_path / "part=1").mkdir()
    frame.assign(part=1).to_parquet(tmp_path / "part=1" / "c.parquet")
    nested = ("score", folder / "a.model", tmp_path / "*" / "c.parquet", "-o", tmp_path / "other")
    assert "says part too" in refused(*nested, "--id", "part")


def test_a_run_forgets_what_processes_of_another_began(folder: Path, tmp_path: Path) -> None:
    scoring = partitions.Scoring(RowFormat())
    parts = partitions.partitions({folder / "data" / "d1.csv": Path("d1.csv")}, tmp_path / "out")
    ledger = partitions.Ledger(tmp_path / "out", folder / "a.model", scoring)
    for _ in range(2):
        with ledger.opened(parts):
            for _ in range(4):
                ledger.begin(parts[0], 4)
            with pytest.raises(InvalidInput, match=r"d1.csv: the process that scores it died 4 ti"):
                ledger.begin(parts[0], 4)


def test_names_that_are_none_are_refused(folder: Path, tmp_path: Path) -> None:
    wrong = tmp_path / os.fsdecode(b"bad\xff.csv")
    mixed_frame(20).to_csv(wrong, index=False)
    with pytest.raises(InvalidInput, match=r"bad\\udcff.csv': the name is not UTF-8"):
        runs.score_files(
            folder / "a.model", [wrong], tmp_path / "out", partitions.Scoring(RowFormat())
        )
    with pytest.raises(InvalidInput, match=r"\.\./a.csv: is not a name below"):
        partitions.partitions({wrong: Path("../a.csv")}, tmp_path)
    with pytest.raises(InvalidInput, match="engine must be one of local, ray, not 'spark'"):
        runs.score_files(
            folder / "a.model",
            [str(folder / "data" / "d1.csv")],
            tmp_path / "out",
            partitions.Scoring(RowFormat()),
            engine="spark",
        )
    (tmp_path / "odd[1]" / "below").mkdir(parents=True)
    mixed_frame(20).to_csv(tmp_path / "odd[1]" / "below" / "a.csv", index=False)
    with pytest.raises(InvalidInput, match="has no file of rows") as caught:
        find_files(tmp_path / "odd[1]")
    advice = str(caught.value).split("'")[1]
    assert list(find_files(advice)) == [tmp_path / "odd[1]" / "below" / "a.csv"]
    (tmp_path / "empty").mkdir()
    line = refused("score", folder / "a.model", tmp_path / "empty", "-o", tmp_path / "scores")
    assert "empty: has no file of rows" in line


def test_one_run_at_a_time_has_a_folder(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    scoring = partitions.Scoring(RowFormat())
    ledger = partitions.Ledger(output, folder / "a.model", scoring)
    with ledger.opened([]):
        line = refused("score", folder / "a.model", folder / "data" / "d*", "-o", output)
        assert "another run is scoring into it" in line
    command = ("score", folder / "a.model", folder / "data" / "d*", "-o", output)
    assert run(*command, "--exclude", "part", "-q").exit_code == 0


def test_a_folder_that_a_kill_left_empty_is_begun_anew(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / LEDGER).mkdir(parents=True)
    command = ("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    assert run(*command).exit_code == 0


def test_a_full_disk_leaves_nothing_half_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(partitions.json, "dump", full)
    line = refused("score", folder / "a.model", folder / "data", "-o", tmp_path / "out", *OPTIONS)
    assert "run.json: cannot be written (No space left on device)" in line
    assert {file.name for file in (tmp_path / "out" / LEDGER).iterdir()} <= {partitions.LOCK}


def test_a_relative_folder_is_that_of_the_caller(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of a cluster run in folders of their own, so they are told no relative path."""
    monkeypatch.chdir(tmp_path)
    told: list[partitions.Partition] = []
    finish = runs.finish

    def moved(detector: Any, part: partitions.Partition, *rest: Any) -> partitions.Done:
        told.append(part)
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir(folder)
            return finish(detector, part, *rest)

    monkeypatch.setattr(runs, "finish", moved)
    data = os.path.relpath(folder / "data")
    assert run("score", folder / "a.model", data, "-o", "out", *OPTIONS).exit_code == 0
    assert all(part.source.is_absolute() and part.target.is_absolute() for part in told)
    assert len(scores(tmp_path / "out")) == FILES


# What follows starts Ray, once: a few seconds of each of its processes.


@pytest.fixture(scope="module")
def with_ray(folder: Path, local: Path) -> subprocess.CompletedProcess[str]:
    """The same by Ray, in the shell, after a run that was killed: d0 is done, d1 is half done."""
    command = [sys.executable, "-m", "lampblack", "score", "a.model", "data/d*", "-o", "by-ray"]
    command += [*OPTIONS, "--engine", "ray", "--workers", "2"]
    first = run(
        "score", folder / "a.model", folder / "data" / "d0*", "-o", folder / "by-ray", *OPTIONS
    )
    assert first.exit_code == 0, first.output
    (folder / "by-ray" / ".d1.parquet.12345678.part").write_bytes(b"half")
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_ray_writes_what_this_process_writes(
    folder: Path, local: Path, with_ray: subprocess.CompletedProcess[str]
) -> None:
    assert with_ray.returncode == 0, with_ray.stderr
    assert with_ray.stdout.startswith("900 rows of 3 files, 1 of them done before, ")
    assert with_ray.stdout.count("\n") == 1
    assert with_ray.stderr == ""
    assert scores(folder / "by-ray") == scores(local)
    assert {*os.listdir(folder / "by-ray")} == {*os.listdir(local)}
    entries = [
        {file.name: json.loads(file.read_text()) for file in (root / LEDGER).glob("*.json")}
        for root in (folder / "by-ray", local)
    ]
    assert entries[0] == entries[1]
