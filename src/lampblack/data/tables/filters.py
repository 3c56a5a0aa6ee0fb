"""Rows chosen by a condition on their columns, written as one would in Python.

`parse_where("age > 18 and city in ['Oslo', 'Bern']", columns)` gives a `Filter`. The text is read
by Python's parser and translated, node by node, to Arrow's functions; nothing in it is executed.
What is not a comparison of columns with constants (or of columns with each other) is refused.
"""

import ast
import operator
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.choices import ColumnKind
from lampblack.data.tables.conditions import (
    Among,
    ColumnName,
    Compare,
    Condition,
    Joined,
    Missing,
    Negation,
    Refusal,
    Scalar,
    Truth,
)
from lampblack.exceptions import InvalidInput

SHOWN_NAMES: Final = 20
MIRRORED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
TEXT_OR_BACKTICKS: Final = re.compile(
    r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?P<name>[^`]+)`""", re.DOTALL
)


@dataclass(frozen=True)
class Filter:
    """A condition on rows. `columns` are the names it uses, in order of appearance.

    `kinds` is what the constants say of columns: in "label == 0", `label` is a number. It serves
    to read the columns of a text file that nothing else gives a kind.
    """

    text: str
    columns: tuple[str, ...]
    kinds: Mapping[str, ColumnKind]
    condition: Condition

    def keep(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """One boolean a row. A condition on a missing value is unknown: the row is not kept."""
        try:
            mask = self.condition.mask(table)
        except Refusal as refusal:
            raise InvalidInput(f"where {self.text!r}: {refusal}") from None
        kept: npt.NDArray[np.bool_] = pc.fill_null(mask, False).to_numpy()
        return kept


def parse_where(text: str, columns: Sequence[str]) -> Filter:
    """Read a condition on `columns`; raise InvalidInput, in one line, if it is anything else.

    Names that are no Python identifiers go in backticks: "`my col` > 3".
    """
    try:
        tree, backticks = _parse(text)
        condition = _Translator(columns, backticks).condition(tree)
    except Refusal as refusal:
        raise InvalidInput(f"where {text!r}: {refusal}") from None
    wanted = list(condition.wanted())
    kinds = {name: kind for name, kind in reversed(wanted) if kind is not None}
    return Filter(text, tuple(dict.fromkeys(name for name, _ in wanted)), kinds, condition)


def _parse(text: str) -> tuple[ast.expr, dict[str, str]]:
    """The syntax tree, with backticked names replaced by identifiers, and what these stand for."""
    prefix = "column_"
    while prefix in text:
        prefix += "_"
    backticks: dict[str, str] = {}

    def stand_in(match: re.Match[str]) -> str:
        if match["name"] is None:
            return match[0]
        backticks[f"{prefix}{len(backticks)}"] = match["name"]
        return f" {prefix}{len(backticks) - 1} "

    source = TEXT_OR_BACKTICKS.sub(stand_in, text).strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape such as '\d' is the user's own text
            return ast.parse(source, mode="eval").body, backticks
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refusal(
            "not a condition such as \"age > 18 and city == 'Rome'\" "
            "(names that are not identifiers go in `backticks`)"
        ) from None


class _Translator:
    """From Python's syntax tree to conditions on the given columns."""

    def __init__(self, columns: Sequence[str], backticks: Mapping[str, str]) -> None:
        self.columns = columns
        self.backticks = backticks

    def condition(self, node: ast.expr) -> Condition:
        match node:
            case ast.BoolOp(op, values):
                join = pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene
                return Joined(join, tuple(self.condition(value) for value in values))
            case ast.UnaryOp(ast.Not(), operand):
                return Negation(self.condition(operand))
            case ast.Compare(left, operators, others):
                pairs = zip([left, *others], operators, others, strict=False)
                parts = tuple(self.comparison(*pair) for pair in pairs)
                return parts[0] if len(parts) == 1 else Joined(pc.and_kleene, parts)
            case ast.Name():
                return Truth(self.column(node).name)
        raise Refusal(f"{_source(node)} is not a comparison of columns with constants")

    def comparison(self, left: ast.expr, by: ast.cmpop, right: ast.expr) -> Condition:
        if isinstance(by, ast.In | ast.NotIn):
            among = Among(self.column(left).name, self.constants(right))
            return among if isinstance(by, ast.In) else Negation(among)
        if isinstance(by, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise Refusal("'is' stands only before None; use == for values")
            missing = Missing(self.column(left).name)
            return missing if isinstance(by, ast.Is) else Negation(missing)
        if isinstance(left, ast.Name):
            other = self.column(right) if isinstance(right, ast.Name) else self.constant(right)
            return Compare(type(by), self.column(left).name, other)
        if isinstance(right, ast.Name):
            mirrored = MIRRORED.get(type(by), type(by))
            return Compare(mirrored, self.column(right).name, self.constant(left))
        side = left if isinstance(right, ast.Constant) else right
        raise Refusal(f"{_source(side)} stands where a column is expected")

    def column(self, node: ast.expr) -> ColumnName:
        if not isinstance(node, ast.Name):
            raise Refusal(f"{_source(node)} stands where a column is expected")
        name = self.backticks.get(node.id, node.id)
        for column in self.columns:  # Python's parser normalises identifiers, so 'µ' may differ
            if name in (column, unicodedata.normalize("NFKC", column)):
                return ColumnName(column)
        shown = ", ".join(self.columns[:SHOWN_NAMES]) + (
            ", ..." if len(self.columns) > SHOWN_NAMES else ""
        )
        raise Refusal(f"there is no column {name!r}; the columns are {shown}")

    def constants(self, node: ast.expr) -> tuple[Scalar, ...]:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            raise Refusal(f"{_source(node)} stands where a list such as ['a', 'b'] is expected")
        return tuple(self.constant(element) for element in node.elts)

    def constant(self, node: ast.expr) -> Scalar:
        match node:
            case ast.Constant(None):
                raise Refusal("None is compared by 'is None' or 'is not None' only")
            case ast.Constant(str() | bool() | int() | float() as value):
                return value
            case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, ast.Constant(int() | float() as n)):
                if not isinstance(n, bool):
                    return operator.neg(n) if isinstance(sign, ast.USub) else n
        raise Refusal(f"{_source(node)} is not a constant (text, a number, True or False)")


def _source(node: ast.expr) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 40 else text[:37] + "..."
