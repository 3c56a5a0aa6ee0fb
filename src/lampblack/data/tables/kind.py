"""Tables as a kind of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.data.blocks import rows_of_block
from lampblack.data.kind import Array, Kind
from lampblack.data.kinds import recognised
from lampblack.data.tables.encoder import EncoderState, TableEncoder
from lampblack.data.tables.inputs import CheckedRows, check_rows, learn_rows
from lampblack.data.tables.phases import phases
from lampblack.data.tables.schema import Rows, Schema
from lampblack.data.tables.stored import StoredRows, joined_rows
from lampblack.data.tables.table import is_frame
from lampblack.exceptions import SchemaMismatch
from lampblack.explanation import TableExplanation

ROWS_OF_GRAPH = 32  # that go through a portable model's graph at a time


@final
class Tables(Kind[Schema, Rows | StoredRows, TableEncoder]):
    """Rows of numbers, booleans, categories and dates, with values missing here and there."""

    name: ClassVar[str] = "table"
    noun: ClassVar[str] = "rows"
    described: ClassVar[str] = "a table"
    example: ClassVar[str] = "new.csv"
    unit: ClassVar[str] = "row"
    many_files: ClassVar[bool] = True
    a_turn: ClassVar[int] = 4096  # two blocks, eight of a wide table: tens of milliseconds
    parts: ClassVar[str] = "columns"

    def recognises(self, X: object) -> bool:
        """Checked rows, a frame, or whatever else has two axes."""
        checked = isinstance(X, Rows | StoredRows | CheckedRows)
        return checked or getattr(X, "ndim", None) == 2 or is_frame(X)

    def learn(self, X: object, parameters: Any, detector: str) -> tuple[Schema, Rows | StoredRows]:
        """The schema and the rows, at least 2; `parameters.types` overrides what types imply."""
        schema, rows = learn_rows(
            X,
            parameters.types,
            detector,
            missing=parameters.missing,
            not_missing=parameters.not_missing,
        )
        schema = schema.in_zone(parameters.timezone)
        return schema, rows.under(schema) if isinstance(rows, StoredRows) else rows

    def check(self, X: object, schema: Schema, detector: str) -> Rows | StoredRows:
        other = recognised(X)
        if other not in (None, self):
            raise SchemaMismatch(
                f"{detector} was fitted on a table, and X is {other.described} or a path; "
                "pass a table (n, d)"
            )
        return check_rows(X, schema, detector)

    def encoder(self, schema: Schema, parameters: Any) -> TableEncoder:
        return TableEncoder(schema, parameters.scaling_in_use)

    def encoder_from_state(self, schema: Schema, state: object) -> TableEncoder:
        return TableEncoder.from_state(schema, EncoderState.model_validate(state))

    def read_schema(self, content: object) -> Schema:
        return Schema.model_validate(content)

    def blank(self, schema: Schema) -> Rows:
        return Rows(
            np.zeros((1, len(schema.of_kind("number", "boolean")))),
            tuple(pa.array([None], pa.string()) for _ in schema.of_kind("category")),
            tuple(np.zeros(1, "datetime64[us]") for _ in schema.of_kind("date")),
        )

    def joined(self, parts: Sequence[Rows | StoredRows]) -> Rows:
        return joined_rows([part.in_memory() for part in parts])

    def sliced(self, samples: Rows | StoredRows, start: int, stop: int) -> Rows:
        return samples.in_memory().slice(start, stop)

    def block_size(self, shape: tuple[int, ...]) -> int:
        return rows_of_block(shape[0])

    def explanation(self, schema: Schema, parts: Mapping[str, Any]) -> TableExplanation:
        return TableExplanation(columns=tuple(schema.names), **parts)

    def reconstructed(self, encoder: TableEncoder, features: npt.NDArray[np.float32]) -> Any:
        """A table of the same columns less the dates; an array where columns have no names."""
        columns = encoder.decode(features)
        if encoder.schema.named:
            return pa.table(columns)
        return np.column_stack(list(columns.values()))

    def part_name(self, schema: Schema, position: int) -> str:
        return f"column {schema.names[position]!r}"

    def described_schema(self, schema: Schema) -> str:
        kinds = "\n".join(
            f"| {column.name} | {column.kind} | {'yes' if column.nullable else 'no'} |"
            for column in schema.columns
        )
        return f"## Columns\n\n| column | kind | may be missing |\n|---|---|---|\n{kinds}"

    def graph_block(self, schema: Schema) -> int:
        return ROWS_OF_GRAPH

    def graph_inputs(
        self,
        schema: Schema,
        samples: Rows | StoredRows,
        texts: tuple[str, str] | None,
        cycles: Sequence[Sequence[Any]],
    ) -> dict[str, Array]:
        """Numbers and booleans as float64 (n, columns), categories as text (n, columns).

        Dates as float64 (n, phases + columns): the phases of all columns, then for each column 0,
        or NaN where its date is missing.
        """
        rows = samples.in_memory()
        inputs: dict[str, Array] = {}
        if rows.numbers.shape[1]:
            inputs["numbers"] = rows.numbers
        if rows.dates:
            gone = [np.where(np.isnat(moments), np.nan, 0.0)[:, None] for moments in rows.dates]
            inputs["dates"] = np.concatenate([*phases(schema, rows, cycles), *gone], axis=1)
        if texts is not None:
            columns = [_texts(values, *texts) for values in rows.categories]
            inputs["categories"] = np.stack(columns, axis=1)
        return inputs


def _texts(values: pa.Array, missing: str, other: str) -> npt.NDArray[np.object_]:
    """A category column as text (n,), `missing` where a value is; such a text itself is `other`."""
    known = pc.if_else(pc.equal(values, missing), other, values)
    return np.asarray(known.fill_null(missing).to_numpy(zero_copy_only=False), dtype=object)


KIND = Tables()
