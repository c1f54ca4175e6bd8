"""The file that an SQLite journal is: its schema, how it is made and opened, what stands beside."""

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from glob import escape as glob_escape
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple
from zlib import crc32

from posctl.errors import JournalError
from posctl.files import draft_beside, in_use, make_folder, place_file, remove, sync
from posctl.hint import Hint, Say, Type
from posctl.journal import moved
from posctl.journal.companion import LINE as COMPANION
from posctl.journal.companion import Companion, Mark, mark_at
from posctl.journal.rows import (
    COLUMNS,
    MERCHANT,
    sound_payment,
)
from posctl.messages import _
from posctl.money.record import NewPayment, Payment
from posctl.shell import keep_others_out
from posctl.text import reason

APPLICATION_ID = 0x706F7363  # "posc": tells our file from anybody's SQLite file


BUSY_S = 10.0  # how long a busy journal is waited for


# One function a schema version, applied once each, in order. Version N has applied the first N.
_SCHEMA_1 = """
CREATE TABLE payments (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL UNIQUE,
  profile TEXT NOT NULL,
  live INTEGER NOT NULL,
  gateway TEXT NOT NULL,
  app_key TEXT NOT NULL,
  shop_id TEXT NOT NULL,
  checkout_id TEXT NOT NULL,
  order_id TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  machine_id TEXT NOT NULL,
  pay_channel TEXT NOT NULL,
  pay_fee INTEGER NOT NULL,
  pay_request TEXT NOT NULL,
  state TEXT NOT NULL,
  doubt TEXT,
  paid INTEGER,
  result_status INTEGER,
  remaining_fee INTEGER,
  current_pay_fee INTEGER,
  current_payment_channel INTEGER,
  payment_order_id TEXT,
  channel_order_id TEXT,
  result_code TEXT,
  result_message TEXT,
  trace_id TEXT,
  warnings TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  updated_ms INTEGER NOT NULL,
  closed_ms INTEGER,
  told INTEGER NOT NULL DEFAULT 0,
  resolved_by TEXT,
  resolved_note TEXT
) STRICT;
CREATE UNIQUE INDEX one_open ON payments (checkout_id, shop_id, app_key, gateway)
  WHERE closed_ms IS NULL;
CREATE INDEX by_checkout ON payments (checkout_id, shop_id);
CREATE INDEX by_created ON payments (created_ms);
CREATE INDEX open_by_age ON payments (seq) WHERE closed_ms IS NULL;
CREATE TABLE tries (
  seq INTEGER NOT NULL REFERENCES payments,
  n INTEGER NOT NULL,
  kind TEXT NOT NULL,
  started_ms INTEGER NOT NULL,
  host TEXT NOT NULL,
  pid INTEGER NOT NULL,
  machine_id TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  event TEXT,
  finished_ms INTEGER,
  http_status INTEGER,
  code TEXT,
  sub_code TEXT,
  message TEXT,
  raw TEXT,
  PRIMARY KEY (seq, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE alarms (
  id INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL REFERENCES payments,
  at_ms INTEGER NOT NULL,
  event TEXT NOT NULL,
  text TEXT NOT NULL,
  acknowledged_by TEXT,
  acknowledged_ms INTEGER
) STRICT;
CREATE INDEX alarms_to_see ON alarms (id) WHERE acknowledged_ms IS NULL;
"""


# Only additions, so that an older posctl that has the journal open goes on working: what it
# writes has no shift yet, and so belongs to the next one. Started anew it refuses the journal (31).
_SCHEMA_2 = """
ALTER TABLE payments ADD COLUMN shift INTEGER;
CREATE INDEX by_shift ON payments (shift);
CREATE TABLE shifts (
  gateway TEXT NOT NULL,
  app_key TEXT NOT NULL,
  number INTEGER NOT NULL,
  content TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (gateway, app_key, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE prints (
  seq INTEGER NOT NULL REFERENCES payments ON DELETE CASCADE,
  copy TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (seq, copy)
) STRICT, WITHOUT ROWID;
"""


# What a payment is, checked at every reading. An older posctl that has the journal open masks the
# codes of a payment that it closes and knows no crc: that row then goes unchecked.
_SCHEMA_3 = """
ALTER TABLE payments ADD COLUMN crc INTEGER;
CREATE TRIGGER older_posctl AFTER UPDATE OF pay_request ON payments
  WHEN NEW.crc = OLD.crc AND NEW.pay_request != OLD.pay_request
  BEGIN UPDATE payments SET crc = NULL WHERE seq = NEW.seq; END;
"""


# Whose a payment is; what has to be known of the journal as a whole. What an older posctl writes
# beside this one has no merchant, and is its app_key's; the new index refuses it a second open one.
# Of open payments that two gateways had on one checkout all but the newest are left out of it; a
# person closes them. And of what it left pending nobody knows whether some try got no answer, too.
_SCHEMA_4 = f"""
ALTER TABLE payments ADD COLUMN merchant TEXT;
ALTER TABLE payments ADD COLUMN own_id INTEGER;
ALTER TABLE payments ADD COLUMN for_person INTEGER;
ALTER TABLE payments ADD COLUMN code_hash TEXT;
ALTER TABLE payments ADD COLUMN clash INTEGER;
UPDATE payments SET clash=1 WHERE closed_ms IS NULL AND EXISTS (
  SELECT 1 FROM payments AS newer WHERE newer.closed_ms IS NULL AND newer.seq > payments.seq
    AND newer.checkout_id=payments.checkout_id AND newer.shop_id=payments.shop_id
    AND newer.app_key=payments.app_key AND newer.live=payments.live);
DROP INDEX one_open;
CREATE UNIQUE INDEX one_open_of_merchant ON payments (checkout_id, shop_id, {MERCHANT}, live)
  WHERE closed_ms IS NULL AND clash IS NULL;
CREATE UNIQUE INDEX by_code ON payments (code_hash) WHERE code_hash IS NOT NULL;
CREATE INDEX by_payment_order ON payments (payment_order_id) WHERE payment_order_id IS NOT NULL;
CREATE INDEX by_channel_order ON payments (channel_order_id) WHERE channel_order_id IS NOT NULL;
CREATE TABLE whole (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id TEXT NOT NULL,
  machine TEXT,
  count INTEGER NOT NULL,
  code_key TEXT NOT NULL,
  moved_to TEXT
) STRICT;
INSERT INTO whole (one, id, count, code_key)
  VALUES (1, lower(hex(randomblob(16))), 0, lower(hex(randomblob(32))));
CREATE TABLE paid_for (profile TEXT PRIMARY KEY, merchant TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO paid_for SELECT profile, app_key FROM payments
  WHERE seq IN (SELECT max(seq) FROM payments WHERE live GROUP BY profile);
UPDATE payments SET doubt='pending_unknown' WHERE closed_ms IS NULL AND doubt='pending';
"""


# A person's word against a person's word. `paid` stays as the payment was closed, so that closed
# shifts stay valid; `corrected` is what the latest word says.
_SCHEMA_5 = """
ALTER TABLE payments ADD COLUMN corrected INTEGER;
CREATE TABLE corrections (
  id INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL REFERENCES payments,
  at_ms INTEGER NOT NULL,
  word TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  note TEXT NOT NULL,
  in_shift INTEGER
) STRICT;
CREATE INDEX corrections_of ON corrections (seq);
"""


# What whoever watches wants to know, and no payment: when a sweep last ran, what was told to
# `notify_command`.
_SCHEMA_6 = """
CREATE TABLE marks (name TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT;
"""


MIGRATIONS: tuple[str, ...] = (*(_SCHEMA_1, _SCHEMA_2, _SCHEMA_3, _SCHEMA_4, _SCHEMA_5, _SCHEMA_6),)


CHECKED_COLUMNS = f"{COLUMNS}, crc"


LATEST = 32  # payments that are looked at without an index


LAST_SEQ = "(SELECT max(seq) FROM payments)"


def trusted(row: Sequence[Any]) -> Payment | None:
    """The payment of a row of CHECKED_COLUMNS; None when the row is damaged.

    SQLite keeps no checksums of its own: a byte flipped inside a record is no error to it.
    """
    payment = sound_payment(row[:-1])
    if payment is None or row[-1] not in (None, row_crc(payment)):
        return None
    numbers = (payment.seq, payment.pay_fee, payment.tries, payment.created_ms, payment.updated_ms)
    maybe = (payment.closed_ms, payment.verdict.remaining_fee, payment.verdict.current_pay_fee)
    if {type(number) for number in numbers} != {int}:
        return None
    return payment if all(type(number) in (int, NoneType) for number in maybe) else None


def row_crc(payment: NewPayment | Payment) -> int:
    """Of what must not change while a payment is resent, or looked for by its checkout."""
    checkout = payment.checkout
    what = (
        *(payment.request_id, payment.profile, payment.live, payment.gateway, payment.app_key),
        *(checkout.shop_id, checkout.checkout_id, payment.pay_fee, payment.pay_request),
        # As 0.1 made it, for the rows that it wrote and goes on writing.
        *(() if checkout.merchant_name == payment.app_key else (checkout.merchant_name,)),
    )
    return crc32("\0".join(map(str, what)).encode())


def connect(path: Path) -> sqlite3.Connection:
    # mode=rw: SQLite would make a new empty database where a file has just gone.
    uri = f"file:{uri_path(path)}?mode=rw"
    db = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA foreign_keys=ON")
    except BaseException:  # no database, say
        db.close()
        raise
    return db


def uri_path(path: Path) -> str:
    from urllib.parse import quote

    # Its bytes: a folder's name may be no UTF-8, as on a disk that a Windows has written.
    return quote(os.fsencode(path.absolute()))


def is_begun(path: Path) -> bool:
    """Whether a journal is there. Raises JournalError for what can be none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise JournalError(
            "journal_not_a_file",
            _("The journal {path} is not a regular file.").format(path=path),
            _("Name a file with journal: in the configuration or $POSCTL_JOURNAL."),
        )
    if found.st_size == 0:
        raise JournalError(
            "journal_empty",
            _(
                "The journal {path} is empty (0 bytes): its payments are lost or it is not ours."
            ).format(path=path),
            (
                *(Say(_("Restore a backup:")), Type(("journal", "restore", "BACKUP"))),
                Say(_("Remove it only if it never held any.")),
            ),
        )
    return True


def identity(path: Path) -> tuple[int, int, bool]:
    found = path.lstat()
    return found.st_dev, found.st_ino, found.st_size > 0


def create_file(path: Path) -> None:
    """A whole journal or none: built beside its place, 0600, then linked into it."""
    make_folder(path.parent)
    draft = draft_beside(path)
    try:
        db = sqlite3.connect(draft, isolation_level=None)
        try:
            # A WAL that a full disk keeps from being written back would be lost with the draft.
            db.execute("PRAGMA synchronous=OFF")
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            for script in MIGRATIONS:
                db.executescript(script)
            db.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
            db.execute("PRAGMA journal_mode=WAL")
        finally:
            db.close()
        sync(draft)
        with suppress(FileExistsError):  # somebody was quicker: theirs is the journal
            place_file(draft, path)
    finally:
        remove(draft)
    sync(path.parent)


def check_ours(db: sqlite3.Connection, path: Path) -> None:
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise JournalError(
            "journal_foreign",
            _("{path} is an SQLite file, but no journal of posctl's.").format(path=path),
            _("Name another file with journal: in the configuration or $POSCTL_JOURNAL."),
        )
    if version > len(MIGRATIONS):
        raise JournalError(
            "journal_newer",
            _("The journal {path} was written by a newer posctl (schema {version}).").format(
                path=path, version=version
            ),
            _("Update posctl on this machine."),
        )
    while version < len(MIGRATIONS):
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version < len(MIGRATIONS):
            for statement in MIGRATIONS[version].split(";\n"):
                db.execute(statement)
            version += 1
            db.execute(f"PRAGMA user_version={version}")
        db.execute("COMMIT")


class Whole(NamedTuple):
    """What is known of a journal as a whole; `last` is the highest number a payment was given."""

    id: str
    machine: str | None
    reached: int
    moved_to: str | None
    last: int

    @property
    def mark(self) -> Mark:
        return Mark(self.id, self.reached, self.last)


def whole_of(db: sqlite3.Connection) -> Whole:
    return Whole(
        *db.execute(
            """SELECT id, machine, count, moved_to,
                 coalesce((SELECT seq FROM sqlite_sequence WHERE name='payments'), 0) FROM whole"""
        ).fetchone()
    )


def held_path(path: Path) -> Path:
    """What stands beside the journal at `path`."""
    return Path(f"{path}.held")


def own_companion(db: sqlite3.Connection, path: Path) -> Companion:
    """What stands beside the journal, open; made when nothing was ever paid. Raises JournalError.

    An older posctl kept no line in it: its length was the highest number.
    """
    whole = whole_of(db)
    is_fresh = not whole.reached and not whole.last
    try:
        companion = Companion(held_path(path), make=is_fresh, owner=path.lstat())
    except FileNotFoundError:
        raise unguarded(path) from None
    except OSError as error:
        raise unusable_companion(path, error) from error
    mark = companion.read()
    try:
        if mark is None and not whole.reached:
            refuse_if_older(path, companion.size() - 1, whole)
            go_on_beside_an_older_posctl(db)
            companion.write(whole.mark)
        elif is_fresh and mark is not None and mark.id != whole.id and mark == (mark.id, 0, 0):
            companion.write(whole.mark)  # of a journal that was removed before anything was paid
    except BaseException:
        companion.close()
        raise
    return companion


def refuse_if_older(path: Path, number: int, whole: Whole) -> None:
    if number > whole.last:
        raise older_than_noted(path)


def go_on_beside_an_older_posctl(db: sqlite3.Connection) -> None:
    """One that has the journal open refuses a number below the length of what stands beside it."""
    db.execute(
        "UPDATE sqlite_sequence SET seq=? WHERE name='payments' AND seq<?", (COMPANION, COMPANION)
    )


def notes_of(db: sqlite3.Connection, note: Path) -> list[Companion]:
    """The note beside the configuration, where one can be kept."""
    with suppress(OSError):
        companion = Companion(note, make=True)
        if companion.read() is None:
            companion.write(whole_of(db).mark)
        return [companion]
    return []


def count_beside(path: Path, note: Path | None) -> int:
    """How far a journal at `path` is known to have come."""
    marks = [mark_at(held_path(path)), *([mark_at(note)] if note is not None else [])]
    return max(mark.reached if mark else 0 for mark in marks)


def highest_number(path: Path) -> int:
    """The highest number of a payment in the journal at `path` that is remembered beside it; 0
    when nothing is.
    """
    mark = mark_at(held_path(path))
    if mark is not None:
        return mark.last
    try:
        return max(0, held_path(path).lstat().st_size - 1)
    except OSError:
        return 0


def refuse_unless_whole(
    path: Path, whole: Whole, marks: Sequence[Mark | None], here: str | None
) -> None:
    """Raises JournalError unless the journal is the one that `marks` speak of, and not behind them,
    and was neither moved nor found on another machine than `here`.
    """
    if whole.moved_to is not None:
        raise moved(path, whole.moved_to, how_to_adopt())
    if here is not None and whole.machine not in (None, here):
        raise JournalError(
            "journal_elsewhere",
            _(
                "The journal {path} belongs to another machine: a copy of it may be in use there."
            ).format(path=path),
            (
                Say(_("Two copies would charge twice. Use the journal on its own machine.")),
                *how_to_adopt(),
            ),
        )
    for mark in marks:
        if mark is None:
            continue
        if mark.id != whole.id:
            raise JournalError(
                "journal_other",
                _("The journal {path} is not the one that this machine has used.").format(
                    path=path
                ),
                (Say(_("Put that one back.")), *how_to_adopt()),
            )
        if mark.reached > whole.reached:
            raise older_than_noted(path)


def how_to_adopt() -> Hint:
    return Say(_("To go on with this one on purpose:")), Type(("journal", "adopt"))


def drop_draft(path: Path, found: os.stat_result) -> bool:
    """Remove the second name that a posctl killed in `place_file` has left."""
    for draft in path.parent.glob(f".{glob_escape(path.name)}.*.new"):
        with suppress(OSError):
            if os.path.samestat(draft.lstat(), found):
                draft.unlink()
    return path.lstat().st_nlink == 1


def linked(path: Path) -> JournalError:
    return JournalError(
        "journal_linked",
        _("The journal {path} has a second name (a hard link).").format(path=path),
        (
            Say(_("By the other name it would be paid a second time. Find both, and remove one:")),
            Type(("hardlink", "list", str(path)), program="fsutil")
            if os.name == "nt"
            else Type((str(path.parent), "-samefile", str(path)), program="find"),
        ),
    )


def mounted(path: Path) -> JournalError:
    return JournalError(
        "journal_mounted",
        _("The journal {path} is mounted as a single file, without what belongs to it.").format(
            path=path
        ),
        _("Mount its whole folder."),
    )


def unguarded(path: Path) -> JournalError:
    return JournalError(
        "journal_unguarded",
        _(
            "{held} is missing or damaged. It belongs to the journal and is not a stale lock file."
        ).format(held=held_path(path)),
        (Say(_("Put it back, or let every posctl on this machine end.")), *how_to_adopt()),
    )


def unusable_companion(path: Path, error: OSError) -> JournalError:
    """What to tell of a companion that cannot be opened: another owner's, say."""
    held = held_path(path)
    return JournalError(
        "journal_unwritable",
        _("{held} of the journal cannot be used: {why}.").format(held=held, why=reason(error)),
        (
            Say(_("Give it to the journal's owner:")),
            keep_others_out(held)
            if os.name == "nt"
            else Type((f"--reference={path}", str(held)), program="chown"),
        ),
    )


def companion_gone(path: Path) -> JournalError:
    return JournalError(
        "journal_gone",
        _("The journal {path} is gone, and payments were recorded in it.").format(path=path),
        (
            *(Say(_("Put it back, or type:")), Type(("journal", "restore", "BACKUP"))),
            Say(_("To begin anew on purpose, name another place with journal:.")),
        ),
    )


def older_than_noted(path: Path) -> JournalError:
    return JournalError(
        "journal_older",
        _(
            "The journal {path} is older than what was recorded on this machine: "
            "it does not know the latest payments."
        ).format(path=path),
        (
            Say(_("Put the newer one back; if it is lost, type:")),
            Type(("journal", "restore", "BACKUP")),
            *how_to_adopt(),
        ),
    )


def damaged(path: Path) -> JournalError:
    return JournalError(
        "journal_corrupt",
        _("The journal {path} is damaged or is not a journal.").format(path=path),
        (
            Say(_("Do not delete it. Check it, or restore a backup:")),
            Type(("journal", "check")),
        ),
    )


@contextmanager
def told_as_journal_error(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say into what a person can act on."""
    try:
        yield
    except sqlite3.Error as error:
        raise as_journal_error(error, path) from error
    except UnicodeDecodeError as error:  # SQLite's own complaint quotes the damaged bytes
        raise damaged(path) from error
    except OSError as error:
        if str(error) == "replaced" or isinstance(error, FileNotFoundError):
            raise JournalError(
                "journal_replaced",
                _("The journal {path} was removed, replaced or emptied while posctl ran.").format(
                    path=path
                ),
                _("Put it back, or restore a backup, before anything is paid."),
            ) from error
        if in_use(error):
            raise JournalError(
                "journal_locked",
                _("The journal {path} is in use by another program.").format(path=path),
                _("Stop the tills and what backs it up, then run the same command again."),
            ) from error
        raise JournalError(
            "journal_unwritable",
            _("The journal {path} cannot be used: {why}.").format(path=path, why=reason(error)),
            (Say(_("Check the folder, its permissions and the disk:")), Type(("doctor",))),
        ) from error


def as_journal_error(error: sqlite3.Error, path: Path) -> JournalError:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return JournalError(
            "journal_locked",
            _("The journal {path} is locked by another program.").format(path=path),
            _("Wait a moment and run the same command again."),
        )
    if primary == sqlite3.SQLITE_FULL:
        return JournalError(
            "journal_full",
            _("The disk of the journal {path} is full.").format(path=path),
            _("Free some space, then run the same command again."),
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return JournalError(
            "journal_unwritable",
            _("The journal {path} cannot be written.").format(path=path),
            (Say(_("Check its permissions and its folder's:")), Type(("doctor",))),
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(path)
    return JournalError(
        "journal_failed",
        _("The journal {path} failed: {why}.").format(path=path, why=error),
        (Say(_("To find out more:")), Type(("doctor",))),
    )


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal that is there; none is made. Raises JournalError."""
    with told_as_journal_error(path):
        must_exist(path)
        db = connect(path)
        try:
            check_ours(db, path)
            yield db
        finally:
            db.close()


def must_exist(path: Path) -> None:
    if not is_begun(path):
        raise JournalError(
            "journal_missing",
            _("There is no journal {path}.").format(path=path),
            (
                *(Say(_("See where it is looked for:")), Type(("config", "show"))),
                *(Say(_("To begin a new one here:")), Type(("journal", "create"))),
            ),
        )
