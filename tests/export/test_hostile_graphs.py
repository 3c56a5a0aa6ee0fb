"""A graph from a stranger is refused before it is run, unless `export` could have written it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import lampblack
from lampblack.choices import DETECTOR_CLASSES
from lampblack.exceptions import ExportError, ModelFileError
from lampblack.model.methods import RECIPES
from lampblack.persistence import graph_check
from lampblack.persistence.graph_check import RefusedGraph, check_graph
from lampblack.persistence.portable import parse_portable, sealed
from lampblack.portable import PortableModel
from tests.export.conftest import KINDS, PROMISE, Exported

Change = Callable[[Any], object]


def _branch() -> Any:
    value = helper.make_tensor_value_info("branch", TensorProto.FLOAT, [])
    constant = helper.make_node("Constant", [], ["branch"], value_float=1.0)
    return helper.make_graph([constant], "b", [], [value])


def _loop(m: Any) -> None:
    m.graph.node.append(helper.make_node("Loop", ["", ""], [], body=_branch()))


def _graph_in_a_plain_node(m: Any) -> None:
    m.graph.node.append(helper.make_node("Identity", ["n"], ["n2"], body=_branch()))


def _graphs_in_a_plain_node(m: Any) -> None:
    node = helper.make_node("Identity", ["n"], ["n2"])
    attribute = node.attribute.add(name="bodies", type=onnx.AttributeProto.GRAPHS)
    attribute.graphs.append(_branch())
    m.graph.node.append(node)


def _function(m: Any) -> None:
    opset = [helper.make_opsetid("", 20)]
    itself = helper.make_node("Mine", ["x"], ["y"], domain="ai.onnx.ml")
    m.functions.append(helper.make_function("ai.onnx.ml", "Mine", ["x"], ["y"], [itself], opset))


def _external(m: Any) -> None:
    tensor = m.graph.initializer.add(name="secret", data_type=1, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _sparse(m: Any) -> None:
    m.graph.sparse_initializer.add(dims=[1 << 40])


def _claims(*dims: int, data_type: int = 1, raw: bytes = b"\0" * 4) -> Change:
    def change(m: Any) -> None:
        m.graph.initializer.add(name="large", data_type=data_type, dims=dims, raw_data=raw)

    return change


def _constant_that_claims_more(m: Any) -> None:
    tensor = onnx.TensorProto(data_type=7, dims=[1 << 30], int64_data=[1])
    m.graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def _texts_that_are_not_there(m: Any) -> None:
    m.graph.initializer.add(name="texts", data_type=8, dims=[9], string_data=[b"a"])


HOSTILE: dict[str, tuple[Change, str]] = {
    "a loop": (_loop, "the operator 'Loop'"),
    "a branch": (lambda m: m.graph.node.add(op_type="If"), "the operator 'If'"),
    "a scan": (lambda m: m.graph.node.add(op_type="Scan"), "the operator 'Scan'"),
    "a graph elsewhere": (_graph_in_a_plain_node, "an attribute of Identity with field 6"),
    "graphs elsewhere": (_graphs_in_a_plain_node, "an attribute of Identity with field 11"),
    "a function": (_function, "the model with field 25"),
    "training": (lambda m: m.training_info.add(), "the model with field 20"),
    "another domain": (
        lambda m: m.graph.node.add(op_type="Add", domain="com.microsoft"),
        "the operator 'com.microsoft.Add'",
    ),
    "another opset": (
        lambda m: m.opset_import.add(domain="com.microsoft", version=1),
        "operators of the domain 'com.microsoft'",
    ),
    "no operator": (lambda m: m.graph.node.add(), "the operator ''"),
    "external data": (_external, "a tensor with field 1"),
    "a sparse tensor": (_sparse, "the graph with field 15"),
    "numbers that are not there": (_claims(1 << 30), "'large' whose numbers are not those"),
    "more numbers than fit": (_claims(0), "'large' whose numbers are not those"),
    "an axis below zero": (_claims(-1), "'large' of a size"),
    "many axes": (_claims(*[1] * 9), "'large' of a size"),
    "a type of no export": (_claims(1, data_type=14), "'large' of the type 14"),
    "a constant without numbers": (_constant_that_claims_more, "whose numbers are not those"),
    "texts that are not there": (_texts_that_are_not_there, "whose numbers are not those"),
    "another input": (lambda m: m.graph.input.add(name="x"), "an input 'x'"),
    "an input twice": (lambda m: m.graph.input.append(m.graph.input[0]), "an input 'numbers'"),
    "another output": (lambda m: m.graph.output.add(name="x"), "an output 'x'"),
    "no output": (lambda m: m.graph.ClearField("output"), "not an output"),
    "an output of another type": (
        lambda m: m.graph.output[0].type.tensor_type.__setattr__("elem_type", 8),
        "an output 'anomaly_score' of the type 8",
    ),
}


@pytest.fixture
def graph(of_table: Exported) -> Any:
    model = onnx.load_from_string(of_table.file.read_bytes())
    del model.metadata_props[:]
    return model


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_graph_is_refused_before_it_is_run(
    what: str, graph: Any, of_table: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, named = HOSTILE[what]
    change(graph)
    content = sealed(graph.SerializeToString(), of_table.portable.facts)
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *a, **k: pytest.fail("was run"))
    with pytest.raises(ModelFileError) as caught:
        PortableModel.from_bytes(content, "m.onnx")
    line = str(caught.value)
    assert line.startswith("m.onnx holds ")
    assert named in line
    assert "\n" not in line


def test_a_second_graph_that_a_reader_would_join_to_the_first_is_refused(graph: Any) -> None:
    content = graph.SerializeToString()
    second = onnx.ModelProto(graph=onnx.GraphProto(name="more")).SerializeToString()
    with pytest.raises(RefusedGraph, match="the model with field 7 twice"):
        check_graph(content + second)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x0b\x0b", b"\x3a\xff\xff\xff\x7f"])
def test_bytes_that_are_no_graph_are_refused(content: bytes) -> None:
    with pytest.raises(RefusedGraph):
        check_graph(content)


def test_too_many_nodes_are_refused(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check_graph(graph.SerializeToString())
    monkeypatch.setattr(graph_check, "MOST_NODES", 10)
    with pytest.raises(RefusedGraph, match="nodes, more than 10"):
        check_graph(graph.SerializeToString())


@pytest.mark.parametrize("kind", KINDS)
def test_every_exported_graph_is_of_the_list(
    kind: str, exported: Callable[[str], Exported]
) -> None:
    check_graph(exported(kind).file.read_bytes())


def test_an_operator_that_is_not_on_the_list_fails_at_export(
    of_table: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lampblack.export.onnx_file import to_bytes

    fewer = {**graph_check.OPERATORS, "": graph_check.OPERATORS[""] - {"Gemm"}}
    monkeypatch.setattr(graph_check, "OPERATORS", fewer)
    with pytest.raises(ExportError, match="the graph holds the operator 'Gemm'"):
        to_bytes(of_table.detector.model_)


class Ordinary(torch.nn.Module):
    """A network of one's own, of layers that many have."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm = torch.nn.Linear(4, 4), torch.nn.LayerNorm(4)
        self.attend = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.gelu(self.norm(self.linear(x)))
        return y * torch.softmax(self.attend(y), dim=1) + torch.nn.functional.silu(y)


def test_plain_layers_of_ones_own_are_on_the_list(tmp_path: Any) -> None:
    X = np.random.default_rng(0).normal(size=(200, 4))
    networks = (Ordinary(), torch.nn.Sequential(Ordinary(), torch.nn.ELU(), torch.nn.Linear(4, 4)))
    detector = lampblack.AutoencoderDetector(networks=networks, max_steps=5, **PROMISE).fit(X)
    lampblack.export_onnx(detector, tmp_path / "m.onnx")
    found = lampblack.load_portable(tmp_path / "m.onnx").anomaly_score(X)
    np.testing.assert_allclose(found, detector.anomaly_score(X), rtol=1e-4)


def test_scores_of_another_shape_are_refused(graph: Any, of_table: Exported) -> None:
    (node,) = (n for n in graph.graph.node if "anomaly_score" in n.output)
    node.output[list(node.output).index("anomaly_score")] = "scores"
    for other in graph.graph.node:
        for i, name in enumerate(other.input):
            if name == "anomaly_score":
                other.input[i] = "scores"
    axes = helper.make_tensor("axes_of_scores", TensorProto.INT64, [1], [1])
    graph.graph.initializer.append(axes)
    graph.graph.node.append(
        helper.make_node("Unsqueeze", ["scores", "axes_of_scores"], ["anomaly_score"])
    )
    graph.graph.output[0].type.tensor_type.ClearField("shape")
    content = sealed(graph.SerializeToString(), of_table.portable.facts)
    model = PortableModel.from_bytes(content, "m.onnx")
    with pytest.raises(ModelFileError, match=r"m\.onnx gives scores of shape"):
        model.anomaly_score(of_table.samples)


def test_a_graph_that_fails_when_run_is_refused_in_one_line(
    of_images: Exported, of_table: Exported
) -> None:
    graph = onnx.load_from_string(of_images.file.read_bytes())
    del graph.metadata_props[:]
    content = sealed(graph.SerializeToString(), of_table.portable.facts)
    model = PortableModel.from_bytes(content, "m.onnx")
    with pytest.raises(ModelFileError, match=r"m\.onnx cannot be run by this onnxruntime"):
        model.anomaly_score(of_table.samples)


@pytest.mark.parametrize("changed", ["format", "format of the model", "detector"])
def test_format_0_and_unknown_detectors_are_refused(
    changed: str, graph: Any, of_table: Exported
) -> None:
    facts = of_table.portable.facts
    if changed == "format":
        facts = facts.model_copy(update={"format": 0})
    else:
        other = {"format": 0} if changed == "format of the model" else {"detector": "Mine"}
        facts = facts.model_copy(update={"config": facts.config.model_copy(update=other)})
    content = sealed(graph.SerializeToString(), facts)
    named = "of an unknown detector 'Mine'" if changed == "detector" else "which no released"
    with pytest.raises(ModelFileError, match=named):
        parse_portable("m.onnx", content)


def test_detectors_that_are_known_without_torch_are_those_there_are() -> None:
    assert set(DETECTOR_CLASSES) == set(RECIPES)
