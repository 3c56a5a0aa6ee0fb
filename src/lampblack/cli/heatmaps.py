"""Heat maps as pictures: input, expectation and map side by side, and a sheet of the strongest."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lampblack.cli.alarms import FEW, Strongest
from lampblack.cli.output import number_of
from lampblack.data.images.heat import coloured, peak
from lampblack.data.images.schema import to_unit
from lampblack.data.images.stored import ArrayImages
from lampblack.data.source import Batch
from lampblack.exceptions import InvalidInput
from lampblack.number_text import number
from lampblack.results import ScoredRows

if TYPE_CHECKING:
    from lampblack.model.model import Model

SHEET, IMAGES = "contact-sheet.png", "images"
ON_SHEET = 20  # alarms on the contact sheet
SMALLEST_SIDE = 160  # pixels a side that a panel is enlarged to
GAP = 8
BACKGROUND, INK = (255, 255, 255), (20, 20, 20)

Floats = npt.NDArray[np.float64]


class HeatMaps:
    """Collects maps while images are scored, and draws them when the scale of all is known.

    Until then they lie in a hidden folder beside `folder`, which takes its name at the end; on an
    error it is removed. All maps of a run share one scale, from 0 to the highest of the images' own
    99 % quantiles: a single glaring pixel must not hide everything else.
    """

    def __init__(self, folder: Path, model: Model, keep: Sequence[Path]) -> None:
        """keep: what must not lie in `folder`, nor `folder` in it: data, model, output."""
        self._given, self._model = folder, model
        self._folder = Path(os.path.abspath(folder))
        if self._folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise InvalidInput(f"{folder} is no folder; give the name of a folder for heat maps")
        if folder.is_dir() and any(folder.iterdir()) and not _only_heat_maps(folder):
            raise InvalidInput(f"{folder} holds other files; give a new folder for heat maps")
        if not self._folder.parent.is_dir():
            raise InvalidInput(f"the folder {self._folder.parent} does not exist; create it first")
        place = self._folder.resolve()
        for path in keep:
            other = path.resolve()
            if place == other or place in other.parents or other in place.parents:
                raise InvalidInput(f"{folder} and {path} lie in each other; choose another folder")

    def __enter__(self) -> HeatMaps:
        name = f".{self._folder.name}.{secrets.token_hex(4)}.part"
        self._beside = self._folder.parent / name
        self._raw = self._beside / ".raw"
        try:
            self._raw.mkdir(parents=True)
        except OSError as error:
            raise InvalidInput(f"{self._folder} cannot be written: {error.strerror}") from None
        self._keys: list[str] = []
        self._scores: list[float] = []
        self._top = 0.0
        self._strongest, self._highest = Strongest[int](ON_SHEET), Strongest[int](FEW)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._beside, ignore_errors=True)

    def add(self, batch: Batch, scored: ScoredRows) -> None:
        """Explain a batch, and keep what its pictures are drawn from."""
        if not len(batch):
            return
        images: ArrayImages = batch.samples
        blame = self._model.explain(images).blame()  # (n, h, w)
        expected = self._model.reconstruct(images)  # (n, channels, h, w)
        first = len(self._keys)
        self._keys += batch.keys.to_pylist()
        self._top = max(self._top, peak(blame))
        self._strongest.add(scored.anomaly_score, scored.alarm, lambda i: first + i)
        self._highest.add(scored.anomaly_score, scored.alarm | True, lambda i: first + i)
        self._scores += scored.anomaly_score.tolist()
        for i in range(len(batch)):
            np.savez(
                self._raw / f"{first + i}.npz",
                image=_bytes(to_unit(images.values[i : i + 1])[0]),
                expected=_bytes(expected[i]),
                blame=blame[i].astype(np.float32),
            )

    def finish(self) -> str:
        """Draw every map and the contact sheet, and give the folder its name; says so."""
        panels: dict[int, Image.Image] = {}
        alarms = self._strongest.items()
        on_sheet = alarms or self._highest.items()
        for position, key in enumerate(self._keys):
            raw = self._raw / f"{position}.npz"
            with np.load(raw) as values:
                picture = _side_by_side(
                    values["image"], values["expected"], coloured(values["blame"], self._top)
                )
            raw.unlink()
            file = self._beside / IMAGES / Path(key).with_suffix(".png")
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.save(file)
            if position in on_sheet:
                panels[position] = picture
        self._raw.rmdir()
        captions = [(self._keys[i], self._scores[i]) for i in on_sheet]
        pictures = [panels[i] for i in on_sheet]
        what = number_of(len(on_sheet), "strongest alarm" if alarms else "highest score")
        threshold = number(self._model.calibration.threshold)
        title = f"{'' if alarms else 'no alarm; '}{what}, threshold {threshold}"
        _sheet(pictures, captions, title).save(self._beside / SHEET)
        former = self._beside.with_suffix(".old")
        if self._folder.is_dir():
            self._folder.rename(former)
        self._beside.rename(self._folder)
        shutil.rmtree(former, ignore_errors=True)
        maps = number_of(len(self._keys), "heat map")
        return f"wrote {maps} and {SHEET} to {self._given}"


def pictures_of(
    images: ArrayImages, expected: npt.NDArray[np.float32], blame: Floats
) -> list[Image.Image]:
    """Image, expectation and map side by side, of each image, on one scale for all."""
    top = peak(blame)
    return [
        _side_by_side(
            _bytes(to_unit(images.values[i : i + 1])[0]),
            _bytes(expected[i]),
            coloured(blame[i].astype(np.float32), top),
        )
        for i in range(len(images))
    ]


def _only_heat_maps(folder: Path) -> bool:
    """Whether a folder is what an earlier run wrote, and nothing else."""
    if {entry.name for entry in folder.iterdir()} - {SHEET, IMAGES}:
        return False
    inside = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    return all(path.suffix == ".png" and not path.is_symlink() for path in inside)


def _bytes(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """An image (channels, h, w) in [0, 1] as (h, w, 3) bytes; the first three are its colours."""
    shown = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    return np.asarray(np.rint(shown.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def _side_by_side(*panels: npt.NDArray[np.uint8]) -> Image.Image:
    """Panels (h, w, 3) in a row, small ones enlarged without smoothing."""
    height, width, _ = panels[0].shape
    scale = max(1, -(-SMALLEST_SIDE // max(height, width)))
    size = (width * scale, height * scale)
    row = Image.new("RGB", (3 * size[0] + 2 * GAP, size[1]), BACKGROUND)
    for i, panel in enumerate(panels):
        enlarged = Image.fromarray(panel).resize(size, Image.Resampling.NEAREST)
        row.paste(enlarged, (i * (size[0] + GAP), 0))
    return row


def _sheet(
    pictures: list[Image.Image], captions: list[tuple[str, float]], title: str
) -> Image.Image:
    """The strongest in two columns below the title, each under its name and score."""
    font = ImageFont.load_default(14)
    width, height = pictures[0].size
    columns = 1 if len(pictures) == 1 else 2
    line = 20
    step = height + line + 2 * GAP
    head = 2 * line + GAP
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + 3 * GAP) + GAP, head + rows * step), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, INK, font)
    draw.text(
        (GAP, GAP + line), "each: image, what was expected, what answers for the score", INK, font
    )
    for i, (picture, (key, score)) in enumerate(zip(pictures, captions, strict=True)):
        x = GAP + (i % columns) * (width + 3 * GAP)
        y = head + (i // columns) * step
        draw.text((x, y), _shortened(f"{key}  {number(score)}", width, font), INK, font)
        sheet.paste(picture, (x, y + line))
    return sheet


def _shortened(text: str, width: int, font: Any) -> str:
    """A text cut at its start until it fits into so many pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = "…" + text[2:] if text.startswith("…") else "…" + text[1:]
    return text
