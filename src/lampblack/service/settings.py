"""What can be set about the service, by option or by environment."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lampblack.exceptions import InvalidInput, Place, Remedy, Setting

SHORTEST_TOKEN = 16
Names = Annotated[tuple[str, ...], NoDecode]


class ServiceSettings(BaseSettings):
    """Settings of the service: an option each of the command line, or `LAMPBLACK_PORT=9000`.

    host, port: where to listen. token or token_file: what clients must present; without either
    only this machine may connect. allowed_hosts: names in the Host header that are taken beside
    those of this machine where there is no token. cors_origins: pages of these origins may call.
    max_body: MiB of one request. max_rows, max_images: of one request. queue: requests that are
    received, waiting or scored at one time. deadline, body_timeout: seconds to answer, and to
    receive, a request. idle_timeout: seconds that a connection may stay without a request.
    batch_wait: seconds that the first request of a batch waits for others. drain: seconds in which
    /readyz already says no but requests are still taken, after SIGTERM. device: for the torch
    engine. access_log: a line for each request.
    """

    model_config = SettingsConfigDict(env_prefix="LAMPBLACK_", extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    token: SecretStr | None = None
    token_file: Path | None = None
    allowed_hosts: Names = ()
    cors_origins: Names = ()
    max_body: float = Field(16, gt=0, le=1024)
    max_rows: int = Field(100_000, ge=1)
    max_images: int = Field(64, ge=1)
    queue: int = Field(128, ge=1)
    deadline: float = Field(30, gt=0)
    body_timeout: float = Field(30, gt=0)
    idle_timeout: float = Field(15, gt=0)
    batch_wait: float = Field(0.002, ge=0, le=10)
    drain: float = Field(1, ge=0)
    device: str = "auto"
    access_log: bool = False

    @field_validator("allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @property
    def max_bytes(self) -> int:
        """Bytes of one request's body."""
        return int(self.max_body * (1 << 20))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach `host`."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"

    def read_token(self) -> bytes | None:
        """The token, from the environment or its file; None where there is none.

        Raises InvalidInput where it cannot be read, is given twice, or is too short to be secret;
        and where there is none although other machines could connect.
        """
        if self.token is not None and self.token_file is not None:
            raise InvalidInput("the token is given twice, as LAMPBLACK_TOKEN and in a file; choose")
        if self.token_file is not None:
            try:
                text = self.token_file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "it is not text"
                what = f"cannot be read: {reason}"
                raise InvalidInput(what, at=Place(self.token_file)) from None
        elif self.token is not None:
            text = self.token.get_secret_value()
        elif self.is_loopback:
            return None
        else:
            raise InvalidInput(
                Setting("host", self.host),
                " is open to other machines, and there is no token",
                remedy=(
                    Remedy("set LAMPBLACK_TOKEN or ", Setting("token_file")),
                    Remedy("leave ", Setting("host"), " out"),
                ),
            )
        token = text.strip()
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
            raise InvalidInput(
                f"the token must have {SHORTEST_TOKEN} characters or more, letters and digits",
                remedy="make one: openssl rand -hex 32",
            )
        if " " in token:
            raise InvalidInput("the token holds a space", remedy="give one word")
        return token.encode()


def read_settings(**given: Any) -> ServiceSettings:
    """Settings from the options that were given, and for the others from the environment."""
    try:
        return ServiceSettings(**{name: v for name, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        what = f" (or LAMPBLACK_{name.upper()}): {first['msg'].lower()}"
        raise InvalidInput(Setting(name), what) from None
