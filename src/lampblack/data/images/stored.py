"""Images ready to be learned from: by position, in memory or decoded from files when needed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lampblack.data.images.decoding import decode_file
from lampblack.data.images.remarks import Remarks
from lampblack.data.images.schema import ImageSchema, Pixels, to_unit
from lampblack.data.kind import Advance, InMemory, Split
from lampblack.exceptions import InvalidInput, Remedy, Setting, TrainingError

if TYPE_CHECKING:
    from lampblack.data.images.encoder import ImageEncoder

MOST_WORKERS = 4
AHEAD = 2  # batches that each worker decodes ahead: memory is bounded by workers × AHEAD + 1
FEWEST_FOR_WORKERS = 256  # images below which starting processes takes longer than decoding
IN_MEMORY = 1 << 30  # bytes of decoded images that are kept rather than decoded in every epoch

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ArrayImages(InMemory):
    """Images in memory, or mapped from a file: values (n, channels, height, width)."""

    values: Pixels

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Positions) -> ArrayImages:
        return ArrayImages(self.values[index])

    def chunks(self, size: int) -> Iterator[ArrayImages]:
        for start in range(0, len(self), size):
            yield ArrayImages(self.values[start : start + size])


@dataclass(frozen=True)
class FileImages:
    """Images in files, decoded when they are read; `deep` where some have 16 bits."""

    paths: tuple[Path, ...]
    schema: ImageSchema
    deep: bool

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def n_bytes(self) -> int:
        """Size of all of them decoded."""
        return len(self) * int(np.prod(self.schema.shape)) * (4 if self.deep else 1)

    def take(self, index: Positions) -> FileImages:
        return FileImages(tuple(self.paths[i] for i in index), self.schema, self.deep)

    def chunks(self, size: int) -> Iterator[ArrayImages]:
        yield from FileReader(self).batches(self.positions(size))

    def positions(self, size: int) -> list[Positions]:
        """The positions in order, `size` at a time."""
        every = np.arange(len(self))
        return [every[start : start + size] for start in range(0, len(self), size)]

    @property
    def stored(self) -> bool:
        """Whether they stay in files however many are asked for: small sets do not."""
        return False

    @property
    def to_decode(self) -> int:
        """All of them, where they are then held in memory."""
        return len(self) if self.n_bytes <= IN_MEMORY else 0

    def reader(self, encoder: ImageEncoder) -> FileReader:
        return FileReader(self, encoder)

    def drawn(
        self, split: Split, *, seen: int, least: int, advance: Advance
    ) -> tuple[Images, Split, None]:
        """All of them decoded, where they take up to 1 GiB; else files that are read as needed."""
        return self.in_memory(advance) if self.to_decode else self, split, None

    def in_memory(self, advance: Advance = lambda count: None) -> ArrayImages:
        """All of them decoded. `advance` is told how many more are.

        Raises InvalidInput naming a file at fault.
        """
        values = np.empty((len(self), *self.schema.shape), np.float32 if self.deep else np.uint8)
        filled = 0
        for images in self.chunks(64):
            pixels = to_unit(images.values) if self.deep else images.values
            values[filled : filled + len(images)] = pixels
            filled += len(images)
            advance(len(images))
        return ArrayImages(values)


Images = ArrayImages | FileImages


def joined_images(parts: Sequence[ArrayImages]) -> ArrayImages:
    """Images of one schema, one after the other; bytes stay bytes where all are."""
    if len(parts) == 1:
        return parts[0]
    images = [part.values for part in parts]
    if any(values.dtype != images[0].dtype for values in images):
        images = [to_unit(values) for values in images]  # the same bits as bytes
    return ArrayImages(np.concatenate(images))


class FileReader:
    """Decodes batches of files, ahead of whoever uses them, in processes of its own.

    They are torch's; where torch is not loaded, threads decode.

    At most `MOST_WORKERS × AHEAD + 1` batches are in memory. A few images are decoded in this
    process.
    """

    def __init__(self, images: FileImages, encoder: ImageEncoder | None = None) -> None:
        """encoder: what `read` encodes with."""
        self._images, self._encoder = images, encoder
        self._order: list[list[int]] = []  # exchanged in place between passes of one loader
        self._loader: Any = None
        self._said: set[str] = set()  # once, however often the images are read

    def __len__(self) -> int:
        return len(self._images)

    def batches(self, positions: Sequence[Positions]) -> Iterator[ArrayImages]:
        """The images at each of these positions. Raises InvalidInput naming a file at fault."""
        for results in self.results(positions):
            for result in results:
                if isinstance(result, InvalidInput):
                    raise result
            yield ArrayImages(self.stack(results))

    def read(self, positions: Sequence[Positions]) -> Iterator[Pixels]:
        """The images at each of these positions, as the encoder holds them."""
        assert self._encoder is not None
        for images in self.batches(positions):
            yield self._encoder.values(images)

    def digest(self) -> str:
        """A hash of the files' names, sizes and times of change."""
        facts = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in self._images.paths]
        return hashlib.sha256(repr((facts, self._images.schema)).encode()).hexdigest()

    def stack(self, results: list[Any]) -> Pixels:
        """Decoded images as one array, of bytes unless some have 16 bits."""
        if not results:
            return np.empty((0, *self._images.schema.shape), np.uint8)
        deep = any(values.dtype != np.uint8 for values in results)
        return np.stack([to_unit(values) if deep else values for values in results])

    def results(self, positions: Sequence[Positions]) -> Iterator[list[Any]]:
        """Each image as an array, or the error that says why there is none.

        At the end an ImageWarning says what was not read of some.
        """
        remarks = Remarks()
        for batch, decoded in zip(positions, self._decoded(positions), strict=True):
            for i, (_, said) in zip(batch, decoded, strict=True):
                remarks.add(self._images.paths[i], set(said) - self._said)
            yield [values for values, _ in decoded]
        self._said |= remarks.known
        remarks.warn()

    def _decoded(self, positions: Sequence[Positions]) -> Iterator[list[Any]]:
        """Each image as an array, or an error, and the remarks on it."""
        read = _Read(self._images.paths, self._images.schema)
        if sum(map(len, positions)) < FEWEST_FOR_WORKERS or not _may_start_processes():
            for batch in positions:
                yield [read[i] for i in batch]
            return
        if "torch" not in sys.modules:  # a portable model scores without it
            yield from _decoded_by_threads(read, positions)
            return
        self._order[:] = [batch.tolist() for batch in positions]
        if self._loader is None:
            self._loader = _loader(read, self._order)
        try:
            yield from self._loader
        except RuntimeError as error:
            self._loader = None
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(
                "a process that decodes images was killed; the likely cause is too little memory",
                remedy=(
                    Remedy("use smaller images (", Setting("image_size"), ")", joint=": "),
                    Remedy("close other programs", joint=" or "),
                ),
            ) from None


class _Read:
    """Decodes the file at a position; errors are handed on as values."""

    def __init__(self, paths: Sequence[Path], schema: ImageSchema) -> None:
        self._paths, self._schema = paths, schema

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, position: int) -> Any:
        try:
            return decode_file(self._paths[position], self._schema)
        except InvalidInput as error:
            return error, ()


def _decoded_by_threads(read: _Read, positions: Sequence[Positions]) -> Iterator[list[Any]]:
    """Each image of each batch, one batch decoded ahead; decoders let other threads run."""
    with ThreadPoolExecutor(min(MOST_WORKERS, os.cpu_count() or 1)) as pool:
        ahead: list[Any] | None = None
        for batch in positions:
            after = [pool.submit(read.__getitem__, int(i)) for i in batch]
            if ahead is not None:
                yield [image.result() for image in ahead]
            ahead = after
        if ahead is not None:
            yield [image.result() for image in ahead]


def _loader(read: _Read, order: list[list[int]]) -> Any:
    import torch
    from torch.utils.data import DataLoader

    return DataLoader(
        read,  # type: ignore[arg-type]
        batch_sampler=order,
        collate_fn=list,
        num_workers=min(MOST_WORKERS, os.cpu_count() or 1),
        prefetch_factor=AHEAD,
        persistent_workers=True,
        generator=torch.Generator().manual_seed(0),  # else it draws from the global state
    )


def _may_start_processes() -> bool:
    """Not from a daemon; and only by forking, since any other way imports the caller's script."""
    chosen = multiprocessing.get_start_method(allow_none=True)  # else asking would fix it
    forks = (chosen or multiprocessing.get_all_start_methods()[0]) == "fork"
    return forks and not multiprocessing.current_process().daemon
