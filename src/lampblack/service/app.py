"""The application: endpoints around one model, whose requests wait for one scoring thread."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import numpy.typing as npt
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lampblack.exceptions import InvalidInput, LampblackError
from lampblack.number_text import number
from lampblack.service import answers, openapi
from lampblack.service.access import Access
from lampblack.service.answers import Content, Json
from lampblack.service.batching import Batcher
from lampblack.service.body import Admission, Upload, files_of
from lampblack.service.engine import Engine, load_engine
from lampblack.service.kinds import door_of
from lampblack.service.metrics import Metrics
from lampblack.service.refusal import Refusal, busy, not_taken, unfit
from lampblack.service.requests import (
    ANY,
    BODY,
    CSV,
    JSON,
    MULTIPART,
    PARQUET_TYPES,
    Received,
    Wanted,
)
from lampblack.service.settings import ServiceSettings

READERS = 2  # threads that parse bodies and write answers
MOST_EXPLAINED = 100
LONGEST_NAME = 40  # of a query parameter, in messages
log = logging.getLogger("lampblack.service")
T = TypeVar("T")

Exclude = Annotated[
    list[str] | None, Query(description="Tables: a column to leave out; may be given again.")
]
Id = Annotated[str | None, Query(description="Tables: the column that names a row.")]
Resize = Annotated[bool, Query(description="Images: bring other sizes to the model's.")]
Top = Annotated[int, Query(ge=1, le=1000, description="Tables: how many reasons for each row.")]
Most = Annotated[
    int, Query(ge=1, le=MOST_EXPLAINED, description="How many samples, the highest scores first.")
]


class Service:
    """The state behind the endpoints: the model in use, the queue, the counters.

    path: of the model, the only one that is ever read. engine: None until it is loaded.
    """

    def __init__(self, path: Path, settings: ServiceSettings) -> None:
        self.path, self.settings = path, settings
        self.engine: Engine | None = None
        self.draining = self._reloading = False
        self.admission = Admission(settings.queue, settings.max_bytes)
        self.metrics = Metrics(lambda: self.batcher.depth, lambda: self.admission.requests)
        self.batcher = Batcher(settings.batch_wait, self.metrics.batch)
        self._readers = ThreadPoolExecutor(READERS, "lampblack-reading")
        self._loader = ThreadPoolExecutor(1, "lampblack-loading")

    def use(self, engine: Engine) -> None:
        """Take a model over; requests that have begun finish with the one they began with."""
        self.engine = engine
        self.metrics.use(engine)

    def ready(self) -> Engine:
        """The model in use. Raises Refusal (503) before there is one."""
        if self.engine is None:
            raise busy("the model is still loading; try again in a moment")
        return self.engine

    async def load(self) -> None:
        """Load the model for the first time. Raises LampblackError where it cannot be."""
        self.use(await self._load())

    async def reload(self) -> bool:
        """Take over what is at `path` now; whether it is another model.

        Raises Refusal (409) where it cannot be loaded, or another reload runs: the model in use
        stays.
        """
        before = self.ready()
        if self._reloading:
            raise Refusal(HTTPStatus.CONFLICT, "another reload is running; its answer will tell")
        self._reloading = True
        try:
            engine = await self._load()
        except Exception as error:
            expected = isinstance(error, LampblackError)
            log.error("reload failed: %s", error, exc_info=None if expected else error)
            self.metrics.reloads.labels("failed").inc()
            raise Refusal(
                HTTPStatus.CONFLICT,
                "the model on disk is missing, damaged or newer than this service, and the one in "
                "use stays; the service's log says more",
            ) from None
        finally:
            self._reloading = False
        self.metrics.reloads.labels("ok").inc()
        if engine.digest == before.digest:
            return False
        self.use(engine)
        log.info("now using model %s", engine.digest)
        return True

    async def score(self, request: Request, wanted: Wanted) -> Response:
        """Scores of a request's samples."""

        async def work(engine: Engine, received: Received, seconds: float) -> Content:
            scores = await self.batcher.run(engine, received.samples, seconds)
            alarms = int((scores > engine.calibration.threshold).sum())
            if engine is self.engine:
                self.metrics.scored(len(scores), alarms)
            return await self._read(answers.scores_answer, engine, received, scores)

        return await self._answer(request, wanted, work)

    async def explain(self, request: Request, wanted: Wanted, top: int, most: int) -> Response:
        """Reasons of the samples that score highest."""
        if not self.ready().explains:
            raise Refusal(
                HTTPStatus.NOT_IMPLEMENTED,
                "this engine gives scores and no reasons; serve the model folder for those",
            )

        def strongest(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
            return np.argsort(-scores, kind="stable")[:most]

        async def work(engine: Engine, received: Received, seconds: float) -> Content:
            found = await self.batcher.run(engine, received.samples, seconds, strongest)

            def answer() -> Content:
                scores, chosen, explanation = found
                why = door_of(engine.kind.name).reasons(received, explanation, chosen, top)
                return answers.explanations_answer(engine, received, scores, chosen, why)

            return await self._read(answer)

        return await self._answer(request, wanted, work)

    async def _answer(
        self,
        request: Request,
        wanted: Wanted,
        work: Callable[[Engine, Received, float], Awaitable[Content]],
    ) -> Response:
        engine, settings = self.ready(), self.settings
        kind = _content_type(request)
        async with self.admission.slot() as slot:
            content = await slot.read(request, settings.max_bytes, settings.body_timeout)
            until = time.monotonic() + settings.deadline

            async def answer() -> Response:
                uploads = [Upload(BODY, kind, content)]
                if kind == MULTIPART:
                    uploads = await files_of(request, content, settings.max_images)
                received = await self._read(self._received, engine, kind, uploads, wanted)
                found = await work(engine, received, until - time.monotonic())
                return await self._read(Json, found)

            try:
                return await asyncio.wait_for(answer(), settings.deadline)
            except (asyncio.TimeoutError, TimeoutError):
                raise busy(
                    f"no answer within {number(settings.deadline)} s; send fewer rows, or try again"
                ) from None

    def _received(
        self, engine: Engine, kind: str, uploads: list[Upload], wanted: Wanted
    ) -> Received:
        settings = self.settings
        door = door_of(engine.kind.name)
        if kind == JSON:
            return door.json(uploads[0].content, engine.schema, wanted, settings.max_rows)
        return door.files(uploads, engine.schema, engine.scorer.reading, wanted, settings)

    async def _read(self, call: Callable[..., T], *arguments: object) -> T:
        """Run what takes long for one request without keeping the others waiting."""
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, partial(call, *arguments)
        )

    async def _load(self) -> Engine:
        return await asyncio.get_running_loop().run_in_executor(
            self._loader, load_engine, self.path, self.settings.device
        )

    def close(self) -> None:
        """Finish what was accepted, and end the threads."""
        self.batcher.close()
        self._readers.shutdown()
        self._loader.shutdown(wait=False, cancel_futures=True)


def build(service: Service, token: bytes | None) -> ASGIApp:
    """The ASGI application of a service. token: what clients must present, None for no token."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        service.close()

    app = FastAPI(
        title="lampblack", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan,
        default_response_class=Json,
    )  # fmt: skip
    _add_errors(app)
    _add_probes(app, service)
    _add_model(app, service, secured=token is not None)
    _add_scoring(app, service)
    guarded: ASGIApp = Guard(app, Access(token, service.settings), service)
    if service.settings.cors_origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=service.settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
        )
    return guarded


class Guard:
    """Around every request: who may, how long it took, and headers that every answer has."""

    def __init__(self, app: ASGIApp, access: Access, service: Service) -> None:
        self._app, self._access, self._service = app, access, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
                if self._service.draining:
                    headers["Connection"] = "close"
            await send(message)

        try:
            self._access.check(scope["path"], Headers(scope=scope))
            await self._app(scope, receive, sending)
        except Refusal as refusal:
            await _refused(refusal)(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            metrics = self._service.metrics
            metrics.requests.labels(route, status).inc()
            metrics.seconds.labels(route).observe(time.perf_counter() - started)


def _add_errors(app: FastAPI) -> None:
    async def refuse(_: Request, error: Exception) -> Response:
        return _refused(_refusal_of(error))

    for kind in (Refusal, InvalidInput, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refuse)


def _refusal_of(error: Exception) -> Refusal:
    """What a request is told that ended with this error."""
    match error:
        case Refusal():
            return error
        case InvalidInput():
            return Refusal.of(error)
        case RequestValidationError():
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            return unfit(f"{name}: {first['msg'].lower()}")
        case HTTPException():
            status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
            return Refusal(status, str(error.detail), headers=headers)
    message = "a fault of the service; its log says more"
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def _refused(refusal: Refusal) -> Json:
    body: Content = {"error": refusal.message}
    if refusal.row is not None:
        body["row"] = refusal.row
    if refusal.column is not None:
        body["column"] = refusal.column
    return Json(body, refusal.status, refusal.headers)


def _add_probes(app: FastAPI, service: Service) -> None:
    html = (files("lampblack.service") / "page.html").read_text(encoding="utf-8")
    policy = _content_policy(html)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        """The page for people."""
        headers = {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "DENY",
        }
        return HTMLResponse(html, headers=headers)

    @app.get("/healthz", response_model=answers.State, tags=["operations"])
    async def health() -> Response:
        """Whether the process lives."""
        return Json({"status": "ok"})

    @app.get(
        "/readyz",
        response_model=answers.State,
        responses={503: {"model": answers.State, "description": "Not yet, or no more."}},
        tags=["operations"],
    )
    async def readiness() -> Response:
        """Whether requests should be sent here: the model is loaded, and the service stays."""
        if service.draining:
            return Json({"status": "draining"}, 503)
        if service.engine is None:
            return Json({"status": "loading"}, 503)
        return Json({"status": "ready"})

    @app.get("/metrics", response_class=Response, tags=["operations"], responses=openapi.METRICS)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


def _refuse_unknown_query(request: Request) -> None:
    """Raise Refusal (422) for a query parameter that the endpoint does not know."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        if name not in known:
            raise unfit(
                f"query parameter {name[:LONGEST_NAME]!r} is not known; this endpoint takes "
                f"{', '.join(known) or 'none'}: correct it, or leave it out",
            )


KNOWN_QUERY = [Depends(_refuse_unknown_query)]


def _add_model(app: FastAPI, service: Service, *, secured: bool) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> Response:
        """The OpenAPI document, with examples from the model's own schema."""
        engine, bodies = service.engine, openapi.any_bodies()
        if engine is not None:
            bodies = door_of(engine.kind.name).bodies(engine.schema, service.settings)
        return Json(openapi.document(app, bodies, secured=secured))

    @app.get(
        "/v1/model",
        response_model=answers.Model,
        responses=openapi.MODEL,
        dependencies=KNOWN_QUERY,
    )
    async def model() -> Response:
        """What the model is, what it takes and what it promises."""
        engine = service.ready()
        return Json(answers.model_info(engine, door_of(engine.kind.name).info(engine.schema)))

    @app.post(
        "/v1/reload",
        response_model=answers.Reloaded,
        responses=openapi.RELOAD,
        dependencies=KNOWN_QUERY,
    )
    async def reload() -> Response:
        """Take over the model that lies at the service's path now. Requests go on meanwhile."""
        changed = await service.reload()
        return Json({"changed": changed, "model": service.ready().digest})


def _add_scoring(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/score",
        response_model=answers.Scores,
        responses=openapi.SCORING,
        dependencies=KNOWN_QUERY,
    )
    async def score(
        request: Request, id: Id = None, exclude: Exclude = None, resize: Resize = False
    ) -> Response:
        """Scores, p-values and decisions of rows or images."""
        return await service.score(request, Wanted(id, tuple(exclude or ()), resize))

    @app.post(
        "/v1/explain",
        response_model=answers.Explanations,
        responses=openapi.EXPLAINING,
        dependencies=KNOWN_QUERY,
    )
    async def explain(
        request: Request,
        id: Id = None,
        exclude: Exclude = None,
        resize: Resize = False,
        top: Top = 3,
        most: Most = 10,
    ) -> Response:
        """Why: of the samples that score highest, the columns or pixels that answer for it."""
        wanted = Wanted(id, tuple(exclude or ()), resize)
        return await service.explain(request, wanted, top, most)


def _content_type(request: Request) -> str:
    """What the body is. Raises Refusal (415) where it is not said, or nothing that is taken."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise not_taken("compressed bodies are not taken; send it plain")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in (JSON, CSV, MULTIPART, ANY, *PARQUET_TYPES) or kind.startswith("image/"):
        return kind
    raise not_taken(
        f"Content-Type must say what the body is: {JSON}, {CSV}, {PARQUET_TYPES[0]}, image/... "
        f"or {MULTIPART}",
    )


def _content_policy(html: str) -> str:
    """What the page may do: its own style and script, and calls to where it came from."""
    hashes = {
        name: base64.b64encode(
            hashlib.sha256(
                re.findall(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)[0].encode()
            ).digest()
        ).decode()
        for name in ("style", "script")
    }
    return (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; img-src data: blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
