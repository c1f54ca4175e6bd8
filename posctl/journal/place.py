"""Where a journal is: a file, or a database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from posctl.errors import ConfigError
from posctl.hint import Say, Type
from posctl.messages import _


def is_database(journal: str) -> bool:
    """Whether a journal is a database shared by many tills, and no file."""
    return journal.startswith(("postgresql://", "postgres://"))


def masked_url(url: str) -> str:
    """A database's URL without the passwords in it; any other text as it is."""
    if not is_database(url):
        return url
    scheme, _slashes, rest = url.partition("://")
    user, at, place = rest.rpartition("@")  # the last one: a password may hold one unquoted
    if ":" in user:
        user = user.partition(":")[0] + ":******"
    place = re.sub(r"((?:^|[?&])[^=&?]*password=)[^&]*", r"\1******", place, flags=re.IGNORECASE)
    return f"{scheme}://{user}{at}{place}"


def own_folder(environ: Mapping[str, str]) -> Path:
    """Posctl's folder among the user's states, whatever the configuration says. Raises
    ConfigError.
    """
    return default_journal(environ).parent


def default_journal(environ: Mapping[str, str]) -> Path:
    from platformdirs import user_state_path

    return at_home(user_state_path, environ) / "journal.db"


def at_home(place: Callable[..., Path], environ: Mapping[str, str]) -> Path:
    """The folder of posctl in one of the platform's. Raises ConfigError."""
    try:
        path = place("posctl", appauthor=False)
    except RuntimeError:  # no HOME, and nobody of that number in the system's list
        path = Path()
    # An empty HOME would be the root folder: not just anywhere.
    if not path.is_absolute() or environ.get("HOME") == "":
        raise ConfigError(
            "no_home",
            _("The home folder is not known."),
            _("Set HOME, or POSCTL_CONFIG and POSCTL_JOURNAL."),
        )
    return path


def needs_driver() -> None:
    """Raise ConfigError where psycopg, which a database needs, is not installed."""
    from importlib.util import find_spec

    if find_spec("psycopg") is None:
        raise ConfigError(
            "no_postgres",
            _("The journal is a database, and the package psycopg is not installed."),
            (Say(_("Type:")), Type(("install", "posctl[postgres]"), program="pip")),
        )
