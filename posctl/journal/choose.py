"""Which journal a place names: a file, or a database by its postgresql:// URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from posctl.errors import ConfigError
from posctl.hint import Say, Type
from posctl.journal import Journal
from posctl.messages import _
from posctl.secret import is_database

if TYPE_CHECKING:
    from posctl.journal.postgres import PostgresJournal


def open_journal(
    place: str, try_s: float, *, begin: bool = True, note: Path | None = None
) -> Journal:
    """Open the journal at `place`; `try_s` is the longest that one HTTP try takes, in seconds.
    `note` is where this machine keeps, apart from a file, how far it has come (`note_of`).

    Where there is none, one is made if `begin`; a journal for real money is begun by nobody but a
    person. Raises JournalError, and ConfigError for a database that posctl has no driver for.
    """
    if is_database(place):
        return open_database(place, try_s, begin=begin)
    from posctl.journal.sqlite import SqliteJournal  # noqa: PLC0415  only one of the two

    return SqliteJournal(Path(place), begin=begin, note=note)


def begin_journal(place: str, try_s: float, note: Path | None) -> None:
    """Begin a journal on a person's word, whatever this machine knows of one that was there; one
    that is there is kept, and must be the one it knows. Raises JournalError, ConfigError.
    """
    if is_database(place) or Path(place).exists():
        open_journal(place, try_s, note=note).close()
        return
    open_journal(place, try_s).close()
    from posctl.journal.care import vouch  # noqa: PLC0415  nobody else needs it here

    vouch(Path(place), note)


def note_of(config: Path, place: str) -> Path | None:
    """Where, beside the configuration, stands how far the journal at `place` has come; None for a
    database, and where there is no configuration.
    """
    if is_database(place) or not config.exists():
        return None
    where = Path(place)
    return config.parent / f"{where.name}.{crc32(str(where.absolute()).encode()):08x}.note"


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
