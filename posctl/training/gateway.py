"""The stand-in for TOP without its sockets: an HTTP request in, an HTTP answer out.

It is merciless: a new request_id charges again whatever the checkout's state, so that a client's
bug shows in the ledger.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from posctl.messages import N_, _
from posctl.training.answers import HTML_TYPE, Answer, Delivery, Refusal, Tree, answered, refused
from posctl.training.checks import (
    ACTION_QUERY,
    PAY,
    bad_signature,
    check_business,
    check_common,
    check_signature,
)
from posctl.training.form import Unreadable, read_params
from posctl.training.ledger import Key, Ledger, LedgerError, Payment, Place, ledger
from posctl.training.scenarios import Says, Scenario, chosen_by, number_of

_HTML_502 = b"<html><head><title>502 Bad Gateway</title></head><body>training</body></html>"
_FAILED = {Says.FAILED, Says.CODE_USED}
# What a declined payment says must not speak of an earlier one: clients read "used", "paid" and
# the like as "maybe charged before" (docs/outcomes.md).
_VERDICTS = {
    Says.PAID: (1, "OPERATION_SUCCESS", N_("training: no real money moved")),
    Says.CONTRADICTION: (1, "OPERATION_SUCCESS", N_("training: the flags say otherwise")),
    Says.FAILED: (2, "TRAINING_DECLINED", N_("training: declined by the channel")),
    Says.CODE_USED: (2, "TRAINING_CODE_USED", N_("training: the payment code was already used")),
    # In the wallets' own words (docs/outcomes.md), of a payment that was charged.
    Says.CODE_INVALID: (2, "ACQ.PAYMENT_AUTH_CODE_INVALID", "演练：支付授权码无效"),
    Says.FINISHED: (2, "ORDERPAID", "演练：订单已支付"),
    Says.IN_PROGRESS: (2, "USERPAYING", "演练：用户支付中，需要输入密码"),
    Says.BUSY: (2, "ACQ.SYSTEM_ERROR", "演练：系统异常"),
    Says.ANOTHERS: (1, "OPERATION_SUCCESS", N_("training: the answer to another payment")),
    Says.PENDING: (3, "TRAINING_PENDING", N_("training: waiting for the customer")),
}


class TrainingGateway:
    """One app of TOP, `app_key` with its `secret`; `clock` gives seconds since the epoch."""

    def __init__(
        self, ledger_path: Path, *, app_key: str, secret: str, clock: Callable[[], float]
    ) -> None:
        self._ledger_path = ledger_path
        self._app_key = app_key
        self._secret = secret
        self.clock = clock

    def handle(self, verb: str, target: bytes, content_type: str, body: bytes) -> Answer:
        """Answer one HTTP request: its verb, its target with the query, Content-Type and body."""
        params = None
        try:
            _check_verb(verb)
            params = read_params(target, content_type, body)
            check_signature(params, self._secret)
            name, method = check_common(params, self._app_key, self.clock())
            members = check_business(params, method)
            if name == PAY:
                return self._pay(members, params)
            query = self._payment_status if name == ACTION_QUERY else self._checkout_status
            return answered(name, query(members), params)
        except Unreadable as why:
            return self.unreadable(str(why))
        except Refusal as refusal:
            return refused(refusal, params)
        except LedgerError:
            return refused(_BROKEN, params)

    def unreadable(self, why: str) -> Answer:
        """What arrived is not what anybody signed."""
        return refused(bad_signature(why), None)

    # ── paying ───────────────────────────────────────────────────────────────────────────────

    def _pay(self, members: dict[str, Any], params: Mapping[str, str]) -> Answer:
        """The charge is committed before anything is said, or not said, about it."""
        scenario = chosen_by(members)
        with ledger(self._ledger_path) as book:
            payment = self._known(book, members, scenario)
            earlier = payment.calls
            if scenario.per_checkout:
                earlier = book.calls_on(payment.place, payment.scenario)
            step = scenario.step(earlier)
            fee = members["pay_fee"]
            if step.charges:
                book.charge(payment, fee, scenario.total(fee), int(self.clock() * 1000))
            book.count_call(payment.key, _status(step.says, charged=step.charges))
            remaining = book.remaining_fee(payment.place)
        if step.says in _VERDICTS:
            due = fee if remaining is None else remaining
            return answered(PAY, _verdict(step.says, payment, members, due), params)
        truth = _verdict(Says.PAID, payment, members, remaining or 0)
        return _fault(step.says, answered(PAY, truth, params), params)

    def _known(self, book: Ledger, members: dict[str, Any], scenario: Scenario) -> Payment:
        """The payment of this request_id, put into the ledger if it is new."""
        payment = Payment(
            key=Key(self._app_key, members["shop_id"], members["request_id"]),
            checkout_id=members["checkout_id"],
            digest=_digest(members),
            scenario=number_of(scenario),
            payment_order_id=f"TRAINING-{os.urandom(8).hex()}",
        )
        known = book.payment(payment.key)
        if known is None:
            book.add(payment)
            return payment
        if known.digest != payment.digest:
            # In the words of an earlier charge: the first payload may well have been charged.
            sub_code = "isv.invalid-parameter:request_id"
            why = "this request_id was used for another payload"
            raise Refusal(15, "Remote service error", sub_code, why)
        return known

    # ── asking ───────────────────────────────────────────────────────────────────────────────

    def _payment_status(self, members: dict[str, Any]) -> Tree:
        """§7; the page documents no words for action_status: INIT, PENDING, SUCCESS, FAIL here."""
        key = Key(self._app_key, members["shop_id"], members["request_id"])
        with ledger(self._ledger_path) as book:
            payment = book.payment(key)
        if payment is None:
            sub_code = "isv.payment-action-not-exist:request_id"
            raise Refusal(15, "Remote service error", sub_code, "no such request_id")
        return _told({"channel_name": "training", "action_status": payment.status})

    def _checkout_status(self, members: dict[str, Any]) -> Tree:
        """§7; INIT, PROCESSING and SUCCEEDED as a sister API documents them."""
        place = Place(self._app_key, members["shop_id"], members["checkout_id"])
        with ledger(self._ledger_path) as book:
            remaining = book.remaining_fee(place)
            is_asked_for = book.asked_for(place)
        status = "PROCESSING" if is_asked_for else "INIT"
        if remaining == 0:
            status = "SUCCEEDED"
        return _told({"checkout_status": status, "checkout_id": place.checkout_id})


def _check_verb(verb: str) -> None:
    if verb not in ("GET", "POST"):
        raise Refusal(9, "Http action not allowed", "isv.http-action-not-allowed")


def _digest(members: dict[str, Any]) -> bytes:
    """Stands for a payload; the order of its members says nothing."""
    return hashlib.sha256(json.dumps(members, sort_keys=True).encode()).digest()


def _status(says: Says, *, charged: bool) -> str | None:
    if charged:
        return "SUCCESS"
    if says in _FAILED:
        return "FAIL"
    return "PENDING" if says is Says.PENDING else None


def _verdict(says: Says, payment: Payment, members: dict[str, Any], remaining_fee: int) -> Tree:
    """The `result` of the API page."""
    status, code, message = _VERDICTS[says]
    is_paid = status == 1
    anothers = {"request_id": "another", "payment_order_id": "TRAINING-another"}
    return {
        "model": {
            "payment_order_id": payment.payment_order_id,
            "current_pay_fee": members["pay_fee"],
            "current_payment_channel": members["payment_channel"],
            "remaining_fee": remaining_fee,
            "channel_order_id": payment.payment_order_id.lower() if is_paid else "",
            "result_status": status,
            "result_message": _(message),
            "result_code": code,
            "is_success": is_paid and says is not Says.CONTRADICTION,
            "attributes": "",
        }
        | (anothers if says is Says.ANOTHERS else {}),
        "msg_code": "SUCCESS",
        "msg_info": "training",
        "is_success": True,
    }


def _told(model: dict[str, Any]) -> Tree:
    """The `result` of a sibling method, whose flags are called `success`."""
    words = {"result_code": "OPERATION_SUCCESS", "result_message": "training", "success": True}
    return {"model": words | model, "msg_code": "SUCCESS", "msg_info": "training", "success": True}


def _fault(says: Says, truth: Answer, params: Mapping[str, str]) -> Answer:
    """What comes in place of `truth`."""
    match says:
        case Says.HANG:
            return Answer(delivery=Delivery.NEVER)
        case Says.CUT:
            return Answer(delivery=Delivery.CUT)
        case Says.TRUNCATED:
            return replace(truth, delivery=Delivery.HALF)
        case Says.GARBAGE:
            return replace(truth, body=b"\x00\xfftraining: this is no answer{{<")
        case Says.HTML_502:
            return Answer(_HTML_502, HTML_TYPE, 502)
        case _:
            return refused(_TROUBLES[says], params)


_TROUBLES = {
    Says.LIMITED: Refusal(
        7,
        "App Call Limited",
        "accesscontrol.limited-by-api-access-count",
        "This ban will last for 1 more seconds",
    ),
    Says.SYSTEM_ERROR: Refusal(
        15, "Remote service error", "isp.top-remote-service-unavailable", "please try again"
    ),
    # Code 50 as on the API page; live records show 15.
    Says.ISV_ERROR: Refusal(50, "Remote service error", "isv.invalid-parameter", "非法参数"),
}
_BROKEN = Refusal(
    15, "Remote service error", "isp.remote-service-error", "the training ledger cannot be used"
)
