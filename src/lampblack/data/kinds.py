"""The kinds of data there are: one line each, and nothing above `data` names their folders."""

from __future__ import annotations

import importlib

from lampblack.data.kind import AnyKind, Schema
from lampblack.exceptions import InvalidInput

_HOMES: dict[str, str] = {
    "table": "lampblack.data.tables.kind",
    "images": "lampblack.data.images.kind",
}


def kind_named(name: str) -> AnyKind:
    """The kind of data of a name, loaded when first asked for. Raises InvalidInput."""
    if name not in _HOMES:
        raise InvalidInput(f"unknown kind of data {name!r}; use one of {', '.join(_HOMES)}")
    kind: AnyKind = importlib.import_module(_HOMES[name]).KIND
    return kind


def kind_of(schema: Schema) -> AnyKind:
    """The kind of data that a schema describes."""
    return kind_named(schema.kind)


def _shape(X: object) -> tuple[int, ...]:
    """The shape of an array, or of a list of arrays."""
    if isinstance(X, list | tuple) and X and hasattr(X[0], "shape"):
        return (len(X), *X[0].shape)
    return tuple(getattr(X, "shape", ()))


def recognised(X: object) -> AnyKind | None:
    """The kind of data that X can be and no other can; None where nothing shows it."""
    return next((kind for kind in map(kind_named, _HOMES) if kind.recognises(X)), None)


def find_kind(X: object, name: str | None = None) -> AnyKind:
    """The kind of data that X is: the one that is named, or else the only one that X can be.

    Raises InvalidInput for an array of three axes that nothing shows to be of one kind.
    """
    if name is not None:
        return kind_named(name)
    found, shape = recognised(X), _shape(X)
    if found is None and len(shape) == 3:
        raise InvalidInput(
            f"X of shape {shape} does not say what it holds; for grey images in [0, 1] give "
            "kind='images', or pass bytes (uint8)"
        )
    return found or kind_named("table")
