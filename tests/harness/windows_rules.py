"""Runs posctl on POSIX by the rules that Windows has for files: `windows_rules.py ARGUMENT…`.

Nothing is synced through a handle that only reads; nothing that some process has open is deleted,
renamed or replaced; `rename` overwrites nothing. Whoever does it all the same gets the error that
Windows gives, and a line in $WINDOWS_RULES_BROKEN. What is open is read from /proc.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

IN_USE = "The process cannot access the file because it is being used by another process"


def break_a_rule(error: OSError) -> None:
    with Path(os.environ["WINDOWS_RULES_BROKEN"]).open("a") as told:
        told.write(f"{error.strerror}: {error.filename}\n")
    vars(error)["winerror"] = 32  # ERROR_SHARING_VIOLATION
    raise error


def is_open(path: Any) -> bool:
    """Whether any process has the file of this name open."""
    wanted = os.path.realpath(os.fspath(path))
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            links = list(folder.iterdir())
        except OSError:  # somebody else's, or gone
            continue
        for link in links:
            try:
                if str(link.readlink()) == wanted:
                    return True
            except OSError:
                continue
    return False


def guarded(real: Callable[..., Any], *, overwrites: bool) -> Callable[..., Any]:
    """`real`, which takes one name or two, by the rules."""

    def call(*paths: Any, **how: Any) -> Any:
        kept = len(paths) == 2 and not overwrites  # what has the new name already is not touched
        for path in paths[:1] if kept else paths:
            if is_open(path):
                break_a_rule(PermissionError(13, IN_USE, str(path)))
        if not kept or Path(paths[0]).is_dir():
            return real(*paths, **how)
        # At one stroke, as Windows does it: another process may make a file of this name meanwhile.
        os.link(*paths)
        real_unlink(paths[0])
        return None

    return call


def synced(fd: Any) -> None:
    reads_only = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    if reads_only and not stat.S_ISDIR(os.fstat(fd).st_mode):  # folders: never on Windows
        break_a_rule(OSError(9, "Bad file descriptor", str(fd)))
    real_sync(fd)


real_sync, real_unlink = os.fsync, os.unlink


def main() -> None:
    from posctl import files  # noqa: PLC0415  before anything is patched

    files.OPEN_STAYS = True
    os.fsync = synced
    os.unlink = guarded(os.unlink, overwrites=False)
    os.remove = guarded(os.remove, overwrites=False)
    os.rename = guarded(os.rename, overwrites=False)
    os.replace = guarded(os.replace, overwrites=True)
    from posctl.__main__ import main as posctl  # noqa: PLC0415  as above

    sys.argv[0] = "posctl"
    posctl()


if __name__ == "__main__":
    main()
