"""Asking the platform without paying, through the sibling methods (protocol, section 7).

Their vocabularies are documented nowhere: the word that comes back is shown and recorded, and
closes a payment only where the profile's `status_words` spells out what it means.
"""

from __future__ import annotations

import json

from posctl.gateway.exchange import Exchange, Sent
from posctl.gateway.judge import read_event
from posctl.gateway.top import (
    ACTION_QUERY_METHOD,
    STATUS_QUERY_METHOD,
    Answer,
    ErrorAnswer,
    read_reply,
    signed_form,
)
from posctl.journal import Transaction
from posctl.money.codes import codes_of
from posctl.money.outcome import Event, Standing, State, advance, contradicts
from posctl.money.record import Payment, StatusAnswer, TryEnd
from posctl.paying.answer import clean
from posctl.paying.desk import Desk

WORD_EVENTS = {
    "success": Event.PAID,
    "fail": Event.DECLINED,  # the merchant's own word for it
    "pending": Event.STILL_PENDING,
}


def ask_payment(payment: Payment, desk: Desk) -> StatusAnswer:
    """Ask about one payment."""
    request = {"request_id": payment.request_id, "buyer_id": _buyer(payment)}
    return _ask(
        ACTION_QUERY_METHOD,
        {"shop_id": payment.checkout.shop_id, "payment_action_request": _compact(request)},
        "action_status",
        codes_of(payment.pay_request),
        desk,
    )


def ask_checkout(shop_id: str, checkout_id: str, buyer_id: int, desk: Desk) -> StatusAnswer:
    """Ask about a whole checkout; no single payment is closed by the answer."""
    request = {"checkout_id": checkout_id, "buyer_id": buyer_id}
    return _ask(
        STATUS_QUERY_METHOD,
        {"shop_id": shop_id, "pay_status_request": _compact(request)},
        "checkout_status",
        (),
        desk,
    )


def record_status(
    payment: Payment,
    asked: StatusAnswer,
    started_ms: int,
    desk: Desk,
    *,
    was_being_sent: bool = False,
) -> Payment:
    """Record the question and its answer; close the payment where the profile says how to read it.

    `payment` is as it was when the question was asked: a try that has begun or ended since is newer
    than the answer, and so is one that another process was sending then, which may have been killed
    since. One that another process is sending right now is left open: its own answer is coming.
    """
    event = WORD_EVENTS.get(asked.meaning or "")
    held = False

    def write(tx: Transaction) -> Payment:
        nonlocal held
        held = False
        current = tx.payment(payment.request_id) or payment
        who = desk.who(current.machine_id, current.operator_id)
        tx.add_status(current, who, started_ms, asked.end)
        is_older = was_being_sent or current.tried_since(payment)
        if event is None or (current.open and is_older):
            return current
        if not current.open:
            if contradicts(current.standing, event):
                words = f"status: {asked.word}"
                tx.raise_alarm(current, event, words, asked.end.finished_ms)
                # The record stays; this run tells what it has heard.
                return current._replace(standing=Standing(State.CONFLICT))
            return current
        held = tx.hold(current)
        if not held:
            return current
        standing = current.standing
        if standing.state is State.SENDING:  # the process that sent it is gone
            standing = advance(standing, Event.CRASHED)
        standing = advance(standing, event)
        return tx.settle(current, standing, asked.end.finished_ms)

    settled = desk.journal.transact(write)
    if held:  # else a try of this very process may be on its way
        desk.journal.let_go(settled)
    if not settled.open and codes_of(payment.pay_request):
        desk.journal.forget_codes()
    return settled


def _ask(
    method: str, business: dict[str, str], member: str, codes: tuple[str, ...], desk: Desk
) -> StatusAnswer:
    profile = desk.profile
    form = signed_form(
        method,
        business,
        app_key=profile.app_key,
        secret=desk.secret,
        sign_method=profile.sign_method,
        session=profile.session,
        now_s=desk.now_s(),
    )
    with desk.interruptible():
        exchange = desk.gateway.post(form, Sent())
    return _read(exchange, method, member, codes, desk)


def _read(
    exchange: Exchange, method: str, member: str, codes: tuple[str, ...], desk: Desk
) -> StatusAnswer:
    reply = read_reply(exchange.body, method) if exchange.body is not None else None
    word = channel = None
    event = exchange.event or Event.NOT_TOP
    code = sub_code = message = None
    if isinstance(reply, Answer):
        word = clean(reply.text(member), codes)
        channel = clean(reply.text("channel_name"), codes)
        event = Event.NO_VERDICT
        code = reply.text("result_code") or reply.msg_code
        message = word or reply.text("result_message") or reply.msg_info
    elif reply is not None and exchange.http_status is not None:
        event = read_event(reply, exchange.http_status, None)
        if isinstance(reply, ErrorAnswer):
            code = None if reply.code is None else str(reply.code)
            sub_code, message = reply.sub_code, reply.sub_msg or reply.msg
    raw = exchange.body.decode("utf-8", "replace") if exchange.body else None
    end = TryEnd(
        event=event,
        finished_ms=desk.now_ms(),
        http_status=exchange.http_status,
        code=clean(code, codes),
        sub_code=clean(sub_code, codes),
        message=clean(message, codes),
        raw=clean(raw, codes),
    )
    meaning = desk.profile.status_words.get(word) if word else None
    return StatusAnswer(end, word, meaning, channel)


def _buyer(payment: Payment) -> int:
    return int(json.loads(payment.pay_request)["buyer_id"])


def _compact(members: dict[str, object]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))
