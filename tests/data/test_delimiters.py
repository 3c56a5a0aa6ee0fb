"""How the fields of a file of rows are parted: from many lines, not from the first alone."""

import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from lampblack import InvalidInput, ReadingWarning
from lampblack.data.tables.files import column_names, read_rows
from lampblack.data.tables.layout import RowFormat

COUNT = 60


def rows(pattern: str, first: str = "") -> str:
    """A file of 60 lines, each the pattern with its number."""
    return first + "\n".join(pattern.format(i=i, cents=f"{i:02d}", mod=i % 7) for i in range(COUNT))


FILES: dict[str, tuple[str, dict[str, Any], dict[str, object]]] = {
    "decimal commas without a header": (
        rows("2{mod},{cents};3,{cents};8{mod},{cents}"),
        {"header": False},
        {"c1": 25.05, "c2": 3.05, "c3": 85.05},
    ),
    "a comma that another column shows to be decimal": (
        rows("2{mod},{cents};8{mod},7{cents}", "a;b\n"),
        {},
        {"a": 25.05, "b": 85.705},
    ),
    "commas in names": (
        rows("2{mod}.{cents};{i}.5;80", "temp, C;press, bar;flow, l/min\n"),
        {},
        {"temp, C": 25.05, "press, bar": 5.5, "flow, l/min": 80.0},
    ),
    "tabs, with commas in names and texts": (
        rows("2{mod}.5\t{i}\tSmith, J", "temp, C\tpress, bar\tname\n"),
        {},
        {"temp, C": 25.5, "press, bar": 5.0, "name": "Smith, J"},
    ),
    "runs of spaces": (rows(" {i}   {i}.5  7", "a  b   c\n"), {}, {"a": 5.0, "b": 5.5, "c": 7.0}),
    "Excel's own line": (rows("{i};x", "sep=;\na;b\n"), {}, {"a": 5.0, "b": "x"}),
    "thousands": (rows("1.0{cents}.000,5;{i}", "a;b\n"), {}, {"a": 1005000.5, "b": 5.0}),
    "a time with a decimal comma": (
        rows("2024-01-01 12:00:{cents},25;{i},5", "t;v\n"),
        {},
        {"v": 5.5},
    ),
    "comments": (rows("{i},{mod}", "# of a pump\n# in bar\na,b\n"), {}, {"a": 5.0, "b": 5.0}),
    "one column": (rows("{i}.5", "a\n"), {}, {"a": 5.5}),
    "marks in a text": (rows("{i}|text, with; {i}", "a|b\n"), {}, {"a": 5.0, "b": "text, with; 5"}),
    "fields of several lines": (
        rows('{i},"x; y; z\nnew"', "a,b\n"),
        {},
        {"a": 5.0, "b": "x; y; z\nnew"},
    ),
    "a decimal comma that is told": (
        rows("1,2{cents};{i}", "a;b\n"),
        {"decimal": ","},
        {"a": 1.205},
    ),
    "points that are told to part thousands": (
        rows("1.2{cents};{i}", "a;b\n"),
        {"decimal": ","},
        {"a": 1205.0},
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_fields_are_parted_as_most_lines_say(tmp_path: Path, name: str) -> None:
    text, settings, expected = FILES[name]
    file = tmp_path / "x.csv"
    file.write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        table = read_rows(file, RowFormat(**settings)).table
    assert len(table) == COUNT
    assert {column: table[column][5].as_py() for column in expected} == pytest.approx(expected)


def test_decimal_commas_are_said(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(rows("{i},5;{i}", "a;b\n"))
    with pytest.warns(ReadingWarning, match="'a'"):
        read_rows(file, RowFormat())


def test_a_file_that_no_delimiter_fits_is_refused_with_what_was_tried(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(rows("{i};{i};{i}", "a,b\n"))
    with pytest.raises(InvalidInput, match=r"(?s)';'.*3") as refused:
        read_rows(file, RowFormat())
    assert "delimiter" in str(refused.value)


def test_a_footer_is_refused_by_its_row(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(rows("{i},{i}", "a,b\n") + "\nTotal rows 60\n")
    with pytest.raises(InvalidInput, match="row 61"):
        read_rows(file, RowFormat())


def test_a_mark_of_comments_within_quotes_is_text(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(rows('{i},"x\n# y"', "a,b\n"))
    table = read_rows(file, RowFormat()).table
    assert table["b"][0].as_py() == "x\n# y"


def test_names_without_end_are_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(",".join(f"n{i}" for i in range(200_000)) + ",n7\n1\n")
    started = time.process_time()
    with pytest.raises(InvalidInput, match="fields"):
        column_names(file, RowFormat())
    assert time.process_time() - started < 5
