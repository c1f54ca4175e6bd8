"""Which journal a place names: a file, or a database by its postgresql:// URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from posctl.errors import ConfigError
from posctl.hint import Say, Type
from posctl.journal import Journal
from posctl.messages import _
from posctl.secret import is_database

if TYPE_CHECKING:
    from posctl.journal.postgres import PostgresJournal


def open_journal(place: str, try_s: float, *, begin: bool = True) -> Journal:
    """Open the journal at `place`; `try_s` is the longest that one HTTP try takes, in seconds.

    Where there is none, one is made if `begin`; a journal for real money is begun by nobody but a
    person. Raises JournalError, and ConfigError for a database that posctl has no driver for.
    """
    if is_database(place):
        return open_database(place, try_s, begin=begin)
    from posctl.journal.sqlite import SqliteJournal  # noqa: PLC0415  only one of the two

    return SqliteJournal(Path(place), begin=begin)


def open_database(url: str, try_s: float, *, begin: bool = True) -> PostgresJournal:
    """The same of a database's URL."""
    from importlib.util import find_spec  # noqa: PLC0415  a file needs none

    if find_spec("psycopg") is None:
        raise ConfigError(
            "no_postgres",
            _("The journal is a database, and the package psycopg is not installed."),
            (Say(_("Type:")), Type(("install", "posctl[postgres]"), program="pip")),
        )
    from posctl.journal.postgres import PostgresJournal  # noqa: PLC0415  as above

    return PostgresJournal(url, try_s, begin=begin)
