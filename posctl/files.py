"""Files: whole or not at all, durable, and locked byte by byte, on every system."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

# What somebody has open cannot be deleted, renamed or replaced on Windows, and `rename` overwrites
# nothing. tests/harness/windows_rules.py keeps these rules elsewhere.
OPEN_STAYS = os.name == "nt"

# A virus scanner or an indexer has every new file open for a moment. Before each further try, s.
PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.3)
_DENIED, _SHARING, _LOCKED = 5, 32, 33  # ERROR_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION


def in_use(error: OSError) -> bool:
    """Whether Windows says that another program has the file open."""
    return getattr(error, "winerror", None) in (_SHARING, _LOCKED)


def may_be_in_use(error: OSError) -> bool:
    """The same, or that Windows says no more than that it was denied: so it does of a file that
    would be replaced.
    """
    return in_use(error) or getattr(error, "winerror", None) == _DENIED


def rename(path: Path, new: Path) -> None:
    """Windows: raises FileExistsError when there is a `new`. Raises OSError."""
    _patiently(lambda: path.rename(new))


def replace(path: Path, by: Path) -> None:
    """Put the file `by` in the place of `path`. Raises OSError."""
    _patiently(lambda: by.replace(path))


def delete(path: Path) -> None:
    """Nothing to do for what is not there. Raises OSError."""
    _patiently(lambda: path.unlink(missing_ok=True))


def _patiently(change: Callable[[], object]) -> None:
    """Again, for about a second, while somebody may have the file open. Waits nowhere else."""
    for pause_s in PAUSES_S:
        try:
            change()
        except OSError as error:
            if not may_be_in_use(error):
                raise
            time.sleep(pause_s)
        else:
            return
    change()


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
        from posctl.windows import keep_to_user

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
            delete(draft)
        raise
    return draft


def place_file(draft: Path, path: Path) -> None:
    """Give `draft` its name, unless something has it: then FileExistsError. Raises OSError.

    The draft may stay as a second name; `remove` it.
    """
    if OPEN_STAYS:  # a second name could not be removed while another process has the file open
        rename(draft, path)
        return
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        rename(draft, path)


def remove(draft: Path) -> None:
    """A draft, and what SQLite may have left beside it."""
    for tail in ("", "-wal", "-shm", "-journal"):
        delete(Path(f"{draft}{tail}"))


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


# What threads may do with one descriptor at once. Locks are on bytes of an open file, between
# processes; the system drops them when their process dies.

if sys.platform == "win32":
    import msvcrt
    import threading

    _position = threading.Lock()  # a descriptor has one, and every call here goes by it

    def read_at(fd: int, length: int, offset: int) -> bytes:
        """Fewer bytes only where the file ends."""
        with _position:
            os.lseek(fd, offset, os.SEEK_SET)
            return os.read(fd, length)

    def write_at(fd: int, data: bytes, offset: int) -> None:
        with _position:
            os.lseek(fd, offset, os.SEEK_SET)
            os.write(fd, data)

    def lock(fd: int, offset: int, length: int = 1) -> bool:
        """False while another process has it. On Windows nobody else can read or write there."""
        return _locking(fd, msvcrt.LK_NBLCK, offset, length)

    def unlock(fd: int, offset: int, length: int = 1) -> None:
        _locking(fd, msvcrt.LK_UNLCK, offset, length)

    def _locking(fd: int, how: int, offset: int, length: int) -> bool:
        with _position:
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

    def read_at(fd: int, length: int, offset: int) -> bytes:
        """Fewer bytes only where the file ends."""
        return os.pread(fd, length, offset)

    def write_at(fd: int, data: bytes, offset: int) -> None:
        os.pwrite(fd, data, offset)

    def lock(fd: int, offset: int, length: int = 1) -> bool:
        """False while another process has it. On Windows nobody else can read or write there."""
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, offset)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def unlock(fd: int, offset: int, length: int = 1) -> None:
        fcntl.lockf(fd, fcntl.LOCK_UN, length, offset)
