"""The images of a folder or file as a stream of batches, whatever command reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lampblack.data.blocks import images_of_block
from lampblack.data.images.folders import ImageSet, Role, find_images
from lampblack.data.images.inputs import check_images
from lampblack.data.images.masks import decode_mask
from lampblack.data.images.schema import ImageSchema
from lampblack.data.images.stored import ArrayImages, FileImages, FileReader
from lampblack.data.source import Batch, Labels, Marks, Positions, Unscored
from lampblack.exceptions import InvalidInput, Place, Remedy, SchemaMismatch, Setting


class ImageSource:
    """The images at a path that a fitted schema takes, a block at a time."""

    noun: ClassVar[str] = "image"
    left_out: ClassVar[str] = "not readable"
    key_name = "image"
    time_name = ""

    def __init__(
        self,
        path: Path,
        schema: ImageSchema,
        *,
        resize: bool = False,
        skip_unreadable: bool = False,
        labels: Labels | None = None,
        labels_needed: bool = False,
        role: Role = "score",
    ) -> None:
        """resize: take images of any size. skip_unreadable: go on past those at fault."""
        self.schema = schema.model_copy(update={"resize": True}) if resize else schema
        self.found = find_images(path, role=role, normal=tuple(labels.normal) if labels else ())
        self.total: int | None = len(self.found)
        self.skipped: list[Unscored] = []
        self._skip = skip_unreadable
        self.is_anomaly: Marks | None = None
        if self.found.labels is not None and self.found.normal:
            self.is_anomaly = ~self.found.is_normal
        elif labels_needed:
            classes = ", ".join(sorted(set(self.found.labels or ()))[:10]) or "none"
            raise InvalidInput(
                "say which class is normal, with ",
                Setting("normal", "NAME"),
                f"; classes found: {classes}",
                at=Place(path),
            )

    def __iter__(self) -> Iterator[Batch]:
        self.skipped.clear()
        size = images_of_block(self.schema.shape)
        if isinstance(self.found.source, list):
            yield from self._of_files(tuple(self.found.source), size)
        else:
            yield from self._of_array(check_images(self.found.source, self.schema), size)

    def check_labels(self) -> None:
        """Nothing: a class that is not there was refused before anything was read."""

    def whole(self) -> ImageSet:
        return self.found

    def mask(self, position: int) -> npt.NDArray[np.bool_] | None:
        """The marked pixels (height, width); none of a normal image, None where it is unknown."""
        found = self.found
        if found.masks is None or self.is_anomaly is None:
            return None
        path = found.masks[position]
        if path is None:
            known = not self.is_anomaly[position]
            return np.zeros((self.schema.height, self.schema.width), dtype=bool) if known else None
        assert isinstance(found.source, list)
        return decode_mask(path, found.source[position], self.schema)

    def _of_array(self, images: ArrayImages | FileImages, size: int) -> Iterator[Batch]:
        first = 0
        for chunk in images.chunks(size):
            yield self._batch(chunk, np.arange(first, first + len(chunk)), [])
            first += len(chunk)

    def _of_files(self, paths: tuple[Path, ...], size: int) -> Iterator[Batch]:
        files = FileImages(paths, self.schema, deep=False)
        reader = FileReader(files)
        blocks = files.positions(size)
        for positions, results in zip(blocks, reader.results(blocks), strict=True):
            good = [i for i, result in enumerate(results) if not isinstance(result, InvalidInput)]
            left = [
                self._left_out(int(positions[i]), results[i])
                for i in range(len(results))
                if i not in good
            ]
            self.skipped += left
            images = ArrayImages(reader.stack([results[i] for i in good]))
            yield self._batch(images, positions[good], left)

    def _left_out(self, position: int, error: InvalidInput) -> Unscored:
        """An image that cannot be read; raises the error where such images are not skipped."""
        if isinstance(error, SchemaMismatch):
            raise error
        if not self._skip:
            going_on = Setting("skip_unreadable", True)
            raise error.with_remedy(Remedy(going_on, " goes on past such images", joint="; "))
        return Unscored(position, self.found.keys[position], str(error))

    def _batch(self, images: ArrayImages, positions: Positions, left: list[Unscored]) -> Batch:
        keys = pa.array([self.found.keys[i] for i in positions], pa.string())
        marks = None if self.is_anomaly is None else self.is_anomaly[positions]
        return Batch(images, images, keys, positions, anomaly=marks, unscored=left)
