"""A journal looked at and never changed: for `posctl doctor`, and for shells that complete an id.

Nothing is created where no journal is, an older one is not brought up to date, a row is never
written. SQLite may leave its own `-wal` and `-shm` beside the file, as after a crash; the next
payment clears them away.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from posctl.journal.companion import Companion, is_mounted_alone, machine, mark_at
from posctl.journal.place import is_database, needs_driver
from posctl.journal.rows import COLUMNS, OPEN_MERCHANTS, open_of
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import (
    APPLICATION_ID,
    MIGRATIONS,
    check_ours,
    companion_gone,
    damaged,
    drop_draft,
    held_path,
    highest_number,
    is_begun,
    linked,
    mounted,
    older_than_noted,
    refuse_unless_whole,
    told_as_journal_error,
    unguarded,
    unusable_companion,
    uri_path,
    whole_of,
)
from posctl.money.record import OpenOf

BUSY_S = 2.0  # how long a busy journal is waited for; nobody's payment depends on it
WITH_WHOLE = 4  # the schema since which a journal knows its id, and how far it has come
SHARED_WITH_WHOLE = 3  # the same of a database's: its corrections have numbers, too
_COUNTS = "SELECT count(*), count(*) FILTER (WHERE closed_ms IS NULL) FROM payments"


class Health(NamedTuple):
    """What is in a journal. `is_old`: the next payment brings its schema up to date; only then the
    `merchants` with open payments can be told.
    """

    payments: int
    open: int
    is_old: bool
    merchants: tuple[OpenOf, ...] = ()
    marks: Mapping[str, int] = MappingProxyType({})  # as in `Journal.marks`


def health(path: Path) -> Health | None:
    """What is in the journal at `path`, read whole; None when there is none yet.

    Raises JournalError for one that no payment could be recorded in.
    """
    with told_as_journal_error(path):
        number = highest_number(path)  # before looking: somebody may be making the first
        there = is_begun(path)
    if not there:
        if number:
            raise companion_gone(path)
        return None
    with closing(JournalReader(path)) as journal:
        return journal.examine()


def look_at(place: str, note: Path | None = None) -> Health | None:
    """What is in the journal at `place`, a path or a URL; of a database, by what this till keeps
    at `note`. Raises as the two above and below.
    """
    return shared_health(place, note) if is_database(place) else health(Path(place))


def shared_health(url: str, note: Path | None = None) -> Health | None:
    """The same of the journal in the database at `url`; None when it has no tables yet.

    Raises JournalError, also for one that is not the latest by what this till keeps at `note`, and
    ConfigError for a URL that cannot be used or a missing driver.
    """
    needs_driver()
    from posctl.journal import postgres_link, postgres_whole

    mark = mark_at(note) if note is not None else None
    with closing(postgres_link.Link(url)) as link:
        version = link._version()  # noqa: SLF001  of this package; the rest of it makes tables
        if version == 0:
            return None
        if version >= SHARED_WITH_WHOLE:
            postgres_whole.refuse_unless_whole(link, [mark], note=note)
        payments, still_open = link.execute(_COUNTS).fetchone() or (0, 0)
        if version < len(postgres_link.MIGRATIONS):
            return Health(payments, still_open, is_old=True)
        merchants = open_of(link.execute(OPEN_MERCHANTS.format(indexed="")).fetchall())
        marks = dict(link.execute("SELECT name, at_ms FROM marks").fetchall())
        return Health(payments, still_open, is_old=False, merchants=merchants, marks=marks)


def _can_lock(path: Path) -> None:
    """Raises JournalError when a payment could not lock what stands beside the journal."""
    try:
        Companion(held_path(path)).close()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unusable_companion(path, error) from error


class JournalReader(SqliteJournal):
    """The questions of a journal, and none of its changes."""

    def __init__(self, path: Path) -> None:
        """Open the journal that is at `path`. Raises JournalError."""
        self._path = path
        self._beside = []
        self._held = set()
        with told_as_journal_error(path):
            uri = f"file:{uri_path(path)}?mode=ro"
            self._db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
            try:
                self._schema = self._checked_schema()
                if self._schema < 3:  # it has no crc yet
                    self._columns = f"{COLUMNS}, NULL"
            except BaseException:
                self._db.close()
                raise

    def _checked_schema(self) -> int:
        """The schema's version. Raises JournalError for a journal that is not ours, or newer."""
        (application_id,) = self._db.execute("PRAGMA application_id").fetchone()
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application_id != APPLICATION_ID or version >= len(MIGRATIONS):
            check_ours(self._db, self._path)
        return int(version)

    def _refuse_unless_whole(self) -> int:
        # Before looking: tills go on counting.
        mark, number = mark_at(held_path(self._path)), highest_number(self._path)
        if self._schema < WITH_WHOLE:
            given = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name='payments'")
            (last,) = given.fetchone() or (0,)
            if last < number:
                raise older_than_noted(self._path)
            return 0
        whole = whole_of(self._db)
        if is_mounted_alone(self._path):
            raise mounted(self._path)
        found = self._path.lstat()
        if found.st_nlink > 1 and not drop_draft(self._path, found):
            raise linked(self._path)
        _can_lock(self._path)
        if mark is None and whole.reached:
            raise unguarded(self._path)
        refuse_unless_whole(self._path, whole, [mark], machine())
        return whole.reached

    def examine(self) -> Health:
        """Read the whole file. Raises JournalError for one that is damaged, or too old a copy."""
        with told_as_journal_error(self._path):
            (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise damaged(self._path)
            self._refuse_unless_whole()
            payments, still_open = self._db.execute(_COUNTS).fetchone()
            if self._schema < len(MIGRATIONS):
                return Health(payments, still_open, is_old=True)
            return Health(
                payments,
                still_open,
                is_old=False,
                merchants=tuple(self.open_merchants()),
                marks=self.marks(),
            )
