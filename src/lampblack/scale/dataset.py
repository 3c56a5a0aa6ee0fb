"""Scores for a `ray.data.Dataset`, wherever Ray reads it from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lampblack.exceptions import InvalidInput
from lampblack.model.folder import load_model
from lampblack.model.model import Model, as_model
from lampblack.results import check_columns, result_columns, score_rows
from lampblack.scale.ray_files import fetched
from lampblack.scale.session import actor_options, import_ray

if TYPE_CHECKING:
    import ray.data

BATCH_ROWS = 16384


class RowScorer:
    """Scores batches of rows with a model that is loaded once, in a process of Ray's."""

    def __init__(self, model: Any, device: str, explain: int, keep: tuple[str, ...] | None) -> None:
        self._detector = fetched(model, device)
        self._explain, self._keep = explain, keep

    def __call__(self, table: pa.Table) -> pa.Table:
        """The kept columns of a batch, with its results."""
        schema = self._detector.schema
        missing = [n for n in (*schema.names, *(self._keep or ())) if n not in table.column_names]
        if missing:
            raise InvalidInput(
                f"the data set has no column {', '.join(missing[:20])}; there are "
                f"{', '.join(table.column_names[:20])}"
            )
        kept = table.column_names if self._keep is None else self._keep
        rows = schema.read_table(table.select(schema.names).replace_schema_metadata(None))
        results = result_columns(
            self._detector, rows, score_rows(self._detector, rows), self._explain
        )
        for name in results.keys() & {*kept}:
            raise InvalidInput(f"the data set has a column {name!r}, as the scores have; rename it")
        return pa.table({**{name: table.column(name) for name in kept}, **results})


def score_dataset(
    model: str | Path | Model,
    dataset: ray.data.Dataset,
    *,
    explain: int = 0,
    keep: Sequence[str] | None = None,
    workers: int = 1,
    device: str = "auto",
) -> ray.data.Dataset:
    """Add anomaly_score, p_value and decision to every row of a data set; lazily, as Ray does.

    model: a folder, or a fitted detector of tables; each of `workers` processes holds it once.
    explain: also the columns that contribute most, this many, and their contributions. keep:
    columns of the data set that the result has; None is all. The model's columns are found by name,
    others are not looked at. Blocks may come in another order, so keep one that names a row.

    Scores are those of the detector itself, wherever a batch begins. A row that the model cannot
    take stops the run (Ray's error ends with this library's line). The caller starts Ray, and
    writes the result, say with `write_parquet`; to score files so that a killed run goes on, use
    `score_files`.
    """
    ray = import_ray()
    detector = load_model(model, device="cpu") if isinstance(model, str | Path) else as_model(model)
    if not detector.kind.many_files:
        what = detector.kind.noun
        raise InvalidInput(
            f"the model was fitted on {what}, and a data set of rows is to be scored"
        )
    check_columns(detector, None, explain)
    kept = None if keep is None else tuple(keep)
    return dataset.map_batches(
        RowScorer,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
        fn_constructor_args=(ray.put(detector), device, explain, kept),
        **actor_options(ray, workers, device),
    )
