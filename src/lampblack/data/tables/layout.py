"""What a file of rows is, found from its first bytes: Parquet, or CSV with names and a delimiter.

A file is recognised by its content first (the magic bytes of Parquet and gzip) and by its name
only for a better message when the two disagree.
"""

import codecs
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lampblack.data.tables.column_kinds import COLUMN_KINDS, MISSING, ColumnType, nulls
from lampblack.data.tables.delimiters import SPACES, Split, Undecided, find_split, is_typed
from lampblack.data.tables.spelling import read_type
from lampblack.exceptions import InvalidInput, Place, Remedy, Setting

PARQUET: Final = b"PAR1"
GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"
UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
BOM: Final = b"\xef\xbb\xbf"
SPELLED_DELIMITERS: Final = {"tab": "\t", "\\t": "\t", "space": SPACES, "spaces": SPACES}
SHOWN_NAMES: Final = 20
SAMPLE_BYTES: Final = 1 << 16
LONGEST_ROW: Final = 1 << 25
LONGEST_HEADER: Final = 1 << 22
MOST_COLUMNS: Final = 1 << 15  # Arrow's reader takes some 10 KB for each
BLOCK_BYTES = 1 << 20
USE_TYPES: Final = f"use {', '.join(COLUMN_KINDS)}, date:%d/%m/%Y or number:$1,234.5"
SEPARATOR_LINE: Final = re.compile(r'"?sep=([^"\r\n])"?[ \t,;]*(?:\r\n|\r|\n)', re.IGNORECASE)
COMMENTS: Final = re.compile(r"#[^\r\n]*(?:\r\n|\r|\n)(?:(?:#[^\r\n]*|[ \t]*)(?:\r\n|\r|\n))*")
GIVE_ROWS: Final = "give a file of rows"
GIVE_HEADER: Final = "give a file with a header and rows"
NO_HEADER: Final = Remedy("say that the file has no header (", Setting("header", False), ")")


@dataclass(frozen=True)
class RowFormat:
    """How a file of rows is to be read, where the file itself does not say.

    header: the first line of a CSV file holds the names; else the columns are c1, c2, ...
    delimiter: None to find it from the first lines, among , ; tab | and runs of spaces (" ").
    decimal: the mark of numbers, "." or ",", where the values leave it open; None for the point.
    types: columns whose type is told, not inferred: "date", or with its spelling "date:%d/%m/%Y".
    missing: spellings of a missing value beside pyarrow's own ('', NA, N/A, NaN, null, ...).
    not_missing: those of pyarrow's own that are text, such as NA for Namibia.
    """

    header: bool = True
    delimiter: str | None = None
    decimal: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    not_missing: tuple[str, ...] = ()

    @classmethod
    def of_reading(
        cls, reading: Mapping[str, Any], *, missing: Iterable[str] = (), **given: Any
    ) -> "RowFormat":
        """As the fitted file was written, by what its model remembers, but for what is given.

        missing: further spellings. given: other fields; None where the user did not say.
        """
        known = {each.name: reading.get(each.name) for each in fields(cls)}
        known |= {name: value for name, value in given.items() if value is not None}
        told = {name: value for name, value in known.items() if value is not None}
        told["not_missing"] = tuple(told.get("not_missing", ()))
        return cls(**{**told, "missing": (*told.get("missing", ()), *missing)})

    @property
    def nulls(self) -> tuple[str, ...]:
        """All spellings of a missing value."""
        return nulls(self.missing, self.not_missing)

    @property
    def told(self) -> dict[str, ColumnType]:
        """The types that are told, by column."""
        return {name: ColumnType.of(text) for name, text in self.types.items()}

    def under(self, known: tuple[str, ...]) -> "RowFormat":
        """The same, where a model knows these spellings of a missing value, if it knows any."""
        if not known:
            return self
        missing = tuple(dict.fromkeys((*known, *self.missing)))
        return replace(
            self,
            missing=missing,
            not_missing=tuple(text for text in MISSING if text not in missing),
        )

    def __post_init__(self) -> None:
        delimiter = self.delimiter
        if delimiter is not None:
            delimiter = SPELLED_DELIMITERS.get(delimiter, delimiter)
            if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
                raise InvalidInput(
                    f"delimiter {self.delimiter!r}: give one character such as ',' or 'tab'"
                )
            object.__setattr__(self, "delimiter", delimiter)
        if self.decimal not in (None, ".", ","):
            raise InvalidInput(f"decimal {self.decimal!r}: give '.' or ','")
        for name, text in self.types.items():
            try:
                read_type(text)
            except ValueError as error:
                what, place = str(error), Place(column=name)
                raise InvalidInput(what, at=place, remedy=USE_TYPES) from None


@dataclass(frozen=True)
class Source:
    """A regular file, whether it is Parquet, and whether it is compressed by gzip.

    content: the bytes themselves, where they are in memory; `path` is then only what messages call
    them.
    """

    path: Path
    parquet: bool
    gzip: bool
    content: bytes | None = None

    @contextmanager
    def open(self) -> Iterator[pa.NativeFile]:
        """The bytes of the file, decompressed."""
        held = self.content
        with (
            pa.OSFile(str(self.path)) if held is None else pa.BufferReader(held) as file,
            pa.CompressedInputStream(file, "gzip") if self.gzip else file as stream,
        ):
            yield stream

    def head(self, size: int) -> bytes:
        with self.open() as stream:
            content: bytes = stream.read(size)
            return content


@dataclass(frozen=True)
class CsvLayout:
    """Where the rows of a CSV file are: after `offset` bytes and, if it has one, the header.

    block_bytes is how much is parsed at a time; it exceeds the longest row that can be expected.
    """

    source: Source
    format: RowFormat
    names: tuple[str, ...]
    delimiter: str
    offset: int
    block_bytes: int


def find_source(path: str | Path | Source) -> Source:
    """Look at the file; raise InvalidInput, in one line, if it cannot hold rows."""
    if isinstance(path, Source):
        return path
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        place = Place(f"{str(path)!a}")
        raise InvalidInput("the name is not UTF-8", at=place, remedy="rename the file") from None
    place = Place(path)
    with unreadable(path):
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InvalidInput("is a folder", at=place, remedy=f"{GIVE_ROWS} (CSV or Parquet)")
        if not stat.S_ISREG(mode):
            raise InvalidInput("is not a regular file", at=place, remedy="save it as one first")
        with path.open("rb") as file:
            magic = file.read(len(PARQUET))
        gzip = magic.startswith(GZIP)
        if gzip and Source(path, parquet=False, gzip=True).head(4) == PARQUET:
            raise InvalidInput(
                "is a compressed Parquet file", at=place, remedy="decompress it first"
            )
    if not magic:
        raise InvalidInput("is empty (0 bytes)", at=place, remedy=GIVE_HEADER)
    if magic == ZIP:
        raise InvalidInput("is a zip or Excel file", at=place, remedy="save it as CSV or Parquet")
    if magic != PARQUET and path.suffix.lower() in (".parquet", ".pq"):
        raise InvalidInput(
            "is not a Parquet file, though named as one", at=place, remedy="check the file"
        )
    return Source(path, parquet=magic == PARQUET, gzip=gzip)


def find_layout(source: Source, format: RowFormat) -> CsvLayout:
    """Read names and delimiter from the beginning of a CSV file."""
    size = SAMPLE_BYTES
    while True:
        with unreadable(source.path):
            head = source.head(size)
        text = _decode(source.path, head)
        whole = len(head) < size
        body = text.lstrip("\ufeff").lstrip("\r\n")
        if whole or re.search("[\r\n]", body) or size >= LONGEST_HEADER:
            break
        size *= 8
    if not body.strip() or (format.header and whole and not re.search("[\r\n]", body)):
        raise InvalidInput("no rows", at=Place(source.path), remedy=GIVE_HEADER)
    _refuse_long(source.path, body, whole=whole)
    return _layout(source, format, text, len(text) - len(body), whole=whole)


def _layout(source: Source, format: RowFormat, text: str, start: int, *, whole: bool) -> CsvLayout:
    """The layout of the rows in a text of which the first `start` characters are no rows."""
    told = format.delimiter
    if match := SEPARATOR_LINE.match(text, start):  # Excel's own
        start, told = match.end(), told or match[1]
    place = Place(source.path)
    try:
        start = _after_comments(text, start, format, told, whole=whole)
        rows = text[start:].removeprefix("# ")
        split = find_split(rows, header=format.header, whole=whole, delimiter=told)
    except Undecided as error:
        remedy = Remedy("say what it is (", Setting("delimiter", ";"), ")")
        raise InvalidInput(str(error), at=place, remedy=remedy) from None
    if not split.first:
        raise InvalidInput("the first line cannot be read", at=place, remedy=GIVE_HEADER)
    first_line = _first_record(text[start:])
    return CsvLayout(
        source,
        format,
        _find_names(source.path, split, header=format.header),
        split.delimiter,
        offset=len(text[:start].encode(errors="surrogateescape")),
        block_bytes=max(BLOCK_BYTES, 4 * len(first_line.encode(errors="surrogateescape"))),
    )


def _refuse_long(path: Path, body: str, *, whole: bool) -> None:
    """Refuse a first line that never ends, or that would be more columns than memory holds."""
    if not whole and len(body) >= LONGEST_HEADER // 4 and not re.search("[\r\n]", body):
        what = f"the first line is longer than {LONGEST_HEADER >> 20} MiB"
        raise InvalidInput(what, at=Place(path), remedy=GIVE_ROWS)


def _after_comments(
    text: str, start: int, format: RowFormat, delimiter: str | None, *, whole: bool
) -> int:
    """Where the lines begin that follow leading comments, of which the last may hold the names."""
    comments = COMMENTS.match(text, start)
    if comments is None:
        return start
    end = comments.end()
    if not format.header or not text[end:].strip():
        return end if text[end:].strip() else start
    last = list(re.finditer(r"#[^\r\n]*", text[start:end]))[-1]
    rows = find_split(text[end:], header=False, whole=whole, delimiter=delimiter)
    names = find_split(
        last[0].removeprefix("# "), header=False, whole=True, delimiter=rows.delimiter
    )
    is_names = len(names.first) == rows.width and (
        any(map(is_typed, rows.first)) or (rows.width > 1 and not last[0].startswith("# "))
    )
    return start + last.start() if is_names else end


def check_names(path: Path, names: Sequence[str], *remedy: Remedy) -> None:
    """Refuse names that are empty or appear twice. remedy: what else to do than to rename."""
    for number, name in enumerate(names, 1):
        if not name.strip():
            what = f"column {number} has no name"
            raise InvalidInput(what, at=Place(path), remedy=("name it", *remedy))
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidInput(
            f"two columns are named {twice!r}",
            at=Place(path),
            names=Place(column=twice),
            remedy=("rename one", *remedy),
        )


def check_types(path: Path, names: Sequence[str], types: Mapping[str, str]) -> None:
    """Refuse a told type for a column that the file does not have."""
    for name in types:
        if name not in names:
            shown = ", ".join(names[:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
            raise InvalidInput(
                f"there is no column {name!r} to read as {types[name]} (",
                Setting("types"),
                f"); the columns are {shown}",
                at=Place(path),
                names=Place(column=name),
            )


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Turn what goes wrong in the reading of a file into one line."""
    place = Place(path)
    try:
        yield
    except FileNotFoundError:
        raise InvalidInput("does not exist", at=place, remedy="check the path") from None
    except PermissionError:
        raise InvalidInput("may not be read", at=place, remedy="check its permissions") from None
    except OSError as error:
        raise _of_gzip(place, str(error)) from None
    except pa.ArrowException as error:
        if "straddling" in str(error):
            what = f"a row is longer than {LONGEST_ROW >> 20} MiB"
            look = 'look for a quote (") that is never closed'
            raise InvalidInput(what, at=place, remedy=look) from None
        raise InvalidInput(f"cannot be read ({_one_line(str(error))})", at=place) from None


def _of_gzip(place: Place, text: str) -> InvalidInput:
    """What reading said of a file that may be compressed."""
    if "Truncated compressed stream" in text:
        what = "is a truncated gzip file"
    elif "zlib" in text:
        what = "is a damaged gzip file"
    else:
        return InvalidInput(f"cannot be read ({_one_line(text)})", at=place)
    return InvalidInput(what, at=place, remedy="copy or download it again")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _decode(path: Path, head: bytes) -> str:
    """The head as text, if its first line is."""
    place, utf8 = Place(path), "save it as UTF-8"
    if head.startswith(UTF16):
        raise InvalidInput("is UTF-16, not UTF-8 text", at=place, remedy=utf8)
    if b"\0" in head:
        raise InvalidInput("is binary, neither CSV nor Parquet", at=place, remedy=GIVE_ROWS)
    body = head.removeprefix(BOM).lstrip(b"\r\n")
    first_line = re.split(rb"[\r\n]", body, maxsplit=1)[0]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first_line, len(first_line) < len(body))
    except UnicodeDecodeError:
        raise InvalidInput("is not UTF-8 text", at=place, remedy=utf8) from None
    return head.decode(errors="surrogateescape")  # the rows are checked when they are read


def _first_record(body: str) -> str:
    """The first line, on past line ends inside quotes."""
    match = re.match(r'(?:"[^"]*"|[^"\r\n])*', body)
    return match[0] if match and match[0] else re.split("[\r\n]", body, maxsplit=1)[0]


def _find_names(path: Path, split: Split, *, header: bool) -> tuple[str, ...]:
    names = split.first
    if len(names) > MOST_COLUMNS or split.width > MOST_COLUMNS:
        what = f"the first line has {len(names):,} fields; at most {MOST_COLUMNS:,} can be read"
        raise InvalidInput(what, at=Place(path), remedy=GIVE_ROWS)
    if not header:
        return tuple(f"c{number}" for number in range(1, split.width + 1))
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        raise InvalidInput("is not UTF-8 text", at=Place(path), remedy="save it as UTF-8")
    check_names(path, names, NO_HEADER)
    return tuple(names)
