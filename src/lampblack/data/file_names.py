"""Names of files of rows: patterns, and folders of them."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lampblack.exceptions import InvalidInput, Place

LEDGER: Final = "_lampblack"  # in a folder of scores; readers of folders pass over such names
RUN: Final = "run.json"
ENDINGS = (".parquet", ".pq", ".csv", ".csv.gz", ".tsv", ".tsv.gz")


def holds_rows(path: Path) -> bool:
    """Whether a folder holds files of rows; those in folders below it do not count."""
    return path.is_dir() and any(_is_rows(entry) for entry in path.iterdir())


def find_files(given: str | Path | Sequence[str | Path]) -> dict[Path, Path]:
    """Files of rows from names, patterns and folders, each once, in order of their names.

    Patterns are those of `glob`, ** included; a folder stands for the files of rows in it. Neither
    stands for files, or files in folders, whose names begin with "_" or ".", which are other
    programs' own, nor for those in a folder of scores; a pattern does where it says such a name.
    Returns for each file what distinguishes it from others: its path below the folder that was
    given, or below the last folder of a pattern that is named outright; the name alone of a file
    that was named. Raises InvalidInput where one stands for nothing.
    """
    found: dict[Path, Path] = {}
    seen: set[Path] = set()
    for each in [given] if isinstance(given, str | Path) else given:
        path = Path(each)
        root = path.parent
        if path.is_dir():
            root = path
            matches = [entry for entry in path.iterdir() if _is_rows(entry)]
            what = f"has no file of rows ({', '.join(ENDINGS)})"
            if not matches and (below := ending_below(path)):
                what += (
                    f"; for those in folders below it give '{glob.escape(str(path))}/**/*{below}'"
                )
        elif is_pattern(path):
            while glob.has_magic(str(root)):
                root = root.parent
            matches = [Path(match) for match in glob.glob(str(path), recursive=True)]
            matches = [match for match in matches if match.is_file()]
            matches = [match for match in matches if not _is_internal(match, root, path)]
            what = "matches no file"
        else:
            matches = [path] if path.exists() else []
            what = "does not exist"
        if not matches:
            raise InvalidInput(what, at=Place(path), remedy="check the path")
        for match in sorted(matches):
            if (real := match.resolve()) not in seen:
                seen.add(real)
                found[match] = match.relative_to(root)
    return found


def _is_internal(match: Path, root: Path, pattern: Path) -> bool:
    """Whether a file that matches a pattern below `root` is a program's own, or scores."""
    below = match.relative_to(root)
    hidden = [part for part in below.parts if part.startswith(("_", "."))]
    named = [part for part in pattern.parts if part.startswith(("_", "."))]
    folders = list(below.parents)[:-1]  # but for the root itself
    return (hidden != [] and not named) or any(holds_scores(root / each) for each in folders)


def holds_scores(folder: Path) -> bool:
    """Whether a folder is one of scores, with a ledger."""
    return (folder / LEDGER / RUN).exists()


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
