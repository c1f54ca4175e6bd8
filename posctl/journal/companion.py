"""What stands beside a journal and tells that it is the one, whole and the latest.

`journal.db.held` carries, in one line that a person can read, the journal's id and a count that
grew with every payment that was begun or closed; the same line stands in a note beside the
configuration. Each is written after the commit, so it is never ahead of the journal that it belongs
to: a journal that it is ahead of, or whose id is another, must not send.

The bytes of `journal.db.held` are locks, too: who sends a payment holds the one at the payment's
number. The system drops a lock when its process dies, and all locks of a process on a file as soon
as it closes any descriptor of that file: hence one descriptor a process, shared by all who use it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from posctl.files import lock, make_file, read_at, unlock, write_at

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 1.0  # whoever writes the line needs microseconds
MACHINE_ID = Path("/etc/machine-id")


class Mark(NamedTuple):
    """Which journal, and how far it has come: `reached` counts payments begun and closed, `last` is
    the highest number that a payment was given.
    """

    id: str
    reached: int
    last: int = 0


_WORDS = "posctl: part of the journal beside it. NEVER DELETE OR COPY THIS FILE. "
_FIELDS = re.compile(rb"id=(\S+) +count=(\d{20}) last=(\d{20}) crc=([0-9a-f]{8})\n")


def line_of(mark: Mark) -> bytes:
    """The line as it stands in the file; always as long, and well inside one sector of a disk."""
    fields = f"{_WORDS}id={mark.id:<36} count={mark.reached:020} last={mark.last:020}".encode()
    return fields + f" crc={crc32(fields):08x}\n".encode()


LINE = len(line_of(Mark("", 0)))


def mark_in(line: bytes) -> Mark | None:
    """What a line says; None for none, and for half of one."""
    found = _FIELDS.search(line)
    if found is None or int(found[4], 16) != crc32(line[: found.start(4) - len(" crc=")]):
        return None
    return Mark(found[1].decode(), int(found[2]), int(found[3]))


_shared: dict[tuple[int, int], list[int]] = {}  # device and inode → descriptor, how many use it
_sharing = threading.Lock()


class Companion:
    """The file at `path`, open. Raises OSError."""

    def __init__(self, path: Path, *, make: bool = False, owner: os.stat_result | None = None):
        """Open it, making it if `make`; root makes it for the `owner` of the journal."""
        self.path = path
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        with _sharing:
            key = _key_at(path)
            if key not in _shared:
                if make:
                    with suppress(FileExistsError):
                        make_file(path)
                fd = os.open(path, flags)
                if sys.platform != "win32" and make and owner is not None and os.geteuid() == 0:
                    os.fchown(fd, owner.st_uid, owner.st_gid)
                found = os.fstat(fd)
                key = found.st_dev, found.st_ino
                _shared.setdefault(key, [fd, 0])
            self._key = key
            _shared[key][1] += 1
            self._fd = _shared[key][0]

    def close(self) -> None:
        """Stop using it. What this user has locked must be unlocked before."""
        with _sharing:
            shared = _shared[self._key]
            shared[1] -= 1
            if not shared[1]:
                del _shared[self._key]
                os.close(self._fd)

    def is_in_place(self) -> bool:
        """Whether this is still the file that others find at `path`."""
        return _key_at(self.path) == self._key

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def read(self) -> Mark | None:
        """What it says; None when it says nothing that can be read."""
        mark = mark_in(self._line())
        if mark is None:  # somebody may be writing it
            with self._writing():
                mark = mark_in(self._line())
        return mark

    def write(self, mark: Mark) -> None:
        """Make it say so, whatever it said. On the disk when this returns."""
        with self._writing():
            self._put(mark)
            os.fsync(self._fd)

    def raise_to(self, mark: Mark) -> None:
        """Let it say how far its journal has come; never less than it said. Not synced, and not
        needed: it may be behind.
        """
        with self._writing() as mine:
            said = mark_in(self._line())
            if mine and said is not None and said.id == mark.id and said.reached < mark.reached:
                self._put(mark._replace(last=max(said.last, mark.last)))

    def _line(self) -> bytes:
        return read_at(self._fd, LINE, 0)

    def _put(self, mark: Mark) -> None:
        write_at(self._fd, line_of(mark), 0)

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """Alone in writing the line; False when somebody else was at it for too long."""
        until = time.monotonic() + PATIENCE_S
        while not (mine := lock(self._fd, _WRITING, 1)) and time.monotonic() < until:
            time.sleep(0.001)
        try:
            yield mine
        finally:
            if mine:
                unlock(self._fd, _WRITING)

    # ── locks ────────────────────────────────────────────────────────────────────────────────

    def lock(self, number: int) -> bool:
        """Be the one that sends the payment of this number; False while another process is."""
        return lock(self._fd, _BASE + number, 1)

    def unlock(self, number: int) -> None:
        unlock(self._fd, _BASE + number)

    def lock_all(self) -> bool:
        """Let nobody send anything; False while somebody does."""
        return lock(self._fd, _BASE, _ALL)

    def unlock_all(self) -> None:
        unlock(self._fd, _BASE, _ALL)


def mark_at(path: Path) -> Mark | None:
    """What the file at `path` says; None for none that can be read."""
    try:
        companion = Companion(path)
    except OSError:
        return None
    try:
        return companion.read()
    finally:
        companion.close()


def _key_at(path: Path) -> tuple[int, int]:
    try:
        found = path.lstat()
    except OSError:
        return 0, 0  # no file's
    return found.st_dev, found.st_ino


def machine() -> str | None:
    """Which machine this is, by the id of its system; None when nothing tells."""
    from hashlib import sha256

    said = ""
    if sys.platform == "win32":
        import winreg

        with (
            suppress(OSError),
            winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key,
        ):
            said = str(winreg.QueryValueEx(key, "MachineGuid")[0])
    else:
        with suppress(OSError):
            said = MACHINE_ID.read_text("utf-8", "replace").strip()
    return sha256(f"posctl {said}".encode()).hexdigest()[:32] if said else None


def is_mounted_alone(path: Path) -> bool:
    """Whether the file itself is a mount point, as a container's volume of one file is: SQLite's
    log and the locks beside it are then another's.
    """
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return False
    name = os.fsencode(path.absolute().parent.resolve() / path.name)
    for byte in b"\\ \t\n":  # as the kernel writes them
        name = name.replace(bytes([byte]), b"\\%03o" % byte)
    return b" " + name + b" " in mounts


if sys.platform == "win32":
    # Locks are mandatory here: they lie where nobody reads or writes.
    _BASE, _WRITING, _ALL = 0x20000000, 0x1FFFFFFF, 0x5FFFFFFF
else:
    # The payment's own number, as ever: an older posctl that is at work excludes us, too.
    _BASE, _WRITING, _ALL = 0, 1 << 62, 1 << 62
