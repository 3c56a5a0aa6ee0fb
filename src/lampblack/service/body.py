"""The body of a request: bounded in size and time, and in the memory that all of them hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from lampblack.number_text import number
from lampblack.service.refusal import CLOSE, Refusal, busy, unreadable

BODIES_AT_ONCE = 4  # full-size bodies that may be in memory together
MOST_FIELDS = 8
LONGEST_FIELD = 1 << 12


@dataclass(frozen=True)
class Upload:
    """A file in a request, or the body itself. name: what messages and results call it."""

    name: str
    content_type: str
    content: bytes


class Admission:
    """Counts requests and the bytes that they hold; what is beyond the bounds is turned away."""

    def __init__(self, requests: int, max_bytes: int) -> None:
        self._most_requests, self._most_bytes = requests, BODIES_AT_ONCE * max_bytes
        self.requests = self._bytes = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """A place for one request, from its headers to its answer. Raises Refusal (503)."""
        if self.requests >= self._most_requests:
            raise busy("the queue is full; try again in a moment")
        slot = Slot(self)
        self.requests += 1
        try:
            yield slot
        finally:
            self.requests -= 1
            self._bytes -= slot.held

    def hold(self, slot: Slot, size: int) -> None:
        """Count so many bytes more. Raises Refusal (503)."""
        if self._bytes + size > self._most_bytes:
            raise busy("the requests that are being received fill the memory; try again")
        self._bytes += size
        slot.held += size


class Slot:
    """What one request holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held = 0

    async def read(self, request: Request, max_bytes: int, seconds: float) -> bytes:
        """The whole body. Raises Refusal: 413 beyond max_bytes, 408 beyond so many seconds."""
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > max_bytes:
            raise _too_large(max_bytes)
        content = bytearray()
        stream = request.stream()
        until = time.monotonic() + seconds
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream), until - time.monotonic())
            except StopAsyncIteration:
                return bytes(content)
            except ClientDisconnect:  # nobody reads the answer, and nothing is wrong here
                raise unreadable("the body ended early") from None
            except asyncio.TimeoutError:
                raise Refusal(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"the body did not arrive within {number(seconds)} s",
                    headers=CLOSE,
                ) from None
            if len(content) + len(chunk) > max_bytes:
                raise _too_large(max_bytes)
            self._admission.hold(self, len(chunk))
            content += chunk


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {number(round(max_bytes / (1 << 20), 3))} MiB; send it in parts",
    )


class _InMemory(MultiPartParser):
    """Parts stay in memory, where their size is bounded already: nothing goes to the disk."""

    spool_max_size = 1 << 40


async def files_of(request: Request, content: bytes, most: int) -> list[Upload]:
    """The files of a multipart body. Raises Refusal (400, 413)."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield content

    parser = _InMemory(
        request.headers,
        stream(),
        max_files=most + 1,
        max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise unreadable(f"the form cannot be read: {error.message}") from None
    except (UnicodeDecodeError, ValueError, KeyError):
        raise unreadable("the form cannot be read") from None
    uploads = []
    for i, (_, value) in enumerate(form.multi_items(), start=1):
        if isinstance(value, UploadFile):
            name = value.filename or f"file {i}"
            uploads.append(Upload(name, value.content_type or "", await value.read()))
            await value.close()
    if not uploads:
        raise unreadable("the form holds no file; send one as 'file'")
    return uploads
