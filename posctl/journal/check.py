"""Whether a journal is sound, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from posctl.journal.companion import Mark, mark_at
from posctl.journal.sqlite_file import (
    CHECKED_COLUMNS,
    held_path,
    highest_number,
    opened,
    trusted,
    whole_of,
)
from posctl.messages import _
from posctl.money.codes import codes_of, mask

MAX_FINDINGS = 20


class Finding(NamedTuple):
    """Something wrong in a journal: a stable word, and a sentence."""

    code: str
    text: str


class Examined(NamedTuple):
    """What is in a journal. `latest_ms` is its latest change; None when it holds no payment."""

    schema: int
    payments: int
    open: int
    tries: int
    latest_ms: int | None
    findings: tuple[Finding, ...]


def examine(path: Path) -> Examined:
    """Read all of it, as it stands at one moment. Raises JournalError when it cannot be opened."""
    with opened(path) as db:
        highest, mark = highest_number(path), mark_at(held_path(path))  # before: tills go on
        db.execute("BEGIN")  # one moment, however long it takes
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        findings = list(islice(_findings(db, highest, mark), MAX_FINDINGS))
        try:
            counts = db.execute(
                """SELECT count(*), count(*) FILTER (WHERE closed_ms IS NULL), max(updated_ms),
                     (SELECT count(*) FROM tries) FROM payments"""
            ).fetchone()
        except sqlite3.DatabaseError:  # a finding by now
            counts = (0, 0, None, 0)
    payments, still_open, latest_ms, tries = counts
    return Examined(schema, payments, still_open, tries, latest_ms, tuple(findings))


def _findings(db: sqlite3.Connection, highest: int, mark: Mark | None) -> Iterator[Finding]:
    try:
        yield from _damages(db)
        yield from _contradictions(db)
        (last,) = db.execute("SELECT max(seq) FROM payments").fetchone()
        whole = whole_of(db)
    except sqlite3.DatabaseError as error:
        yield Finding("damaged", _("SQLite cannot read it: {why}").format(why=error))
        return
    if mark is not None and mark.id != whole.id:
        yield Finding("other", _("the file beside it belongs to another journal"))
    elif highest > max(last or 0, whole.last) or (mark and mark.reached > whole.reached):
        yield Finding("older", _("payments were recorded here that it does not know"))


def _damages(db: sqlite3.Connection) -> Iterator[Finding]:
    """What SQLite itself finds."""
    for (line,) in db.execute(f"PRAGMA integrity_check({MAX_FINDINGS})"):
        if line != "ok":
            yield Finding("damaged", _("SQLite finds: {what}").format(what=line))
    for table, *_rest in db.execute("PRAGMA foreign_key_check"):
        yield Finding("orphan", _("a row of {table} belongs to no payment").format(table=table))


def _contradictions(db: sqlite3.Connection) -> Iterator[Finding]:
    """What contradicts the promises of the journal."""
    for row in db.execute(f"SELECT {CHECKED_COLUMNS} FROM payments ORDER BY seq"):  # noqa: S608
        payment = trusted(row)
        if payment is None:
            what = _("payment number {number} contradicts itself")
            yield Finding("contradiction", what.format(number=row[0]))
        elif not payment.open and any(code != mask(code) for code in codes_of(payment.pay_request)):
            what = _("the closed payment {request_id} still holds its payment code")
            yield Finding("code_kept", what.format(request_id=payment.request_id))
    for (request_id,) in db.execute(
        """SELECT request_id FROM payments WHERE corrected IS NOT (
             SELECT word='paid' FROM corrections AS c WHERE c.seq=payments.seq
             ORDER BY id DESC LIMIT 1) ORDER BY seq"""
    ):
        what = _("payment {request_id} stands otherwise than its corrections say")
        yield Finding("corrected", what.format(request_id=request_id))
    for (checkout_id,) in db.execute(
        """SELECT checkout_id FROM payments WHERE closed_ms IS NULL
           AND clash IS NULL
           GROUP BY live, coalesce(merchant, app_key), shop_id, checkout_id HAVING count(*) > 1"""
    ):
        what = _("checkout {checkout_id} has more than one open payment")
        yield Finding("two_open", what.format(checkout_id=checkout_id))
    for request_id, tries, found in db.execute(
        """SELECT request_id, tries, (SELECT count(*) FROM tries AS t
             WHERE t.seq=payments.seq AND n BETWEEN 1 AND payments.tries) AS found
           FROM payments WHERE found != tries
              OR EXISTS (SELECT 1 FROM tries AS t WHERE t.seq=payments.seq AND n > payments.tries)
           ORDER BY seq"""
    ):
        what = _("payment {request_id} should have {tries} tries, but {found} were found")
        yield Finding("tries", what.format(request_id=request_id, tries=tries, found=found))
