"""Why a request is refused: a status and one sentence, never an internal."""

from __future__ import annotations

import re
from http import HTTPStatus

from lampblack.exceptions import InvalidInput

LONGEST_MESSAGE, LONGEST_COLUMN = 600, 200
RETRY_AFTER = {"Retry-After": "1"}
CLOSE = {"Connection": "close"}

# Hints of the command line, which a client of the service cannot follow.
_HINTS = re.compile(
    r"(; correct it)? or skip such rows \(--on-bad-row skip\)|, or let score do so \(--resize\), "
    r"or fit again with image_size \(--image-size\)|, or say that the file has no header "
    r"\(--no-header\)| \(--[a-z-]+\)"
)
_PLACES = (
    re.compile(r"column '(?P<column>.*?)', row (?P<row>\d+)\b"),
    re.compile(r"\brow (?P<row>\d+), column '(?P<column>.*?)'"),
    re.compile(r"\brow (?P<row>\d+)\b"),
    re.compile(r"column '(?P<column>.*?)'"),
)


class Refusal(Exception):
    """A request that gets `status` and a sentence; row (from 1) and column say where, if one is."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        row: int | None = None,
        column: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.row = status, row
        self.column = None if column is None else column[:LONGEST_COLUMN]
        self.message = (
            message if len(message) <= LONGEST_MESSAGE else message[:LONGEST_MESSAGE] + "…"
        )
        self.headers = headers or {}

    @classmethod
    def of(cls, error: InvalidInput) -> Refusal:
        """422 with the library's own sentence, less what only the command line can do."""
        message = _HINTS.sub(lambda found: "; correct it" if found[1] else "", str(error))
        row = column = None
        for place in _PLACES:
            if found := place.search(message):
                parts = found.groupdict()
                row = int(parts["row"]) if "row" in parts else None
                column = parts.get("column")
                break
        return cls(HTTPStatus.UNPROCESSABLE_ENTITY, message, row=row, column=column)


def busy(message: str) -> Refusal:
    """503 that asks to come again."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, headers=RETRY_AFTER)


def too_large(message: str) -> Refusal:
    """413."""
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
