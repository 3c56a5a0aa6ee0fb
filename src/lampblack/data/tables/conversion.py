"""A column of any Arrow type as the numbers, the text or the dates that a schema takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lampblack.choices import ColumnKind
from lampblack.data.names import wrong_column
from lampblack.data.tables.column_kinds import MISSING, ColumnType
from lampblack.data.tables.parsing import number_codes, parse, without, without_numbers
from lampblack.exceptions import InvalidInput, Place, SchemaMismatch

NOUNS: dict[ColumnKind, str] = {
    "number": "numbers",
    "boolean": "true/false values",
    "category": "text",
    "date": "dates",
}
UNUSABLE = ("give numbers, true/false values, text or dates", "leave it out")
Nulls = tuple[str, ...]
Moments = npt.NDArray[np.datetime64]


def plain(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without what only says how it is stored: extensions, runs, views, bytes of text.

    Categories stay so, but for those of dates, times and durations. Raises InvalidInput, naming the
    column, where its type or its bytes cannot be used.
    """
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        storage = [_storage(name, chunk) for chunk in values.chunks]
        return plain(name, pa.chunked_array(storage, kind.storage_type))
    if pa.types.is_run_end_encoded(kind):
        return plain(name, pc.run_end_decode(values))
    if pa.types.is_dictionary(kind):
        return _plain_categories(name, values)
    if _is_binary(kind):
        return _decoded(name, values)
    if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
        return values.cast(pa.string())
    if pa.types.is_float16(kind):
        return values.cast(pa.float32())
    return values


def _plain_categories(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type.value_type
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_nested(kind):
        raise wrong_column(name, f"has categories of type {kind}, which cannot be used", *UNUSABLE)
    if pa.types.is_string(kind):
        return values
    decoded = plain(name, values.cast(kind))
    if pa.types.is_temporal(kind):
        return decoded
    if pa.types.is_floating(kind):
        decoded = without_fraction(decoded)
    return decoded.cast(pa.string()).dictionary_encode()


def _storage(name: str, chunk: pa.ExtensionArray) -> pa.Array:
    if str(chunk.type.extension_name).startswith("pandas."):
        what = f"has type {chunk.type.extension_name}, which cannot be used"
        raise wrong_column(name, what, *UNUSABLE)
    return chunk.storage


def _decoded(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes that are UTF-8, as some writers of Parquet leave text, as text."""
    try:
        return values.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        what = "holds bytes that are not UTF-8 text"
        raise wrong_column(name, what, "write it as text", "leave it out") from None


def kind_of_type(name: str, kind: pa.DataType) -> ColumnKind:
    """The kind that a plain column's type implies. Raises InvalidInput where there is none."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if (
        is_number(kind)
        or pa.types.is_null(kind)
        or pa.types.is_duration(kind)
        or pa.types.is_time(kind)
    ):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "date"
    if is_text(kind):
        return "category"
    raise wrong_column(name, f"has type {kind}, which cannot be used", *UNUSABLE)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type are numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this plain Arrow type are text, plain or as categories."""
    return bool(pa.types.is_dictionary(kind) or pa.types.is_string(kind))


def is_zoned(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type are times that say their zone."""
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def has_missing(values: pa.ChunkedArray, kind: ColumnKind, nulls: Nulls) -> bool:
    """Whether a plain column misses a value, by a hole or by a spelling of one."""
    if values.null_count:
        return True
    if is_text(values.type):
        levels = values.cast(pa.string())
        text = levels if kind == "category" else pc.utf8_trim_whitespace(levels)
        return bool(pc.any(pc.is_in(text, value_set=pa.array(nulls, pa.string()))).as_py())
    if pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        return True
    return bool(without_numbers(values, nulls).null_count)


def as_numbers(
    name: str, values: pa.ChunkedArray, column: ColumnType, nulls: Nulls
) -> npt.NDArray[np.float64]:
    """A number or boolean column as float64 (n,), NaN where missing.

    Text is another type, though it be digits; but for numbers that have marks, and where the model
    knows spellings of its own for a missing value, which make text of a column of numbers.
    """
    kind = values.type
    if is_text(kind):
        if column.spelling is None and set(nulls) <= set(MISSING):
            raise changed(name, column, pa.string(), _first(values))
        return _numpy(_parsed(name, values, column, nulls).cast(pa.float64()))
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), None, values)
    if is_number(kind) and number_codes(nulls):
        values = without_numbers(values, nulls)
    if column.kind == "boolean" and is_number(kind):
        distinct = pc.unique(values.drop_null()).to_pylist()
        if not set(distinct) <= {0, 1}:
            raise changed(name, column, kind, next(v for v in distinct if v not in (0, 1)))
    elif pa.types.is_duration(kind) or pa.types.is_time(kind):
        unit = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[kind.unit]
        width = pa.int32() if kind in (pa.time32("s"), pa.time32("ms")) else pa.int64()
        seconds = values.cast(width).cast(pa.float64())
        return _numpy(seconds) * unit
    elif not (is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise changed(name, column, kind, _first(values))
    if pa.types.is_boolean(kind):
        values = values.cast(pa.int8())
    return _numpy(values.cast(pa.float64(), safe=False))


def as_text(name: str, values: pa.ChunkedArray, column: ColumnType, nulls: Nulls) -> pa.Array:
    """A category column as one string array (n,), null where missing."""
    kind = values.type
    if is_text(kind):
        return _canonical(values.cast(pa.string()).combine_chunks(), nulls)
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_finite(values), values, pc.if_else(pc.is_nan(values), None, 0.5))
        values = values.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), 2.0**53))
        if pc.all(whole, skip_nulls=True).as_py() is False:
            raise changed(name, column, kind, values.drop_null()[0].as_py())
        values = values.cast(pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise changed(name, column, kind, _first(values))
    return _canonical(without_numbers(values, nulls).cast(pa.string()).combine_chunks(), nulls)


def without_fraction(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as integers where all of them are whole, so that 3 and 3.0 are one category."""
    known = values.drop_null()
    whole = pc.and_(pc.equal(pc.floor(known), known), pc.less(pc.abs(known), 2.0**53))
    return values.cast(pa.int64()) if pc.all(whole).as_py() else values.cast(pa.float64())


def _canonical(text: pa.Array, nulls: Nulls) -> pa.Array:
    """Text (n,) in which whole numbers and truth values are written in one way, missing ones null.

    A file may write 3 as "3.0" and true as "True" where a frame holds an integer or a boolean; the
    category must be the same one. Leading zeros stay: "06" is a code.
    """
    encoded = text.dictionary_encode()
    levels = without(encoded.dictionary, nulls) if nulls else encoded.dictionary
    levels = pc.replace_substring_regex(levels, r"^(-?\d+)\.0+$", r"\1")
    truth = pc.match_substring_regex(levels, "^(?i:true|false)$")
    levels = pc.if_else(truth, pc.utf8_lower(levels), levels)
    return levels.take(encoded.indices)


def as_dates(name: str, values: pa.ChunkedArray, column: ColumnType, nulls: Nulls) -> Moments:
    """A date column as datetime64[us] (n,), in UTC where it is zoned, NaT where missing."""
    kind = values.type
    if is_text(kind):
        values = _parsed(name, values, column, nulls)
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise changed(name, column, kind, _first(values))
    elif column.zoned not in (None, is_zoned(kind)) and values.null_count < len(values):
        raise _other_zone(name, column, str(_first(values)))
    try:
        coarse = not pa.types.is_timestamp(kind) or kind.unit != "ns"
        moments = values.cast(pa.timestamp("us"), safe=coarse)
    except pa.ArrowInvalid:
        what = "a date lies out of range"
        place = Place(column=name)
        raise InvalidInput(what, at=place, remedy="correct it") from None
    return np.asarray(moments.to_numpy(), dtype="datetime64[us]")


def _parsed(
    name: str, values: pa.ChunkedArray, column: ColumnType, nulls: Nulls
) -> pa.ChunkedArray:
    """Text of a column of numbers, booleans or dates. Raises SchemaMismatch where one is none."""
    text = values.cast(pa.string())
    parsed, wrong = parse(text, column, nulls)
    if wrong is None:
        return parsed
    example = text[int(wrong.argmax())].as_py()
    if column.kind == "date" and column.zoned is not None:
        other = ColumnType("date", column.spelling, not column.zoned)
        if parse(pa.chunked_array([[example]], pa.string()), other, nulls)[1] is None:
            raise _other_zone(name, column, example)
    raise changed(name, column, pa.string(), example)


def _other_zone(name: str, column: ColumnType, example: str) -> SchemaMismatch:
    held, holds = ("with", "without") if column.zoned else ("without", "with")
    return SchemaMismatch(
        f"column {name!r} held times {held} a time zone when the model was fitted and now holds "
        f"times {holds} one (such as {example!r})",
        names=Place(column=name),
        remedy=(
            "say their time zone" if column.zoned else "give local times, as the fitted ones were",
            "fit again",
        ),
    )


def changed(
    name: str, column: ColumnType, kind: pa.DataType, example: object = None
) -> SchemaMismatch:
    """The error for a column that holds something else than the fitted one did."""
    shown = f" (such as {example!r})" if example is not None else ""
    return SchemaMismatch(
        f"column {name!r} held {NOUNS[column.kind]} when the model was fitted "
        f"and now holds {_noun(kind)}{shown}",
        names=Place(column=name),
        remedy="convert it",
    )


def _noun(kind: pa.DataType) -> str:
    """What values of an Arrow type are called in a message."""
    kinds: tuple[tuple[Callable[[pa.DataType], bool], ColumnKind], ...] = (
        (is_text, "category"),
        (is_number, "number"),
        (pa.types.is_timestamp, "date"),
        (pa.types.is_date, "date"),
        (pa.types.is_boolean, "boolean"),
    )
    return next((NOUNS[name] for check, name in kinds if check(kind)), str(kind))


def _first(values: pa.ChunkedArray) -> object:
    known = values.drop_null()
    return known[0].as_py() if len(known) else None


def _is_binary(kind: pa.DataType) -> bool:
    checks = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
    return any(getattr(pa.types, check)(kind) for check in checks)


def _numpy(values: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    return np.asarray(values.to_numpy(), dtype=np.float64)
