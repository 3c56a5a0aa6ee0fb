"""Who gets in: the token, names of this machine, and pages of other origins."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from lampblack.service.refusal import Refusal
from lampblack.service.settings import ServiceSettings

OPEN = frozenset({"/", "/healthz", "/readyz"})
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Decides about a request from its headers.

    With a token, all but the page and the probes asks for it. Without one the service listens on
    this machine alone, and a web page elsewhere must not reach it through the browser of whoever
    sits here: so the Host must be a name of this machine (DNS rebinding), and the Origin, where
    there is one, that same host (forms of other sites).
    """

    def __init__(self, token: bytes | None, settings: ServiceSettings) -> None:
        self._token = token
        self._hosts = LOCAL | {settings.host.strip("[]"), *settings.allowed_hosts}
        self._origins = frozenset(settings.cors_origins)

    def check(self, path: str, headers: Headers) -> None:
        """Raise Refusal where the request may not go on: 401, 403 or 421."""
        if self._token is None:
            self._check_host(headers)
        elif path not in OPEN:
            self._check_token(headers)

    def _check_token(self, headers: Headers) -> None:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token = given.strip()
        same = hmac.compare_digest(token.encode("utf-8", "replace"), self._token)
        if scheme.lower() != "bearer" or not token:
            raise _unauthorized(
                "no token was sent; send it as Authorization: Bearer TOKEN", "Bearer"
            )
        if not same:
            raise _unauthorized(
                "the token that was sent is not this service's; check it, or ask whoever runs it",
                'Bearer error="invalid_token"',
            )

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            raise Refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "without a token the service answers to names of its own machine alone",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and urlsplit(origin).netloc != host:
            raise Refusal(HTTPStatus.FORBIDDEN, "pages of other origins may not call")


def _unauthorized(message: str, challenge: str) -> Refusal:
    """401, with the challenge that RFC 6750 has for it."""
    return Refusal(HTTPStatus.UNAUTHORIZED, message, headers={"WWW-Authenticate": challenge})


def _name(host: str) -> str:
    """The name or address in a Host header, without the port.

    >>> _name("localhost:8000"), _name("[::1]:8000"), _name("x")
    ('localhost', '::1', 'x')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
