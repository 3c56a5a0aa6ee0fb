"""Checked rows to the float32 matrix that a network takes, and back to the user's columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from lampblack.choices import Scaling
from lampblack.data.kind import Encoder
from lampblack.data.tables.phases import Cycle, covered_cycles, microseconds, phases
from lampblack.data.tables.scaling import LEAST, ColumnScaler
from lampblack.data.tables.schema import Rows, Schema
from lampblack.exceptions import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

MOST_LEVELS = 64
PIECE = 1 << 16  # values encoded at a time: 512 KiB
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Matrix = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.floating]


class EncoderState(BaseModel):
    """What a `TableEncoder` has learned, as JSON holds it to the bit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scaling: Scaling
    levels: list[list[str]]
    cycles: list[list[Cycle]]
    medians: list[Finite]
    center: list[Finite]
    scale: list[Annotated[Finite, Field(ge=LEAST)]]
    constant: list[bool]
    departure: Positive


class TableEncoder(Encoder):
    """Encode the rows of a table as numbers; every step is fitted on the training rows alone.

    - Numbers and booleans: a missing value becomes the median, and an indicator of its own says so
      where the column may be missing.
    - Categories: one indicator per level that occurs at least twice (the most frequent
      64), one for all others, one for a missing value. A level never seen lights the
      "others", which is an alarm where training had none.
    - Dates: sine and cosine of the time of day, the day of the week and the day of the year, each
      only where the training rows cover the whole cycle; times that say their zone are taken in
      `schema.timezone`, daylight saving included, or in UTC. The absolute time is left out on
      purpose: new rows are always later than the fitted ones, and that alone is no anomaly.

    Then `ColumnScaler`. Attributes after `fit`: `width`; `column_of` (width,), the position in the
    schema of the column that each feature encodes; `medians`, what stands in for a missing number,
    boolean or phase (0 where no column may miss a value); and `scaler`.
    """

    medians: Matrix
    scaler: ColumnScaler

    def __init__(self, schema: Schema, scaling: Scaling) -> None:
        self.schema = schema
        self.scaling: Scaling = scaling

    @property
    def shape(self) -> tuple[int, ...]:
        """(width,): one number for every encoded feature."""
        return (self.width,)

    def fit(self, rows: Rows) -> TableEncoder:
        """Learn levels, cycles, medians and scales from the training rows."""
        self._levels = [_frequent_levels(values) for values in rows.categories]
        self._cycles = covered_cycles(self.schema, rows)
        self._lay_out()
        if not self.width:
            raise InvalidInput(
                "no column carries anything to learn from: dates that cover no whole day, week or "
                "year have no cycle; add a column of numbers or categories"
            )
        matrix = self._matrix(rows)
        self.medians = np.zeros(self._n_values)
        if self._missing_index:
            self.medians = _medians(matrix[:, : self._n_values].astype(np.float64, copy=False))
        size = self._piece
        starts = range(0, len(rows), size)
        self.scaler = ColumnScaler.fit(
            lambda: self._features(matrix[start : start + size] for start in starts),
            self.scaling,
            self._groups,
        )
        return self

    def values(
        self, rows: Rows, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Encode rows as a float32 matrix (n, width), in pieces that a processor's cache holds.

        out: a matrix to fill and return.
        """
        encoded = np.empty((len(rows), self.width), dtype=np.float32) if out is None else out
        filled = 0
        for features in self._features(self._matrix(some) for some in rows.chunks(self._piece)):
            n = len(features)
            self.scaler.apply(features, out=encoded[filled : filled + n])
            filled += n
        return encoded

    def form(self, rows: Rows) -> tuple[tuple[int, ...], npt.DTypeLike]:
        return self.shape, np.float32

    def tensor(self, values: Tensor) -> Tensor:
        return values

    def decode(self, features: npt.NDArray[np.float32]) -> dict[str, Any]:
        """What features (n, width) say in the user's units, by column, except for dates.

        Numbers as float64 (n,), booleans as bool (n,), categories as a list of the most likely
        levels, None for missing and "(other)" for none of the known ones.
        """
        unscaled = self.scaler.invert(features)
        columns: dict[str, Any] = {}
        for i, column in enumerate(self.schema.of_kind("number", "boolean")):
            values = unscaled[:, i]
            columns[column.name] = values >= 0.5 if column.kind == "boolean" else values
        first = self.width - sum(self._n_codes)
        for column, levels in zip(self.schema.of_kind("category"), self._levels, strict=True):
            names = [*levels, "(other)", None]
            likely = unscaled[:, first : first + len(names)].argmax(axis=1)
            columns[column.name] = [names[i] for i in likely]
            first += len(names)
        return {c.name: columns[c.name] for c in self.schema.columns if c.name in columns}

    def state(self) -> dict[str, object]:
        """What was fitted, as `EncoderState` has it."""
        state = EncoderState(
            scaling=self.scaling,
            levels=self._levels,
            cycles=self._cycles,
            medians=self.medians.tolist(),
            center=self.scaler.center.tolist(),
            scale=self.scaler.scale.tolist(),
            constant=self.scaler.constant.tolist(),
            departure=self.scaler.departure,
        )
        return state.model_dump()

    @classmethod
    def from_state(cls, schema: Schema, state: EncoderState) -> TableEncoder:
        """An encoder as it was when `state` was taken. Raises ValueError where it is of another."""
        encoder = cls(schema, state.scaling)
        encoder._levels, encoder._cycles = state.levels, state.cycles
        encoder._lay_out()
        widths = [len(state.center), len(state.scale), len(state.constant)]
        if widths != 3 * [encoder.width] or len(state.medians) != encoder._n_values:
            raise ValueError(f"the encoder's state is not of {encoder.width} features")
        encoder.medians = np.array(state.medians, dtype=np.float64)
        center, scale = np.array(state.center), np.array(state.scale)
        constant = np.array(state.constant, dtype=bool)
        encoder.scaler = ColumnScaler(center, scale, constant, state.departure)
        return encoder

    @property
    def levels(self) -> list[list[str]]:
        """The levels of each category column that have an indicator of their own, in its order."""
        return self._levels

    @property
    def cycles(self) -> list[list[Cycle]]:
        """The cycles of each date column that are encoded, in its order."""
        return self._cycles

    @property
    def varying(self) -> npt.NDArray[np.bool_]:
        return ~self.scaler.constant

    @property
    def numbers(self) -> npt.NDArray[np.bool_]:
        """Which features (width,) are a number of the table, and no phase, level or indicator."""
        kinds = [column.kind for column in self.schema.of_kind("number", "boolean")]
        numbers = np.zeros(self.width, dtype=bool)
        numbers[: len(kinds)] = [kind == "number" for kind in kinds]
        return numbers

    @property
    def unlearned(self) -> list[str]:
        """The category columns of which no level occurred twice in training."""
        columns = self.schema.of_kind("category")
        return [c.name for c, levels in zip(columns, self._levels, strict=True) if not levels]

    def fold(self, by_feature: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Sum values by feature (n, width) into values by the user's columns (n, columns)."""
        if np.array_equal(self.column_of, np.arange(len(self.schema.columns))):
            return by_feature.astype(np.float64)
        by_column = np.zeros((len(by_feature), len(self.schema.columns)))
        np.add.at(by_column.T, self.column_of, by_feature.T.astype(np.float64))
        return by_column

    def _lay_out(self) -> None:
        """Decide which column of the matrix holds what, and which feature comes from where."""
        position = {column.name: i for i, column in enumerate(self.schema.columns)}
        flat = [position[c.name] for c in self.schema.of_kind("number", "boolean")]
        date_columns = self.schema.of_kind("date")
        of_dates = [
            position[column.name]
            for column, cycles in zip(date_columns, self._cycles, strict=True)
            for _ in range(2 * len(cycles))
        ]
        texts = [position[c.name] for c in self.schema.of_kind("category")]
        n_values = len(flat) + len(of_dates)
        n_dates = len(date_columns)
        may_miss = [i for i, c in enumerate(flat) if self.schema.columns[c].nullable] + [
            n_values + i for i, c in enumerate(date_columns) if c.nullable
        ]
        self._n_values = n_values
        self._missing_index = may_miss
        self._code_index = list(range(n_values + n_dates, n_values + n_dates + len(texts)))
        sources = flat + of_dates + [position[c.name] for c in date_columns] + texts
        self._n_codes = [len(levels) + 2 for levels in self._levels]
        column_of = (
            sources[:n_values]
            + [sources[i] for i in may_miss]
            + [c for c, n in zip(texts, self._n_codes, strict=True) for _ in range(n)]
        )
        self.column_of = np.array(column_of, dtype=np.int64)
        self.width = len(column_of)
        shares = np.full(self.width, -1, dtype=np.int64)
        shares[len(flat) : n_values] = self.column_of[len(flat) : n_values]
        shares[n_values + len(may_miss) :] = self.column_of[n_values + len(may_miss) :]
        self._groups = shares

    @property
    def _piece(self) -> int:
        """How many rows are encoded at a time."""
        return max(1, PIECE // max(1, self.width))

    def _features(self, matrices: Iterable[Numbers]) -> Iterator[Matrix]:
        """What the scaler takes (n, width) of each matrix of `_piece` rows at most, in turn.

        Values, indicators, levels; all in the same memory, which may be used up.
        """
        memory = np.empty((self._piece, self.width))
        for matrix in matrices:
            features = memory[: len(matrix)]
            n, first = self._n_values, self.width - sum(self._n_codes)
            values = matrix[:, :n]
            np.copyto(features[:, :n], values)
            if self._missing_index:
                np.copyto(features[:, :n], self.medians, where=np.isnan(values))
                features[:, n:first] = np.isnan(matrix[:, self._missing_index])
            for i, n_codes in zip(self._code_index, self._n_codes, strict=True):
                features[:, first : first + n_codes] = matrix[:, [i]] == np.arange(n_codes)
                first += n_codes
            yield features

    def _matrix(self, rows: Rows) -> Numbers:
        """Rows as one matrix: numbers, phases, times, codes of categories."""
        if not (rows.categories or rows.dates):
            return rows.numbers
        found = phases(self.schema, rows, self._cycles)
        times = [microseconds(moments)[:, None] for moments in rows.dates]
        codes = [
            _codes(values, levels)[:, None]
            for values, levels in zip(rows.categories, self._levels, strict=True)
        ]
        return np.concatenate([rows.numbers, *found, *times, *codes], axis=1)


def _medians(values: Matrix) -> Matrix:
    """The median of each column without its missing values; 0 where there is nothing else."""
    missing = np.isnan(values)
    if not missing.any():
        return np.asarray(np.median(values, axis=0))
    known = (column[~gone] for column, gone in zip(values.T, missing.T, strict=True))
    return np.array([np.median(some) if len(some) else 0.0 for some in known])


def _frequent_levels(values: pa.Array) -> list[str]:
    """The levels that occur twice or more, at most MOST_LEVELS, in alphabetical order."""
    counts = pc.value_counts(values.drop_null())
    pairs = zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)
    frequent = sorted((-count, level) for level, count in pairs if count > 1)
    return sorted(level for _, level in frequent[:MOST_LEVELS])


def _codes(values: pa.Array, levels: list[str]) -> Matrix:
    """Codes (n,): the level's position, len(levels) for any other, one more for missing."""
    known = pc.index_in(values, value_set=pa.array(levels, pa.string()))
    codes = known.fill_null(len(levels)).to_numpy(zero_copy_only=False).astype(np.float64)
    codes[values.is_null().to_numpy(zero_copy_only=False)] = len(levels) + 1
    return np.asarray(codes)
