"""What the service does with each kind of data: read it, describe it, give reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from lampblack.exceptions import InvalidInput
from lampblack.service import answers, openapi, requests
from lampblack.service.answers import Content
from lampblack.service.body import Upload
from lampblack.service.requests import Received, Wanted
from lampblack.service.settings import ServiceSettings

Positions = npt.NDArray[np.int64]


class Door(NamedTuple):
    """How samples of one kind come in, and how they and their reasons are described.

    json: from a JSON body, the schema, what is wanted, and the most rows. files: from uploads, the
    schema, how the fitted file was written, what is wanted, and the settings. bodies: what is
    taken, by content type. info: what the model takes. reasons: of the chosen samples, from an
    explanation of them, so many at most.
    """

    json: Callable[[bytes, Any, Wanted, int], Received]
    files: Callable[[Sequence[Upload], Any, Mapping[str, Any], Wanted, ServiceSettings], Received]
    bodies: Callable[[Any, ServiceSettings], dict[str, Content]]
    info: Callable[[Any], Content]
    reasons: Callable[[Received, Any, Positions, int], list[Content]]


DOORS: Final[dict[str, Door]] = {
    "table": Door(
        requests.read_json,
        requests.read_rows,
        openapi.bodies_of_rows,
        answers.columns_info,
        answers.reasons,
    ),
    "images": Door(
        requests.refuse_json,
        requests.read_images,
        openapi.bodies_of_images,
        answers.images_info,
        answers.heat_maps,
    ),
}  # by kind of data


def door_of(kind: str) -> Door:
    """The door for a kind of data. Raises InvalidInput where the service has none."""
    if kind not in DOORS:
        raise InvalidInput(f"a model of {kind} cannot be served; score files with it instead")
    return DOORS[kind]
