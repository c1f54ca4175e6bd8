"""What a restore comes to: a journal and its backup as one, without a payment regaining the power
to send.

A payment closed in either stays closed, the journal's word before the backup's. Open ones are for
a person where the backup had them open: whoever put it back may know what posctl does not.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from posctl.errors import UsageError
from posctl.journal.sqlite_file import CHECKED_COLUMNS, trusted
from posctl.messages import _


class Unsure(NamedTuple):
    """A payment that a restore leaves to a person, or of which no sound row is left. Fee in fen."""

    request_id: str
    checkout_id: str
    pay_fee: int
    state: str


class Outlook(NamedTuple):
    """What a restore comes to.

    `carried_over` payments the journal knows better than the backup, or alone. `unknown` ones were
    given a number on this machine and are in neither. What was paid after `since_ms` is not known
    unless the journal that is there is `whole`.
    """

    for_person: tuple[Unsure, ...] = ()
    lost: tuple[Unsure, ...] = ()
    carried_over: int = 0
    unknown: int = 0
    since_ms: int | None = None
    whole: bool = False

    @property
    def sure(self) -> bool:
        """Whether nothing is left that may be charged again."""
        return not (self.for_person or self.lost or self.unknown)

    def covers(self, other: Outlook) -> bool:
        """Whether who agreed to this has agreed to `other`."""
        return (
            set(other.for_person) <= set(self.for_person)
            and set(other.lost) <= set(self.lost)
            and other.unknown <= self.unknown
        )


_UNSURE = "request_id, checkout_id, pay_fee, state"
_HANGING = ("tries", "alarms", "prints", "corrections")
# What the backup alone knows, or knows as closed, or has seen tried more often.
_TAKEN = """
CREATE TEMP TABLE taken AS SELECT o.request_id, o.seq
FROM old.payments AS o LEFT JOIN main.payments AS p USING (request_id)
WHERE p.seq IS NULL OR (p.closed_ms IS NULL AND (o.closed_ms IS NOT NULL OR o.tries > p.tries))
"""
_IN_TAKEN = "request_id IN (SELECT request_id FROM taken)"
# All of them anew, by age, when two payments have one number: the oldest of a checkout comes first.
_NUMBERED_ANEW = f"""
CREATE TEMP TABLE numbers AS SELECT request_id, ? + row_number() OVER (ORDER BY created_ms, seq)
  AS seq FROM (
    SELECT request_id, created_ms, seq FROM main.payments UNION ALL
    SELECT request_id, created_ms, seq FROM old.payments WHERE {_IN_TAKEN})
"""
# Of two that are open on one checkout the journal's stands in the way; a person closes the other.
_CLASH = f"""
UPDATE old.payments SET clash=1 WHERE closed_ms IS NULL AND {_IN_TAKEN} AND EXISTS (
  SELECT 1 FROM main.payments AS p WHERE p.closed_ms IS NULL AND p.clash IS NULL
    AND p.checkout_id=payments.checkout_id AND p.shop_id=payments.shop_id AND p.live=payments.live
    AND coalesce(p.merchant, p.app_key)=coalesce(payments.merchant, payments.app_key))
"""
_FOR_PERSON = """
UPDATE main.payments SET for_person=1 WHERE closed_ms IS NULL AND (? OR request_id IN
  (SELECT request_id FROM old.payments WHERE closed_ms IS NULL))
"""
_SHIFT = """
UPDATE main.payments SET shift=(
  SELECT o.shift FROM old.payments AS o WHERE o.request_id=payments.request_id)
WHERE shift IS NULL AND closed_ms IS NOT NULL
"""
# Evidence against a closed payment. Who wrote the one cannot have known the other: two were in use.
_CONTRADICTED = """
INSERT INTO main.alarms (seq, at_ms, event, text)
SELECT p.seq, o.closed_ms, CASE WHEN NOT o.paid THEN 'failed' WHEN p.paid
  THEN 'other_payment_order_id' ELSE 'paid' END AS event, ?
FROM main.payments AS p JOIN old.payments AS o USING (request_id)
WHERE p.closed_ms IS NOT NULL AND o.closed_ms IS NOT NULL
  AND (p.paid IS NOT o.paid OR (p.paid AND p.payment_order_id != o.payment_order_id))
  AND NOT EXISTS (SELECT 1 FROM main.alarms AS a WHERE a.seq=p.seq AND a.at_ms=o.closed_ms)
"""
_ALARMS = """
INSERT INTO main.alarms (seq, at_ms, event, text, acknowledged_by, acknowledged_ms)
SELECT p.seq, a.at_ms, a.event, a.text, a.acknowledged_by, a.acknowledged_ms
FROM old.alarms AS a JOIN old.payments AS o USING (seq)
  JOIN main.payments AS p ON p.request_id=o.request_id
WHERE NOT EXISTS (
  SELECT 1 FROM main.alarms AS b WHERE b.seq=p.seq AND b.at_ms=a.at_ms AND b.event=a.event)
"""
_CORRECTIONS = """
INSERT INTO main.corrections (seq, at_ms, word, by_whom, note, in_shift)
SELECT p.seq, c.at_ms, c.word, c.by_whom, c.note, c.in_shift
FROM old.corrections AS c JOIN old.payments AS o USING (seq)
  JOIN main.payments AS p ON p.request_id=o.request_id
WHERE p.state='resolved' AND NOT EXISTS (
  SELECT 1 FROM main.corrections AS d WHERE d.seq=p.seq AND d.at_ms=c.at_ms AND d.word=c.word)
ORDER BY c.id
"""
_CORRECTED = """
UPDATE main.payments SET corrected=(
  SELECT c.word='paid' FROM main.corrections AS c WHERE c.seq=payments.seq
  ORDER BY c.id DESC LIMIT 1)
WHERE seq IN (SELECT seq FROM main.corrections)
"""
_CORRECTIONS_SHIFT = """
UPDATE main.corrections SET in_shift=(
  SELECT c.in_shift FROM old.corrections AS c JOIN old.payments AS o USING (seq)
    JOIN main.payments AS p ON p.request_id=o.request_id
  WHERE p.seq=corrections.seq AND c.at_ms=corrections.at_ms AND c.word=corrections.word)
WHERE in_shift IS NULL
"""
_CARRIED_OVER = """
SELECT count(*) FROM main.payments AS p LEFT JOIN old.payments AS o USING (request_id)
WHERE o.seq IS NULL OR (p.closed_ms IS NOT NULL AND o.closed_ms IS NULL)
"""
_MISCOUNTED = """
SELECT seq FROM main.payments AS p WHERE tries != (
  SELECT count(*) FROM main.tries AS t WHERE t.seq=p.seq AND n > 0)
"""


def unite(db: sqlite3.Connection, highest: int, *, is_older: bool) -> Outlook:
    """Bring into `main` what it does not know of `old`, inside the caller's transaction.

    Both are journals of this schema; foreign keys are off. `highest` is the highest number that a
    payment was given on this machine; `is_older` tells that `main` is not the latest here. Raises
    UsageError for shifts that cannot become one chain.
    """
    _refuse_other_shifts(db)
    since_ms = max(_one(db, "SELECT max(updated_ms) FROM main.payments") or 0, _since(db) or 0)
    last = last_number(db, "main")
    lost = _drop_unsound(db)
    carried_over = _one(db, _CARRIED_OVER)
    numbers_end = max(last, last_number(db, "old"))
    db.execute(_TAKEN)
    for table in (*_HANGING, "payments"):
        db.execute(
            f"DELETE FROM main.{table} WHERE seq IN "
            f"(SELECT seq FROM main.payments WHERE {_IN_TAKEN})"
        )
    _number(db, max(highest, numbers_end))
    db.execute(_CLASH)
    _copy_taken(db)
    db.execute("INSERT OR IGNORE INTO main.shifts SELECT * FROM old.shifts")
    db.execute("INSERT OR IGNORE INTO main.paid_for SELECT * FROM old.paid_for")
    db.execute("UPDATE main.whole SET count=max(count, (SELECT count FROM old.whole))")
    db.execute(_SHIFT)
    db.execute(_CORRECTIONS)
    db.execute(_CORRECTIONS_SHIFT)
    db.execute(_CORRECTED)
    db.execute(_ALARMS)
    db.execute(_CONTRADICTED, (_("A backup that was put back has another record of it."),))
    db.execute(_FOR_PERSON, (is_older,))
    unknown = max(0, highest - numbers_end)
    return Outlook(unsure(db), lost, carried_over, unknown, since_ms or None, whole=not is_older)


def leave_to_person(db: sqlite3.Connection, highest: int) -> Outlook:
    """What a backup alone comes to: whatever is open in it is for a person."""
    db.execute("UPDATE main.payments SET for_person=1 WHERE closed_ms IS NULL")
    since_ms = _one(db, "SELECT max(updated_ms) FROM main.payments")
    return Outlook(unsure(db), (), 0, max(0, highest - last_number(db, "main")), since_ms)


def last_number(db: sqlite3.Connection, schema: str) -> int:
    """The highest number that a payment was given in a journal; 0 for none."""
    latest = _one(db, f"SELECT max(seq) FROM {schema}.payments")
    given = _one(db, f"SELECT max(seq) FROM {schema}.sqlite_sequence WHERE name='payments'")
    return max(latest or 0, given or 0)


def unsure(db: sqlite3.Connection) -> tuple[Unsure, ...]:
    """The open payments that are for a person."""
    rows = db.execute(
        f"SELECT {_UNSURE} FROM main.payments WHERE closed_ms IS NULL AND for_person ORDER BY seq"
    )
    return tuple(Unsure(*row) for row in rows)


def _one(db: sqlite3.Connection, select: str) -> int:
    """The one number that a question has for an answer; None is passed on."""
    (found,) = db.execute(select).fetchone()
    return found  # type: ignore[no-any-return]  # as SQLite keeps it


def _since(db: sqlite3.Connection) -> int:
    return _one(db, "SELECT max(updated_ms) FROM old.payments")


def _refuse_other_shifts(db: sqlite3.Connection) -> None:
    if db.execute(
        """SELECT 1 FROM main.shifts AS a JOIN old.shifts AS b USING (gateway, app_key, number)
           WHERE a.hash != b.hash LIMIT 1"""
    ).fetchone():
        raise UsageError(
            "other_shift",
            _("A closed shift of the same number differs in the backup."),
            _("Journals of which each has closed shifts cannot become one."),
        )


def _drop_unsound(db: sqlite3.Connection) -> tuple[Unsure, ...]:
    """Make room for the backup's rows in place of damaged ones; those that it has not are lost."""
    broken = [
        row[0]
        for row in db.execute(f"SELECT {CHECKED_COLUMNS} FROM main.payments")
        if trusted(row) is None
    ]
    lost = []
    for number in broken:
        row = db.execute(f"SELECT {_UNSURE} FROM main.payments WHERE seq=?", (number,)).fetchone()
        if not db.execute("SELECT 1 FROM old.payments WHERE request_id=?", row[:1]).fetchone():
            lost.append(Unsure(*row))
    miscounted = [
        number
        for (number,) in db.execute(
            f"{_MISCOUNTED} AND request_id IN (SELECT request_id FROM old.payments)"
        )
    ]
    for number in {*broken, *miscounted}:
        for table in (*_HANGING, "payments"):
            db.execute(f"DELETE FROM main.{table} WHERE seq=?", (number,))
    for table in _HANGING:  # what no payment owns
        db.execute(f"DELETE FROM main.{table} WHERE seq NOT IN (SELECT seq FROM main.payments)")
    return tuple(lost)


def _number(db: sqlite3.Connection, above: int) -> None:
    """Say which number each taken payment gets: its own, unless another payment has that."""
    if not db.execute("SELECT 1 FROM main.payments JOIN taken USING (seq) LIMIT 1").fetchone():
        db.execute("CREATE TEMP TABLE numbers AS SELECT request_id, seq FROM taken")
    else:
        db.execute(_NUMBERED_ANEW, (above,))
    db.execute("CREATE UNIQUE INDEX temp.by_request ON numbers (request_id)")
    for table in _HANGING:
        db.execute(
            f"""UPDATE main.{table} SET seq=(SELECT n.seq FROM main.payments AS p
                  JOIN numbers AS n USING (request_id) WHERE p.seq={table}.seq)
                WHERE seq IN (SELECT seq FROM main.payments
                  WHERE request_id IN (SELECT request_id FROM numbers))"""
        )
    db.execute(
        """UPDATE main.payments SET seq=(SELECT n.seq FROM numbers AS n
             WHERE n.request_id=payments.request_id)
           WHERE request_id IN (SELECT request_id FROM numbers)"""
    )


def _copy_taken(db: sqlite3.Connection) -> None:
    for table in ("payments", *_HANGING):
        names = [name for _i, name, *_rest in db.execute(f"PRAGMA main.table_info({table})")]
        values = ", ".join(name for name in names if name not in ("seq", "id"))
        chosen = ", ".join(f"old.{table}.{name}" for name in values.split(", "))
        owner = "" if table == "payments" else f"JOIN old.payments ON old.payments.seq={table}.seq"
        db.execute(
            f"""INSERT INTO main.{table} (seq, {values}) SELECT n.seq, {chosen}
                FROM old.{table} {owner}
                JOIN taken AS t ON t.request_id=old.payments.request_id
                JOIN numbers AS n ON n.request_id=t.request_id
                ORDER BY n.seq"""
        )
