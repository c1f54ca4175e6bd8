"""The counter, one loop for a whole shift: amount, checkout, scan, verdict, next customer.

The loop waits for keys, for answers and for the time, whichever comes first, and never for the
gateway: the crew's threads post, this thread alone touches journal and screen. Each payment is
opened, sent, recorded and told as `pay` and `retry` do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

from posctl.errors import AfterSending, Busy, PosctlError
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.money.order import PayRequest
from posctl.money.outcome import EXIT_OF, Exit, outcome_of, worst
from posctl.money.record import Payment
from posctl.money.scan import Scan, plain_id, what_is
from posctl.paying.desk import Desk
from posctl.paying.many import Workers
from posctl.paying.part_paid import part_paid
from posctl.paying.pay import told
from posctl.paying.row import checkout_of
from posctl.screen.brush import named
from posctl.screen.screen import Screen
from posctl.till.cashier import Cashier
from posctl.till.closing import Closing
from posctl.till.entry import Asks, Entry, Prompt
from posctl.till.keyboard import Keyboard
from posctl.till.screen import (
    draw_farewell,
    draw_help,
    draw_status,
    draw_welcome,
    left_over,
    which,
)
from posctl.till.sending import Sending
from posctl.till.talk import Talk
from posctl.till.verdicts import Verdicts
from posctl.till.wishes import (
    Answer,
    Chosen,
    Command,
    Keep,
    Note,
    Offer,
    Plain,
    Sale,
    Wish,
    Words,
)
from posctl.times import age

WORKERS = 4  # payments on their way at once: a till has one customer, and some that are pending


class Tools(NamedTuple):
    """What the till is given besides its desk. `order` makes a checked payment of members by API
    name; `operator_given` is whether somebody has said who works at the till; `receipt` counts a
    print of a paid payment and gives its text; `report` shows the shift's; `to_close` gives the
    sums of the shift that somebody wants to close, in a line, and what closes it.
    """

    order: Callable[[Mapping[str, str]], PayRequest]
    operator_given: bool
    receipt: Callable[[Payment], str]
    report: Callable[[], object]
    to_close: Callable[[str], tuple[str, Callable[[], None]]]
    monotonic: Callable[[], float]


class Till:
    """One shift at one till; `run` is all of it."""

    def __init__(self, desk: Desk, screen: Screen, keyboard: Keyboard, tools: Tools) -> None:
        clock = tools.monotonic
        self._desk, self._keyboard, self._tools = desk, keyboard, tools
        self._cashier = Cashier(desk, tools.order)
        self._entry = Entry(desk.profile)
        self._talk = talk = Talk(screen, self._entry)
        self._workers = workers = Workers(desk, clock, WORKERS, keyboard.wake)
        self._verdicts = verdicts = Verdicts(desk, self._cashier, talk, workers, clock)
        self._sending = Sending(
            desk, self._cashier, talk, workers, verdicts, clock, wake=keyboard.wake
        )
        self._closing = Closing(desk, self._cashier, talk, verdicts, clock)
        self._leaving = False
        self._listed = False  # what is left stands right above the question whether to leave

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
            self._verdicts.forget_codes()
            raise
        except Exception as bug:
            self._verdicts.forget_codes()
            raise AfterSending(
                next(iter(self._workers.in_flight), ""),
                _("Internal error at the till. Payments may be open."),
                (Say(_("See what is open:")), Type(("pending",))),
            ) from bug
        return self._end()

    # ── begin and end ────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        self._welcome()
        verdicts = self._verdicts
        recent = verdicts.takings.recent()
        for payment in recent:  # recorded, and posctl died before it was shown
            if not payment.open and not payment.told:
                verdicts.tell(told(payment, self._desk), earlier=True)
        verdicts.takings.paid_before(recent)
        for checkout, now in part_paid(recent, self._desk.journal):
            verdicts.rests.put(checkout, now)
        verdicts.find_open()
        if verdicts.open or verdicts.rests:
            verdicts.show_open()
            self._talk.note(_("The till was started anew, and so are these numbers."))
        self._ask_who()

    def _ask_who(self) -> None:
        """Whether whoever took the last payment of the shift goes on: a power cut forgets `w`."""
        last = None if self._tools.operator_given else self._verdicts.takings.last_operator()
        now = str(self._cashier.anyone.members["operator_id"])
        if last not in (None, now):
            self._talk.confirm(
                _("Is that you?"),
                lambda: self._work_as(last),
                self._ask_operator,
                nay=_("Then type who works here now."),
                asks=Asks.INSIST,
                about=lambda: _("Operator {last} took the last payment here.").format(last=last),
            )

    def _welcome(self) -> None:
        profile, order = self._desk.profile, self._cashier.anyone
        self._talk.show({}, lambda canvas: draw_welcome(canvas, profile, order))

    def _await_answers(self) -> None:
        """What is on its way is still recorded; whoever insists on leaving leaves it open."""
        self._workers.give_up()
        typed: str | None = ""
        while self._workers.in_flight:
            self._verdicts.forget_codes()
            self._talk.line(_("Waiting for an answer · Ctrl-C: leave it open"))
            try:
                with self._desk.interruptible():
                    typed = None if typed is None else self._keyboard.read(None)
                    if typed is None:  # the terminal is gone
                        self._workers.wait()
            except KeyboardInterrupt:
                return
            if typed and "\x03" in typed:
                return
            self._verdicts.collect()

    def _end(self) -> Exit:
        verdicts = self._verdicts
        verdicts.forget_codes()
        self._talk.line("")
        if (verdicts.open or verdicts.rests) and not self._listed:
            verdicts.show_open(leaving=True)
        self._talk.show({}, lambda canvas: draw_farewell(canvas, verdicts.status()))
        left = [*self._workers.in_flight.values(), *(one.payment for one in verdicts.open)]
        return worst([EXIT_OF[outcome_of(payment.standing)] for payment in left])

    # ── the loop ─────────────────────────────────────────────────────────────────────────────

    def _serve(self) -> None:
        while not self._leaving:
            self._talk.head()
            self._show_prompt()
            try:
                with self._desk.interruptible():
                    typed = self._keyboard.read(self._patience_s())
            except KeyboardInterrupt:  # SIGTERM or SIGHUP: Ctrl-C is a key
                return
            if typed is None:
                return
            quiet = not typed and not self._workers.some_arrived
            self._verdicts.forget_codes_if(quiet=quiet)
            try:
                for wish in self._entry.take(typed, self._tools.monotonic()):
                    self._grant(wish)
                self._verdicts.collect()
                self._sending.ask_due()
            except AfterSending:
                raise
            except PosctlError as error:  # the journal, say: the next customer may have more luck
                self._talk.complain(error)

    def _patience_s(self) -> float | None:
        """How long nothing has to be done unless something comes."""
        now_s = self._tools.monotonic()
        verdicts = self._verdicts
        next_s = verdicts.open.next_s(self._workers.in_flight)
        until_s = min(next_s, self._entry.scan_end_s, verdicts.codes_end_s)
        if self._entry.prompt is Prompt.WATCH:  # it counts the seconds
            until_s = min(until_s, now_s + 1)
        return None if until_s == inf else max(0.0, until_s - now_s)

    def _show_prompt(self) -> None:
        if self._entry.prompt is Prompt.WATCH:
            words, *shorter = self._verdicts.countdown()
            self._talk.line(words, shorter=shorter)
            return
        if self._talk.status_due and self._entry.prompt is Prompt.AMOUNT:
            self._talk.show({}, lambda canvas: draw_status(canvas, self._verdicts.status()))
            self._talk.status_due = False
        typed = self._entry.echo
        shorter = [label + typed for label in self._entry.shorter_labels]
        self._talk.line(self._entry.label + typed, shorter=shorter)

    def _grant(self, wish: Wish) -> None:
        match wish:
            case Keep(text):
                shorter = [label + text for label in self._entry.shorter_labels]
                self._talk.line(self._entry.label + text, shorter=shorter, keep=True)
            case Note(text):
                self._talk.note(text)
            case Sale():
                self._sending.sell(wish)
            case Chosen(pay_fee, checkout_id):
                self._sending.look(pay_fee, checkout_id)
            case Answer(yes):
                self._answered(yes=yes)
            case Words(text):
                self._talk.words(text)
            case Command():
                self._command(*wish)
            case Plain.NEXT:
                self._closing.end()
                self._verdicts.leave()
            case Plain.LEAVE:
                self._leave()

    def _answered(self, *, yes: bool) -> None:
        self._entry.fresh()
        try:
            if yes:
                self._talk.yes()
            else:
                self._talk.no()
        finally:
            if self._entry.asks is None:  # else it is asked once more
                self._closing.end()

    # ── commands ─────────────────────────────────────────────────────────────────────────────

    def _command(self, letter: str, number: int | None, checkout_id: str) -> None:
        self._talk.status_due = True
        commands: dict[str, Callable[[], object]] = {
            "r": lambda: self._sending.retry(number),
            "c": lambda: self._closing.ask(number),
            "s": lambda: self._sending.ask_status(number),
            "+": lambda: self._take_rest(number),
            "o": self._list_open,
            "p": lambda: self._print(number, checkout_id),
            "x": self._report,
            "z": self._close_shift,
            "w": self._ask_operator,
            "?": lambda: self._talk.show({}, draw_help),
            "q": self._leave,
        }
        commands[letter]()

    def _leave(self) -> None:
        """Leave, unless something is open or part-paid: then only after a yes, or a second
        Ctrl-C.
        """
        self._verdicts.look_again()
        now = self._verdicts.status()
        if self._entry.asks is Asks.LEAVE:
            self._go()
            return
        if not (now.open or now.rests):
            self._leaving = True
            return
        self._verdicts.show_open(leaving=True)
        if now.open:
            self._talk.note(_("Once you have left, nobody asks about what is open."))
        self._talk.confirm(
            _("Leave all the same?"),
            self._go,
            nay=_("The till goes on."),
            asks=Asks.LEAVE,
            about=lambda: "   ".join(left_over(self._verdicts.status())),
        )

    def _go(self) -> None:
        self._leaving = self._listed = True

    def _list_open(self) -> None:
        self._verdicts.look_again()
        self._verdicts.show_open()

    def _take_rest(self, number: int | None) -> None:
        """Go on with a part-paid checkout, without a number with the one that is offered; what it
        still needs may have been paid elsewhere.
        """
        rests, spoken_of = self._verdicts.rests, self._entry.rest
        if number is None and spoken_of is not None:
            rest = rests.of(spoken_of.checkout_id)
        else:
            rest = rests.find(number)
        if rest is not None:
            self._verdicts.count_rest(rest.checkout)
            rest = rests.find(rest.number)
        if rest is None:
            words = _("There is no such part-paid checkout. The list: o")
            if not rests:
                words = _("Nothing is part-paid. A split: take the first part as usual, then +.")
            self._talk.note(words)
            return
        self._entry.take_rest(Offer(rest.checkout.checkout_id, rest.remaining_fee, rest=True))

    def _print(self, number: int | None, checkout_id: str) -> None:
        if checkout_id:
            self._print_of(checkout_id)
        else:
            self._print_receipt(1 if number is None else number)

    def _print_receipt(self, number: int) -> None:
        """The receipt of the last payment, 1, or of an earlier one."""
        receipts = self._verdicts.takings.receipts
        if not receipts:
            self._talk.note(_("Nothing was paid here today."))
            return
        if not 1 <= number <= len(receipts):
            words = _("There is no payment {n} here: since yesterday {count} were paid.")
            self._talk.note(words.format(n=number, count=len(receipts)))
            return
        payment = self._desk.journal.payment(receipts[-number].request_id)
        if payment is None or not payment.standing.paid:  # it was corrected elsewhere
            self._talk.note(_("This payment counts as not paid, so there is no receipt."))
        else:
            self._talk.text(self._tools.receipt(payment))

    def _print_of(self, checkout_id: str) -> None:
        """What became of a checkout, and the receipts of what was paid on it."""
        order = self._cashier.make({"pay_fee": "1", "checkout_id": plain_id(checkout_id)})
        checkout = checkout_of(order, self._desk.profile)
        payments = self._desk.journal.payments_of(checkout)
        if not payments:
            words = _("Nothing was charged on checkout {checkout_id}.")
            self._talk.note(words.format(checkout_id=checkout.checkout_id))
        for payment in sorted(payments, key=lambda payment: payment.seq):
            outcome = named(outcome_of(payment.standing), payment.standing.state)
            since = age(self._desk.now_ms() - payment.created_ms)
            words = _("{payment} · {outcome} · begun {since} ago")
            self._talk.note(words.format(payment=which(payment), outcome=outcome, since=since))
            if payment.standing.paid:
                self._talk.text(self._tools.receipt(payment))

    def _report(self) -> None:
        self._tools.report()
        self._verdicts.look_again()
        if self._verdicts.open:
            self._talk.note(_("Here at the till, the list of what is open: o"))
        self._verdicts.show_rests()

    def _close_shift(self) -> None:
        """Close the shift, over all tills of the merchant, unless something is open here."""
        verdicts = self._verdicts
        verdicts.look_again()
        if verdicts.open:
            verdicts.show_open()
            self._talk.note(_("Settle what is open first: r, s or c and its number. Then z."))
            self._talk.note(_("Not known yet? Leave it open: q. Close the shift another time."))
            return
        if others := self._cashier.open_elsewhere():
            self._talk.note(_("The shift is that of all tills, and not everything is settled:"))
            for payment in others:
                words = _("Till {till}: {payment}")
                self._talk.note(words.format(till=payment.machine_id, payment=which(payment)))
            self._talk.note(_("Settle it at that till first: r or c and its number. Then z."))
            return
        try:
            about, close = self._tools.to_close(self._cashier.name)
        except Busy as error:  # the platform contradicts the journal, say
            self._talk.complain(error)
            self._talk.note(_("The shift goes on. Fetch the manager."))
            return
        verdicts.show_rests(leaving=True)
        self._talk.confirm(
            _("Close the shift for good?"),
            close,
            nay=_("The shift was not closed."),
            about=lambda: about,
        )

    def _ask_operator(self) -> None:
        now = str(self._cashier.anyone.members["operator_id"])
        self._talk.ask_words(
            _("Operator: "),
            self._is_operator,
            about=_("Now operator {now} works here. Esc: no change").format(now=now),
            if_empty=_("Type the operator's number. Esc: no change"),
        )

    def _is_operator(self, typed: str) -> None:
        """Take over, after a question when an article was scanned."""
        if what_is(typed) in (Scan.GOODS, Scan.LINK):
            self._talk.confirm(
                _("Is it the operator?"),
                lambda: self._work_as(typed),
                nay=_("Nothing has changed."),
                about=lambda: _("{typed} looks like an article's barcode or a web address.").format(
                    typed=typed
                ),
            )
            return
        self._work_as(typed)

    def _work_as(self, operator: str) -> None:
        """Another cashier takes over; what is open keeps the one it was begun by."""
        self._cashier.take_over(operator)
        self._entry.fresh()
        self._welcome()
