"""Never a traceback from a command: one line and an exit code."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer

from lampblack.exceptions import LampblackError, is_lack_of_memory

P = ParamSpec("P")
R = TypeVar("R")

BAD_INPUT, UNEXPECTED, INTERRUPTED = 2, 1, 130


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
            _fail(f"error: {error}", BAD_INPUT)
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


def _fail(text: str, code: int) -> NoReturn:
    typer.echo(f"lampblack: {text}", err=True)
    raise typer.Exit(code) from None


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"lampblack: warning: {' '.join(str(message).split())}", err=True)
