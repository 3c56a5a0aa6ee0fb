"""Folders and files of images, as the commands show them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from PIL import Image

from lampblack.cli.alarms import Alarm
from lampblack.cli.heatmaps import HeatMaps, pictures_of
from lampblack.cli.kinds import ColumnStyle, Pictures, Presentation, ToFit
from lampblack.cli.models import as_explaining
from lampblack.cli.options import (
    DataOptions,
    FitOptions,
    FittedRowOptions,
    KnownOptions,
    ReasonOptions,
)
from lampblack.cli.output import note
from lampblack.data.images.folders import find_images, holds_images
from lampblack.data.images.kind import KIND
from lampblack.data.images.schema import ImageSchema
from lampblack.data.images.source import ImageSource
from lampblack.data.images.stored import ArrayImages, joined_images
from lampblack.data.kind import AnyKind
from lampblack.data.source import Batch, Labels
from lampblack.evaluation import evaluate_pixels
from lampblack.explanation import Explanation
from lampblack.results import ScoringModel

if TYPE_CHECKING:
    from lampblack.report import AlarmShown

NOTHING = "mark nothing of an anomaly, and which the figures over pixels leave out"
ALL = "mark every pixel of an anomaly"
MOST = "mark more than half of an anomaly, as inverted ones do"
NORMAL = "mark something of a normal image"
MOST_READ = 1 << 27  # values of images that a diagnosis reads
MOST_LOOKED_AT = 200  # images, by a report
MOST_VALUES = 1 << 26  # of those images, 256 MiB


@final
class ImagePresentation(Presentation):
    """Images; each alarm names the place that caused it, and has a heat map."""

    kind: ClassVar[AnyKind] = KIND
    plural: ClassVar[str] = "images"
    here: ClassVar[str] = "these are images"
    is_given: ClassVar[str] = "holds images"
    most_alarms: ClassVar[int] = 24
    causes: ClassVar[str] = "strongest at (column, row)"
    key_column: ClassVar[ColumnStyle] = {"justify": "left", "overflow": "fold"}

    def holds(self, path: Path) -> bool:
        return holds_images(path)

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
    ) -> ImageSource:
        return ImageSource(
            data,
            model.schema,
            resize=options.resize,
            skip_unreadable=options.skip_unreadable,
            labels=labels,
            labels_needed=labels_needed,
            role="fit" if to_fit else "score",
        )

    def to_fit(
        self, data: Path, rows: FittedRowOptions, known: KnownOptions, options: FitOptions
    ) -> ToFit:
        found = find_images(data, role="fit", normal=known.normal, anomalous=known.anomaly)
        return ToFit(found, np.where(found.is_normal, 1, -1) if known.anomaly else None)

    def joined(self, samples: Sequence[ArrayImages]) -> ArrayImages:
        return joined_images(samples)

    def cause(self, explanation: Explanation, i: int, sample: object, most: int | None) -> str:
        """Column and row of the pixel that answers for most of the score."""
        blame = explanation.blame()[i]
        row, column = np.unravel_index(int(blame.argmax()), blame.shape)
        return f"{column}, {row}"

    def reported(
        self, model: Any, alarms: Sequence[Alarm]
    ) -> tuple[list[AlarmShown], dict[str, float]]:
        from lampblack.report import AlarmShown

        if not alarms:
            return [], {}
        images = self.joined([alarm.shown for alarm in alarms])
        drawn = pictures_of(images, model.reconstruct(images), model.explain(images).blame())
        return [
            AlarmShown(alarm.key, alarm.score, alarm.p_value, picture=_png(picture))
            for alarm, picture in zip(alarms, drawn, strict=True)
        ], {}

    def most_read(self, schema: ImageSchema) -> int:
        return max(2, MOST_READ // math.prod(schema.shape))

    def most_looked_at(self, schema: ImageSchema) -> int:
        return min(MOST_LOOKED_AT, max(2, MOST_VALUES // math.prod(schema.shape)))

    def described(self, schema: ImageSchema) -> list[tuple[str, str]]:
        size = f"{schema.width}×{schema.height} pixels, {schema.channels} channels"
        return [("images", size + (", others resized" if schema.resize else ""))]

    def pictures(
        self, model: ScoringModel, reasons: ReasonOptions, keep: Sequence[Path]
    ) -> AbstractContextManager[Pictures | None]:
        explaining = as_explaining(model)
        if reasons.heatmaps is None or explaining is None:
            return nullcontext()
        return HeatMaps(reasons.heatmaps, explaining, keep)

    def slow_checks(self) -> tuple[str, ...]:
        from lampblack.diagnostics.checks import FAR

        return (FAR,)

    def hint(self, model: ScoringModel, reasons: ReasonOptions) -> str:
        maps = as_explaining(model) is not None and reasons.heatmaps is None
        return ", --heatmaps FOLDER for maps" if maps else ""

    def part_figures(
        self, model: ScoringModel, path: Path, source: ImageSource
    ) -> PixelFigures | None:
        masks = source.found.masks
        explaining = as_explaining(model)
        if masks is None:
            return None
        if explaining is None:
            note(f"{path} is a portable model, which draws no maps to compare with the masks")
            return None
        return PixelFigures(explaining, source)


class PixelFigures:
    """Compares maps with the masks of a folder."""

    def __init__(self, model: Any, source: ImageSource) -> None:
        self._model, self._source = model, source
        self._maps: list[npt.NDArray[np.float32]] = []
        self._masks: list[npt.NDArray[np.bool_]] = []
        self._odd: dict[str, list[str]] = {}

    def add(self, batch: Batch) -> None:
        if not len(batch):
            return
        maps = np.asarray(self._model.explain(batch.samples))
        for position, values in zip(batch.positions, maps, strict=True):
            mask = self._source.mask(int(position))
            if mask is None:
                continue
            odd = self._oddity(int(position), mask)
            if odd:
                self._odd.setdefault(odd, []).append(self._source.found.keys[position])
            if odd != NOTHING:
                self._maps.append(values.astype(np.float32))
                self._masks.append(mask)

    def _oddity(self, position: int, mask: npt.NDArray[np.bool_]) -> str | None:
        """What is to be noted of a mask."""
        is_anomaly, share = self._source.is_anomaly, mask.mean()
        assert is_anomaly is not None
        if not is_anomaly[position]:
            return NORMAL if share else None
        if share in (0, 1):
            return ALL if share else NOTHING
        return MOST if share > 0.5 else None

    def figures(self) -> Mapping[str, object]:
        """AUROC over pixels and AUPRO; anomalies without a mark are left out, and counted.

        Masks that are odd are noted; where no pixel is marked, or every one, there are no figures.
        """
        is_anomaly, masks = self._source.is_anomaly, self._source.found.masks
        assert is_anomaly is not None
        assert masks is not None
        unmarked = int((is_anomaly & np.array([mask is None for mask in masks])).sum())
        if unmarked:
            note(
                f"{unmarked} of {is_anomaly.sum()} anomalies have no mask; the figures over pixels "
                "leave them out"
            )
        for odd, keys in self._odd.items():
            first = keys[0] if len(keys) == 1 else f"{keys[0]} first"
            note(f"masks that {odd}: {len(keys):,} ({first})")
        if not self._maps:
            return {}
        marked = any(mask.any() for mask in self._masks)
        if not marked or all(mask.all() for mask in self._masks):
            which = "every pixel is" if marked else "no pixel is"
            note(f"{which} marked in the masks; there are no figures over pixels")
            return {}
        return dict(evaluate_pixels(np.array(self._maps), np.array(self._masks)))


PRESENTATION = ImagePresentation()


def _png(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
