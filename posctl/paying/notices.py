"""What waits for a person, to be told to `notify_command`: each payment and each alarm once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from posctl.journal import Journal
from posctl.messages import _
from posctl.money.admit import may_resend
from posctl.money.advice import amount
from posctl.money.record import Alarm, Merchant, Payment
from posctl.money.result import alarm_json, payment_json


class Notice(NamedTuple):
    """A payment that posctl never resends by itself, or evidence against a closed one (`alarm`).

    `mark` is its name among the journal's marks, which are all merchants'.
    """

    mark: str
    payment: Payment
    alarm: Alarm | None = None


def swept(merchant: Merchant) -> str:
    """The mark of the merchant's latest `retry --due`."""
    return f"swept {_name(merchant)}"


def _name(merchant: Merchant) -> str:
    return f"{'live' if merchant.live else 'training'} {merchant.name}"


def notices(journal: Journal, merchant: Merchant, now_ms: int) -> list[Notice]:
    """All that waits for a person now, oldest first. Raises JournalError."""
    told = f"told {_name(merchant)} "
    waiting = [
        Notice(f"{told}{payment.request_id}", payment)
        for payment in journal.open_payments(merchant)
        if may_resend(payment, now_ms, automatic=True) is not None
    ]
    for alarm in journal.alarms(merchant):
        payment = journal.payment(alarm.request_id)
        if payment is not None:
            waiting.append(Notice(f"{told}alarm {alarm.id}", payment, alarm))
    return waiting


def settled(marks: Iterable[str], waiting: Sequence[Notice], merchant: Merchant) -> list[str]:
    """The marks of what waits no longer; another merchant's are not known here and stay."""
    still = {notice.mark for notice in waiting}
    told = f"told {_name(merchant)} "
    return [name for name in marks if name.startswith(told) and name not in still]


def notice_json(notice: Notice, profile: str, now_ms: int) -> dict[str, Any]:
    """What the command reads from stdin."""
    payment, alarm = notice.payment, notice.alarm
    if alarm is None:
        words = _("Checkout {checkout}, {money}: open for {minutes} min. Somebody must look at it.")
    else:
        words = _("Checkout {checkout}, {money}: the platform contradicts our record.")
    return {
        "posctl": 1,
        "event": "waiting" if alarm is None else "alarm",
        "profile": profile,
        "live": payment.live,
        "text": words.format(
            checkout=payment.checkout.checkout_id,
            money=amount(payment.pay_fee),
            minutes=max(0, now_ms - payment.created_ms) // 60_000,
        ),
        "payment": payment_json(payment),
        "alarm": None if alarm is None else alarm_json(alarm),
    }
