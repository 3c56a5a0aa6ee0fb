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


def find_files(given: Sequence[str | Path], *, leave_out: Path | None = None) -> dict[Path, Path]:
    """Files of rows from names, patterns and folders, each once, in order of their names.

    Patterns are those of `glob`, ** included; a folder stands for the files of rows in it. Returns
    for each file what distinguishes it from others: its path below the folder that was given, or
    below the last folder of a pattern that is named outright; the name alone of a file that was
    named. leave_out: a folder whose files patterns and folders do not stand for. Raises
    InvalidInput where one stands for nothing.
    """
    found: dict[Path, Path] = {}
    for each in given:
        path = Path(each)
        root = path.parent
        if path.is_dir():
            root = path
            matches = [entry for entry in path.iterdir() if _is_rows(entry)]
            what = f"has no file of rows ({', '.join(ENDINGS)})"
            if below := ending_below(path):
                what += f"; for those in folders below it give '{path}/**/*{below}'"
        elif is_pattern(path):
            while glob.has_magic(str(root)):
                root = root.parent
            matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
            matches = [match for match in matches if match.is_file()]
            what = "matches no file"
        else:
            matches = [path] if path.exists() else []
            what = "does not exist"
        if leave_out is not None and matches != [path]:
            own = leave_out.resolve()
            matches = [match for match in matches if own not in match.resolve().parents]
        if not matches:
            raise InvalidInput(f"{path}: {what}; check the path")
        for match in sorted(matches):
            found.setdefault(match, match.relative_to(root))
    return found


def ending_below(folder: Path) -> str | None:
    """The ending of some file of rows in the folders below one, None where there is none."""
    for path in folder.glob("*/**/*"):
        if _is_rows(path):
            return next(e for e in ENDINGS if path.name.lower().endswith(e))
    return None


def is_pattern(path: Path) -> bool:
    """Whether a name stands for several files."""
    return glob.has_magic(str(path)) and not path.exists()


def _is_rows(path: Path) -> bool:
    hidden = path.name.startswith((".", "_"))
    return path.name.lower().endswith(ENDINGS) and not hidden and path.is_file()
