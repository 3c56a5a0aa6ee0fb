"""Errors as data: what, where and remedies, written by Python and by the command line."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import lampblack
from lampblack import exceptions
from lampblack.cli.errors import as_option, in_options
from lampblack.cli.main import app
from lampblack.exceptions import (
    SKIP_BAD_ROWS,
    InvalidInput,
    LampblackError,
    MissingExtra,
    Place,
    Remedy,
    SchemaMismatch,
    Setting,
)

SOURCE = Path(lampblack.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z]")


def modules(*, of_commands: bool) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE)
        if of_commands or name.parts[0] != "cli":
            yield str(name), ast.parse(path.read_text(encoding="utf-8"))


def options_of_commands() -> set[str]:
    command = get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    parameters = [p for each in command.commands.values() for p in each.params]
    return {option for p in parameters for option in (*p.opts, *p.secondary_opts)}


def test_only_the_command_line_names_its_options() -> None:
    texts = [
        (name, node.value)
        for name, tree in modules(of_commands=False)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(texts) > 1000
    named = [text for text in texts if OPTION.search(text[1]) and "torchrun" not in text[1]]
    assert named == []  # torchrun has options of its own


def test_every_setting_that_an_error_means_is_an_option() -> None:
    settings = {
        node.args[0].value
        for _, tree in modules(of_commands=True)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Setting"
        and isinstance(node.args[0], ast.Constant)
    }
    assert {"on_bad_row", "types", "image_size", "token_file"} <= settings
    unknown = {as_option(Setting(name)) for name in settings} - options_of_commands()
    assert unknown <= {"--header"}  # of which only the other value is an option
    assert as_option(Setting("header", False)) in options_of_commands()


@pytest.mark.parametrize(
    ("setting", "python", "command"),
    [
        (Setting("exclude"), "exclude", "--exclude"),
        (Setting("image_size", 256), "image_size=256", "--image-size 256"),
        (Setting("header", False), "header=False", "--no-header"),
        (Setting("resize", True), "resize=True", "--resize"),
        (Setting("types", {"a": "date"}), "types={'a': 'date'}", "--types a=date"),
        (Setting("exclude", ["a", "b c"]), "exclude=['a', 'b c']", "--exclude 'a,b c'"),
        (Setting("where", "n > 1"), "where='n > 1'", "--where 'n > 1'"),
        (Setting("missing", ["a\nb"]), "missing=['a\\nb']", "--missing 'a\\nb'"),
        (Setting("id_column", "part"), "id_column='part'", "--id part"),
    ],
)
def test_a_setting_is_written_by_whoever_shows_it(
    setting: Setting, python: str, command: str
) -> None:
    error = InvalidInput("no", remedy=Remedy("set ", setting))
    assert str(error) == f"no; set {python}"
    assert in_options(error) == f"no; set {command}"


def test_an_error_says_place_sentence_and_remedies_in_one_line() -> None:
    error = InvalidInput("is odd", at=Place("a.csv", 2, "it's"), remedy=("mend it", SKIP_BAD_ROWS))
    assert error.what == "is odd"
    assert error.where == Place("a.csv", 2, "it's")
    assert [remedy.settings for remedy in error.remedy] == [(), (Setting("on_bad_row", "skip"),)]
    start = 'a.csv: row 2, column "it\'s": is odd; mend it, or skip such rows '
    assert str(error) == start + "(on_bad_row='skip')"
    assert in_options(error) == start + "(--on-bad-row skip)"


def test_a_plain_text_is_what_is_wrong() -> None:
    error = InvalidInput("row 7: is {odd}; mend it")
    assert str(error) == error.what == "row 7: is {odd}; mend it"
    assert error.where == Place()
    assert error.remedy == ()


def test_a_place_is_completed_and_never_replaced() -> None:
    error = SchemaMismatch("column 'a' is odd", names=Place(column="a"))
    inside = error.at("b.csv", row=3)
    assert type(inside) is SchemaMismatch
    assert str(inside) == "b.csv: row 3: column 'a' is odd"
    assert inside.where == Place("b.csv", 3, "a")
    assert inside.at("c.csv", row=4).where == inside.where
    assert str(error) == "column 'a' is odd"


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput(Setting("where", "a"), " is odd", at=Place(row=2), remedy=SKIP_BAD_ROWS),
        MissingExtra("figures need matplotlib", extra="report"),
        MissingExtra("it needs a", extra="onnx", library="a"),
        lampblack.ModelFileError("x").noted("on another machine"),
    ],
)
def test_an_error_reaches_another_process_whole(error: LampblackError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert vars(there) == vars(error)
    assert in_options(there) == in_options(error)


def test_every_kind_is_public_and_in_the_tree() -> None:
    kinds = [
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, LampblackError | UserWarning)
    ]
    assert len(kinds) == 14
    for kind in kinds:
        assert getattr(lampblack, kind.__name__) is kind
        assert kind.__name__ in (exceptions.__doc__ or "")
