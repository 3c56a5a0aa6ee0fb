"""Options in groups: a dataclass whose fields are options, spread into a command's signature.

A field carries its type, its `typer.Option` and, where it means something for one kind of data
alone, `For` that kind; its default is the option's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, make_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, NamedTuple, get_args, get_type_hints


@dataclass(frozen=True)
class For:
    """The name of the kind of data that an option has a meaning for."""

    kind: str


class Given(NamedTuple):
    """An option that the user gave a value other than its default."""

    flag: str
    kind: str | None


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Spread the fields of a command's groups into its signature; it is called with the groups."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in signature(command).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and is_dataclass(hint):
            groups[parameter.name] = hint
            parameters += _parameters_of(hint)
        else:
            parameters.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        built = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **built)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def group_from_fields(name: str, options: Iterable[tuple[str, Any, Any]]) -> type[Any]:
    """A group from fields that are written elsewhere: name, annotated type and default of each."""
    return make_dataclass(name, list(options), frozen=True)


def given_options(*groups: Any) -> list[Given]:
    """The options of some groups that were given."""
    found = []
    for group in groups:
        hints = get_type_hints(type(group), include_extras=True)
        for field in fields(group):
            value = getattr(group, field.name)
            if value and value != _default_of(field):
                found.append(Given(_flag_of(field, hints[field.name]), _kind_of(hints[field.name])))
    return found


def _parameters_of(group: type[Any]) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=_default_of(field),
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def _default_of(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return Parameter.empty if field.default is MISSING else field.default


def _kind_of(hint: object) -> str | None:
    return next((each.kind for each in get_args(hint) if isinstance(each, For)), None)


def _flag_of(field: Field[Any], hint: object) -> str:
    """The long flag of an option: the one that it names, or else its field's."""
    option = next(each for each in get_args(hint) if hasattr(each, "param_decls"))
    named = [option.default, *(option.param_decls or ())]
    long = [name for name in named if isinstance(name, str) and name.startswith("--")]
    return long[0].split("/")[0] if long else f"--{field.name.replace('_', '-')}"
