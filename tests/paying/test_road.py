"""The road of a payment, in milliseconds: the real journal, and a gateway that plays a script.

What becomes of the row, what is told, and what is sent, for every kind of ending. The same roads
with real sockets and processes are in `test_events.py`, `test_open.py` and `test_sweep.py`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from road import (
    BANNED,
    DECLINED,
    LOST,
    OTHER_CODE,
    PAID,
    PENDING,
    SECRET,
    UNSENT,
    Does,
    Till,
    error,
    model,
    patience,
    says,
    stops,
)
from scenes import CODE, DEFAULTS

from posctl.errors import AfterSending, Busy, JournalError, UsageError
from posctl.gateway.exchange import Exchange, Sent
from posctl.gateway.top import ACTION_QUERY_METHOD, PAY_METHOD, sign
from posctl.hint import Say, Type
from posctl.journal import Transaction
from posctl.money.admit import Block
from posctl.money.order import Limits, check
from posctl.money.outcome import Doubt, Event, Exit, Outcome, Standing, State
from posctl.money.record import Payment, StatusAnswer, TryEnd
from posctl.money.result import Result
from posctl.paying.answer import read_exchange
from posctl.paying.by_hand import close_by_hand, correct_by_hand, person
from posctl.paying.desk import Patience
from posctl.paying.many import record
from posctl.paying.pay import as_result, told
from posctl.paying.retries import due_at_ms
from posctl.paying.row import is_being_sent, open_order
from posctl.paying.status import ask_checkout, ask_payment, record_status


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    made = Till(tmp_path / "journal.db")
    with closing(made.journal):
        yield made


# ── one try ──────────────────────────────────────────────────────────────────────────────────

ENDS: dict[str, tuple[Does, Outcome, Exit]] = {
    "paid": (PAID, Outcome.SUCCESS, Exit.OK),
    "declined": (DECLINED, Outcome.FAIL, Exit.FAIL),
    "unsent": (UNSENT, Outcome.NOT_SENT, Exit.NOT_SENT),
    "refused": (says(error(40)), Outcome.REJECTED, Exit.REJECTED),
    "pending": (PENDING, Outcome.PENDING, Exit.PENDING),
    "lost": (LOST, Outcome.UNKNOWN, Exit.UNKNOWN),
    "contradicts itself": (says(model(1, success=False)), Outcome.CONFLICT, Exit.CONFLICT),
    "not TOP": (says(b"<html>"), Outcome.UNKNOWN, Exit.UNKNOWN),
    "redirected": (says(b"", 302), Outcome.UNKNOWN, Exit.UNKNOWN),
    "Ctrl-C before": (stops(left=False), Outcome.NOT_SENT, Exit.INTERRUPTED),
    "Ctrl-C after": (stops(left=True), Outcome.UNKNOWN, Exit.UNKNOWN),
}


@pytest.mark.parametrize("name", ENDS)
def test_one_try(till: Till, name: str) -> None:
    """What is told is what is recorded; one request, the recorded bytes, rightly signed; nobody
    holds the payment afterwards.
    """
    does, outcome, code = ENDS[name]
    result = till.pay(does)
    assert (result.outcome, result.exit_code, result.resumed) == (outcome, code, False)
    payment = till.payment()
    assert result.payment is not None
    assert result.payment.standing == payment.standing
    (form,) = till.gateway.forms
    assert (form["method"], form["shop_id"]) == (PAY_METHOD, "1")
    assert form["sign"] == sign(form, SECRET, "hmac-sha256")
    assert till.gateway.may_leave == [True]
    (one,) = till.rows("SELECT * FROM tries")
    assert (one["machine_id"], one["operator_id"]) == ("001", "123")
    assert till.is_free()
    closed = payment.standing.paid is not None
    assert (CODE in payment.pay_request) is not closed, "a code goes when its payment closes"
    assert (result.problem is None) is (outcome in (Outcome.SUCCESS, Outcome.PENDING))


@pytest.mark.parametrize("name", ENDS)
def test_the_same_pay_again(till: Till, name: str) -> None:
    """An open payment is resumed under its own id; one that nobody was told of is told; after one
    that was told and did not charge a new one begins.
    """
    does, outcome, _code = ENDS[name]
    first = till.pay(does)
    assert first.payment is not None
    again = till.pay(PAID)
    if outcome is Outcome.CONFLICT:
        assert again.outcome is Outcome.BLOCKED
        assert len(till.gateway.forms) == 1
        return
    assert again.payment is not None
    assert (again.payment.request_id, again.resumed) == (first.payment.request_id, True)
    is_open = first.payment.open
    assert len(till.gateway.forms) == (2 if is_open else 1)
    warned = any("told" in one or "shown" in one for one in again.warnings)
    assert warned is not is_open
    if is_open:
        assert again.outcome is Outcome.SUCCESS
        assert {form["pay_request"] for form in till.gateway.forms} == {
            till.gateway.forms[0]["pay_request"]
        }
        return
    assert again.outcome is outcome
    till.journal.mark_told([first.payment.request_id])
    third = till.pay(PAID)
    if outcome is Outcome.SUCCESS:
        assert third.outcome is Outcome.BLOCKED
        assert third.blocked_by is not None
    else:
        assert third.payment is not None
        assert (third.outcome, third.resumed) == (Outcome.SUCCESS, False)
        assert third.payment.request_id != first.payment.request_id


def test_a_fresh_code_is_set_aside(till: Till) -> None:
    """A resumed payment goes with its own code; that the new one was not used is said, and only
    when it was another one.
    """
    till.pay(LOST)
    again = till.pay(LOST, channel_account=OTHER_CODE)
    assert any("code" in one for one in again.warnings)
    assert CODE in till.gateway.forms[-1]["pay_request"]
    same = till.pay(LOST)
    without = till.pay(LOST, channel_account="")
    assert (same.warnings, without.warnings) == ((), ())


def test_a_first_payment_sets_no_code_aside(till: Till) -> None:
    """Of a first try nothing is said of codes."""
    assert till.pay(PAID).warnings == ()


@pytest.mark.parametrize("given", ["", "order-0001"])
@pytest.mark.parametrize("name", ["declined", "unsent", "refused", "lost"])
def test_a_request_id_that_is_used_up(till: Till, name: str, given: str) -> None:
    """A given id that closed without a charge is used up, which is said: another one is needed."""
    sent = till.pay(ENDS[name][0], request_id=given)
    again = till.pay(PAID if name == "lost" else LOST, request_id=given)
    for result in (sent, again):
        hint = () if result.problem is None else result.problem.hint
        said = " ".join(part.text for part in hint if isinstance(part, Say))
        used_up = bool(given) and name != "lost"
        assert ("used up" in said) is used_up, said
        if used_up:
            assert ("Nothing was sent" in said) is (result is again)
    assert len(till.gateway.forms) == (2 if name == "lost" else 1)


def test_what_is_due_is_the_last_success(till: Till) -> None:
    """Only a success tells what is due: this one, or the last before it; and nothing does, where
    there was none.
    """
    declined = model(2, remaining_fee=7, result_code="ACQ.BUYER_BALANCE_NOT_ENOUGH")
    assert till.pay(says(declined)).remaining_fee is None
    till.journal.mark_told([till.first_id()])
    assert till.pay(says(model(1, remaining_fee=400))).remaining_fee == 400
    till.now_s += 3600
    till.journal.mark_told([row["request_id"] for row in till.rows("SELECT * FROM payments")])
    for does in (says(declined), says(model(3, remaining_fee=9)), LOST):
        result = till.pay(does, pay_fee="50", channel_account=OTHER_CODE)
        assert (result.outcome is Outcome.SUCCESS, result.remaining_fee) == (False, 400)


def test_what_is_blocked_says_by_whom(till: Till) -> None:
    """A blocked payment tells what was asked, what stands in its way, and what is due."""
    till.pay(says(model(1, remaining_fee=400)))
    till.journal.mark_told([till.first_id()])
    blocked = till.pay(pay_fee="500", channel_account=OTHER_CODE, order_id="o-2")
    assert (blocked.outcome, blocked.exit_code) == (Outcome.BLOCKED, Exit.BLOCKED)
    assert blocked.asked is not None
    assert blocked.blocked_by is not None
    assert (blocked.asked.pay_fee, blocked.asked.order_id) == (500, "o-2")
    assert (blocked.asked.request_id, blocked.asked.checkout_id) == (None, "111")
    assert (blocked.blocked_by.request_id, blocked.remaining_fee) == (till.first_id(), 400)
    assert blocked.problem is not None
    assert blocked.problem.code == "more_than_due"


def test_what_was_due_after_a_payment_stays_its_own(till: Till) -> None:
    """A success tells what it left due, also when it is told again after a later part."""
    till.pay(says(model(1, remaining_fee=400)), request_id="order-0001")
    till.journal.mark_told(["order-0001"])
    till.now_s += 3600
    later = till.pay(
        says(model(1, remaining_fee=350)),
        pay_fee="50",
        channel_account=OTHER_CODE,
        request_id="order-0002",
    )
    assert later.remaining_fee == 350
    assert told(till.payment("order-0001"), till.desk).remaining_fee == 400


def test_what_is_told_again(till: Till) -> None:
    """That it comes late is said of what nobody was told; and why it is still open, of what is."""
    till.pay(PAID, request_id="order-0001")
    assert len(told(till.payment("order-0001"), till.desk).warnings) == 1
    till.journal.mark_told(["order-0001"])
    assert told(till.payment("order-0001"), till.desk).warnings == ()
    for does in (PENDING, LOST):
        till.pay(does, request_id="order-0002", checkout_id="112", channel_account="")
    assert len(told(till.payment("order-0002"), till.desk).warnings) == 1


def test_a_code_leaves_the_files_when_its_payment_closes(till: Till) -> None:
    """Erased from every byte of the journal; a disk that is full then is no reason to tell less,
    and the next payment catches up.
    """
    till.pay(LOST)
    assert in_files(till, CODE)
    till.fails_to_forget = True
    assert till.pay(PAID).outcome is Outcome.SUCCESS
    till.fails_to_forget = False
    till.pay(LOST, checkout_id="112", channel_account=OTHER_CODE)
    till.retry(says(model(1)), request_id=till.latest_id())
    assert not in_files(till, CODE)
    assert not in_files(till, OTHER_CODE)


def test_codes_are_forgotten_when_one_closes_alone(till: Till) -> None:
    """The files are rewritten for a payment that has closed and had a code; for no other."""
    till.pay(LOST)
    till.pay(LOST, checkout_id="112", channel_account="")
    assert till.forgot == 0
    till.retry(says(model(1)), request_id=till.latest_id())
    assert till.forgot == 0
    till.retry(PAID)
    assert till.forgot == 1


def test_a_pending_one_that_nobody_heard_of_yet(till: Till) -> None:
    """Told while its latest try is on its way, it is pending, without a warning."""
    till.pay(PENDING)
    result = as_result(till.payment(), None, (), None, resumed=True)
    assert (result.outcome, result.warnings) == (Outcome.PENDING, ())


# ── asking on ────────────────────────────────────────────────────────────────────────────────


def test_without_patience_one_try(till: Till) -> None:
    """One `pay`, one request, whatever came of it."""
    for does in (PENDING, LOST):
        till.pay(does)
    assert len(till.gateway.forms) == 2


def test_patience_asks_after_2_s_and_then_every_5(till: Till) -> None:
    """It goes on until the payment is settled."""
    slept: list[float] = []
    result = till.pay(LOST, PENDING, PENDING, PAID, patience=patience(till, 60, slept))
    assert (result.outcome, slept) == (Outcome.SUCCESS, [2.0, 5.0, 5.0])
    assert result.payment is not None
    assert result.payment.tries == 4
    assert till.is_free()


def test_patience_ends(till: Till) -> None:
    """What is open when the time is over is told as it is; the last pause is as long as is left."""
    slept: list[float] = []
    result = till.pay(PENDING, patience=patience(till, 8, slept))
    assert (result.outcome, slept) == (Outcome.PENDING, [2.0, 5.0, 1.0])
    assert till.pay(PENDING, patience=patience(till, 0, slept)).outcome is Outcome.PENDING
    assert len(slept) == 3


def test_patience_needs_none_for_what_is_settled(till: Till) -> None:
    """A verdict is told at once; a conflict is never asked about again."""
    slept: list[float] = []
    assert till.pay(DECLINED, patience=patience(till, 60, slept)).outcome is Outcome.FAIL
    conflict = says(model(1, success=False))
    found = till.pay(conflict, checkout_id="112", patience=patience(till, 60, slept))
    assert (found.outcome, slept) == (Outcome.CONFLICT, [])


@pytest.mark.parametrize(("wait_s", "pauses"), [(60, [2.0, 10.0]), (11, [2.0])])
def test_patience_waits_out_a_ban(till: Till, wait_s: float, pauses: list[float]) -> None:
    """A rate limit that names its ban is waited out, and a second more; one that is longer than the
    time that is left ends the waiting.
    """
    slept: list[float] = []
    result = till.pay(LOST, BANNED, PAID, patience=patience(till, wait_s, slept))
    assert slept == pauses
    assert result.outcome is (Outcome.SUCCESS if len(pauses) == 2 else Outcome.UNKNOWN)


def test_patience_is_interrupted(till: Till) -> None:
    """Ctrl-C in a pause: the last record says what is known, and so does the exit code."""

    def pause(_seconds: float, _result: Result) -> None:
        raise KeyboardInterrupt

    result = till.pay(PENDING, patience=Patience(60, lambda: till.now_s, pause))
    assert (result.exit_code, len(till.gateway.forms)) == (Exit.PENDING, 1)
    assert till.is_free()


def test_patience_meets_a_person(till: Till) -> None:
    """Closed by hand in a pause, it is told so, and nothing more is sent; held back for a person,
    it is told as it was.
    """

    def close(_seconds: float, _result: Result) -> None:
        till.now_s += 2
        journal = till.journal
        close_by_hand(till.payment(), "me", "seen", int(till.now_s * 1000), journal, paid=True)

    result = till.pay(PENDING, PAID, patience=Patience(60, lambda: till.now_s, close))
    assert result.payment is not None
    assert (result.payment.standing.state, result.resumed) == (State.RESOLVED, True)
    assert len(till.gateway.forms) == 1


def test_patience_sends_nothing_too_old(till: Till) -> None:
    """After a quarter of an hour nothing is sent by itself."""

    def sleep(_seconds: float, _result: Result) -> None:
        till.now_s += 901

    result = till.pay(PENDING, PAID, patience=Patience(3600, lambda: till.now_s, sleep))
    assert (result.outcome, len(till.gateway.forms)) == (Outcome.PENDING, 1)


# ── the journal fails ────────────────────────────────────────────────────────────────────────


def test_no_record_no_payment(till: Till) -> None:
    """Where the row cannot be written nothing is sent."""
    till.fails_after = 0
    with pytest.raises(JournalError):
        till.pay(PAID)
    assert till.gateway.forms == []


@pytest.mark.parametrize(
    ("does", "outcome"),
    [(PAID, Outcome.SUCCESS), (DECLINED, Outcome.UNKNOWN), (LOST, Outcome.UNKNOWN)],
)
def test_an_answer_that_cannot_be_recorded(till: Till, does: Does, outcome: Outcome) -> None:
    """The verdict is told, with a warning; "not charged" is not, since the row stays open."""
    till.fails_after = 1
    result = till.pay(does)
    assert result.outcome is outcome
    assert any("record" in one for one in result.warnings)
    till.fails_after = None
    assert till.payment().open
    again = till.pay(PAID)
    assert (again.outcome, again.resumed) == (Outcome.SUCCESS, True)


def test_a_bug_after_sending(till: Till) -> None:
    """It is told with the request_id, and the row stays open."""
    till.gateway.mistrust = None  # type: ignore[assignment,method-assign]  # the bug
    anothers = says(model(1, request_id="00000000-0000-4000-8000-999999999999"))
    with pytest.raises(AfterSending) as caught:
        till.pay(anothers)
    assert caught.value.request_id == till.first_id()


# ── whose answer it is ───────────────────────────────────────────────────────────────────────

ANOTHERS: dict[str, dict[str, object]] = {
    "another request_id": {"request_id": "00000000-0000-4000-8000-999999999999"},
    "another checkout_id": {"checkout_id": "112"},
    "another order_id": {"order_id": "112"},
}


@pytest.mark.parametrize("name", ANOTHERS)
def test_an_answer_to_another_payment(till: Till, name: str) -> None:
    """Nothing of it is kept or told, and its connection is not used again."""
    more = {"payment_order_id": "P9", "result_message": OTHER_CODE, **ANOTHERS[name]}
    result = till.pay(says(model(1, **more)))
    assert result.outcome is Outcome.CONFLICT
    assert till.gateway.mistrusted == {1}
    payment = till.payment()
    assert payment.verdict.payment_order_id is None
    (one,) = till.rows("SELECT * FROM tries")
    assert one["raw"] is None
    assert OTHER_CODE not in json.dumps(till.rows("SELECT * FROM tries"))


def test_an_answer_that_names_this_payment(till: Till) -> None:
    """Its own names are none of another's."""
    result = till.pay(says(model(1, checkout_id="111", order_id="111")))
    assert (result.outcome, till.gateway.mistrusted) == (Outcome.SUCCESS, set())


@pytest.mark.parametrize("name", ["payment_order_id", "channel_order_id"])
def test_a_voucher_of_another_checkout(till: Till, name: str) -> None:
    """A stale answer: it names what another checkout was paid with, and so counts for nothing."""
    till.pay(says(model(1, **{name: "V1"})))
    till.now_s += 3600
    result = till.pay(says(model(1, **{name: "V1"})), checkout_id="112", channel_account=OTHER_CODE)
    assert result.outcome is Outcome.CONFLICT
    assert till.gateway.mistrusted == {2}
    assert result.payment is not None
    assert getattr(result.payment.verdict, name) is None


@pytest.mark.parametrize("voucher", ["0", "-", "null", "NONE", None])
def test_a_voucher_that_names_nothing(till: Till, voucher: str | None) -> None:
    """So little tells no payment from another."""
    for n, code in enumerate((CODE, OTHER_CODE)):
        result = till.pay(
            says(model(1, payment_order_id=voucher)), checkout_id=f"c{n}", channel_account=code
        )
        assert result.outcome is Outcome.SUCCESS


def test_the_same_voucher_again_is_its_own(till: Till) -> None:
    """A payment's own voucher, told before, is no news."""
    till.pay(says(model(3, payment_order_id="V1")))
    result = till.pay(says(model(1, payment_order_id="V1")))
    assert result.outcome is Outcome.SUCCESS
    assert till.payment().verdict.payment_order_id == "V1"


def test_another_voucher_for_the_same_payment(till: Till) -> None:
    """The record of the first stays, and a person decides."""
    till.pay(says(model(3, payment_order_id="V1", channel_order_id="C1", remaining_fee=5)))
    result = till.pay(says(model(1, payment_order_id="V2", channel_order_id="C2")))
    assert result.outcome is Outcome.CONFLICT
    verdict = till.payment().verdict
    assert (verdict.payment_order_id, verdict.channel_order_id) == ("V1", "C1")
    assert verdict.remaining_fee == 5


def test_the_voucher_of_a_pending_answer_is_kept(till: Till) -> None:
    """A later answer without one takes nothing away; an error keeps the model's words, too."""
    till.pay(says(model(3, payment_order_id="V1")))
    till.pay(says(error(10, "isp.unknown-error")))
    assert till.payment().verdict.payment_order_id == "V1"
    till.pay(says(model(1)))
    assert till.payment().verdict.payment_order_id == "V1"


def test_closed_by_a_person_meanwhile(till: Till) -> None:
    """An answer against what a person said is an alarm and told as a conflict; the record stays."""

    def meanwhile(form: bytes, sent: Sent) -> Exchange:
        payment = till.payment()
        till.journal.let_go(payment)  # as when a lease has ended
        journal, now_ms = till.journal, int(till.now_s * 1000)
        close_by_hand(payment, "me", "seen", now_ms, journal, paid=False)
        return PAID(form, sent)

    result = till.pay(meanwhile)
    assert (result.outcome, result.exit_code) == (Outcome.CONFLICT, Exit.CONFLICT)
    (alarm,) = till.rows("SELECT * FROM alarms")
    assert alarm["event"] == "paid"
    payment = till.payment()
    assert (payment.standing.state, payment.standing.paid) == (State.RESOLVED, False)


# ── what is kept of an answer ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["result_message", "result_code", "payment_order_id"])
def test_an_answer_that_echoes_the_code(till: Till, where: str) -> None:
    """A payment code is cut out of all that is kept and told, whatever field it stands in."""
    result = till.pay(says(model(2, **{where: f"code {CODE} refused"})))
    assert result.payment is not None
    kept = json.dumps([till.rows("SELECT * FROM payments"), till.rows("SELECT * FROM tries")])
    assert CODE not in kept
    assert CODE not in repr(result.problem)


def test_an_error_that_echoes_the_code(till: Till) -> None:
    """The same, of an error of the gateway's."""
    said = f"bad {CODE}"
    for body in (error(50, f"isv.x:{CODE}", said), error(40, None, None, said)):
        till.pay(says(body), checkout_id=str(len(till.gateway.forms)), channel_account=CODE)
    kept = till.rows("SELECT * FROM tries")
    assert CODE not in json.dumps(kept)
    assert [one["message"].startswith("bad ") for one in kept] == [True, True]


def test_another_customers_code_is_cut_out(till: Till) -> None:
    """What looks like a wallet's code is kept of no answer; numbers that it may name are."""
    voucher = "2888888888888888"
    till.pay(says(model(1, result_message=f"seen {OTHER_CODE}", payment_order_id=voucher)))
    verdict = till.payment().verdict
    assert verdict.payment_order_id == voucher
    assert OTHER_CODE not in json.dumps(till.rows("SELECT * FROM tries"))
    assert verdict.result_message is not None
    assert OTHER_CODE not in verdict.result_message


def test_a_long_answer_is_capped(till: Till) -> None:
    """The journal keeps 16,384 characters of an answer."""
    till.pay(says(b"x" * 20_000))
    (one,) = till.rows("SELECT * FROM tries")
    assert one["raw"] == "x" * 16_384


def test_what_the_business_said(till: Till) -> None:
    """Every member of the model stands in the record, and the trace id of the envelope."""
    more: dict[str, object] = {"payment_order_id": "P1", "channel_order_id": "C1"}
    till.pay(says(model(1, result_code="OK", result_message="fine", **more)))
    verdict = till.payment().verdict
    assert verdict._asdict() == {
        "result_status": 1,
        "remaining_fee": 0,
        "current_pay_fee": 100,
        "current_payment_channel": 1006,
        "payment_order_id": "P1",
        "channel_order_id": "C1",
        "result_code": "OK",
        "result_message": "fine",
        "trace_id": "trace-1",
    }


WARNINGS: dict[str, tuple[dict[str, object], str | None]] = {
    "all is well": ({}, None),
    "another fee": ({"current_pay_fee": 99}, "fee_differs"),
    "no fee": ({"current_pay_fee": None}, None),
    "another channel": ({"current_payment_channel": 1005}, "channel_differs"),
    "no channel": ({"current_payment_channel": None}, None),
    "no rest told": ({"remaining_fee": None}, "remaining_missing"),
    "a negative rest": ({"remaining_fee": -1}, "remaining_negative"),
    "a rest": ({"remaining_fee": 1}, None),
    "a rest that no fee could be": ({"remaining_fee": 10**12}, "remaining_missing"),
    "a negative one that no fee could be": ({"remaining_fee": -(10**12)}, "remaining_missing"),
}


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_odd_about_a_success(till: Till, name: str) -> None:
    """It stays a success, and says what is odd."""
    more, warning = WARNINGS[name]
    till.pay(says(model(1, **more)))
    assert till.payment().warnings == (() if warning is None else (warning,))


@pytest.mark.parametrize(("rest", "grew"), [(399, False), (400, False), (401, True)])
def test_a_rest_that_grew(till: Till, rest: int, grew: bool) -> None:
    """More is due after a part than before it: odd."""
    till.pay(says(model(1, remaining_fee=400)))
    till.journal.mark_told([till.first_id()])
    till.now_s += 3600
    result = till.pay(says(model(1, remaining_fee=rest)), pay_fee="50", channel_account=OTHER_CODE)
    assert result.payment is not None
    assert ("remaining_grew" in result.payment.warnings) is grew


def test_a_rest_after_all_was_paid(till: Till) -> None:
    """Nothing was due, and now something is: odd."""
    till.pay(says(model(1)))
    till.journal.mark_told([till.first_id()])
    result = till.pay(
        says(model(1, remaining_fee=1)),
        waived=frozenset({Block.PAID}),
        channel_account=OTHER_CODE,
        pay_fee="50",
    )
    assert result.payment is not None
    assert result.payment.warnings == ("fee_differs", "remaining_grew")


def test_a_pending_one_says_why_its_latest_try_failed(till: Till) -> None:
    """It stays pending and tells the failure as a warning; a mere question does not."""
    assert till.pay(PENDING).warnings == ()
    assert till.pay(PENDING).warnings == ()
    result = till.pay(LOST)
    assert (result.outcome, len(result.warnings)) == (Outcome.PENDING, 1)


# ── a retry ──────────────────────────────────────────────────────────────────────────────────


def test_a_retry_resends_the_same(till: Till) -> None:
    """Its own id and payload, a fresh timestamp; told as resumed."""
    till.pay(LOST)
    till.now_s += 60
    result = till.retry(PAID)
    assert (result.outcome, result.resumed) == (Outcome.SUCCESS, True)
    first, second = till.gateway.forms
    assert first["pay_request"] == second["pay_request"]
    assert first["timestamp"] != second["timestamp"]
    assert till.is_free()


def test_a_retry_of_what_is_closed_or_too_old(till: Till) -> None:
    """Told again, or refused; nothing is sent."""
    till.pay(LOST)
    till.now_s += 25 * 3600
    blocked = till.retry()
    assert blocked.problem is not None
    assert blocked.asked is not None
    assert (blocked.outcome, blocked.problem.code) == (Outcome.BLOCKED, "too_old")
    assert (blocked.asked.request_id, blocked.asked.pay_fee) == (till.first_id(), 100)
    till.now_s -= 25 * 3600
    till.retry(PAID)
    told = till.retry(LOST)
    assert (told.outcome, told.resumed, len(till.gateway.forms)) == (Outcome.SUCCESS, True, 2)


def test_by_itself_only_a_quarter_of_an_hour(till: Till) -> None:
    """A person may resend what posctl itself would not."""
    till.pay(LOST)
    till.now_s += 901
    assert till.retry(automatic=True).outcome is Outcome.BLOCKED
    assert till.retry(PAID).outcome is Outcome.SUCCESS


def test_due_at_doubles_is_bounded_and_keeps_to_a_ban(till: Till) -> None:
    """5 s after the first try, then twice as long each time, at most two minutes; down to half of
    it, by the payment's own number; never within a ban.
    """
    till.pay(LOST)
    payment = till.payment()
    last = till.journal.last_try(payment)
    bounds = []
    for tries in range(1, 60):
        one = payment._replace(tries=tries)
        waits_ms = due_at_ms(one, last) - one.updated_ms
        most_ms = min(5000 * 2 ** min(tries, 10), 120_000)
        assert most_ms // 2 <= waits_ms <= most_ms
        bounds.append(waits_ms / most_ms)
    assert max(bounds) > 0.9
    assert min(bounds) < 0.6
    assert due_at_ms(payment, last) == due_at_ms(payment, None)
    till.pay(BANNED)
    banned = till.payment()
    assert due_at_ms(banned, till.journal.last_try(banned)) - banned.updated_ms >= 10_000


# ── asking without paying ────────────────────────────────────────────────────────────────────


def answered(word: str | None, **more: object) -> Does:
    content = {"result": {"model": {"action_status": word, "checkout_status": word, **more}}}
    method = {"alibaba_pos_pay_action_query_response": content}
    other = {"alibaba_pos_paystatus_query_response": content}

    def play(form: bytes, sent: Sent) -> Exchange:
        is_action = b"action.query" in form
        return says(json.dumps(method if is_action else other).encode())(form, sent)

    return play


@pytest.mark.parametrize(
    ("word", "state", "paid"),
    [("DONE", State.SUCCESS, True), ("NEVER", State.FAIL, False), ("WAIT", State.PENDING, None)],
)
def test_a_word_that_the_profile_spells_out(
    till: Till,
    word: str,
    state: State,
    paid: bool | None,
) -> None:
    """It closes the payment, and its code goes; the question stands in the record."""
    words = {"DONE": "success", "NEVER": "fail", "WAIT": "pending"}
    till.profile = till.profile._replace(status_words=words)
    till.pay(LOST)
    till.then(answered(word))
    asked = ask_payment(till.payment(), till.desk)
    settled = record_status(till.payment(), asked, int(till.now_s * 1000), till.desk)
    assert (settled.standing.state, settled.standing.paid) == (state, paid)
    assert till.payment().standing == settled.standing
    form = till.gateway.forms[-1]
    assert form["method"] == ACTION_QUERY_METHOD
    assert json.loads(form["payment_action_request"]) == {
        "request_id": till.first_id(),
        "buyer_id": 1,
    }
    assert form["sign"] == sign(form, SECRET, "hmac-sha256")
    assert (CODE in till.payment().pay_request) is (paid is None)
    assert till.is_free()
    assert (asked.word, asked.meaning) == (word, words[word])


def test_a_word_that_nobody_explained(till: Till) -> None:
    """It is shown and recorded, and closes nothing."""
    till.pay(LOST)
    till.then(answered("SUCCESS", channel_name="alipay"))
    asked = ask_payment(till.payment(), till.desk)
    settled = record_status(till.payment(), asked, 0, till.desk)
    assert (asked.word, asked.meaning, asked.channel_name) == ("SUCCESS", None, "alipay")
    assert settled.open
    assert till.payment().open
    assert asked.end.message == "SUCCESS"


def test_old_news_close_nothing(till: Till) -> None:
    """A question asked before the latest try says nothing of that try."""
    till.profile = till.profile._replace(status_words={"DONE": "success"})
    till.pay(LOST)
    before = till.payment()
    till.then(answered("DONE"))
    asked = ask_payment(before, till.desk)
    till.retry(LOST)
    assert record_status(before, asked, 0, till.desk).open
    assert till.payment().open


def test_a_word_against_the_record(till: Till) -> None:
    """An alarm, told as a conflict; the record stays. One that agrees is none."""
    till.profile = till.profile._replace(status_words={"DONE": "success", "NEVER": "fail"})
    till.pay(PAID)
    for word, alarms in (("DONE", 0), ("NEVER", 1)):
        till.then(answered(word))
        asked = ask_payment(till.payment(), till.desk)
        settled = record_status(till.payment(), asked, 0, till.desk)
        assert (settled.standing.state is State.CONFLICT) is bool(alarms)
        assert len(till.rows("SELECT * FROM alarms")) == alarms
    assert till.payment().standing.state is State.SUCCESS


def test_a_status_that_could_not_be_asked(till: Till) -> None:
    """Nothing closes; what went wrong is in the answer."""
    till.pay(LOST)
    for does, event in (
        (LOST, Event.READ_TIMEOUT),
        (says(b"<html>"), Event.NOT_TOP),
        (says(error(40, None, f"bad {CODE}")), Event.GATEWAY_REFUSED),
    ):
        till.then(does)
        asked = ask_payment(till.payment(), till.desk)
        assert (asked.end.event, asked.word) == (event, None)
        assert CODE not in repr(asked)
        assert record_status(till.payment(), asked, 0, till.desk).open


def test_a_checkout_is_asked_about(till: Till) -> None:
    """By its id; no single payment is closed by that."""
    till.then(answered("SUCCESS"))
    asked = ask_checkout("1", "111", 1, till.desk)
    (form,) = till.gateway.forms
    assert json.loads(form["pay_status_request"]) == {"checkout_id": "111", "buyer_id": 1}
    assert (form["shop_id"], asked.word) == ("1", "SUCCESS")


# ── by hand ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("paid", [True, False])
def test_a_person_closes_it(till: Till, paid: bool) -> None:
    """On that person's word, with the note; its code goes, and nobody holds it."""
    till.pay(LOST)
    done = close_by_hand(till.payment(), "me", "seen", 5, till.journal, paid=paid)
    assert (done.standing.state, done.standing.paid) == (State.RESOLVED, paid)
    assert CODE not in till.payment().pay_request
    assert till.is_free()


def test_a_person_closes_nothing_that_moved(till: Till) -> None:
    """Closed already: 2. Tried again since it was looked at: 30. Being sent right now: 30."""
    till.pay(LOST)
    seen = till.payment()
    till.retry(LOST)
    with pytest.raises(Busy) as tried:
        close_by_hand(seen, "me", "seen", 5, till.journal, paid=True)
    assert tried.value.code == "tried_again"
    with till.held_elsewhere() as got_it, pytest.raises(Busy) as held:
        assert got_it
        close_by_hand(till.payment(), "me", "seen", 5, till.journal, paid=True)
    assert held.value.code == "held"
    till.retry(PAID)
    with pytest.raises(UsageError) as closed:
        close_by_hand(till.payment(), "me", "seen", 5, till.journal, paid=False)
    assert closed.value.code == "closed"
    assert till.payment().standing.paid is True


def test_a_person_closes_nothing_that_was_on_its_way(till: Till) -> None:
    """A try that was on its way when somebody looked may have charged after that: once it has
    ended without an answer, the word counts no more (30), nor does what a status said then.
    """
    till.pay(LOST)
    on_its_way = till.begin(till.first_id())
    seen = till.payment()
    record([(on_its_way, read_exchange(on_its_way, LOST(b"", Sent()), 5))], till.desk)
    with pytest.raises(Busy) as tried:
        close_by_hand(seen, "me", "seen", 5, till.journal, paid=False)
    assert tried.value.code == "tried_again"
    said = StatusAnswer(TryEnd(Event.NO_VERDICT, 5), "CLOSED", "fail")
    assert record_status(seen, said, 5, till.desk).open
    assert till.payment().open
    close_by_hand(till.payment(), "me", "seen", 5, till.journal, paid=False)


def test_a_status_closes_nothing_that_another_process_was_sending(till: Till) -> None:
    """Not even when that one was killed before its answer: it may have charged after the word."""
    till.pay(LOST)
    till.journal.let_go(till.begin(till.first_id()))
    seen = till.payment()
    with till.held_elsewhere():
        assert is_being_sent(seen, till.journal)
    assert not is_being_sent(seen, till.journal)
    said = StatusAnswer(TryEnd(Event.NO_VERDICT, 5), "CLOSED", "fail")
    assert record_status(seen, said, 5, till.desk, was_being_sent=True).open
    assert till.payment().open
    assert not record_status(seen, said, 5, till.desk).open


def test_a_status_lets_nothing_go_that_is_on_its_way(till: Till) -> None:
    """A till asks about a payment that it is sending itself: the answer comes first, and nobody
    else may send or close that payment then.
    """
    till.pay(LOST)
    before = till.payment()
    till.begin(till.first_id())
    said = StatusAnswer(TryEnd(Event.NO_VERDICT, 5), "CLOSED", "fail")
    assert record_status(before, said, 5, till.desk).open
    assert record_status(till.payment(), said, 5, till.desk, was_being_sent=True).open
    assert not till.is_free()


def test_a_status_leaves_the_doubt_of_a_try_that_was_killed(till: Till) -> None:
    """The platform calls it pending after a crash: "failed" in its later words proves as little as
    it would have without that question.
    """
    till.pay(PENDING)
    till.journal.let_go(till.begin(till.first_id()))
    said = StatusAnswer(TryEnd(Event.NO_VERDICT, 5), "WAIT", "pending")
    assert record_status(till.payment(), said, 5, till.desk).standing.doubt is Doubt.BOTH
    assert till.retry(says(model(2, result_code="SOMETHING"))).outcome is Outcome.PENDING
    assert till.payment().open


def by_hand(till: Till, *, paid: bool) -> Payment:
    return close_by_hand(till.payment(), "me", "seen", 5, till.journal, paid=paid)


def corrected(till: Till, seen: Payment | None = None, *, paid: bool) -> Payment:
    return correct_by_hand(seen or till.payment(), "boss", "error", 6, till.journal, paid=paid)


def words_of(caught: pytest.ExceptionInfo[Busy] | pytest.ExceptionInfo[UsageError]) -> list[str]:
    """The commands that an error names, each in one line."""
    return [" ".join(part.args) for part in caught.value.hint if isinstance(part, Type)]


@pytest.mark.parametrize("paid", [True, False])
def test_a_persons_word_is_corrected(till: Till, paid: bool) -> None:
    """It stands the other way, by whom and why; what was booked stays as it was."""
    till.pay(LOST)
    before = by_hand(till, paid=not paid)
    done = corrected(till, paid=paid)
    assert done.standing == Standing(State.RESOLVED, paid=paid)
    assert till.payment() == done
    (entry,) = till.rows("SELECT word, by_whom, note, at_ms FROM corrections")
    assert list(entry.values()) == ["paid" if paid else "not-paid", "boss", "error", 6]
    assert done.as_booked.standing == before.standing


def test_what_cannot_be_corrected(till: Till) -> None:
    """What is open, what the platform closed, and what stands so: each says what to type."""
    till.pay(LOST)
    first = till.first_id()
    for paid, word in ((True, "paid"), (False, "not-paid")):
        with pytest.raises(UsageError) as is_open:
            corrected(till, paid=paid)
        assert is_open.value.code == "open"
        assert words_of(is_open) == [f"resolve {first} --as {word} --note …"]
    for paid, message in ((True, "as paid already"), (False, "as not paid already")):
        by_hand(till, paid=True) if paid else corrected(till, paid=False)
        with pytest.raises(UsageError) as so_already:
            corrected(till, paid=paid)
        assert so_already.value.code == "so_already"
        assert message in so_already.value.message
        assert words_of(so_already) == [f"show {first}"]
    till.pay(PAID, checkout_id="112", channel_account=OTHER_CODE, request_id="order-0112")
    with pytest.raises(UsageError) as by_the_platform:
        corrected(till, till.payment("order-0112"), paid=False)
    assert by_the_platform.value.code == "not_by_hand"
    assert words_of(by_the_platform) == ["show order-0112", "explain refund"]


def test_nothing_is_corrected_that_moved(till: Till) -> None:
    """Tried again since somebody looked at it: look again."""
    till.pay(LOST)
    seen = till.payment()
    till.retry(LOST)
    by_hand(till, paid=True)
    with pytest.raises(Busy) as tried:
        corrected(till, seen, paid=False)
    assert (tried.value.code, words_of(tried)) == ("tried_again", [f"show {seen.request_id}"])
    assert till.payment().standing.paid is True


def test_closed_the_other_way_it_may_be_corrected(till: Till) -> None:
    """Who closes once more what somebody closed is told how to correct it; who speaks against the
    platform is not.
    """
    till.pay(LOST)
    first = till.first_id()
    by_hand(till, paid=True)
    more = [f"resolve {first} --correct --as not-paid --note …"]
    for paid in (False, True):
        with pytest.raises(UsageError) as closed:
            by_hand(till, paid=paid)
        assert (closed.value.code, words_of(closed)) == ("closed", [f"show {first}", *more])
    corrected(till, paid=False)
    with pytest.raises(UsageError) as other:
        by_hand(till, paid=True)
    assert words_of(other)[1:] == [f"resolve {first} --correct --as paid --note …"]


@pytest.mark.parametrize(("word", "left"), [("DONE", 0), ("NEVER", 1)])
def test_a_correction_answers_the_alarms_that_agree_with_it(
    till: Till, word: str, left: int
) -> None:
    """The platform said otherwise: once the record says so too, nothing is left to be done."""
    till.profile = till.profile._replace(status_words={"DONE": "success", "NEVER": "fail"})
    till.pay(LOST)
    by_hand(till, paid=word == "NEVER")
    till.then(answered(word))
    record_status(till.payment(), ask_payment(till.payment(), till.desk), 0, till.desk)
    merchant = till.profile.merchant
    assert len(till.journal.transact(lambda tx: tx.alarms(merchant))) == 1
    corrected(till, paid=word == "DONE")
    assert till.journal.transact(lambda tx: tx.alarms(merchant)) == []
    till.then(answered("NEVER"))
    record_status(till.payment(), ask_payment(till.payment(), till.desk), 0, till.desk)
    assert len(till.journal.transact(lambda tx: tx.alarms(merchant))) == 1 - left


def test_a_person_is_named_as_the_system_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """User and machine; a question mark where the system knows no user."""
    monkeypatch.setenv("LOGNAME", "mei")
    host = socket.gethostname()
    assert person() == f"mei@{host}"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert person() == f"?@{host}"


def in_files(till: Till, text: str) -> bool:
    """Whether any file of the journal holds `text`."""
    return any(text.encode() in one.read_bytes() for one in till.path.parent.iterdir())


def test_a_code_leaves_the_files_when_a_person_closes_its_payment(till: Till) -> None:
    """Erased from every byte of the journal, not from its row alone."""
    till.pay(LOST)
    assert in_files(till, CODE)
    by_hand(till, paid=True)
    assert not in_files(till, CODE)


def test_who_looked_before_it_was_closed_is_told_how_it_stands(till: Till) -> None:
    """What somebody closed the other way may be corrected; what the platform closed may not."""
    till.pay(LOST)
    seen = till.payment()
    by_hand(till, paid=True)
    with pytest.raises(UsageError) as closed:
        close_by_hand(seen, "me", "seen", 5, till.journal, paid=False)
    assert len(words_of(closed)) == 2
    till.pay(PAID, checkout_id="112", channel_account=OTHER_CODE, request_id="order-0112")
    paid = till.payment("order-0112")
    with pytest.raises(UsageError) as by_the_platform:
        close_by_hand(paid, "me", "seen", 5, till.journal, paid=False)
    assert words_of(by_the_platform) == ["show order-0112"]


def test_a_correction_answers_its_own_alarms_alone(till: Till) -> None:
    """Another payment's alarm neither goes with it nor keeps it."""
    till.profile = till.profile._replace(status_words={"DONE": "success", "NEVER": "fail"})
    for n, (paid, word) in enumerate(((False, "DONE"), (True, "NEVER"))):
        request_id = f"order-000{n}"
        till.pay(LOST, request_id=request_id, checkout_id=str(n), channel_account="")
        one = close_by_hand(till.payment(request_id), "me", "-", 5, till.journal, paid=paid)
        till.then(answered(word))
        record_status(one, ask_payment(one, till.desk), 0, till.desk)
    correct_by_hand(till.payment("order-0000"), "me", "-", 6, till.journal, paid=True)
    alarms = till.journal.transact(lambda tx: tx.alarms(till.profile.merchant))
    assert [alarm.request_id for alarm in alarms] == ["order-0001"]


def test_what_was_pruned_while_somebody_looked_at_it(till: Till) -> None:
    """It was closed, and is told so; another process has taken it out of the journal since."""
    till.pay(LOST)
    done = by_hand(till, paid=True)
    till.write("DELETE FROM tries", "DELETE FROM payments")
    with pytest.raises(UsageError) as closed:
        close_by_hand(done, "me", "seen", 5, till.journal, paid=True)
    assert closed.value.code == "closed"
    with pytest.raises(UsageError) as so_already:
        correct_by_hand(done, "me", "seen", 5, till.journal, paid=True)
    assert so_already.value.code == "so_already"


# ── a row ────────────────────────────────────────────────────────────────────────────────────


def test_whose_id_it_is(till: Till) -> None:
    """The record knows whether posctl made the request_id itself."""
    till.pay(LOST, checkout_id="112")
    till.pay(LOST, request_id="order-0111", channel_account=OTHER_CODE)
    assert (till.payment().own_id, till.payment("order-0111").own_id) == (True, False)


SHEET = "280000000000000001"  # one of the training gateway's, scanned again and again


@pytest.mark.parametrize(
    ("live", "code", "once"),
    [(True, CODE, True), (True, SHEET, True), (False, CODE, True), (False, SHEET, False)],
)
def test_a_code_pays_once(till: Till, live: bool, code: str, once: bool) -> None:
    """At whatever checkout; in the training those of the printed sheet may be scanned again."""
    if not live:
        till.profile = till.profile._replace(gateway="training", app_key="training")
    assert till.pay(PAID, channel_account=code).outcome is Outcome.SUCCESS
    again = till.pay(says(model(1)), channel_account=code, checkout_id="112")
    assert again.outcome is (Outcome.BLOCKED if once else Outcome.SUCCESS)
    if once:
        assert again.problem is not None
        assert again.problem.code == "code_used"


def test_a_code_of_the_training_is_none_of_the_shops(till: Till) -> None:
    """Training never meets live: there the very code is another one. How a journal knows a code
    stays the same for all that were recorded.
    """
    till.pay(LOST)
    key = till.journal.transact(lambda tx: tx.code_key())
    (row,) = till.rows("SELECT code_hash FROM payments")
    assert row["code_hash"] == hmac.new(key, f"live {CODE}".encode(), hashlib.sha256).hexdigest()
    till.profile = till.profile._replace(gateway="training", app_key="training")
    assert till.pay(PAID, checkout_id="112").outcome is Outcome.SUCCESS


class Taken:
    """A transaction in which somebody else holds every payment."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def hold(self, _payment: Payment) -> bool:
        return False


def test_a_new_row_that_somebody_holds_is_taken_back(till: Till) -> None:
    """Another process may still hold the number of a row that it rolled back: nothing is begun."""
    asked = {"pay_fee": "100", "checkout_id": "111", "channel_account": CODE}
    order = check(asked, {}, DEFAULTS, Limits(500_000))

    def work(tx: Any) -> object:
        return open_order(cast("Transaction", Taken(tx)), order, "id-1", till.desk, frozenset())

    with pytest.raises(Busy) as held:
        till.journal.transact(work)
    assert held.value.code == "held"
    assert till.rows("SELECT * FROM payments") == []


# ── what comes back when the platform is asked ───────────────────────────────────────────────


def told_of(**result: object) -> Does:
    content = {"alibaba_pos_pay_action_query_response": {"result": result}}
    return says(json.dumps(content, ensure_ascii=False).encode())


MODEL = {"result_code": "R1", "result_message": "no such"}
# What comes back: the event, code, sub_code and message that stand in the record.
ASKED: dict[str, tuple[Does, Event, str | None, str | None, str | None]] = {
    "the model's words": (
        told_of(model=MODEL, msg_code="E1", msg_info="info"),
        *(Event.NO_VERDICT, "R1", None, "no such"),
    ),
    "the envelope's words": (
        told_of(model={}, msg_code="E1", msg_info="info"),
        *(Event.NO_VERDICT, "E1", None, "info"),
    ),
    "a word of its own": (
        told_of(model=MODEL | {"action_status": "WAIT"}),
        *(Event.NO_VERDICT, "R1", None, "WAIT"),
    ),
    "the business refuses": (
        says(error(15, "isv.x", "sub words", "top words")),
        *(Event.BUSINESS_REFUSED, "15", "isv.x", "sub words"),
    ),
    "TOP refuses": (
        says(error(40, None, None, "top words")),
        *(Event.GATEWAY_REFUSED, "40", None, "top words"),
    ),
    "an error without a code": (
        says(b'{"error_response": {"msg": "broken"}}'),
        *(Event.SYSTEM_ERROR, None, None, "broken"),
    ),
    "it leads elsewhere": (says(b"<html>", 302), Event.REDIRECT, None, None, None),
    "no answer": (LOST, Event.READ_TIMEOUT, None, None, None),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_a_question_brought(till: Till, name: str) -> None:
    """The record tells it in the platform's own words, beside the tries; the payment stays open."""
    does, *expected = ASKED[name]
    till.pay(LOST)
    till.then(does)
    asked = ask_payment(till.payment(), till.desk)
    assert [asked.end.event, asked.end.code, asked.end.sub_code, asked.end.message] == expected
    assert record_status(till.payment(), asked, 7, till.desk).open
    rows = till.rows("SELECT kind, event, code, sub_code, message FROM tries WHERE kind='status'")
    assert [list(row.values())[1:] for row in rows] == [[str(expected[0]), *expected[1:]]]


def test_a_checkouts_name_goes_as_it_is(till: Till) -> None:
    """Chinese is Chinese in the question."""
    till.then(answered("SUCCESS"))
    ask_checkout("1", "台-7", 1, till.desk)
    assert "台-7" in till.gateway.forms[0]["pay_status_request"]


def cut_short(_form: bytes, sent: Sent) -> Exchange:
    """The head of an answer came, and not all of its body."""
    sent.may_have_left = True
    return Exchange(Event.TRUNCATED, may_have_left=True, http_status=200)


def without_status(_form: bytes, _sent: Sent) -> Exchange:
    return Exchange(None, may_have_left=True, body=b"<html>")


@pytest.mark.parametrize(
    ("does", "event", "status"),
    [(cut_short, Event.TRUNCATED, 200), (without_status, Event.NOT_TOP, None)],
)
def test_a_question_that_was_half_answered(
    till: Till, does: Does, event: Event, status: int | None
) -> None:
    """It closes nothing, and what did come stands in the record."""
    till.pay(LOST)
    till.then(does)
    asked = ask_payment(till.payment(), till.desk)
    assert (asked.end.event, asked.end.http_status, asked.word) == (event, status, None)
    assert record_status(till.payment(), asked, 7, till.desk).open


def test_a_word_rewrites_the_files_only_for_a_code_that_goes(till: Till) -> None:
    """Not where the payment stays open, nor where it had no code."""
    till.pay(LOST)
    assert word(till, "HM", till.payment()).open
    assert till.forgot == 0
    without = till.pay(LOST, checkout_id="112", channel_account="").payment
    assert without is not None
    assert not word(till, "DONE", without).open
    assert till.forgot == 0
    assert not word(till, "DONE", till.payment()).open
    assert till.forgot == 1


def word(till: Till, said: str, payment: Payment) -> Payment:
    """What the platform's word makes of `payment`, which was looked at when it was asked."""
    till.profile = till.profile._replace(status_words={"DONE": "success", "NEVER": "fail"})
    till.then(answered(said))
    return record_status(payment, ask_payment(payment, till.desk), 0, till.desk)


def test_a_word_erases_the_code_from_the_files(till: Till) -> None:
    """Closed by the platform's word, the payment keeps no code in any byte of the journal."""
    till.pay(LOST)
    assert in_files(till, CODE)
    assert not word(till, "DONE", till.payment()).open
    assert not in_files(till, CODE)


def test_a_word_leaves_what_another_process_sends(till: Till) -> None:
    """Its own answer is on its way: the payment stays open."""
    till.pay(LOST)
    with till.held_elsewhere() as got_it:
        assert got_it
        assert word(till, "DONE", till.payment()).open
    assert till.payment().open


def test_a_word_against_what_closed_meanwhile_is_an_alarm(till: Till) -> None:
    """Also where the payment was tried again since the question was asked."""
    till.pay(LOST)
    before = till.payment()
    till.retry(PAID)
    assert word(till, "NEVER", before).standing.state is State.CONFLICT
    assert len(till.rows("SELECT * FROM alarms")) == 1


# ── when a payment is due ────────────────────────────────────────────────────────────────────

NAMED = "order-0001"
DUE_MS = {1: 7823, 2: 13_215, 3: 24_941, 5: 108_000, 12: 116_470}


@pytest.mark.parametrize(("tries", "waits_ms"), DUE_MS.items())
def test_when_a_payment_is_due(till: Till, tries: int, waits_ms: int) -> None:
    """Between half and the whole of 10 s, 20 s, 40 s and so on to 120 s, by its own number."""
    till.pay(LOST, request_id=NAMED)
    one = till.payment(NAMED)._replace(tries=tries)
    assert due_at_ms(one, None) - one.updated_ms == waits_ms
    assert due_at_ms(one, till.journal.last_try(one)) - one.updated_ms == waits_ms


def test_a_ban_is_kept_to_the_second(till: Till) -> None:
    """A minute that the platform named, and a second more; a try on its way names none."""
    ban = error(7, "accesscontrol.limited-by-api-access-count", "will last for 60 more seconds")
    till.pay(LOST, request_id=NAMED)
    till.pay(says(ban), request_id=NAMED)
    banned = till.payment(NAMED)
    last = till.journal.last_try(banned)
    assert last is not None
    assert due_at_ms(banned, last) - banned.updated_ms == 61_000
    assert due_at_ms(banned, last._replace(end=None)) - banned.updated_ms == DUE_MS[2]
