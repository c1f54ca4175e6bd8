"""One line a payment, for a spreadsheet: what a back office adds up, sorts and looks up by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from posctl.messages import _
from posctl.money import advice
from posctl.money.order import yuan
from posctl.money.record import Correction, Payment
from posctl.screen.payments import named_of
from posctl.screen.sheet import Id, sheet
from posctl.times import date_time


def details(payments: Iterable[Payment]) -> str:
    """The payments as CSV, heads in the language in use, times local, amounts in yuan."""
    return sheet(heads(), rows(payments))


def details_of(
    payments: Iterable[Payment], corrections: Iterable[Correction], taken_fee: int
) -> str:
    """As `details`, with the corrections behind, and what all of them come to in the last row."""
    total = (_("Total"), None, None, yuan(taken_fee), *(None,) * (len(heads()) - 4))
    return sheet(heads(), (*rows(payments), *map(_corrected, corrections), total))


def _corrected(one: Correction) -> tuple[Any, ...]:
    return (
        *(date_time(one.at_ms), _("Correction"), None, yuan(one.fee), as_id(one.checkout_id)),
        *(as_id(one.order_id), as_id(one.shop_id), as_id(one.machine_id), as_id(one.operator_id)),
        *(advice.channel(one.pay_channel), None, None, as_id(one.request_id)),
        *(date_time(one.at_ms), None, one.by, one.note),
    )


def heads() -> tuple[str, ...]:
    return (
        *(_("Begun"), _("Outcome"), _("Amount (yuan)"), _("Charged (yuan)"), _("Checkout")),
        *(_("Order"), _("Shop"), _("Till"), _("Operator"), _("Channel")),
        *("payment_order_id", "channel_order_id", "request_id", _("Settled"), _("Tries")),
        *(_("closed by"), _("evidence")),
    )


def rows(payments: Iterable[Payment]) -> Iterator[tuple[Any, ...]]:
    """What stands under `heads`."""
    for one in payments:
        checkout, verdict, standing = one.checkout, one.verdict, one.standing
        yield (
            date_time(one.created_ms),
            named_of(one).partition(" ")[2],
            yuan(one.pay_fee),
            yuan(one.fee) if standing.paid else None,
            as_id(checkout.checkout_id),
            as_id(one.order_id),
            as_id(checkout.shop_id),
            as_id(one.machine_id),
            as_id(one.operator_id),
            advice.channel(one.pay_channel),
            as_id(verdict.payment_order_id),
            as_id(verdict.channel_order_id),
            as_id(one.request_id),
            None if one.closed_ms is None else date_time(one.closed_ms),
            one.tries,
            one.resolved_by,
            one.resolved_note,
        )


def as_id(text: str | None) -> Id | None:
    return None if text is None else Id(text)
