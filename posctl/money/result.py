"""What a run has to say, before anybody draws it; and the JSON of the contract.

Every key stands on every path, null where there is no value. Keys are only ever added.
"""

import time
from typing import Any, NamedTuple, Self

from posctl.errors import PosctlError
from posctl.hint import Hint
from posctl.money.outcome import EXIT_OF, Exit, Outcome, outcome_of
from posctl.money.record import Alarm, Correction, Payment, Try
from posctl.shell import as_text


class Problem(NamedTuple):
    """Why it is not a plain success: `code` and `sub_code` for scripts, the rest for people."""

    kind: str
    code: str
    message: str
    hint: Hint = ()
    sub_code: str | None = None

    @classmethod
    def of(cls, error: PosctlError) -> Self:
        """What an error tells."""
        return cls(error.kind, error.code, error.message, error.hint)


class Asked(NamedTuple):
    """What the command line asked for, shown when there is no payment to show."""

    request_id: str | None = None
    shop_id: str | None = None
    checkout_id: str | None = None
    order_id: str | None = None
    pay_fee: int | None = None


class Result(NamedTuple):
    """The outcome of `pay`, or of `retry` for one payment.

    `outcome` is None for usage, configuration and journal errors. `payment` is the one this run is
    about; when `blocked_by` is set it is what `asked` says, and nothing was sent.
    """

    exit_code: Exit
    outcome: Outcome | None = None
    payment: Payment | None = None
    asked: Asked = Asked()
    resumed: bool = False
    remaining_fee: int | None = None
    blocked_by: Payment | None = None
    warnings: tuple[str, ...] = ()
    problem: Problem | None = None


def result_json(
    result: Result, command: str, profile: str | None, *, live: bool | None
) -> dict[str, Any]:
    """The contract's object for `pay` and for `retry` of one id."""
    about = result.payment
    asked = result.asked
    head = {
        "posctl": 1,
        "command": command,
        "outcome": result.outcome,
        "exit_code": int(result.exit_code),
    }
    if about is None:
        body = dict.fromkeys(_PAYMENT_KEYS)
        body |= {
            "profile": profile,
            "live": live,
            "request_id": asked.request_id,
            "shop_id": asked.shop_id,
            "checkout_id": asked.checkout_id,
            "order_id": asked.order_id,
            "pay_fee": asked.pay_fee,
            "remaining_fee": result.remaining_fee,
            "tries": 0,
        }
    else:
        body = {name: value for name, value in payment_json(about).items() if name not in head}
        body["remaining_fee"] = result.remaining_fee
    return (
        head
        | body
        | {
            "resumed": result.resumed,
            "warnings": list(result.warnings),
            "blocked_by": result.blocked_by.request_id if result.blocked_by else None,
            "error": problem_json(result.problem),
        }
    )


def problem_json(problem: Problem | None) -> dict[str, Any] | None:
    """`error` in JSON."""
    if problem is None:
        return None
    return {
        "kind": problem.kind,
        "code": problem.code,
        "sub_code": problem.sub_code,
        "message": problem.message,
        "hint": as_text(problem.hint),
    }


def payment_json(payment: Payment) -> dict[str, Any]:
    """One payment, in `show`, in lists and in `pay`."""
    verdict = payment.verdict
    outcome = outcome_of(payment.standing)
    return {
        "outcome": outcome,
        "exit_code": int(EXIT_OF[outcome]),
        "profile": payment.profile,
        "live": payment.live,
        "request_id": payment.request_id,
        "shop_id": payment.checkout.shop_id,
        "checkout_id": payment.checkout.checkout_id,
        "order_id": payment.order_id,
        "pay_fee": payment.pay_fee,
        "result_status": verdict.result_status,
        "remaining_fee": payment.remaining_fee,
        "current_pay_fee": payment.charged_fee,
        "current_payment_channel": verdict.current_payment_channel,
        "payment_order_id": verdict.payment_order_id,
        "channel_order_id": verdict.channel_order_id,
        "result_code": verdict.result_code,
        "result_message": verdict.result_message,
        "trace_id": verdict.trace_id,
        "tries": payment.tries,
        "state": payment.standing.state,
        "operator_id": payment.operator_id,
        "machine_id": payment.machine_id,
        "pay_channel": payment.pay_channel,
        "created_at": iso(payment.created_ms),
        "closed_at": None if payment.closed_ms is None else iso(payment.closed_ms),
        "resolved_by": payment.resolved_by,
        "resolved_note": payment.resolved_note,
        "corrected": payment.booked is not None,
    }


_PAYMENT_KEYS = (
    "profile",
    "live",
    "request_id",
    "shop_id",
    "checkout_id",
    "order_id",
    "pay_fee",
    "result_status",
    "remaining_fee",
    "current_pay_fee",
    "current_payment_channel",
    "payment_order_id",
    "channel_order_id",
    "result_code",
    "result_message",
    "trace_id",
    "tries",
    "state",
    "operator_id",
    "machine_id",
    "pay_channel",
    "created_at",
    "closed_at",
    "resolved_by",
    "resolved_note",
    "corrected",
)


RESULT_KEYS = (
    *("posctl", "command", "outcome", "exit_code", *_PAYMENT_KEYS),
    *("resumed", "warnings", "blocked_by", "error"),
)


def try_json(one: Try) -> dict[str, Any]:
    """One try, in `show`."""
    end = one.end
    return {
        "n": one.n,
        "kind": one.kind,
        "started_at": iso(one.started_ms),
        "finished_at": iso(end.finished_ms) if end else None,
        "event": end.event if end else None,
        "http_status": end.http_status if end else None,
        "code": end.code if end else None,
        "sub_code": end.sub_code if end else None,
        "message": end.message if end else None,
        "host": one.who.host,
        "pid": one.who.pid,
        "machine_id": one.who.machine_id,
        "operator_id": one.who.operator_id,
        "raw": end.raw if end else None,
    }


def alarm_json(alarm: Alarm) -> dict[str, Any]:
    """One alarm, in `pending` and `show`."""
    return {
        "request_id": alarm.request_id,
        "at": iso(alarm.at_ms),
        "event": alarm.event,
        "text": alarm.text,
    }


def correction_json(one: Correction) -> dict[str, Any]:
    """A person's word to the contrary, in `show`, `resolve` and `report`."""
    return {
        "request_id": one.request_id,
        "checkout_id": one.checkout_id,
        "operator_id": one.operator_id,
        "machine_id": one.machine_id,
        "shop_id": one.shop_id,
        "order_id": one.order_id,
        "pay_channel": one.pay_channel,
        "created_at": iso(one.created_ms),
        "as": "paid" if one.paid else "not-paid",
        "fee": one.fee,
        "at": iso(one.at_ms),
        "by": one.by,
        "note": one.note,
    }


def iso(epoch_ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond: what a script sorts and parses."""
    seconds, ms = divmod(epoch_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03d}Z"
