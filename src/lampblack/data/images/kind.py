"""Images as a kind of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from lampblack.data.blocks import images_of_block
from lampblack.data.images.encoder import FEATURES, ImageEncoder
from lampblack.data.images.folders import holds_images
from lampblack.data.images.inputs import are_images, check_images
from lampblack.data.images.learning import learn_images
from lampblack.data.images.schema import ImageSchema, to_unit
from lampblack.data.images.stored import ArrayImages, Images, joined_images
from lampblack.data.kind import Array, Kind
from lampblack.exceptions import SchemaMismatch
from lampblack.explanation import ImageExplanation

IMAGES_OF_GRAPH, PIXELS_OF_GRAPH = 8, 1 << 18  # images through a graph at a time, values at most
WHITES = {"uint8": 255, "uint16": 65535}
MOST_PIXELS_A_STEP = 1 << 18
FEWEST_A_STEP = 16


@final
class ImagesKind(Kind[ImageSchema, Images, ImageEncoder]):
    """Images of one size, grey or in colour."""

    name: ClassVar[str] = "images"
    noun: ClassVar[str] = "images"
    described: ClassVar[str] = "images"
    example: ClassVar[str] = "photos/"
    unit: ClassVar[str] = "image"
    many_files: ClassVar[bool] = False
    a_turn: ClassVar[int] = 64
    parts: ClassVar[str] = "pixels"

    def recognises(self, X: object) -> bool:
        """An array of four axes, bytes of three, paths, Pillow's images, a folder."""
        return are_images(X)

    def learn(self, X: object, parameters: Any, detector: str) -> tuple[ImageSchema, Images]:
        """The schema and the images, at least 2; `parameters.image_size` brings all to one size.

        For a frozen network, sizes may differ, and large images are reduced.
        """
        return learn_images(X, parameters.image_size, reduce=parameters.features is not None)

    def check(self, X: object, schema: ImageSchema, detector: str) -> Images:
        if not are_images(X, told=True):
            raise SchemaMismatch(
                f"{detector} was fitted on images of shape {schema.shape}, and X is none; "
                "pass (n, channels, height, width), paths or PIL images"
            )
        return check_images(X, schema)

    def encoder(self, schema: ImageSchema, parameters: Any) -> ImageEncoder:
        if parameters.features is None:
            return ImageEncoder(schema)
        from lampblack.data.images.features import FeatureMaps

        maps = FeatureMaps(schema.height, schema.width)
        maps.load_published()
        return ImageEncoder(schema, maps)

    def encoder_from_state(self, schema: ImageSchema, state: object) -> ImageEncoder:
        """Its frozen network, where there is one, is of the right shape and has no weights yet."""
        if not state:
            return ImageEncoder(schema)
        if state != {"features": FEATURES}:
            raise ValueError("an encoder of images has no such state")
        from lampblack.data.images.features import FeatureMaps

        return ImageEncoder(schema, FeatureMaps(schema.height, schema.width))

    def read_schema(self, content: object) -> ImageSchema:
        return ImageSchema.model_validate(content)

    def blank(self, schema: ImageSchema) -> ArrayImages:
        return ArrayImages(np.zeros((1, *schema.shape), np.uint8))

    def joined(self, parts: Sequence[Images]) -> ArrayImages:
        return joined_images([part.in_memory() for part in parts])

    def sliced(self, samples: Images, start: int, stop: int) -> ArrayImages:
        return ArrayImages(samples.in_memory().values[start:stop])

    def block_size(self, shape: tuple[int, ...]) -> int:
        return images_of_block(shape)

    def explanation(self, schema: ImageSchema, parts: Mapping[str, Any]) -> ImageExplanation:
        return ImageExplanation(**parts)

    def reconstructed(
        self, encoder: ImageEncoder, features: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """(n, channels, height, width), mostly in [0, 1]; or maps (n, features, h, w)."""
        return features

    def part_name(self, schema: ImageSchema, position: int) -> str:
        row, column = divmod(position, schema.width)
        return f"the pixel in column {column}, row {row}"

    def described_schema(self, schema: ImageSchema) -> str:
        others = "brought to this size" if schema.resize else "refused"
        return (
            f"## Images\n\n{schema.channels} x {schema.height} x {schema.width} (channels, height, "
            f"width); images of another size are {others}."
        )

    def graph_block(self, schema: ImageSchema) -> int:
        return min(IMAGES_OF_GRAPH, max(1, PIXELS_OF_GRAPH // schema.n_features))

    def graph_inputs(
        self,
        schema: ImageSchema,
        samples: Images,
        texts: tuple[str, str] | None,
        cycles: Sequence[Sequence[Any]],
    ) -> dict[str, Array]:
        """Images as float32, not yet brought to [0, 1], and the value of white."""
        values = samples.in_memory().values
        white = WHITES.get(values.dtype.name)
        if white is None:
            return {"images": to_unit(values), "white": np.ones(1, np.float32)}
        return {"images": values.astype(np.float32), "white": np.array([white], np.float32)}

    def fitting_batch(self, schema: ImageSchema, batch_size: int) -> int:
        """Fewer a step where images are large: 64 of 64×64 pixels, 16 of 128×128 and above."""
        return min(
            batch_size, max(FEWEST_A_STEP, MOST_PIXELS_A_STEP // (schema.height * schema.width))
        )

    def holds(self, path: Path) -> bool:
        return holds_images(path)


KIND = ImagesKind()
