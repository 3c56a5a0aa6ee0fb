"""Files of rows, as the commands show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import pyarrow as pa

from lampblack.cli.alarms import Alarm, cell_text
from lampblack.cli.kinds import ColumnStyle, Presentation, ToFit
from lampblack.cli.options import (
    DataOptions,
    FitOptions,
    FittedRowOptions,
    KnownOptions,
    LabelOptions,
    ReasonOptions,
)
from lampblack.cli.output import note, say_skipped
from lampblack.data.kind import AnyKind
from lampblack.data.source import Labels
from lampblack.data.tables.files import column_names, read_rows
from lampblack.data.tables.filters import parse_where
from lampblack.data.tables.inputs import CheckedRows
from lampblack.data.tables.kind import KIND
from lampblack.data.tables.labels import LabelColumn
from lampblack.data.tables.layout import RowFormat
from lampblack.data.tables.model_rows import usable_rows
from lampblack.data.tables.names import known_names
from lampblack.data.tables.schema import Schema
from lampblack.data.tables.source import RowSource
from lampblack.data.tables.stored import StoredRows, find_rows, is_large
from lampblack.exceptions import InvalidInput
from lampblack.explanation import TableExplanation
from lampblack.number_text import percent
from lampblack.results import ScoringModel, check_columns

if TYPE_CHECKING:
    from lampblack.report import AlarmShown

MOST_READ = 100_000  # rows, by a diagnosis
MOST_LOOKED_AT = 2000  # rows, by a report
CAUSES = 3  # printed of each alarm
MOST_COLUMNS = 12  # of each alarm in a report
NO_LABEL = "say which column holds the label: --label COLUMN"


@final
class TablePresentation(Presentation):
    """Rows; each alarm names the columns that caused it."""

    kind: ClassVar[AnyKind] = KIND
    plural: ClassVar[str] = "tables"
    here: ClassVar[str] = "this is a file of rows"
    is_given: ClassVar[str] = "is a file of rows"
    most_alarms: ClassVar[int] = 200
    causes: ClassVar[str] = "because of (value; share of the score)"
    key_column: ClassVar[ColumnStyle] = {"justify": "right"}

    def holds(self, path: Path) -> bool:
        return True

    def open(
        self,
        data: Path,
        model: ScoringModel,
        options: DataOptions,
        *,
        labels: Labels | None = None,
        labels_needed: bool = False,
        key: str | None = None,
        to_fit: bool = False,
    ) -> RowSource:
        return RowSource(
            data,
            model.schema,
            row_format=options.format(model.reading),
            choice=options,
            labels=labels,
            key=key,
        )

    def to_fit(
        self, data: Path, rows: FittedRowOptions, known: KnownOptions, options: FitOptions
    ) -> ToFit:
        if known.label is None and known.anomaly:
            raise InvalidInput(NO_LABEL)
        if known.label is None and known.normal:
            raise InvalidInput(f"--normal is for images, and {self.here}; leave it out")
        row_format = rows.format()
        names = column_names(data, row_format)
        if known.label is not None and known.label not in names:
            raise InvalidInput(
                f"--label: there is no column {known.label!r}; there are {names[:20]}"
            )
        chosen = _chosen_columns([name for name in names if name != known.label], names, rows)
        if options.stream and known.label is not None:
            raise InvalidInput("--stream takes normal rows alone; leave --label out, or --stream")
        if options.stream or (options.stream is None and not known.label and is_large(data)):
            samples, y = _stored(data, row_format, chosen, rows), None
        else:
            samples, y = _read(data, row_format, chosen, rows, known)
        types = {name: kind for name, kind in row_format.types.items() if name in chosen}
        return ToFit(
            samples,
            y,
            tuple(name for name in names if name not in chosen),
            {
                **asdict(row_format),
                "delimiter": rows.delimiter,
                "missing": list(row_format.missing),
                "not_missing": list(row_format.not_missing),
                "types": types,
            },
        )

    def joined(self, samples: Sequence[pa.Table]) -> pa.Table:
        return pa.concat_tables(samples)

    def cause(
        self, explanation: TableExplanation, i: int, sample: pa.Table, most: int | None
    ) -> str:
        """The columns that did most to raise a score, with their values in that row."""
        return ", ".join(
            f"{reason.column} ({cell_text(sample.column(reason.column)[0])}; "
            f"{percent(reason.share, 0)})"
            for reason in explanation.top(i, most or CAUSES)
        )

    def reported(
        self, model: Any, alarms: Sequence[Alarm]
    ) -> tuple[list[AlarmShown], dict[str, float]]:
        from lampblack.report import AlarmShown, Expected

        if not alarms:
            return [], {}
        table = self.joined([alarm.shown for alarm in alarms])
        explanation = model.explain(table)
        expected = _named(model.reconstruct(table), model.schema.names)
        shown, shares = [], np.zeros(len(explanation.columns))
        for i, alarm in enumerate(alarms):
            reasons = explanation.top(i, len(explanation.columns))
            for reason in reasons:
                shares[explanation.columns.index(reason.column)] += reason.share / len(alarms)
            cells = [
                Expected(
                    reason.column,
                    cell_text(alarm.shown.column(reason.column)[0]),
                    cell_text(expected.column(reason.column)[i])
                    if reason.column in expected.column_names
                    else "–",
                    reason.share,
                )
                for reason in reasons[:MOST_COLUMNS]
            ]
            shown.append(AlarmShown(alarm.key, alarm.score, alarm.p_value, cells))
        return shown, dict(zip(explanation.columns, shares.tolist(), strict=True))

    def most_read(self, schema: Schema) -> int:
        return MOST_READ

    def most_looked_at(self, schema: Schema) -> int:
        return MOST_LOOKED_AT

    def described(self, schema: Schema) -> list[tuple[str, str]]:
        columns = [
            f"{column.name} ({column.kind}{', may be missing' if column.nullable else ''})"
            for column in schema.columns
        ]
        return [
            (f"columns ({len(columns)})", "\n".join(columns)),
            ("left out", ", ".join(schema.ignored) or "-"),
        ]

    def check_results(self, model: ScoringModel, reasons: ReasonOptions) -> None:
        check_columns(model, reasons.id, reasons.explain)

    def check_labels(self, labels: LabelOptions, *, needed: bool = False) -> None:
        if labels.label is None and (needed or labels.anomaly or labels.normal):
            raise InvalidInput(NO_LABEL)


PRESENTATION = TablePresentation()


def _chosen_columns(inputs: list[str], names: list[str], rows: FittedRowOptions) -> list[str]:
    """What is learned from: of the columns that may be inputs, those that were asked for."""
    columns = list(dict.fromkeys(known_names(rows.columns, inputs, "--columns"))) or inputs
    excluded = known_names(rows.exclude, names, "--exclude")
    chosen = [name for name in columns if name not in excluded]
    if not chosen:
        raise InvalidInput("--columns and --exclude leave no column to learn from")
    if rows.where:
        used = [name for name in parse_where(rows.where, names).columns if name in chosen]
        if used:
            note(
                f"--where uses {', '.join(used)}, which is also learned from; if it is a label, "
                f"add --exclude {','.join(used)}"
            )
    return chosen


def _stored(
    data: Path, row_format: RowFormat, chosen: list[str], rows: FittedRowOptions
) -> StoredRows:
    """Rows that stay in their file."""
    found = find_rows(
        data,
        columns=chosen,
        types=row_format.types,
        where=rows.where,
        missing=row_format.missing,
        not_missing=row_format.not_missing,
        on_bad_row=rows.on_bad_row,
    )
    say_skipped(found.skipped, "row", "skipped")
    return found


def _read(
    data: Path,
    row_format: RowFormat,
    chosen: list[str],
    rows: FittedRowOptions,
    known: KnownOptions,
) -> tuple[Any, Any]:
    """Rows of a file that is read whole, and −1 for each known anomaly, 1 for others."""
    read = read_rows(
        data,
        row_format,
        columns=chosen if known.label is None else [*chosen, known.label],
        where=rows.where,
        on_bad_row=rows.on_bad_row,
    )
    types = {name: column for name, column in read.types.items() if name in chosen}
    schema = Schema.of_table(read.table.select(chosen), types, row_format.nulls)
    checked, table, _, refused = usable_rows(
        data, schema, read.table, read.row_numbers, skip=rows.skip_bad_rows
    )
    say_skipped([*read.skipped, *refused], "row", "skipped")
    y = None
    if known.label is not None:
        labels = LabelColumn(known.label, known.anomaly, known.normal)
        y = np.where(labels.marks(table.column(known.label)), -1, 1)
        labels.check()
    if refused:  # the schema is of fewer rows
        schema = Schema.of_table(table.select(chosen), schema.types, row_format.nulls)
    return CheckedRows(schema, checked), y


def _named(expected: Any, names: Sequence[str]) -> pa.Table:
    """What a model expects, as a table, also where columns have no names."""
    if hasattr(expected, "column_names"):
        return expected
    return pa.table(dict(zip(names, map(pa.array, expected.T), strict=True)))
