"""What a till puts on its way: a customer's payment, and open ones again; and the questions that
are asked before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import ceil, inf

from posctl.journal import Transaction
from posctl.messages import _
from posctl.money import advice
from posctl.money.admit import Block, Refuse, Tell, Unsure, refused_before
from posctl.money.codes import codes_of
from posctl.money.order import PayRequest, yuan
from posctl.money.outcome import State, outcome_of
from posctl.money.record import Checkout, Payment
from posctl.paying.desk import NEXT_PAUSE_S, Desk
from posctl.paying.many import Workers
from posctl.paying.pay import blocked, told
from posctl.paying.row import checkout_of, open_near, reopen
from posctl.paying.status import ask_payment
from posctl.screen.brush import named
from posctl.text import sentences
from posctl.till.cashier import Cashier
from posctl.till.entry import ANOTHER_PHONE
from posctl.till.open import LATER_PAUSE_S
from posctl.till.screen import which
from posctl.till.talk import Talk
from posctl.till.verdicts import Asked, Verdicts
from posctl.till.wishes import Offer, Sale
from posctl.times import age


class Sending:
    """Only the calling thread touches the journal; `wake` is called by another when the platform
    has said what it calls a payment.
    """

    def __init__(
        self,
        desk: Desk,
        cashier: Cashier,
        talk: Talk,
        workers: Workers,
        verdicts: Verdicts,
        monotonic: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._desk, self._cashier, self._talk = desk, cashier, talk
        self._workers, self._verdicts = workers, verdicts
        self._monotonic, self._wake = monotonic, wake
        # What was open when a customer was said to be another one than those who owe it.
        self._anothers: set[str] = set()

    # ── a customer's payment ─────────────────────────────────────────────────────────────────

    def sell(self, sale: Sale) -> None:
        """Open the customer's payment and put it on its way."""
        self._talk.entry.fresh()
        self._talk.entry.offer = None
        self._send(self._cashier.order(sale), frozenset(), numbered=not sale.checkout_id)

    def look(self, pay_fee: int, checkout_id: str) -> None:
        """Tell before the scan what no code can change: the checkout is paid, or needs less."""
        order = self._cashier.make({"pay_fee": str(pay_fee), "checkout_id": checkout_id})
        checkout = checkout_of(order, self._desk.profile)
        payments = self._desk.journal.payments_of(checkout)
        refused = refused_before(pay_fee, payments)
        if refused is not None:
            self._talk.entry.fresh()
            self._refused(refused, order)
        elif (doubt := self._doubt_of(checkout, payments)) is not None:
            self._talk.confirm(
                _("Charge it all the same?"),
                lambda: self._talk.entry.ask_code(pay_fee, checkout_id),
                about=lambda: doubt,
            )

    def _doubt_of(self, checkout: Checkout, payments: Sequence[Payment]) -> str | None:
        """Why a checkout with `payments`, oldest first, may not be the one that is meant, or may be
        paid: what a person said of it may be wrong, and a letter is typed in the wrong case.
        """
        last = payments[-1] if payments else None
        if last is not None and last.standing.state is State.RESOLVED and not last.standing.paid:
            words = _("▲ {payment} was closed by hand as NOT PAID {since} ago.")
            since = age(self._desk.now_ms() - last.updated_ms)
            return words.format(payment=which(last), since=since)
        for payment in self._verdicts.known_here():
            other = payment.checkout.checkout_id
            if other != checkout.checkout_id and other.lower() == checkout.checkout_id.lower():
                words = _("▲ Only capitals tell it from another one here: {payment} · {outcome}")
                outcome = named(outcome_of(payment.standing), payment.standing.state)
                return words.format(payment=which(payment), outcome=outcome)
        return None

    def _refused(self, refused: Refuse, order: PayRequest) -> None:
        self._verdicts.find_open()
        self._verdicts.tell(blocked(refused, order, self._desk))
        if refused.block is Block.OVER_DUE:
            checkout = refused.payment.checkout
            self._verdicts.count_rest(checkout)
            rest = self._verdicts.rest_of(checkout)
            if rest is not None:  # the same customer: the amount is asked for again
                self._talk.entry.take_rest(rest, type_it=True)

    def _send(self, order: PayRequest, waived: frozenset[Block], *, numbered: bool = False) -> None:
        desk = self._desk
        checkout = checkout_of(order, desk.profile)
        if any(p.checkout == checkout for p in self._workers.in_flight.values()):
            words = _("A payment of this checkout is on its way: wait for its verdict.")
            self._talk.note(words)
            return
        if self._banned():
            self._talk.entry.offer = Offer(order.checkout_id, order.pay_fee, rest=False)
            return
        fresh_id = desk.new_id()
        since_s = desk.uptime_s()

        def work(tx: Transaction) -> Payment | Tell | Refuse | Unsure:
            near = self._maybe_the_same(order, tx) if numbered else ()
            return open_near(tx, order, fresh_id, desk, waived, near)

        begun = desk.journal.transact(work)
        if isinstance(begun, Payment):
            if begun.tries > 1 and order.codes != codes_of(begun.pay_request):
                set_aside = advice.warning("code_set_aside").partition(": ")[2]
                self._talk.note(sentences(set_aside, _(ANOTHER_PHONE)))
            if begun.tries > 1:  # open before: told even when nothing has changed
                self._verdicts.wanted.add(begun.request_id)
            self._put_on_its_way(begun, since_s)
            self._verdicts.watch(begun)
        elif isinstance(begun, Tell):
            self._verdicts.tell(told(begun.payment, desk))
        elif isinstance(begun, Unsure):
            self._verdicts.find_open()
            self._doubted(begun.payment, order)
        elif begun.block is Block.REPEAT:
            again = waived | {Block.REPEAT}
            about = _("{payment} was paid a moment ago.").format(payment=which(begun.payment))
            self._talk.confirm(
                _("Take it once more?"),
                lambda: self._send(order, again),
                about=lambda: about,
            )
        else:
            self._refused(begun, order)

    def _maybe_the_same(self, order: PayRequest, tx: Transaction) -> list[Payment]:
        """What is near, but for what somebody has said to be another customer's. The very same
        amount is asked about each time: that customer may be back.
        """
        return [
            payment
            for payment in self._cashier.near(tx)
            if payment.request_id not in self._anothers or payment.pay_fee == order.pay_fee
        ]

    def _doubted(self, payment: Payment, order: PayRequest) -> None:
        """Is it another customer? If not, go back to the payment that there is."""

        def about() -> str:
            now = self._desk.journal.payment(payment.request_id) or payment
            # An open one is asked about every few seconds: when it was begun says more.
            then_ms = now.created_ms if now.open else now.updated_ms
            words = (
                _("▲ ￥{yuan} is still open here: {outcome}, begun {since} ago.")
                if now.open
                else _("▲ ￥{yuan} was paid here {since} ago.")
                if now.standing.paid
                else _("▲ ￥{yuan} came to nothing here {since} ago.")
            )
            return words.format(
                yuan=yuan(now.pay_fee),
                outcome=named(outcome_of(now.standing)),
                since=age(self._desk.now_ms() - then_ms),
            )

        def back() -> None:
            if payment.request_id in self._workers.in_flight:
                self._verdicts.watch(payment)
            elif payment.open:
                self._verdicts.wanted.add(payment.request_id)
                self._ask(payment)
            else:
                self._verdicts.tell(told(payment, self._desk))

        def go_on() -> None:
            self._anothers.add(payment.request_id)
            self._send(order, frozenset())

        self._talk.confirm(_("Is this ANOTHER customer?"), go_on, back, about=about)

    # ── open payments ────────────────────────────────────────────────────────────────────────

    def retry(self, number: int | None) -> None:
        """Come back to an open payment, and ask about it now."""
        on_their_way = self._workers.in_flight
        if number is None and on_their_way:
            payment = next(reversed(on_their_way.values()))
        elif (one := self._verdicts.find(number)) is not None:
            payment = one.payment
        else:
            return
        self._verdicts.wanted.add(payment.request_id)
        if payment.request_id in on_their_way:
            self._verdicts.watch(payment)
        else:
            self._ask(payment)

    def ask_status(self, number: int | None) -> None:
        """Ask what the platform calls an open payment, in a thread: that moves no money."""
        one = self._verdicts.find(number)
        if one is None:
            return
        # Another posctl may have tried it since: what is answered now is newer than that.
        payment = self._desk.journal.payment(one.payment.request_id) or one.payment
        if not payment.open:
            self._verdicts.settle(told(payment, self._desk))
            return
        before = self._verdicts.is_on_its_way(payment)
        started_ms = self._desk.now_ms()
        desk = self._desk._replace(interruptible=nullcontext)

        def ask() -> None:
            answer = ask_payment(payment, desk)
            self._verdicts.asked.put(Asked(payment, answer, started_ms, was_being_sent=before))
            self._wake()

        self._talk.note(_("Asking the platform; that moves no money."))
        threading.Thread(target=ask, daemon=True).start()

    def ask_due(self) -> None:
        """Ask about what is open by itself, as long as that is safe."""
        now_s = self._monotonic()
        banned_s = self._workers.banned_s()
        ask_at = self._verdicts.open.ask_at
        for payment in self._verdicts.open.due(now_s, self._workers.in_flight):
            if banned_s:
                ask_at(payment.request_id, now_s + banned_s)
                continue
            ask_at(payment.request_id, now_s + LATER_PAUSE_S)  # if the journal fails
            since_s = self._desk.uptime_s()
            begun = self._reopened(payment, frozenset(), automatic=True)
            if isinstance(begun, Payment):
                self._put_on_its_way(begun, since_s)
            elif isinstance(begun, Tell):
                self._verdicts.settle(told(begun.payment, self._desk))
            else:
                held = begun.block is Block.HELD
                ask_at(payment.request_id, now_s + NEXT_PAUSE_S if held else inf)

    def _ask(self, payment: Payment, waived: frozenset[Block] = frozenset()) -> None:
        """Ask about an open payment because somebody wants to know."""
        if self._banned():
            return
        since_s = self._desk.uptime_s()
        begun = self._reopened(payment, waived, automatic=False)
        if isinstance(begun, Payment):
            self._put_on_its_way(begun, since_s)
            self._verdicts.watch(begun)
        elif isinstance(begun, Tell):
            self._verdicts.settle(told(begun.payment, self._desk))
        elif begun.block is Block.CUSTOMER_GONE:
            again = waived | {Block.CUSTOMER_GONE}
            self._talk.confirm(
                _("Is the customer still here?"),
                lambda: self._ask(payment, again),
                about=lambda: which(payment),
            )
        elif begun.block is Block.RESTORED:
            sure = waived | {Block.RESTORED}
            words = _("{payment}: are you sure that nobody has settled it since?")
            self._talk.confirm(
                _("Send it?"),
                lambda: self._ask(payment, sure),
                about=lambda: words.format(payment=which(payment)),
            )
        else:
            self._verdicts.tell(blocked(begun, None, self._desk))

    def _reopened(
        self, payment: Payment, waived: frozenset[Block], *, automatic: bool
    ) -> Payment | Tell | Refuse:
        def work(tx: Transaction) -> Payment | Tell | Refuse:
            return reopen(tx, payment.request_id, self._desk, waived, automatic=automatic)

        return self._desk.journal.transact(work)

    # ── on its way ───────────────────────────────────────────────────────────────────────────

    def _put_on_its_way(self, payment: Payment, since_s: float) -> None:
        self._verdicts.sent_s[payment.request_id] = self._monotonic()
        self._workers.send(payment, since_s)

    def _banned(self) -> bool:
        """Say how long a rate limit lasts: no customer is kept waiting for its end."""
        seconds = ceil(self._workers.banned_s())
        if seconds:
            words = _("The gateway's rate limit lasts {seconds} s more. Nothing was sent.")
            self._talk.note(words.format(seconds=seconds))
        return bool(seconds)
