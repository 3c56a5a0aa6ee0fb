"""A torch module to an ONNX graph, quietly, with texts of categories in front."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from lampblack.exceptions import ExportError

OPSET, ML_OPSET = 20, 3
IR_VERSION = 10  # what onnxruntime from 1.18 reads
BATCH = "n"  # name of the first axis of every input


def to_onnx(
    module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], shared: Sequence[str] = ()
) -> onnx.ModelProto:
    """The graph of a module for any number of samples.

    inputs: examples by name, samples along the first axis, but for those in `shared`, which have
    none. Raises ExportError, in one line, for what torch's exporter cannot put into a graph.
    """
    batch = torch.export.Dim(BATCH, min=1)
    axes = tuple(None if name in shared else {0: batch} for name in inputs)
    try:
        with _quiet():
            with torch.no_grad():
                module(*inputs.values())  # what it computes once and keeps is there, not traced
            traced = torch.export.export(
                module, tuple(inputs.values()), dynamic_shapes={"inputs": axes}, strict=False
            )
            program = torch.onnx.export(
                traced,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamo=True,
                opset_version=OPSET,
                custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
                verbose=False,
            )
    except Exception as error:  # the exporter raises of many kinds
        raise ExportError(
            f"torch's exporter cannot put these networks into a graph: {_reason(error)}"
        ) from None
    assert program is not None
    model = program.model_proto
    _strip(model)
    _name_first_axis(model)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "lampblack", ""
    return model


def put_texts_in_front(
    model: onnx.ModelProto, codes: str, texts: str, levels: Sequence[Sequence[str]], missing: str
) -> None:
    """Replace the input `codes` int64 (n, columns) by `texts`, strings of the same shape.

    levels: of each column. A text that is none of them gets the code behind the last, `missing` the
    one after that.
    """
    graph = model.graph
    nodes, columns = [], []
    for i, known in enumerate(levels):
        position, text, code = f"{texts}_{i}_position", f"{texts}_{i}", f"{codes}_{i}"
        graph.initializer.append(helper.make_tensor(position, TensorProto.INT64, [1], [i]))
        nodes.append(helper.make_node("Gather", [texts, position], [text], axis=1))
        nodes.append(
            helper.make_node(
                "LabelEncoder",
                [text],
                [code],
                domain="ai.onnx.ml",
                keys_strings=[*known, missing],
                values_int64s=[*range(len(known)), len(known) + 1],
                default_int64=len(known),
            )
        )
        columns.append(code)
    nodes.append(helper.make_node("Concat", columns, [codes], axis=1))
    behind = copy.deepcopy(list(graph.node))
    del graph.node[:]
    graph.node.extend([*nodes, *behind])
    (replaced,) = (value for value in graph.input if value.name == codes)
    axes: list[str | int | None] = [BATCH, len(levels)]
    replaced.CopyFrom(helper.make_tensor_value_info(texts, TensorProto.STRING, axes))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))


def _stable_sort(x: Any, *, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """torch.sort(stable=True) in ONNX: TopK of all, which orders equal values by position."""
    from onnxscript import opset18 as op

    size = op.Shape(x, start=dim, end=None if dim == -1 else dim + 1)
    return op.TopK(x, size, axis=dim, largest=int(descending), sorted=1)


def _name_first_axis(model: onnx.ModelProto) -> None:
    """Call the axis of samples n, as the documentation does."""
    for value in [*model.graph.input, *model.graph.output]:
        for axis in value.type.tensor_type.shape.dim[:1]:
            if axis.dim_param:
                axis.dim_param = BATCH


def _strip(model: onnx.ModelProto) -> None:
    """Take away what the exporter notes of its own work: source lines, paths, names of modules."""
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    for value in [*values, *model.graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor log lines of the exporter, which speak of its own matters."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of the exporter's innermost reason."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
