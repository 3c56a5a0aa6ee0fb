"""The process: listens at once, loads the model beside, drains when it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from lampblack.exceptions import InvalidInput, LampblackError, Remedy, Setting
from lampblack.service.app import Service, build
from lampblack.service.refusal import Refusal
from lampblack.service.settings import ServiceSettings

BACKLOG = 512
GRACE = 5  # seconds beyond the deadline that a stopping service waits for its answers
log = logging.getLogger("lampblack.service")


def run(model: Path, settings: ServiceSettings) -> None:
    """Serve a model until a signal says to stop. Raises LampblackError where it cannot be."""
    token = settings.read_token()
    listening = _listen(settings)
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"lampblack: serving {model} on http://{shown}:{port}", file=sys.stderr)
    if token is None:
        print(
            "lampblack: there is no token, so only this machine can connect; set LAMPBLACK_TOKEN "
            "or LAMPBLACK_TOKEN_FILE to open it to others",
            file=sys.stderr,
        )
    asyncio.run(_serve(Service(model, settings), token, listening))


def _listen(settings: ServiceSettings) -> socket.socket:
    """A listening socket. Raises InvalidInput where the address cannot be had."""
    host = settings.host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise InvalidInput(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}",
            remedy=Remedy("choose another with ", Setting("host"), " and ", Setting("port")),
        ) from None
    listening.setblocking(False)
    return listening


def configured(service: Service, token: bytes | None) -> Config:
    """How uvicorn serves a service."""
    settings = service.settings
    return Config(
        build(service, token),
        http=Impatient.after(settings.idle_timeout, settings.body_timeout),
        ws="none",
        lifespan="on",
        loop="asyncio",
        log_config=LOGGING,
        access_log=settings.access_log,
        server_header=False,
        timeout_keep_alive=int(max(1, settings.idle_timeout)),
        timeout_graceful_shutdown=int(settings.deadline + GRACE),
        backlog=BACKLOG,
        proxy_headers=False,
    )


async def _serve(service: Service, token: bytes | None, listening: socket.socket) -> None:
    settings = service.settings
    server = _Server(configured(service, token))
    failed: list[BaseException] = []

    async def load() -> None:
        try:
            await service.load()
            log.info("ready: model %s", service.ready().digest)
        except Exception as error:
            failed.append(error)
            server.should_exit = True

    async def stop() -> None:
        service.draining = True
        log.info("stopping: finishing what was accepted")
        await asyncio.sleep(settings.drain)
        server.should_exit = True

    async def reload() -> None:
        with contextlib.suppress(Refusal):  # it is in the log
            await service.reload()

    tasks: set[asyncio.Task[None]] = set()

    def start(work: Callable[[], Coroutine[object, object, None]]) -> None:
        task = asyncio.get_running_loop().create_task(work())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def on_stop() -> None:
        if service.draining:
            server.should_exit = True  # told twice: do not wait for the drain
        else:
            start(stop)

    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no such signals
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, on_stop)
        loop.add_signal_handler(signal.SIGHUP, start, reload)
    start(load)
    await server.serve(sockets=[listening])
    if failed:
        if isinstance(failed[0], LampblackError):
            raise failed[0]
        raise InvalidInput(f"the model cannot be loaded: {' '.join(str(failed[0]).split())}")


class _Server(Server):
    """uvicorn's server; signals are ours, so that the service drains and exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Impatient(H11Protocol):
    """uvicorn's protocol, which drops clients that send no request, or do not read the answer.

    Bodies have their own clock (`Slot.read`).
    """

    idle_seconds: float = 15
    write_seconds: float = 30
    _idle: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    @classmethod
    def after(cls, idle: float, write: float) -> type[Impatient]:
        """A class with these limits."""
        return type("Impatient", (cls,), {"idle_seconds": idle, "write_seconds": write})

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _watch(self) -> None:
        """Run the clock while no request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
        elif self._idle is None:
            self._idle = self.loop.call_later(self.idle_seconds, self._drop)

    def _drop(self) -> None:
        self._idle = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _cancel(self) -> None:
        for timer in (self._idle, self._unread):
            if timer is not None:
                timer.cancel()
        self._idle = self._unread = None


LOGGING: dict[str, object] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "lampblack: %(levelname)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        "uvicorn.access": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "lampblack.service": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
