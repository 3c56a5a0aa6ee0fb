"""What a graph may hold before anything runs it: what `export` writes, and no more.

A graph from a stranger is data, but what runs it was not written to be attacked: control flow may
loop for ever, functions call themselves, external data name other files, and a tensor claim more
numbers than it has. Every message is read here by a list of its fields; a field that is not on the
list is refused, whatever it is. Needs no ONNX library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lampblack.persistence.protobuf import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    fields,
    whole_numbers,
)

MOST_NODES, MOST_AXES, MOST_OF_AN_AXIS = 200_000, 8, 1 << 31
INPUTS: Final = {"numbers": 11, "dates": 11, "categories": 8, "images": 1, "white": 1}
OUTPUTS: Final = {"anomaly_score": 1, "is_anomaly": 9, "p_value": 11}  # types of ONNX's TensorProto
SIZES: Final = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}  # bytes of a number by type
TEXT: Final = 8

PLAIN = """
Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant
ConstantOfShape Conv ConvTranspose Cos Div Elu Equal Erf Exp Expand Flatten Floor Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool Greater GreaterOrEqual GroupNormalization
HardSigmoid HardSwish Identity InstanceNormalization IsInf IsNaN LayerNormalization LeakyRelu Less
LessOrEqual Log LogSoftmax MatMul Max MaxPool Min Mish Mod Mul Neg Not Or PRelu Pad Pow Reciprocal
ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare Relu Reshape Resize Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin
Size Slice Softmax Softplus Softsign Split Sqrt Squeeze Sub Sum Tan Tanh TopK Transpose Unsqueeze
Where Xor
"""  # of lampblack's own graphs, and of layers that networks of one's own have
OPERATORS: Final = {
    "": frozenset(PLAIN.split()),
    "ai.onnx.ml": frozenset({"LabelEncoder"}),
}  # by domain

# Fields by number: the kinds they may be of, and whether they may repeat.
_Fields = Mapping[int, tuple[tuple[int, ...], bool]]
_ONE, _MANY = ((BYTES,), False), ((BYTES,), True)
_NUMBER, _NUMBERS = ((VARINT,), False), ((VARINT, BYTES), True)
_FLOATS, _DOUBLES = ((FIXED32, BYTES), True), ((FIXED64, BYTES), True)
MODEL: Final[_Fields] = {1: _NUMBER, 2: _ONE, 3: _ONE, 6: _ONE, 7: _ONE, 8: _MANY, 14: _MANY}
OPSET: Final[_Fields] = {1: _ONE, 2: _NUMBER}
GRAPH: Final[_Fields] = {1: _MANY, 2: _ONE, 5: _MANY, 10: _ONE, 11: _MANY, 12: _MANY}
NODE: Final[_Fields] = {1: _MANY, 2: _MANY, 3: _ONE, 4: _ONE, 5: _MANY, 6: _ONE, 7: _ONE}
ATTRIBUTE: Final[_Fields] = {
    1: _ONE,
    2: ((FIXED32,), False),
    3: _NUMBER,
    4: _ONE,
    5: _ONE,
    7: _FLOATS,
    8: _NUMBERS,
    9: _MANY,
    13: _ONE,
    20: _NUMBER,
}  # no graph, no function, no sparse tensor
TENSOR: Final[_Fields] = {
    1: _NUMBERS,
    2: _NUMBER,
    4: _FLOATS,
    5: _NUMBERS,
    6: _MANY,
    7: _NUMBERS,
    8: _ONE,
    9: _ONE,
    10: _DOUBLES,
    11: _NUMBERS,
    12: _ONE,
}  # no external data
VALUE: Final[_Fields] = {1: _ONE, 2: _ONE, 3: _ONE}
TYPE: Final[_Fields] = {1: _ONE}  # a tensor
TENSOR_TYPE: Final[_Fields] = {1: _NUMBER, 2: _ONE}
SHAPE: Final[_Fields] = {1: _MANY}
AXIS: Final[_Fields] = {1: _NUMBER, 2: _ONE}


class RefusedGraph(ValueError):
    """A graph that holds what no exported one does; the text says what, without its file."""


def check_graph(content: bytes) -> None:
    """Raise RefusedGraph for a serialized ONNX model that is not of the kind `export` writes."""
    try:
        _check_model(content)
    except RefusedGraph:
        raise
    except ValueError as error:  # of the reader of fields
        raise RefusedGraph(f"the graph cannot be read: {error}") from None


def _check_model(content: bytes) -> None:
    model = _read(content, "the model", MODEL)
    for opset in model.get(8, []):
        domain = _text(content, _read(content, "an opset", OPSET, opset), 1)
        if domain not in OPERATORS:
            raise RefusedGraph(f"operators of the domain {domain!r}")
    if 7 not in model:
        raise RefusedGraph("no graph")
    graph = _read(content, "the graph", GRAPH, model[7][0])
    nodes = graph.get(1, [])
    if len(nodes) > MOST_NODES:
        raise RefusedGraph(f"{len(nodes)} nodes, more than {MOST_NODES}")
    for node in nodes:
        _check_node(content, node)
    for tensor in graph.get(5, []):
        _check_tensor(content, tensor)
    _check_values(content, graph.get(11, []), INPUTS, "an input")
    _check_values(content, graph.get(12, []), OUTPUTS, "an output")


def _check_node(content: bytes, field: Field) -> None:
    node = _read(content, "a node", NODE, field)
    domain, operator = _text(content, node, 7), _text(content, node, 4)
    if operator not in OPERATORS.get(domain, ()):
        name = f"{domain}.{operator}" if domain else operator
        raise RefusedGraph(f"the operator {name!r}")
    for attribute in node.get(5, []):
        held = _read(content, f"an attribute of {operator}", ATTRIBUTE, attribute)
        for tensor in held.get(5, []):
            _check_tensor(content, tensor)


def _check_tensor(content: bytes, field: Field) -> None:
    """The numbers of a tensor are all there, and no more of them."""
    tensor = _read(content, "a tensor", TENSOR, field)
    name = _text(content, tensor, 8)
    axes = [n for part in tensor.get(1, []) for n in whole_numbers(content, part)]
    kind = tensor[2][0].number_value if 2 in tensor else 0
    if kind not in SIZES and kind != TEXT:
        raise RefusedGraph(f"a tensor {name!r} of the type {kind}")
    if len(axes) > MOST_AXES or any(n >= MOST_OF_AN_AXIS for n in axes):
        raise RefusedGraph(f"a tensor {name!r} of a size that no export writes")
    size = 1
    for n in axes:
        size *= n
    if kind == TEXT:
        fits = len(tensor.get(6, [])) == size
    elif 9 in tensor:
        fits = tensor[9][0].end - tensor[9][0].first == size * SIZES[kind]
    else:  # numbers one by one, each of a byte at least
        fits = size <= sum(f.end - f.first for n in (4, 5, 7, 10, 11) for f in tensor.get(n, []))
    if not fits:
        raise RefusedGraph(f"a tensor {name!r} whose numbers are not those that its size asks for")


def _check_values(content: bytes, values: list[Field], known: Mapping[str, int], what: str) -> None:
    """Inputs or outputs: names and types that are known, once each."""
    seen: set[str] = set()
    for value in values:
        held = _read(content, what, VALUE, value)
        name = _text(content, held, 1)
        kind = _read(content, what, TYPE, held[2][0]) if 2 in held else {}
        tensor = _read(content, what, TENSOR_TYPE, kind[1][0]) if 1 in kind else {}
        number = tensor[1][0].number_value if 1 in tensor else 0
        if name in seen or known.get(name) != number:
            raise RefusedGraph(f"{what} {name!r} of the type {number}")
        seen.add(name)
        for shape in tensor.get(2, []):
            for axis in _read(content, what, SHAPE, shape).get(1, []):
                size = _read(content, what, AXIS, axis).get(1)
                if size and size[0].number_value >= MOST_OF_AN_AXIS:
                    raise RefusedGraph(f"{what} {name!r} of a size that no export writes")
    if not seen:
        raise RefusedGraph(f"not {what}")


def _read(
    content: bytes, what: str, allowed: _Fields, field: Field | None = None
) -> dict[int, list[Field]]:
    """The fields of a message by number, each of which is allowed there."""
    found: dict[int, list[Field]] = {}
    first, end = (0, len(content)) if field is None else (field.first, field.end)
    for part in fields(content, first, end):
        kinds, many = allowed.get(part.number, ((), False))
        if part.kind not in kinds:
            raise RefusedGraph(f"{what} with field {part.number}")
        if part.number in found and not many:
            raise RefusedGraph(f"{what} with field {part.number} twice")
        found.setdefault(part.number, []).append(part)
    return found


def _text(content: bytes, message: Mapping[int, list[Field]], number: int) -> str:
    """A field that is text; empty where it is not there."""
    parts = message.get(number)
    return parts[0].value(content).decode() if parts else ""
