"""What a graph begins with, for each kind of data: its inputs and what is done to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from lampblack.data.images.encoder import ImageEncoder
from lampblack.data.images.stored import ArrayImages
from lampblack.data.names import listed
from lampblack.data.tables.encoder import TableEncoder
from lampblack.data.tables.schema import Rows, the_one
from lampblack.exceptions import ExportError, Remedy, Setting
from lampblack.export.preprocessing import ImagePreprocessing, TablePreprocessing, n_of_dates

NUMBERS, DATES, CODES, CATEGORIES = "numbers", "dates", "codes", "categories"
IMAGES, WHITE = "images", "white"
TRACED = 3  # samples with which the module is traced; one or two could be taken for a constant
ROWS_MADE_UP, IMAGES_MADE_UP = 256, 16
YEARS_MADE_UP = 30 * 365 * 86_400  # seconds


@dataclass(frozen=True)
class Beginning:
    """Of an encoder: what a graph cannot hold, its first module, its inputs, samples, levels.

    refuse: raises ExportError, naming columns. module: from inputs to encoded samples. examples:
    inputs by name. made_up: checked samples, some near those that were fitted, some far, with every
    kind of value. levels: of each category column, for texts that come in front. cycles: of each
    column of dates.
    """

    refuse: Callable[[Any], None]
    module: Callable[[Any], nn.Module]
    examples: Callable[[Any], dict[str, Tensor]]
    made_up: Callable[[Any], Any]
    levels: Callable[[Any], list[list[str]]]
    cycles: Callable[[Any], list[list[Any]]]


def _refuse_columns(encoder: TableEncoder) -> None:
    """Raise ExportError, naming the columns, for text of which no value repeats."""
    for names, what in ((encoder.unlearned, "text of which no value repeats"),):
        if names:
            verb = "holds" if len(names) == 1 else "hold"
            raise ExportError(
                f"{listed(names)} {verb} {what}, which a portable model cannot take",
                names=the_one(names),
                remedy=(
                    Remedy("fit again without (", Setting("exclude", names), ")"),
                    "score with the model folder",
                ),
            )


def _examples_of_rows(encoder: TableEncoder) -> dict[str, Tensor]:
    inputs = {}
    numbers = len(encoder.schema.of_kind("number", "boolean"))
    if numbers:
        inputs[NUMBERS] = torch.from_numpy(np.zeros((TRACED, numbers)))
    if encoder.cycles:
        inputs[DATES] = torch.zeros(TRACED, n_of_dates(encoder), dtype=torch.float64)
    if encoder.levels:
        inputs[CODES] = torch.zeros(TRACED, len(encoder.levels), dtype=torch.int64)
    return inputs


def _examples_of_images(encoder: ImageEncoder) -> dict[str, Tensor]:
    return {IMAGES: torch.zeros(TRACED, *encoder.schema.shape), WHITE: torch.ones(1)}


def _made_up_images(encoder: ImageEncoder) -> ArrayImages:
    rng = np.random.default_rng(0)
    shape = (IMAGES_MADE_UP, *encoder.schema.shape)
    noise = rng.random(shape) * rng.random((IMAGES_MADE_UP, 1, 1, 1))
    flat = np.broadcast_to(rng.random((IMAGES_MADE_UP, encoder.schema.channels, 1, 1)), shape)
    mixed = np.where(rng.random((IMAGES_MADE_UP, 1, 1, 1)) < 0.5, noise, (flat + noise) / 2)
    return ArrayImages((255 * mixed).astype(np.uint8))


def _made_up_rows(encoder: TableEncoder) -> Rows:
    rng, n = np.random.default_rng(0), ROWS_MADE_UP
    flat = encoder.schema.of_kind("number", "boolean")
    scaler, d = encoder.scaler, len(flat)
    reach = np.where(rng.random((n, 1)) < 0.5, 1.0, 10.0 ** rng.uniform(0, 4, (n, 1)))
    numbers = scaler.center[:d] + reach * scaler.scale[:d] * rng.normal(size=(n, d))
    for i, column in enumerate(flat):
        if column.kind == "boolean":
            numbers[:, i] = rng.random(n) < 0.5
        elif scaler.constant[i]:
            numbers[rng.random(n) < 0.9, i] = scaler.center[i]
        if column.nullable:
            numbers[rng.random(n) < 0.2, i] = np.nan
    categories = []
    for column, levels in zip(encoder.schema.of_kind("category"), encoder.levels, strict=True):
        values = [*levels, "never seen", *([None] if column.nullable else [])]
        categories.append(pa.array([values[i] for i in rng.integers(len(values), size=n)]))
    dates = []
    for column in encoder.schema.of_kind("date"):
        moments = (rng.random(n) * YEARS_MADE_UP).astype("timedelta64[s]") + np.datetime64("2000")
        moments = moments.astype("datetime64[us]")
        if column.nullable:
            moments[rng.random(n) < 0.2] = np.datetime64("NaT")
        dates.append(moments)
    return Rows(numbers, tuple(categories), tuple(dates))


BEGINNINGS: Final[dict[str, Beginning]] = {
    "table": Beginning(
        _refuse_columns,
        TablePreprocessing,
        _examples_of_rows,
        _made_up_rows,
        lambda encoder: encoder.levels,
        lambda encoder: encoder.cycles,
    ),
    "images": Beginning(
        lambda encoder: None,
        ImagePreprocessing,
        _examples_of_images,
        _made_up_images,
        lambda encoder: [],
        lambda encoder: [],
    ),
}  # by kind of data
