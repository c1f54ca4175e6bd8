"""Care of the journal on one machine, safe while tills are working: check, back up, restore, prune.

Nothing is ever overwritten, and nothing is deleted that was not written out before: a restored
journal's predecessor is kept aside, and pruned payments are exported first.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from posctl.errors import Busy, JournalError, UsageError
from posctl.files import delete, draft_beside, make_folder, place_file, remove, rename, sync
from posctl.hint import Say, Type
from posctl.journal.check import Examined, Finding, examine
from posctl.journal.companion import Companion, machine, mark_at
from posctl.journal.sqlite_file import (
    APPLICATION_ID,
    BUSY_S,
    CHECKED_COLUMNS,
    MIGRATIONS,
    check_ours,
    damaged,
    held_path,
    highest_number,
    is_begun,
    linked,
    must_exist,
    opened,
    told_as_journal_error,
    trusted,
    uri_path,
    whole_of,
)
from posctl.journal.unite import Outlook, last_number, leave_to_person, unite
from posctl.messages import _
from posctl.money.record import Payment
from posctl.text import reason
from posctl.times import stamp

# ── back up ──────────────────────────────────────────────────────────────────────────────────


def back_up(path: Path, target: Path) -> Examined:
    """A copy of one moment at `target`, in one file, 0600, checked before it gets its name.

    Payments that are open in it keep their codes. Raises UsageError when `target` exists or cannot
    be made, JournalError when the journal cannot be read or is not sound.
    """
    draft = _draft_beside(target)
    try:
        _copy(path, draft)
        examined = examine(draft)
        if examined.findings:
            raise unsound(path, examined.findings)
        _name(draft, target)
    finally:
        remove(draft)
    return examined


def unsound(path: Path, findings: Sequence[Finding]) -> JournalError:
    """What to say of a journal in which something was found."""
    return JournalError(
        "journal_unsound",
        _("The journal {path} is not sound: {what}.").format(path=path, what=findings[0].text),
        (
            Say(_("Copy its files away before anything else. Then restore a backup:")),
            Type(("journal", "restore", "BACKUP")),
        ),
    )


def _draft_beside(target: Path) -> Path:
    """A new, empty, private file in the folder of `target`. Raises UsageError."""
    if target.is_symlink() or target.exists():
        raise _taken(target)
    try:
        return draft_beside(target)
    except OSError as error:
        raise UsageError(
            "bad_file",
            _("{path} cannot be written: {why}.").format(path=target, why=reason(error)),
        ) from None


def _copy(path: Path, draft: Path) -> None:
    """All of a journal as it is now; it is only read. Tills go on writing meanwhile."""
    with told_as_journal_error(path):
        must_exist(path)
        uri = f"file:{uri_path(path)}?mode=ro"
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as source,
            closing(sqlite3.connect(draft, isolation_level=None)) as copy,
        ):
            (application_id,) = source.execute("PRAGMA application_id").fetchone()
            (version,) = source.execute("PRAGMA user_version").fetchone()
            if application_id != APPLICATION_ID or version > len(MIGRATIONS):
                check_ours(source, path)  # says which it is
            _fill(source, copy, draft.parent)
        sync(draft)


def _fill(source: sqlite3.Connection, copy: sqlite3.Connection, folder: Path) -> None:
    """The copy itself. Only what is written can be full: that disk is named, not the journal's."""
    try:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, readable from any medium
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            raise
        raise JournalError(
            "copy_full",
            _("The disk of {folder} is full.").format(folder=folder),
            _("Free some space, then run the same command again."),
        ) from error


def _name(draft: Path, target: Path) -> None:
    """Give a finished file its name, unless somebody else has it by now."""
    try:
        place_file(draft, target)
    except FileExistsError:
        raise _taken(target) from None
    sync(target.parent)


def _taken(target: Path) -> UsageError:
    return UsageError(
        "file_exists",
        _("{path} exists, and posctl overwrites nothing.").format(path=target),
        _("Give another name."),
    )


# ── restore ──────────────────────────────────────────────────────────────────────────────────


class Restored(NamedTuple):
    """What is in force now, what it came to, and where the journal before it is kept."""

    examined: Examined
    outlook: Outlook
    kept_aside: Path | None


def outlook(path: Path, backup: Path) -> Outlook:
    """What a restore would come to; nothing is changed. Raises JournalError for a bad backup.

    It is tried on copies, so that the tills need not wait.
    """
    _must_be_there(backup)
    _make_folder(path)
    place = path.with_name(f"{path.name}.restored")
    draft, present = _draft_beside(place), _draft_beside(place)
    try:
        _prepare(backup, draft)
        if not _is_usable(path):
            return _leave_to_person(draft, path)
        _copy(path, present)
        with opened(present) as db:
            db.execute("PRAGMA foreign_keys=OFF")
            db.execute("ATTACH ? AS old", (f"file:{uri_path(draft)}",))
            db.execute("BEGIN")
            return _unite(db, path)
    finally:
        remove(draft)
        remove(present)


def restore(
    path: Path, backup: Path, accepted: Outlook, now_s: float, note: Path | None = None
) -> Restored:
    """Put `backup` in the place of the journal at `path`, which is kept aside.

    A usable journal keeps all that it knows and takes from the backup what it does not: a payment
    closed in either stays closed. Of a journal that is gone or damaged nothing is known, so every
    payment open in the backup is for a person. Raises Busy while a payment is being sent,
    UsageError when it comes to more than `accepted`, JournalError when the backup is not sound.
    """
    aside = _unused(path.with_name(f"{path.name}.{stamp(int(now_s * 1000))}"))
    _must_be_there(backup)
    _make_folder(path)
    with nobody_at_work(path):
        draft = _draft_beside(path.with_name(f"{path.name}.restored"))
        try:
            _prepare(backup, draft)
            if _is_usable(path):
                found = _take_in(path, draft, aside, accepted)
                kept: Path | None = aside
            else:
                found = _leave_to_person(draft, path)
                _agreed(found, accepted)
                kept = _replace_file(path, draft, aside)
            vouch(path, note)
        finally:
            remove(draft)
    return Restored(examine(path), found, kept)


def _unused(path: Path) -> Path:
    """`path`, or that with a number for a second restore within one second."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))
    return next(one for one in itertools.chain([path], numbered) if not one.exists())


def _must_be_there(backup: Path) -> None:
    if not is_begun(backup):
        raise JournalError("no_backup", _("There is no backup {path}.").format(path=backup))


def _make_folder(path: Path) -> None:
    with told_as_journal_error(path):
        make_folder(path.parent)


def _agreed(found: Outlook, accepted: Outlook) -> None:
    if not accepted.covers(found):
        raise UsageError(
            "may_charge_again",
            _("More came in while you looked at the list."),
            _("Run it again, look at them, and say --yes."),
        )


@contextmanager
def nobody_at_work(path: Path) -> Iterator[None]:
    """Nobody sends a payment, or begins to, meanwhile. Raises Busy."""
    with told_as_journal_error(path):
        companion = Companion(held_path(path), make=True)
    try:
        if not companion.lock_all():
            raise Busy(
                "in_use",
                _("A payment is being sent from this journal at this very moment."),
                _("Stop the tills, then run the same command again."),
            )
        yield
    finally:
        companion.unlock_all()
        companion.close()


def _prepare(backup: Path, draft: Path) -> None:
    """A copy of the backup, brought up to date and found to be sound. Raises JournalError."""
    _copy(backup, draft)
    findings = examine(draft).findings
    if findings:
        raise unsound(backup, findings)
    with opened(draft) as db:
        # Whether they were ever answered is not known any more.
        db.execute(
            """UPDATE payments SET state='unknown', doubt='unknown'
               WHERE closed_ms IS NULL AND state IN ('prepared', 'sending')"""
        )


def _is_usable(path: Path) -> bool:
    try:
        return not any(found.code == "damaged" for found in examine(path).findings)
    except JournalError:
        return False


def _unite(db: sqlite3.Connection, path: Path) -> Outlook:
    """As `unite`, of the journal at `path` or a copy of it, by what stands beside that."""
    mark, whole, highest = mark_at(held_path(path)), whole_of(db), highest_number(path)
    is_older = highest > whole.last
    if mark is not None:
        is_older = mark.id != whole.id or mark.reached > whole.reached
    return unite(db, highest, is_older=is_older)


def _leave_to_person(draft: Path, path: Path) -> Outlook:
    with opened(draft) as db:
        return leave_to_person(db, highest_number(path))


def _take_in(path: Path, draft: Path, aside: Path, accepted: Outlook) -> Outlook:
    """In one transaction, so that a till sees the journal before or after, and nothing between."""
    with opened(path) as db, told_as_journal_error(path):
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("ATTACH ? AS old", (f"file:{uri_path(draft)}",))
        db.execute("BEGIN IMMEDIATE")
        back_up_as_it_is(path, aside)
        try:
            found = _unite(db, path)
            _agreed(found, accepted)
            _go_on_counting(db, path)
            db.execute("COMMIT")
        except BaseException:
            delete(aside)  # nothing came in its place
            raise
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return found


def back_up_as_it_is(path: Path, target: Path) -> None:
    """A copy of a journal at `target`, sound or not."""
    draft = _draft_beside(target)
    try:
        _copy(path, draft)
        _name(draft, target)
    finally:
        remove(draft)


def _replace_file(path: Path, draft: Path, aside: Path) -> Path | None:
    """For a journal that is gone or damaged: its files are moved aside, and a new one is put there.

    Killed in between, posctl says that the journal is gone, and the same command goes on.
    """
    with opened(draft) as db, told_as_journal_error(draft):
        _go_on_counting(db, path)
        db.execute("PRAGMA journal_mode=WAL")
    with told_as_journal_error(path):
        kept = None
        for tail in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                rename(Path(f"{path}{tail}"), Path(f"{aside}{tail}"))
                kept = aside
        sync(draft)
        _name(draft, path)
    return kept


def _go_on_counting(db: sqlite3.Connection, path: Path) -> None:
    """No number is given twice: the lost payments had theirs."""
    number = max(last_number(db, "main"), highest_number(path))
    db.execute("DELETE FROM main.sqlite_sequence WHERE name='payments'")
    db.execute("INSERT INTO main.sqlite_sequence VALUES ('payments', ?)", (number,))
    mark = mark_at(held_path(path))
    db.execute(
        "UPDATE main.whole SET id=coalesce(?, id), count=max(count, ?) + 1, machine=?",
        (mark.id if mark else None, mark.reached if mark else 0, machine()),
    )


def open_in(path: Path) -> list[Payment]:
    """The open payments of the journal at `path`, oldest first. Raises JournalError."""
    with opened(path) as db:
        rows = db.execute(
            f"SELECT {CHECKED_COLUMNS} FROM payments WHERE closed_ms IS NULL ORDER BY seq"  # noqa: S608
        )
        found = [trusted(row) for row in rows]
    if None in found:
        raise damaged(path)
    return [payment for payment in found if payment is not None]


def adopt(path: Path, note: Path | None = None) -> None:
    """Take the journal over as the one of this machine, on a person's word: it gets an id of its
    own, so that no other copy passes for it, and its open payments wait for a person.

    Raises Busy while somebody sends from it, JournalError.
    """
    with nobody_at_work(path):
        with opened(path) as db, told_as_journal_error(path):
            if path.lstat().st_nlink > 1:
                raise linked(path)
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "UPDATE whole SET id=?, machine=?, moved_to=NULL, count=count+1",
                (os.urandom(16).hex(), machine()),
            )
            db.execute("UPDATE payments SET for_person=1 WHERE closed_ms IS NULL")
            db.execute("COMMIT")
        vouch(path, note)


def vouch(path: Path, note: Path | None) -> None:
    """Write beside the journal, and into its note, that it is the one and the latest."""
    with opened(path) as db, closing(Companion(held_path(path), make=True)) as companion:
        mark = whole_of(db).mark
        companion.write(mark)
        if note is not None:
            with suppress(OSError), closing(Companion(note, make=True)) as beside:
                beside.write(mark)
