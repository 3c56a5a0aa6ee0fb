"""What differs between kinds of data stands in their presentations, and in no command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

import lampblack.cli
from lampblack.choices import KindName
from lampblack.cli.kinds import _HOMES, presentation_of
from lampblack.data.images.schema import ImageSchema

CLI = Path(lampblack.cli.__file__).parent
COMMANDS = (
    "alarms",
    "calibrate",
    "diagnose",
    "report_diagnosis",
    "evaluate",
    "fit",
    "info",
    "report",
)
OF_A_KIND = re.compile(
    r"lampblack\.(data|cli)\.(images|tables)\b"
    r"|kind(\.name)? == |isinstance\([^)]*(schema|kind|sample)"
)


@pytest.mark.parametrize("command", [*COMMANDS, "score"])
def test_no_command_asks_what_kind_of_data_it_has(command: str) -> None:
    text = (CLI / f"{command}.py").read_text()
    assert [found.group() for found in OF_A_KIND.finditer(text)] == []


def test_every_kind_has_a_presentation_of_its_name() -> None:
    assert set(_HOMES) == set(get_args(KindName))
    assert presentation_of(ImageSchema(channels=1, height=8, width=8)).kind.name == "images"
