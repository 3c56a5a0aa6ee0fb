"""The commands in docs/service.md run as they stand, and are answered as shown."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import typer.core
from benchmarks.studies.tour import PUMP

import lampblack
from lampblack.cli.main import app
from lampblack.service.settings import ServiceSettings
from tests.service.conftest import serving

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text()
ADDRESS = "http://127.0.0.1:8000"


def sessions() -> list[tuple[str, str]]:
    """Commands, and what the page shows as their answer."""
    found = []
    for block in re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command = re.match(r"(?:'[^']*'|[^'\n])*", part)
            assert command is not None
            found.append((command[0], part[command.end() :].strip()))
    return found


def shape(value: Any) -> Any:
    """Keys and types, of lists those of the first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return (
        "number" if isinstance(value, int | float) and value is not True else type(value).__name__
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_commands_are_answered_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(PUMP, {})
    detector = lampblack.LampblackDetector(max_steps=60, random_state=0)
    detector.fit(pd.read_csv("normal.csv", parse_dates=["at"])).save("pump.model")
    shown = 0
    with serving(tmp_path / "pump.model") as client:
        for command, expected in sessions():
            call = shlex.split(command.replace(ADDRESS, str(client.base_url).rstrip("/")))
            finished = subprocess.run([*call, "--fail"], check=True, capture_output=True, text=True)
            answer = json.loads(finished.stdout)
            if expected:
                shown += 1
                assert shape(json.loads(expected)) == shape(answer), command
                if "alarms" in answer and answer["samples"] == 2:
                    assert answer["results"][1]["decision"] == "anomaly"
    assert shown >= 5


def test_every_setting_is_in_the_page_with_its_default() -> None:
    for name, field in ServiceSettings.model_fields.items():
        if name == "token":
            continue
        (line,) = re.findall(rf"^\|.*`--{name.replace('_', '-')}`.*$", PAGE, re.MULTILINE)
        default = field.default
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert f"{default:,}" in line or str(default) in line, line


def test_every_setting_is_an_option_of_the_command() -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    options = {option.name: option for option in command.commands["serve"].params}
    for name, field in ServiceSettings.model_fields.items():
        if name == "token":
            continue
        default, help_ = field.default, getattr(options[name], "help", "")
        if isinstance(default, int | float) and not isinstance(default, bool):
            assert f"[default: {default}]" in help_, help_
