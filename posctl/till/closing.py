"""An open payment of the till closed by hand: three questions, on a person's evidence."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from posctl.messages import _
from posctl.money.order import check_value
from posctl.money.scan import half_width
from posctl.paying.by_hand import close_by_hand
from posctl.paying.desk import NEXT_PAUSE_S, Desk
from posctl.paying.many import Workers
from posctl.paying.pay import told
from posctl.till.cashier import Cashier
from posctl.till.entry import Asks
from posctl.till.open import Open
from posctl.till.screen import which
from posctl.till.talk import Talk
from posctl.till.verdicts import Verdicts

_SAID = {
    **dict.fromkeys(("1", "paid", "已付", "已付款", "付了"), True),
    **dict.fromkeys(("2", "not-paid", "not paid", "未付", "未付款", "没付"), False),
}


class Closing:
    """While somebody says what became of a payment, the platform is not asked about it."""

    def __init__(
        self,
        desk: Desk,
        cashier: Cashier,
        talk: Talk,
        workers: Workers,
        verdicts: Verdicts,
        monotonic: Callable[[], float],
    ) -> None:
        self._desk, self._cashier, self._talk = desk, cashier, talk
        self._workers, self._verdicts, self._monotonic = workers, verdicts, monotonic
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
        if one.payment.request_id in self._workers.in_flight:
            self._talk.note(_("The platform is being asked about it: wait for its verdict."))
            return
        now = self._desk.journal.payment(one.payment.request_id) or one.payment
        if not now.open:  # closed elsewhere meanwhile
            self._verdicts.settle(told(now, self._desk))
            return
        self._one = one._replace(payment=now)  # another posctl may have tried it since
        self._verdicts.open.ask_at(one.payment.request_id, inf)
        about = which(one.payment)
        first = _("{payment}: look at the customer's phone and the platform's console first.")
        self._talk.note(first.format(payment=about))
        words = _("{payment}: was it paid? 1 paid, 2 not paid, Esc: leave it open: ")
        short = _("Paid? 1 yes, 2 no, Esc: leave it: ")
        self._talk.ask_words(words.format(payment=about), self._said, [short])

    def _said(self, verdict: str) -> None:
        paid = _SAID.get(half_width(verdict).lower())
        if paid is None or self._one is None:  # it is asked again
            self._talk.note(_("Type 1 for paid, 2 for not paid."))
            return
        words = (
            _("{payment} was paid. What shows it, in a few words: ")
            if paid
            else _("{payment} was not paid. What shows it, in a few words: ")
        )
        short = _("Paid. What shows it: ") if paid else _("Not paid. What shows it: ")
        question = words.format(payment=which(self._one.payment))
        self._talk.ask_words(question, lambda note: self._sure(note, paid=paid), [short])

    def _sure(self, note: str, *, paid: bool) -> None:
        if self._one is None or not any(character.isalnum() for character in note):
            return  # asked again
        check_value("attributes", note, _("The evidence"))
        words = (
            _("{payment}: close it by hand as PAID?")
            if paid
            else _("{payment}: close it by hand as NOT PAID?")
        )
        about = which(self._one.payment)
        short = _("{payment}: PAID?") if paid else _("{payment}: NOT PAID?")
        self._talk.confirm(
            words.format(payment=about),
            lambda: self._close(note, paid=paid),
            nay=_("Nothing was closed."),
            asks=Asks.INSIST,
            shorter=[
                short.format(payment=about),
                _("Close it as PAID?") if paid else _("Close it as NOT PAID?"),
            ],
        )

    def _close(self, note: str, *, paid: bool) -> None:
        if self._one is None:
            return
        now_ms, journal = self._desk.now_ms(), self._desk.journal
        payment = self._one.payment
        done = close_by_hand(payment, self._cashier.name, note, now_ms, journal, paid=paid)
        self._verdicts.settle(told(done, self._desk))

    def end(self) -> None:
        """Whatever came of it: it is asked about as before, if it is still open."""
        if self._one is not None:
            soon_s = self._monotonic() + NEXT_PAUSE_S
            next_s = inf if self._one.next_s == inf else soon_s
            self._verdicts.open.ask_at(self._one.payment.request_id, next_s)
            self._one = None
