"""Reading and writing files of rows."""

import datetime as dt
import gzip
import json
import math
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from lampblack.cli.errors import in_options
from lampblack.data.tables import layout
from lampblack.data.tables.column_kinds import ARROW_TYPES, COLUMN_KINDS
from lampblack.data.tables.files import (
    FileRows,
    RowFormat,
    SkippedRow,
    column_names,
    iter_rows,
    read_rows,
)
from lampblack.data.tables.writing import open_writer
from lampblack.exceptions import InvalidInput

PLAIN = RowFormat()


@pytest.fixture
def save(tmp_path):
    def save(content: str | bytes, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return save


@pytest.fixture(params=[16, 1 << 20], ids=["tiny blocks", "one block"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_BYTES", request.param)


def stream(path, kinds, format=PLAIN, **options) -> tuple[dict, list[int], list[SkippedRow]]:
    """All the batches of a stream: columns, row numbers, skipped rows."""
    rows = iter_rows(path, format, kinds=kinds, **options)
    batches = list(rows)
    assert all(isinstance(batch, FileRows) and not batch.skipped for batch in batches)
    columns = {name: [] for name in rows.columns}
    for batch in batches:
        for name in columns:
            columns[name] += batch.table[name].to_pylist()
    return columns, [int(n) for batch in batches for n in batch.row_numbers], rows.skipped


def complaint(call) -> str:
    """The one line that a call is refused with, as the command line writes it."""
    with pytest.raises(InvalidInput) as caught:
        call()
    text = in_options(caught.value)
    assert "\n" not in text + str(caught.value)
    return text


def both(path, format=PLAIN, **options) -> list[str]:
    """What both ways of reading say against a file."""
    return [
        complaint(lambda: read_rows(path, format, **options)),
        complaint(lambda: list(iter_rows(path, format, kinds={}, **options))),
    ]


# Types


def test_every_kind_has_an_arrow_type():
    assert set(ARROW_TYPES) == set(COLUMN_KINDS)


def test_types_are_inferred_over_the_whole_file(save):
    many = "".join(f"{i},{i},x,true,2024-01-01,1\n" for i in range(50_000))
    rows = read_rows(save(f"a,b,c,d,e,f\n{many}1.5,2,06,false,2024-01-02 03:04:05,\n"), PLAIN)
    assert rows.table.schema.types == [
        ARROW_TYPES[kind] for kind in ("number", "number", "category", "boolean", "date", "number")
    ]
    assert rows.table.slice(50_000).to_pylist() == [
        {
            "a": 1.5,
            "b": 2.0,
            "c": "06",
            "d": False,
            "e": dt.datetime(2024, 1, 2, 3, 4, 5),
            "f": None,
        }
    ]
    assert rows.row_numbers.dtype == "int64"
    assert rows.row_numbers[[0, -1]].tolist() == [1, 50_001]
    assert rows.skipped == []


def test_told_types_are_read_as_told(save):
    path = save("code,flag,day,n\n06,1,2024-02-03,3\n07,0,2024-02-04T05:06:07,4\n")
    told = RowFormat(types={"code": "category", "flag": "boolean", "day": "date", "n": "number"})
    table = read_rows(path, told).table
    assert table["code"].to_pylist() == ["06", "07"]
    assert table["flag"].to_pylist() == [True, False]
    assert table["day"].to_pylist() == [
        dt.datetime(2024, 2, 3),
        dt.datetime(2024, 2, 4, 5, 6, 7),
    ]
    assert table["n"].to_pylist() == [3.0, 4.0]
    columns, _, _ = stream(path, {}, told)
    assert columns == table.to_pydict()


def test_told_type_with_a_bad_cell_is_refused_or_skipped(save):
    path = save("n,m\n1,1\nx,2\n3,3\n")
    told = RowFormat(types={"n": "number"})
    assert "row 2, column 'n': 'x' is not a number" in complaint(lambda: read_rows(path, told))
    rows = read_rows(path, told, on_bad_row="skip")
    assert rows.row_numbers.tolist() == [1, 3]
    assert rows.skipped == [SkippedRow(2, "n", "'x' is not a number")]


def test_told_type_of_an_unknown_column_is_refused(save):
    for text in both(save("a,b\n1,2\n"), RowFormat(types={"c": "number"})):
        assert "no column 'c'" in text
        assert "a, b" in text


def test_unknown_kind_is_refused():
    assert "'nmber' is no type" in complaint(lambda: RowFormat(types={"a": "nmber"}))


def test_time_of_day_stays_text_as_written(save):
    assert read_rows(save("t,n\n12:30,1\n07:05:01,2\n"), PLAIN).table["t"].to_pylist() == [
        "12:30",
        "07:05:01",
    ]


def test_column_of_missing_values_has_type_null(save):
    assert read_rows(save("a,b\n,1\nNA,2\n"), PLAIN).table.schema.field("a").type == pa.null()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (" 3 ", 3.0),
        ("+3", 3.0),
        ("1e5", 1e5),
        ("1E-2", 0.01),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("06", 6.0),
        ("0x10", 16.0),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("+inf", math.inf),
        ('"7"', 7.0),
        ('""', None),
        ("", None),
        ("NA", None),
        ('"NaN"', None),
        ("NAN", None),
        (" null ", None),
    ],
)
@pytest.mark.parametrize("slow", [False, True], ids=["fast path", "text path"])
def test_numbers_are_parsed_leniently_and_alike(save, text, number, slow):
    path = save("n,m\n" + "x,0\n" * slow + f"{text},1\n1.5,2\n")
    columns, numbers, _ = stream(path, {"n": "number", "m": "number"}, on_bad_row="skip")
    assert columns["n"] == [number, 1.5]
    assert numbers == [1 + slow, 2 + slow]
    if not slow:
        assert read_rows(path, PLAIN).table["n"].to_pylist() == [number, 1.5]


@pytest.mark.parametrize("text", ["1_000", "1 000", "0x", "1e", ".", "1,5", "--3", "abc"])
def test_what_is_no_number_is_refused(save, text):
    path = save(f'n,m\n1,1\n"{text}",2\n')
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={"n": "number"})))
    assert said == (
        f"{path}: row 2, column 'n': {text!r} is not a number; "
        "correct it or skip such rows (--on-bad-row skip)"
    )


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-01-02", dt.datetime(2024, 1, 2)),
        (" 2024-01-02 ", dt.datetime(2024, 1, 2)),
        ("2024-01-02 03:04", dt.datetime(2024, 1, 2, 3, 4)),
        ("2024-01-02T03:04:05.5", dt.datetime(2024, 1, 2, 3, 4, 5, 500_000)),
        ("2024-01-02T03:04:05.123456789", dt.datetime(2024, 1, 2, 3, 4, 5, 123_456)),
        ("2024-01-02T03:04:05Z", dt.datetime(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05+02:00", dt.datetime(2024, 1, 2, 1, 4, 5)),
        ("1500-01-01", dt.datetime(1500, 1, 1)),
        ("", None),
    ],
)
def test_dates_are_parsed_leniently_in_utc(save, text, date):
    path = save(f"d,m\n{text},1\n2024-01-02,2\n")
    columns, _, _ = stream(path, {"d": "date"})
    assert columns["d"] == [date, dt.datetime(2024, 1, 2)]


@pytest.mark.parametrize("text", ["2024-02-31", "soon", "2024-02-31T00:00:00Z", "12:30"])
def test_what_is_no_date_is_refused(save, text):
    path = save(f"d,m\n2024-01-01,1\n{text},2\n")
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={"d": "date"})))
    assert f"row 2, column 'd': {text!r} is not a date" in said


def test_what_is_not_true_or_false_is_refused(save):
    path = save("f,m\ntrue,1\n FALSE ,2\n1,3\n,4\nyes,5\n")
    columns, _, skipped = stream(path, {"f": "boolean"}, on_bad_row="skip")
    assert columns["f"] == [True, False, True, None]
    assert skipped == [SkippedRow(5, "f", "'yes' is not true or false")]


# Missing values


def test_empty_and_unquoted_spellings_of_missing_text_are_missing(save):
    path = save('a,b\nx,1\n,1\nNA,1\nnull,1\n"NA",1\n"",1\n')
    expected = ["x", None, None, None, "NA", None]
    assert read_rows(path, PLAIN).table["a"].to_pylist() == expected
    assert stream(path, {"b": "number"})[0]["a"] == expected


@pytest.mark.parametrize("cell", ["?", '"?"'])
def test_further_spellings_of_missing_are_missing_in_every_kind(save, cell):
    path = save(f"n,t,d\n1,x,2024-01-01\n{cell},{cell},{cell}\n")
    told = RowFormat(missing=("?",))
    expected = {"n": [1.0, None], "t": ["x", None], "d": [dt.datetime(2024, 1, 1), None]}
    assert stream(path, {"n": "number", "d": "date"}, told)[0] == expected
    table = read_rows(path, told).table
    assert table["n"].to_pylist() == [1.0, None]
    assert table["t"].to_pylist() == ["x", None]


# Columns that are nearly numbers


def test_column_of_mostly_numbers_is_refused_naming_the_first_that_is_none(save):
    cells = [str(i) for i in range(500)]
    for row in (17, 20, 30):
        cells[row - 1] = "?"
    cells[3] = ""
    path = save("age,x\n" + "".join(f"{cell},1\n" for cell in cells))
    assert complaint(lambda: read_rows(path, PLAIN)) == (
        f"{path}: column 'age': 3 of 499 values are not numbers, the first '?' in row 17; "
        "correct them, name it as missing (--missing '?'), "
        "or keep the column as text (--types age=category)"
    )
    rows = read_rows(path, PLAIN, on_bad_row="skip")
    assert len(rows.table) == 497
    assert rows.table.schema.field("age").type == pa.float64()
    assert [skipped.row for skipped in rows.skipped] == [17, 20, 30]
    assert not {17, 20, 30} & set(rows.row_numbers.tolist())
    assert read_rows(path, RowFormat(missing=("?",))).table["age"].null_count == 4
    as_text = read_rows(path, RowFormat(types={"age": "category"})).table["age"]
    assert as_text.type == pa.string()
    assert as_text[16].as_py() == "?"


def test_column_with_a_minority_of_numbers_is_text(save):
    table = read_rows(save("a,b\n1,1\nx,1\ny,1\n"), PLAIN).table
    assert table["a"].to_pylist() == ["1", "x", "y"]


def test_half_numbers_are_refused(save):
    assert "1 of 2 values" in complaint(lambda: read_rows(save("a,b\n1,1\nx,1\n"), PLAIN))


# Bad rows


BAD = "a,b\n1,x\n2\n3,y\n\n4,z,9\nq,w\n5,v\n"


@pytest.mark.usefixtures("blocks")
def test_bad_rows_are_skipped_with_their_numbers(save):
    columns, numbers, skipped = stream(save(BAD), {"a": "number"}, on_bad_row="skip")
    assert columns == {"a": [1.0, 3.0, 5.0], "b": ["x", "y", "v"]}
    assert numbers == [1, 3, 6]
    assert skipped == [
        SkippedRow(2, None, "1 field instead of 2"),
        SkippedRow(4, None, "3 fields instead of 2"),
        SkippedRow(5, "a", "'q' is not a number"),
    ]


@pytest.mark.usefixtures("blocks")
def test_first_bad_row_is_refused(save):
    path = save("a,b\n1,x\nq,w\n2\n")
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={"a": "number"})))
    assert said.startswith(f"{path}: row 2, column 'a': 'q' is not a number; ")
    path = save("a,b\n1,x\n2\nq,w\n")
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={"a": "number"})))
    assert said == (
        f"{path}: row 2: 1 field instead of 2; correct it or skip such rows (--on-bad-row skip)"
    )


def test_whole_file_skips_rows_with_a_wrong_number_of_fields(save):
    path = save(BAD.replace("q,w\n", ""))
    assert "row 2: 1 field instead of 2" in complaint(lambda: read_rows(path, PLAIN))
    rows = read_rows(path, PLAIN, on_bad_row="skip")
    assert rows.table["a"].to_pylist() == [1.0, 3.0, 5.0]
    assert rows.row_numbers.tolist() == [1, 3, 5]
    assert [skipped.row for skipped in rows.skipped] == [2, 4]


def test_rows_before_the_bad_one_are_given_and_numbers_go_on_after_it(save, monkeypatch):
    monkeypatch.setattr(layout, "BLOCK_BYTES", 1 << 14)
    lines = [f"{i},t{i}" for i in range(1, 60_001)]
    lines[29_999] = "bad,t30000"
    lines[44_999] = "1,2,3"
    path = save("a,b\n" + "\n".join(lines) + "\n")
    seen = []
    batches = iter(iter_rows(path, PLAIN, kinds={"a": "number"}, batch_rows=1000))
    said = complaint(lambda: seen.extend(len(batch.table) for batch in batches))
    assert "row 30000, column 'a': 'bad'" in said
    assert 1000 <= sum(seen) < 30_000
    columns, numbers, skipped = stream(path, {"a": "number"}, on_bad_row="skip", batch_rows=1000)
    assert [int(value) for value in columns["a"]] == numbers
    assert numbers == [i for i in range(1, 60_001) if i not in (30_000, 45_000)]
    assert [bad.row for bad in skipped] == [30_000, 45_000]


def test_row_with_several_faults_counts_once(save):
    path = save("a,b\nx,y\n1,2\n")
    _, numbers, skipped = stream(path, {"a": "number", "b": "number"}, on_bad_row="skip")
    assert numbers == [2]
    assert skipped == [SkippedRow(1, "a", "'x' is not a number")]


def test_long_bad_cell_is_cut_to_one_line(save):
    path = save('a,b\n"x\ny' + "z" * 1000 + '",1\n')
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={"a": "number"})))
    assert len(said) < 300


def test_iterating_again_reads_again(save):
    rows = iter_rows(save(BAD), PLAIN, kinds={"a": "number"}, on_bad_row="skip")
    first = [batch.row_numbers.tolist() for batch in rows]
    assert [batch.row_numbers.tolist() for batch in rows] == first
    assert len(rows.skipped) == 3


def test_all_rows_bad_leaves_nothing(save):
    path = save("a,b\n1\n2\n")
    assert "no row can be used" in complaint(lambda: read_rows(path, PLAIN, on_bad_row="skip"))
    _, numbers, skipped = stream(path, {}, on_bad_row="skip")
    assert numbers == []
    assert [bad.row for bad in skipped] == [1, 2]


# Where


def test_where_keeps_rows_with_their_numbers(save):
    path = save("n,label\n1,a\n2,b\n,a\n4,a\n")
    rows = read_rows(path, PLAIN, where="n > 1 and label == 'a'")
    assert rows.row_numbers.tolist() == [4]
    columns, numbers, _ = stream(path, {"n": "number"}, where="n > 1 and label == 'a'")
    assert numbers == [4]
    assert columns["label"] == ["a"]


def test_where_on_a_column_the_model_does_not_know_means_the_same(save):
    path = save("n,label,ok\n1,0,true\n2,1,false\n3,10,true\n")
    for where, expected in (("label < 5", [1, 2]), ("not ok", [2]), ("label in [10]", [3])):
        assert read_rows(path, PLAIN, where=where).row_numbers.tolist() == expected
        columns, numbers, _ = stream(path, {"n": "number"}, where=where)
        assert numbers == expected
    assert columns["label"] == ["10"]


def test_bad_cell_in_a_column_of_where_is_refused_or_skipped(save):
    path = save("n,label\n1,0\n2,x\n3,1\n")
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={}, where="label < 5")))
    assert "row 2, column 'label': 'x' is not a number" in said
    _, numbers, skipped = stream(path, {}, where="label < 5", on_bad_row="skip")
    assert numbers == [1, 3]
    assert [bad.row for bad in skipped] == [2]


def test_where_that_no_row_passes(save):
    path = save("n,m\n1,2\n")
    said = complaint(lambda: read_rows(path, PLAIN, where="n > 1"))
    assert said == f"no row of {path} passes --where 'n > 1'; change the condition"
    assert stream(path, {"n": "number"}, where="n > 1")[1] == []


def test_where_with_an_unknown_column_is_refused_before_reading(save):
    path = save("n,m\n1,2\n")
    assert "no column 'x'" in complaint(lambda: read_rows(path, PLAIN, where="x > 1"))
    assert "no column 'x'" in complaint(lambda: iter_rows(path, PLAIN, kinds={}, where="x > 1"))


# The look of CSV files


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("told", [True, False])
def test_delimiter_is_found_or_told(save, delimiter, told):
    path = save(f'"a,;x"{delimiter}b\n1{delimiter}2\n', "rows.tsv")
    told = RowFormat(delimiter=delimiter if told else None)
    assert column_names(path, told) == ["a,;x", "b"]
    assert read_rows(path, told).table.to_pydict() == {"a,;x": [1.0], "b": [2.0]}


def test_delimiter_may_be_spelled_tab(save):
    assert column_names(save("a,b\tc\n1\t2\n"), RowFormat(delimiter="tab")) == ["a,b", "c"]


@pytest.mark.parametrize("delimiter", ["", ",,", "\n", '"', "é"])
def test_impossible_delimiter_is_refused(delimiter):
    assert "give one character" in complaint(lambda: RowFormat(delimiter=delimiter))


@pytest.mark.usefixtures("blocks")
def test_file_without_header_names_columns_by_number(save):
    path = save("1,x\n2,y\nbad,z\n1,2,3\n")
    told = RowFormat(header=False)
    assert column_names(path, told) == ["c1", "c2"]
    columns, numbers, skipped = stream(path, {"c1": "number"}, told, on_bad_row="skip")
    assert columns == {"c1": [1.0, 2.0], "c2": ["x", "y"]}
    assert numbers == [1, 2]
    assert [bad.row for bad in skipped] == [3, 4]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", [True, False])
def test_line_ends_of_every_system(save, newline, end):
    path = save(newline.join(["a,b", "1,x", "2,y"]) + newline * end)
    assert read_rows(path, PLAIN).table.to_pydict() == {"a": [1.0, 2.0], "b": ["x", "y"]}
    assert stream(path, {"a": "number"})[0] == {"a": [1.0, 2.0], "b": ["x", "y"]}


@pytest.mark.parametrize("start", ["\ufeff", "\n\n", "\ufeff\r\n"])
@pytest.mark.parametrize("header", [True, False])
def test_byte_order_mark_and_blank_lines_at_the_start_are_dropped(save, start, header):
    path = save(start + "a,b\n" * header + "1,x\n2\n")
    told = RowFormat(header=header)
    rows = read_rows(path, told, on_bad_row="skip")
    assert [column.to_pylist() for column in rows.table.columns] == [[1.0], ["x"]]
    assert rows.table.column_names == (["a", "b"] if header else ["c1", "c2"])
    assert [bad.row for bad in rows.skipped] == [2]


@pytest.mark.usefixtures("blocks")
def test_newlines_in_quotes_are_part_of_the_value(save):
    path = save('"a\nq",b\n1,"x\ny ""z"", w"\n2,"\n"\nno,"\r\n"\n4,e\n')
    columns, numbers, skipped = stream(path, {"a\nq": "number"}, on_bad_row="skip")
    assert columns == {"a\nq": [1.0, 2.0, 4.0], "b": ['x\ny "z", w', "\n", "e"]}
    assert numbers == [1, 2, 4]
    assert [bad.row for bad in skipped] == [3]
    assert len(read_rows(path, RowFormat(types={"a\nq": "category"})).table) == 4


def test_blank_line_is_no_row_but_a_missing_value_in_a_single_column(save):
    assert read_rows(save("a,b\n1,2\n\n3,4\n"), PLAIN).row_numbers.tolist() == [1, 2]
    assert read_rows(save("a\n1\n\n3\n"), PLAIN).table["a"].to_pylist() == [1.0, None, 3.0]
    assert stream(save("a\n1\n\n3\n"), {"a": "number"})[0]["a"] == [1.0, None, 3.0]


@pytest.mark.parametrize("rest", ["2,y\n3,z\n", "2,y", "2,y,3\n3,z\n"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_quote_that_is_never_closed_is_refused(save, name, rest):
    content = f'a,b\n0,v\n1,"x\n{rest}'.encode()
    path = save(gzip.compress(content, mtime=0) if name.endswith("gz") else content, name)
    for text in both(path) + both(path, on_bad_row="skip"):
        assert text == f'{path}: row 2: a quote (") is never closed; close it or remove it'


def test_wrong_row_with_a_newline_in_quotes_is_only_a_wrong_row(save):
    path = save('a,b\n0,v\n1,"x\ny",3\n')
    assert stream(path, {"a": "number"}, on_bad_row="skip")[1] == [1]
    assert len(read_rows(path, PLAIN, on_bad_row="skip").table) == 1


def test_quote_never_closed_in_a_row_of_too_few_fields_is_refused(save):
    path = save('a,b\n0,v\n"1,x\n2,y\n')
    for text in both(path, on_bad_row="skip"):
        assert "row 2: a quote" in text


def test_row_longer_than_a_block_is_read(save):
    path = save("a,b\n1,x\n2," + "y" * 5_000_000 + "\n3,z\n4\n5,w\n")
    assert [
        len(value) for value in read_rows(path, PLAIN, on_bad_row="skip").table["b"].to_pylist()
    ] == [
        1,
        5_000_000,
        1,
        1,
    ]
    columns, numbers, skipped = stream(path, {"a": "number"}, on_bad_row="skip")
    assert [len(value) for value in columns["b"]] == [1, 5_000_000, 1, 1]
    assert numbers == [1, 2, 3, 5]
    assert [bad.row for bad in skipped] == [4]


def test_row_without_end_is_refused(save, monkeypatch):
    for module in ("layout", "csv_rows"):
        monkeypatch.setattr(f"lampblack.data.tables.{module}.LONGEST_ROW", 1 << 20)
    path = save("a,b\n1,x\n2," + "y" * 5_000_000 + "\n3,z\n")
    for text in both(path):
        assert "a row is longer than" in text


def test_header_longer_than_the_sample_is_read(save):
    names = [f"column number {i}" for i in range(20_000)]
    path = save(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert column_names(path, PLAIN) == names
    assert read_rows(path, PLAIN).table.num_columns == 20_000


# Compression and Parquet


@pytest.mark.parametrize("name", ["rows.csv.gz", "kddcup.data_10_percent.gz", "rows.csv"])
def test_gzip_is_recognised_by_its_content(save, name):
    path = save(gzip.compress(b"a,b\n1,x\n", mtime=0) + gzip.compress(b"2,y\n"), name)
    assert column_names(path, PLAIN) == ["a", "b"]
    assert read_rows(path, PLAIN).table["a"].to_pylist() == [1.0, 2.0]
    assert stream(path, {"a": "number"})[1] == [1, 2]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "rows.csv"])
def test_parquet_is_recognised_by_its_content_and_keeps_its_types(tmp_path, name):
    table = pa.table({"n": pa.array([1, 2, None], pa.int32()), "t": ["06", "", "NA"]})
    parquet.write_table(table, tmp_path / name)
    assert column_names(tmp_path / name, PLAIN) == ["n", "t"]
    rows = read_rows(tmp_path / name, PLAIN)
    assert rows.table.equals(table)
    assert rows.row_numbers.tolist() == [1, 2, 3]
    batches = list(iter_rows(tmp_path / name, PLAIN, kinds={"t": "number"}, batch_rows=2))
    assert [len(batch.table) for batch in batches] == [2, 1]
    assert pa.concat_tables([batch.table for batch in batches]).equals(table)
    assert batches[1].row_numbers.tolist() == [3]


def test_told_types_and_missing_values_apply_to_parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(
        pa.table({"n": [1, 2, 3], "t": ["4", "?", "x"], "u": ["?", "a", "b"]}), path
    )
    told = RowFormat(types={"n": "category", "t": "number"}, missing=("?",))
    assert "row 3, column 't': 'x'" in complaint(lambda: read_rows(path, told))
    rows = read_rows(path, told, on_bad_row="skip")
    assert rows.table.to_pydict() == {"n": [1, 2], "t": [4.0, None], "u": [None, "a"]}
    assert stream(path, {}, told, on_bad_row="skip")[0] == rows.table.to_pydict()


def test_impossible_told_type_of_parquet_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"n": [[1], [2]]}), path)
    for text in both(path, RowFormat(types={"n": "number"})):
        assert "column 'n' of type list" in text


def test_where_applies_to_parquet(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"n": list(range(10)), "t": list("ababababab")}), path)
    assert stream(path, {}, where="t == 'b' and n > 4", batch_rows=3)[1] == [6, 8, 10]
    said = complaint(lambda: list(iter_rows(path, PLAIN, kinds={}, where="t == 3")))
    assert "column 't' holds text" in said


# Files that cannot be read


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty (0 bytes)"),
        (b"a,b\n", "no rows"),
        (b"a,b", "no rows"),
        (b"\n\n \n", "no rows"),
        (gzip.compress(b"", mtime=0), "no rows"),
        (gzip.compress(b"a,b\n", mtime=0), "no rows"),
        (b"a,a\n1,2\n", "two columns are named 'a'"),
        (b"a,\n1,2\n", "column 2 has no name"),
        (b",a\n1,2\n", "column 1 has no name"),
        (b"a,b\n1,\xe9\n", "row 1, column 'b': is not UTF-8 text"),
        (b"a,\xe9\n1,2\n", "is not UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is binary"),
        (bytes(range(256)) * 10, "is binary"),
        (gzip.compress(bytes(range(256)) * 40, mtime=0), "is binary"),
        (b"PAR1" + bytes(100), "truncated or damaged Parquet"),
        (gzip.compress(b"PAR1" + bytes(100), mtime=0), "compressed Parquet"),
        (b"\x1f\x8b", "truncated gzip"),
        (b"\x1f\x8bnonsense nonsense", "damaged gzip"),
    ],
)
def test_file_that_holds_no_rows_is_refused_in_one_line(save, content, said):
    path = save(content)
    for text in both(path):
        assert said in text
        assert text.startswith(f"{path}: ")


def test_cell_that_is_not_utf8_late_in_the_file_is_named(save):
    path = save(b"a,b\n" + b"1,x\n" * 300_000 + b"1,\xff\n" + b"1,y\n" * 10)
    for text in both(path):
        assert text.startswith(f"{path}: row 300001, column 'b': is not UTF-8 text")


def test_truncated_and_damaged_gzip_are_refused(save):
    content = gzip.compress("".join(f"{i},{i * 7919 % 10007}\n" for i in range(300_000)).encode())
    told = RowFormat(header=False)
    for text in both(save(content[: len(content) // 2]), told):
        assert "truncated gzip" in text
    damaged = content[:-8] + b"12345678"
    for text in both(save(damaged), told):
        assert "damaged gzip" in text


def test_truncated_and_damaged_parquet_are_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"a": list(range(100_000))}), path, write_page_checksum=True)
    content = path.read_bytes()
    path.write_bytes(content[:5000])
    for text in both(path):
        assert "truncated or damaged Parquet" in text
    path.write_bytes(content[:1000] + b"\xff" * 4000 + content[5000:])
    for text in both(path):
        assert "truncated or damaged Parquet" in text


def test_parquet_without_rows_or_with_equal_names_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    assert all("no rows" in text for text in both(path))
    parquet.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), path)
    assert all("two columns are named 'a'" in text for text in both(path))


def test_missing_file_folder_and_pipe_are_refused(tmp_path):
    assert all("does not exist" in text for text in both(tmp_path / "none.csv"))
    assert all("is a folder" in text for text in both(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    assert all("not a regular file" in text for text in both(tmp_path / "pipe"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_forbidden_file_is_refused(save):
    path = save("a,b\n1,2\n")
    path.chmod(0)
    assert all("permissions" in text for text in both(path))


def test_name_that_disagrees_with_the_content_is_refused(save, tmp_path):
    assert all("not a Parquet file" in t for t in both(save("a,b\n1,2\n", "rows.parquet")))
    with zipfile.ZipFile(tmp_path / "rows.xlsx", "w") as book:
        book.writestr("a", "b")
    assert all("zip or Excel" in text for text in both(tmp_path / "rows.xlsx"))


def test_missing_header_is_hinted_at(save):
    assert all("--no-header" in text for text in both(save("0,0,1\n0,1,2\n")))


# Batches and memory


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_batches_have_the_rows_asked_for(save, batch_rows):
    path = save("a,b\n" + "".join(f"{i},x\n" for i in range(100)))
    batches = list(iter_rows(path, PLAIN, kinds={"a": "number"}, batch_rows=batch_rows))
    assert [len(batch.table) for batch in batches[:-1]] == [batch_rows] * (len(batches) - 1)
    assert sum(len(batch.table) for batch in batches) == 100


def test_batches_of_wide_rows_are_smaller(save, monkeypatch):
    monkeypatch.setattr("lampblack.data.tables.files.BATCH_BYTES", 1000)
    path = save("a,b\n" + "".join(f"{i},{'x' * 500}\n" for i in range(5000)))
    batches = list(iter_rows(path, PLAIN, kinds={"a": "number"}))
    assert len(batches) > 1
    assert sum(len(batch.table) for batch in batches) == 5000


MEASURE = """
    import resource, sys
    from lampblack.data.tables.files import RowFormat, iter_rows
    def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    path, kinds = sys.argv[1], {f"c{i}": "number" for i in range(1, 9)}
    before, rows = peak(), 0
    stream = iter_rows(path, RowFormat(header=False), kinds=kinds, on_bad_row="skip")
    for batch in stream:
        rows += len(batch.table)
    print(rows, len(stream.skipped), peak() - before)
"""


def measured(path: Path) -> tuple[int, int, float]:
    """FileRows read, rows skipped and growth of memory in MiB when a process streams a file."""
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MEASURE), path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    rows, skipped, growth = output.split()
    return int(rows), int(skipped), float(growth)


@pytest.mark.parametrize("bad", [False, True], ids=["fast path", "text path"])
def test_stream_of_a_large_file_takes_little_memory(tmp_path, bad):
    path = tmp_path / "large.csv"
    line = ",".join(["1.5", "0.25", "1234567", "0", "1", "-3.75", "6", "x" * 8, "label"])
    line = line.replace("x" * 8, "42", 1) + "\n"
    piece = (line * 10_000).encode()
    with path.open("wb") as file:
        file.write(line.replace("1.5", "bad").encode() if bad else line.encode())
        for _ in range(math.ceil(150e6 / len(piece))):
            file.write(piece)
    rows, skipped, growth = measured(path)
    assert rows + skipped == 1 + 10_000 * math.ceil(150e6 / len(piece))
    assert skipped == bad
    assert growth < 200


def test_stream_of_a_large_row_group_takes_little_memory(tmp_path):
    path = tmp_path / "large.parquet"
    values = pa.array(np.random.default_rng(0).random(2_500_000))
    parquet.write_table(
        pa.table({f"c{i}": values for i in range(8)}),
        path,
        row_group_size=len(values),
        use_dictionary=False,
        compression="none",
    )
    assert path.stat().st_size > 150e6
    rows, _, growth = measured(path)
    assert rows == len(values)
    assert growth < 200


# Writing


TABLE = pa.table({"n": [1.5, None], "t": ["a,b", None], "f": [True, None]})


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.tsv", "o.tsv.gz", "o.parquet", "o.pq"])
def test_written_file_is_read_back(tmp_path, name):
    path = tmp_path / name
    with open_writer(path, TABLE.schema) as writer:
        writer.write(TABLE)
        assert not path.exists()
        writer.write(TABLE)
    assert read_rows(path, PLAIN).table.equals(pa.concat_tables([TABLE, TABLE]).combine_chunks())
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert path.read_bytes().startswith(b"\x1f\x8b") == name.endswith("gz")
    if name == "o.tsv":
        assert b"\t" in path.read_bytes()


def test_written_file_follows_the_umask(tmp_path):
    with open_writer(tmp_path / "o.csv", TABLE.schema) as writer:
        writer.write(TABLE)
    (tmp_path / "plain").touch()
    assert (tmp_path / "o.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["o.csv", "o.csv.gz", "o.parquet"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_writing_leaves_the_old_file(tmp_path, name, error):
    (tmp_path / name).write_text("old")
    with pytest.raises(error), open_writer(tmp_path / name, TABLE.schema) as writer:  # noqa: PT012
        writer.write(TABLE)
        raise error
    assert (tmp_path / name).read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["o.csv", "o.parquet"])
def test_file_without_rows_has_the_columns(tmp_path, name):
    with open_writer(tmp_path / name, TABLE.schema):
        pass
    assert column_names(tmp_path / name, PLAIN) == ["n", "t", "f"]


@pytest.mark.parametrize("name", ["o.xlsx", "o", "o.json", "o.gz", "o.parquet.gz"])
def test_unknown_extension_is_refused_before_anything_is_written(tmp_path, name):
    said = complaint(lambda: open_writer(tmp_path / name, TABLE.schema).__enter__())
    assert "must end in .csv" in said
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_and_folder_are_refused(tmp_path):
    def opened(path):
        return complaint(lambda: open_writer(path, TABLE.schema).__enter__())

    assert "does not exist" in opened(tmp_path / "none" / "o.csv")
    (tmp_path / "o.csv").mkdir()
    assert "is a folder" in opened(tmp_path / "o.csv")


def test_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "o.csv").symlink_to(tmp_path / "real" / "target.csv")
    with open_writer(tmp_path / "o.csv", TABLE.schema) as writer:
        writer.write(TABLE)
    assert (tmp_path / "o.csv").is_symlink()
    assert len(read_rows(tmp_path / "real" / "target.csv", PLAIN).table) == 2


def test_types_that_csv_cannot_hold_are_refused(tmp_path):
    schema = pa.schema({"n": pa.list_(pa.int64())})
    said = complaint(lambda: open_writer(tmp_path / "o.csv", schema).__enter__())
    assert "column 'n' of type list" in said
    assert list(tmp_path.iterdir()) == []


def test_dictionary_columns_are_written_as_their_values(tmp_path):
    table = pa.table({"t": pa.array(["a", "b"]).dictionary_encode(), "n": [1.0, 2.0]})
    with open_writer(tmp_path / "o.csv", table.schema) as writer:
        writer.write(table)
    assert read_rows(tmp_path / "o.csv", PLAIN).table["t"].to_pylist() == ["a", "b"]


def test_full_disk_is_one_line(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    code = """
        import sys, pyarrow as pa
        from lampblack.data.tables.writing import open_writer
        from lampblack.exceptions import InvalidInput
        table = pa.table({"n": list(range(1_000_000))})
        try:
            with open_writer("-", table.schema) as writer:
                writer.write(table)
        except InvalidInput as error:
            sys.exit(str(error))
    """
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.stderr.startswith("-: cannot be written (")


def test_dash_writes_csv_to_standard_output(capfdbinary):
    with open_writer("-", TABLE.schema) as writer:
        writer.write(TABLE)
    print("still open", flush=True)
    assert capfdbinary.readouterr().out == b'"n","t","f"\n1.5,"a,b",true\n,,\nstill open\n'


# Round trip


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\ufeff"), min_size=1, max_size=8
).filter(lambda name: name.strip())
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).filter(bool)
VALUES = {
    "number": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "category": TEXTS,
    "date": st.datetimes(),
}


@st.composite
def tables(draw):
    kinds = draw(st.dictionaries(NAMES, st.sampled_from(COLUMN_KINDS), min_size=1, max_size=4))
    rows = draw(st.integers(1, 12))
    columns = {
        name: pa.array(
            draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)),
            ARROW_TYPES[kind],
        )
        for name, kind in kinds.items()
    }
    return pa.table(columns), kinds


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    tables(),
    st.sampled_from([8, 64, 1 << 20]),
    st.integers(1, 5),
    st.sampled_from(["o.csv", "o.tsv.gz", "o.parquet"]),
)
def test_written_table_is_read_back_the_same(
    tmp_path, monkeypatch, drawn, block_bytes, batch_rows, name
):
    table, kinds = drawn
    monkeypatch.setattr(layout, "BLOCK_BYTES", block_bytes)
    delimiter = "tab" if name == "o.tsv.gz" else ","
    with open_writer(tmp_path / name, table.schema) as writer:
        for start in range(0, len(table), 3):
            writer.write(table.slice(start, 3))
    told = RowFormat(types=kinds, delimiter=delimiter)
    rows = read_rows(tmp_path / name, told)
    assert rows.table.equals(table)
    assert rows.row_numbers.tolist() == list(range(1, len(table) + 1))
    stream = iter_rows(
        tmp_path / name, RowFormat(delimiter=delimiter), kinds=kinds, batch_rows=batch_rows
    )
    batches = list(stream)
    assert pa.concat_tables([batch.table for batch in batches]).equals(table)
    assert [n for b in batches for n in b.row_numbers] == list(range(1, len(table) + 1))
    assert not re.search("part", " ".join(os.listdir(tmp_path)))


def test_every_field_of_a_format_is_kept_by_a_model_and_read_back() -> None:
    """A field that is added later is not lost on the way, nor where another is replaced."""
    other = {"header": False, "delimiter": ";", "decimal": ",", "types": {"a": "date:%d/%m/%Y"}}
    other |= {"missing": ("?",), "not_missing": ("NA",)}
    assert set(other) == {each.name for each in fields(RowFormat)}  # give the new one a value here
    for name, value in other.items():
        assert getattr(RowFormat.of_reading({name: value}), name) == value
        assert getattr(RowFormat.of_reading(json.loads(json.dumps(other))), name) == value
    told = RowFormat.of_reading(other, header=None, delimiter=",", missing=["-"])
    assert told == RowFormat(False, ",", ",", {"a": "date:%d/%m/%Y"}, ("?", "-"), ("NA",))
    assert RowFormat.of_reading({}) == RowFormat()
    assert RowFormat.of_reading({"header": True}, header=False).header is False
