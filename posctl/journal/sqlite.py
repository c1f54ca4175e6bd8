"""The journal on one machine: SQLite in WAL mode, every commit synced.

A process that sends a payment holds a lock on one byte of a second file, at the payment's number:
the system drops it when the process dies, however it dies, so a dead till blocks nobody and a
process id that comes round again deceives nobody. That file also tells whether the journal is the
one, whole and the latest (`companion.py`), which is looked at in every transaction.

Traps met here: `docs/protocol.md` and SQLite's own pages on WAL, secure_delete and file creation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from posctl.journal import Ahead, T, not_begun
from posctl.journal.companion import Companion, Mark, is_mounted_alone, machine
from posctl.journal.rows import (
    CORRECTIONS,
    LATEST_SHIFT,
    MANY_NAMED,
    OF_CHECKOUT,
    OF_MERCHANT,
    OF_SHIFTS,
    OPEN_MERCHANTS,
    PAID_MERCHANTS,
    PAID_WORD,
    clauses_of,
    correction_clauses,
    correction_of,
    is_elsewhere,
    named_merchant,
    open_of,
    paid_of,
    paid_unsealed,
    spellings,
    standing_of,
    try_of,
)
from posctl.journal.sqlite_file import (
    BUSY_S,
    CHECKED_COLUMNS,
    LAST_SEQ,
    LATEST,
    check_ours,
    companion_gone,
    connect,
    count_beside,
    create_file,
    damaged,
    drop_draft,
    highest_number,
    identity,
    is_begun,
    linked,
    mounted,
    notes_of,
    own_companion,
    refuse_unless_whole,
    row_crc,
    told_as_journal_error,
    trusted,
    unguarded,
    whole_of,
)
from posctl.money.codes import masked
from posctl.money.outcome import NEW, Event, Standing, begin_try, corrected
from posctl.money.record import (
    QUARTER_MS,
    Alarm,
    Cell,
    Checkout,
    Correction,
    Filter,
    Merchant,
    NewPayment,
    OpenOf,
    PaidOf,
    Payment,
    Shift,
    Try,
    TryEnd,
    Verdict,
    Who,
)


class SqliteJournal:
    """`posctl.journal.Journal` and `Transaction` in one: one connection, used by one thread."""

    _columns = CHECKED_COLUMNS

    def __init__(self, path: Path, *, begin: bool = True, note: Path | None = None) -> None:
        """Open the journal at `path`, making it when there is none, if `begin`; `note` is where
        this machine keeps, apart from it, how far it has come. Raises JournalError.
        """
        self._path = path
        self._beside: list[Companion] = []  # `.held`, and the note
        self._held: set[int] = set()
        self._here = machine()
        self._seen = 0  # how far this process knows the journal to have come
        # Of the transaction that runs: the latest number that it gives, what it begins and closes.
        self._newest = self._grown = 0
        with told_as_journal_error(path):
            # Before looking: another process may make the journal, and count, in between.
            is_known = bool(highest_number(path) or count_beside(path, note))
            if not is_begun(path):
                if is_known:
                    raise companion_gone(path)
                if not begin:
                    raise not_begun(path)
                create_file(path)
            if is_mounted_alone(path):
                raise mounted(path)
            self._identity = identity(path)
            self._db = connect(path)
            try:
                check_ours(self._db, path)
                self._beside.append(own_companion(self._db, path))
                if note is not None:
                    self._beside += notes_of(self._db, note)
                self._id = whole_of(self._db).id
                self._seen = self._refuse_unless_whole()
            except BaseException:
                self.close()
                raise

    # ── transactions ─────────────────────────────────────────────────────────────────────────

    def transact(self, work: Callable[[SqliteJournal], T]) -> T:
        # IMMEDIATE: a deferred transaction that turns into a writer fails at once when busy.
        with told_as_journal_error(self._path):
            self._db.execute("BEGIN IMMEDIATE")
            self._newest = self._grown = 0
            before = frozenset(self._held)
            try:
                count = self._refuse_unless_whole()
                done = work(self)
                if self._grown:
                    count += self._grown
                    self._db.execute(
                        "UPDATE whole SET count=?, machine=coalesce(machine, ?)",
                        (count, self._here),
                    )
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                for number in self._held - before:  # the row may be gone, its number taken again
                    self._let_go_byte(number)
                raise
            # Deleted, swapped or emptied under us: what we wrote went to a file nobody will read.
            if identity(self._path) != self._identity:
                raise OSError("replaced")
            self._seen = count
            if self._grown:
                self._tell_beside(count)
            return done

    def ahead(self, _what: Ahead) -> None:
        """Nothing: the file is at hand."""

    def code_key(self) -> bytes:
        (key,) = self._db.execute("SELECT code_key FROM whole").fetchone()
        return str(key).encode()

    def with_code(self, code_hash: str) -> list[Payment]:
        return list(self._select("WHERE code_hash=?", (code_hash,)))

    def _refuse_unless_whole(self) -> int:
        """How far the journal has come. Raises JournalError unless it is the one, whole and the
        latest.
        """
        found = self._path.lstat()
        if (found.st_dev, found.st_ino) != self._identity[:2]:
            raise OSError("replaced")
        if found.st_nlink > 1 and not drop_draft(self._path, found):
            raise linked(self._path)
        if not self._beside[0].is_in_place():
            raise unguarded(self._path)
        # Before the journal: outside a transaction others go on counting meanwhile.
        marks = [companion.read() for companion in self._beside]
        if marks[0] is None:
            raise unguarded(self._path)
        whole = whole_of(self._db)
        refuse_unless_whole(self._path, whole, (*marks, Mark(self._id, self._seen)), self._here)
        return whole.reached

    def _tell_beside(self, count: int) -> None:
        """Where it fails, the next one that is told makes up for it."""
        mark = Mark(self._id, count, self._newest)
        for companion in self._beside:
            with suppress(OSError):
                companion.raise_to(mark)

    def insert(self, new: NewPayment) -> Payment:
        if new.code_hash is not None:
            self._db.execute(
                "UPDATE payments SET code_hash=NULL WHERE code_hash=? AND closed_ms IS NOT NULL",
                (new.code_hash,),
            )
        inserted = self._db.execute(
            """INSERT INTO payments (request_id, profile, live, gateway, app_key, shop_id,
                 checkout_id, order_id, operator_id, machine_id, pay_channel, pay_fee,
                 pay_request, state, created_ms, updated_ms, merchant, own_id, code_hash, crc)
               VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)""",
            (
                new.request_id,
                new.profile,
                new.live,
                new.gateway,
                new.app_key,
                new.checkout.shop_id,
                new.checkout.checkout_id,
                new.order_id,
                new.operator_id,
                new.machine_id,
                new.pay_channel,
                new.pay_fee,
                new.pay_request,
                NEW.state,
                new.created_ms,
                new.created_ms,
                named_merchant(new),
                new.own_id,
                new.code_hash,
                row_crc(new),
            ),
        )
        if new.live:
            self._db.execute(
                """INSERT INTO paid_for VALUES (?,?)
                   ON CONFLICT (profile) DO UPDATE SET merchant=excluded.merchant
                   WHERE merchant != excluded.merchant""",
                (new.profile, new.checkout.merchant_name),
            )
        self._newest = inserted.lastrowid or 0
        self._grown += 1
        return self._reload(new.request_id)

    def hold(self, payment: Payment) -> bool:
        return self._hold_byte(payment.seq)

    def hold_sweep(self) -> bool:
        with told_as_journal_error(self._path):
            return self._hold_byte(0)  # payments count from 1

    def _hold_byte(self, offset: int) -> bool:
        if offset not in self._held:
            if not self._beside[0].lock(offset):
                return False
            self._held.add(offset)
        return True

    def let_go(self, *payments: Payment) -> None:
        for payment in payments:
            self._let_go_byte(payment.seq)

    def _let_go_byte(self, offset: int) -> None:
        if offset in self._held:
            self._beside[0].unlock(offset)
            self._held.discard(offset)

    def start_try(self, payment: Payment, who: Who, now_ms: int) -> Payment:
        if payment.seq not in self._held:
            raise AssertionError("start_try of a payment that this process does not hold")
        standing = begin_try(payment.standing)
        tries = payment.tries + 1
        self._db.execute(
            """INSERT INTO tries (seq, n, kind, started_ms, host, pid, machine_id, operator_id)
               VALUES (?,?,'pay',?,?,?,?,?)""",
            (payment.seq, tries, now_ms, *who),
        )
        self._db.execute(
            "UPDATE payments SET state=?, doubt=?, tries=?, updated_ms=?, told=0 WHERE seq=?",
            (standing.state, standing.doubt, tries, now_ms, payment.seq),
        )
        # What was just written, without reading it again: a sweep does this for thousands.
        return payment._replace(standing=standing, tries=tries, updated_ms=now_ms, told=False)

    def end_try(self, payment: Payment, end: TryEnd) -> None:
        self._db.execute(
            """UPDATE tries SET event=?, finished_ms=?, http_status=?, code=?, sub_code=?,
                 message=?, raw=? WHERE seq=? AND n=?""",
            (*end, payment.seq, payment.tries),
        )

    def finish_try(
        self,
        payment: Payment,
        end: TryEnd,
        standing: Standing,
        verdict: Verdict,
        warnings: Sequence[str],
    ) -> Payment:
        self.end_try(payment, end)
        settled = self._settle(
            payment,
            standing,
            end.finished_ms,
            """result_status=?, remaining_fee=?, current_pay_fee=?, current_payment_channel=?,
               payment_order_id=?, channel_order_id=?, result_code=?, result_message=?,
               trace_id=?, warnings=?,""",
            (*verdict, json.dumps(warnings) if warnings else None),
        )
        return settled._replace(verdict=verdict, warnings=tuple(warnings))

    def resolve(
        self, payment: Payment, standing: Standing, by: str, note: str, now_ms: int
    ) -> Payment:
        settled = self._settle(
            payment, standing, now_ms, "resolved_by=?, resolved_note=?, told=1,", (by, note)
        )
        return settled._replace(resolved_by=by, resolved_note=note, told=True)

    def correct(self, payment: Payment, by: str, note: str, now_ms: int) -> Payment:
        standing = corrected(payment.standing)
        changed = self._db.execute(
            """UPDATE payments SET corrected=?, updated_ms=?
               WHERE seq=? AND state='resolved' AND coalesce(corrected, paid)=?""",
            (standing.paid, now_ms, payment.seq, payment.standing.paid),
        )
        if changed.rowcount != 1:
            raise AssertionError("a correction of what was read in another transaction")
        self._db.execute(
            "INSERT INTO corrections (seq, at_ms, word, by_whom, note) VALUES (?,?,?,?,?)",
            (payment.seq, now_ms, PAID_WORD[bool(standing.paid)], by, note),
        )
        self._grown += 1
        return self._reload(payment.request_id)

    def settle(self, payment: Payment, standing: Standing, now_ms: int) -> Payment:
        return self._settle(payment, standing, now_ms)

    def _settle(
        self,
        payment: Payment,
        standing: Standing,
        now_ms: int,
        more: str = "",
        values: Sequence[Any] = (),
    ) -> Payment:
        closed_ms = None if standing.open else now_ms
        settled = payment._replace(
            standing=standing,
            updated_ms=now_ms,
            closed_ms=closed_ms,
            pay_request=payment.pay_request if standing.open else masked(payment.pay_request),
        )
        changed = self._db.execute(
            f"""UPDATE payments SET {more} state=?, doubt=?, paid=?, updated_ms=?, closed_ms=?,
                  pay_request=?, crc=?, code_hash=CASE WHEN ? THEN code_hash END
                WHERE seq=? AND closed_ms IS NULL""",
            (
                *(*values, *standing, now_ms, closed_ms),
                *(settled.pay_request, row_crc(settled), standing.paid is not False, payment.seq),
            ),
        )
        if changed.rowcount != 1:
            raise AssertionError("a closed payment never changes")
        self._grown += not standing.open
        return settled

    def add_status(self, payment: Payment, who: Who, started_ms: int, end: TryEnd) -> None:
        self._db.execute(
            """INSERT INTO tries (seq, n, kind, started_ms, host, pid, machine_id, operator_id,
                 event, finished_ms, http_status, code, sub_code, message, raw)
               SELECT ?, -1 - count(*), 'status', ?,?,?,?,?, ?,?,?,?,?,?,?
               FROM tries WHERE seq=? AND n < 0""",
            (
                payment.seq,
                started_ms,
                *who,
                end.event,
                end.finished_ms,
                end.http_status,
                end.code,
                end.sub_code,
                end.message,
                end.raw,
                payment.seq,
            ),
        )

    def raise_alarm(self, payment: Payment, event: Event, text: str, now_ms: int) -> None:
        self._db.execute(
            "INSERT INTO alarms (seq, at_ms, event, text) VALUES (?,?,?,?)",
            (payment.seq, now_ms, event, text),
        )

    def alarmed(self, checkout: Checkout) -> Payment | None:
        rows = self._db.execute(
            f"""SELECT request_id FROM payments WHERE {OF_CHECKOUT}
                 AND seq IN (SELECT seq FROM alarms WHERE acknowledged_ms IS NULL)
               ORDER BY seq DESC LIMIT 1""",
            checkout,
        ).fetchall()
        return self.payment(rows[0][0]) if rows else None

    def voucher_elsewhere(self, checkout: Checkout, vouchers: Sequence[str]) -> bool:
        marks = ",".join("?" * len(vouchers))
        return any(
            is_elsewhere(payment, checkout)
            for column in ("payment_order_id", "channel_order_id")
            for payment in self._select(f"WHERE {column} IN ({marks})", vouchers)
        )

    def acknowledge(self, request_id: str, by: str, now_ms: int) -> int:
        return self._db.execute(
            """UPDATE alarms SET acknowledged_by=?, acknowledged_ms=?
               WHERE acknowledged_ms IS NULL
                 AND seq = (SELECT seq FROM payments WHERE request_id=?)""",
            (by, now_ms, request_id),
        ).rowcount

    def close_shift(self, merchant: Merchant, shift: Shift) -> None:
        self._db.execute(
            "INSERT INTO shifts VALUES (?,?,?,?,?)",
            (shift.chain, merchant.name, shift.number, shift.content, shift.hash),
        )
        self._db.execute(
            f"""UPDATE payments SET shift=?
               WHERE shift IS NULL AND closed_ms IS NOT NULL AND {OF_MERCHANT}""",
            (shift.number, *merchant),
        )
        self._db.execute(
            f"""UPDATE corrections SET in_shift=? WHERE in_shift IS NULL
               AND seq IN (SELECT seq FROM payments WHERE {OF_MERCHANT})""",
            (shift.number, *merchant),
        )
        self._grown += 1

    def last_merchant(self, profile: str) -> str | None:
        with told_as_journal_error(self._path):
            found = self._db.execute(
                "SELECT merchant FROM paid_for WHERE profile=?", (profile,)
            ).fetchone()
        if found is None:
            return None
        # The payment itself, while it is there: damage to its row is noticed.
        latest = next(self._select("WHERE profile=? ORDER BY seq DESC LIMIT 1", (profile,)), None)
        return latest.checkout.merchant_name if latest and latest.live else str(found[0])

    def count_print(self, payment: Payment, copy: str) -> int:
        (count,) = self._db.execute(
            """INSERT INTO prints VALUES (?,?,1)
               ON CONFLICT (seq, copy) DO UPDATE SET count=count+1 RETURNING count""",
            (payment.seq, copy),
        ).fetchone()
        return int(count)

    # ── outside transactions ─────────────────────────────────────────────────────────────────

    def mark_told(self, request_ids: Sequence[str], now_ms: int = 0) -> None:
        """Not synced: if the power fails now, the outcome is told once more, no harm done."""
        with self._unsynced():  # one commit for thousands
            self._db.executemany(
                "UPDATE payments SET told=1, updated_ms=max(updated_ms,?) WHERE request_id=?",
                ((now_ms, one) for one in request_ids),
            )

    def marks(self) -> dict[str, int]:
        with told_as_journal_error(self._path):
            return dict(self._db.execute("SELECT name, at_ms FROM marks").fetchall())

    def mark(self, names: Collection[str], now_ms: int, *, forget: Collection[str] = ()) -> None:
        """Not synced: if the power fails now, somebody hears of a payment twice."""
        with self._unsynced():
            self._db.executemany("DELETE FROM marks WHERE name=?", ((name,) for name in forget))
            self._db.executemany(
                "INSERT OR REPLACE INTO marks VALUES (?,?)", ((name, now_ms) for name in names)
            )

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        with told_as_journal_error(self._path):
            self._db.execute("PRAGMA synchronous=NORMAL")
            try:
                self._db.execute("BEGIN")
                yield
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._db.execute("PRAGMA synchronous=FULL")

    def size_bytes(self) -> int:
        files = (self._path, Path(f"{self._path}-wal"))
        with told_as_journal_error(self._path):
            return sum(file.stat().st_size for file in files if file.exists())

    def forget_codes(self) -> bool:
        """secure_delete zeroes the page; the `-wal` keeps old pages until it is truncated.

        While another connection reads, SQLite puts that off (False); the next payment, or the last
        connection to close, catches up.
        """
        with told_as_journal_error(self._path):
            self._db.execute("PRAGMA busy_timeout=0")
            try:
                (put_off, *_pages) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._db.execute(f"PRAGMA busy_timeout={BUSY_S * 1000:.0f}")
        return not put_off

    def payment(self, request_id: str) -> Payment | None:
        found = list(self._select("WHERE request_id=?", (request_id,)))
        return found[0] if found else None

    def payments(self, request_ids: Collection[str]) -> dict[str, Payment]:
        found = ((one, self.payment(one)) for one in request_ids)
        return {request_id: payment for request_id, payment in found if payment is not None}

    def named(self, name: str) -> list[Payment]:
        found = list(self._select("WHERE request_id IN (?,?)", spellings(name)))
        if found:
            return found
        # No character of a request_id stands behind "~".
        ranges = [edge for one in spellings(name) for edge in (one, f"{one}~")]
        return list(
            self._select(
                f"""WHERE seq IN (SELECT seq FROM payments WHERE payment_order_id=?
                    UNION SELECT seq FROM payments WHERE channel_order_id=?
                    UNION SELECT seq FROM payments WHERE request_id BETWEEN ? AND ?
                    UNION SELECT seq FROM payments WHERE request_id BETWEEN ? AND ?)
                    ORDER BY seq LIMIT {MANY_NAMED}""",
                (name, name, *ranges),
            )
        )

    def payments_of(self, checkout: Checkout) -> list[Payment]:
        # The merchant is compared here: a row whose merchant was damaged must be met, not missed.
        named = (checkout.checkout_id, checkout.shop_id)
        # The latest rows without the index, too: were it damaged, they would be paid again. First,
        # so that a row that comes between the two is no row that the index does not know.
        with told_as_journal_error(self._path):
            latest = self._db.execute(
                f"""SELECT seq FROM payments
                    WHERE +checkout_id=? AND +shop_id=? AND seq > {LAST_SEQ} - {LATEST}""",
                named,
            ).fetchall()
        found = list(self._select("WHERE checkout_id=? AND shop_id=? ORDER BY seq", named))
        if not {payment.seq for payment in found}.issuperset(seq for (seq,) in latest):
            raise damaged(self._path)
        return [payment for payment in found if payment.checkout == checkout]

    def last_try(self, payment: Payment) -> Try | None:
        rows = self._tries("WHERE seq=? AND n=?", (payment.seq, payment.tries))
        return rows[0] if rows else None

    def tries_of(self, payment: Payment) -> list[Try]:
        return self._tries("WHERE seq=? ORDER BY started_ms, n", (payment.seq,))

    def open_payments(self, merchant: Merchant) -> Iterator[Payment]:
        return self._select(f"WHERE closed_ms IS NULL AND {OF_MERCHANT} ORDER BY seq", merchant)

    def open_since(self, merchant: Merchant) -> tuple[int, int] | None:
        with told_as_journal_error(self._path):
            count, since_ms = self._db.execute(
                f"""SELECT count(*), min(created_ms) FROM payments INDEXED BY open_by_age
                   WHERE closed_ms IS NULL AND {OF_MERCHANT}""",
                merchant,
            ).fetchone()
        return (count, since_ms) if count else None

    def history(self, which: Filter) -> Iterator[Payment]:
        clauses, values = clauses_of(which)
        return self._select(f"WHERE {clauses} ORDER BY created_ms DESC, seq DESC", values)

    def sums(self, which: Filter) -> list[Cell]:
        clauses, values = clauses_of(which)
        with told_as_journal_error(self._path):
            rows = self._db.execute(
                f"""SELECT shop_id, operator_id, machine_id, pay_channel, created_ms / {QUARTER_MS},
                      state, doubt, paid, count(*),
                      sum(CASE WHEN paid AND result_status=1
                        THEN coalesce(current_pay_fee, pay_fee) ELSE pay_fee END)
                    FROM payments WHERE {clauses} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8""",
                values,
            ).fetchall()
        return [
            Cell(shop, operator, till, channel, quarter, standing_of(state, doubt, paid), n, fee)
            for shop, operator, till, channel, quarter, state, doubt, paid, n, fee in rows
        ]

    def corrections(self, which: Filter) -> list[Correction]:
        clauses, values = correction_clauses(which)
        with told_as_journal_error(self._path):
            rows = self._db.execute(CORRECTIONS.format(clauses=clauses), values).fetchall()
        return [correction_of(row) for row in rows]

    def shift(self, merchant: Merchant, number: int | None = None) -> Shift | None:
        if number is None:
            found = self._shifts(LATEST_SHIFT, (merchant.name,))
        else:
            found = self._shifts(f"AND number=? {LATEST_SHIFT}", (merchant.name, number))
        return found[0] if found else None

    def shifts(self, merchant: Merchant) -> list[Shift]:
        return self._shifts("ORDER BY number, gateway", (merchant.name,))

    def alarms(self, merchant: Merchant) -> list[Alarm]:
        with told_as_journal_error(self._path):
            rows = self._db.execute(
                f"""SELECT id, request_id, at_ms, event, text, acknowledged_by, acknowledged_ms
                   FROM alarms JOIN payments USING (seq)
                   WHERE acknowledged_ms IS NULL AND {OF_MERCHANT} ORDER BY id""",
                merchant,
            ).fetchall()
        return [Alarm(i, rid, at, Event(event), *rest) for i, rid, at, event, *rest in rows]

    def open_merchants(self) -> list[OpenOf]:
        with told_as_journal_error(self._path):
            rows = self._db.execute(
                OPEN_MERCHANTS.format(indexed="INDEXED BY open_by_age")
            ).fetchall()
        return list(open_of(rows))

    def paid_merchants(self, since_ms: int | None, until_ms: int | None) -> list[PaidOf]:
        clauses, values = clauses_of(paid_unsealed(since_ms, until_ms))
        # Where no shift was ever closed, a day is far less than all that no shift holds.
        index = "by_shift" if (since_ms, until_ms) == (None, None) else "by_created"
        with told_as_journal_error(self._path):
            rows = self._db.execute(
                PAID_MERCHANTS.format(indexed=f"INDEXED BY {index}", clauses=clauses), values
            ).fetchall()
        return paid_of(rows)

    def gateways(self, merchant: Merchant) -> list[str]:
        found = {shift.chain for shift in self.shifts(merchant)} - {""}
        clashing = self._select(f"WHERE clash AND closed_ms IS NULL AND {OF_MERCHANT}", merchant)
        return sorted(found | {payment.gateway for payment in clashing})

    def close(self) -> None:
        for number in tuple(self._held):
            self._let_go_byte(number)
        while self._beside:
            self._beside.pop().close()
        self._db.close()

    # ── rows ─────────────────────────────────────────────────────────────────────────────────

    def _reload(self, request_id: str) -> Payment:
        payment = self.payment(request_id)
        if payment is None:
            raise damaged(self._path)  # an index that does not know its rows
        return payment

    def _select(self, where: str, values: Sequence[Any]) -> Iterator[Payment]:
        with told_as_journal_error(self._path):
            rows = self._db.execute(f"SELECT {self._columns} FROM payments {where}", values)
            for row in rows:
                payment = trusted(row)
                if payment is None:
                    raise damaged(self._path)
                yield payment

    def _shifts(self, rest: str, values: Sequence[Any]) -> list[Shift]:
        with told_as_journal_error(self._path):
            rows = self._db.execute(
                f"SELECT number, content, hash, gateway FROM shifts WHERE {OF_SHIFTS} {rest}",
                values,
            ).fetchall()
        return [Shift(*row) for row in rows]

    def _tries(self, where: str, values: Sequence[Any]) -> list[Try]:
        with told_as_journal_error(self._path):
            rows = self._db.execute(
                f"""SELECT n, kind, started_ms, host, pid, machine_id, operator_id, event,
                      finished_ms, http_status, code, sub_code, message, raw FROM tries {where}""",
                values,
            ).fetchall()
        try:
            return [try_of(row) for row in rows]
        except ValueError:
            raise damaged(self._path) from None
