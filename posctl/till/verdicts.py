"""What became of a till's payments: taken in, told, kept in sight by number.

The payment that the customer at the counter waits for is `watched`; whatever is told of another is
told as an earlier one's.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from math import ceil, inf
from typing import NamedTuple

from posctl.errors import JournalError
from posctl.messages import _
from posctl.money import advice
from posctl.money.admit import due
from posctl.money.codes import codes_of
from posctl.money.outcome import Outcome, State, outcome_of
from posctl.money.record import Checkout, Payment, StatusAnswer
from posctl.money.result import Result, result_json
from posctl.paying.desk import Desk
from posctl.paying.many import Workers, record
from posctl.paying.pay import told
from posctl.paying.row import is_being_sent
from posctl.paying.status import record_status
from posctl.till.cashier import Cashier
from posctl.till.open import Open, OpenPayments, Rest, Rests
from posctl.till.screen import (
    Status,
    draw_asked,
    draw_numbered,
    draw_rests,
    draw_settled,
    left_behind,
    waiting_line,
)
from posctl.till.takings import Takings
from posctl.till.talk import Talk
from posctl.till.wishes import Offer

_QUIET_S = 0.02  # nothing came for so long: nobody waits for this thread
_CODES_S = 1.0  # so long codes of closed payments stay in the journal's files in a rush
_AGAIN_S = 60.0  # so long a fresh code may be scanned at once for what came to nothing


class Asked(NamedTuple):
    """The platform's word for a payment; `started_ms` is when it was asked, `was_being_sent`
    whether the payment was on its way then.
    """

    payment: Payment
    answer: StatusAnswer
    started_ms: int
    was_being_sent: bool


class Verdicts:
    """`wanted` are the request_ids asked about by hand: told even when nothing has changed."""

    def __init__(
        self,
        desk: Desk,
        cashier: Cashier,
        talk: Talk,
        workers: Workers,
        monotonic: Callable[[], float],
    ) -> None:
        self._desk, self._cashier, self._talk = desk, cashier, talk
        self._workers, self._monotonic = workers, monotonic
        self.open = OpenPayments()
        self.rests = Rests()
        self.takings = Takings(desk, cashier)
        self.asked: queue.SimpleQueue[Asked] = queue.SimpleQueue()
        self.wanted: set[str] = set()
        self._watched: str | None = None
        self.sent_s: dict[str, float] = {}  # when each was last put on its way
        # From when on codes of closed payments are to be erased from the journal's files; inf when
        # there are none. A till that was killed may have left some.
        self._codes_since_s = monotonic()

    # ── what is waited for ───────────────────────────────────────────────────────────────────

    def watch(self, payment: Payment) -> None:
        """The customer at the counter waits for this verdict."""
        self._watched = payment.request_id
        self._talk.entry.watch()

    def next_customer(self) -> None:
        """Nobody waits any more: the next amount is asked for."""
        self._talk.entry.fresh()
        self._watched = None
        self._talk.status_due = True

    def leave(self) -> None:
        """Go on to the next customer, and say where what was waited for is found."""
        watched = self._watched
        if watched is not None:
            self.find_open()
            if (one := self.open.get(watched)) is not None:
                self._talk.note(left_behind(one))
        self.next_customer()

    def countdown(self) -> list[str]:
        """The line that counts while a verdict is waited for, the widest first."""
        now_s, watched = self._monotonic(), self._watched or ""
        one, on_its_way = self.open.get(watched), self._workers.in_flight.get(watched)
        payment = on_its_way or (one.payment if one else None)
        if one is None or on_its_way is not None or one.next_s == inf:
            return waiting_line(payment, None, int(now_s - self.sent_s.get(watched, now_s)))
        left_s = max(0, ceil(one.next_s - now_s))
        return waiting_line(payment, outcome_of(one.payment.standing), left_s)

    # ── answers ──────────────────────────────────────────────────────────────────────────────

    def collect(self) -> None:
        """Record and tell whatever has arrived."""
        for settled in record(self._workers.arrived(), self._desk, forget=False):
            self.settle(settled.result, settled.ban_s or 0)
        while not self.asked.empty():
            payment, answer, started_ms, was_being_sent = self.asked.get()
            settled_now = record_status(
                *(payment, answer, started_ms, self._desk), was_being_sent=was_being_sent
            )
            listed = self.open.get(payment.request_id)
            self._talk.show(
                {}, lambda canvas, a=answer, p=payment, o=listed: draw_asked(canvas, a, p, o)
            )
            if not settled_now.open or settled_now.standing.state is State.CONFLICT:
                self.settle(told(settled_now, self._desk))

    def settle(self, result: Result, ban_s: int = 0) -> None:
        """Take in how a payment stands; tell it when it is news."""
        payment = result.payment
        if payment is None:
            return
        known = self.open.get(payment.request_id)
        self.open.put(payment, self._monotonic(), ban_s)
        asked = payment.request_id in self.wanted
        self.wanted.discard(payment.request_id)
        news = (known is None or not known.asks) or (
            outcome_of(known.payment.standing) is not result.outcome
            # The platform now says "failed", which proves nothing: told once, with the way out.
            or advice.is_refused(payment) > advice.is_refused(known.payment)
        )
        if not payment.open and (payment.remaining_fee or payment.checkout in self.rests):
            self.count_rest(payment.checkout)
        watched = payment.request_id == self._watched
        if news or asked:
            self.tell(result, earlier=not watched)
        if not payment.open and codes_of(payment.pay_request):
            self._codes_since_s = min(self._codes_since_s, self._monotonic())
        if watched and (not payment.open or result.outcome is Outcome.CONFLICT):
            self.next_customer()
            self._talk.entry.offer = self._offer(payment)

    def tell(self, result: Result, *, earlier: bool = False) -> None:
        """Show a verdict; once it was written out, the journal knows that it was told. `earlier`:
        it is not about the customer who stands here now.
        """
        payment, profile = result.payment, self._desk.profile
        about = payment or result.blocked_by
        listed = self.open.get(about.request_id) if about else None
        number = listed.number if listed else None
        data = result_json(result, "till", profile.name, live=profile.live)
        printed = self._talk.show(
            data, lambda canvas: draw_settled(canvas, result, number, earlier=earlier)
        )
        if payment is None or payment.open:
            return
        if payment.standing.paid:
            self.takings.take(payment)
        if printed and not payment.told:
            with suppress(JournalError):  # told once more next time: no harm
                self._desk.journal.mark_told([payment.request_id], self._desk.now_ms())

    # ── codes of closed payments ─────────────────────────────────────────────────────────────

    @property
    def codes_end_s(self) -> float:
        """When codes are erased if nothing comes in between; inf when there are none."""
        return max(self._monotonic(), self._codes_since_s) + _QUIET_S

    def forget_codes_if(self, *, quiet: bool) -> None:
        """Erase codes when nobody waits for this thread, or when they have stood long enough."""
        waited_s = self._monotonic() - self._codes_since_s
        if waited_s >= _CODES_S or (quiet and waited_s >= 0):
            self.forget_codes()

    def forget_codes(self) -> None:
        """Not before the verdict is told: it takes a millisecond and several writes to the disk."""
        if self._codes_since_s < inf:
            try:
                done = self._desk.journal.forget_codes()
            except JournalError:
                done = False
            self._codes_since_s = inf if done else self._monotonic() + _CODES_S

    # ── what is open, and what is part-paid ──────────────────────────────────────────────────

    def find_open(self) -> None:
        """Give a number to what is open at this till and has none yet; ask about it soon."""
        for payment in self._cashier.open_here():
            if self.open.get(payment.request_id) is not None:
                continue
            if payment.request_id in self._workers.in_flight:
                self.open.enter(payment)
            else:
                self.open.put(payment, self._monotonic())

    def is_on_its_way(self, payment: Payment) -> bool:
        """Whether this till or another process is sending it: what anybody hears of it now is older
        than what that may charge. Raises JournalError.
        """
        # This till's own are known without the hold, which asking for would give up.
        mine = payment.request_id in self._workers.in_flight
        return mine or is_being_sent(payment, self._desk.journal)

    def find(self, number: int | None) -> Open | None:
        """The open payment with this number, without one the latest; says so if there is none."""
        one = self.open.find(number)
        if one is None:
            words = _("There is no open payment with this number. The list: o")
            self._talk.note(_("Nothing is open.") if number is None else words)
        return one

    def look_again(self) -> None:
        """What is open or part-paid here may have been closed, or paid, elsewhere."""
        for one in self.open:
            current = self._desk.journal.payment(one.payment.request_id)
            if current is not None and not current.open:
                self.settle(told(current, self._desk))
        for rest in self.rests:
            self.count_rest(rest.checkout)
        self.find_open()

    def known_here(self) -> list[Payment]:
        """What is open, on its way, or paid here since yesterday."""
        found = [one.payment for one in self.open]
        return [*found, *self._workers.in_flight.values(), *self.takings.receipts]

    def show_open(self, *, leaving: bool = False) -> None:
        """The lists, by number."""
        found, now_ms = list(self.open), self._desk.now_ms()
        sent = self._workers.in_flight
        self._talk.show({}, lambda canvas: draw_numbered(canvas, found, sent, now_ms=now_ms))
        self.show_rests(leaving=leaving)

    def show_rests(self, *, leaving: bool = False) -> None:
        """What is part-paid, by number."""
        if rests := self._still_to_take():
            self._talk.show({}, lambda canvas: draw_rests(canvas, rests, leaving=leaving))

    def _still_to_take(self) -> list[Rest]:
        """The rests but for those of which a payment is open: that is what it is told as."""
        paying = {one.payment.checkout for one in self.open if one.asks}
        return [rest for rest in self.rests if rest.checkout not in paying]

    def count_rest(self, checkout: Checkout) -> None:
        """What a checkout still needs, whoever has paid a part of it."""
        self.rests.put(checkout, due(self._desk.journal.payments_of(checkout)))
        self._talk.status_due = True

    def rest_of(self, checkout: Checkout) -> Offer | None:
        """The rest of a checkout, as it is offered."""
        rest = next((one for one in self.rests if one.checkout == checkout), None)
        return Offer(checkout.checkout_id, rest.remaining_fee, rest=True) if rest else None

    def _offer(self, payment: Payment) -> Offer | None:
        """What the customer at the counter needs next: the rest, or another try."""
        if payment.open:
            return None
        if payment.standing.paid:
            return self.rest_of(payment.checkout)
        until_s = self._monotonic() + _AGAIN_S
        return Offer(
            payment.checkout.checkout_id, payment.pay_fee, rest=False, scan_until_s=until_s
        )

    def status(self) -> Status:
        """What is always in sight."""
        self.takings.bring_up()
        # One that has no answer yet is on its way, though it has its number.
        found = [one.payment for one in self.open if one.asks]
        answered = {payment.request_id for payment in found}
        rests = self._still_to_take()
        return Status(
            live=self._desk.profile.live,
            in_shift=self.takings.in_shift,
            paid=self.takings.paid,
            paid_fee=self.takings.paid_fee,
            open=len(found),
            open_fee=sum(payment.pay_fee for payment in found),
            on_its_way=sum(sent not in answered for sent in self._workers.in_flight),
            rests=len(rests),
            rest_fee=sum(rest.remaining_fee for rest in rests),
        )
