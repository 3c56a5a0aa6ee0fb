"""How the text of a column is understood: numbers with marks, dates of a format, time zones."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lampblack.data.tables.column_kinds import ColumnType
from lampblack.data.tables.dates import check_format
from lampblack.data.tables.files import iter_rows
from lampblack.data.tables.layout import RowFormat
from lampblack.data.tables.numerals import NumberSpelling
from lampblack.data.tables.parsing import parse
from lampblack.data.tables.phases import covered_cycles, phases
from lampblack.data.tables.schema import Schema
from lampblack.data.tables.text_types import understand
from lampblack.data.tables.zones import local_times
from lampblack.exceptions import InvalidInput, ReadingWarning, SchemaMismatch

NULLS = ("", "NA")


def seen(values: list[str], **how: Any) -> tuple[str, list[Any]]:
    """What a column is understood as, and its values then."""
    text = pa.chunked_array([pa.array(values)])
    understood = understand(text, NULLS, **how)
    assert understood.problem is None, understood.problem
    parsed, _ = parse(text, understood.type, NULLS)
    return str(understood.type), parsed.to_pylist()


@pytest.mark.parametrize(
    ("values", "spelling", "numbers"),
    [
        (["$99,999,999", "$55", "-$3.50"], "$1,234.5", [99_999_999, 55, -3.5]),
        (["5%", "6.5 %"], "1234.5%", [5, 6.5]),
        (["12.5 kg", "3 kg"], "1234.5 kg", [12.5, 3]),
        (["20 °C", "-1.5 °C"], "1234.5°C", [20, -1.5]),
        (["−5", "3", "4.5"], "1234.5", [-5, 3, 4.5]),
        (["5-", "6", ""], "1234.5", [-5, 6, None]),
        (["(5)", "6"], "1234.5", [-5, 6]),
        (["($5.00)", "$6"], "$1234.5", [-5, 6]),
        (["1,234", "56"], "1,234.5", [1234, 56]),
        (["1,23,456", "5,000"], "1,234.5", [123_456, 5000]),
        (["1.234,5", "2"], "1.234,5", [1234.5, 2]),
        (["1.234.567", "1.234"], "1.234,5", [1_234_567, 1234]),
        (["1,5", "2,25"], "1234,5", [1.5, 2.25]),
        (["1 234,5 €", "2 €"], "1 234,5€", [1234.5, 2]),
        (["1\u202f234,5", "7"], "1 234,5", [1234.5, 7]),
        (["1'234.5", "2"], "1'234.5", [1234.5, 2]),
        (["CHF 1’200.-", "CHF 3.50"], "CHF1'234.5", [1200, 3.5]),
        (["'5'", "'6'"], "'1234.5'", [5, 6]),
        (['="5"', '="6"'], '="1234.5"', [5, 6]),
        (["１２", "３４．５"], "1234.5", [12, 34.5]),
        (["٣٤", "٥"], "1234.5", [34, 5]),
        (["5e3 V", "2 V"], "1234.5 V", [5000, 2]),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else "",
)
def test_numbers_with_one_mark_are_numbers(
    values: list[str], spelling: str, numbers: list[float]
) -> None:
    assert seen(values) == (f"number:{spelling}", numbers)
    assert str(NumberSpelling.of(spelling)) == spelling


@pytest.mark.parametrize(
    "values",
    [
        ["N14228", "N24211", "N619AA"],
        ["10.0.0.1", "192.168.1.1"],
        ["12A", "13B", "14C"],
        ["007 kg", "3 kg"],
        ["3D", "3D"],
        ["12 Main", "5 Oak"],
        ["id-1", "id-2"],
        ["v1.2", "v1.3"],
    ],
    ids=lambda values: values[0],
)
def test_codes_stay_text(values: list[str]) -> None:
    assert seen(values) == ("category", values)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["$5", "€6"], "several marks, such as '$5' and '€6'"),
        (["5 kg", "500 mg"], "several marks, such as '5 kg' and '500 mg'"),
        (["<40", "<50", "60"], "bounds in place of numbers, such as '<40'"),
        (["1/01/2024"], "can be read in two ways, such as '1/01/2024'"),
        (["01/02/03"], "can be read in two ways"),
        (
            ["2026-01-01 00:00Z", "2026-01-01 00:00"],
            "mixes times with a time zone, such as '2026-01-01 00:00Z', and without",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_only_looks_like_numbers_or_dates_is_a_problem(
    values: list[str], problem: str
) -> None:
    found = understand(pa.chunked_array([pa.array(values)]), NULLS).problem
    assert found is not None
    assert problem in found


DAY, NOON = dt.datetime(2026, 1, 31), dt.datetime(2026, 1, 31, 12)
UTC = NOON.replace(tzinfo=dt.timezone.utc)


@pytest.mark.parametrize(
    ("value", "spelling", "moment"),
    [
        ("2026-01-31", None, DAY),
        ("2026-01-31 12:00:00 UTC", None, UTC),
        ("2026-01-31T12:00:00,000", None, NOON),
        ("2026-01-31T13:00:00.000000001+0100", None, UTC),
        ("2026/01/31", "%Y/%m/%d", DAY),
        ("2026.01.31", "%Y.%m.%d", DAY),
        ("2026-1-31", "%Y-%m-%d", DAY),
        ("31/1/2026", "%d/%m/%Y", DAY),
        ("1/31/2026", "%m/%d/%Y", DAY),
        ("31.01.26", "%d.%m.%y", DAY),
        ("31 Jan 2026", "%d %b %Y", DAY),
        ("31-january-2026", "%d-%b-%Y", DAY),
        ("31JAN2026", "%d%b%Y", DAY),
        ("Jan 31, 2026 12:00 PM", "%b %d, %Y %I:%M %p", NOON),
        ("Sat Jan 31 12:00:00 2026", "%a %b %d %H:%M:%S %Y", NOON),
        ("Sat, 31 Jan 2026 13:00:00 +0100", "%a, %d %b %Y %H:%M:%S%z", UTC),
        ("31/Jan/2026:12:00:00 +0000", "%d/%b/%Y:%H:%M:%S%z", UTC),
        ("20260131T120000Z", "%Y%m%dT%H%M%S%z", UTC),
        ("2026年1月31日", "%Y年%m月%d日", DAY),
        ("31.1.2026 12:00:00,0", "%d.%m.%Y %H:%M:%S", NOON),
    ],
)
def test_dates_of_one_format_are_dates(value: str, spelling: str | None, moment: Any) -> None:
    expected = "date" if spelling is None else f"date:{spelling}"
    assert seen([value, ""]) == (expected, [moment, None])
    if spelling is not None:
        check_format(spelling)


def test_the_data_decide_whether_the_day_comes_first() -> None:
    assert seen(["1/02/2026", "13/02/2026"])[0] == "date:%d/%m/%Y"
    assert seen(["1/02/2026", "2/13/2026"])[0] == "date:%m/%d/%Y"


def test_day_that_no_month_has_is_no_date() -> None:
    text = pa.chunked_array([["31/02/2026", "28/02/2026"]])
    parsed, wrong = parse(text, ColumnType.of("date:%d/%m/%Y"), NULLS)
    assert parsed.to_pylist() == [None, dt.datetime(2026, 2, 28)]
    assert wrong is not None
    assert wrong.tolist() == [True, False]


def test_two_digits_of_a_year_are_of_1969_to_2068() -> None:
    text = pa.chunked_array([["01.01.68", "01.01.69"]])
    parsed, _ = parse(text, ColumnType.of("date:%d.%m.%y"), NULLS)
    assert [moment.year for moment in parsed.to_pylist()] == [2068, 1969]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("%d/%m", "lacks year or month"),
        ("%d/%Q/%Y", "holds %Q, which is not known"),
        ("%d/%d/%m/%Y", "names one part twice"),
        ("%d/%m/%Y %I:%M", "%I and %p go together"),
    ],
)
def test_format_that_says_no_date_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_format(text)


@pytest.mark.parametrize("text", ["1,234", "x", "1,2,3"])
def test_example_that_shows_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"1,234\.5"):
        NumberSpelling.of(text)


# Frames: their text is understood, too, and it is said.


def rows_of(values: Any, **how: Any) -> tuple[Schema, Any]:
    table = pa.table({"a": values})
    schema = Schema.of_table(table, **how)
    return schema, schema.read_table(table)


def test_text_in_a_frame_is_read_and_it_is_said() -> None:
    with pytest.warns(ReadingWarning, match=r"'\$1,000' is read as numbers, as \$1,234\.5"):
        schema, rows = rows_of(["$1,000", "$2.50"])
    assert rows.numbers[:, 0].tolist() == [1000, 2.5]
    other = schema.read_table(pa.table({"a": [3.5]}))  # a number is a number in any case
    assert other.numbers.tolist() == [[3.5]]
    with pytest.raises(SchemaMismatch, match="now holds text"):
        schema.read_table(pa.table({"a": ["€5"]}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["12", "13"], "2 of 2 values look like numbers, such as '12'"),
        (["12", "13", "L"], "2 of 3 values look like numbers"),
        (["$5", "€6"], "several marks"),
        (["NA", "DE"], "text 'NA' is taken as a missing value"),
    ],
)
def test_text_in_a_frame_that_may_be_meant_otherwise_is_warned_of(
    values: list[str], said: str
) -> None:
    with pytest.warns(ReadingWarning, match=said):
        schema, _ = rows_of(values)
    assert schema.columns[0].kind == "category"


def test_told_types_settle_what_text_is() -> None:
    told = {"a": "date:%m/%d/%Y"}
    assert rows_of(["1/02/2024"], types=told)[1].dates[0].tolist() == [dt.datetime(2024, 1, 2)]
    assert rows_of(["13/02/2024"], types={"a": "date"})[0].columns[0].spelling == "%d/%m/%Y"
    assert rows_of(["12", "7"], types={"a": "number"})[1].numbers.tolist() == [[12], [7]]
    with pytest.raises(InvalidInput, match=r"say which \(types=\{'a': 'date:%d/%m/%Y'\}\)"):
        rows_of(["1/02/2024"], types={"a": "date"})
    with pytest.raises(InvalidInput, match="can be read in two ways"):
        rows_of(["1/02/2024"])


# Time zones.

ZONED = pa.array([NOON] * 3, pa.timestamp("us", "UTC"))
NAIVE = pa.array([NOON] * 3, pa.timestamp("us"))


@pytest.mark.parametrize(
    ("fitted", "now"),
    [
        (ZONED, NAIVE),
        (NAIVE, ZONED),
        (NAIVE, pa.array(["2026-01-31 12:00:00Z"])),
        (ZONED, pa.array(["2026-01-31 12:00:00"])),
        (ZONED, pa.array([DAY.date()])),
        (NAIVE, ZONED.dictionary_encode()),
    ],
)
def test_a_change_of_time_zone_is_refused(fitted: pa.Array, now: pa.Array) -> None:
    schema, _ = rows_of(fitted)
    with pytest.raises(SchemaMismatch, match=r"column 'a' held times with(out)? a time zone"):
        schema.read_table(pa.table({"a": now}))


def test_a_model_of_a_former_format_takes_both() -> None:
    schema, _ = rows_of(NAIVE)
    content = schema.model_dump()
    del content["columns"][0]["zoned"], content["columns"][0]["spelling"], content["missing"]
    former = Schema.model_validate(content)
    for values in (NAIVE, ZONED):
        assert former.read_table(pa.table({"a": values})).dates[0][0] == np.datetime64(NOON)


def test_mixed_zones_are_refused_whatever_holds_them() -> None:
    moments = [pd.Timestamp("2026-01-01"), pd.Timestamp("2026-01-01", tz="UTC")]
    from lampblack.data.tables.inputs import learn_rows

    with pytest.raises(InvalidInput, match="column 'a' mixes times with a time zone"):
        learn_rows(pd.DataFrame({"a": pd.Series(moments, dtype=object)}), None, "D")
    with pytest.raises(InvalidInput, match="column 'a' mixes times with a time zone"):
        rows_of(["2026-01-31 12:00:00Z", "2026-01-31 12:00:00"])


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
)
def test_local_times_are_those_of_zoneinfo(zone: str) -> None:
    moments = pd.date_range("2023-12-30", "2025-01-02", freq="13min", unit="us", tz="UTC")
    expected = moments.tz_convert(zone).tz_localize(None).to_numpy()
    given = moments.tz_localize(None).to_numpy().copy()
    given[5] = expected.copy()[5] if zone == "UTC" else given[5]
    np.testing.assert_array_equal(local_times(given, zone), expected)


def test_missing_and_extreme_times_have_local_ones() -> None:
    moments = np.array(["NaT", "0001-01-01", "9999-12-31T23:59", "+20000-01-01"], "datetime64[us]")
    assert np.isnat(local_times(moments, "Asia/Tokyo")).tolist() == [True, False, False, False]


def test_zone_that_is_unknown_or_without_use_is_refused() -> None:
    zoned, naive = rows_of(ZONED)[0], rows_of(NAIVE)[0]
    assert zoned.in_zone("Europe/Berlin").timezone == "Europe/Berlin"
    for name in ("Europe/Nowhere", "../etc/passwd", "", "Europe"):
        with pytest.raises(InvalidInput, match="is no time zone"):
            zoned.in_zone(name)
    with pytest.raises(InvalidInput, match="no column holds times that say their zone"):
        naive.in_zone("Europe/Berlin")


def test_phases_of_a_day_are_local_on_both_sides_of_a_change_of_clocks() -> None:
    """Eight in the morning in Berlin is one phase in January and in July; in UTC it is two."""
    hours = pd.date_range("2026-01-01", "2027-01-03", freq="5h", tz="UTC", unit="us")
    schema, rows = rows_of(pa.array(hours))
    eight = pa.table({"a": pa.array(["2026-01-15T07:00Z", "2026-07-15T06:00Z"])})
    for zone, alike in (("Europe/Berlin", True), (None, False)):
        local = schema.in_zone(zone)
        cycles = covered_cycles(local, rows)
        assert cycles == [["day", "week", "year"]]
        (found,) = phases(local, local.read_table(eight), cycles)
        assert np.allclose(found[0, :2], found[1, :2]) == alike


def test_cell_of_another_zone_in_a_file_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("at,x\n2026-01-01 00:00:00Z,1\n2026-01-02 00:00:00,2\n")
    for zoned, said in (
        (True, "row 2, column 'at': '2026-01-02 00:00:00' is not a date with a time zone"),
        (False, "row 1, column 'at': '2026-01-01 00:00:00Z' is not a date without a time zone"),
    ):
        with pytest.raises(InvalidInput, match=said):
            list(iter_rows(path, RowFormat(), kinds={"at": ColumnType("date", zoned=zoned)}))


def test_of_many_texts_some_are_looked_at_first() -> None:
    prices = [f"${i}" for i in range(9000)]
    words = [f"no. {i}" for i in range(12_000)]
    assert seen(words)[0] == "category"
    found = understand(pa.chunked_array([pa.array(prices + words[:8000])]), NULLS)
    assert (str(found.type), found.wrong) == ("number:$1234.5", 8000)
