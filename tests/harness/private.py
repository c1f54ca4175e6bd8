"""Whether a file or folder that posctl made is its user's alone, on every system."""

from __future__ import annotations

import stat
import sys
from pathlib import Path


def is_private(path: Path) -> bool:
    """By its mode; on Windows, which keeps none, by its access list."""
    if sys.platform == "win32":
        from posctl.windows import others  # noqa: PLC0415  there alone

        return others(path) == ((), ())
    return stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
