"""Every screen that can come up, from made-up payments.

Run as `scenes.py LANG NAME…` it draws them on stdout, each below a line with its name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from posctl.config.profile import Profile
from posctl.config.secret import Secret
from posctl.messages import use_language
from posctl.money import advice
from posctl.money.admit import Block, due
from posctl.money.outcome import EXIT_OF, Event, Exit, Outcome, Standing, State, advance, outcome_of
from posctl.money.record import Alarm, Checkout, Payment, StatusAnswer, Try, TryEnd, Verdict, Who
from posctl.money.result import Asked, Result, result_json
from posctl.screen.brush import Canvas, draw_pairs
from posctl.screen.payments import (
    draw_checkout,
    draw_dry_run,
    draw_open,
    draw_payment,
    draw_payments,
    draw_result,
    draw_results,
    draw_status,
)
from posctl.screen.screen import Manner, Screen, View

DEFAULTS = {
    "shop_id": "1",
    "operator_id": "123",
    "machine_id": "001",
    "buyer_id": "1",
    "source": "hema",
    "merchant_code": "HM",
}
NOW_MS = 1_767_250_800_000
ID = "75626abc-452d-486e-970d-e65e12fc1456"
LONG_ID = "x" * 62 + "75"  # as long as an id of one's own may be
CHECKOUT_ID = "20260101-000111"
VOUCHER = "2026010122001423451437580007"
CODE = "283456789012345678"
WHO = Who("till-host", 4242, "001", "123")

SENDING = Standing(State.SENDING)


def payment(
    event: Event | None,
    *,
    verdict: Verdict | None = None,
    live: bool = True,
    seq: int = 1,
    request_id: str = ID,
    fee: int = 123_456,
    age_s: int = 95,
    standing: Standing | None = None,
    warnings: tuple[str, ...] = (),
) -> Payment:
    """A payment whose one try ended with `event`; None while it is on its way."""
    standing = standing or (advance(SENDING, event) if event else SENDING)
    wire = {"request_id": request_id, "channel_account": CODE, "pay_fee": fee}
    created_ms = NOW_MS - age_s * 1000
    return Payment(
        seq=seq,
        request_id=request_id,
        profile="store-1" if live else "training",
        gateway="https://gw",
        app_key="12345678",
        checkout=Checkout(live, "12345678", "1", CHECKOUT_ID),
        order_id=CHECKOUT_ID,
        operator_id="123",
        machine_id="001",
        pay_channel="alipay_facepay_v2",
        pay_fee=fee,
        pay_request=json.dumps(wire),
        standing=standing,
        verdict=verdict or Verdict(),
        warnings=warnings,
        tries=1,
        created_ms=created_ms,
        updated_ms=created_ms,
        closed_ms=None if standing.open else created_ms + 900,
        told=False,
    )


def end(event: Event, message: str | None = None, code: str | None = None) -> TryEnd:
    return TryEnd(event, NOW_MS - 94_000, 200, code=code, message=message)


PAID = Verdict(
    result_status=1,
    remaining_fee=0,
    current_pay_fee=123_456,
    current_payment_channel=1006,
    payment_order_id=VOUCHER,
    channel_order_id="2026010122001423451437580007",
    result_code="OPERATION_SUCCESS",
    result_message="ok",
    trace_id="15r9lx0aor1vp",
)
PART = PAID._replace(remaining_fee=2_300)


def _result(
    event: Event, verdict: Verdict | None = None, ended: TryEnd | None = None, **how: object
) -> Result:
    made = payment(event, verdict=verdict, **how)  # type: ignore[arg-type]  # payment's own names
    outcome = outcome_of(made.standing)
    return Result(
        EXIT_OF[outcome],
        outcome,
        made,
        remaining_fee=made.verdict.remaining_fee,
        problem=advice.problem_of(made, ended or end(event)),
    )


STORE = Profile("store-1", "training", "12345678", Secret("secret", "helloworld"))


def _blocked(block: Block, by: Payment, due_fee: int | None = None) -> Result:
    held = Try(1, "pay", by.created_ms, WHO, None)
    return Result(
        Exit.BLOCKED,
        Outcome.BLOCKED,
        asked=Asked(None, "1", CHECKOUT_ID, CHECKOUT_ID, 5_000),
        remaining_fee=due_fee,
        blocked_by=by,
        problem=advice.blocked(block, by, held, due_fee, (STORE,)),
    )


TRIES = [
    Try(1, "pay", NOW_MS - 95_000, WHO, end(Event.READ_TIMEOUT)),
    Try(2, "pay", NOW_MS - 60_000, WHO, end(Event.SYSTEM_ERROR, "服务暂时不可用", "10")),
    Try(1, "status", NOW_MS - 50_000, WHO, end(Event.NO_VERDICT, "PROCESSING")),
    Try(3, "pay", NOW_MS - 40_000, WHO, None),
]
OPEN = [
    payment(Event.READ_TIMEOUT, age_s=90_000),
    payment(Event.STILL_PENDING, seq=2, request_id=LONG_ID, fee=1, age_s=30),
    payment(Event.CONTRADICTION, seq=3, request_id="order-0003", age_s=4_000),
]
LAST: dict[str, Try | None] = {
    one.request_id: Try(1, "pay", NOW_MS - 1000, WHO, ended)
    for one, ended in (
        (OPEN[0], end(Event.READ_TIMEOUT)),
        (OPEN[1], end(Event.STILL_PENDING, "等待用户付款", "WAIT_BUYER_PAY")),
        (OPEN[2], end(Event.CONTRADICTION)),
    )
}
ALARM = Alarm(1, ID, NOW_MS - 1000, Event.PAID, "The platform says: paid.", None, None)
MANY = [
    *OPEN,
    payment(Event.PAID, verdict=PART, seq=4, request_id="order-0004"),
    payment(Event.FAILED, seq=5, request_id="order-0005", fee=999_999_999_999),
    payment(
        None,
        seq=6,
        request_id="order-0006",
        standing=Standing(State.RESOLVED, paid=True),
        verdict=PAID,
    ),
]


# All that a terminal or Rich might obey, and a line that poses as one of posctl's own.
HOSTILE = (
    "[/x] [bold red]a[/] [link=http://evil]b[/link] :smile: \x1b[2J\x1b[1;1H\x1b]0;owned\x07"
    "\x1b]8;;http://evil\x1b\\c\x9b31m\r\x08\x7f\n √ PAID  ￥9.99\t √￥9.99 √￥9.99 √￥9.99 "
    "\u202eevil\u2066\u200b\ufeff\ud800\u2028\U000e0041{x} %s"
)
EVIL = Verdict(1, 2_300, 123_456, 1006, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)


def _hostile(canvas: Canvas) -> None:
    """Every drawing that shows words from elsewhere."""
    ended = end(Event.FAILED, HOSTILE, HOSTILE)
    evil = payment(Event.PAID, verdict=EVIL)
    evil = evil._replace(resolved_by=HOSTILE, resolved_note=HOSTILE)
    open_ = payment(Event.READ_TIMEOUT, verdict=EVIL)
    tries = [TRIES[0]._replace(end=ended, who=Who(HOSTILE, 1, HOSTILE, HOSTILE))]
    alarms = [ALARM._replace(text=HOSTILE)]
    _draw_result(_result(Event.PAID, EVIL))(canvas)
    _draw_result(_result(Event.FAILED, EVIL, ended))(canvas)
    _draw_result(_blocked(Block.OPEN, open_._replace(operator_id=HOSTILE)))(canvas)
    draw_payment(canvas, evil, tries, alarms, now_ms=NOW_MS)
    draw_open(
        canvas, [open_], {open_.request_id: tries[0]}, alarms, "store-1", live=True, now_ms=NOW_MS
    )
    draw_payments(canvas, [evil, open_], "store-1", live=True, now_ms=NOW_MS)
    draw_dry_run(canvas, {"gateway": HOSTILE})
    _draw_status(StatusAnswer(ended, HOSTILE, HOSTILE, HOSTILE), open_)(canvas)


def _draw_result(result: Result, *, live: bool = True) -> Callable[[Canvas], None]:
    profile = "store-1" if live else "training"
    return lambda canvas: draw_result(canvas, result, profile, live=live)


def _draw_status(asked: StatusAnswer, about: Payment | None) -> Callable[[Canvas], None]:
    return lambda canvas: draw_status(
        canvas, asked, CHECKOUT_ID, about, "store-1", live=True, now_ms=NOW_MS
    )


def scenes() -> dict[str, Callable[[Canvas], None]]:
    """Name → drawing, in the language in use."""
    complete = _result(Event.PAID, PAID)
    failed = _result(Event.FAILED, ended=end(Event.FAILED, "余额不足", "BALANCE_NOT_ENOUGH"))
    unknown = _result(Event.READ_TIMEOUT)
    part = payment(Event.PAID, verdict=PART)
    still_open = payment(Event.READ_TIMEOUT, seq=2, request_id="order-0002", fee=2_300)
    not_sent = _result(Event.INTERRUPTED_UNSENT)._replace(exit_code=Exit.INTERRUPTED)
    held = _blocked(Block.HELD, OPEN[1])
    held = held._replace(asked=held.asked._replace(request_id=OPEN[1].request_id))
    closed_by_hand = payment(None, standing=Standing(State.RESOLVED, paid=True))._replace(
        resolved_by="wang@till-1",
        resolved_note="顾客出示了支付凭证",
    )
    return {
        "complete": _draw_result(complete),
        "part": _draw_result(_result(Event.PAID, PART)),
        "untold": _draw_result(_result(Event.PAID, PAID._replace(remaining_fee=None))),
        "other_fee": _draw_result(_result(Event.PAID, PAID._replace(current_pay_fee=100))),
        "training": _draw_result(_result(Event.PAID, PART, live=False), live=False),
        "resumed": _draw_result(complete._replace(resumed=True)),
        "fail": _draw_result(failed),
        "pending": _draw_result(_result(Event.STILL_PENDING)),
        "unknown": _draw_result(unknown),
        "long_id": _draw_result(_result(Event.READ_TIMEOUT, request_id=LONG_ID)),
        "conflict": _draw_result(_result(Event.CONTRADICTION, PAID)),
        "not_sent": _draw_result(_result(Event.DNS_FAILED)),
        "interrupted": _draw_result(not_sent),
        "rejected": _draw_result(
            _result(
                Event.GATEWAY_REFUSED, ended=end(Event.GATEWAY_REFUSED, "Invalid signature", "25")
            )
        ),
        **{
            f"blocked_{block.value}": _draw_result(_blocked(block, by, due_fee))
            for block, by, due_fee in (
                (Block.HELD, still_open, None),
                (Block.OPEN, still_open, 2_300),
                (Block.CONFLICT, OPEN[2], None),
                (Block.PAID, payment(Event.PAID, verdict=PAID), 0),
                (Block.CODE_USED, still_open, None),
                (Block.OVER_DUE, part, 2_300),
                (Block.REPEAT, part, 2_300),
                (Block.CUSTOMER_GONE, still_open, None),
                (Block.TOO_OLD, still_open, None),
                (Block.OTHER_PROFILE, still_open, None),
                (Block.RESTORED, still_open._replace(for_person=True), None),
            )
        },
        "results": lambda canvas: draw_results(
            canvas,
            [
                result_json(one, "retry", "store-1", live=True)
                for one in (complete, failed, unknown, held)
            ],
            "store-1",
            live=True,
        ),
        "results_none": lambda canvas: draw_results(canvas, [], "store-1", live=True),
        "open": lambda canvas: draw_open(
            canvas, OPEN, LAST, [ALARM], "store-1", live=True, now_ms=NOW_MS
        ),
        "open_none": lambda canvas: draw_open(
            canvas, [], {}, [], "store-1", live=True, now_ms=NOW_MS
        ),
        "history": lambda canvas: draw_payments(canvas, MANY, "store-1", live=True, now_ms=NOW_MS),
        "history_none": lambda canvas: draw_payments(
            canvas, [], "store-1", live=True, now_ms=NOW_MS
        ),
        "checkout": lambda canvas: draw_checkout(
            canvas, CHECKOUT_ID, due([part, still_open]), [part, still_open], now_ms=NOW_MS
        ),
        "checkout_paid": lambda canvas: draw_checkout(
            canvas, CHECKOUT_ID, due([MANY[5]]), [MANY[5]], now_ms=NOW_MS
        ),
        "show": lambda canvas: draw_payment(canvas, OPEN[0], TRIES, [ALARM], now_ms=NOW_MS),
        "show_paid": lambda canvas: draw_payment(
            *(canvas, payment(Event.PAID, verdict=PART, warnings=("fee_differs",)), TRIES[:1], []),
            now_ms=NOW_MS,
        ),
        "show_resolved": lambda canvas: draw_payment(
            canvas, closed_by_hand, TRIES[:1], [], now_ms=NOW_MS
        ),
        **{
            f"status_{name}": _draw_status(asked, about)
            for name, asked, about in (
                ("open", StatusAnswer(end(Event.NO_VERDICT), "INIT", None, "alipay"), still_open),
                ("closed", StatusAnswer(end(Event.PAID), "SUCCEEDED", "success"), part),
                ("mute", StatusAnswer(end(Event.READ_TIMEOUT), None, None), still_open),
                ("unknown", StatusAnswer(end(Event.NO_VERDICT), "INIT", None), None),
            )
        },
        "dry_run": lambda canvas: draw_dry_run(
            canvas,
            {
                "gateway": "https://eco.taobao.com/router/rest",
                "method": "alibaba.pos.order.pay",
                "session": None,
                "pay_request": {"request_id": ID, "channel_account": "283456******5678"},
            },
        ),
        "hostile": _hostile,
        "pairs": lambda canvas: draw_pairs(canvas, [("gateway", "https://eco.taobao.com")]),
    }


MARK = "=== "


def main(lang: str, names: list[str]) -> None:
    use_language(lang)
    screen = Screen(sys.stdout, sys.stderr, Manner(format="text"))
    drawings = scenes()
    for name in names or drawings:
        screen.line(f"{MARK}{name}")
        screen.show(View({}, drawings[name]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
