"""Whether a payment may be sent, row by row: what is recorded, what is asked, what follows.

No process, no network, no clock: each table below is the rule, and each guard has a row that only
it decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

import pytest
from scenes import CODE, NOW_MS, WHO, end, payment

from posctl.config.profile import Profile
from posctl.config.secret import Secret
from posctl.errors import JournalError, UsageError
from posctl.journal import Transaction
from posctl.money import admit as rule
from posctl.money.admit import (
    ANOTHER,
    Ask,
    Block,
    Refuse,
    Resume,
    Start,
    Tell,
    Unsure,
    admit,
    due,
    may_leave,
    may_resend,
    refused_before,
)
from posctl.money.outcome import Doubt, Event, Outcome, Standing, State, outcome_of, proves
from posctl.money.record import Checkout, Payment, Verdict, Who
from posctl.paying.answer import Reading, unrecorded
from posctl.paying.desk import Desk
from posctl.paying.row import reopen

SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000
ALL_IS_PAID = frozenset({Block.PAID})
CHECKOUT = Checkout(live=True, merchant_name="hema", shop_id="1", checkout_id="777")
OWN_ID = "order-777-a"  # one that a script gives


def wire(fee: int = 100, *, request_id: str = "r-1", code: str | None = CODE) -> str:
    members = {"request_id": request_id, "pay_fee": fee, "checkout_id": "777"}
    return json.dumps(members | ({"channel_account": code} if code else {}))


def row(
    event: Event | None = None,
    *,
    request_id: str = "r-1",
    fee: int = 100,
    code: str | None = CODE,
    remaining: int | None = 0,
    told: bool = True,
    age_ms: int = 10 * MINUTE_MS,
    closed_ago_ms: int = 5 * MINUTE_MS,
    standing: Standing | None = None,
    for_person: bool = False,
    checkout: Checkout = CHECKOUT,
) -> Payment:
    """A payment of the checkout whose last try ended with `event`; None while it is on its way."""
    verdict = Verdict(result_status=1, remaining_fee=remaining) if event is Event.PAID else None
    made = payment(event, verdict=verdict, request_id=request_id, fee=fee, standing=standing)
    return made._replace(
        checkout=checkout,
        pay_request=wire(fee, request_id=request_id, code=code),
        told=told,
        for_person=for_person,
        created_ms=NOW_MS - age_ms,
        updated_ms=NOW_MS - closed_ago_ms,
        closed_ms=None if made.open else NOW_MS - closed_ago_ms,
    )


# ── a `pay` ──────────────────────────────────────────────────────────────────────────────────


class Asked(NamedTuple):
    """A `pay` of `fee` fen at this checkout, and what the journal knows."""

    decision: str
    payments: tuple[Payment, ...] = ()
    fee: int = 100
    code: str | None = "289999999999999999"  # scanned anew
    request_id: str | None = None
    waived: frozenset[Block] = frozenset()
    alarmed: Payment | None = None
    checkout: Checkout = CHECKOUT
    with_code: tuple[Payment, ...] = ()  # of whatever checkout
    near: tuple[Payment, ...] = ()  # where the till numbers the checkouts


LOST, PAID, DECLINED = Event.READ_TIMEOUT, Event.PAID, Event.FAILED
PART = row(PAID, remaining=500)  # a first part; 500 fen are still due
ELSEWHERE = CHECKOUT._replace(checkout_id="778")
ALARMED = row(DECLINED, request_id="r-9")
MINE = row(LOST, request_id=OWN_ID)
ADMIT = {
    "nothing is known": Asked("start"),
    # The checkout has an open payment.
    "the same one is open": Asked("resume", (row(LOST),)),
    "its process died": Asked("resume", (row(None),)),
    "it is pending": Asked("resume", (row(Event.STILL_PENDING),)),
    "it asks with an id of its own": Asked("open_payment", (row(LOST),), request_id=OWN_ID),
    "another amount is open": Asked("open_payment", (row(LOST, fee=99),)),
    "--another waives no open payment": Asked("open_payment", (row(LOST, fee=99),), waived=ANOTHER),
    "a conflict is open": Asked("conflict", (row(Event.CONTRADICTION),)),
    "it is older than a day": Asked("too_old", (row(LOST, age_ms=25 * HOUR_MS),)),
    "no code, and the customer left": Asked(
        "customer_gone", (row(LOST, code=None, age_ms=16 * MINUTE_MS),), code=None
    ),
    "no code, and a person says he is here": Asked(
        "resume",
        (row(LOST, code=None, age_ms=16 * MINUTE_MS),),
        code=None,
        waived=frozenset({Block.CUSTOMER_GONE}),
    ),
    "it came back with a backup": Asked("restored", (row(LOST, for_person=True),)),
    # The request_id is known.
    "the id is open": Asked("resume", (MINE,), request_id=OWN_ID),
    "the id is paid": Asked("tell", (row(PAID, request_id=OWN_ID),), request_id=OWN_ID),
    "the id was declined": Asked("tell", (row(DECLINED, request_id=OWN_ID),), request_id=OWN_ID),
    "the id has another amount": Asked("request_id_taken", (MINE,), request_id=OWN_ID, fee=101),
    "the id is another merchant's": Asked(
        "request_id_taken",
        (MINE,),
        request_id=OWN_ID,
        checkout=CHECKOUT._replace(merchant_name="other"),
    ),
    "the id is another shop's": Asked(
        "request_id_taken", (MINE,), request_id=OWN_ID, checkout=CHECKOUT._replace(shop_id="2")
    ),
    "the id is of the training": Asked(
        "request_id_taken", (MINE,), request_id=OWN_ID, checkout=CHECKOUT._replace(live=False)
    ),
    "the id was another merchant's, and is paid": Asked(
        "request_id_taken",
        (row(PAID, request_id=OWN_ID),),
        request_id=OWN_ID,
        checkout=CHECKOUT._replace(merchant_name="other"),
    ),
    # Nobody has seen how the last one ended.
    "paid, and nobody was told": Asked("tell", (row(PAID, told=False),)),
    "declined, and nobody was told": Asked("tell", (row(DECLINED, told=False),)),
    "another amount was not told": Asked("start", (row(DECLINED, fee=99, told=False),)),
    "an id of its own does not ask for the last": Asked(
        "start", (row(DECLINED, told=False),), request_id=OWN_ID
    ),
    "paid, nobody was told, and now it is another operator": Asked(
        "tell",
        (row(PAID, told=False)._replace(pay_request=wire()[:-1] + ', "operator_id": "124"}'),),
    ),
    "declined a day ago, and nobody was told": Asked(
        "start", (row(DECLINED, told=False, closed_ago_ms=24 * HOUR_MS + 1),)
    ),
    "paid a day ago, and nobody was told": Asked(
        "tell", (row(PAID, told=False, closed_ago_ms=24 * HOUR_MS),)
    ),
    "paid longer ago, and nobody was told": Asked(
        "already_paid", (row(PAID, remaining=500, told=False, closed_ago_ms=24 * HOUR_MS + 1),)
    ),
    "--another, paid longer ago, and nobody was told": Asked(
        "start", (row(PAID, told=False, closed_ago_ms=24 * HOUR_MS + 1),), waived=ANOTHER
    ),
    # A wallet's code pays once.
    "the code is at another checkout": Asked(
        "code_used", with_code=(row(LOST, checkout=ELSEWHERE),)
    ),
    "the code has just paid elsewhere": Asked(
        "code_used", with_code=(row(PAID, checkout=ELSEWHERE, closed_ago_ms=10 * MINUTE_MS - 1),)
    ),
    "the code paid elsewhere ten minutes ago": Asked(
        "start", with_code=(row(PAID, checkout=ELSEWHERE, closed_ago_ms=10 * MINUTE_MS),)
    ),
    "the code was declined elsewhere": Asked(
        "start", with_code=(row(DECLINED, checkout=ELSEWHERE),)
    ),
    "the code has just paid a part": Asked("code_used", (PART,), fee=200, with_code=(PART,)),
    "--another waives no used code": Asked(
        "code_used", (PART,), fee=200, with_code=(PART,), waived=ANOTHER
    ),
    # Where the till numbers the checkouts: is it another customer?
    "the same amount is open": Asked("unsure", near=(row(LOST, checkout=ELSEWHERE),)),
    "the same amount has long been open": Asked(
        "unsure", near=(row(LOST, checkout=ELSEWHERE, age_ms=HOUR_MS),)
    ),
    "another amount is open, younger than a minute": Asked(
        "unsure", near=(row(LOST, fee=99, checkout=ELSEWHERE, age_ms=MINUTE_MS - 1),)
    ),
    "another amount is open, a minute old": Asked(
        "start", near=(row(LOST, fee=99, checkout=ELSEWHERE, age_ms=MINUTE_MS),)
    ),
    "the same amount was just paid": Asked(
        "unsure", near=(row(PAID, checkout=ELSEWHERE, closed_ago_ms=MINUTE_MS - 1),)
    ),
    "the same amount was paid a minute ago": Asked(
        "start", near=(row(PAID, checkout=ELSEWHERE, closed_ago_ms=MINUTE_MS),)
    ),
    "another amount was just paid": Asked(
        "start", near=(row(PAID, fee=99, checkout=ELSEWHERE, closed_ago_ms=0),)
    ),
    "the same amount was just declined": Asked(
        "start", near=(row(DECLINED, checkout=ELSEWHERE, closed_ago_ms=0),)
    ),
    "a used code before any question": Asked(
        "code_used",
        with_code=(row(LOST, checkout=ELSEWHERE),),
        near=(row(LOST, checkout=ELSEWHERE),),
    ),
    # The platform spoke against the record of a payment.
    "an alarm": Asked("alarm", (ALARMED,), alarmed=ALARMED),
    "an alarm, and a part is still due": Asked("alarm", (PART,), alarmed=PART, fee=200),
    "--another waives no alarm": Asked("alarm", (ALARMED,), alarmed=ALARMED, waived=ANOTHER),
    "an alarm, and an id of its own": Asked(
        "alarm", (ALARMED,), alarmed=ALARMED, request_id=OWN_ID
    ),
    # The checkout was paid, in full or in part.
    "declined and told": Asked("start", (row(DECLINED),)),
    "paid in full": Asked("already_paid", (row(PAID),)),
    "paid, and nobody said what is due": Asked("already_paid", (row(PAID, remaining=None),)),
    "--another after paid in full": Asked("start", (row(PAID),), waived=ANOTHER),
    "the last fen": Asked("start", (row(PAID, fee=99, remaining=1),), fee=1),
    "the next part": Asked("start", (PART,), fee=500),
    "more than is due": Asked("more_than_due", (PART,), fee=501),
    "--another, nothing is due": Asked("start", (row(PAID),), fee=1, waived=ALL_IS_PAID),
    "--another, one fen is due": Asked(
        "more_than_due", (row(PAID, remaining=1),), fee=2, waived=ALL_IS_PAID
    ),
    "--another, nobody said what is due": Asked(
        "start", (row(PAID, remaining=None),), waived=ALL_IS_PAID
    ),
    "--another for more than is due": Asked("start", (PART,), fee=501, waived=ANOTHER),
    "the same fee a moment later": Asked(
        "same_fee_again", (row(PAID, remaining=500, closed_ago_ms=59 * SECOND_MS),)
    ),
    "the same fee after a minute": Asked(
        "start", (row(PAID, remaining=500, closed_ago_ms=MINUTE_MS),)
    ),
    "the same fee, closed ahead of the clock": Asked(
        "same_fee_again", (row(PAID, remaining=500, closed_ago_ms=-HOUR_MS),)
    ),
    "--another for the same fee a moment later": Asked(
        "start", (row(PAID, remaining=500, closed_ago_ms=SECOND_MS),), waived=ANOTHER
    ),
    "the same fee, and it was declined": Asked(
        "start", (row(PAID, fee=200, remaining=500), row(DECLINED, closed_ago_ms=SECOND_MS))
    ),
    "another fee a moment later": Asked(
        "start", (row(PAID, remaining=500, closed_ago_ms=SECOND_MS),), fee=200
    ),
}


@pytest.mark.parametrize("case", ADMIT.values(), ids=ADMIT)
def test_what_becomes_of_a_pay(case: Asked) -> None:
    """Start, resume, tell, or the one reason why nothing is sent."""
    text = wire(case.fee, request_id=case.request_id or "fresh", code=case.code)
    ask = Ask(case.checkout, case.request_id, text, case.fee, case.waived, NOW_MS, case.near)
    known = {p.request_id: p for p in case.payments}.get(case.request_id or "")
    mine = [p for p in case.payments if p.checkout == case.checkout]
    try:
        decision = admit(ask, known, mine, case.alarmed, case.with_code)
    except UsageError as error:
        assert error.code == case.decision
        return
    match decision:
        case Refuse(block, by):
            assert block == case.decision
            assert by in (*case.payments, *case.with_code, case.alarmed)
        case Resume(by) | Tell(by):
            assert type(decision).__name__.lower() == case.decision
            assert by in case.payments
        case Unsure(by):
            assert case.decision == "unsure"
            assert by in case.near
        case _:
            assert isinstance(decision, Start)
            assert case.decision == "start"


def test_every_block_has_a_row() -> None:
    """Whatever `admit` refuses for stands in the table; two blocks are found elsewhere."""
    said = {case.decision for case in ADMIT.values()}
    assert set(Block) - said == {Block.HELD, Block.OTHER_PROFILE}  # in `reopen`, below


# ── what a checkout has had, and still needs ─────────────────────────────────────────────────

BY_HAND = Standing(State.RESOLVED, paid=True)  # a person said "paid", and no rest
NOT_PAID = Standing(State.RESOLVED, paid=False)
DUE: dict[str, tuple[tuple[Payment, ...], int, int | None]] = {
    "nothing yet": ((), 0, None),
    "open or declined": ((row(LOST), row(DECLINED)), 0, None),
    "a part": ((PART,), 100, 500),
    "two parts": ((PART, row(PAID, fee=200, remaining=300)), 300, 300),
    "a part, and a later one that is open": ((PART, row(LOST)), 100, 500),
    "nobody said what is due": ((row(PAID, remaining=None),), 100, None),
    "the last did not say": ((PART, row(PAID, remaining=None)), 200, None),
    "a person said paid": ((PART, row(fee=200, standing=BY_HAND)), 300, 300),
    "a person said more was paid than was due": ((PART, row(fee=700, standing=BY_HAND)), 800, 0),
    "a person said paid, and nobody what was due": ((row(standing=BY_HAND),), 100, None),
    "the platform spoke after a person did": ((PART, row(PAID, standing=BY_HAND)), 200, 0),
    "a person said not paid": ((PART, row(standing=NOT_PAID)), 100, 500),
}


@pytest.mark.parametrize(("payments", "paid", "rest"), DUE.values(), ids=DUE)
def test_what_is_due(payments: tuple[Payment, ...], paid: int, rest: int | None) -> None:
    """What was paid is added up; the platform's last word on the rest counts, and a person's
    "paid" takes from it, never below nothing.
    """
    found = due(payments)
    settled = [payment for payment in payments if payment.standing.paid]
    assert found == (paid, rest, settled[-1] if settled else None)


BEFORE: dict[str, tuple[str | None, tuple[Payment, ...], int]] = {
    "nothing yet": (None, (), 100),
    "declined": (None, (row(DECLINED),), 100),
    "the rest": (None, (PART,), 500),
    "more than the rest": ("more_than_due", (PART,), 501),
    "paid in full": ("already_paid", (row(PAID),), 1),
    "one fen is due": (None, (row(PAID, remaining=1),), 1),
    "paid, and nobody said what is due": ("already_paid", (row(PAID, remaining=None),), 1),
    "paid more than was due": ("already_paid", (row(PAID, remaining=-1),), 1),
    "a later one is open": (None, (PART, row(LOST)), 501),
    "paid, and nobody was told": (None, (row(PAID, told=False),), 1),
}


@pytest.mark.parametrize(("block", "payments", "fee"), BEFORE.values(), ids=BEFORE)
def test_what_is_refused_before_a_code_is_scanned(
    block: str | None, payments: tuple[Payment, ...], fee: int
) -> None:
    """Paid in full, or more than is due; what is open or was not told yet is `admit`'s to say."""
    found = refused_before(fee, payments)
    assert found == (None if block is None else Refuse(Block(block), payments[-1]))


# ── how old a payment may be when it is sent again ───────────────────────────────────────────

GONE, RESTORED = frozenset({Block.CUSTOMER_GONE}), frozenset({Block.RESTORED})
EVERYTHING = frozenset(Block)


@dataclass(frozen=True)
class Resend:
    """An open payment so old, with a wallet's code in it or none: what forbids sending it."""

    block: str | None
    age_ms: int
    code: bool = True
    automatic: bool = False
    waived: frozenset[Block] = frozenset()
    for_person: bool = False
    event: Event = LOST


QUARTER_MS, DAY_MS = 15 * MINUTE_MS, 24 * HOUR_MS
RESEND = {
    "by itself, for a quarter of an hour": Resend(None, QUARTER_MS, automatic=True),
    "by itself, no longer": Resend("too_old", QUARTER_MS + 1, automatic=True),
    "by itself, no longer, whatever is waived": Resend(
        "too_old", QUARTER_MS + 1, automatic=True, waived=EVERYTHING
    ),
    "by hand, for a day": Resend(None, DAY_MS),
    "by hand, no longer": Resend("too_old", DAY_MS + 1),
    "by hand, no longer, whatever is waived": Resend("too_old", DAY_MS + 1, waived=EVERYTHING),
    "made a day ahead of the clock": Resend(None, -DAY_MS),
    "made further ahead of the clock": Resend("too_old", -DAY_MS - 1),
    "made ahead of the clock, by itself": Resend("too_old", -QUARTER_MS - 1, automatic=True),
    "no code, at once": Resend(None, QUARTER_MS, code=False),
    "no code, later": Resend("customer_gone", QUARTER_MS + 1, code=False),
    "no code, later, and he is here": Resend(None, DAY_MS, code=False, waived=GONE),
    "no code, after a day, and he is here": Resend("too_old", DAY_MS + 1, code=False, waived=GONE),
    "of a backup": Resend("restored", 0, for_person=True),
    "of a backup, and a person answers": Resend(None, 0, for_person=True, waived=RESTORED),
    "of a backup, by itself": Resend(
        "restored", 0, for_person=True, waived=RESTORED, automatic=True
    ),
    "a conflict": Resend("conflict", 0, event=Event.CONTRADICTION),
    "a conflict, whatever is waived": Resend(
        "conflict", 0, event=Event.CONTRADICTION, waived=EVERYTHING
    ),
}


@pytest.mark.parametrize("case", RESEND.values(), ids=RESEND)
def test_what_may_be_sent_again(case: Resend) -> None:
    """15 minutes by itself, a day by hand; without a code only while the customer is here."""
    open_one = row(
        case.event,
        age_ms=case.age_ms,
        code=CODE if case.code else None,
        for_person=case.for_person,
    )
    found = may_resend(open_one, NOW_MS, case.waived, automatic=case.automatic)
    assert found == case.block


# ── how late a try may leave ─────────────────────────────────────────────────────────────────

DAY_OLD_MS = DAY_MS - SECOND_MS
LEAVE = {
    "at once": (0.0, 0, 0, True),
    "just in time": (30.0, 30_000, 0, True),
    "asleep by the clock that counts sleep": (30.001, 0, 0, False),
    "asleep by the wall clock": (0.0, 30_001, 0, False),
    "the wall clock went back": (1.0, -3_600_000, 0, True),
    "the last second of the day": (0.5, 500, DAY_OLD_MS, True),
    "the last millisecond of the day": (1.0, 1_000, DAY_OLD_MS, True),
    "made a day ahead of the clock": (0.0, 0, -DAY_MS, True),
    "made further ahead of the clock": (0.0, 0, -DAY_MS - 1, False),
    "a day is over meanwhile": (2.0, 2_000, DAY_OLD_MS, False),
}


@pytest.mark.parametrize(("waited_s", "wall_ms", "age_ms", "may"), LEAVE.values(), ids=LEAVE)
def test_when_a_try_may_leave(waited_s: float, wall_ms: int, age_ms: int, may: bool) -> None:
    """Thirty seconds by either clock, and never a payment of more than a day."""
    begun = payment(None, age_s=0)
    begun = begun._replace(created_ms=begun.updated_ms - age_ms)
    assert may_leave(begun, waited_s, begun.updated_ms + wall_ms) is may


def test_the_spans_are_those_of_the_contract() -> None:
    """A quarter of an hour, a day, a minute."""
    assert (rule.AUTOMATIC_MS, rule.BY_HAND_MS, rule.REPEAT_MS) == (900_000, 86_400_000, 60_000)


# ── a payment that is reopened ───────────────────────────────────────────────────────────────


class OneRow:
    """As much of a transaction as `reopen` needs, over one payment; `held` by somebody else."""

    def __init__(self, found: Payment | None, *, held: bool) -> None:
        self._found, self._held = found, held
        self.started = False

    def payment(self, request_id: str) -> Payment | None:
        return self._found if self._found and self._found.request_id == request_id else None

    def hold(self, _payment: Payment) -> bool:
        return not self._held

    def start_try(self, found: Payment, _who: Who, _now_ms: int) -> Payment:
        self.started = True
        return found._replace(tries=found.tries + 1)


def desk(merchant: str, *, live: bool = True) -> Desk:
    """A desk of this merchant's, as far as `reopen` looks."""
    unused = cast("Callable[[], float]", None)
    return Desk(
        profile=Profile(
            "store-1", "https://gw", "12345678" if live else "training", Secret("secret", "x"),
            merchant_name=merchant,
        ),
        secret="",
        journal=None,  # type: ignore[arg-type]  # `reopen` is inside a transaction
        gateway=None,  # type: ignore[arg-type]  # and sends nothing
        who=lambda _machine, _operator: WHO,
        now_s=lambda: NOW_MS / 1000,
        uptime_s=unused,
        new_id=str,
        interruptible=None,  # type: ignore[arg-type]  # as above
    )  # fmt: skip


class Reopened(NamedTuple):
    """What `reopen` finds, for whom, and what becomes of it."""

    decision: str
    found: Payment | None
    merchant: str = "hema"
    live: bool = True
    held: bool = False
    waived: frozenset[Block] = frozenset()
    automatic: bool = False


OPEN = row(LOST)
REOPEN = {
    "an open one": Reopened("sent", OPEN),
    "one whose process died": Reopened("sent", row(None)),
    "another merchant's": Reopened("other_profile", OPEN, merchant="other"),
    "another merchant's, whatever is waived": Reopened(
        "other_profile", OPEN, merchant="other", waived=EVERYTHING
    ),
    "for the training": Reopened("other_profile", OPEN, live=False),
    "closed meanwhile": Reopened("tell", row(PAID)),
    "closed by a person meanwhile": Reopened(
        "tell", row(standing=Standing(State.RESOLVED, paid=False))
    ),
    "somebody is sending it": Reopened("held", OPEN, held=True),
    "after a day": Reopened("too_old", row(LOST, age_ms=DAY_MS + 1), waived=EVERYTHING),
    "by itself, after a quarter of an hour": Reopened(
        "too_old", row(LOST, age_ms=QUARTER_MS + 1), automatic=True
    ),
    "no code, and the customer left": Reopened(
        "customer_gone", row(LOST, code=None, age_ms=QUARTER_MS + 1)
    ),
    "of a backup": Reopened("restored", row(LOST, for_person=True)),
    "a conflict": Reopened("conflict", row(Event.CONTRADICTION)),
    "gone from the journal": Reopened("journal_replaced", None),
}


@pytest.mark.parametrize("case", REOPEN.values(), ids=REOPEN)
def test_what_becomes_of_a_payment_that_is_reopened(case: Reopened) -> None:
    """A try is written only for one's own merchant, while it is open, young and nobody's."""
    rows = OneRow(case.found, held=case.held)
    at = desk(case.merchant, live=case.live)
    try:
        decision = reopen(
            cast("Transaction", rows), "r-1", at, case.waived, automatic=case.automatic
        )
    except JournalError as error:
        assert error.code == case.decision
        return
    assert rows.started is (case.decision == "sent")
    match decision:
        case Refuse(block, _by):
            assert block == case.decision
        case Tell(by):
            assert (case.decision, by) == ("tell", case.found)
        case _:
            assert decision.tries == OPEN.tries + 1


# ── an answer that the journal could not take in ─────────────────────────────────────────────

UNSURE = Standing(State.SENDING, Doubt.UNKNOWN)
WAITING = Standing(State.SENDING, Doubt.PENDING)
SURE = {Outcome.SUCCESS, Outcome.CONFLICT, Outcome.PENDING}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize(
    "before", [Standing(State.SENDING), UNSURE, WAITING], ids=["first", "unknown", "pending"]
)
def test_nobody_is_told_not_charged_of_an_answer_that_was_not_recorded(
    before: Standing, event: Event
) -> None:
    """The row stays open and may be resent, so "not charged" might become a lie: it is unknown."""
    sending = row(standing=before)
    told = unrecorded(sending, Reading(end(event), Verdict()))
    meant = proves(event, before.doubt, own_id=False)
    if meant in SURE:
        assert outcome_of(told.standing) is meant
    elif before is WAITING:
        assert outcome_of(told.standing) in (Outcome.PENDING, Outcome.UNKNOWN)
    else:
        assert outcome_of(told.standing) is Outcome.UNKNOWN
    assert told.standing.paid is not False
