"""What the commands that score share: an output that opens late."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from lampblack.data.writing import RowWriter, open_writer
from lampblack.exceptions import InvalidInput


def refuse_own_input(output: Path, model: Path, data: Path) -> None:
    """Refuse to write over what is read, or into the model."""
    place = output.resolve()
    if place == data.resolve():
        raise InvalidInput(f"{output}: is the file that is scored; give another name")
    if model.resolve() in (place, *place.parents):
        raise InvalidInput(f"{output}: lies in the model's folder; write somewhere else")


class Output:
    """A writer that opens with the first table, whose schema it takes."""

    def __init__(self, output: str | None) -> None:
        self._output = output
        self._context: Any = nullcontext()
        self._writer: RowWriter | None = None

    def __enter__(self) -> Callable[[pa.Table], None]:
        return self._write

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            assert self._output is not None
            self._context = open_writer(self._output, table.schema)
            self._writer = self._context.__enter__()
        self._writer.write(table)

    def __exit__(self, *error: Any) -> None:
        self._context.__exit__(*error)
