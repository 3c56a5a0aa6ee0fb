"""Fields that runs of spaces part, as Arrow reads them: between tabs.

Arrow knows no delimiter of more than one character.
"""

import io
import re
from typing import Final

import pyarrow as pa

from lampblack.data.tables.delimiters import SPACES
from lampblack.data.tables.layout import CsvLayout

CHUNK_BYTES: Final = 1 << 20
_SPACED: Final = re.compile(rb"(\"[^\"\r\n]*\")|[ \t]+")


def rows_of(layout: CsvLayout, stream: pa.NativeFile) -> pa.NativeFile:
    """The rest of a stream, from the header on, or from the rows on where it has none."""
    left = layout.offset
    while left > 0 and (skipped := stream.read(min(left, CHUNK_BYTES))):
        left -= len(skipped)
    if layout.delimiter == SPACES:
        return pa.PythonFile(_Lines(stream), "r")
    return stream


class _Lines(io.RawIOBase):
    """A stream of bytes, rewritten line by line."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream
        self._rest = b""
        self._ready = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._ready and self._fill():
            pass
        given = self._ready if size < 0 else self._ready[:size]
        self._ready = self._ready[len(given) :]
        return given

    def _fill(self) -> bool:
        """Rewrite the whole lines of one more piece; False at the end."""
        piece = self._stream.read(CHUNK_BYTES)
        text = self._rest + piece
        end = len(text) if not piece else text.rfind(b"\n") + 1 or text.rfind(b"\r", 0, -1) + 1
        lines, self._rest = text[:end], text[end:]
        self._ready = _SPACED.sub(_between_tabs, lines)
        return bool(piece)


def _between_tabs(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return match[1]
    at_edge = match.start() == 0 or match.string[match.start() - 1] in b"\r\n"
    at_end = match.end() == len(match.string) or match.string[match.end()] in b"\r\n"
    return b"" if at_edge or at_end else b"\t"
