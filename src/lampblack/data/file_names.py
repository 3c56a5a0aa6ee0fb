"""Names of files of rows: patterns, and folders of them."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from lampblack.exceptions import InvalidInput

ENDINGS = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz")


def holds_rows(path: Path) -> bool:
    """Whether a folder holds files of rows; those in folders below it do not count."""
    return path.is_dir() and any(_is_rows(entry) for entry in path.iterdir())


def find_files(given: Sequence[str | Path]) -> list[Path]:
    """Files of rows from names, patterns and folders, each once, in order of their names.

    Patterns are those of `glob`, ** included; a folder stands for the files of rows in it. Raises
    InvalidInput where one stands for nothing.
    """
    found: dict[Path, None] = {}
    for each in given:
        path = Path(each)
        if path.is_dir():
            matches = [entry for entry in path.iterdir() if _is_rows(entry)]
            what = f"has no file of rows ({', '.join(ENDINGS)})"
        elif is_pattern(path):
            matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
            matches = [match for match in matches if match.is_file()]
            what = "matches no file"
        else:
            matches = [path] if path.exists() else []
            what = "does not exist"
        if not matches:
            raise InvalidInput(f"{path}: {what}; check the path")
        found.update(dict.fromkeys(sorted(matches)))
    return list(found)


def is_pattern(path: Path) -> bool:
    """Whether a name stands for several files."""
    return glob.has_magic(str(path)) and not path.exists()


def _is_rows(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return path.name.lower().endswith(ENDINGS) and not hidden and path.is_file()
