"""A paid payment on paper: plain text in columns, for `lp` or a device. Pure.

A Chinese character, a full-width sign and whatever a Chinese printer may take for one (Unicode's
"ambiguous") count as two columns, so no line ever runs over the paper's edge.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from unicodedata import category, east_asian_width

from posctl.config.profile import Receipt
from posctl.messages import N_, _
from posctl.money import advice
from posctl.money.admit import due
from posctl.money.codes import CODE_FIELDS, masked
from posctl.money.outcome import State
from posctl.money.record import Correction, Payment
from posctl.text import one_line
from posctl.times import date_time, zone

COPIES = {"customer": N_("Customer copy"), "store": N_("Store copy")}


def receipt_text(
    payment: Payment,
    look: Receipt,
    copy: str,
    prints: int,
    corrections: Sequence[Correction] = (),
) -> str:
    """The receipt of a paid payment; `copy` is one of COPIES, `prints` 1 for its first print,
    `corrections` what persons said of it since it was closed.
    """
    paper = _headed(payment, look, copy, prints)
    _money(paper, payment)
    paper.rule()
    _facts(paper, payment, copy, corrections)
    return _footed(paper, payment, look)


def checkout_text(
    payments: Sequence[Payment],
    look: Receipt,
    copy: str,
    prints: int,
    corrections: Sequence[Sequence[Correction]],
) -> str:
    """One receipt for all that was paid of a checkout, oldest first; `corrections` are of each."""
    paper = _headed(payments[-1], look, copy, prints)
    paper.pair(_("Checkout"), payments[-1].checkout.checkout_id)
    paper.pair(_("PAID"), advice.amount(sum(one.fee for one in payments)))
    _due(paper, due(payments).remaining_fee)
    for one, of_it in zip(payments, corrections, strict=True):
        paper.rule()
        paper.pair(_("PAID"), advice.amount(one.fee))
        _facts(paper, one, copy, of_it)
    return _footed(paper, payments[-1], look)


def _headed(payment: Payment, look: Receipt, copy: str, prints: int) -> _Paper:
    paper = _Paper(look.width)
    if not payment.live:
        paper.training()
    for line in look.header:
        paper.centre(line)
    if look.header:
        paper.rule()
    paper.centre(_("PAYMENT RECEIPT"))
    paper.centre(_(COPIES[copy]))
    if prints > 1:
        paper.centre(_("*** REPRINT {n} ***").format(n=prints - 1))
    paper.rule()
    return paper


def _footed(paper: _Paper, payment: Payment, look: Receipt) -> str:
    if look.footer:
        paper.rule()
    for line in look.footer:
        paper.centre(line)
    if not payment.live:
        paper.training()
    return "\n".join(paper.lines)


def payer_code(payment: Payment) -> str | None:
    """The payment's codes, masked."""
    members = json.loads(masked(payment.pay_request))
    return " ".join(members[name] for name in CODE_FIELDS if name in members) or None


def _money(paper: _Paper, payment: Payment) -> None:
    paper.pair(_("PAID"), advice.amount(payment.fee))
    if payment.fee != payment.pay_fee:
        paper.pair(_("Asked for"), advice.amount(payment.pay_fee))
    _due(paper, payment.remaining_fee)


def _due(paper: _Paper, rest: int | None) -> None:
    if rest == 0:
        paper.pair(_("Still due"), _("nothing"))
    else:
        told = _("the platform did not say") if rest is None else advice.amount(rest)
        paper.pair(_("Still due"), told)


def _facts(paper: _Paper, payment: Payment, copy: str, corrections: Sequence[Correction]) -> None:
    verdict = payment.verdict
    paper.pair(_("Begun"), date_time(payment.created_ms))
    settled_ms = payment.closed_ms or payment.updated_ms
    paper.pair(_("Settled"), date_time(settled_ms))
    paper.pair(_("Time zone"), zone(settled_ms))
    paper.pair(_("Shop"), payment.checkout.shop_id)
    paper.pair(_("Till"), payment.machine_id)
    paper.pair(_("Operator"), payment.operator_id)
    paper.pair(_("Checkout"), payment.checkout.checkout_id)
    if payment.order_id != payment.checkout.checkout_id:
        paper.pair(_("Order"), payment.order_id)
    paper.pair(_("Channel"), advice.channel(payment.pay_channel))
    paper.pair(_("Payment code"), payer_code(payment))
    paper.pair(_("payment_order_id"), verdict.payment_order_id)
    paper.pair(_("channel_order_id"), verdict.channel_order_id)
    paper.pair(_("request_id"), payment.request_id)
    if payment.standing.state is State.RESOLVED:
        paper.centre(_("Confirmed by hand"))
        by, note = payment.resolved_by, payment.resolved_note
        for one in corrections[-1:]:
            paper.centre(_("Corrected {when}").format(when=date_time(one.at_ms)))
            by, note = one.by, one.note
        if copy == "store":
            paper.pair(_("By"), by)
            paper.pair(_("Evidence"), note)


class _Paper:
    """Lines of at most `width` columns."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[str] = []

    def rule(self) -> None:
        self.lines.append("-" * self.width)

    def training(self) -> None:
        self.lines.append("=" * self.width)
        self.centre(_("*** TRAINING ***"))
        self.centre(_("NO REAL MONEY WAS PAID"))
        self.lines.append("=" * self.width)

    def centre(self, text: str) -> None:
        for line in folded(text, self.width):
            self.lines.append(" " * ((self.width - columns(line)) // 2) + line)

    def pair(self, name: str, value: str | None) -> None:
        """A name at the left and its value at the right; a long value whole, on lines below."""
        if not value:
            return
        value = one_line(value)
        gap = self.width - columns(name) - columns(value)
        if gap > 0:
            self.lines.append(name + " " * gap + value)
            return
        self.lines.append(name)
        self.lines += [f"  {line}" for line in folded(value, self.width - 2)]


def columns(text: str) -> int:
    """How many columns `text` takes on paper."""
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if character.isascii():
        return 1
    if category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in "WFA" else 1


def folded(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, all of it, harmless to a screen.

    Broken after a space where there is one in the line, else anywhere, as Chinese is.
    """
    lines = []
    rest = one_line(text).strip()
    while columns(rest) > width:
        fits = _fitting(rest, width)
        cut = fits if rest[fits] == " " else rest.rfind(" ", 0, fits) + 1 or fits
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, rest]


def _fitting(text: str, width: int) -> int:
    """How many characters of a `text` that is wider than `width` fit into it."""
    taken = 0
    for i, character in enumerate(text):
        taken += _columns_of(character)
        if taken > width:
            return i
    raise AssertionError("it fits as a whole")
