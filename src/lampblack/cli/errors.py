"""Never a traceback from a command: one line and an exit code."""

from __future__ import annotations

import functools
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import NoReturn, ParamSpec, TypeVar

import typer

from lampblack.exceptions import LampblackError, ReadingWarning, Setting, is_lack_of_memory

P = ParamSpec("P")
R = TypeVar("R")

BAD_INPUT, UNEXPECTED, INTERRUPTED = 2, 1, 130
# Options that are not called like their parameter.
OPTIONS = {"anomalous": "anomaly", "checkpoint_dir": "checkpoint", "id_column": "id"}


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Print errors and warnings of a command as single lines on standard error.

    Exit codes: 2 for what the user can put right, 130 for an interruption, 1 for a fault of this
    library (LAMPBLACK_DEBUG=1 shows its traceback).
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        warnings.showwarning = _show_warning
        try:
            return command(*args, **kwargs)
        except LampblackError as error:
            _fail(f"error: {in_options(error)}", BAD_INPUT)
        except (BrokenPipeError, KeyboardInterrupt) as error:
            if isinstance(error, BrokenPipeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            _fail(f"error: {place}{error.strerror or error}", BAD_INPUT)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("lampblack"):
                raise
            _fail(
                f"error: this needs {error.name.split('.')[0]}, which is not installed; install "
                "lampblack with what it depends on (pip install lampblack), or score a portable "
                "model (lampblack export)",
                BAD_INPUT,
            )
        except Exception as error:
            if is_lack_of_memory(error):
                _fail(
                    "error: not enough memory for this table; use fewer rows or columns", BAD_INPUT
                )
            if isinstance(error, typer.Exit | typer.Abort) or os.environ.get("LAMPBLACK_DEBUG"):
                raise
            if type(error).__module__.startswith(("click", "typer")):
                raise  # usage errors, which typer prints itself
            reason = " ".join(str(error).split())
            _fail(
                f"unexpected error: {type(error).__name__}: {reason}; a fault of lampblack, "
                "please report it (LAMPBLACK_DEBUG=1 shows where)",
                UNEXPECTED,
            )

    return run


def in_options(error: LampblackError) -> str:
    """An error's text with options of the command line where it means a parameter."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return error.text(as_option) + notes


def as_option(setting: Setting) -> str:
    """A setting as one types it.

    >>> [as_option(Setting(*s)) for s in (("image_size", 64), ("header", False), ("exclude",))]
    ['--image-size 64', '--no-header', '--exclude']
    >>> as_option(Setting("types", {"a": "category"})), as_option(Setting("where", "n > 1"))
    ('--types a=category', "--where 'n > 1'")
    """
    option = OPTIONS.get(setting.name, setting.name).replace("_", "-")
    value = setting.value
    if value is None or value is True:
        return f"--{option}"
    if value is False:
        return f"--no-{option}"
    if isinstance(value, Mapping):
        value = [f"{name}={each}" for name, each in value.items()]
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"--{option} {shlex.quote(text) if text.isprintable() else repr(text)}"


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"lampblack: {text}", err=True)
    raise typer.Exit(code) from None


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    text = message.text(as_option) if isinstance(message, ReadingWarning) else str(message)
    typer.echo(f"lampblack: warning: {' '.join(text.split())}", err=True)
