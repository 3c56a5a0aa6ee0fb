"""What cannot be exported, and files and samples that cannot be used: one line each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import lampblack
from lampblack import export_onnx, load_portable
from lampblack.data.tables.inputs import as_matrix
from lampblack.data.tables.schema import Schema
from lampblack.data.tables.table import to_arrow
from lampblack.exceptions import ExportError, InvalidInput, LampblackError, ModelFileError
from lampblack.export import onnx_file
from lampblack.persistence.portable import HASH, PortableFacts, parse_portable, sealed
from tests.conftest import FAST, mixed_frame
from tests.export.conftest import PROMISE, Exported


def said(call: Callable[[], Any]) -> tuple[type, str]:
    """The error that a call raises: its class, and its text, which is one line."""
    with pytest.raises(LampblackError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return type(caught.value), text


BAD_ROWS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "column missing": lambda X: X.drop(columns="flow"),
    "column renamed": lambda X: X.rename(columns={"flow": "Flow"}),
    "column unexpected": lambda X: X.assign(more=1.0),
    "value missing": lambda X: X.assign(mode=np.nan),
    "category missing": lambda X: X.assign(city=[None, *X["city"][1:]]),
    "value infinite": lambda X: X.assign(flow=np.inf),
    "value huge": lambda X: X.assign(flow=1e200),
    "text for numbers": lambda X: X.assign(flow="high"),
    "number for a boolean": lambda X: X.assign(open=7),
    "array of numbers": lambda X: X[["flow", "mode", "mode", "mode"]].to_numpy(float),
    "images": lambda X: np.zeros((3, 1, 8, 8), np.uint8),
    "a path": lambda X: "rows.csv",
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("fault", BAD_ROWS)
def test_rows_are_refused_in_the_words_of_the_detector(fault: str, of_table: Exported) -> None:
    detector, portable, _, samples, _ = of_table
    X = BAD_ROWS[fault](samples)
    assert said(lambda: portable.anomaly_score(X)) == said(lambda: detector.anomaly_score(X))


BAD_ARRAYS: dict[str, Any] = {
    "too few columns": np.zeros((3, 2)),
    "one axis": [1.0, 2.0],
    "a number": np.float64(3),
    "no rows": np.zeros((0, 4)),
    "a set": {1.0, 2.0},
    "an iterator": iter([[1.0]]),
    "missing": np.full((2, 4), np.nan),
    "infinite": np.full((2, 4), np.inf),
    "dates": np.zeros((2, 4), "datetime64[s]"),
    "ragged": [[1.0, 2.0], [1.0]],
}


@pytest.mark.parametrize("fault", BAD_ARRAYS)
def test_arrays_are_refused_in_the_words_of_the_detector(
    fault: str, exported: Callable[[str], Exported]
) -> None:
    detector, portable, _, _, _ = exported("lamp on an array")
    X = BAD_ARRAYS[fault]
    assert said(lambda: portable.anomaly_score(X)) == said(lambda: detector.anomaly_score(X))


@pytest.mark.parametrize("fault", ["complex", "sparse", "text"])
def test_arrays_that_hold_no_numbers_are_refused(
    fault: str, exported: Callable[[str], Exported]
) -> None:
    from scipy.sparse import csr_array

    made = {
        "complex": np.zeros((2, 4), complex),
        "sparse": csr_array((2, 4)),
        "text": [["a", "b", "c", "d"]],
    }
    assert issubclass(
        said(lambda: exported("lamp on an array").portable.anomaly_score(made[fault]))[0],
        InvalidInput,
    )


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, 1, 8, 8), np.uint8),
        np.full((2, 1, 16, 16), np.nan),
        np.full((2, 1, 16, 16), 200.0),
        np.zeros((2, 16, 16, 3), np.uint8),
        np.zeros((2, 5)),
        ["nowhere.png"],
    ],
    ids=["size", "NaN", "range", "channels last", "rows", "no file"],
)
def test_images_are_refused_in_the_words_of_the_detector(X: Any, of_images: Exported) -> None:
    detector, portable, _, _, _ = of_images
    assert said(lambda: portable.anomaly_score(X)) == said(lambda: detector.anomaly_score(X))


def test_unnamed_model_warns_of_names_as_the_detector_does(
    exported: Callable[[str], Exported],
) -> None:
    _, portable, _, samples, _ = exported("lamp on an array")
    with pytest.warns(
        UserWarning, match="X has feature names, but LAMPDetector was fitted without"
    ):
        scores = portable.anomaly_score(pd.DataFrame(samples))
    assert (scores == portable.anomaly_score(samples.tolist())).all()


# Files.


def test_a_changed_byte_is_noticed_wherever_it_is(of_table: Exported, tmp_path: Path) -> None:
    content = of_table.file.read_bytes()
    path = tmp_path / "m.onnx"
    for position in (30, len(content) // 3, content.index(HASH) - 500, len(content) - 1):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert said(lambda: load_portable(path)) == (
            ModelFileError,
            f"{path} is damaged or was changed; export the model again",
        )
    for cut in (len(content) - 1, len(content) - 200, len(content) // 2, 100):
        path.write_bytes(content[:cut])
        assert said(lambda: load_portable(path))[1].startswith(f"{path} is damaged")
    path.write_bytes(content + b"\n")
    assert said(lambda: load_portable(path))[1].startswith(f"{path} is damaged")


def foreign() -> bytes:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([], "g", [value], [value])
    return bytes(onnx.helper.make_model(graph, producer_name="other").SerializeToString())


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04", foreign()])
def test_foreign_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert said(lambda: load_portable(path)) == (
        ModelFileError,
        f"{path} is not a portable model: it is no ONNX file that lampblack export wrote",
    )
    assert said(lambda: load_portable(tmp_path / "n.onnx"))[1].startswith(
        f"{tmp_path / 'n.onnx'} does not exist"
    )


def json_facts(facts: PortableFacts, **changed: Any) -> Any:
    """Facts whose JSON holds something else."""
    document = {**facts.model_dump(mode="json"), **changed}
    return SimpleNamespace(model_dump=lambda mode: document)


def test_newer_unknown_and_inconsistent_facts_are_refused(of_table: Exported) -> None:
    content = of_table.file.read_bytes()
    facts = parse_portable("m.onnx", content)
    graph = foreign().replace(b"\x12\x05other", b"\x12\x09lampblack")
    assert parse_portable("m.onnx", sealed(graph, facts)) == facts
    newer = sealed(graph, facts.model_copy(update={"format": 2}))
    assert "written by a newer lampblack" in said(lambda: parse_portable("m.onnx", newer))[1]
    config = facts.config.model_copy(update={"format": 99})
    newer = sealed(graph, facts.model_copy(update={"config": config}))
    assert "of models of format 99" in said(lambda: parse_portable("m.onnx", newer))[1]
    unknown = sealed(graph, json_facts(facts, calibration_scores="none"))
    assert "calibration_scores" in said(lambda: parse_portable("m.onnx", unknown))[1]
    impossible = facts.config.model_dump(mode="json") | {"filled_in": {"hidden": [3]}}
    wrong = sealed(graph, json_facts(facts, config=impossible))
    line = said(lambda: parse_portable("m.onnx", wrong))[1]
    assert line == "m.onnx: config: filled_in holds hidden, which was not left out"
    mixed = sealed(graph, facts.model_copy(update={"calibration_scores": [3.0, 2.0]}))
    model = lampblack.portable.PortableModel
    assert "not ascending" in said(lambda: model.from_bytes(mixed, "m.onnx"))[1]


def test_a_graph_that_cannot_be_run_is_refused_by_name(of_table: Exported) -> None:
    facts = parse_portable("m.onnx", of_table.file.read_bytes())
    graph = onnx.load_from_string(of_table.file.read_bytes())
    del graph.metadata_props[:]
    graph.graph.node.append(onnx.helper.make_node("Relu", ["nowhere"], ["y"]))
    content = sealed(graph.SerializeToString(), facts)
    model = lampblack.portable.PortableModel
    assert said(lambda: model.from_bytes(content, "m.onnx"))[1].startswith(
        "m.onnx cannot be run by this onnxruntime"
    )


# Exporting.


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (
            mixed_frame(60).assign(
                note=[f"no. {i}" for i in range(60)], who=[f"{i}th" for i in range(60)]
            ),
            "columns 'note', 'who' hold text of which no value repeats",
        ),
    ],
    ids=["text"],
)
@pytest.mark.filterwarnings("ignore::lampblack.exceptions.LampblackWarning")
def test_columns_that_no_graph_holds_are_refused_before_anything_is_written(
    frame: pd.DataFrame, named: str, tmp_path: Path
) -> None:
    detector = lampblack.TollDetector(**FAST, false_alarm_rate=0.1).fit(frame)
    kind, text = said(lambda: export_onnx(detector, tmp_path / "m.onnx"))
    assert (kind, text.split(",")[:2]) == (ExportError, named.split(","))
    assert list(tmp_path.iterdir()) == []


def test_only_a_portable_model_is_written_over(of_table: Exported, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"another's")
    assert "not written over" in said(lambda: export_onnx(of_table.detector, path))[1]
    assert path.read_bytes() == b"another's"
    assert "ends in .onnx" in said(lambda: export_onnx(of_table.detector, tmp_path / "m.pt"))[1]
    nowhere = tmp_path / "no" / "m.onnx"
    assert "does not exist" in said(lambda: export_onnx(of_table.detector, nowhere))[1]
    path.write_bytes(of_table.file.read_bytes())
    export_onnx(of_table.detector, path)
    assert path.read_bytes() == of_table.file.read_bytes()  # the same model, the same bytes
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_too_large_a_graph_is_refused(of_table: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 1000)
    kind, text = said(lambda: onnx_file.to_bytes(of_table.detector.model_))
    assert kind is ExportError
    assert "one ONNX file holds 2" in text


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(
    module: str, of_table: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    if module == "onnx":
        monkeypatch.delitem(__import__("sys").modules, "lampblack.export.conversion")
        text = said(lambda: onnx_file.to_bytes(of_table.detector.model_))[1]
        assert text == "exporting needs onnx: pip install 'lampblack[onnx]'"
    else:
        assert "pip install onnxruntime" in said(lambda: load_portable(of_table.file))[1]


class Shifted(nn.Module):
    """An encoder of one's own."""

    def __init__(self, centred: bool, branching: bool) -> None:
        super().__init__()
        self.linear, self.centred, self.branching = nn.Linear(4, 2), centred, branching

    def forward(self, x: Tensor) -> Tensor:
        if self.centred:
            x = x - x.mean(dim=0)  # depends on the samples beside it
        if self.branching and float(x.sum()) > 1e9:
            x = -x
        return torch.tanh(self.linear(x))


@pytest.mark.parametrize(
    ("centred", "branching", "refused"),
    [
        (False, False, None),
        (True, False, "other scores than the model's"),
        (False, True, "torch's exporter cannot put these networks into a graph"),
    ],
    ids=["plain", "mixes samples", "branches"],
)
def test_networks_of_ones_own_export_or_are_refused(
    centred: bool, branching: bool, refused: str | None, tmp_path: Path
) -> None:
    X = np.random.default_rng(0).normal(size=(200, 4))
    detector = lampblack.AutoencoderDetector(
        networks=(Shifted(centred, branching), nn.Linear(2, 4)), max_steps=5, **PROMISE
    ).fit(X)
    path = tmp_path / "m.onnx"
    if refused is None:
        export_onnx(detector, path)
        expected = detector.anomaly_score(X)
        np.testing.assert_allclose(load_portable(path).anomaly_score(X), expected, rtol=1e-5)
    else:
        assert refused in said(lambda: export_onnx(detector, path))[1]
        assert not path.exists()


def test_portable_model_is_no_model_folder(of_table: Exported) -> None:
    assert "load it with lampblack.load_portable" in said(lambda: lampblack.load(of_table.file))[1]


def test_facts_are_json_beside_the_graph(of_table: Exported) -> None:
    model = onnx.load_from_string(of_table.file.read_bytes())
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}["lampblack"])
    calibration = of_table.detector.calibration_
    assert facts["config"]["calibration"]["threshold"] == calibration.threshold
    assert facts["calibration_scores"] == calibration.scores.tolist()
    assert [c["name"] for c in facts["config"]["data"]["columns"]] == [
        "city",
        "flow",
        "mode",
        "open",
    ]


def test_array_for_a_named_model_warns_as_the_detector_does() -> None:
    frame = pd.DataFrame(np.zeros((1, 2)), columns=["a", "b"])
    schema = Schema.of_table(to_arrow(frame))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but TollDetector"):
        assert as_matrix([[1, 2]], "TollDetector", schema).tolist() == [[1.0, 2.0]]
