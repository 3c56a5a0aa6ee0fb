"""The rows of a file as a stream of batches, whatever command reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.data.prefetching import prefetched
from lampblack.data.source import Batch, Labels
from lampblack.data.tables.labels import LabelColumn, refuse_input_as_label
from lampblack.data.tables.layout import RowFormat
from lampblack.data.tables.model_rows import Choice, ModelRows, key_of
from lampblack.data.tables.parsing import SkippedRow
from lampblack.data.tables.schema import Schema


class RowSource:
    """The rows of a file that a fitted schema takes, read one batch ahead of their use."""

    noun: ClassVar[str] = "row"
    left_out: ClassVar[str] = "skipped"
    total: int | None = None

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        row_format: RowFormat,
        choice: Choice,
        labels: Labels | None = None,
        key: str | None = None,
    ) -> None:
        """choice: of rows and columns. key: the column that names a row; None is its number."""
        column = None if labels is None else labels.label
        self._labels = None
        if labels is not None and column is not None:
            refuse_input_as_label(column, schema.names)
            self._labels = LabelColumn(column, labels.anomaly, labels.normal)
        wanted = [name for name in (key, column) if name is not None]
        keep = tuple(name for name in dict.fromkeys(wanted) if name not in schema.names)
        dates = schema.of_kind("date")
        self.key_name = key or "row"
        self.time_name = dates[0].name if dates else ""
        self._key, self._column = key, column
        self._rows = ModelRows(path, schema, row_format, choice, keep)

    @property
    def skipped(self) -> Sequence[SkippedRow]:
        return self._rows.skipped

    def __iter__(self) -> Iterator[Batch]:
        for batch in prefetched(self._rows):
            marks = None
            if self._labels is not None:
                marks = self._labels.marks(batch.others.column(self._column))
            yield Batch(
                samples=batch.rows,
                shown=batch.table,
                keys=key_of(batch, self._key),
                positions=batch.numbers,
                anomaly=marks,
                times=_instants(batch.table.column(self.time_name)) if self.time_name else None,
            )

    def check_labels(self) -> None:
        if self._labels is not None:
            self._labels.check()

    def whole(self) -> pa.Table | None:
        tables = [batch.shown for batch in self]
        return pa.concat_tables(tables) if tables else None


def _instants(column: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    """A column of dates as datetime64, missing ones as NaT."""
    moments = pc.cast(column.combine_chunks(), pa.timestamp("us"), safe=False)
    return np.asarray(moments.to_numpy(zero_copy_only=False).astype("datetime64[us]"))
