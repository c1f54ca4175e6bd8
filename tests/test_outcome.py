"""The event table and the state machine: what every event, in every order, means for the money."""

from __future__ import annotations

import json
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posctl.outcome import (
    EVENT_TABLE,
    EXIT_OF,
    NEW,
    Event,
    Exit,
    Outcome,
    Standing,
    State,
    advance,
    ban_s,
    begin_try,
    contradicts,
    outcome_of,
    read_event,
    resolve,
    speaks_of_earlier,
    worst,
)
from posctl.top import PAY_METHOD, Answer, ErrorAnswer, Unreadable, read_reply

EVENTS = list(Event)
EXITS = {  # as the contract's table has them
    "success": 0,
    "fail": 10,
    "not_sent": 11,
    "rejected": 12,
    "pending": 20,
    "unknown": 21,
    "conflict": 22,
    "blocked": 30,
}


def standings_after(events: tuple[Event, ...]) -> list[Standing]:
    """Every standing on the way; a payment that closed, or is in conflict, is not sent again."""
    standing, seen = NEW, []
    for event in events:
        if standing.open and standing.state is not State.CONFLICT:
            standing = begin_try(standing)
        standing = advance(standing, event)
        seen.append(standing)
    return seen


def test_exit_codes_are_the_contracts() -> None:
    """Scripts branch on these numbers."""
    assert {outcome.value: int(code) for outcome, code in EXIT_OF.items()} == EXITS


def test_every_event_stands_in_the_table() -> None:
    """There is no event without a meaning."""
    assert set(EVENT_TABLE) == set(Event)


@pytest.mark.parametrize("event", EVENTS)
def test_first_try_reads_as_the_table_says(event: Event) -> None:
    """With no earlier try, the outcome is the event's row."""
    assert outcome_of(standings_after((event,))[0]) is EVENT_TABLE[event]


PROVES_UNPAID = (Outcome.NOT_SENT, Outcome.REJECTED)


def expected(events: tuple[Event, ...]) -> Outcome:
    """The rules of docs/outcomes.md, written a second time, from the whole history at once."""
    doubt: Outcome | None = None
    for event in events:
        outcome = EVENT_TABLE[event]
        if outcome in (Outcome.SUCCESS, Outcome.CONFLICT):
            return outcome
        if outcome is Outcome.FAIL and not (doubt and event is Event.FAILED_AS_USED):
            return outcome
        if outcome in PROVES_UNPAID and doubt is None:
            return outcome
        if outcome is Outcome.PENDING:
            doubt = outcome
        elif doubt is None:
            doubt = Outcome.UNKNOWN
    assert doubt is not None
    return doubt


@pytest.mark.parametrize("count", [2, 3])
def test_all_pairs_and_triples(count: int) -> None:
    """Every ordered pair and triple of events leaves the payment where the rules say."""
    for events in product(EVENTS, repeat=count):
        seen = standings_after(events)
        assert outcome_of(seen[-1]) is expected(events), events
        for before, after in pairwise(seen):
            if not before.open:
                assert after == before, "closed states never change"


@given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=12).map(tuple))
def test_any_history(events: tuple[Event, ...]) -> None:
    """Histories of any length follow the same rules; paid is told exactly when somebody said so."""
    seen = standings_after(events)
    assert outcome_of(seen[-1]) is expected(events)
    if seen[-1].state is State.SUCCESS:
        assert Event.PAID in events
    if seen[-1].paid is False:
        in_doubt = [e for e in events if EVENT_TABLE[e] in (Outcome.UNKNOWN, Outcome.PENDING)]
        closing = next(e for e, s in zip(events, seen, strict=True) if not s.open)
        assert EVENT_TABLE[closing] is Outcome.FAIL or not in_doubt[: events.index(closing)]


def test_a_definite_failure_after_doubt_stays_unknown() -> None:
    """A timeout, then no network at all: the first try may still have charged."""
    assert standings_after((Event.READ_TIMEOUT, Event.DNS_FAILED))[-1].state is State.UNKNOWN
    assert standings_after((Event.STILL_PENDING, Event.GATEWAY_REFUSED))[-1].state is State.PENDING


def test_a_crash_counts_as_doubt() -> None:
    """A row found `sending` reads as unknown, and a refused connection after it changes nothing."""
    crashed = begin_try(NEW)
    assert outcome_of(crashed) is Outcome.UNKNOWN
    assert advance(begin_try(crashed), Event.REFUSED).state is State.UNKNOWN


@pytest.mark.parametrize("paid", [True, False])
@pytest.mark.parametrize("event", EVENTS)
def test_evidence_against_a_closed_payment_raises_an_alarm(event: Event, *, paid: bool) -> None:
    """What a person or the gateway closed stays closed; the other word is an alarm."""
    closed = resolve(begin_try(NEW), paid=paid)
    assert advance(closed, event) == closed
    says_paid = event in (Event.PAID, Event.STILL_PENDING)
    against = event is Event.FAILED if paid else says_paid
    assert contradicts(closed, event) is (
        against or event in (Event.CONTRADICTION, Event.OTHER_VOUCHER)
    )


def test_nothing_is_resent_from_conflict_or_closed() -> None:
    """A conflict waits for a person; a closed payment is over."""
    conflict = advance(begin_try(NEW), Event.CONTRADICTION)
    for standing in (conflict, resolve(conflict, paid=False)):
        with pytest.raises(ValueError, match=r"conflict|resolved"):
            begin_try(standing)


def test_the_worst_of_several_speaks_for_all() -> None:
    """22, 21, 20, 12, 11, 10, 0."""
    codes = [Exit.OK, Exit.FAIL, Exit.NOT_SENT, Exit.REJECTED, Exit.PENDING, Exit.UNKNOWN]
    codes.append(Exit.CONFLICT)
    for i in range(len(codes)):
        assert worst(codes[: i + 1]) is codes[i]
    assert worst([]) is Exit.OK


def error(code: int, sub_code: str | None = None, sub_msg: str | None = None) -> Event:
    return read_event(ErrorAnswer(code, None, sub_code, sub_msg, None), 200, None)


def test_what_the_gateway_refuses_before_the_business() -> None:
    """7 and the older limits, 9, 11–13, 20–34, 40–43, 45, 47, 53, and two isp.* that mean it."""
    refused = {4, 5, 6, 7, 8, 9, 11, 12, 13, *range(20, 35), 40, 41, 42, 43, 45, 47, 53}
    for code in range(-1, 700):
        expected_event = Event.GATEWAY_REFUSED if code in refused else Event.SYSTEM_ERROR
        assert error(code) is expected_event, code
    assert error(1, "isp.get-app-error") is Event.GATEWAY_REFUSED
    assert error(15, "isp.top-mapping-parse-error") is Event.GATEWAY_REFUSED


@pytest.mark.parametrize("code", [15, 50])
def test_business_refusals_by_sub_code(code: int) -> None:
    """isv.* is refused, unless it speaks of an earlier payment; isp.* and silence prove nothing."""
    assert error(code, "isv.invalid-parameter", "非法参数") is Event.BUSINESS_REFUSED
    assert error(code, "isv.shop-not-exist:1") is Event.BUSINESS_REFUSED
    for sub_code in (
        "isv.order-duplicate",
        "isv.code-already-used",
        "isv.trade-exists",
        "isv.ORDER_PAID",
    ):
        assert error(code, sub_code) is Event.MAYBE_DUPLICATE
    assert error(code, "isv.invalid-parameter", "付款码已使用") is Event.MAYBE_DUPLICATE
    for nothing in ("isp.remote-service-timeout", "isp.unknown-error", None, "", "weird"):
        assert error(code, nothing) is Event.SYSTEM_ERROR


@pytest.mark.parametrize(
    "text",
    ["CODE_USED", "duplicate request", "order exists", "alreadyPaid", "ORDER_PAID", "重复支付",
     "付款码已使用", "订单已存在", "已支付", "not refused but used"],
)  # fmt: skip
def test_words_of_an_earlier_payment(text: str) -> None:
    """A refusal in these words is no proof of "not paid"."""
    assert speaks_of_earlier(text)


@pytest.mark.parametrize(
    "text", ["refused by bank", "order not exist", "unpaid", "余额不足", "", None]
)
def test_words_that_only_look_alike(text: str | None) -> None:
    """A plain refusal closes a payment, so that the cashier can go on."""
    assert not speaks_of_earlier(text)


def model(
    status: object, outer: object = True, inner: object = True, voucher: str = "V1"
) -> Answer:

    inside = {"result_status": status, "payment_order_id": voucher, "is_success": inner}
    result = {"model": inside, "is_success": outer}
    reply = read_reply(json.dumps({"result": result}).encode(), PAY_METHOD)
    assert isinstance(reply, Answer)
    return reply


def test_verdicts() -> None:
    """result_status decides; a paid one with a flag explicitly false contradicts itself."""
    assert read_event(model(1), 200, None) is Event.PAID
    assert read_event(model(1, outer=None, inner=None), 500, None) is Event.PAID
    assert read_event(model(1, outer=False), 200, None) is Event.CONTRADICTION
    assert read_event(model("1", inner="false"), 200, None) is Event.CONTRADICTION
    assert read_event(model(2, outer=False), 200, None) is Event.FAILED
    assert read_event(model(3), 200, None) is Event.STILL_PENDING
    for status in (0, 4, -1, None, "x", 1.0, True, [1]):
        assert read_event(model(status), 200, None) is Event.NO_VERDICT
    assert read_event(Answer(model=None, outer_success=True), 200, None) is Event.NO_VERDICT


def test_another_voucher_is_a_conflict() -> None:
    """A different payment_order_id for the same request_id may be a second charge."""
    assert read_event(model(1, voucher="V2"), 200, "V1") is Event.OTHER_VOUCHER
    assert read_event(model(1, voucher="V1"), 200, "V1") is Event.PAID
    assert read_event(model(1, voucher=""), 200, "V1") is Event.PAID


def test_unreadable_by_http_status() -> None:
    """With no TOP answer in the body, the HTTP status only says what to call it."""
    for status, event in ((302, Event.REDIRECT), (200, Event.NOT_TOP), (404, Event.HTTP_ERROR)):
        assert read_event(Unreadable("not_json"), status, None) is event


def test_a_rate_limit_names_its_ban() -> None:
    """N seconds are waited out as N + 1; without a number, one second."""
    assert ban_s(Event.GATEWAY_REFUSED, "7", "This ban will last for 12 more seconds") == 13
    assert ban_s(Event.GATEWAY_REFUSED, "7", None) == 1
    assert ban_s(Event.GATEWAY_REFUSED, "25", "This ban will last for 12 more seconds") is None
    assert ban_s(Event.GATEWAY_REFUSED, None, None) is None
