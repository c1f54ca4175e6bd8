"""Who may read and change a file, on every system: what posctl makes is its user's alone."""

from __future__ import annotations

import stat
import sys
from pathlib import Path


def who_may(path: Path) -> object:
    """Its mode; on Windows, which keeps none, its access list."""
    if sys.platform == "win32":
        from posctl.windows import access_list  # noqa: PLC0415  there alone

        return access_list(path)
    return stat.S_IMODE(path.stat().st_mode)


def is_private(path: Path) -> bool:
    """By its mode; on Windows, which keeps none, by its access list."""
    if sys.platform == "win32":
        from posctl.windows import others  # noqa: PLC0415  there alone

        return others(path) == ((), ())
    return who_may(path) == (0o700 if path.is_dir() else 0o600)
