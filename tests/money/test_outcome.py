"""The event table and the state machine: what every event, in every order, means for the money."""

from __future__ import annotations

import json
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posctl.gateway.judge import read_event
from posctl.gateway.top import PAY_METHOD, Answer, ErrorAnswer, Unreadable, read_reply
from posctl.money.outcome import (
    EVENT_TABLE,
    EXIT_OF,
    NEW,
    Doubt,
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
    resolve,
    worst,
)

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


def standings_after(events: tuple[Event, ...], *, own_id: bool = True) -> list[Standing]:
    """Every standing on the way; a payment that closed, or is in conflict, is not sent again."""
    standing, seen = NEW, []
    for event in events:
        if standing.open and standing.state is not State.CONFLICT:
            standing = begin_try(standing)
        standing = advance(standing, event, own_id=own_id)
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
ABOUT_CODE = (Event.FAILED_AS_USED, Event.REFUSED_AS_USED)


def expected(events: tuple[Event, ...], *, own_id: bool) -> Outcome:
    """The rules of docs/outcomes.md, written a second time, from the whole history at once."""
    pending = unknown = False
    for event in events:
        outcome = EVENT_TABLE[event]
        if event in ABOUT_CODE and not own_id:
            outcome = Outcome.UNKNOWN
        if outcome is Outcome.SUCCESS:
            return outcome
        if outcome is Outcome.CONFLICT and not (
            event is Event.ALREADY_DONE and (pending or unknown)
        ):
            return outcome
        if event is Event.DECLINED or (event is Event.FAILED and not unknown):
            return Outcome.FAIL
        if not (pending or unknown) and outcome in (Outcome.FAIL, *PROVES_UNPAID):
            return outcome
        if outcome is Outcome.PENDING:
            pending = True
        elif outcome is Outcome.UNKNOWN or event in (Event.ALREADY_DONE, *ABOUT_CODE):
            unknown = True
    return Outcome.PENDING if pending else Outcome.UNKNOWN


@pytest.mark.parametrize("own_id", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_pairs_and_triples(count: int, *, own_id: bool) -> None:
    """Every ordered pair and triple of events leaves the payment where the rules say."""
    for events in product(EVENTS, repeat=count):
        seen = standings_after(events, own_id=own_id)
        assert outcome_of(seen[-1]) is expected(events, own_id=own_id), events
        for before, after in pairwise(seen):
            if not before.open:
                assert after == before, "closed states never change"


@given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=12).map(tuple), st.booleans())
def test_any_history(events: tuple[Event, ...], own_id: bool) -> None:
    """Histories of any length follow the same rules; paid is told exactly when somebody said so."""
    seen = standings_after(events, own_id=own_id)
    assert outcome_of(seen[-1]) is expected(events, own_id=own_id)
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
    says_paid = event in (Event.PAID, Event.STILL_PENDING, Event.ALREADY_DONE)
    says_failed = event in (Event.DECLINED, Event.FAILED)
    against = says_failed if paid else says_paid
    assert contradicts(closed, event) is (
        against or event in (Event.CONTRADICTION, Event.OTHER_VOUCHER)
    )


def test_pending_and_unanswered_are_both_kept() -> None:
    """Of a payment that is pending and had a try without an answer, in whatever order, both facts
    outlast a crash: it is told as pending, and a failure in other words closes it no more.
    """
    for events in (
        (Event.READ_TIMEOUT, Event.STILL_PENDING),
        (Event.STILL_PENDING, Event.READ_TIMEOUT),
    ):
        standing = standings_after(events)[-1]
        assert standing == Standing(State.PENDING, Doubt.BOTH)
        crashed = begin_try(begin_try(standing))
        assert outcome_of(crashed) is Outcome.PENDING
        assert advance(crashed, Event.FAILED, own_id=True).state is State.PENDING
        assert advance(crashed, Event.DECLINED).state is State.FAIL
    never_unknown = begin_try(standings_after((Event.STILL_PENDING, Event.DNS_FAILED))[-1])
    assert advance(never_unknown, Event.FAILED).state is State.FAIL


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
    """isv.* is refused, unless it speaks of something paid, repeated or undecided. isp.* and none
    prove nothing.
    """
    assert error(code, "isv.invalid-parameter", "非法参数") is Event.BUSINESS_REFUSED
    assert error(code, "isv.shop-not-exist:1") is Event.BUSINESS_REFUSED
    assert error(code, "isv.order-duplicate") is Event.MAYBE_DUPLICATE
    assert error(code, "isv.trade-exists") is Event.MAYBE_DUPLICATE
    assert error(code, "isv.ORDER_PAID") is Event.ALREADY_DONE
    assert error(code, "isv.trade-finished", "交易已完成") is Event.ALREADY_DONE
    assert error(code, "isv.pay-in-process", "支付处理中") is Event.UNDECIDED
    assert error(code, "isv.code-already-used") is Event.REFUSED_AS_USED
    assert error(code, "isv.invalid-parameter", "付款码已使用") is Event.REFUSED_AS_USED
    assert error(code, "isv.balance-not-enough", "余额不足") is Event.BUSINESS_REFUSED
    for nothing in ("isp.remote-service-timeout", "isp.unknown-error", None, "", "weird"):
        assert error(code, nothing) is Event.SYSTEM_ERROR


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
    assert read_event(model(1.0), 200, None) is Event.PAID
    for status in (0, 4, -1, None, "x", 1.5, True, [1]):
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
