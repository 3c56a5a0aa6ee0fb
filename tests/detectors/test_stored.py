"""Rows that stay in a Parquet file: the fit of a table in memory, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import lampblack
from lampblack.cli.main import app
from lampblack.data.kinds import kind_of
from lampblack.data.tables import stored
from lampblack.exceptions import InvalidInput
from lampblack.fitting.fit import resolve
from lampblack.fitting.split import split_samples
from lampblack.training.callbacks import Callback
from tests.conftest import FAST, mixed_frame


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Every kind of column, in the order of one of them: the file is sorted."""
    return mixed_frame(900).sort_values("flow", ignore_index=True)


@pytest.fixture(scope="module")
def file(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "rows.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=100)
    return path


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 300 rows of five columns, of which 180 are held out in a file of 900."""
    monkeypatch.setattr(stored, "WINDOW", 300 * 5)
    monkeypatch.setattr(stored, "MOST_ENCODED", 50)


def test_a_file_that_fits_gives_the_bits_of_a_table(
    detector_class: type, file: Path, frame: pd.DataFrame
) -> None:
    whole = detector_class(**FAST).fit(frame)
    rows = lampblack.find_rows(file)
    kept = detector_class(**FAST).fit(rows)
    assert kept.history_ == whole.history_
    assert kept.rows_ == whole.rows_
    assert kept.schema_ == whole.schema_
    expected = whole.anomaly_score(frame)
    np.testing.assert_array_equal(kept.anomaly_score(frame), expected)
    np.testing.assert_array_equal(kept.anomaly_score(rows), expected)


@pytest.mark.usefixtures("narrow")
def test_few_steps_train_on_rows_drawn_from_the_whole_file(file: Path) -> None:
    detector = lampblack.TollDetector(**{**FAST, "max_steps": 4, "batch_size": 20})
    detector.fit(lampblack.find_rows(file))
    assert detector.rows_ == {"train": 80, "validation": 0, "calibration": 180}


def drawn(file: Path, detector: lampblack.TollDetector) -> tuple[np.ndarray, np.ndarray]:
    """Values of "flow" that train, and that calibrate."""
    rows = lampblack.find_rows(file)
    parameters, _ = resolve(detector, kind_of(rows.schema), rows.schema)
    score = detector.recipe.score(parameters)
    split = split_samples(len(rows), parameters, score, 0, stored=True)
    seen = parameters.max_steps * parameters.batch_size
    some, part, beyond = rows.drawn(split, seen=seen, least=0, advance=print)
    assert beyond is None
    flow = [column.name for column in rows.schema.of_kind("number", "boolean")].index("flow")
    return some.numbers[part.train, flow], some.numbers[part.calibration, flow]


@pytest.mark.usefixtures("narrow")
def test_a_sorted_file_is_drawn_from_evenly(file: Path, frame: pd.DataFrame) -> None:
    detector = lampblack.TollDetector(**{**FAST, "max_steps": 4, "batch_size": 25})
    quartiles = frame["flow"].quantile([0.25, 0.5, 0.75]).to_numpy()
    for values in drawn(file, detector):
        shares = [(values < quartile).mean() for quartile in quartiles]
        np.testing.assert_allclose(shares, [0.25, 0.5, 0.75], atol=0.12)


class Count(Callback):
    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.first = stop, -1

    def on_fit_start(self, budget: object, first_step: int) -> None:
        self.first = first_step

    def on_step_end(self, step: int) -> None:
        if step == self.stop:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("narrow")
def test_more_steps_than_fit_read_batches_from_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = []
    gather = stored.StoredRows._gather

    def spied(self: stored.StoredRows, positions: np.ndarray) -> object:
        most.append(len(positions))
        return gather(self, positions)

    monkeypatch.setattr(stored.StoredRows, "_gather", spied)
    detector = lampblack.TollDetector(**{**FAST, "batch_size": 64})
    detector.fit(lampblack.find_rows(file))
    assert detector.rows_ == {"train": 720, "validation": 0, "calibration": 180}
    assert most[0] == 180 + 50  # what is held out, and what the encoder is fitted on
    assert most[1:] == [2 * 64] * 20  # an epoch of two steps at a time
    wide = np.split(np.random.default_rng(0).permutation(720)[:400], 4)
    reader = stored.RowReader(lampblack.find_rows(file), detector.encoder_)
    batches = list(reader.read(wide))
    assert most[21:] == [300, 100]  # as many together as the buffer holds
    rows = lampblack.find_rows(file).in_memory()
    for batch, index in zip(batches, wide, strict=True):
        np.testing.assert_array_equal(batch, detector.encoder_.values(rows.take(index)))
    assert detector.history_[-1]["loss"] < detector.history_[0]["loss"]


@pytest.mark.usefixtures("narrow")
def test_training_from_a_file_resumes_to_the_same_bits(file: Path, tmp_path: Path) -> None:
    rows = lampblack.find_rows(file)
    parameters = {**FAST, "batch_size": 64, "early_stopping": True, "patience": 100}
    whole = lampblack.TollDetector(**parameters).fit(rows)
    with pytest.raises(KeyboardInterrupt):
        lampblack.TollDetector(**parameters).fit(
            rows, checkpoint_dir=tmp_path, callbacks=[Count(stop=25)]
        )
    again = Count()
    resumed = lampblack.TollDetector(**parameters).fit(
        rows, checkpoint_dir=tmp_path, callbacks=[again]
    )
    assert again.first == 24
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.anomaly_score(rows), whole.anomaly_score(rows))


@pytest.mark.usefixtures("narrow")
def test_the_promise_holds_from_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 4))
    X[:, 3] = X[:, 0] + 0.1 * X[:, 3]
    X = X[np.argsort(X[:, 0])]
    new = X[rng.random(len(X)) < 0.5]
    pq.write_table(pa.table(dict(zip("abcd", X.T, strict=True))), tmp_path / "x.parquet")
    parameters = {**FAST, "batch_size": 64, "false_alarm_rate": 0.1}
    detector = lampblack.TollDetector(**parameters).fit(lampblack.find_rows(tmp_path / "x.parquet"))
    alarms = detector.predict(pd.DataFrame(new, columns=list("abcd"))) == -1
    assert 0.07 < alarms.mean() < 0.13


def test_positions_are_kept_in_order(file: Path, frame: pd.DataFrame) -> None:
    rows = lampblack.find_rows(file)
    whole = rows.in_memory()
    index = np.random.default_rng(0).permutation(len(rows))[:250]
    taken = rows.take(index).take(np.arange(200))
    expected = whole.take(index[:200])
    parts = list(taken.chunks(64))
    assert [len(part) for part in parts] == [64, 64, 64, 8]
    numbers = np.concatenate([part.numbers for part in parts])
    np.testing.assert_array_equal(numbers, expected.numbers)
    texts = pa.concat_arrays([part.categories[0] for part in parts])
    assert texts.equals(expected.categories[0])
    assert sum(len(part) for part in rows.chunks(128)) == len(frame)
    assert not len(rows.take(index[:0]).in_memory())


def test_a_csv_file_is_refused(tmp_path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(InvalidInput, match="alone; write it as one"):
        lampblack.find_rows(tmp_path / "rows.csv")


def test_a_row_that_cannot_be_used_is_named_or_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=(300, 2))
    values[237, 1] = np.inf
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": values[:, 0], "b": values[:, 1]}), path, row_group_size=50)
    monkeypatch.setattr("lampblack.data.tables.files.BATCH_BYTES", 800)
    with pytest.raises(InvalidInput, match="row 238, column 'b': the value is infinite"):
        lampblack.find_rows(path)
    rows = lampblack.find_rows(path, on_bad_row="skip")
    assert len(rows) == 299
    assert [skip.row for skip in rows.skipped] == [238]
    np.testing.assert_array_equal(rows.in_memory().numbers, np.delete(values, 237, axis=0))
    chosen = lampblack.find_rows(path, columns=["a"], where="b < 0")
    assert len(chosen) == (values[:, 1] < 0).sum()
    with pytest.raises(InvalidInput, match="there is no column 'z'"):
        lampblack.find_rows(path, columns=["z"])


def test_a_file_that_shrinks_while_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": np.arange(300.0)}), path)
    rows = lampblack.find_rows(path)
    pq.write_table(pa.table({"a": np.arange(100.0)}), path)
    with pytest.raises(InvalidInput, match="fewer rows than before"):
        rows.take(np.arange(300)).in_memory()


@pytest.mark.parametrize("option", [["--stream"], ["--no-stream"], []])
def test_stream_option_changes_how_a_file_is_read_and_nothing_else(
    option: list[str], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    find_rows = stored.find_rows

    def spied(*args: object, **kwargs: object) -> stored.StoredRows:
        calls.append(args)
        return find_rows(*args, **kwargs)

    monkeypatch.setattr("lampblack.cli.tables.find_rows", spied)
    if not option:
        monkeypatch.setattr(stored, "LARGE", 1000)
    fit = ["fit", str(file), "-o", str(tmp_path / "a.model"), "-d", "toll", "--steps", "20", "-q"]
    result = CliRunner().invoke(app, [*fit, *option, "--exclude", "mode"])
    assert result.exit_code == 0, result.output
    assert "720 rows trained, 180 calibrated" in result.output
    assert len(calls) == (option != ["--no-stream"])
    model = lampblack.load(tmp_path / "a.model")
    assert model.schema_.ignored == ("mode",)
    if option:
        frame = pd.read_parquet(file)
        expected = lampblack.TollDetector(max_steps=20).fit(frame.drop(columns="mode"))
        known = frame.drop(columns="mode")
        np.testing.assert_array_equal(model.anomaly_score(frame), expected.anomaly_score(known))


def test_stream_of_labels_is_refused(file: Path, tmp_path: Path) -> None:
    arguments = ["fit", str(file), "-o", str(tmp_path / "a.model"), "-d", "ama", "--stream"]
    result = CliRunner().invoke(app, [*arguments, "--label", "city", "--anomaly", "Bern"])
    assert result.exit_code == 2
    assert "--stream takes normal rows alone" in result.output
