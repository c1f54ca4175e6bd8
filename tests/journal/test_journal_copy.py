"""`posctl journal copy`: a journal moves from a file into a database and back, whole or not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import Shop
from pgserver import Database
from test_journal_contract import CHECKOUT, WHO, begin, finish, new, paid

from posctl.errors import Busy, JournalError, UsageError
from posctl.journal import Journal, Transaction
from posctl.journal import copy as copying
from posctl.journal.copy import Copied, Sum, copy
from posctl.journal.open import open_journal
from posctl.journal.place import masked_url
from posctl.money.outcome import Event, resolve
from posctl.money.record import Filter, Shift, TryEnd

Fresh = Callable[[str], str]
BOTH = [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "sqlite")]


@pytest.fixture
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Fresh:
    """The place of a new journal of a kind."""
    names = iter(range(100))

    def make(kind: str) -> str:
        if kind == "sqlite":
            return str(tmp_path / f"journal-{next(names)}.db")
        database: Database = request.getfixturevalue("database")
        return database.url()

    return make


def fill(place: str) -> None:
    """A bit of everything that a journal can hold."""
    journal = open_journal(place, 5)
    for n in range(20):
        paid(
            journal, f"r-paid-{n:02}", checkout=CHECKOUT._replace(checkout_id=str(n // 3)), at_ms=n
        )
    one = journal.payment("r-paid-00")
    assert one is not None
    journal.transact(lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, "{}", "h")))
    journal.transact(lambda tx: tx.raise_alarm(one, Event.FAILED, "and yet not\0", 9))
    journal.transact(lambda tx: tx.raise_alarm(one, Event.FAILED, "seen", 9))
    journal.transact(lambda tx: tx.count_print(one, "customer"))
    journal.transact(lambda tx: tx.add_status(one, WHO, 5, TryEnd(Event.NO_VERDICT, 6, 200)))
    journal.mark_told(["r-paid-03"])
    finish(journal, begin(journal, new("r-failed-1")), Event.FAILED)
    by_hand = begin(journal, new("r-by-hand"))
    standing = resolve(by_hand.standing, paid=True)
    closed = journal.transact(lambda tx: tx.resolve(by_hand, standing, "me@till", "seen", 5))
    journal.transact(lambda tx: tx.correct(closed, "you@till", "not his", 6))
    again = finish(journal, begin(journal, new("r-open-01")), Event.READ_TIMEOUT)
    finish(journal, begin(journal, again), Event.STILL_PENDING)
    journal.close()


def content(place: str) -> list[object]:
    """All that a journal says, its payments by another number."""
    journal = open_journal(place, 5)
    merchant = CHECKOUT.merchant
    found: list[object] = []
    for payment in journal.history(Filter()):
        tries = [(one, one.end) for one in journal.tries_of(payment)]
        found += [payment._replace(seq=0), tries]
    found += [alarm._replace(id=0, text=alarm.text[:11]) for alarm in journal.alarms(merchant)]
    found += [journal.corrections(Filter())]
    found += [journal.shifts(merchant), sorted(journal.sums(Filter(shift=1)))]
    found += [[p.request_id for p in journal.payments_of(CHECKOUT)]]
    journal.close()
    return found


@pytest.mark.parametrize(("source", "target"), BOTH)
def test_a_copy_says_what_the_journal_says(fresh: Fresh, source: str, target: str) -> None:
    """Payments, tries, alarms, shifts, prints, in their order; open ones with their payload, so
    that the copy can send them; and it counts and sums what it copied.
    """
    give, take = fresh(source), fresh(target)
    fill(give)
    before = content(give)
    told = copy(give, take)
    assert told == Copied(
        payments=23,
        copied=23,
        tries=25,
        alarms=2,
        shifts=1,
        states={
            "fail": Sum(1, 100),
            "pending": Sum(1, 100),
            "resolved": Sum(1, 100),
            "success": Sum(20, 2000),
        },
    )
    assert content(take) == before
    journal = open_journal(take, 5)
    (opened,) = journal.open_payments(CHECKOUT.merchant)
    assert "283456789012345678" in opened.pay_request
    assert begin(journal, opened).tries == 3
    one = journal.payment("r-paid-00")
    assert one is not None
    assert journal.transact(lambda tx: tx.count_print(one, "customer")) == 2
    assert paid(journal, "r-new-001", checkout=CHECKOUT._replace(checkout_id="0")).standing.paid
    journal.close()


@pytest.mark.parametrize(("source", "target"), BOTH)
def test_a_code_stays_used_in_the_copy(fresh: Fresh, source: str, target: str) -> None:
    """The codes that payments of the source carry are the same payments' in the target, hashed by
    the same key.
    """
    give, take = fresh(source), fresh(target)
    journal = open_journal(give, 5)
    paid(journal, "r-paid-01", code_hash="h1")
    finish(journal, begin(journal, new("r-open-01", code_hash="h2")), Event.STILL_PENDING)
    key = journal.transact(lambda tx: tx.code_key())
    journal.close()
    copy(give, take)
    journal = open_journal(take, 5)
    assert journal.transact(lambda tx: tx.code_key()) == key
    for code_hash, request_id in (("h1", "r-paid-01"), ("h2", "r-open-01")):
        found = journal.transact(partial(_carrying, code_hash))
        assert found == [request_id]
    journal.close()


def _carrying(code_hash: str, tx: Transaction) -> list[str]:
    return [payment.request_id for payment in tx.with_code(code_hash)]


def test_there_and_back_again(fresh: Fresh) -> None:
    """Nothing is lost on the way into the database and back into a file."""
    first, database, last = fresh("sqlite"), fresh("postgres"), fresh("sqlite")
    fill(first)
    before = content(first)
    copy(first, database)
    copy(database, last)
    assert content(last) == before


@pytest.mark.parametrize(("source", "target"), BOTH[:2])
def test_an_interrupted_copy_is_begun_again(
    fresh: Fresh, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a Ctrl-C between two batches the same command copies the rest; once more, it says that
    the journal was moved, and where to.
    """
    monkeypatch.setattr(copying, "BATCH", 4)
    give, take = fresh(source), fresh(target)
    fill(give)

    def stop(done: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(give, take, stop)
    before = content(give)
    assert copy(give, take).copied == 23 - 8
    assert content(take) == before
    with pytest.raises(JournalError) as caught:
        copy(give, take)
    assert caught.value.code == "journal_moved"
    assert masked_url(take) in caught.value.message


def edit(place: str, work: Callable[[Journal], object]) -> None:
    journal = open_journal(place, 5)
    work(journal)
    journal.close()


@pytest.mark.parametrize(("source", "target"), BOTH[:2])
@pytest.mark.parametrize(
    "change",
    [
        lambda j: j.mark_told(["r-paid-00"]),
        lambda j: j.transact(
            lambda tx: tx.raise_alarm(tx.payment("r-paid-00"), Event.FAILED, "more", 1)
        ),
        lambda j: finish(j, begin(j, j.payment("r-open-01")), Event.PAID),
    ],
    ids=["a column", "an alarm", "a try"],
)
def test_a_payment_that_differs_stops_it(
    fresh: Fresh,
    source: str,
    target: str,
    change: Callable[[Journal], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has gone its own way in the target since is not overwritten, and named."""
    give, take = fresh(source), fresh(target)
    fill(give)
    monkeypatch.setattr(copying.Side, "seal", lambda *_given: None)  # killed before it
    copy(give, take)
    monkeypatch.undo()
    edit(take, change)
    before = content(take)
    with pytest.raises(UsageError) as caught:
        copy(give, take)
    assert caught.value.code == "differs"
    assert content(take) == before


@pytest.mark.parametrize(("source", "target"), BOTH[:2])
def test_two_open_payments_of_one_checkout_do_not_become_one(
    fresh: Fresh, source: str, target: str
) -> None:
    """Of two tills that each have an open payment for a checkout, one must be settled first."""
    give, take = fresh(source), fresh(target)
    edit(give, lambda j: begin(j, new("r-mine-001")))
    edit(take, lambda j: begin(j, new("r-yours-01")))
    with pytest.raises(UsageError) as caught:
        copy(give, take)
    assert caught.value.code == "differs"
    assert "r-mine-001" in caught.value.message


def test_several_tills_become_one(fresh: Fresh) -> None:
    """Journals of several tills go into one database, checkout by checkout."""
    take = fresh("postgres")
    for name in "ab":
        give = fresh("sqlite")
        edit(give, lambda j, name=name: paid(j, f"r-till-{name}1"))  # type: ignore[misc]  # a default binds it
        copy(give, take)
    journal = open_journal(take, 5)
    assert [p.request_id for p in journal.payments_of(CHECKOUT)] == ["r-till-a1", "r-till-b1"]
    journal.close()


def test_shifts_that_differ_stop_it(fresh: Fresh) -> None:
    """Two journals with closed shifts of their own cannot become one."""
    give, take = fresh("sqlite"), fresh("postgres")
    for place, text in ((give, "mine"), (take, "yours")):
        edit(
            place,
            lambda j, text=text: j.transact(  # type: ignore[misc]  # as above
                lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, text, ""))
            ),
        )
    with pytest.raises(UsageError) as caught:
        copy(give, take)
    assert caught.value.code == "other_shift"


@pytest.mark.parametrize(("source", "target"), BOTH)
def test_the_old_journal_sends_nothing_more(fresh: Fresh, source: str, target: str) -> None:
    """A cron job that still names the journal that was copied gets 31 and the new place; so does a
    till that has had it open all the while.
    """
    give, take = fresh(source), fresh(target)
    fill(give)
    till = open_journal(give, 5)
    (opened,) = till.open_payments(CHECKOUT.merchant)
    copy(give, take)
    for send in (lambda: begin(till, opened), lambda: open_journal(give, 5)):
        with pytest.raises(JournalError) as caught:
            send()
        assert caught.value.code == "journal_moved"
        assert masked_url(take) in caught.value.message
    till.close()
    edit(take, lambda j: begin(j, opened))


def test_a_till_that_is_at_it_is_waited_for(fresh: Fresh) -> None:
    """A transaction that began before the journal was sealed is in the copy, or did not happen: of
    a till that has looked and not yet written the copy waits for the end, and sees it.
    """
    give, take = fresh("postgres"), fresh("sqlite")
    fill(give)
    till = open_journal(give, 5)
    looked, go_on = threading.Event(), threading.Event()

    def work(tx: Transaction) -> None:
        tx.payment("r-open-01")
        looked.set()
        assert go_on.wait(20)
        late = CHECKOUT._replace(checkout_id="late")
        tx.insert(new("r-late-01", checkout=late))

    def copied(done: int) -> None:
        if done == 23:
            writer.start()
            assert looked.wait(20)
            threading.Timer(0.5, go_on.set).start()

    writer = threading.Thread(target=lambda: till.transact(work))
    with pytest.raises(Busy):
        copy(give, take, copied)
    writer.join()
    assert till.payment("r-late-01") is not None
    till.close()


@pytest.mark.parametrize(("source", "target"), BOTH[:2])
def test_the_copy_knows_whom_a_profile_paid_for(fresh: Fresh, source: str, target: str) -> None:
    """A profile that is edited between the copy and the next payment is noticed there, too."""
    give, take = fresh(source), fresh(target)
    fill(give)
    journal = open_journal(give, 5)
    merchant = journal.last_merchant("store-1")
    journal.close()
    assert merchant is not None
    copy(give, take)
    journal = open_journal(take, 5)
    assert journal.last_merchant("store-1") == merchant
    journal.close()


HOLDER = """
import sys
from posctl.journal.open import open_journal
journal = open_journal(sys.argv[1], 5)
print(journal.transact(lambda tx: tx.hold(tx.payment("r-open-01"))), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("source", "target"), BOTH[:2])
def test_nobody_may_be_sending(fresh: Fresh, source: str, target: str) -> None:
    """While a payment is being sent from the source, nothing is copied."""
    give, take = fresh(source), fresh(target)
    fill(give)
    sender = subprocess.Popen(
        [sys.executable, "-c", HOLDER, give],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sender.stdout is not None
    assert sender.stdout.readline() == "True\n"
    with pytest.raises(Busy):
        copy(give, take)
    sender.kill()
    sender.communicate()


def test_what_is_written_meanwhile_is_noticed(fresh: Fresh) -> None:
    """A payment that a till begins in the source during the copy makes it fail, not incomplete."""
    give, take = fresh("postgres"), fresh("sqlite")
    fill(give)

    def till(done: int) -> None:
        if done == 23:  # the copy's next batch has the late one, too
            late = CHECKOUT._replace(checkout_id="late")
            edit(give, lambda j: paid(j, "r-late-01", checkout=late))

    with pytest.raises(Busy):
        copy(give, take, till)


def test_the_command(fresh: Fresh, shop: Shop) -> None:
    """It tells what it copied, hides the password, and makes no journal where there is none."""
    give, take = fresh("sqlite"), fresh("postgres")
    nowhere = str(shop.home / "nowhere.db")
    ran = shop.run("journal", "copy", "--json", nowhere, take)
    assert (ran.code, ran.json["error"]["code"]) == (2, "no_journal")
    assert not Path(nowhere).exists()
    fill(give)
    secret = take.replace("postgres@", "postgres:hunter22@")
    ran = shop.run("journal", "copy", "--json", give, secret)
    assert ran.code == 0
    assert (ran.json["payments"], ran.json["copied"]) == (23, 23)
    assert ran.json["states"]["success"] == {"payments": 20, "fee": 2000}
    assert "hunter22" not in ran.out + ran.err
    same = shop.run("journal", "copy", "--json", take, take)
    assert (same.code, same.json["error"]["code"]) == (2, "same_journal")
