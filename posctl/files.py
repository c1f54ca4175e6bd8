"""Files, made durable."""

from __future__ import annotations

import os
from pathlib import Path


def remove(draft: Path) -> None:
    for tail in ("", "-wal", "-shm", "-journal"):
        Path(f"{draft}{tail}").unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file, or what a folder holds, durable."""
    if os.name != "posix" and path.is_dir():  # Windows has no such thing for folders
        return
    fd = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
