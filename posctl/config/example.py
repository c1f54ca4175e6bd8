"""The files that `posctl config example` prints: a configuration that explains every key, and what
runs `retry --due` each minute, for systemd, cron and Windows' Task Scheduler.
"""

from __future__ import annotations

import re
from pathlib import Path

CONFIG = "config.yaml"
EXAMPLES = (
    CONFIG,
    *("posctl-retry.service", "posctl-retry.timer", "posctl-retry.cron", "posctl-retry.xml"),
)


def example_text(name: str) -> str:
    """The text of one of EXAMPLES."""
    from importlib.resources import files

    found = files("posctl.config") / "examples" / name
    if name == CONFIG and not found.is_file():  # a checkout: the build alone copies it
        found = Path(__file__).parents[2] / "config.example.yaml"
    return found.read_text(encoding="utf-8")


def fitted(unit: str, program: str | None, profile: str | None, user: str | None) -> str:
    """A unit for this machine: `program` is the whole path of posctl, `user` the journal's owner.
    What is None, or would need quotes there, stays as in the example.
    """
    for before, value, there in (
        ("", program, "/opt/posctl/bin/posctl"),
        ("--profile ", profile, "store-1"),
        ("User=", user, "till"),
    ):
        if value is not None and re.fullmatch(r"[\w./+@-]+", value):
            unit = unit.replace(before + there, before + value)
    return unit
