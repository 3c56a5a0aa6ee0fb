"""Options in groups, spread into the signature of a command."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_type_hints

import pytest
import typer
from typer.testing import CliRunner

from lampblack.cli.groups import For, Given, given_options, group_from_fields, spread
from lampblack.cli.training import Training, given_parameters
from lampblack.exceptions import InvalidInput
from lampblack.model.methods import RECIPES
from lampblack.model.parameters import about


@dataclass(frozen=True)
class Speed:
    limit: Annotated[int | None, typer.Option(min=1, help="The limit.")] = None
    unit: Annotated[Literal["km", "mile"], typer.Option("--unit", "-u"), For("roads")] = "km"
    exempt: Annotated[list[str], typer.Option(), For("rails")] = field(default_factory=list)


@dataclass(frozen=True)
class Slow(Speed):
    unit: Annotated[Literal["mile"], typer.Option()] = "mile"


def command_with(group: type[Any]) -> tuple[typer.Typer, list[Any]]:
    """A command with a group between two options of its own, and what it is called with."""
    app, calls = typer.Typer(), []

    def drive(first: int = 1, *, speed: Any, last: bool = False) -> None:
        calls.append((first, speed, last))

    drive.__annotations__["speed"] = group
    app.command()(spread(drive))
    return app, calls


def test_a_command_is_called_with_the_group_that_its_options_make() -> None:
    app, calls = command_with(Speed)
    arguments = ["--limit", "50", "-u", "mile", "--exempt", "a", "--exempt", "b", "--last"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert CliRunner().invoke(app, []).exit_code == 0
    assert calls == [(1, Speed(50, "mile", ["a", "b"]), True), (1, Speed(), False)]


@pytest.mark.parametrize("arguments", [["--unit", "m"], ["--limit", "0"], ["--speed", "1"]])
def test_what_a_field_does_not_take_is_refused(arguments: list[str]) -> None:
    app, calls = command_with(Speed)
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert calls == []


def test_options_stand_where_their_group_does_and_a_subclass_keeps_their_order() -> None:
    for group in (Speed, Slow):
        app, _ = command_with(group)
        (command,) = app.registered_commands
        names = list(inspect.signature(command.callback).parameters)
        assert names == ["first", "limit", "unit", "exempt", "last"]


def test_only_options_other_than_their_default_were_given() -> None:
    assert given_options(Speed()) == []
    assert given_options(Speed(30, "mile"), Speed(exempt=["x"])) == [
        Given("--limit", None),
        Given("--unit", "roads"),
        Given("--exempt", "rails"),
    ]


def test_a_group_is_made_of_fields_written_elsewhere() -> None:
    made = group_from_fields(
        "Made",
        [
            ("limit", Annotated[int | None, typer.Option(help="The limit.")], None),
            ("unit", Annotated[str, typer.Option("--in"), For("roads")], "km"),
        ],
    )
    app, calls = command_with(made)
    assert CliRunner().invoke(app, ["--limit", "3", "--in", "mile"]).exit_code == 0
    assert calls == [(1, made(limit=3, unit="mile"), False)]
    assert given_options(calls[0][1]) == [Given("--limit", None), Given("--in", "roads")]


def test_every_parameter_with_a_flag_is_an_option_of_fit() -> None:
    options = get_type_hints(Training, include_extras=True)
    written = {}
    for recipe in RECIPES.values():
        for name, known in recipe.parameters.__dataclass_fields__.items():
            if about(known).flag is not None:
                written[name] = about(known)
    assert options.keys() == written.keys()
    for name, told in written.items():
        option = next(each for each in get_args(options[name]) if hasattr(each, "help"))
        assert option.default == f"--{told.flag}"
        first = option.help.partition(" [default")[0]
        assert told.meaning.startswith(first)


def test_what_is_not_given_is_left_to_the_detector_and_none_is_a_choice() -> None:
    assert given_parameters(Training()) == {}
    told = Training(amplification="none", random_state=0, latent_weight=0.0, early_stopping=True)
    assert given_parameters(told) == {
        "amplification": None,
        "random_state": 0,
        "latent_weight": 0.0,
        "early_stopping": True,
    }
    with pytest.raises(InvalidInput, match="give one of the two"):
        given_parameters(Training(contamination=0.1, false_alarm_rate=0.1))
