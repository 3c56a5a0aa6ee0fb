"""Bytes of regular files alone: a pipe would hang a reader, a device would fill the memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lampblack.exceptions import ModelFileError


def read_regular(path: Path, *, follow_links: bool = False) -> bytes:
    """The content of a regular file; what stands there is asked of the open file, not of its name.

    follow_links: whether the name may be a link. Raises ModelFileError for anything else.
    """
    links = 0 if follow_links else getattr(os, "O_NOFOLLOW", 0)
    nonblocking, binary = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_BINARY", 0)
    if not follow_links and path.is_symlink():
        raise ModelFileError.of(path, "is a link, and a model holds regular files")
    try:
        descriptor = os.open(path, os.O_RDONLY | links | nonblocking | binary)
    except OSError as error:
        raise ModelFileError.of(path, f"cannot be read: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise ModelFileError.of(path, "is not a regular file")
            content = file.read(facts.st_size + 1)
    except OSError as error:
        raise ModelFileError.of(path, f"cannot be read: {error.strerror}") from None
    if len(content) != facts.st_size:
        raise ModelFileError.of(path, "changed while it was read")
    return content
