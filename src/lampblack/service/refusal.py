"""Why a request is refused: a status and one sentence, never an internal."""

from __future__ import annotations

from http import HTTPStatus

from lampblack.exceptions import InvalidInput, Setting

LONGEST_MESSAGE, LONGEST_COLUMN = 600, 200
RETRY_AFTER = {"Retry-After": "1"}
CLOSE = {"Connection": "close"}

# What a request can set, and how its query says it.
QUERY = {"exclude": "exclude", "id_column": "id", "resize": "resize=true"}


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
        """422 with the library's own sentence, its place, and what a client can do about it."""
        message = error.text(_as_query, lambda setting: setting.name in QUERY)
        row, column = error.where.row, error.where.column
        return cls(HTTPStatus.UNPROCESSABLE_ENTITY, message, row=row, column=column)


def _as_query(setting: Setting) -> str:
    return QUERY.get(setting.name, setting.name)


def busy(message: str) -> Refusal:
    """503 that asks to come again."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, headers=RETRY_AFTER)


def unreadable(message: str) -> Refusal:
    """400: the body is not what it says it is."""
    return Refusal(HTTPStatus.BAD_REQUEST, message)


def not_taken(message: str) -> Refusal:
    """415."""
    return Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)


def unfit(message: str, row: int | None = None, column: str | None = None) -> Refusal:
    """422: what was sent can be read, and not used."""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, message, row=row, column=column)


def too_large(message: str) -> Refusal:
    """413."""
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
