"""Files: whole or not at all, durable, and locked byte by byte, on every system."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# What somebody has open cannot be deleted, renamed or replaced on Windows, and `rename` overwrites
# nothing. tests/harness/windows_rules.py keeps these rules elsewhere.
OPEN_STAYS = os.name == "nt"


def make_file(path: Path) -> None:
    """An empty file for its owner alone. Raises FileExistsError, OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    _keep_to_user(path)


def make_folder(path: Path) -> None:
    """A folder for its owner alone, and those above it; one that is there stays as it is. Raises
    OSError.
    """
    is_new = not path.exists()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if is_new:
        _keep_to_user(path)


def _keep_to_user(path: Path) -> None:
    """What modes do elsewhere."""
    if sys.platform == "win32":
        from posctl.windows import keep_to_user  # noqa: PLC0415  there is no such file elsewhere

        keep_to_user(path)


def draft_beside(path: Path) -> Path:
    """A new, empty file beside `path`, for what gets that name once it is whole. Raises OSError."""
    # Not by process id: a killed one leaves its draft, and in a container the next has its number.
    draft = path.with_name(f".{path.name}.{os.urandom(6).hex()}.new")
    make_file(draft)
    return draft


def write_draft(path: Path, pieces: Iterable[bytes]) -> Path:
    """A draft beside `path` that holds `pieces`, on the disk. Raises OSError, and what `pieces`
    raises; then nothing is left of it.
    """
    draft = draft_beside(path)
    try:
        with draft.open("wb") as opened:
            opened.writelines(pieces)
            opened.flush()
            os.fsync(opened.fileno())
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    return draft


def place_file(draft: Path, path: Path) -> None:
    """Give `draft` its name, unless something has it: then FileExistsError. Raises OSError.

    The draft may stay as a second name; `remove` it.
    """
    if OPEN_STAYS:  # a second name could not be removed while another process has the file open
        draft.rename(path)
        return
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        draft.rename(path)


def remove(draft: Path) -> None:
    """A draft, and what SQLite may have left beside it."""
    for tail in ("", "-wal", "-shm", "-journal"):
        Path(f"{draft}{tail}").unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file, or what a folder holds, durable."""
    is_folder = path.is_dir()
    if is_folder and os.name != "posix":  # Windows has no such thing for folders
        return
    fd = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)  # nor for what is only read
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# Locks on bytes of an open file, between processes. The system drops them when their process dies.

if sys.platform == "win32":
    import msvcrt

    def lock(fd: int, offset: int, length: int = 1) -> bool:
        """False while another process has it. On Windows nobody else can read or write there."""
        return _locking(fd, msvcrt.LK_NBLCK, offset, length)

    def unlock(fd: int, offset: int, length: int = 1) -> None:
        _locking(fd, msvcrt.LK_UNLCK, offset, length)

    def _locking(fd: int, how: int, offset: int, length: int) -> bool:
        here = os.lseek(fd, 0, os.SEEK_CUR)
        os.lseek(fd, offset, os.SEEK_SET)
        try:
            msvcrt.locking(fd, how, length)
        except OSError:
            return False
        finally:
            os.lseek(fd, here, os.SEEK_SET)
        return True

else:
    import fcntl

    def lock(fd: int, offset: int, length: int = 1) -> bool:
        """False while another process has it. On Windows nobody else can read or write there."""
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, offset)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(fd: int, offset: int, length: int = 1) -> None:
        fcntl.lockf(fd, fcntl.LOCK_UN, length, offset)
