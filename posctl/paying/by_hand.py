"""A payment closed, or corrected, on a person's word: the one place for `resolve` and the till."""

from __future__ import annotations

from posctl.errors import Busy, UsageError
from posctl.hint import Say, Type
from posctl.journal import Journal, Transaction
from posctl.messages import _
from posctl.money.codes import codes_of
from posctl.money.outcome import State, contradicts
from posctl.money.outcome import resolve as resolved
from posctl.money.record import Payment


def close_by_hand(
    payment: Payment, by: str, note: str, now_ms: int, journal: Journal, *, paid: bool
) -> Payment:
    """Close `payment`, which somebody has looked at as it is here, on that person's word.

    Raises Busy when it is being sent or was tried since, UsageError when it is closed already.
    """

    def close(tx: Transaction) -> Payment | None:
        current = tx.payment(payment.request_id) or payment
        refuse_by_hand(payment, current, paid=paid, correct=False)
        if not tx.hold(current):
            return None
        return tx.resolve(current, resolved(current.standing, paid=paid), by, note, now_ms)

    done = journal.transact(close)
    if done is None:
        raise being_sent(payment)
    journal.let_go(done)
    if codes_of(payment.pay_request):
        journal.forget_codes()
    return done


def correct_by_hand(
    payment: Payment, by: str, note: str, now_ms: int, journal: Journal, *, paid: bool
) -> Payment:
    """Let `payment`, which a person closed, stand the other way: an entry more, nothing less.

    Alarms that the new word agrees with are answered by it. Raises Busy when it was tried, or
    corrected, since somebody looked at it as it is here, UsageError when a person did not close it.
    """

    def correct(tx: Transaction) -> Payment:
        current = tx.payment(payment.request_id) or payment
        refuse_by_hand(payment, current, paid=paid, correct=True)
        done = tx.correct(current, by, note, now_ms)
        alarms = [
            one for one in tx.alarms(done.checkout.merchant) if one.request_id == done.request_id
        ]
        if not any(contradicts(done.standing, one.event) for one in alarms):
            tx.acknowledge(done.request_id, by, now_ms)
        return done

    return journal.transact(correct)


def being_sent(payment: Payment) -> Busy:
    """What to tell of a payment that is on its way: nobody can know what becomes of it."""
    return Busy(
        "held",
        _("posctl is sending this payment at this very moment."),
        (Say(_("Wait until it is done; then look:")), Type(("show", payment.request_id))),
    )


def refuse_by_hand(looked_at: Payment, now: Payment, *, paid: bool, correct: bool) -> None:
    """What closing or correcting would refuse as the payment stands now; whether it is being sent
    at this moment is not asked. Raises Busy, UsageError.
    """
    if not correct and not now.open:
        raise _closed(now)
    if correct and now.standing.state is not State.RESOLVED:
        raise _not_by_hand(now, paid=paid)
    if correct and now.standing.paid == paid:
        raise _so_already(now, paid=paid)
    # What is to be corrected was closed since, and so stands otherwise.
    if now.tries != looked_at.tries or (not correct and now.tried_since(looked_at)):
        raise _tried_again(now)


def _so_already(payment: Payment, *, paid: bool) -> UsageError:
    return UsageError(
        "so_already",
        _("This payment stands as paid already.")
        if paid
        else _("This payment stands as not paid already."),
        (Say(_("See it:")), Type(("show", payment.request_id))),
    )


def _tried_again(payment: Payment) -> Busy:
    return Busy(
        "tried_again",
        _("A try of this payment began or ended since you looked at it."),
        (Say(_("Look again:")), Type(("show", payment.request_id))),
    )


def _closed(payment: Payment) -> UsageError:
    see = (Say(_("See it:")), Type(("show", payment.request_id)))
    if payment.standing.state is State.RESOLVED:
        said = (
            _("This payment was closed by hand already, as paid.")
            if payment.standing.paid
            else _("This payment was closed by hand already, as not paid.")
        )
        other = "not-paid" if payment.standing.paid else "paid"
        words = ("resolve", payment.request_id, "--correct", "--as", other, "--note", "…")
        return UsageError(
            "closed", said, (*see, Say(_("Was that wrong? Correct it:")), Type(words))
        )
    return UsageError(
        "closed", _("This payment is closed already; a closed payment never changes."), see
    )


def _not_by_hand(payment: Payment, *, paid: bool) -> UsageError:
    if payment.open:
        word = "paid" if paid else "not-paid"
        return UsageError(
            "open",
            _("This payment is open: there is nothing to correct yet."),
            (
                Say(_("Close it by hand:")),
                Type(("resolve", payment.request_id, "--as", word, "--note", "…")),
            ),
        )
    return UsageError(
        "not_by_hand",
        _("The platform's answer closed this payment, no person; that is not corrected here."),
        (
            *(Say(_("See it:")), Type(("show", payment.request_id))),
            *(Say(_("How money is given back:")), Type(("explain", "refund"))),
        ),
    )


def person(operator_id: str | None = None) -> str:
    """Who answers for what is closed: the operator at this till, and the system's user."""
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # in no list of the system's; Windows has none
        user = "?"
    # Bytes that are no text go into no journal.
    here = f"{user}@{socket.gethostname()}".encode(errors="replace").decode()
    return f"{operator_id}, {here}" if operator_id else here
