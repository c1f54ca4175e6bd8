"""What one exchange says of a payment, row by row, and what becomes of a row that moved meanwhile.

Whole roads, from the till's words to the journal's files, are in `test_road.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from road import LOST, OTHER_CODE, PAID, Till, error, model, says
from scenes import CODE, NOW_MS, payment

from posctl.errors import JournalError
from posctl.gateway.exchange import Exchange
from posctl.money.outcome import Doubt, Event, Outcome, Standing, State
from posctl.money.record import Payment, TryEnd, Verdict
from posctl.paying.answer import Reading, close_row, read_exchange, unrecorded
from posctl.paying.by_hand import close_by_hand


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    made = Till(tmp_path / "journal.db")
    with closing(made.journal):
        yield made


def came(body: bytes | None, status: int | None = 200, event: Event | None = None) -> Exchange:
    detail = "" if body else "the detail"
    return Exchange(event, may_have_left=True, http_status=status, body=body, detail=detail)


def envelope(**result: object) -> bytes:
    return json.dumps(
        {"alibaba_pos_order_pay_response": {"result": result}}, ensure_ascii=False
    ).encode()


DECLINED = {"result_status": 2, "result_code": "R1", "result_message": "no"}

# What came: the event, and the code, sub_code and message that stand in the record.
WORDS: dict[str, tuple[Exchange, Event, str | None, str | None, str | None]] = {
    "paid": (came(model(1, result_code="OK")), Event.PAID, None, None, None),
    "the model's words": (
        came(envelope(model=DECLINED, msg_code="E1", msg_info="info")),
        *(Event.FAILED, "R1", None, "no"),
    ),
    "the envelope's words": (
        came(envelope(model={"result_status": 3}, msg_code="E1", msg_info="info")),
        *(Event.STILL_PENDING, "E1", None, "info"),
    ),
    "the business's words": (
        came(error(15, "isv.x", "sub words", "top words")),
        *(Event.BUSINESS_REFUSED, "15", "isv.x", "sub words"),
    ),
    "TOP's words": (
        came(error(40, None, None, "top words")),
        *(Event.GATEWAY_REFUSED, "40", None, "top words"),
    ),
    "an error without a code": (
        came(b'{"error_response": {"msg": "broken"}}'),
        *(Event.SYSTEM_ERROR, None, None, "broken"),
    ),
    "a page": (came(b"<html>"), Event.NOT_TOP, None, None, None),
    "cut on the way": (came(None, 200, Event.TRUNCATED), Event.TRUNCATED, None, None, "the detail"),
    "a failure, whatever else came": (
        came(model(1), 200, Event.TRUNCATED),
        *(Event.TRUNCATED, None, None, None),
    ),
    "no answer": (
        came(None, None, Event.READ_TIMEOUT),
        *(Event.READ_TIMEOUT, None, None),
        "the detail",
    ),
    "an answer without a status": (came(model(1), None), Event.CUT, None, None, None),
    "neither an answer nor a failure": (came(None, 200), Event.CUT, None, None, "the detail"),
}


@pytest.mark.parametrize("name", WORDS)
def test_what_an_exchange_says(name: str) -> None:
    """The event, in the other side's words; what has no status, or nothing to it, proves nothing
    but that it may have left.
    """
    exchange, event, code, sub_code, message = WORDS[name]
    end = read_exchange(payment(None), exchange, NOW_MS).end
    assert (end.event, end.code, end.sub_code, end.message) == (event, code, sub_code, message)
    assert (end.http_status, end.finished_ms) == (exchange.http_status, NOW_MS)
    assert end.raw == (exchange.body.decode() if exchange.body else None)


def test_without_a_detail_there_is_no_message() -> None:
    """Nothing is made up."""
    end = read_exchange(payment(None), Exchange(Event.CUT, may_have_left=True), NOW_MS).end
    assert end == TryEnd(Event.CUT, NOW_MS)


def test_a_profiles_own_declines() -> None:
    """A code that the profile names as a decline is one, after whatever was unknown before."""
    answer = came(envelope(model=DECLINED | {"result_code": "SHOP.NO"}))
    assert read_exchange(payment(None), answer, NOW_MS).end.event is Event.FAILED
    named = read_exchange(payment(None), answer, NOW_MS, ("SHOP.NO",))
    assert named.end.event is Event.DECLINED


KNOWN = Verdict(result_status=3, remaining_fee=5, payment_order_id="V1", trace_id="t0")
SAID = {"result_status": 1, "remaining_fee": 7, "current_pay_fee": 100, "channel_order_id": "C1"}

# What came, and what the record says then, of a payment with the verdict KNOWN.
VERDICTS: dict[str, tuple[bytes | None, Verdict]] = {
    "nothing": (None, KNOWN),
    "a page": (b"<html>", KNOWN),
    "an error": (error(10), KNOWN),
    "an error with a trace": (
        b'{"error_response": {"code": 10, "request_id": "t1"}}',
        KNOWN._replace(trace_id="t1"),
    ),
    "an answer without a model": (envelope(msg_code="E1"), KNOWN),
    "another voucher": (envelope(model=SAID | {"payment_order_id": "V2"}), KNOWN),
    "its own voucher": (
        envelope(model=SAID | {"payment_order_id": "V1"}),
        Verdict(1, 7, 100, None, "V1", "C1", None, None, "t0"),
    ),
    "no voucher": (envelope(model=SAID), Verdict(1, 7, 100, None, "V1", "C1", None, None, "t0")),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_what_the_record_says_after_an_answer(name: str) -> None:
    """The latest word counts; a voucher that was told stays, and so does all where nothing new was
    said of this payment.
    """
    body, verdict = VERDICTS[name]
    event = None if body else Event.CUT
    assert (
        read_exchange(payment(None, verdict=KNOWN), came(body, event=event), 0).verdict == verdict
    )


def test_a_first_voucher_is_taken() -> None:
    """Where none was told before, the answer's is the payment's."""
    body = envelope(model=SAID | {"payment_order_id": "V2"})
    assert read_exchange(payment(None), came(body), 0).verdict.payment_order_id == "V2"


ECHO = f"seen {CODE} here"
ECHOES = {
    "msg_code": envelope(msg_code=ECHO, is_success=False),
    "msg_info": envelope(msg_info=ECHO, is_success=False),
    "trace_id": json.dumps({"result": {"model": DECLINED}, "request_id": ECHO}).encode(),
    "a text": envelope(model=DECLINED | {"channel_order_id": ECHO}),
    "a number": envelope(model=DECLINED | {"remaining_fee": int(CODE)}),
    "an error's code": error(int(CODE)),
    "an error's words": error(15, None, None, ECHO),
    "an error's sub_code": error(15, ECHO),
    "an error's trace": json.dumps({"error_response": {"code": 15, "request_id": ECHO}}).encode(),
    "a page": f"<html>{CODE}".encode(),
}


@pytest.mark.parametrize("name", ECHOES)
@pytest.mark.parametrize("own", [True, False])
def test_no_code_is_kept(name: str, own: bool) -> None:
    """Wherever an answer echoes a payment code, nothing that is kept or told has it: this
    payment's own, and what looks like another customer's.
    """
    body = ECHOES[name] if own else ECHOES[name].replace(CODE.encode(), OTHER_CODE.encode())
    reading = read_exchange(payment(None), came(body), 0)
    code = CODE if own else OTHER_CODE
    assert code not in repr((reading.end, reading.verdict))


def test_what_may_look_like_a_code() -> None:
    """The payment's own numbers and vouchers stay, though a wallet's code has as many digits."""
    looks = "281234567890123456"
    one = payment(None)._replace(order_id=looks)
    said = {"payment_order_id": "291234567890123456", "channel_order_id": "301234567890123456"}
    body = envelope(model=SAID | said | {"order_id": looks})
    reading = read_exchange(one, came(body), 0)
    for number in (looks, *said.values()):
        assert number in (reading.end.raw or "")
    assert reading.verdict.payment_order_id == said["payment_order_id"]


def test_other_texts_stay_beside_a_code() -> None:
    """Masking one takes nothing else away, nor does it add a model where there is none."""
    body = envelope(model={"result_status": 3, "result_message": "x"}, msg_info=ECHO)
    verdict = read_exchange(payment(None), came(body), 0).verdict
    assert (verdict.result_status, verdict.result_message) == (3, "x")
    assert read_exchange(payment(None), came(envelope(msg_info=ECHO)), 0).end.event is (
        read_exchange(payment(None), came(envelope(msg_info="seen")), 0).end.event
    )


@pytest.mark.parametrize(
    ("event", "standing"),
    [
        (Event.PAID, Standing(State.SUCCESS, paid=True)),
        (Event.FAILED, Standing(State.UNKNOWN, Doubt.UNKNOWN)),
        (Event.REFUSED, Standing(State.UNKNOWN, Doubt.UNKNOWN)),
        (Event.STILL_PENDING, Standing(State.PENDING, Doubt.PENDING)),
    ],
)
def test_what_could_not_be_recorded(event: Event, standing: Standing) -> None:
    """Its row stays open, so nobody is told that it was not charged: what it says is not known."""
    reading = Reading(TryEnd(event, NOW_MS), KNOWN)
    told = unrecorded(payment(None), reading)
    assert (told.standing, told.verdict) == (standing, KNOWN)


# ── the row moved meanwhile ──────────────────────────────────────────────────────────────────


def begun(till: Till) -> Payment:
    """A payment whose try is on its way."""
    till.pay(LOST)
    return till.begin(till.first_id())


def closed(till: Till, one: Payment, reading: Reading) -> tuple[Payment, Reading]:
    return till.journal.transact(lambda tx: close_row(tx, one, reading))


@pytest.mark.parametrize(
    ("paid", "status", "contradicts"),
    [(True, 1, False), (True, 3, False), (True, 2, True), (False, 1, True), (False, 2, False)],
)
def test_an_answer_to_what_a_person_closed(
    till: Till, paid: bool, status: int, contradicts: bool
) -> None:
    """It ends its try in the record; it is an alarm where it contradicts that person, and told as
    they said where it does not.
    """
    one = begun(till)
    till.journal.let_go(one)  # as when a lease has ended
    resolved = close_by_hand(one, "me", "seen", 5, till.journal, paid=paid)
    answer = came(model(status, result_code="NOTENOUGH"))
    reading = read_exchange(one, answer, till.desk.now_ms())
    told, counted = closed(till, one, reading)
    assert counted == reading
    assert told.standing == (Standing(State.CONFLICT) if contradicts else resolved.standing)
    assert len(till.rows("SELECT * FROM alarms")) == contradicts
    assert till.payment().standing == resolved.standing
    last = till.rows("SELECT event FROM tries ORDER BY n DESC LIMIT 1")
    assert [row["event"] for row in last] == [str(reading.end.event)]


def test_a_row_that_is_gone(till: Till) -> None:
    """Another file lies where the journal was: its answer is told, as one that is not recorded."""

    def gone(form: bytes, sent: Any) -> Exchange:
        till.write("DELETE FROM tries", "DELETE FROM payments")
        return PAID(form, sent)

    result = till.pay(gone)
    assert (result.outcome, len(result.warnings)) == (Outcome.SUCCESS, 1)
    one = begun(till)
    till.write("DELETE FROM tries", "DELETE FROM payments")
    with pytest.raises(JournalError) as lost:
        closed(till, one, read_exchange(one, came(model(1)), 0))
    assert lost.value.code == "journal_replaced"


def test_an_answer_that_names_no_voucher_any_more(till: Till) -> None:
    """Both vouchers were told before: an answer without any is this payment's all the same."""
    till.pay(says(model(3, payment_order_id="V1", channel_order_id="C1")))
    assert till.pay(says(model(1))).outcome is Outcome.SUCCESS
