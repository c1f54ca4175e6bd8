"""An open payment of the till closed by hand: three questions, on a person's evidence."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from posctl.errors import Busy, UsageError
from posctl.messages import _
from posctl.money.order import check_value
from posctl.money.outcome import outcome_of
from posctl.money.record import Payment
from posctl.money.scan import half_width
from posctl.paying.by_hand import close_by_hand
from posctl.paying.desk import NEXT_PAUSE_S, Desk
from posctl.paying.pay import told
from posctl.screen.brush import named
from posctl.till.cashier import Cashier
from posctl.till.entry import Asks
from posctl.till.open import Open
from posctl.till.screen import which
from posctl.till.talk import Talk
from posctl.till.verdicts import Verdicts
from posctl.till.wishes import COMMANDS

_SAID = {
    **dict.fromkeys(("1", "paid", "已付", "已付款", "付了"), True),
    **dict.fromkeys(("2", "not-paid", "not paid", "未付", "未付款", "没付"), False),
}

_FEW = 2  # signs that say something: "未付" does


class Closing:
    """While somebody says what became of a payment, the platform is not asked about it."""

    def __init__(
        self,
        desk: Desk,
        cashier: Cashier,
        talk: Talk,
        verdicts: Verdicts,
        monotonic: Callable[[], float],
    ) -> None:
        self._desk, self._cashier, self._talk = desk, cashier, talk
        self._verdicts, self._monotonic = verdicts, monotonic
        self._one: Open | None = None

    def __bool__(self) -> bool:
        """Whether somebody is being asked."""
        return self._one is not None

    def ask(self, number: int | None) -> None:
        """Ask what became of it, for the evidence, and whether to close it so."""
        if number is None and len(self._verdicts.open) > 1:
            self._talk.note(_("Say which one: c and its number. The list: o"))
            return
        one = self._verdicts.find(number)
        if one is None:
            return
        now = self._desk.journal.payment(one.payment.request_id) or one.payment
        if self._is_on_its_way(now):
            return
        if not now.open:  # closed elsewhere meanwhile
            self._verdicts.settle(told(now, self._desk))
            return
        self._one = one._replace(payment=now)  # another posctl may have tried it since
        self._verdicts.open.ask_at(one.payment.request_id, inf)
        first = _("Look at the customer's phone and the platform's console first.")
        self._talk.note(first)
        self._talk.ask_words(
            _("Paid? 1 yes, 2 no, Esc: leave it: "),
            self._said,
            about=which(now),
            if_empty=_("Type 1 for paid, 2 for not paid."),
        )

    def _is_on_its_way(self, payment: Payment) -> bool:
        """Whether it is, which is said."""
        on_its_way = self._verdicts.is_on_its_way(payment)
        if on_its_way:
            self._talk.note(_("The platform is being asked about it: wait for its verdict."))
        return on_its_way

    def _said(self, verdict: str) -> None:
        paid = _SAID.get(half_width(verdict).lower())
        if paid is None or self._one is None:  # it is asked again
            self._talk.note(_("Type 1 for paid, 2 for not paid."))
            return
        self._talk.ask_words(
            _("Paid. What shows it: ") if paid else _("Not paid. What shows it: "),
            lambda note: self._sure(note, paid=paid),
            about=which(self._one.payment),
            if_empty=_("Say in a few words what shows it."),
        )

    def _sure(self, note: str, *, paid: bool) -> None:
        if self._one is None:
            return
        if half_width(note).lower() in COMMANDS.values():
            words = _("{letter} is a command. Say in a few words what shows it; Esc: leave it.")
            self._talk.note(words.format(letter=note))
            return
        if sum(character.isalnum() for character in note) < _FEW:  # asked again
            self._talk.note(_("Say in a few words what shows it."))
            return
        check_value("attributes", note, _("The evidence"))
        about = which(self._one.payment)
        self._talk.confirm(
            _("Close it by hand as PAID?") if paid else _("Close it by hand as NOT PAID?"),
            lambda: self._close(note, paid=paid),
            nay=_("Nothing was closed."),
            asks=Asks.INSIST,
            about=lambda: about,
        )

    def _close(self, note: str, *, paid: bool) -> None:
        """Close it; when another posctl has tried it since, that is said, and the question stands:
        nobody types her evidence twice.
        """
        if self._one is None:
            return
        now_ms, journal = self._desk.now_ms(), self._desk.journal
        payment = self._one.payment
        try:
            done = close_by_hand(payment, self._cashier.name, note, now_ms, journal, paid=paid)
        except (Busy, UsageError):
            now = journal.payment(payment.request_id) or payment
            if now.open:
                if not self._is_on_its_way(now):
                    words = _("It was tried once more meanwhile: {outcome}. Still so?")
                    self._talk.note(words.format(outcome=named(outcome_of(now.standing))))
                    self._one = self._one._replace(payment=now)
                self._sure(note, paid=paid)
                return
            self._talk.note(_("It was settled meanwhile; nothing was closed by hand."))
            done = now
        self._verdicts.settle(told(done, self._desk))

    def end(self) -> None:
        """Whatever came of it: it is asked about as before, if it is still open."""
        if self._one is not None:
            soon_s = self._monotonic() + NEXT_PAUSE_S
            next_s = inf if self._one.next_s == inf else soon_s
            self._verdicts.open.ask_at(self._one.payment.request_id, next_s)
            self._one = None
