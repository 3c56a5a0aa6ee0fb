"""Options of `lampblack fit` that are parameters of detectors, drawn from where those are written.

A parameter with a flag is an option of that name. Its help is the first sentence of what the
parameter means; what it is when it is not given is the detector's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

import typer

from lampblack.cli.groups import For, group_from_fields
from lampblack.exceptions import InvalidInput
from lampblack.model.methods import RECIPES
from lampblack.model.parameters import About, about, choices_of, hints_of, options_of

DETECTORS = sorted(name.removesuffix("Detector").lower() for name in RECIPES)
OFF = "none"  # None where it is a choice of its own, rather than "as the data ask"
SIMPLE = (bool, int, float, str)


def given_parameters(training: Training) -> dict[str, Any]:
    """The parameters that were given, as a detector's constructor takes them."""
    given = {
        name: value
        for name, value in vars(training).items()
        if value is not None and value is not False
    }
    if {"contamination", "false_alarm_rate"} <= given.keys():
        raise InvalidInput("--contamination promises no false-alarm rate; give one of the two")
    return {name: None if value == OFF else value for name, value in given.items()}


def _fields() -> Iterator[tuple[str, Any, Any]]:
    """Every parameter that has a flag: name, annotated type and default."""
    classes = [recipe.parameters for recipe in RECIPES.values()]
    for name in dict.fromkeys(name for cls in classes for name in cls.__dataclass_fields__):
        owners = [cls for cls in classes if name in cls.__dataclass_fields__]
        known = [cls.__dataclass_fields__[name] for cls in owners]
        told = about(known[0])
        if told.flag is not None:
            usual = {(each.default, tuple(about(each).by_kind.items())) for each in known}
            option = typer.Option(
                f"--{told.flag}", help=_help(told, list(usual)), show_default=False
            )
            hint = _type(hints_of(owners[0])[name], told)
            only = [] if told.only is None else [For(told.only)]
            yield name, _annotated(hint, option, *only), False if hint is bool else None


def _annotated(hint: object, *metadata: object) -> Any:
    return Annotated[(hint if hint is bool else Union[hint, None], *metadata)]  # noqa: UP007


def _type(hint: object, told: About) -> Any:
    """What the command line takes for a parameter of this type."""
    choices = choices_of(hint)
    if not choices:
        return next(option for option in options_of(hint) if option in SIMPLE)
    off = (OFF,) if NoneType in options_of(hint) and not told.by_kind else ()
    return Literal[(*off, *choices)]


def _help(told: About, usual: list[tuple[object, object]]) -> str:
    """The first sentence, and the default where every detector has the same."""
    first = told.meaning.partition(". ")[0].removesuffix(".") + "."
    if len(usual) > 1:
        return f"{first} [default: detector's]"
    ((default, _),) = usual
    return first if default is None or default is False else f"{first} [default: {default}]"


if TYPE_CHECKING:
    DetectorName = str

    class Training:
        """Parameters of a detector, by their names; None where the user did not say."""

else:
    DetectorName = Literal[tuple(DETECTORS)]
    Training = group_from_fields("Training", _fields())
