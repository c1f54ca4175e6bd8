"""Old closed payments, exported and deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from posctl.journal.companion import machine, mark_at
from posctl.journal.rows import try_of
from posctl.journal.sqlite_file import (
    CHECKED_COLUMNS,
    damaged,
    held_path,
    opened,
    refuse_unless_whole,
    told_as_journal_error,
    trusted,
    unguarded,
    whole_of,
)
from posctl.money.outcome import Event
from posctl.money.record import Alarm, Payment, Try

CHUNK = 200  # payments deleted in one transaction: tills wait for each other only so long


KEEP_DAYS = 7  # at least so long a payment stays: its request_id may be asked for again


class Closed(NamedTuple):
    """A payment that is to be pruned, with all that belongs to it."""

    payment: Payment
    tries: tuple[Try, ...]
    alarms: tuple[Alarm, ...]


class Pruned(NamedTuple):
    """What was deleted; `kept` are the closed payments as old that had to stay. `free_bytes` are
    used again by new payments: the file does not shrink.
    """

    payments: int
    tries: int
    kept: int
    free_bytes: int


# A checkout goes whole or stays whole: what is left of it must still stop a second payment. Where
# shifts are closed, a payment that is in none yet stays; so does one that was corrected, since a
# later shift rests on it.
_PRUNABLE = """
  FROM payments AS p WHERE closed_ms < :before AND NOT EXISTS (
    SELECT 1 FROM payments AS q
    WHERE q.checkout_id=p.checkout_id AND q.shop_id=p.shop_id
      AND coalesce(q.merchant, q.app_key)=coalesce(p.merchant, p.app_key) AND q.live=p.live
      AND (q.closed_ms IS NULL OR q.closed_ms >= :before
        OR EXISTS (SELECT 1 FROM alarms AS a WHERE a.seq=q.seq AND a.acknowledged_ms IS NULL)
        OR EXISTS (SELECT 1 FROM corrections AS c WHERE c.seq=q.seq)
        OR (q.shift IS NULL AND EXISTS (
          SELECT 1 FROM shifts AS s WHERE s.app_key=coalesce(q.merchant, q.app_key)))))
"""


_SELECT_PRUNABLE = (
    "SELECT p.seq, p.checkout_id, p.shop_id, coalesce(p.merchant, p.app_key), p.live "
    f"{_PRUNABLE} ORDER BY 2, 3, 4, 5"
)


def prune(path: Path, before_ms: int, export: Callable[[Iterator[Closed]], None] | None) -> Pruned:
    """Delete what was closed before `before_ms`, after `export` has written it out durably; without
    `export` only say what would be deleted.

    Open payments stay, and whole checkouts with anything open, newer or alarming in them. When
    there is nothing to delete, `export` is not called. Raises JournalError, also for a journal that
    takes no payments: nobody deletes from one that was moved, or is not the latest.
    """
    mark = mark_at(held_path(path))  # before looking: tills go on counting
    with opened(path) as db, told_as_journal_error(path):
        found = whole_of(db)
        if mark is None and found.reached:
            raise unguarded(path)
        refuse_unless_whole(path, found, [mark], machine())
        when = {"before": before_ms}
        db.execute("BEGIN")
        (old,) = db.execute(
            "SELECT count(*) FROM payments WHERE closed_ms < :before", when
        ).fetchone()
        chunks = _chunks(db.execute(_SELECT_PRUNABLE, when))
        numbers = [number for chunk in chunks for number in chunk]
        if export is None:
            held = ",".join(map(str, numbers))
            select = f"SELECT count(*) FROM tries WHERE seq IN ({held})"  # noqa: S608  ints
            (tries,) = db.execute(select).fetchone()
            db.execute("COMMIT")
            return Pruned(len(numbers), tries, old - len(numbers), _free_bytes(db))
        if numbers:
            export(_closed(db, path, numbers))
        db.execute("COMMIT")
        payments = tries = 0
        for chunk in chunks:
            deleted = _delete(db, chunk, before_ms)
            payments, tries = payments + deleted[0], tries + deleted[1]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Pruned(payments, tries, old - payments, _free_bytes(db))


def _chunks(rows: Iterable[tuple[int, str, str, str, str]]) -> list[list[int]]:
    """Payments' numbers, about CHUNK at a time, each checkout's together."""
    chunks: list[list[int]] = []
    for _checkout, payments in groupby(rows, lambda row: row[1:]):
        if not chunks or len(chunks[-1]) >= CHUNK:
            chunks.append([])
        chunks[-1] += [row[0] for row in payments]
    return chunks


def _closed(db: sqlite3.Connection, path: Path, numbers: Sequence[int]) -> Iterator[Closed]:
    for number in numbers:
        select = f"SELECT {CHECKED_COLUMNS} FROM payments WHERE seq=?"  # noqa: S608  our columns
        payment = trusted(db.execute(select, (number,)).fetchone())
        if payment is None:
            raise damaged(path)
        tries = db.execute(
            """SELECT n, kind, started_ms, host, pid, machine_id, operator_id, event, finished_ms,
                 http_status, code, sub_code, message, raw FROM tries
               WHERE seq=? ORDER BY started_ms, n""",
            (number,),
        )
        alarms = db.execute(
            "SELECT id, at_ms, event, text, acknowledged_by, acknowledged_ms FROM alarms "
            "WHERE seq=? ORDER BY id",
            (number,),
        )
        yield Closed(
            payment,
            tuple(try_of(one) for one in tries),
            tuple(
                Alarm(i, payment.request_id, at, Event(event), *rest)
                for i, at, event, *rest in alarms
            ),
        )


def _delete(db: sqlite3.Connection, chunk: Sequence[int], before_ms: int) -> tuple[int, int]:
    """One transaction; what has come to a checkout since the export keeps it whole."""
    db.execute("BEGIN IMMEDIATE")
    try:
        found = db.execute(
            f"SELECT p.seq {_PRUNABLE} AND p.seq IN ({','.join(map(str, chunk))})",
            {"before": before_ms},
        )
        numbers = ",".join(str(number) for (number,) in found)
        tries = db.execute(f"DELETE FROM tries WHERE seq IN ({numbers})").rowcount  # noqa: S608  ints
        db.execute(f"DELETE FROM alarms WHERE seq IN ({numbers})")  # noqa: S608  ints
        payments = db.execute(f"DELETE FROM payments WHERE seq IN ({numbers})").rowcount  # noqa: S608
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return payments, tries


def _free_bytes(db: sqlite3.Connection) -> int:
    (pages,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int(pages * size)
