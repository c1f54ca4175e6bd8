"""What an exchange says of a payment, and the row that it closes."""

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

from posctl.gateway.exchange import Exchange
from posctl.gateway.judge import read_event
from posctl.gateway.top import PAY_METHOD, Answer, ErrorAnswer, Reply, Unreadable, read_reply
from posctl.journal import Ahead, Transaction
from posctl.money import advice
from posctl.money.admit import due
from posctl.money.codes import codes_of, wallet_codes_in, without_codes
from posctl.money.outcome import Doubt, Event, Standing, State, advance, contradicts
from posctl.money.record import Payment, TryEnd, Verdict
from posctl.paying.desk import Desk
from posctl.paying.row import vanished

MAX_RAW = 16_384  # characters of an answer that the journal keeps


class Reading(NamedTuple):
    """What one exchange says about a payment, before it is written down."""

    end: TryEnd
    verdict: Verdict
    connection: int = 0  # that it came over


def read_exchange(
    payment: Payment, exchange: Exchange, now_ms: int, declines: Collection[str] = ()
) -> Reading:
    """Read what came back, or how nothing came back; `declines` are the profile's."""
    codes = codes_of(payment.pay_request)
    reply = read_reply(exchange.body, PAY_METHOD) if exchange.body is not None else None
    if reply is not None:
        codes += _others_codes(exchange.body, reply, payment)
        reply = forget_codes(reply, codes)
    end = try_end(exchange, reply, payment, now_ms, declines, codes)
    anothers = end.event is Event.ANOTHERS
    return Reading(end, payment.verdict if anothers else _verdict(reply, payment))


def _others_codes(body: bytes | None, reply: Reply, payment: Payment) -> tuple[str, ...]:
    """What looks like a wallet's code in an answer, and is none of the numbers that it may name: it
    can be the answer to a payment that this journal does not know, and so another customer's.
    """
    names = {payment.request_id, payment.order_id, payment.checkout.checkout_id}
    if isinstance(reply, Answer):
        names |= {str(reply.text(name)) for name in _NUMBERS}
    return tuple(wallet_codes_in((body or b"").decode("utf-8", "replace")) - names)


_NUMBERS = ("payment_order_id", "channel_order_id")


_KEPT_TEXTS = ("payment_order_id", "channel_order_id", "result_code", "result_message")


def forget_codes(reply: Reply, codes: tuple[str, ...]) -> Reply:
    """`reply` without the payment codes that it may echo in any text that is kept or shown."""
    if not codes or isinstance(reply, Unreadable):
        return reply
    if isinstance(reply, ErrorAnswer):
        return reply._replace(
            code=None if str(reply.code) in codes else reply.code,
            msg=clean(reply.msg, codes),
            sub_code=clean(reply.sub_code, codes),
            sub_msg=clean(reply.sub_msg, codes),
            trace_id=clean(reply.trace_id, codes),
        )
    kept = {name: clean(reply.text(name), codes) for name in _KEPT_TEXTS}
    model = reply.model or {}
    numbers = {name: None for name in model if str(reply.number(name)) in codes}
    return reply._replace(
        model=None if reply.model is None else {**model, **numbers, **kept},
        msg_code=clean(reply.msg_code, codes),
        msg_info=clean(reply.msg_info, codes),
        trace_id=clean(reply.trace_id, codes),
    )


def close_row(tx: Transaction, payment: Payment, reading: Reading) -> tuple[Payment, Reading]:
    """Write down how a try of `payment` ended, inside a transaction; what counts of `reading`."""
    read_ahead(tx, ((payment, reading),))
    current = tx.payment(payment.request_id)
    if current is None:
        raise vanished(payment.request_id)
    reading = _against_others(tx, current, reading)
    end = reading.end
    if not current.open:  # somebody closed it while we were on the wire
        tx.end_try(current, end)
        if not contradicts(current.standing, end.event):
            return current, reading
        tx.raise_alarm(current, end.event, advice.what_happened(end), end.finished_ms)
        # The record of the first stays; this run tells what it has seen: two answers.
        return current._replace(standing=Standing(State.CONFLICT)), reading
    standing = advance(current.standing, end.event, own_id=current.own_id)
    warnings = _verdict_warnings(payment, reading.verdict, tx) if standing.paid else ()
    return tx.finish_try(current, end, standing, reading.verdict, warnings), reading


def read_ahead(tx: Transaction, answers: Sequence[tuple[Payment, Reading]]) -> None:
    """Ask for all that writing `answers` down asks for."""
    tx.ahead(
        Ahead(
            request_ids=[payment.request_id for payment, _reading in answers],
            checkouts=[one.checkout for one, reading in answers if not _pays_all(reading)],
            vouchers=[name for one, reading in answers for name in _new_vouchers(one, reading)],
        )
    )


def _pays_all(reading: Reading) -> bool:
    """Whether it says that the checkout needs nothing more, whatever was paid on it before."""
    return reading.end.event is Event.PAID and reading.verdict.remaining_fee == 0


# So little tells no payment from another.
_NO_VOUCHERS = frozenset({"0", "-", "null", "none"})


def _against_others(tx: Transaction, payment: Payment, reading: Reading) -> Reading:
    """`reading`, unless its voucher belongs to a payment of another checkout: a stale answer on a
    kept connection, or a cache. Then nothing that it says counts.
    """
    news = _new_vouchers(payment, reading)
    if not news or not tx.voucher_elsewhere(payment.checkout, news):
        return reading
    end = reading.end._replace(event=Event.VOUCHER_ELSEWHERE)
    return reading._replace(end=_without_words(end), verdict=payment.verdict)


def _new_vouchers(payment: Payment, reading: Reading) -> list[str]:
    """What `reading` calls the payment by, and the row does not."""
    told, known = reading.verdict, payment.verdict
    vouchers = {told.payment_order_id, told.channel_order_id} - {
        known.payment_order_id,
        known.channel_order_id,
    }
    return [one for one in vouchers if one and one.lower() not in _NO_VOUCHERS]


def believed(payment: Payment, reading: Reading, desk: Desk, lied: Collection[int] = ()) -> Reading:
    """`reading`, unless it came over a connection that gave another payment's answer before, or is
    in `lied`: then this one is, likely, one of another payment, too, and it is as if none had come.
    """
    if reading.connection not in lied and desk.gateway.trusts(reading.connection):
        return reading
    end = _without_words(reading.end)._replace(event=Event.CUT)
    return reading._replace(end=end, verdict=payment.verdict)


def _without_words(end: TryEnd) -> TryEnd:
    """`end` of an answer that is another payment's: its words may hold another customer's code."""
    return end._replace(code=None, sub_code=None, message=None, raw=None)


def unrecorded(payment: Payment, reading: Reading) -> Payment:
    """How to tell of `payment` when the journal could not take the answer in.

    Its row stays open and may be resent. So nobody is told "not charged", which must stay true.
    """
    standing = advance(payment.standing, reading.end.event, own_id=payment.own_id)
    if standing.paid is False:
        standing = Standing(State.UNKNOWN, Doubt.UNKNOWN)
    return payment._replace(standing=standing, verdict=reading.verdict)


def try_end(
    exchange: Exchange,
    reply: Reply | None,
    payment: Payment,
    now_ms: int,
    declines: Collection[str] = (),
    codes: tuple[str, ...] = (),
) -> TryEnd:
    """How a try ended, with the other side's words, which are kept without `codes`."""
    event = exchange.event
    if event is None and reply is not None and exchange.http_status is not None:
        event = read_event(
            reply,
            exchange.http_status,
            payment.verdict.payment_order_id,
            ids={
                "request_id": payment.request_id,
                "checkout_id": payment.checkout.checkout_id,
                "order_id": payment.order_id,
            },
            declines=declines,
        )
    code = sub_code = message = None
    if isinstance(reply, ErrorAnswer):
        code = None if reply.code is None else str(reply.code)
        sub_code, message = reply.sub_code, reply.sub_msg or reply.msg
    elif isinstance(reply, Answer) and event is not Event.PAID:
        code = reply.text("result_code") or reply.msg_code
        message = reply.text("result_message") or reply.msg_info
    elif exchange.detail:
        message = exchange.detail
    raw = exchange.body.decode("utf-8", "replace") if exchange.body else None
    end = TryEnd(
        event=event or Event.CUT,
        finished_ms=now_ms,
        http_status=exchange.http_status,
        code=code,
        sub_code=sub_code,
        message=message,
        raw=clean(raw, codes),
    )
    return _without_words(end) if event is Event.ANOTHERS else end


def clean(text: str | None, codes: tuple[str, ...]) -> str | None:
    """The other side's text as the journal keeps it: without payment codes, then capped."""
    return None if text is None else without_codes(text, codes)[:MAX_RAW]


def _verdict(reply: Reply | None, payment: Payment) -> Verdict:
    """What the business said; of an answer without a model the earlier word stays."""
    if isinstance(reply, ErrorAnswer):
        return payment.verdict._replace(trace_id=reply.trace_id or payment.verdict.trace_id)
    if not isinstance(reply, Answer) or reply.model is None:
        return payment.verdict
    known, voucher = payment.verdict.payment_order_id, reply.text("payment_order_id")
    if known and voucher and known != voucher:
        return payment.verdict  # the record of the first stays; the event tells the conflict
    return Verdict(
        result_status=reply.number("result_status"),
        remaining_fee=_fen(reply, "remaining_fee"),
        current_pay_fee=_fen(reply, "current_pay_fee"),
        current_payment_channel=reply.number("current_payment_channel"),
        payment_order_id=known or voucher,
        channel_order_id=reply.text("channel_order_id"),
        result_code=reply.text("result_code"),
        result_message=reply.text("result_message"),
        trace_id=reply.trace_id or payment.verdict.trace_id,
    )


def _fen(reply: Answer, name: str) -> int | None:
    """An amount of the answer; one that no fee could be is as good as none."""
    fee = reply.number(name)
    return None if fee is None or abs(fee) >= 10**12 else fee


def _verdict_warnings(payment: Payment, verdict: Verdict, tx: Transaction) -> tuple[str, ...]:
    """What is odd about a success; it stays one."""
    asked_channel = json.loads(payment.pay_request).get("payment_channel")
    odd = []
    if verdict.current_pay_fee not in (None, payment.pay_fee):
        odd.append("fee_differs")
    if verdict.current_payment_channel not in (None, asked_channel):
        odd.append("channel_differs")
    if verdict.remaining_fee is None:
        odd.append("remaining_missing")
    elif verdict.remaining_fee < 0:
        odd.append("remaining_negative")
    elif verdict.remaining_fee > 0:
        before = due([p for p in tx.payments_of(payment.checkout) if p.seq != payment.seq])
        if before.remaining_fee is not None and verdict.remaining_fee > before.remaining_fee:
            odd.append("remaining_grew")
    return tuple(odd)
