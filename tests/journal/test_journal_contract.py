"""What every journal does: the very same tests over SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgserver import Database

from posctl.config.profiles import read as read_config
from posctl.errors import JournalError
from posctl.gateway.exchange import Exchange, Sent
from posctl.journal import Ahead, Journal, Transaction, postgres_link
from posctl.journal.open import open_journal
from posctl.money.outcome import Doubt, Event, Outcome, Standing, State, advance, resolve
from posctl.money.record import (
    QUARTER_MS,
    RUNNING_SHIFT,
    Cell,
    Checkout,
    Correction,
    Filter,
    Merchant,
    NewPayment,
    PaidOf,
    Payment,
    Shift,
    StatusAnswer,
    TryEnd,
    Verdict,
    Who,
)
from posctl.paying.desk import Desk
from posctl.paying.status import record_status

CODE = "283456789012345678"
CHECKOUT = Checkout(True, "12345678", "1", "111")
WHO = Who("till-host", 42, "001", "123")
TRY_S = 5.0
T = TypeVar("T")


@dataclass
class Place:
    """Where a journal is. `end_leases` lets a dead process's claims run out, where they do."""

    where: str
    end_leases: Callable[[], None] = lambda: None

    def open(self) -> Journal:
        return open_journal(self.where, TRY_S)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(str(tmp_path / "state" / "journal.db"))
    database: Database = request.getfixturevalue("database")
    url = database.url()
    return Place(url, lambda: end_leases(database, url))


def end_leases(database: Database, url: str) -> None:
    database.execute("UPDATE claims SET expires_at = now() - INTERVAL '1 second'", url)


@pytest.fixture
def journal(place: Place) -> Iterator[Journal]:
    one = place.open()
    yield one
    one.close()


def new(
    request_id: str = "r-0000001", checkout: Checkout = CHECKOUT, at_ms: int = 1000, **more: Any
) -> NewPayment:
    return NewPayment(
        request_id=request_id,
        profile="store-1",
        gateway="https://gw",
        app_key="12345678",
        checkout=checkout,
        order_id="111",
        operator_id="123",
        machine_id="001",
        pay_channel="alipay_facepay_v2",
        pay_fee=100,
        pay_request=f'{{"request_id":"{request_id}","channel_account":"{CODE}","pay_fee":100}}',
        created_ms=at_ms,
    )._replace(**more)


def begin(journal: Journal, payment: NewPayment | Payment) -> Payment:
    def work(tx: Transaction) -> Payment:
        row = tx.insert(payment) if isinstance(payment, NewPayment) else payment
        assert tx.hold(row)
        return tx.start_try(row, WHO, 1001)

    return journal.transact(work)


def finish(
    journal: Journal, payment: Payment, event: Event, verdict: Verdict | None = None
) -> Payment:
    end = TryEnd(event, 1002, 200, raw="{}")
    standing = advance(payment.standing, event)
    done = journal.transact(
        lambda tx: tx.finish_try(payment, end, standing, verdict or Verdict(1, 0), ())
    )
    journal.let_go(done)
    return done


def paid(journal: Journal, request_id: str, **how: Any) -> Payment:
    return finish(journal, begin(journal, new(request_id, **how)), Event.PAID)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────


def test_a_payment_comes_back_as_it_was_written(journal: Journal, place: Place) -> None:
    """Every column survives, as another process reads it."""
    begun = begin(journal, new())
    assert (begun.standing.state, begun.tries, begun.told) == (State.SENDING, 1, False)
    assert journal.payment("r-0000001") == begun
    verdict = Verdict(1, 23, 100, 1006, "po", "co", "rc", "一元", "trace")
    end = TryEnd(Event.PAID, 1002, 200, "code", "sub", "words 中文", '{"a": 1}')
    standing = advance(begun.standing, Event.PAID)
    done = journal.transact(lambda tx: tx.finish_try(begun, end, standing, verdict, ("odd", "b")))
    assert (done.verdict, done.warnings, done.open) == (verdict, ("odd", "b"), False)
    other = place.open()
    assert other.payment("r-0000001") == done
    (one,) = other.tries_of(done)
    assert (one.n, one.kind, one.started_ms, one.who, one.end) == (1, "pay", 1001, WHO, end)
    assert other.last_try(done) == one
    other.close()


def test_a_try_that_runs_has_no_end(journal: Journal) -> None:
    """And the tries of a payment are listed in order, questions about it among them."""
    begun = begin(journal, new())
    (one,) = journal.tries_of(begun)
    assert one.end is None
    open_still = finish(journal, begun, Event.READ_TIMEOUT)
    asked = TryEnd(Event.NO_VERDICT, 1500, 200)
    for _n in range(2):
        journal.transact(lambda tx: tx.add_status(open_still, WHO, 1400, asked))
    again = begin(journal, open_still)
    assert (again.tries, again.standing.doubt) == (2, Doubt.UNKNOWN)
    assert sorted((t.kind, t.n) for t in journal.tries_of(again)) == [
        ("pay", 1),
        ("pay", 2),
        ("status", -2),
        ("status", -1),
    ]
    last = journal.last_try(again)
    assert last is not None
    assert (last.n, last.end) == (2, None)


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
def test_whatever_the_other_side_says_can_be_recorded(place_of_all: Place, text: str) -> None:
    """No text of the gateway's, NUL included, is in the way of a record."""
    journal = place_of_all.open()
    rid = f"r-{len(list(journal.history(Filter()))):07}"
    begun = begin(journal, new(rid, CHECKOUT._replace(checkout_id=rid)))
    end = TryEnd(Event.FAILED, 1002, 200, text, text, text, text)
    verdict = Verdict(2, result_message=text, trace_id=text)
    standing = advance(begun.standing, Event.FAILED)

    def record(tx: Transaction) -> None:
        assert not tx.voucher_elsewhere(begun.checkout, [f"voucher {text}"])
        tx.finish_try(begun, end, standing, verdict, ())

    journal.transact(record)
    found = journal.payment(rid)
    assert found is not None
    kept = text if "sqlite" in type(journal).__module__ else text.replace("\0", "\ufffd")
    assert found.verdict.result_message == kept
    (one,) = journal.tries_of(found)
    assert one.end is not None
    assert one.end.raw == kept
    journal.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def place_of_all(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Place:
    if request.param == "sqlite":
        return Place(str(tmp_path_factory.mktemp("all") / "journal.db"))
    database: Database = request.getfixturevalue("database")
    return Place(database.url())


@pytest.mark.parametrize("event", [Event.PAID, Event.FAILED, Event.REFUSED, Event.GATEWAY_REFUSED])
def test_a_closed_payments_row_has_no_code(journal: Journal, event: Event) -> None:
    """While the payment is open its code is kept for the retry; closed, it is masked."""
    begun = begin(journal, new())
    assert CODE in begun.pay_request
    done = finish(journal, begun, event)
    journal.forget_codes()
    found = journal.payment("r-0000001")
    assert found == done
    assert CODE not in done.pay_request
    assert "283456******5678" in done.pay_request


def test_resolving_keeps_who_when_and_why(journal: Journal) -> None:
    """A payment closed by a person keeps who, when and why, and no code."""
    begun = begin(journal, new())
    standing = resolve(begun.standing, paid=True)
    done = journal.transact(lambda tx: tx.resolve(begun, standing, "me@till", "saw the receipt", 5))
    assert (done.resolved_by, done.resolved_note, done.closed_ms, done.told) == (
        "me@till",
        "saw the receipt",
        5,
        True,
    )
    assert journal.payment(done.request_id) == done
    assert CODE not in done.pay_request


def by_hand(journal: Journal, request_id: str, *, paid: bool, **how: Any) -> Payment:
    """A payment that a person has closed."""
    begun = begin(journal, new(request_id, **how))
    standing = resolve(begun.standing, paid=paid)
    done = journal.transact(lambda tx: tx.resolve(begun, standing, "me@till", "seen", 5))
    journal.let_go(done)
    return done


def test_a_correction_is_one_more_word(journal: Journal, place: Place) -> None:
    """The payment stands the other way for whoever reads it; how it was closed is still known, the
    sums of rows are what they were, and the difference is listed where it counts.
    """
    merchant = CHECKOUT.merchant
    one = by_hand(journal, "r-0000001", paid=True)
    by_hand(journal, "r-0000002", paid=False, checkout=CHECKOUT._replace(merchant_name="other"))
    journal.transact(lambda tx: tx.close_shift(merchant, Shift(1, "{}", "h")))
    sealed = Filter(merchant=merchant, shift=1)
    before = journal.sums(sealed)
    done = journal.transact(lambda tx: tx.correct(one, "you@till", "another's", 9))
    assert (done.standing.paid, done.booked) == (False, one.standing)
    assert done.as_booked.standing == one.standing
    assert (done.resolved_by, done.closed_ms, done.updated_ms) == ("me@till", 5, 9)
    other = place.open()
    assert other.payment(one.request_id) == done
    other.close()
    assert journal.sums(sealed) == before
    assert journal.corrections(sealed) == []
    entry = Correction(
        *(one.request_id, CHECKOUT.checkout_id, "123", "001"),
        False,
        -100,
        9,
        "you@till",
        "another's",
        *(CHECKOUT.shop_id, done.order_id, done.pay_channel, done.created_ms),
    )
    running = Filter(merchant=merchant, shift=RUNNING_SHIFT)
    assert journal.corrections(running) == [entry]
    assert journal.corrections(Filter(request_id=one.request_id)) == [entry]
    assert journal.corrections(Filter(merchant=merchant._replace(name="other"))) == []
    back = journal.transact(lambda tx: tx.correct(done, "me@till", "his after all", 10))
    assert (back.standing, back.booked) == (one.standing, one.standing)
    assert [one.fee for one in journal.corrections(running)] == [-100, 100]
    journal.transact(lambda tx: tx.close_shift(merchant, Shift(2, "{}", "h")))
    assert journal.corrections(running) == []
    assert [one.fee for one in journal.corrections(Filter(merchant=merchant, shift=2))] == [
        -100,
        100,
    ]


def test_what_was_corrected_is_found_by_what_it_is_now(journal: Journal) -> None:
    """An outcome finds a payment by the latest word."""
    one = by_hand(journal, "r-0000001", paid=False)
    journal.transact(lambda tx: tx.correct(one, "me@till", "he paid", 9))
    assert [p.request_id for p in journal.history(Filter(outcome=Outcome.SUCCESS))] == ["r-0000001"]
    assert list(journal.history(Filter(outcome=Outcome.FAIL))) == []


def test_only_a_persons_word_is_corrected(journal: Journal) -> None:
    """What an answer closed, and what is open, cannot be."""
    for one in (paid(journal, "r-0000001"), begin(journal, new("r-0000002"))):
        with pytest.raises(ValueError, match=r"success|sending"):
            journal.transact(lambda tx, one=one: tx.correct(one, "me@till", "x", 9))  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
    assert journal.corrections(Filter()) == []


def test_a_checkout_has_one_open_payment(journal: Journal) -> None:
    """The journal itself refuses a second open payment of the same checkout."""
    begin(journal, new())
    with pytest.raises(JournalError):
        begin(journal, new("r-0000002"))
    begin(journal, new("r-0000003", CHECKOUT._replace(live=False)))
    begin(journal, new("r-0000004", CHECKOUT._replace(merchant_name="other")))
    begin(journal, new("r-0000005", CHECKOUT._replace(shop_id="2")))
    with pytest.raises(JournalError):
        begin(journal, new("r-0000005", CHECKOUT._replace(shop_id="3")))
    ids = [p.request_id for p in journal.payments_of(CHECKOUT)]
    assert ids == ["r-0000001"]


def test_a_checkouts_payments_come_oldest_first(journal: Journal) -> None:
    """However many there are, and whatever became of them."""
    for n in range(12):
        paid(journal, f"r-{n:07}", at_ms=100 - n)
    begin(journal, new("r-last-1"))
    ids = [p.request_id for p in journal.payments_of(CHECKOUT)]
    assert ids == [*(f"r-{n:07}" for n in range(12)), "r-last-1"]


def test_closed_rows_never_change(journal: Journal) -> None:
    """Not even by a late answer."""
    done = finish(journal, begin(journal, new()), Event.FAILED)
    changed = done.standing._replace(state=State.SUCCESS, paid=True)
    with pytest.raises(AssertionError):
        journal.transact(lambda tx: tx.settle(done, changed, 9))
    assert journal.payment(done.request_id) == done


def test_a_late_answer_ends_its_try_alone(journal: Journal) -> None:
    """Of a payment that was closed meanwhile the try is written down, and the row stays."""
    begun = begin(journal, new())
    standing = resolve(begun.standing, paid=True)
    done = journal.transact(lambda tx: tx.resolve(begun, standing, "me@till", "seen", 5))
    end = TryEnd(Event.FAILED, 1002, 200, raw="{}")
    journal.transact(lambda tx: tx.end_try(done, end))
    (one,) = journal.tries_of(done)
    assert one.end == end
    assert journal.payment(done.request_id) == done


def test_a_settled_payment_may_stay_open(journal: Journal) -> None:
    """What the platform's own words say of it is written, and the next try goes on from there."""
    begun = begin(journal, new())
    pending = Standing(State.PENDING, Doubt.PENDING, None)
    settled = journal.transact(lambda tx: tx.settle(begun, pending, 7))
    assert (settled.standing, settled.open, settled.updated_ms) == (pending, True, 7)
    assert journal.payment(begun.request_id) == settled
    assert CODE in settled.pay_request


def test_work_that_fails_leaves_nothing(journal: Journal) -> None:
    """A transaction happens whole or not at all, and the next one is not in its way."""

    def work(tx: Transaction) -> None:
        tx.hold(tx.insert(new()))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.transact(work)
    assert journal.payment("r-0000001") is None
    assert begin(journal, new()).tries == 1


def test_a_try_needs_a_hold(journal: Journal) -> None:
    """Nobody sends what he does not hold."""
    with pytest.raises(AssertionError):
        journal.transact(lambda tx: tx.start_try(tx.insert(new()), WHO, 1))


# ── holding ──────────────────────────────────────────────────────────────────────────────────


HOLDER = """
import sys
from posctl.journal.open import open_journal
journal = open_journal(sys.argv[1], 5)
if sys.argv[2] == "the sweep":
    print(journal.hold_sweep(), flush=True)
else:
    payment = journal.payment(sys.argv[2])
    print(journal.transact(lambda tx: tx.hold(payment)), flush=True)
sys.stdin.read()
journal.close()
"""


def holder(place: Place, what: str) -> subprocess.Popen[str]:
    """Another process that holds a payment, or says that it cannot."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, place.where, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_dead_holder_holds_nothing(journal: Journal, place: Place) -> None:
    """While a process lives nobody else gets its payment; killed, it blocks nobody for long."""
    payment = begin(journal, new())
    journal.let_go(payment)
    other = holder(place, payment.request_id)
    assert said(other) == "True"
    assert journal.transact(lambda tx: tx.hold(payment)) is False
    other.kill()
    other.communicate()
    place.end_leases()
    assert journal.transact(lambda tx: tx.hold(payment)) is True
    third = holder(place, payment.request_id)
    assert said(third) == "False"
    third.communicate()


def test_a_holder_that_closes_lets_go(journal: Journal, place: Place) -> None:
    """Of a process that ends well nobody has to wait for anything."""
    payment = begin(journal, new())
    journal.let_go(payment)
    other = holder(place, payment.request_id)
    assert said(other) == "True"
    other.communicate()
    assert journal.transact(lambda tx: tx.hold(payment)) is True


def test_one_sweep_at_a_time(journal: Journal, place: Place) -> None:
    """`retry --due` runs once; killed or ended, it makes room for the next."""
    for end in ("kill", "close"):
        other = holder(place, "the sweep")
        assert said(other) == "True"
        assert journal.hold_sweep() is False
        if end == "kill":
            other.kill()
        other.communicate()
        if end == "kill":
            place.end_leases()
    assert journal.hold_sweep() is True
    assert journal.hold_sweep() is True
    late = holder(place, "the sweep")
    assert said(late) == "False"
    late.communicate()


# ── lists ────────────────────────────────────────────────────────────────────────────────────


def test_lists(journal: Journal) -> None:
    """Open ones oldest first, history newest first, each by its filter."""
    first = begin(journal, new("r-first-1", at_ms=10))
    second = begin(journal, new("r-second", CHECKOUT._replace(checkout_id="2"), at_ms=20))
    assert [p.request_id for p in journal.open_payments(CHECKOUT.merchant)] == [
        "r-first-1",
        "r-second",
    ]
    assert journal.open_since(CHECKOUT.merchant) == (2, 10)
    finish(journal, first, Event.PAID)
    finish(journal, second, Event.READ_TIMEOUT)
    assert journal.open_since(CHECKOUT.merchant) == (1, 20)
    assert journal.open_since(CHECKOUT.merchant._replace(name="x")) is None

    def listed(**which: Any) -> list[str]:
        return [p.request_id for p in journal.history(Filter(**which))]

    assert listed() == ["r-second", "r-first-1"]
    assert listed(since_ms=15) == ["r-second"]
    assert listed(until_ms=20) == ["r-first-1"]
    assert listed(checkout_id="2") == ["r-second"]
    assert listed(outcome=Outcome.SUCCESS) == ["r-first-1"]
    assert listed(outcome=Outcome.UNKNOWN) == ["r-second"]
    assert listed(operator_id="nobody") == []
    assert listed(merchant=CHECKOUT.merchant, shop_id="1", machine_id="001") == listed()


def test_any_name_of_a_payment_finds_it(journal: Journal) -> None:
    """Its request_id alone, even when another begins with it; else an id of the platform's or the
    wallet's, or the beginning of a request_id, a UUID's in any spelling.
    """
    uuid = "75626abc-452d-486e-970d-e65e12fc1456"
    done = finish(
        journal, begin(journal, new(uuid)), Event.PAID, Verdict(1, 0, 100, 6, "po1", "co1")
    )
    for name in ("r_x-000001", "r_x-0000012", "rAx-000001"):
        paid(journal, name)

    def named(name: str) -> list[str]:
        return [one.request_id for one in journal.named(name)]

    for name in (uuid, "po1", "co1", "75626a", "75626ABC452D48", "75626abc-452d-486e-970d-e65e1"):
        assert named(name) == [uuid], name
    assert journal.named("po1") == [done]
    assert named("r_x-000001") == ["r_x-000001"]
    assert named("r_x-00000") == ["r_x-000001", "r_x-0000012"]
    assert named("R_X-00000") == []
    assert named("75626b") == []
    assert named("%%%%%%") == []


def test_an_amount_finds_what_was_asked_and_what_was_charged(journal: Journal) -> None:
    """In fen; and what is open is found as such, a profile's as its own."""
    finish(journal, begin(journal, new("r-0000001")), Event.PAID, Verdict(1, 0, 90))
    begin(journal, new("r-0000002", profile="store-2"))

    def found(**which: Any) -> list[str]:
        return [one.request_id for one in journal.history(Filter(**which))]

    assert found(pay_fee=100) == ["r-0000002", "r-0000001"]
    assert found(pay_fee=90) == ["r-0000001"]
    assert found(is_open=True) == found(profile="store-2") == ["r-0000002"]
    assert found(is_open=False) == found(request_id="r-0000001") == ["r-0000001"]


def test_a_long_history_is_whole(journal: Journal) -> None:
    """Every payment once, newest first, also when many were begun in the same millisecond."""

    def work(tx: Transaction) -> None:
        for n in range(1200):
            tx.insert(new(f"r-{n:07}", CHECKOUT._replace(checkout_id=str(n)), at_ms=n // 500))

    journal.transact(work)
    ids = [p.request_id for p in journal.history(Filter(merchant=CHECKOUT.merchant))]
    assert ids == [f"r-{n:07}" for n in reversed(range(1200))]
    assert len(list(journal.history(Filter(until_ms=1)))) == 500


def outcomes(journal: Journal) -> dict[Outcome, list[str]]:
    found = {}
    for outcome in Outcome:
        found[outcome] = [p.request_id for p in journal.history(Filter(outcome=outcome))]
    return found


def test_each_outcome_finds_its_own(journal: Journal) -> None:
    """Every payment is in the list of one outcome: the one that it is told with."""
    events = {
        "paid-000": Event.PAID,
        "fail-000": Event.FAILED,
        "rejected": Event.GATEWAY_REFUSED,
        "unsent-0": Event.REFUSED,
        "unknown-": Event.CUT,
        "pending-": Event.STILL_PENDING,
        "conflict": Event.CONTRADICTION,
    }
    for rid, event in events.items():
        finish(journal, begin(journal, new(rid, CHECKOUT._replace(checkout_id=rid))), event)
    begin(journal, new("sending-", CHECKOUT._replace(checkout_id="sending")))
    found = outcomes(journal)
    assert sorted(rid for ids in found.values() for rid in ids) == sorted([*events, "sending-"])
    assert found[Outcome.SUCCESS] == ["paid-000"]
    assert found[Outcome.FAIL] == ["fail-000"]
    assert found[Outcome.UNKNOWN] == ["sending-", "unknown-"]
    assert found[Outcome.CONFLICT] == ["conflict"]


def test_told_is_remembered(journal: Journal) -> None:
    """What was written out for somebody is not told again; a new try is news again."""
    done = paid(journal, "r-0000001")
    assert not done.told
    journal.mark_told([done.request_id])
    found = journal.payment(done.request_id)
    assert found is not None
    assert found.told
    timed_out = finish(journal, begin(journal, new("r-0000002")), Event.READ_TIMEOUT)
    journal.mark_told([timed_out.request_id, "unknown-id"])
    assert not begin(journal, timed_out).told


def test_alarms_stay_until_acknowledged(journal: Journal) -> None:
    """Evidence against a closed payment is seen until a person says so."""
    done = finish(journal, begin(journal, new()), Event.FAILED)
    journal.transact(lambda tx: tx.raise_alarm(done, Event.PAID, "paid after all", 7))
    (alarm,) = journal.alarms(CHECKOUT.merchant)
    assert (alarm.request_id, alarm.event, alarm.text) == (
        "r-0000001",
        Event.PAID,
        "paid after all",
    )
    assert journal.alarms(Merchant(False, "x")) == []
    assert journal.transact(lambda tx: tx.acknowledge("r-0000001", "me", 8)) == 1
    assert journal.transact(lambda tx: tx.acknowledge("r-0000001", "me", 8)) == 0
    assert journal.alarms(CHECKOUT.merchant) == []


# ── reports ──────────────────────────────────────────────────────────────────────────────────


def test_sums_count_what_was_charged(journal: Journal) -> None:
    """By operator, till, channel, quarter of an hour and standing; the paid by what was charged."""
    for n, charged in enumerate((None, 90)):
        begun = begin(journal, new(f"r-{n:07}", CHECKOUT._replace(checkout_id=str(n))))
        finish(journal, begun, Event.PAID, Verdict(1, 0, charged))
    later = new("r-later-1", CHECKOUT._replace(checkout_id="later"), at_ms=QUARTER_MS)
    begin(journal, later._replace(operator_id="124", pay_fee=7, pay_request='{"pay_fee":7}'))
    cells = sorted(journal.sums(Filter(merchant=CHECKOUT.merchant)))
    settled, running = (Standing(State.SUCCESS, None, paid=True), Standing(State.SENDING))
    assert cells == [
        Cell("1", "123", "001", "alipay_facepay_v2", 0, settled, 2, 190),
        Cell("1", "124", "001", "alipay_facepay_v2", 1, running, 1, 7),
    ]
    assert journal.sums(Filter(operator_id="nobody")) == []


def test_paid_payments_in_no_shift_are_counted_by_merchant(journal: Journal) -> None:
    """With what was charged in all and since when; neither open ones, nor those in a shift, nor
    those begun outside the span.
    """
    other = CHECKOUT._replace(merchant_name="other")
    paid(journal, "r-0000001")
    paid(journal, "r-0000002", checkout=other)
    begin(journal, new("r-0000003"))
    later = begin(journal, new("r-0000004", other._replace(checkout_id="later"), at_ms=QUARTER_MS))
    finish(journal, later, Event.PAID, Verdict(1, 0, 90))
    others = PaidOf(other.merchant, 2, 190, 1000)
    mine = PaidOf(CHECKOUT.merchant, 1, 100, 1000)
    assert journal.paid_merchants(None, None) == [mine, others]
    assert journal.paid_merchants(QUARTER_MS, None) == [PaidOf(other.merchant, 1, 90, QUARTER_MS)]
    assert journal.paid_merchants(None, 1001) == [mine, others._replace(payments=1, fee=100)]
    journal.transact(lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, "{}", "hash")))
    assert journal.paid_merchants(None, None) == [others]


def test_a_shift_takes_what_is_closed(journal: Journal) -> None:
    """Closed payments go into the shift for good; open ones and other merchants' stay."""
    paid(journal, "r-0000001")
    begin(journal, new("r-0000002"))
    paid(journal, "r-0000003", checkout=CHECKOUT._replace(merchant_name="other"))
    merchant = CHECKOUT.merchant
    assert journal.shift(merchant) is None
    first = Shift(1, '{"n": 1}', "hash")
    journal.transact(lambda tx: tx.close_shift(merchant, first))

    def listed(shift: int) -> list[str]:
        return [p.request_id for p in journal.history(Filter(merchant=merchant, shift=shift))]

    assert (listed(1), listed(RUNNING_SHIFT)) == (["r-0000001"], ["r-0000002"])
    assert journal.shift(merchant) == journal.shift(merchant, 1) == first
    assert journal.shift(merchant, 2) is None
    with pytest.raises(JournalError):
        journal.transact(lambda tx: tx.close_shift(merchant, first))
    second = Shift(2, "{}", "")
    journal.transact(lambda tx: tx.close_shift(merchant, second))
    assert journal.shifts(merchant) == [first, second]
    assert journal.shift(merchant) == second
    assert journal.shifts(merchant._replace(name="other")) == []


def test_prints_are_counted(journal: Journal) -> None:
    """Each copy of each receipt by itself."""
    one, two = paid(journal, "r-0000001"), paid(journal, "r-0000002")
    counts = [
        journal.transact(lambda tx, p=p, copy=copy: tx.count_print(p, copy))  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
        for p, copy in [(one, "customer"), (one, "customer"), (one, "store"), (two, "customer")]
    ]
    assert counts == [1, 2, 1, 1]


def test_marks_are_kept_until_they_are_let_go(journal: Journal) -> None:
    """What was marked has its latest time; what is forgotten is gone; no payment is touched."""
    payment = begin(journal, new())
    journal.mark(["a", "b"], 5)
    journal.mark(["a"], 7, forget=["b", "nothing"])
    assert journal.marks() == {"a": 7}
    journal.mark([], 9)
    assert journal.marks() == {"a": 7}
    assert journal.payment(payment.request_id) == payment
    assert journal.size_bytes() > 0


def test_an_answer_older_than_the_latest_try_closes_nothing(journal: Journal) -> None:
    """What the platform said to a question that was asked before a try began is recorded, and the
    payment stays open; asked again, it closes.
    """
    asked_of = finish(journal, begin(journal, new()), Event.STILL_PENDING, Verdict(3))
    now = finish(journal, begin(journal, asked_of), Event.STILL_PENDING, Verdict(3))
    profile = read_config(None, {"HOME": "/nonexistent"}).profiles["training"]
    desk = Desk(
        profile=profile,
        secret="",
        journal=journal,
        gateway=NoGateway(),
        who=lambda _till, _operator: WHO,
        now_s=lambda: 2.0,
        uptime_s=lambda: 2.0,
        new_id=lambda: "r-0000002",
        interruptible=nullcontext,
    )
    said = StatusAnswer(TryEnd(Event.NO_VERDICT, 2000), "FAIL", "fail")
    assert record_status(asked_of, said, 1500, desk).open
    assert [one.kind for one in journal.tries_of(now)].count("status") == 1
    assert not record_status(now, said, 1500, desk).open


class NoGateway:
    """Nothing is sent here."""

    def post(self, form: bytes, sent: Sent) -> Exchange:
        raise AssertionError

    def mistrust(self, connection: int) -> None:
        raise AssertionError

    def trusts(self, connection: int) -> bool:
        raise AssertionError


def test_a_code_is_at_one_payment(journal: Journal) -> None:
    """A code is found at the open payment or at the one it paid, goes from one to the next, and is
    gone when its payment closed without a charge; no second open payment has it.
    """
    carrying = partial(journal.transact, lambda tx: [p.request_id for p in tx.with_code("h")])
    first = begin(journal, new(code_hash="h"))
    assert carrying() == ["r-0000001"]
    finish(journal, first, Event.PAID)
    assert carrying() == ["r-0000001"]
    there = CHECKOUT._replace(checkout_id="2")
    second = begin(journal, new("r-0000002", there, code_hash="h"))
    assert carrying() == ["r-0000002"]
    with pytest.raises(JournalError):
        begin(journal, new("r-0000003", CHECKOUT._replace(checkout_id="3"), code_hash="h"))
    finish(journal, second, Event.FAILED, Verdict(2))
    assert carrying() == []
    assert len(journal.transact(lambda tx: tx.code_key())) >= 32


# ── what a transaction asks for ahead ────────────────────────────────────────────────────────


def elsewhere(n: int) -> Checkout:
    return CHECKOUT._replace(checkout_id=f"c-{n}")


def test_what_was_asked_for_ahead_is_as_this_transaction_wrote_it(journal: Journal) -> None:
    """New rows, codes, tries, verdicts and vouchers, without a look into the journal again."""
    names = [f"r-{n:07d}" for n in range(4)]
    places = [elsewhere(n) for n in range(4)]

    def opened(tx: Transaction) -> list[Payment]:
        tx.ahead(Ahead(names, places, ["h-1", "h-2"], new=4, to_send=True))
        begun = []
        for name, place in zip(names, places, strict=True):
            assert (tx.payment(name), tx.payments_of(place), tx.alarmed(place)) == (None, [], None)
            row = tx.insert(new(name, place, code_hash="h-1" if place == places[1] else None))
            assert tx.hold(row)
            begun.append(tx.start_try(row, WHO, 1001))
            assert tx.payment(name) == begun[-1]
            assert tx.payments_of(place) == [begun[-1]]
        assert tx.with_code("h-1") == [begun[1]]
        assert tx.with_code("h-2") == []
        return begun

    begun = journal.transact(opened)
    assert [journal.payment(name) for name in names] == begun
    assert len({one.seq for one in begun}) == 4

    def closed(tx: Transaction) -> list[Payment]:
        tx.ahead(Ahead(names, places, ["h-1"], ["V-1", "V-2"]))
        assert not tx.voucher_elsewhere(places[0], ["V-1", "V-2"])
        done = []
        for n, event in enumerate((Event.PAID, Event.FAILED, Event.CUT)):
            verdict = Verdict(1, 0, payment_order_id="V-1") if event is Event.PAID else Verdict()
            end = TryEnd(event, 1002)
            done.append(
                tx.finish_try(begun[n], end, advance(begun[n].standing, event), verdict, ())
            )
            assert tx.payment(names[n]) == done[-1]
            assert tx.payments_of(places[n]) == [done[-1]]
        assert tx.with_code("h-1") == []
        assert tx.voucher_elsewhere(places[1], ["V-1"])
        assert tx.voucher_elsewhere(places[1], ["V-1", "never asked for"])
        assert not tx.voucher_elsewhere(places[0], ["V-1"])
        assert not tx.voucher_elsewhere(places[1], ["V-2"])
        return done

    done = journal.transact(closed)
    assert [journal.payment(one.request_id) for one in done] == done
    assert journal.payments(names) == {one.request_id: one for one in (*done, begun[3])}
    assert [str(one.standing.state) for one in done] == ["success", "fail", "unknown"]
    assert all(len(journal.tries_of(one)) == 1 for one in begun)
    journal.let_go(*begun)


def test_what_was_written_before_it_was_asked_for(journal: Journal) -> None:
    """A voucher, a code and a checkout that nobody asked for ahead are read as just written."""

    def both(tx: Transaction) -> None:
        row = tx.insert(new(code_hash="h"))
        assert tx.hold(row)
        begun = tx.start_try(row, WHO, 1001)
        assert tx.with_code("h") == [begun]
        verdict = Verdict(1, 0, payment_order_id="V")
        paid = advance(begun.standing, Event.PAID)
        done = tx.finish_try(begun, TryEnd(Event.PAID, 1002), paid, verdict, ())
        assert tx.voucher_elsewhere(elsewhere(1), ["V"])
        assert tx.payment("r-0000001") == done
        tx.raise_alarm(done, Event.PAID, "twice", 1003)
        assert tx.alarmed(CHECKOUT) == done

    journal.transact(both)


def test_a_row_of_many_that_is_not_as_it_was_read_changes_none(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them was closed meanwhile: nothing of the whole step happened."""
    monkeypatch.setattr(postgres_link, "RETRY_S", 0.1)  # it would be run again for so long
    first, second = (begin(journal, new(f"r-{n:07d}", elsewhere(n))) for n in range(2))
    gone = resolve(second.standing, paid=False)
    journal.transact(lambda tx: tx.resolve(second, gone, "anna", "left", 1002))

    def both(tx: Transaction) -> None:
        for one in (first, second):
            paid_now = advance(one.standing, Event.PAID)
            tx.finish_try(one, TryEnd(Event.PAID, 1003), paid_now, Verdict(1, 0), ())

    with pytest.raises((JournalError, AssertionError)):
        journal.transact(both)
    states = [one.standing.state for one in journal.payments([first.request_id]).values()]
    assert states == [State.SENDING]
