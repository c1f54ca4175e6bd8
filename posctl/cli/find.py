"""Which payment is meant: by an id or its beginning, or as the latest of this till."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from posctl.errors import ConfigError, JournalError, UsageError
from posctl.hint import Hint, Say, Type
from posctl.journal.place import is_database
from posctl.messages import _
from posctl.money.codes import discreet
from posctl.money.order import request_id, yuan
from posctl.money.outcome import outcome_of
from posctl.money.record import Filter
from posctl.screen.brush import named as outcome_named
from posctl.times import date_time

if TYPE_CHECKING:
    from posctl.cli.run import Run
    from posctl.money.record import Payment


def named(text: str) -> str:
    """What may name a payment, in its one spelling, without looking for it. Raises UsageError."""
    with suppress(UsageError):
        return request_id(text, "ID")
    if re.fullmatch(r"[!-~]{6,128}", text):
        return text
    raise UsageError(
        "request_id",
        _(
            "That cannot be the ID of a payment: give a request_id or its first 6 or more "
            "characters, a payment_order_id or a channel_order_id."
        ),
        (
            *(Say(_("List payments with:")), Type(("history",))),
            *(Say(_("For a checkout:")), Type(("checkout", "CHECKOUT_ID"))),
        ),
    )


def find(text: str, run: Run) -> Payment:
    """The one payment that `text` names: by its request_id, in any spelling, or the first 6 or more
    characters of it, or by an id of the platform's or the wallet's. Raises UsageError.
    """
    try:
        wanted = named(text)  # before the journal is opened
    except UsageError as error:
        with suppress(ConfigError, JournalError):
            error.hint = _its_payments(text, run) or error.hint
        raise
    found = run.journal().named(wanted)
    if not found:
        raise UsageError(
            "unknown_payment",
            _("The journal holds no payment {request_id}.").format(request_id=discreet(text[:64])),
            _its_payments(text, run) or (Say(_("List payments with:")), Type(("history",))),
        )
    if len(found) > 1:
        raise UsageError(
            "several",
            _("{name} names several payments, so nothing was done.").format(
                name=discreet(text[:64])
            ),
            (Say(_("Give more of one of these:")), *(Say(_one_of(one)) for one in found)),
        )
    return found[0]


def of_checkout(checkout_id: str, shop_id: str | None, run: Run) -> list[Payment]:
    """All payments of one checkout, oldest first. Raises UsageError when several shops have it."""
    merchant = run.load().profile.merchant
    which = Filter(merchant=merchant, checkout_id=checkout_id, shop_id=shop_id)
    payments = list(run.journal().history(which))[::-1]
    if len({one.checkout.shop_id for one in payments}) > 1:
        raise UsageError(
            "which",
            _("Several shops have a checkout {checkout}.").format(checkout=checkout_id),
            _("Name one with --shop"),
        )
    return payments


def _its_payments(text: str, run: Run) -> Hint:
    """The payments of the checkout `text`, the open ones if there are any; () without any."""
    which = Filter(merchant=run.load().profile.merchant, checkout_id=text)
    payments = list(run.journal().history(which))
    ones = [one for one in payments if one.open] or payments
    if not ones:
        return ()
    several = len(ones) > MANY
    return (
        Say(_("{text} is a checkout. Name one of its payments:").format(text=discreet(text[:64]))),
        *(Say(_one_of(one)) for one in ones[:MANY]),
        *((Say(_("All of them:")), Type(("checkout", text))) if several else ()),
    )


MANY = 10  # payments of a checkout; more are listed elsewhere


def _one_of(payment: Payment) -> str:
    return _("{request_id}  {when}  {outcome}  ￥{yuan}  checkout {checkout}").format(
        request_id=payment.request_id,
        when=date_time(payment.created_ms),
        outcome=outcome_named(outcome_of(payment.standing), payment.standing.state),
        yuan=yuan(payment.pay_fee),
        checkout=payment.checkout.checkout_id,
    )


def latest(run: Run) -> Payment | None:
    """The latest payment of this till: another's would be told, printed or taken for this one's.

    In a journal on this machine, of this profile, too: it may have been told another till's number.
    """
    loaded = run.load()
    profile, here = loaded.profile, loaded.profile.defaults
    which = Filter(merchant=profile.merchant)
    till = which._replace(shop_id=here.get("shop_id"), machine_id=here.get("machine_id"))
    of_till = next(run.journal().history(till), None)
    if is_database(loaded.journal):
        return of_till
    of_profile = next(run.journal().history(which._replace(profile=profile.name)), None)
    both = [one for one in (of_till, of_profile) if one is not None]
    return max(both, key=lambda one: (one.created_ms, one.seq), default=None)
