"""An open payment closed on a person's word: the one place for it, for `resolve` and the till."""

from __future__ import annotations

from typing import Literal

from posctl.errors import Busy, UsageError
from posctl.hint import Say, Type
from posctl.journal import Journal, Transaction
from posctl.messages import _
from posctl.money.codes import codes_of
from posctl.money.outcome import resolve as resolved
from posctl.money.record import Payment


def close_by_hand(
    payment: Payment, by: str, note: str, now_ms: int, journal: Journal, *, paid: bool
) -> Payment:
    """Close `payment`, which somebody has looked at as it is here, on that person's word.

    Raises Busy when it is being sent or was tried since, UsageError when it is closed already.
    """

    def close(tx: Transaction) -> Payment | Literal["closed", "held", "tried"]:
        current = tx.payment(payment.request_id) or payment
        if not current.open:
            return "closed"
        if current.tries != payment.tries:
            return "tried"
        if not tx.hold(current):
            return "held"
        return tx.resolve(current, resolved(current.standing, paid=paid), by, note, now_ms)

    done = journal.transact(close)
    if done == "held":
        raise Busy(
            "held",
            _("posctl is sending this payment at this very moment."),
            (Say(_("Wait until it is done; then look:")), Type(("show", payment.request_id))),
        )
    if done == "tried":
        raise Busy(
            "tried_again",
            _("The payment was tried again since you looked at it."),
            (Say(_("Look again:")), Type(("show", payment.request_id))),
        )
    if done == "closed":
        raise UsageError(
            "closed",
            _("This payment is closed already; a closed payment never changes."),
            (Say(_("See it:")), Type(("show", payment.request_id))),
        )
    journal.let_go(done)
    if codes_of(payment.pay_request):
        journal.forget_codes()
    return done


def person() -> str:
    """Who sits at this machine, as the system knows them."""
    import getpass  # noqa: PLC0415  only here
    import socket  # noqa: PLC0415

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # no such user in the system's list, as in containers
        user = "?"
    return f"{user}@{socket.gethostname()}"
