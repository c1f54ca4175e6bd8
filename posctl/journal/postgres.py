"""The journal that many tills share: PostgreSQL, by the one connection of `postgres_link.py`.

Transactions are REPEATABLE READ: all that a transaction reads is of one moment. What it decides by
that is guarded where it writes, so that it is right under every stronger level, too, and needs no
lock that outlives it:

- a new payment is number `nth` of its checkout, counted from what was read; a unique index refuses
  the second of that number, even when the first is closed again by then;
- a payment code is at one row; a unique index refuses the second till that found it at none;
- a row changes only if its state and its tries are still those that were read;
- who sends a payment has a row in `claims`, with a lease by the database's clock. A thread renews
  it while the process lives. Who lost it, being cut off or asleep for longer, finds at the record
  that the payment's try is not his any more, and changes nothing.

Whatever clashes runs again from its first read: `Journal.transact` asks for work that can.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from posctl.errors import ConfigError, JournalError
from posctl.hint import Say, Type
from posctl.journal import Ahead, T
from posctl.journal.postgres_known import Known
from posctl.journal.postgres_link import CORRECTING, Gathered, Later, Link, Stale, gathered, plain
from posctl.journal.postgres_whole import NEXT_COUNT, Note
from posctl.journal.rows import (
    COLUMNS,
    CORRECTIONS,
    LATEST_SHIFT,
    MANY_NAMED,
    MERCHANT,
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
    sound_payment,
    spellings,
    standing_of,
    try_of,
)
from posctl.messages import _
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

MAX_TRY_S = 300.0  # so long may one HTTP try take, and a dead till block its payment
LEASE_MARGIN_S = 30.0  # for all that a try does besides HTTP
FIRST_PAGE, NEXT_PAGE = 64, 1000  # rows of a list that are fetched at once
_SWEEP = 0  # payments count from 1


class PostgresJournal:
    """`posctl.journal.Journal` and `Transaction` in one, used by one thread."""

    def __init__(
        self, url: str, try_s: float, *, begin: bool = True, note: Path | None = None
    ) -> None:
        """Open the journal at `url`; when it has no tables yet, make them if `begin`.

        `try_s` is the longest that one HTTP try takes, in seconds; `note` is where this till keeps
        how far it knows the journal to have come. Raises JournalError, and ConfigError for a URL or
        a timeout that cannot be used.
        """
        if try_s > MAX_TRY_S:
            raise ConfigError(
                "timeout",
                _("A shared journal allows a total timeout of {most:.0f} s at most.").format(
                    most=MAX_TRY_S
                ),
                _("A till that dies would block its payment for that long."),
            )
        self._link = Link(url)
        self._me = os.urandom(16).hex()
        self._lease_s = try_s + LEASE_MARGIN_S
        self._held: set[int] = set()
        self._renewing: threading.Thread | None = None
        self._leaving = threading.Event()
        self._my_try: dict[int, int] = {}
        # Of the transaction that runs: what it knows, what it claims and lets go.
        self._known = Known()
        self._claimed: set[int] = set()
        self._let_go: set[int] = set()
        self._inserted: set[int] = set()
        self._numbers: dict[int, Payment] = {}  # that it was given, and what they stand for
        self._paid_for = "", ""  # the profile and merchant of the latest payment
        self._paying_for: tuple[str, str] | None = None  # of the transaction that runs
        try:
            self._link.bring_up_to_date(begin=begin)
            self._note = Note(self._link, note)
        except BaseException:
            self._link.close()
            raise

    # ── transactions ─────────────────────────────────────────────────────────────────────────

    def transact(self, work: Callable[[PostgresJournal], T]) -> T:
        def step() -> T:
            self._claimed, self._let_go, self._numbers = set(), set(), {}
            self._known, self._inserted, self._paying_for = Known(), set(), None
            self._note.refuse_unless_whole()
            done = work(self)
            if not self._note.is_asked:  # nothing was read
                self._link.wait()
            if unsent := self._known.claimed - self._claimed - self._held:
                self._link.later(*self._unclaimed(unsent))
            if self._claimed:  # before COMMIT: the server may take its time to acknowledge it
                self._go_on_renewing()
            return done

        done = self._link.transact(step, at_once=True)
        self._paid_for = self._paying_for or self._paid_for
        self._note.acknowledged(self._numbers)
        self._held = (self._held | self._claimed) - self._let_go
        for seq in self._let_go:
            self._my_try.pop(seq, None)
        self._claimed, self._let_go = set(), set()
        if self._held:
            self._go_on_renewing()
        return done

    def ahead(self, what: Ahead) -> None:
        """All in one message, of what is not known yet. What is claimed, nobody waits for: sweepers
        that wait for each other's rows, each in its order, deadlock.
        """
        known = self._known
        asked: list[Later] = []
        if what.to_send and (ids := [one for one in what.request_ids if one not in known.sought]):
            known.sought.update(ids)
            claim = _CLAIM_FREE.format(wait="SKIP LOCKED")
            asked.append(Later(claim, (ids, self._me, *self._claimant()), known.has_claimed))
        asked += self._unread(what)
        if (missing := what.new - len(known.numbers)) > 0:
            asked.append(Later(_NUMBERS, (missing,), known.has_numbers))
        if asked:
            for one in asked:
                self._link.later(*one)
            self._link.wait()

    def _unread(self, what: Ahead) -> Iterator[Later]:
        """What asks for the payments that are not known yet."""
        known = self._known
        ids = [one for one in what.request_ids if one not in known.by_id]
        vouchers = [one for one in what.vouchers if one not in known.by_voucher]
        if ids or vouchers:

            def with_ids(cursor: psycopg.Cursor[Any]) -> None:
                found = [self._sound(row) for row in cursor.fetchall()]
                known.has_ids(ids, found)
                known.has_vouchers(vouchers, found)

            yield Later(_NAMED_SO, (ids, vouchers, vouchers), with_ids)
        if checkouts := [one for one in what.checkouts if one not in known.by_checkout]:

            def of_checkouts(cursor: psycopg.Cursor[Any]) -> None:
                rows = [(self._sound(row), *row[-2:]) for row in cursor.fetchall()]
                known.has_checkouts(checkouts, rows)

            if len(checkouts) == 1:
                yield Later(_OF_ONE_CHECKOUT, checkouts[0], of_checkouts)
            else:
                columns = [list(column) for column in zip(*checkouts, strict=True)]
                yield Later(_OF_CHECKOUTS, columns, of_checkouts)
        if hashes := [one for one in what.code_hashes if one not in known.by_code]:

            def with_codes(cursor: psycopg.Cursor[Any]) -> None:
                known.has_codes(hashes, [(self._sound(row), row[-1]) for row in cursor.fetchall()])

            yield Later(_WITH_CODES, (hashes,), with_codes)

    def code_key(self) -> bytes:
        return self._note.code_key

    def with_code(self, code_hash: str) -> list[Payment]:
        self.ahead(Ahead(code_hashes=(code_hash,)))
        return list(self._known.by_code[code_hash])

    def insert(self, new: NewPayment) -> Payment:
        code_hashes = () if new.code_hash is None else (new.code_hash,)
        self.ahead(Ahead(checkouts=(new.checkout,), code_hashes=code_hashes, new=1))
        known = self._known
        if new.code_hash is not None and known.by_code[new.code_hash]:
            self._link.later(
                "UPDATE payments SET code_hash=NULL WHERE code_hash=%s AND closed_ms IS NOT NULL",
                (new.code_hash,),
            )
        nth = known.counted[new.checkout] + 1
        number = known.numbers.pop(0)
        said = [
            plain(value)
            for value in (
                *(new.request_id, new.profile, new.live, new.gateway, new.app_key),
                *(new.checkout.shop_id, new.checkout.checkout_id, new.order_id, new.operator_id),
                *(new.machine_id, new.pay_channel, new.pay_fee, new.pay_request),
            )
        ]
        merchant = plain(named_merchant(new))
        blank = (None,) * len(Verdict._fields)
        made = self._sound(
            (
                *(number, *said, NEW.state, NEW.doubt, NEW.paid, *blank, None, 0),
                *(new.created_ms, new.created_ms, None, False, None, None),
                *(merchant, new.own_id, None, None),
            )
        )
        self._link.later_row(
            _INSERT,
            (
                *(number, *said, nth, NEW.state, new.created_ms, new.created_ms, merchant),
                *(new.own_id, new.code_hash),
            ),
            lambda begun_count: self._numbers.update({begun_count: made}),
        )
        paid_for = new.profile, new.checkout.merchant_name
        if new.live and paid_for != (self._paying_for or self._paid_for):
            # Only when it changes: every till would wait for every other at this row.
            self._link.later(
                """INSERT INTO paid_for SELECT %s, %s WHERE NOT EXISTS
                     (SELECT 1 FROM paid_for WHERE profile=%s AND merchant=%s)
                   ON CONFLICT (profile) DO UPDATE SET merchant=excluded.merchant""",
                (*paid_for, *paid_for),
            )
        self._paying_for = paid_for
        known.has_inserted(made, new.code_hash)
        self._inserted.add(made.seq)
        return made

    def hold(self, payment: Payment) -> bool:
        if payment.seq in self._inserted:  # nobody else knows of it
            self._link.later_row(_CLAIM, (payment.seq, *self._claimant()))
        elif payment.request_id in self._known.sought:
            if payment.seq not in self._known.claimed:
                return False
        else:
            claimed = self._link.execute(
                _CLAIM_FREE.format(wait=""), ([payment.request_id], self._me, *self._claimant())
            )
            if claimed.rowcount != 1:
                return False
        self._claimed.add(payment.seq)
        return True

    def hold_sweep(self) -> bool:
        if _SWEEP not in self._held:
            claimed = self._link.execute(
                f"{_CLAIMS} VALUES (%s, %s, %s, %s, clock_timestamp() + {_LEASE}) {_UNLESS}",
                (_SWEEP, *self._claimant()),
            )
            if claimed.rowcount != 1:
                return False
            self._held.add(_SWEEP)
            self._go_on_renewing()
        return True

    def _claimant(self) -> tuple[str, str, int, float]:
        return self._me, socket.gethostname(), os.getpid(), self._lease_s

    def let_go(self, *payments: Payment) -> None:
        if held := self._held.intersection(payment.seq for payment in payments):
            self._held -= held
            for seq in held:
                self._my_try.pop(seq, None)
            with suppress(JournalError):  # the lease will end; an outcome waits to be told
                self._link.execute(*self._unclaimed(held))

    def _unclaimed(self, seqs: Collection[int]) -> tuple[str, Sequence[Any]]:
        return "DELETE FROM claims WHERE owner=%s AND seq = ANY(%s)", (self._me, list(seqs))

    def start_try(self, payment: Payment, who: Who, now_ms: int) -> Payment:
        if payment.seq not in self._held | self._claimed:
            raise AssertionError("start_try of a payment that this process does not hold")
        standing = begin_try(payment.standing)
        tries = payment.tries + 1
        self._link.later_row(
            _START, (*_as_read(payment), standing.state, standing.doubt, tries, now_ms, *who)
        )
        self._my_try[payment.seq] = tries
        begun = payment._replace(standing=standing, tries=tries, updated_ms=now_ms, told=False)
        self._known.has_written(begun)
        return begun

    def end_try(self, payment: Payment, end: TryEnd) -> None:
        n = self._my_try.get(payment.seq, payment.tries)
        self._link.later_row(_END, (payment.seq, n, *end))

    def finish_try(
        self,
        payment: Payment,
        end: TryEnd,
        standing: Standing,
        verdict: Verdict,
        warnings: Sequence[str],
    ) -> Payment:
        self.end_try(payment, end)
        n = self._my_try.get(payment.seq, payment.tries)
        # The lease ended and another process is at it: of what we know, only "paid" is final.
        if n != payment.tries and not standing.paid:
            return payment
        told = payment._replace(verdict=verdict, warnings=tuple(warnings))
        said = (*verdict, json.dumps(warnings) if warnings else None)
        return self._settle(told, standing, end.finished_ms, _FINISH, said)

    def resolve(
        self, payment: Payment, standing: Standing, by: str, note: str, now_ms: int
    ) -> Payment:
        told = payment._replace(resolved_by=by, resolved_note=note, told=True)
        return self._settle(told, standing, now_ms, _RESOLVE, (by, note, True))

    def correct(self, payment: Payment, by: str, note: str, now_ms: int) -> Payment:
        standing = corrected(payment.standing)
        row = self._link.execute(
            """UPDATE payments SET corrected=%s, updated_ms=%s
               WHERE seq=%s AND state='resolved' AND coalesce(corrected, paid)=%s RETURNING seq""",
            (standing.paid, now_ms, payment.seq, payment.standing.paid),
        ).fetchone()
        if row is None:
            raise Stale
        # The row keeps the number with which it was closed: another till looks for that.
        (number,) = self._one_row(
            f"""INSERT INTO corrections (id, seq, at_ms, word, by_whom, note)
                VALUES ({NEXT_COUNT},%s,%s,%s,%s,%s) RETURNING id""",
            (payment.seq, now_ms, PAID_WORD[bool(standing.paid)], by, note),
        )
        # An older posctl would take it as it was closed, and pay again what was paid.
        self._link.execute(
            f"UPDATE posctl_schema SET oldest={CORRECTING} WHERE oldest<{CORRECTING}"
        )
        (done,) = self._payments(f"SELECT {COLUMNS} FROM payments WHERE seq=%s", (payment.seq,))
        self._numbers[number] = done
        self._known.forget()
        return done

    def settle(self, payment: Payment, standing: Standing, now_ms: int) -> Payment:
        return self._settle(payment, standing, now_ms, _SETTLE, ())

    def _settle(
        self,
        payment: Payment,
        standing: Standing,
        now_ms: int,
        into: Gathered,
        more: Sequence[Any],
    ) -> Payment:
        """`payment` is as it was read but for `more`, the values of what else `into` writes."""
        if not payment.open:
            raise AssertionError("a closed payment never changes")
        closed_ms = None if standing.open else now_ms
        pay_request = payment.pay_request if standing.open else masked(payment.pay_request)
        settled = payment._replace(
            standing=standing, updated_ms=now_ms, closed_ms=closed_ms, pay_request=pay_request
        )

        def numbered(closed_count: int) -> None:
            if closed_ms is not None:
                self._numbers[closed_count] = settled

        self._link.later_row(
            into,
            (
                *(*_as_read(payment), *standing, now_ms, closed_ms, pay_request),
                *(standing.paid is not False, *more),
            ),
            numbered,
        )
        if closed_ms is not None and payment.seq in self._held:
            self._link.later_row(_UNCLAIM, (payment.seq, self._me))
            self._let_go.add(payment.seq)
        self._known.has_written(settled)
        return settled

    def add_status(self, payment: Payment, who: Who, started_ms: int, end: TryEnd) -> None:
        self._link.execute(
            """INSERT INTO tries (seq, n, kind, started_ms, host, pid, machine_id, operator_id,
                 event, finished_ms, http_status, code, sub_code, message, raw)
               SELECT %s::BIGINT, -1 - count(*), 'status', %s::BIGINT, %s, %s::BIGINT, %s, %s,
                 %s, %s::BIGINT, %s::BIGINT, %s, %s, %s, %s
               FROM tries WHERE seq=%s AND n < 0""",
            (payment.seq, started_ms, *who, *end, payment.seq),
        )

    def raise_alarm(self, payment: Payment, event: Event, text: str, now_ms: int) -> None:
        self._link.later(
            "INSERT INTO alarms (seq, at_ms, event, text) VALUES (%s,%s,%s,%s)",
            (payment.seq, now_ms, event, text),
        )
        self._known.forget()

    def alarmed(self, checkout: Checkout) -> Payment | None:
        self.ahead(Ahead(checkouts=(checkout,)))
        return self._known.alarmed[checkout]

    def acknowledge(self, request_id: str, by: str, now_ms: int) -> int:
        self._known.forget()
        return self._link.execute(
            """UPDATE alarms SET acknowledged_by=%s, acknowledged_ms=%s
               WHERE acknowledged_ms IS NULL
                 AND seq = (SELECT seq FROM payments WHERE request_id=%s)""",
            (by, now_ms, request_id),
        ).rowcount

    def voucher_elsewhere(self, checkout: Checkout, vouchers: Sequence[str]) -> bool:
        self.ahead(Ahead(vouchers=vouchers))
        known = [self._known.by_voucher[voucher] for voucher in vouchers]
        return any(is_elsewhere(one, checkout) for found in known for one in found.values())

    def close_shift(self, merchant: Merchant, shift: Shift) -> None:
        self._link.execute(
            "INSERT INTO shifts VALUES (%s,%s,%s,%s,%s)",
            (shift.chain, merchant.name, shift.number, shift.content, shift.hash),
        )
        with self._link.slowly():
            self._link.execute(
                f"""UPDATE payments SET shift=%s
                   WHERE shift IS NULL AND closed_ms IS NOT NULL AND {_OF_MERCHANT}""",
                (shift.number, *merchant),
            )
        self._link.execute(
            f"""UPDATE corrections SET in_shift=%s WHERE in_shift IS NULL
               AND seq IN (SELECT seq FROM payments WHERE {_OF_MERCHANT})""",
            (shift.number, *merchant),
        )

    def last_merchant(self, profile: str) -> str | None:
        found = self._link.execute(
            "SELECT merchant FROM paid_for WHERE profile=%s", (profile,)
        ).fetchone()
        return None if found is None else str(found[0])

    def count_print(self, payment: Payment, copy: str) -> int:
        (count,) = self._one_row(
            """INSERT INTO prints VALUES (%s,%s,1)
               ON CONFLICT (seq, copy) DO UPDATE SET count=prints.count+1 RETURNING count""",
            (payment.seq, copy),
        )
        return int(count)

    # ── outside transactions ─────────────────────────────────────────────────────────────────

    def mark_told(self, request_ids: Sequence[str], now_ms: int = 0) -> None:
        self._link.execute(
            """UPDATE payments SET told=TRUE, updated_ms=greatest(updated_ms, %s)
               WHERE request_id = ANY(%s) AND NOT told""",
            (now_ms, list(request_ids)),
        )

    def marks(self) -> dict[str, int]:
        return dict(self._link.execute("SELECT name, at_ms FROM marks").fetchall())

    def mark(self, names: Collection[str], now_ms: int, *, forget: Collection[str] = ()) -> None:
        self._link.execute("DELETE FROM marks WHERE name = ANY(%s)", (list(forget),))
        self._link.execute(
            """INSERT INTO marks SELECT unnest(%s::TEXT[]), %s
               ON CONFLICT (name) DO UPDATE SET at_ms=excluded.at_ms""",
            (list(names), now_ms),
        )

    def size_bytes(self) -> int:
        (size,) = self._link.execute(
            """SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::BIGINT FROM pg_class AS c
               WHERE c.relkind='r' AND c.relnamespace =
                 (SELECT relnamespace FROM pg_class WHERE oid = 'payments'::regclass)"""
        ).fetchone() or (0,)
        return int(size)

    def forget_codes(self) -> bool:
        """Nothing: the row has no code any more, and the rest is the database's to tidy.

        Its old versions last until VACUUM and beyond, in pages, logs and replicas; docs/many-tills
        says what that means.
        """
        return True

    def payment(self, request_id: str) -> Payment | None:
        if self._link.is_inside:
            self.ahead(Ahead(request_ids=(request_id,)))
            return self._known.by_id[request_id]
        return self.payments((request_id,)).get(request_id)

    def payments(self, request_ids: Collection[str]) -> dict[str, Payment]:
        found = self._select("WHERE request_id = ANY(%s)", (list(request_ids),))
        return {payment.request_id: payment for payment in found}

    def named(self, name: str) -> list[Payment]:
        names = list(spellings(name))
        return self._select("WHERE request_id = ANY(%s)", (names,)) or self._select(
            f"""WHERE payment_order_id=%s OR channel_order_id=%s OR starts_with(request_id, %s)
                OR starts_with(request_id, %s) ORDER BY seq LIMIT {MANY_NAMED}""",
            (name, name, *names),
        )

    def payments_of(self, checkout: Checkout) -> list[Payment]:
        if self._link.is_inside:
            self.ahead(Ahead(checkouts=(checkout,)))
            return list(self._known.by_checkout[checkout])
        return self._select(f"WHERE {_OF_CHECKOUT} ORDER BY nth", checkout)

    def last_try(self, payment: Payment) -> Try | None:
        rows = self._tries("WHERE seq=%s AND n=%s", (payment.seq, payment.tries))
        return rows[0] if rows else None

    def tries_of(self, payment: Payment) -> list[Try]:
        return self._tries("WHERE seq=%s ORDER BY started_ms, n", (payment.seq,))

    def open_payments(self, merchant: Merchant) -> Iterator[Payment]:
        """Page by page, as `history`."""
        seq = 0
        while True:
            page = self._select(
                f"""WHERE closed_ms IS NULL AND {_OF_MERCHANT} AND seq > %s
                    ORDER BY seq LIMIT {NEXT_PAGE}""",
                (*merchant, seq),
            )
            yield from page
            if len(page) < NEXT_PAGE:
                return
            seq = page[-1].seq

    def open_since(self, merchant: Merchant) -> tuple[int, int] | None:
        count, since_ms = self._one_row(
            f"""SELECT count(*), min(created_ms) FROM payments
               WHERE closed_ms IS NULL AND {_OF_MERCHANT}""",
            merchant,
        )
        return (count, since_ms) if count else None

    def history(self, which: Filter) -> Iterator[Payment]:
        """Page by page, each by itself, so that no transaction stays open while they are shown."""
        clauses, values = _clauses(which)
        after, size = "", FIRST_PAGE
        while True:
            with self._link.slowly():
                page = self._select(
                    f"WHERE {clauses} {after} ORDER BY created_ms DESC, seq DESC LIMIT {size}",
                    values,
                )
            yield from page
            if len(page) < size:
                return
            clauses, values = _clauses(which)
            after, size = "AND (created_ms, seq) < (%s, %s)", NEXT_PAGE
            values += [page[-1].created_ms, page[-1].seq]

    def sums(self, which: Filter) -> list[Cell]:
        clauses, values = _clauses(which)
        with self._link.slowly():
            rows = self._link.execute(
                f"""SELECT shop_id, operator_id, machine_id, pay_channel,
                      created_ms / {QUARTER_MS} AS quarter, state, doubt, paid, count(*), CAST(sum(
                        CASE WHEN paid AND result_status=1
                          THEN coalesce(current_pay_fee, pay_fee) ELSE pay_fee END)
                      AS BIGINT)
                    FROM payments WHERE {clauses} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8""",
                values,
            ).fetchall()
        return [
            Cell(shop, operator, till, channel, quarter, standing_of(state, doubt, paid), n, fee)
            for shop, operator, till, channel, quarter, state, doubt, paid, n, fee in rows
        ]

    def corrections(self, which: Filter) -> list[Correction]:
        clauses, values = correction_clauses(which)
        rows = self._link.execute(
            CORRECTIONS.format(clauses=clauses).replace("?", "%s"), values
        ).fetchall()
        return [correction_of(row) for row in rows]

    def shift(self, merchant: Merchant, number: int | None = None) -> Shift | None:
        if number is None:
            found = self._shifts(LATEST_SHIFT, (merchant.name,))
        else:
            found = self._shifts(f"AND number=%s {LATEST_SHIFT}", (merchant.name, number))
        return found[0] if found else None

    def shifts(self, merchant: Merchant) -> list[Shift]:
        return self._shifts("ORDER BY number, gateway", (merchant.name,))

    def alarms(self, merchant: Merchant) -> list[Alarm]:
        rows = self._link.execute(
            f"""SELECT id, request_id, at_ms, event, text, acknowledged_by, acknowledged_ms
               FROM alarms JOIN payments USING (seq)
               WHERE acknowledged_ms IS NULL AND {_OF_MERCHANT} ORDER BY id""",
            merchant,
        ).fetchall()
        return [Alarm(i, rid, at, Event(event), *rest) for i, rid, at, event, *rest in rows]

    def open_merchants(self) -> list[OpenOf]:
        rows = self._link.execute(OPEN_MERCHANTS.format(indexed="")).fetchall()
        return list(open_of(rows))

    def paid_merchants(self, since_ms: int | None, until_ms: int | None) -> list[PaidOf]:
        clauses, values = _clauses(paid_unsealed(since_ms, until_ms))
        with self._link.slowly():
            rows = self._link.execute(
                PAID_MERCHANTS.format(indexed="", clauses=clauses), values
            ).fetchall()
        return paid_of(rows)

    def gateways(self, merchant: Merchant) -> list[str]:
        found = {shift.chain for shift in self.shifts(merchant)} - {""}
        clashing = self._select(f"WHERE clash AND closed_ms IS NULL AND {_OF_MERCHANT}", merchant)
        return sorted(found | {payment.gateway for payment in clashing})

    def close(self) -> None:
        self._leaving.set()
        if self._held:
            with suppress(JournalError):  # the lease will end
                self._link.execute("DELETE FROM claims WHERE owner=%s", (self._me,))
        self._note.close()
        self._link.close()

    # ── the lease ────────────────────────────────────────────────────────────────────────────

    def _go_on_renewing(self) -> None:
        if self._renewing is None:
            self._renewing = threading.Thread(target=self._renew, daemon=True)
            self._renewing.start()

    def _renew(self) -> None:
        """Three times in a lease, over a connection of its own; most payments need none."""
        while not self._leaving.wait(self._lease_s / 3):
            self.renew()

    def renew(self) -> None:
        """Claim anew what is held, by number: a claim that could not be given back must end,
        whatever else this till is at.
        """
        if held := list(self._held | self._claimed):
            with suppress(psycopg.Error, JournalError), self._link.connect() as db:
                db.execute(
                    f"""UPDATE claims SET expires_at = clock_timestamp() + {_LEASE}
                        WHERE owner=%s AND seq = ANY(%s)""",
                    (self._lease_s, self._me, held),
                )

    # ── rows ─────────────────────────────────────────────────────────────────────────────────

    def _select(self, rest: str, values: Sequence[Any]) -> list[Payment]:
        return self._payments(f"SELECT {COLUMNS} FROM payments {rest}", values)

    def _payments(self, statement: str, values: Sequence[Any]) -> list[Payment]:
        return [self._sound(row) for row in self._link.execute(statement, values).fetchall()]

    def _sound(self, row: Sequence[Any]) -> Payment:
        payment = sound_payment(row)
        if payment is None:
            raise JournalError(
                "journal_corrupt",
                _("The journal {path} is damaged or is not a journal.").format(
                    path=self._link.shown
                ),
                (
                    Say(_("Do not delete it. Check it, or restore a backup:")),
                    Type(("journal", "check")),
                ),
            )
        return payment

    def _one_row(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        row = self._link.execute(statement, values).fetchone()
        if row is None:
            raise AssertionError("this statement always has a row")
        found: Sequence[Any] = row
        return found

    def _shifts(self, rest: str, values: Sequence[Any]) -> list[Shift]:
        rows = self._link.execute(
            f"SELECT number, content, hash, gateway FROM shifts WHERE {_OF_SHIFTS} {rest}",
            values,
        ).fetchall()
        return [Shift(*row) for row in rows]

    def _tries(self, rest: str, values: Sequence[Any]) -> list[Try]:
        rows = self._link.execute(
            f"""SELECT n, kind, started_ms, host, pid, machine_id, operator_id, event,
                  finished_ms, http_status, code, sub_code, message, raw FROM tries {rest}""",
            values,
        ).fetchall()
        return [try_of(row) for row in rows]


_OF_MERCHANT, _OF_CHECKOUT, _OF_SHIFTS = (
    clause.replace("?", "%s") for clause in (OF_MERCHANT, OF_CHECKOUT, OF_SHIFTS)
)
_LEASE = "%s * INTERVAL '1 second'"
_CLAIMS = "INSERT INTO claims (seq, owner, host, pid, expires_at)"
_UNLESS = """ON CONFLICT (seq) DO UPDATE SET owner=excluded.owner, host=excluded.host,
    pid=excluded.pid, expires_at=excluded.expires_at
  WHERE claims.owner=excluded.owner OR claims.expires_at <= clock_timestamp()"""
_CLAIM_FREE = f"""WITH free AS (
    SELECT seq FROM payments WHERE request_id = ANY(%s) AND closed_ms IS NULL AND NOT EXISTS (
      SELECT 1 FROM claims WHERE claims.seq=payments.seq AND owner<>%s
        AND expires_at > clock_timestamp())
    FOR UPDATE {{wait}})
  {_CLAIMS} SELECT seq, %s, %s, %s, clock_timestamp() + {_LEASE} FROM free
  {_UNLESS} RETURNING seq"""
_NUMBERS = "SELECT nextval(pg_get_serial_sequence('payments', 'seq')) FROM generate_series(1, %s)"
_WITH_CODES = f"SELECT {COLUMNS}, code_hash FROM payments WHERE code_hash = ANY(%s)"
_NAMED_SO = f"""SELECT {COLUMNS} FROM payments WHERE request_id = ANY(%s)
  OR payment_order_id = ANY(%s) OR channel_order_id = ANY(%s)"""
_OF_ANY_CHECKOUT = f"""SELECT {COLUMNS}, EXISTS (SELECT 1 FROM alarms
  WHERE alarms.seq=payments.seq AND acknowledged_ms IS NULL), nth FROM"""
# Of one, planning takes half as long.
_OF_ONE_CHECKOUT = f"{_OF_ANY_CHECKOUT} payments WHERE {_OF_CHECKOUT} ORDER BY nth"
_OF_CHECKOUTS = f"""{_OF_ANY_CHECKOUT}
  unnest(%s::BOOLEAN[], %s::TEXT[], %s::TEXT[], %s::TEXT[]) AS asked(l, m, s, c)
    JOIN payments ON live=l AND {MERCHANT}=m AND shop_id=s AND checkout_id=c
  ORDER BY nth"""

# What is written, in this order: a row, who sends it, its try; how that ended, where it stands.
_INSERT = gathered(
    1,
    f"""INSERT INTO payments (seq, request_id, profile, live, gateway, app_key, shop_id,
          checkout_id, order_id, operator_id, machine_id, pay_channel, pay_fee, pay_request, nth,
          state, created_ms, updated_ms, merchant, own_id, code_hash, begun_count)
        SELECT v.*, {NEXT_COUNT} FROM {{rows}}""",
    """seq BIGINT, request_id TEXT, profile TEXT, live BOOLEAN, gateway TEXT, app_key TEXT,
       shop_id TEXT, checkout_id TEXT, order_id TEXT, operator_id TEXT, machine_id TEXT,
       pay_channel TEXT, pay_fee BIGINT, pay_request TEXT, nth BIGINT, state TEXT,
       created_ms BIGINT, updated_ms BIGINT, merchant TEXT, own_id BOOLEAN, code_hash TEXT""",
    returning="seq, begun_count AS number",
)
_CLAIM = gathered(
    2,
    f"""{_CLAIMS} SELECT v.seq, v.owner, v.host, v.pid,
          clock_timestamp() + v.lease_s * INTERVAL '1 second' FROM {{rows}} {_UNLESS}""",
    "seq BIGINT, owner TEXT, host TEXT, pid BIGINT, lease_s FLOAT8",
    returning="seq, pid AS number",
)
_AS_READ = "seq BIGINT, tries_read BIGINT, state_read TEXT, doubt_read TEXT"
_UNCHANGED = """payments.seq=v.seq AND payments.closed_ms IS NULL
  AND payments.tries=v.tries_read AND payments.state=v.state_read
  AND payments.doubt IS NOT DISTINCT FROM v.doubt_read"""
_START = gathered(
    3,
    f"""UPDATE payments SET state=v.new_state, doubt=v.new_doubt, tries=v.n,
          updated_ms=v.now_ms, told=FALSE FROM {{rows}} WHERE {_UNCHANGED}""",
    f"""{_AS_READ}, new_state TEXT, new_doubt TEXT, n BIGINT, now_ms BIGINT, host TEXT, pid BIGINT,
        machine_id TEXT, operator_id TEXT""",
    returning="v.*, v.n AS number",
    also=""", try AS (
      INSERT INTO tries (seq, n, kind, started_ms, host, pid, machine_id, operator_id)
      SELECT seq, n, 'pay', now_ms, host, pid, machine_id, operator_id FROM done)""",
)
_END = gathered(
    4,
    """UPDATE tries SET event=v.event, finished_ms=v.finished_ms, http_status=v.http_status,
         code=v.code, sub_code=v.sub_code, message=v.message, raw=v.raw
       FROM {rows} WHERE tries.seq=v.seq AND tries.n=v.n""",
    """seq BIGINT, n BIGINT, event TEXT, finished_ms BIGINT, http_status BIGINT, code TEXT,
       sub_code TEXT, message TEXT, raw TEXT""",
)


def _settling(more: str = "") -> Gathered:
    """Where a payment stands now, and `more` columns."""
    names = [pair.split()[0] for pair in more.split(",")] if more else []
    also = "".join(f"{name}=v.{name}, " for name in names)
    return gathered(
        5,
        f"""UPDATE payments SET {also}state=v.state, doubt=v.doubt, paid=v.paid,
              updated_ms=v.now_ms, closed_ms=v.closed_ms, pay_request=v.pay_request,
              code_hash=CASE WHEN v.keeps_code THEN payments.code_hash END,
              closed_count=CASE WHEN v.closed_ms IS NULL THEN payments.closed_count
                ELSE {NEXT_COUNT} END
            FROM {{rows}} WHERE {_UNCHANGED}""",
        f"""{_AS_READ}, state TEXT, doubt TEXT, paid BOOLEAN, now_ms BIGINT, closed_ms BIGINT,
            pay_request TEXT, keeps_code BOOLEAN{", " if more else ""}{more}""",
        returning="payments.closed_count AS number, v.seq",
    )


_SETTLE = _settling()
_FINISH = _settling(
    """result_status BIGINT, remaining_fee BIGINT, current_pay_fee BIGINT,
       current_payment_channel BIGINT, payment_order_id TEXT, channel_order_id TEXT,
       result_code TEXT, result_message TEXT, trace_id TEXT, warnings TEXT"""
)
_RESOLVE = _settling("resolved_by TEXT, resolved_note TEXT, told BOOLEAN")
_UNCLAIM = gathered(
    6,
    "DELETE FROM claims USING {rows} WHERE claims.seq=v.seq AND claims.owner=v.owner",
    "seq BIGINT, owner TEXT",
)


def _as_read(payment: Payment) -> tuple[int, int, str, str | None]:
    """The values of `_UNCHANGED`."""
    return payment.seq, payment.tries, payment.standing.state, payment.standing.doubt


def _clauses(which: Filter) -> tuple[str, list[Any]]:
    clauses, values = clauses_of(which)
    return clauses.replace("?", "%s"), values
