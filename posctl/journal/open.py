"""Which journal a place names: a file, or a database by its postgresql:// URL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from posctl.journal import Journal
from posctl.journal.place import is_database, needs_driver
from posctl.money.record import Payment

if TYPE_CHECKING:
    from posctl.journal.postgres import PostgresJournal
    from posctl.journal.seen import Seen


def open_journal(
    place: str, try_s: float, *, begin: bool = True, note: Path | None = None
) -> Journal:
    """Open the journal at `place`; `try_s` is the longest that one HTTP try takes, in seconds.
    `note` is where this machine keeps, apart from it, how far it has come (`note_of`).

    Where there is none, one is made if `begin`; a journal for real money is begun by nobody but a
    person. Raises JournalError, and ConfigError for a database that posctl has no driver for.
    """
    if is_database(place):
        return open_database(place, try_s, begin=begin, note=note)
    from posctl.journal.sqlite import SqliteJournal

    return SqliteJournal(Path(place), begin=begin, note=note)


def begin_journal(place: str, try_s: float, note: Path | None) -> None:
    """Begin a journal on a person's word, whatever this machine knows of one that was there; one
    that is there is kept, and must be the one it knows. Raises JournalError, ConfigError.
    """
    if is_database(place) or Path(place).exists():
        open_journal(place, try_s, note=note).close()
        return
    open_journal(place, try_s).close()
    from posctl.journal.backup import vouch

    vouch(Path(place), note)


def note_of(config: Path, place: str, environ: Mapping[str, str]) -> Path | None:
    """Where this machine keeps how far the journal at `place` has come: a file's beside the
    configuration, None where there is none; a database's in the user's state folder. Raises
    ConfigError.
    """
    if is_database(place):
        from posctl.journal.place import own_folder

        return own_folder(environ) / f"database.{crc32(_address(place).encode()):08x}.note"
    if not config.exists():
        return None
    where = Path(place)
    whole = os.path.normcase(where.absolute())  # on Windows ABC and abc are one file
    return config.parent / f"{Path(whole).name}.{crc32(os.fsencode(whole)):08x}.note"


def _address(url: str) -> str:
    """Which database and schema a URL means, whoever asks and however safely."""
    from urllib.parse import parse_qsl, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:  # psycopg will say so
        return url
    said = sorted(pair for pair in parse_qsl(parts.query) if pair[0] in _WHERE)
    return repr((parts.netloc.rpartition("@")[2], parts.path, said))


_WHERE = ("host", "hostaddr", "port", "dbname", "service", "options")


def open_database(
    url: str, try_s: float, *, begin: bool = True, note: Path | None = None
) -> PostgresJournal:
    """The same of a database's URL."""
    needs_driver()
    from posctl.journal.postgres import PostgresJournal

    return PostgresJournal(url, try_s, begin=begin, note=note)


def open_in(place: str) -> list[Payment]:
    """The open payments of the journal at `place`, oldest first, also of one that is refused.

    Raises JournalError, ConfigError.
    """
    if is_database(place):
        needs_driver()
        from posctl.journal import postgres_whole

        return postgres_whole.open_in(place)
    from posctl.journal import backup

    return backup.open_in(Path(place))


def lost_from(place: str, note: Path | None) -> list[Seen]:
    """What this machine has seen in the journal at `place` that is not in it any more, where that
    is known by name: in a database. Raises JournalError, ConfigError.
    """
    if not is_database(place):
        return []
    needs_driver()
    from posctl.journal import postgres_whole

    return postgres_whole.lost(place, note)


def adopt(place: str, note: Path | None) -> None:
    """Take the journal at `place` over, on a person's word. Raises Busy, JournalError,
    ConfigError.
    """
    if is_database(place):
        needs_driver()
        from posctl.journal import postgres_whole

        postgres_whole.adopt(place, note)
        return
    from posctl.journal import backup

    backup.adopt(Path(place), note)
