"""A portable model's scores and decisions are the detector's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pyarrow as pa
import pytest

import lampblack
from lampblack.data.images.kind import IMAGES_OF_GRAPH
from lampblack.data.tables.kind import ROWS_OF_GRAPH
from lampblack.exceptions import CalibrationWarning
from tests.conftest import FAST
from tests.export.conftest import KINDS, PROMISE, Exported

TOLERANCE = 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_decisions_are_those_of_the_detector(
    kind: str, exported: Callable[[str], Exported]
) -> None:
    detector, portable, _, samples, fitted = exported(kind)
    threshold = detector.calibration_.threshold
    known = detector.anomaly_score(fitted)  # some are remembered, and must be known again
    allowed = TOLERANCE * np.maximum(known, threshold)
    assert (np.abs(portable.anomaly_score(fitted) - known) <= allowed / 10).all()
    expected, found = detector.anomaly_score(samples), portable.anomaly_score(samples)
    assert (expected > threshold).any()
    assert (expected <= threshold).any()
    allowed = TOLERANCE * np.maximum(expected, threshold)
    assert (np.abs(found - expected) <= allowed / 10).all()  # ten times better than promised
    clear = np.abs(expected - threshold) > allowed
    assert (portable.predict(samples)[clear] == detector.predict(samples)[clear]).all()
    assert portable.calibration.threshold == -detector.offset_
    np.testing.assert_array_equal(portable.calibration.false_alarm_rate, detector.false_alarm_rate_)
    assert portable.schema == detector.schema_
    assert portable.reading == detector.reading_
    assert portable.detector == type(detector).__name__
    np.testing.assert_allclose(portable.score_samples(samples), -found, rtol=0)
    difference = portable.decision_function(samples) - (portable.calibration.threshold - found)
    assert not difference.any()


@pytest.mark.parametrize("kind", ["lampblack on a table", "lampblack on images"])
def test_score_depends_on_nothing_beside_the_sample_but_for_its_last_bit(
    kind: str, exported: Callable[[str], Exported]
) -> None:
    _, portable, _, samples, _ = exported(kind)
    whole = portable.anomaly_score(samples)
    for size in (1, 7, IMAGES_OF_GRAPH, ROWS_OF_GRAPH):
        pieces = [samples[i : i + size] for i in range(0, len(samples), size)]
        parts = [portable.anomaly_score(piece) for piece in pieces]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=3e-7, atol=0)
    others = samples.copy()
    others[1:] = samples[:-1]
    assert portable.anomaly_score(others)[0] == whole[0]  # the same position, bit for bit


def test_p_values_and_false_discoveries_are_those_of_the_calibration(of_table: Exported) -> None:
    _, portable, _, samples, _ = of_table
    scores = portable.anomaly_score(samples)
    p_values = portable.p_value(samples)
    assert (p_values == portable.calibration.p_values(scores)).all()
    far = samples[:4]  # all as unlikely as can be told: 1/81
    assert portable.p_value(far).tolist() == [1 / 81] * 4
    assert portable.predict(far, fdr=0.02).tolist() == [-1] * 4
    with pytest.warns(CalibrationWarning, match="80 calibration rows are too few"):
        assert portable.predict(far, fdr=0.01).tolist() == [1] * 4


def test_tables_of_every_make_and_order_score_alike(of_table: Exported) -> None:
    _, portable, _, samples, _ = of_table
    expected = portable.anomaly_score(samples)
    table = pa.Table.from_pandas(samples, preserve_index=False)
    for made in (
        table,
        pl.from_arrow(table),
        samples[samples.columns[::-1]],
        portable.schema.read_table(table),
    ):
        assert (portable.anomaly_score(made) == expected).all()
    assert len(portable.anomaly_score(samples[:0])) == 0


def test_missing_and_unseen_texts_are_told_apart(of_table: Exported) -> None:
    """The column had no missing value in training, so that a missing one is refused, not scored."""
    detector, portable, _, samples, _ = of_table
    rows = samples[10:13].assign(city=["Atlantis", "(missing)", "(other)"])
    found = portable.anomaly_score(rows)
    np.testing.assert_allclose(found, detector.anomaly_score(rows), rtol=1e-5)
    assert (found > portable.calibration.threshold).all()
    with pytest.raises(lampblack.SchemaMismatch, match="the value is missing"):
        portable.anomaly_score(rows.assign(city=""))


@pytest.mark.parametrize("depth", ["uint8", "uint16", "float32", "float64", "bool"])
def test_images_of_every_depth_score_as_by_the_detector(depth: str, of_images: Exported) -> None:
    detector, portable, _, samples, _ = of_images
    if depth == "bool":
        images = samples > 120
    else:
        scale = {"uint8": 1, "uint16": 257}.get(depth, 1 / 255)
        images = (samples.astype(float) * scale).astype(depth)
    expected = detector.anomaly_score(images)
    np.testing.assert_allclose(portable.anomaly_score(images), expected, rtol=1e-5)
    if depth != "bool":
        np.testing.assert_allclose(expected, detector.anomaly_score(samples), rtol=1e-5)


def test_graph_alone_gives_scores_decisions_and_p_values(of_table: Exported) -> None:
    """What a program in another language does: names, types and shapes as docs/portable.md says."""
    _, portable, file, samples, _ = of_table
    onnx.checker.check_model(str(file), full_check=True)
    session = onnxruntime.InferenceSession(str(file))
    inputs = {i.name: (i.type, i.shape) for i in session.get_inputs()}
    assert inputs == {
        "numbers": ("tensor(double)", ["n", 3]),
        "categories": ("tensor(string)", ["n", 1]),
    }
    outputs = {o.name: (o.type, o.shape) for o in session.get_outputs()}
    assert outputs == {
        "anomaly_score": ("tensor(float)", ["n"]),
        "is_anomaly": ("tensor(bool)", ["n"]),
        "p_value": ("tensor(double)", ["n"]),
    }
    numbers = samples[["flow", "mode", "open"]].to_numpy(np.float64)
    for n in (1, 2, len(samples)):
        feed = {"numbers": numbers[:n], "categories": samples[["city"]].to_numpy(object)[:n]}
        scores, alarms, p_values = session.run(list(outputs), feed)
        np.testing.assert_allclose(scores, portable.anomaly_score(samples[:n]), rtol=1e-5)
        assert (alarms == (scores.astype(float) > portable.calibration.threshold)).all()
        assert (p_values == portable.calibration.p_values(scores.astype(float))).all()


def test_a_value_missing_where_none_was_gives_no_score(of_table: Exported) -> None:
    _, _, file, samples, _ = of_table
    numbers = samples[["flow", "mode", "open"]].to_numpy(np.float64)
    assert np.isnan(numbers[17, 0])  # a column that may miss values
    numbers[1, 1] = np.nan
    feed = {"numbers": numbers, "categories": samples[["city"]].to_numpy(object)}
    (scores,) = onnxruntime.InferenceSession(str(file)).run(["anomaly_score"], feed)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [1]


def test_graph_of_images_takes_the_value_of_white(of_images: Exported) -> None:
    _, portable, file, samples, _ = of_images
    session = onnxruntime.InferenceSession(str(file))
    assert {i.name: i.shape for i in session.get_inputs()} == {
        "images": ["n", 1, 16, 16],
        "white": [1],
    }
    for scale in (1, 255):
        feed = {
            "images": samples.astype(np.float32) / np.float32(scale),
            "white": np.array([255 / scale], np.float32),
        }
        (scores,) = session.run(["anomaly_score"], feed)
        np.testing.assert_allclose(scores, portable.anomaly_score(samples), rtol=1e-5)


def test_without_a_promise_there_is_no_p_value(exported: Callable[[str], Exported]) -> None:
    detector, portable, file, samples, _ = exported("lamp on an array")
    assert np.isnan(portable.calibration.false_alarm_rate)
    outputs = [o.name for o in onnxruntime.InferenceSession(str(file)).get_outputs()]
    assert outputs == ["anomaly_score", "is_anomaly"]
    for model in (detector, portable):
        with pytest.raises(ValueError, match="p-values need held-out rows"):
            model.p_value(samples)


def test_file_is_one_and_tells_nothing_of_where_it_was_made(of_table: Exported) -> None:
    content = of_table.file.read_bytes()
    model = onnx.load_from_string(content)
    assert all(not tensor.external_data for tensor in model.graph.initializer)
    assert model.producer_name == "lampblack"
    for trace in (
        b"site-packages",
        b"stack_trace",
        b"torch.nn",
        str(of_table.file.parent).encode(),
    ):
        assert trace not in content


def test_remembered_outliers_are_known_again(tmp_path: Path) -> None:
    """A sample that is remembered does not count as its own neighbour, whoever computes it.

    The graph's logarithms are rounded otherwise than torch's, so that equal need not be equal.
    """
    X = np.random.default_rng(0).standard_t(2, size=(400, 20))
    detector = lampblack.LampblackDetector(**FAST, **PROMISE).fit(X)
    lampblack.export_onnx(detector, tmp_path / "m.onnx")
    found = lampblack.load_portable(tmp_path / "m.onnx").anomaly_score(X)
    np.testing.assert_allclose(found, detector.anomaly_score(X), rtol=1e-5)
