"""The counter, one loop for a whole shift: amount, checkout, scan, verdict, next customer.

The loop waits for keys, for answers and for the time, whichever comes first, and never for the
gateway: the crew's threads post, this thread alone touches journal and screen. Each payment is
opened, sent, recorded and told as `pay` and `retry` do it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from math import ceil, inf
from typing import NamedTuple

from posctl.errors import AfterSending, JournalError, PosctlError
from posctl.hint import Say, Type
from posctl.journal import Transaction
from posctl.messages import _
from posctl.money import advice
from posctl.money.admit import (
    AUTOMATIC_MS,
    YOUNG_MS,
    Block,
    Refuse,
    Tell,
    Unsure,
    due,
    refused_before,
)
from posctl.money.codes import codes_of
from posctl.money.order import PayRequest, check_value, yuan
from posctl.money.outcome import EXIT_OF, Exit, Outcome, State, outcome_of, worst
from posctl.money.record import RUNNING_SHIFT, Checkout, Filter, Payment, StatusAnswer
from posctl.money.result import Result, result_json
from posctl.money.scan import half_width
from posctl.paying.by_hand import close_by_hand, person
from posctl.paying.desk import NEXT_PAUSE_S, Desk
from posctl.paying.many import Workers, record
from posctl.paying.pay import blocked, told
from posctl.paying.row import checkout_of, open_near, reopen
from posctl.paying.status import ask_payment, record_status
from posctl.screen.brush import named
from posctl.screen.screen import Screen, View
from posctl.shell import lines_of
from posctl.till.entry import (
    Answer,
    Chosen,
    Command,
    Entry,
    Keep,
    Note,
    Offer,
    Plain,
    Prompt,
    Sale,
    Wish,
    Words,
)
from posctl.till.keyboard import Keyboard
from posctl.till.open import LATER_PAUSE_S, Open, OpenPayments, Rests
from posctl.till.screen import (
    Status,
    draw_asked,
    draw_farewell,
    draw_help,
    draw_numbered,
    draw_rests,
    draw_settled,
    draw_status,
    draw_welcome,
    waiting_line,
)
from posctl.times import DAY_MS, age, date, day_span, stamp

WORKERS = 4  # payments on their way at once: a till has one customer, and some that are pending
QUIET_S = 0.02  # nothing came for so long: nobody waits for this thread
CODES_S = 1.0  # so long codes of closed payments stay in the journal's files in a rush
LONGEST_SHIFT_MS = 7 * DAY_MS  # what was paid earlier is not counted again at each start
_SAID = {
    **dict.fromkeys(("paid", "已付", "已付款", "付了"), True),
    **dict.fromkeys(("not-paid", "not paid", "未付", "未付款", "没付"), False),
}
NEAR_MS = AUTOMATIC_MS + YOUNG_MS  # what was paid a moment ago was begun at most so long ago
AGAIN_S = 60.0  # so long a fresh code may be scanned at once for what came to nothing


class Tools(NamedTuple):
    """What the till is given besides its desk. `order` makes a checked payment of members by API
    name; `receipt` counts a print of a paid payment and gives its text; `report` shows the shift's.
    """

    order: Callable[[Mapping[str, str]], PayRequest]
    receipt: Callable[[Payment], str]
    report: Callable[[], object]
    monotonic: Callable[[], float]


class Till:
    """One shift at one till; `run` is all of it."""

    def __init__(self, desk: Desk, screen: Screen, keyboard: Keyboard, tools: Tools) -> None:
        self._desk, self._screen, self._keyboard, self._tools = desk, screen, keyboard, tools
        self._operator: dict[str, str] = {}  # who has taken over since the till began
        self._anyone = self._make({"pay_fee": "1", "checkout_id": "1"})  # whose till it is
        self._merchant = desk.profile.merchant
        self._entry = Entry(desk.profile)
        self._workers = Workers(desk, tools.monotonic, WORKERS, keyboard.wake)
        self._open = OpenPayments()
        self._rests = Rests()
        self._asked: queue.SimpleQueue[tuple[Payment, StatusAnswer, int]] = queue.SimpleQueue()
        self._on_yes: Callable[[], None] = lambda: None
        self._on_no: Callable[[], None] = lambda: None
        self._on_words: Callable[[str], None] = lambda _text: None
        self._closing: Open | None = None  # somebody says what became of it: not asked about now
        self._watched: str | None = None  # the request_id whose verdict is waited for
        self._wanted: set[str] = set()  # asked about by hand: told even when nothing changed
        self._sent_s: dict[str, float] = {}
        self._receipts: list[Payment] = []  # what was paid here, the latest last
        self._span: tuple[str, int] = ("", 0)  # the day, and the shift that was closed last
        self._paid: dict[str, int] = {}  # today's, fen by request_id
        self._paid_fee = 0  # their sum
        self._status_due = True
        self._leaving = False
        # From when on codes of closed payments are to be erased from the journal's files; inf when
        # there are none. A till that was killed may have left some.
        self._codes_since_s = tools.monotonic()

    def run(self) -> Exit:
        """Serve customers until the cashier leaves, or the terminal is gone.

        The exit code is that of the worst payment still open. Raises JournalError when the journal
        cannot be read at the start, AfterSending for a bug.
        """
        try:
            with self._workers:
                self._begin()
                self._serve()
                self._await_answers()
        except PosctlError:
            self._forget_codes()
            raise
        except Exception as bug:
            self._forget_codes()
            raise AfterSending(
                next(iter(self._workers.in_flight), ""),
                _("Internal error at the till. Payments may be open."),
                (Say(_("See what is open:")), Type(("pending",))),
            ) from bug
        return self._end()

    # ── begin and end ────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        profile, order = self._desk.profile, self._anyone
        self._show({}, lambda canvas: draw_welcome(canvas, profile, order))
        recent = self._history(self._desk.now_ms() - DAY_MS)
        for payment in recent:  # recorded, and posctl died before it was shown
            if not payment.open and not payment.told:
                self._tell(told(payment, self._desk), earlier=True)
        told_now = {payment.request_id for payment in self._receipts}
        paid = [p for p in recent if p.standing.paid and p.request_id not in told_now]
        self._receipts = [*paid, *self._receipts]
        for checkout in {p.checkout: None for p in recent if p.standing.paid and p.remaining_fee}:
            self._count_rest(checkout)
        self._find_open()
        if self._open or self._rests:
            self._show_open()

    def _await_answers(self) -> None:
        """What is on its way is still recorded; whoever insists on leaving leaves it open."""
        self._workers.give_up()
        typed: str | None = ""
        while self._workers.in_flight:
            self._forget_codes()
            self._screen.input_line(_("Waiting for an answer · Ctrl-C: leave it open"))
            try:
                with self._desk.interruptible():
                    typed = None if typed is None else self._keyboard.read(None)
                    if typed is None:  # the terminal is gone
                        self._workers.wait()
            except KeyboardInterrupt:
                return
            if typed and "\x03" in typed:
                return
            self._collect()

    def _end(self) -> Exit:
        self._forget_codes()
        self._screen.input_line("")
        if self._open or self._rests:
            self._show_open()
        self._show({}, lambda canvas: draw_farewell(canvas, self._status()))
        left = [*self._workers.in_flight.values(), *(one.payment for one in self._open)]
        return worst([EXIT_OF[outcome_of(payment.standing)] for payment in left])

    # ── the loop ─────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        while not self._leaving:
            self._show_prompt()
            try:
                with self._desk.interruptible():
                    typed = self._keyboard.read(self._patience_s())
            except KeyboardInterrupt:  # SIGTERM or SIGHUP: Ctrl-C is a key
                return
            if typed is None:
                return
            quiet = not typed and not self._workers.some_arrived
            waited_s = self._tools.monotonic() - self._codes_since_s
            if waited_s >= CODES_S or (quiet and waited_s >= 0):
                self._forget_codes()
            try:
                for wish in self._entry.take(typed, self._tools.monotonic()):
                    self._grant(wish)
                self._collect()
                self._ask_due()
            except AfterSending:
                raise
            except PosctlError as error:  # the journal, say: the next customer may have more luck
                self._complain(error)

    def _patience_s(self) -> float | None:
        """How long nothing has to be done unless something comes."""
        now_s = self._tools.monotonic()
        until_s = min(self._open.next_s(self._workers.in_flight), self._entry.scan_end_s)
        if self._entry.prompt is Prompt.WATCH:  # it counts the seconds
            until_s = min(until_s, now_s + 1)
        if self._codes_since_s < inf:
            until_s = min(until_s, max(now_s, self._codes_since_s) + QUIET_S)
        return None if until_s == inf else max(0.0, until_s - now_s)

    def _grant(self, wish: Wish) -> None:
        match wish:
            case Keep(text):
                self._screen.input_line(self._entry.label + text, keep=True)
            case Note(text):
                self._note(text)
            case Sale():
                self._sell(wish)
            case Chosen(pay_fee, checkout_id):
                self._look(pay_fee, checkout_id)
            case Answer(yes):
                self._answered(yes=yes)
            case Words(text):
                self._on_words(text)
            case Command(letter, number):
                self._command(letter, number)
            case Plain.NEXT:
                self._next_customer()
            case Plain.LEAVE:
                self._leaving = True

    def _answered(self, *, yes: bool) -> None:
        self._entry.fresh()
        try:
            if yes:
                self._on_yes()
            elif self._closing is not None:
                self._note(_("Nothing was closed."))
            else:
                self._note(_("Nothing was sent."))
                self._on_no()
        finally:
            self._close_no_more()

    def _next_customer(self) -> None:
        self._close_no_more()
        self._entry.fresh()
        self._watched = None
        self._status_due = True

    # ── commands ─────────────────────────────────────────────────────────────────────────────

    def _command(self, letter: str, number: int | None) -> None:
        self._status_due = True
        commands: dict[str, Callable[[], object]] = {
            "r": lambda: self._retry(number),
            "c": lambda: self._close(number),
            "s": lambda: self._ask_status(number),
            "+": lambda: self._take_rest(number),
            "o": self._list_open,
            "p": lambda: self._print_receipt(number or 1),
            "x": self._report,
            "w": self._change_operator,
            "?": lambda: self._show({}, draw_help),
            "q": self._leave,
        }
        commands[letter]()

    def _leave(self) -> None:
        self._leaving = True

    def _list_open(self) -> None:
        for one in self._open:  # somebody else may have closed it
            current = self._desk.journal.payment(one.payment.request_id)
            if current is not None and not current.open:
                self._settle(told(current, self._desk))
        for rest in self._rests:
            self._count_rest(rest.checkout)
        self._find_open()
        self._show_open()

    def _take_rest(self, number: int | None) -> None:
        """Go on with a part-paid checkout; what it still needs may have been paid elsewhere."""
        rest = self._rests.find(number)
        if rest is not None:
            self._count_rest(rest.checkout)
            rest = self._rests.find(rest.number)
        if rest is None:
            self._note(_("There is no such part-paid checkout. The list: o"))
            return
        self._entry.take_rest(Offer(rest.checkout.checkout_id, rest.remaining_fee, rest=True))

    def _ask_status(self, number: int | None) -> None:
        """Ask what the platform calls an open payment, in a thread: that moves no money."""
        one = self._open.find(number)
        if one is None:
            self._note(_("There is no such open payment. The list: o"))
            return
        payment, started_ms = one.payment, self._desk.now_ms()
        desk = self._desk._replace(interruptible=nullcontext)

        def ask() -> None:
            self._asked.put((payment, ask_payment(payment, desk), started_ms))
            self._keyboard.wake()

        self._note(_("Asking the platform; that moves no money."))
        threading.Thread(target=ask, daemon=True).start()

    def _print_receipt(self, number: int) -> None:
        """The receipt of the last payment, 1, or of an earlier one."""
        if not self._receipts:
            self._note(_("Nothing was paid here today."))
        elif number > len(self._receipts):
            words = _("Since yesterday {count} payments were paid here.")
            self._note(words.format(count=len(self._receipts)))
        else:
            self._screen.line(self._tools.receipt(self._receipts[-number]))

    def _report(self) -> None:
        self._tools.report()
        if self._rests:
            self._show_rests()

    def _change_operator(self) -> None:
        """Another cashier takes over; what is open keeps the one it was begun by."""
        self._words(_("Operator: "), self._work_as)

    def _work_as(self, operator: str) -> None:
        check_value("operator_id", operator, _("Operator"))
        self._operator = {"operator_id": operator}
        self._anyone = self._make({"pay_fee": "1", "checkout_id": "1"})
        self._entry.fresh()
        profile, order = self._desk.profile, self._anyone
        self._show({}, lambda canvas: draw_welcome(canvas, profile, order))

    def _make(self, members: Mapping[str, str]) -> PayRequest:
        return self._tools.order({**members, **self._operator})

    def _retry(self, number: int | None) -> None:
        """Come back to an open payment, and ask about it now."""
        on_their_way = self._workers.in_flight
        one = self._open.find(number)
        payment = one.payment if one else None
        if number is None and on_their_way:
            payment = next(reversed(on_their_way.values()))
        if payment is None:
            self._note(_("There is no such open payment. The list: o"))
            return
        self._wanted.add(payment.request_id)
        if payment.request_id in on_their_way:
            self._watch(payment)
        else:
            self._ask(payment)

    # ── closing by hand ──────────────────────────────────────────────────────────────────────

    def _close(self, number: int | None) -> None:
        """Ask what became of an open payment, for the evidence, and whether to close it so."""
        one = self._open.find(number) if number is not None else None
        if one is None:
            self._note(_("Say which one: c and its number. The list: o"))
            return
        if one.payment.request_id in self._workers.in_flight:
            self._note(_("The platform is being asked about it: wait for its verdict."))
            return
        self._closing = one
        self._open.ask_at(one.payment.request_id, inf)
        fee, checkout = yuan(one.payment.pay_fee), one.payment.checkout.checkout_id
        self._note(_("Look at the customer's phone and the platform's console first."))
        words = _("￥{yuan} · {checkout}: was it paid? Type paid or not-paid: ")
        self._words(words.format(yuan=fee, checkout=checkout), self._closed_as)

    def _words(self, question: str, on_words: Callable[[str], None]) -> None:
        self._on_words = on_words
        self._entry.ask_words(question)

    def _closed_as(self, verdict: str) -> None:
        paid = _SAID.get(half_width(verdict).lower())
        if paid is not None:
            question = _("What shows it, in a few words: ")
            self._words(question, lambda note: self._sure(note, paid=paid))

    def _sure(self, note: str, *, paid: bool) -> None:
        if not any(character.isalnum() for character in note):
            return  # asked again
        check_value("attributes", note, _("The evidence"))
        question = _("Close it by hand as paid?") if paid else _("Close it by hand as not paid?")
        self._confirm(question, lambda: self._closed(note, paid=paid))

    def _closed(self, note: str, *, paid: bool) -> None:
        if self._closing is None:
            return
        operator = self._anyone.members["operator_id"]
        by = f"{operator}, {person()}"
        now_ms = self._desk.now_ms()
        done = close_by_hand(self._closing.payment, by, note, now_ms, self._desk.journal, paid=paid)
        self._settle(told(done, self._desk))

    def _close_no_more(self) -> None:
        """Whatever came of it: it is asked about as before, if it is still open."""
        if self._closing is not None:
            soon_s = self._tools.monotonic() + NEXT_PAUSE_S
            next_s = inf if self._closing.next_s == inf else soon_s
            self._open.ask_at(self._closing.payment.request_id, next_s)
            self._closing = None

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    def _sell(self, sale: Sale) -> None:
        """Open the customer's payment and put it on its way."""
        self._entry.fresh()
        self._entry.offer = None
        self._send(self._order(sale), frozenset(), numbered=not sale.checkout_id)

    def _look(self, pay_fee: int, checkout_id: str) -> None:
        """Tell before the scan what no code can change: the checkout is paid, or needs less."""
        order = self._make({"pay_fee": str(pay_fee), "checkout_id": checkout_id})
        checkout = checkout_of(order, self._desk.profile)
        refused = refused_before(pay_fee, self._desk.journal.payments_of(checkout))
        if refused is not None:
            self._entry.fresh()
            self._refused(refused, order)

    def _refused(self, refused: Refuse, order: PayRequest) -> None:
        self._find_open()
        self._tell(blocked(refused, order, self._desk))
        if refused.block is Block.OVER_DUE:
            self._count_rest(refused.payment.checkout)
            self._entry.offer = self._rest_of(refused.payment.checkout)

    def _order(self, sale: Sale) -> PayRequest:
        members = {"pay_fee": str(sale.pay_fee), "channel_account": sale.code}
        if sale.checkout_id:
            return self._make(members | {"checkout_id": sale.checkout_id})
        # A new checkout is a new payment, never the same one again: its id says so.
        new = {"checkout_id": self._new_number(), "request_id": self._desk.new_id()}
        return self._make(members | new)

    def _new_number(self) -> str:
        """A checkout_id that no payment has: till, date, time, and six digits by lot, since two
        machines may both be till 001, each with a journal of its own.
        """
        moment = stamp(self._desk.now_ms())
        return f"{self._anyone.members['machine_id']}-{moment}-{self._desk.new_id()[:6]}"

    def _near(self, tx: Transaction) -> list[Payment]:
        """The payments of this till that the next customer's may be once more, oldest first."""
        here = self._here(self._desk.now_ms() - NEAR_MS)
        recent = list(tx.history(here._replace(outcome=Outcome.SUCCESS)))[::-1]
        return [*recent, *(p for p in tx.open_payments(self._merchant) if self._is_here(p))]

    def _send(self, order: PayRequest, waived: frozenset[Block], *, numbered: bool = False) -> None:
        desk = self._desk
        checkout = checkout_of(order, desk.profile)
        if any(p.checkout == checkout for p in self._workers.in_flight.values()):
            self._note(_("A payment of this checkout is on its way: wait for its verdict."))
            return
        if self._banned():
            self._entry.offer = Offer(order.checkout_id, order.pay_fee, rest=False)
            return
        fresh_id = desk.new_id()
        since_s = desk.uptime_s()

        def work(tx: Transaction) -> Payment | Tell | Refuse | Unsure:
            near = self._near(tx) if numbered else ()
            return open_near(tx, order, fresh_id, desk, waived, near)

        begun = desk.journal.transact(work)
        if isinstance(begun, Payment):
            if begun.tries > 1 and order.codes != codes_of(begun.pay_request):
                self._note(advice.warning("code_set_aside").partition(": ")[2])
            if begun.tries > 1:  # open before: told even when nothing has changed
                self._wanted.add(begun.request_id)
            self._put_on_its_way(begun, since_s)
            self._watch(begun)
        elif isinstance(begun, Tell):
            self._tell(told(begun.payment, desk))
        elif isinstance(begun, Unsure):
            self._find_open()
            self._doubted(begun.payment, order)
        elif begun.block is Block.REPEAT:
            question = _("The same amount was paid a moment ago. Take it once more?")
            self._confirm(question, lambda: self._send(order, waived | {Block.REPEAT}))
        else:
            self._refused(begun, order)

    def _doubted(self, payment: Payment, order: PayRequest) -> None:
        """Is it another customer? If not, go back to the payment that there is."""
        since = age(self._desk.now_ms() - payment.updated_ms)
        words = (
            _("▲ ￥{yuan} is still open here: {outcome}, {since} ago.")
            if payment.open
            else _("▲ ￥{yuan} was paid here {since} ago.")
        )
        outcome = named(outcome_of(payment.standing))
        self._note(words.format(yuan=yuan(payment.pay_fee), outcome=outcome, since=since))

        def back() -> None:
            if payment.request_id in self._workers.in_flight:
                self._watch(payment)
            elif payment.open:
                self._wanted.add(payment.request_id)
                self._ask(payment)
            else:
                self._tell(told(payment, self._desk))

        question = _("Is this ANOTHER customer?")
        self._confirm(question, lambda: self._send(order, frozenset()), back)

    def _ask(self, payment: Payment, waived: frozenset[Block] = frozenset()) -> None:
        """Ask about an open payment because somebody wants to know."""
        if self._banned():
            return
        since_s = self._desk.uptime_s()
        begun = self._reopened(payment, waived, automatic=False)
        if isinstance(begun, Payment):
            self._put_on_its_way(begun, since_s)
            self._watch(begun)
        elif isinstance(begun, Tell):
            self._settle(told(begun.payment, self._desk))
        elif begun.block is Block.CUSTOMER_GONE:
            again = waived | {Block.CUSTOMER_GONE}
            self._confirm(_("Is the customer still here?"), lambda: self._ask(payment, again))
        elif begun.block is Block.RESTORED:
            sure = waived | {Block.RESTORED}
            question = _("Are you sure that nobody has settled this payment since? Send it?")
            self._confirm(question, lambda: self._ask(payment, sure))
        else:
            self._tell(blocked(begun, None, self._desk))

    def _ask_due(self) -> None:
        """Ask about what is open by itself, as long as that is safe."""
        now_s = self._tools.monotonic()
        banned_s = self._workers.banned_s()
        for payment in self._open.due(now_s, self._workers.in_flight):
            if banned_s:
                self._open.ask_at(payment.request_id, now_s + banned_s)
                continue
            self._open.ask_at(payment.request_id, now_s + LATER_PAUSE_S)  # if the journal fails
            since_s = self._desk.uptime_s()
            begun = self._reopened(payment, frozenset(), automatic=True)
            if isinstance(begun, Payment):
                self._put_on_its_way(begun, since_s)
            elif isinstance(begun, Tell):
                self._settle(told(begun.payment, self._desk))
            else:
                held = begun.block is Block.HELD
                self._open.ask_at(payment.request_id, now_s + NEXT_PAUSE_S if held else inf)

    def _reopened(
        self, payment: Payment, waived: frozenset[Block], *, automatic: bool
    ) -> Payment | Tell | Refuse:
        def work(tx: Transaction) -> Payment | Tell | Refuse:
            return reopen(tx, payment.request_id, self._desk, waived, automatic=automatic)

        return self._desk.journal.transact(work)

    def _banned(self) -> bool:
        """Say how long a rate limit lasts: no customer is kept waiting for its end."""
        seconds = ceil(self._workers.banned_s())
        if seconds:
            words = _("The gateway's rate limit lasts {seconds} s more. Nothing was sent.")
            self._note(words.format(seconds=seconds))
        return bool(seconds)

    def _confirm(
        self,
        question: str,
        on_yes: Callable[[], None],
        on_no: Callable[[], None] = lambda: None,
    ) -> None:
        self._on_yes, self._on_no = on_yes, on_no
        self._entry.ask(question)

    def _put_on_its_way(self, payment: Payment, since_s: float) -> None:
        self._sent_s[payment.request_id] = self._tools.monotonic()
        self._workers.send(payment, since_s)

    def _watch(self, payment: Payment) -> None:
        self._watched = payment.request_id
        self._entry.watch()

    # ── verdicts ─────────────────────────────────────────────────────────────────────────────

    def _collect(self) -> None:
        for settled in record(self._workers.arrived(), self._desk, forget=False):
            self._settle(settled.result, settled.ban_s or 0)
        while not self._asked.empty():
            payment, asked, started_ms = self._asked.get()
            settled_now = record_status(payment, asked, started_ms, self._desk)
            self._show({}, lambda canvas, asked=asked, p=payment: draw_asked(canvas, asked, p))
            if not settled_now.open or settled_now.standing.state is State.CONFLICT:
                self._settle(told(settled_now, self._desk))

    def _forget_codes(self) -> None:
        """Not before the verdict is told: it takes a millisecond and several writes to the disk."""
        if self._codes_since_s < inf:
            try:
                done = self._desk.journal.forget_codes()
            except JournalError:
                done = False
            self._codes_since_s = inf if done else self._tools.monotonic() + CODES_S

    def _settle(self, result: Result, ban_s: int = 0) -> None:
        """Take in how a payment stands; tell it when it is news."""
        payment = result.payment
        if payment is None:
            return
        known = self._open.get(payment.request_id)
        self._open.put(payment, self._tools.monotonic(), ban_s)
        asked = payment.request_id in self._wanted
        self._wanted.discard(payment.request_id)
        news = known is None or (
            outcome_of(known.payment.standing) is not result.outcome
            # The platform now says "failed", which proves nothing: told once, with the way out.
            or advice.is_refused(payment) > advice.is_refused(known.payment)
        )
        if not payment.open and (payment.remaining_fee or payment.checkout in self._rests):
            self._count_rest(payment.checkout)
        if news or asked:
            watched = payment.request_id == self._watched
            self._tell(result, earlier=not watched)
        if not payment.open and codes_of(payment.pay_request):
            self._codes_since_s = min(self._codes_since_s, self._tools.monotonic())
        if payment.request_id == self._watched and (
            not payment.open or result.outcome is Outcome.CONFLICT
        ):
            self._next_customer()
            self._entry.offer = self._offer(result)

    def _tell(self, result: Result, *, earlier: bool = False) -> None:
        """Show a verdict; once it was written out, the journal knows that it was told. `earlier`:
        it is not about the customer who stands here now.
        """
        payment, profile = result.payment, self._desk.profile
        about = payment or result.blocked_by
        listed = self._open.get(about.request_id) if about else None
        number = listed.number if listed else None
        data = result_json(result, "till", profile.name, live=profile.live)
        printed = self._show(
            data, lambda canvas: draw_settled(canvas, result, number, earlier=earlier)
        )
        if payment is None or payment.open:
            return
        if payment.standing.paid:
            self._receipts = [p for p in self._receipts if p.request_id != payment.request_id]
            self._receipts.append(payment)
            self._paid_fee += payment.fee - self._paid.get(payment.request_id, 0)
            self._paid[payment.request_id] = payment.fee
        if printed and not payment.told:
            with suppress(JournalError):  # told once more next time: no harm
                self._desk.journal.mark_told([payment.request_id], self._desk.now_ms())

    # ── today, and what is open ──────────────────────────────────────────────────────────────

    def _history(self, since_ms: int) -> list[Payment]:
        """The payments of this till since then, oldest first."""
        return list(self._desk.journal.history(self._here(since_ms)))[::-1]

    def _here(self, since_ms: int) -> Filter:
        return Filter(
            merchant=self._merchant,
            since_ms=since_ms,
            shop_id=self._anyone.shop_id,
            machine_id=str(self._anyone.members["machine_id"]),
        )

    def _is_here(self, payment: Payment) -> bool:
        here = self._anyone.shop_id, self._anyone.members["machine_id"]
        return (payment.checkout.shop_id, payment.machine_id) == here

    def _count_rest(self, checkout: Checkout) -> None:
        """What a checkout still needs, whoever has paid a part of it."""
        self._rests.put(checkout, due(self._desk.journal.payments_of(checkout)))
        self._status_due = True

    def _rest_of(self, checkout: Checkout) -> Offer | None:
        rest = next((one for one in self._rests if one.checkout == checkout), None)
        return Offer(checkout.checkout_id, rest.remaining_fee, rest=True) if rest else None

    def _offer(self, result: Result) -> Offer | None:
        """What the customer at the counter needs next: the rest, or another try."""
        payment = result.payment
        if payment is None or payment.open:
            return None
        if payment.standing.paid:
            return self._rest_of(payment.checkout)
        until_s = self._tools.monotonic() + AGAIN_S
        return Offer(
            payment.checkout.checkout_id, payment.pay_fee, rest=False, scan_until_s=until_s
        )

    def _find_open(self) -> None:
        """Give a number to what is open at this till and has none yet; ask about it soon."""
        for payment in list(self._desk.journal.open_payments(self._merchant)):
            if self._is_here(payment) and self._open.get(payment.request_id) is None:
                self._open.put(payment, self._tools.monotonic())

    def _show_open(self) -> None:
        found, now_ms = list(self._open), self._desk.now_ms()
        self._show({}, lambda canvas: draw_numbered(canvas, found, now_ms=now_ms))
        if self._rests:
            self._show_rests()

    def _show_rests(self) -> None:
        rests = list(self._rests)
        self._show({}, lambda canvas: draw_rests(canvas, rests))

    def _status(self) -> Status:
        day = date(self._desk.now_ms())
        with suppress(JournalError):  # then it is counted later
            closed = self._desk.journal.shift(self._merchant)
            span = (day, closed.number if closed else 0)
            if span != self._span:  # another one, or the first
                self._count_paid(day, in_shift=closed is not None)
                self._span = span
        found = [one.payment for one in self._open]
        return Status(
            live=self._desk.profile.live,
            in_shift=self._span[1] > 0,
            paid=len(self._paid),
            paid_fee=self._paid_fee,
            open=len(found),
            open_fee=sum(payment.pay_fee for payment in found),
            on_its_way=len(self._workers.in_flight),
            rests=len(self._rests),
            rest_fee=sum(rest.remaining_fee for rest in self._rests),
        )

    def _count_paid(self, day: str, *, in_shift: bool) -> None:
        """What was paid at this till in the running shift; today, where none was ever closed."""
        midnight_ms, _end = day_span(day, self._desk.now_s())
        which = self._here(midnight_ms)
        if in_shift:
            which = self._here(midnight_ms - LONGEST_SHIFT_MS)._replace(shift=RUNNING_SHIFT)
        found = self._desk.journal.history(which._replace(outcome=Outcome.SUCCESS))
        self._paid = {payment.request_id: payment.fee for payment in found}
        self._paid_fee = sum(self._paid.values())

    # ── the screen ───────────────────────────────────────────────────────────────────────────

    def _show(self, data: Mapping[str, object], draw: Callable[..., None]) -> bool:
        self._screen.input_line("")
        self._status_due = True
        return self._screen.show(View(data, draw))

    def _note(self, text: str) -> None:
        self._screen.input_line(text, keep=True)

    def _complain(self, error: PosctlError) -> None:
        self._note(error.message)
        for line in lines_of(error.hint):
            self._note(line)
        self._status_due = True

    def _show_prompt(self) -> None:
        if self._entry.prompt is Prompt.WATCH:
            words, short = self._countdown()
            self._screen.input_line(words, short=short)
            return
        if self._status_due and self._entry.prompt is Prompt.AMOUNT:
            self._show({}, lambda canvas: draw_status(canvas, self._status()))
            self._status_due = False
        self._screen.input_line(self._entry.label + self._entry.echo)

    def _countdown(self) -> tuple[str, str]:
        now_s, watched = self._tools.monotonic(), self._watched or ""
        one = self._open.get(watched)
        if one is None or watched in self._workers.in_flight or one.next_s == inf:
            return waiting_line(None, int(now_s - self._sent_s.get(watched, now_s)))
        return waiting_line(outcome_of(one.payment.standing), max(0, ceil(one.next_s - now_s)))
