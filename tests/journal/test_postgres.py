"""Many tills, one journal: real processes over a real PostgreSQL server, killed in the middle."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from conftest import Ran, Shop
from faultserver import PAID, FaultServer, Talk, answer
from pgserver import Database
from test_journal_contract import CHECKOUT, WHO, begin, end_leases, finish, new

from posctl.errors import ConfigError, JournalError
from posctl.journal import Ahead, Transaction, postgres_link
from posctl.journal import postgres as postgres_module
from posctl.journal.place import masked_url
from posctl.journal.postgres import PostgresJournal
from posctl.journal.postgres_link import Link
from posctl.money.outcome import Event, State, advance
from posctl.money.record import Filter, Payment, Shift, TryEnd, Verdict
from posctl.training import start_in_process

_CUSTOMERS = count(1_000_000)
CODE, CUT_AFTER = "281234567890123456", f"28{9:016d}"
PASSWORD = "s3cret/p@ss"


@pytest.fixture
def url(database: Database) -> str:
    """An empty journal's place."""
    return database.url()


class Till(Shop):
    """A machine with a hostname, a till's number and a configuration of its own."""

    @property
    def host(self) -> str:
        return self.home.name


def till(home: Path, journal: str, gateway: str, name: str, **keys: Any) -> Till:
    """Till `name` of a store, which pays at `gateway` and shares `journal`."""
    one = Till(home / name, {"PYTHONUTF8": "1", "HOME": str(home / name)})
    one.env["POSCTL_JOURNAL"] = journal
    one.home.mkdir()
    defaults = (
        f'{{shop_id: "1", operator_id: "123", machine_id: {name}, buyer_id: 1, source: hema, '
        "merchant_code: HM}"
    )
    one.profile(gateway, **{"defaults": defaults} | keys)
    return one


@dataclass
class Store:
    """Tills with one journal and one platform, which remembers whom it charged."""

    home: Path
    journal: str
    gateway: str

    def till(self, name: str) -> Till:
        return till(
            self.home,
            self.journal,
            self.gateway,
            name,
            app_key="training",
            secret="training-secret",
        )

    def charges(self) -> int:
        with closing(sqlite3.connect(self.home / "platform.db")) as ledger, ledger:
            (count,) = ledger.execute("SELECT count(*) FROM charge").fetchone()
        ledger.close()
        return int(count)


@pytest.fixture
def store(tmp_path: Path, url: str) -> Iterator[Store]:
    gateway, stop = start_in_process(tmp_path / "platform.db")
    yield Store(tmp_path, url, gateway)
    stop()


def pay(one: Till, *more: str, code: str | None = None, checkout: str = "111") -> Ran:
    """A payment; each customer's code is another, since a code pays once."""
    words = ("pay", "--json", "--fee", "100", "--checkout", checkout, "--code-stdin")
    return one.run(*words, *more, stdin=code or f"28{next(_CUSTOMERS):016d}")


@pytest.fixture
def journal(url: str) -> Iterator[PostgresJournal]:
    one = PostgresJournal(url, try_s=5)
    yield one
    one.close()


@pytest.fixture
def other(url: str, journal: PostgresJournal) -> Iterator[PostgresJournal]:
    """A second process's journal, at the same place."""
    one = PostgresJournal(url, try_s=5)
    yield one
    one.close()


# ── several tills ────────────────────────────────────────────────────────────────────────────


def test_twenty_tills_on_one_checkout_make_one_charge(store: Store) -> None:
    """Twenty machines that make the journal, and pay one checkout, all at once: one charge, and all
    others say so or that somebody is at it. Who comes between the record and its being told tells
    it too: the same payment, resumed.
    """
    tills = [store.till(f"till-{n:02}") for n in range(20)]
    words = ("pay", "--json", "--fee", "100", "--checkout", "111")
    runs = [one.start(*words) for one in tills]
    told = [json.loads(run.communicate()[0]) for run in runs]
    assert store.charges() == 1
    assert {one["exit_code"] for one in told} == {0, 30}, [
        one["error"]["code"] for one in told if one["exit_code"] == 31
    ]
    winners = [one for one in told if one["exit_code"] == 0]
    assert len({one["request_id"] for one in winners}) == 1
    (winner,) = [one for one in winners if not one["resumed"]]
    assert {one["blocked_by"] for one in told if one["exit_code"] == 30} == {winner["request_id"]}


def test_the_back_office_settles_what_a_dead_till_left(database: Database, store: Store) -> None:
    """A till that dies while it sends blocks its payment until its lease ends, and nothing else;
    then the back office's retry settles it under its own request_id. Both stand in its tries.
    """
    dying, office = store.till("till-a"), store.till("office")
    reached = threading.Event()

    def swallow(talk: Talk) -> None:
        if talk.read_request():
            reached.set()
            talk.hang()

    with FaultServer(swallow) as platform:
        dying.profile(platform.url, app_key="training", secret="training-secret")
        run = dying.start("pay", "--json", "--fee", "100", "--checkout", "111")
        assert reached.wait(30)
        run.kill()
        run.communicate()
    # The same merchant at the same gateway, as far as the journal knows.
    database.execute(f"UPDATE payments SET gateway='{store.gateway}'", store.journal)
    (opened,) = office.run("pending", "--json").json["payments"]
    assert (opened["outcome"], opened["machine_id"]) == ("unknown", "001")
    held = office.run("retry", "--json", opened["request_id"])
    assert (held.code, held.json["error"]["code"]) == (30, "held")
    assert pay(office, checkout="222").code == 0
    end_leases(database, store.journal)
    settled = office.run("retry", "--json", opened["request_id"])
    assert (settled.code, settled.json["tries"]) == (0, 2)
    assert store.charges() == 2
    tries = office.run("show", "--json", opened["request_id"]).json["tries"]
    assert [(one["host"], one["machine_id"]) for one in tries] == [
        ("till-a", "001"),
        ("office", "001"),
    ]


def test_lists_of_one_till_and_one_operator(store: Store) -> None:
    """Head office sees who wrote what: history filters by till and operator, report adds up."""
    a, b = store.till("till-a"), store.till("till-b")
    assert pay(a, checkout="1").code == 0
    assert pay(b, "--operator", "77", checkout="2").code == 0
    assert pay(b, code=CUT_AFTER, checkout="3").code == 21
    office = store.till("office")

    def listed(*words: str) -> list[str]:
        found = office.run(*words, "--json").json["payments"]
        return [one["checkout_id"] for one in found]

    assert listed("history", "--machine", "till-b") == ["3", "2"]
    assert listed("history", "--operator", "77") == ["2"]
    assert listed("pending") == listed("pending", "--machine", "till-b") == ["3"]
    assert listed("pending", "--machine", "till-a") == []
    report = office.run("report", "--json").json
    assert [(one["key"], one["count"]) for one in report["by"]["till"]] == [
        ("till-a", 1),
        ("till-b", 1),
    ]
    one = office.run("report", "--day", "today", "--operator", "77", "--json").json
    assert (one["paid"], one["operator_id"], one["shop_id"]) == (1, "77", None)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_open_payments_come_page_by_page(
    journal: PostgresJournal, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """However many are open: each is listed once, the oldest first, and none at a page's edge is
    left out.
    """
    monkeypatch.setattr(postgres_module, "NEXT_PAGE", 2)
    for number in range(count):
        begin(journal, new(f"r-{number:06}", CHECKOUT._replace(checkout_id=str(number))))
    listed = [payment.request_id for payment in journal.open_payments(CHECKOUT.merchant)]
    assert listed == [f"r-{number:06}" for number in range(count)]


def test_the_last_payment_is_that_of_this_till(store: Store) -> None:
    """`retry --last` and `receipt --last` at one till never mean another till's later payment."""
    one, other = store.till("till-a"), store.till("till-b")
    mine = pay(one, code=CUT_AFTER).json["request_id"]
    theirs = pay(other, checkout="222").json["request_id"]
    assert one.run("retry", "--last", "--json").json["request_id"] == mine
    assert one.run("receipt", "--last", "--json").json["payment"]["request_id"] == mine
    assert other.run("receipt", "--last", "--json").json["payment"]["request_id"] == theirs


def test_sweepers_share_what_is_open(store: Store) -> None:
    """Four `retry --all` at once: every open payment is settled, and none is sent twice."""
    lost, one = store.till("till-a"), store.till("till-b")
    lines = [{"checkout_id": str(n), "pay_fee": 100} for n in range(150)]
    (lost.home / "many.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with FaultServer(answer(b"<html>")) as somebody:
        lost.profile(somebody.url, app_key="training", secret="training-secret")
        lost.run("batch", "many.jsonl")
    assert len(one.run("pending", "--json").json["payments"]) == 150
    sweepers = [store.till(f"sweeper-{n}") for n in range(4)]
    runs = [sweeper.start("retry", "--all", "--json") for sweeper in sweepers]
    told = [json.loads(run.communicate()[0]) for run in runs]
    assert one.run("retry", "--all", "--json").json["payments"] == []
    listed = one.run("history", "--limit", "200", "--json").json["payments"]
    assert Counter(payment["tries"] for payment in listed) == {2: 150}
    assert store.charges() == 150
    settled = [p for each in told for p in each["payments"] if p["outcome"] == "success"]
    assert {p["request_id"] for p in settled} == {p["request_id"] for p in listed}


# ── the database goes away ───────────────────────────────────────────────────────────────────


def test_the_payments_of_another_seller_are_told_and_close_no_shift(
    url: str, tmp_path: Path
) -> None:
    """Two sellers share a database: each closes its shifts by itself, and is told of what only the
    other's tills reach.
    """
    with FaultServer(answer()) as server:
        here, there = (till(tmp_path, url, server.url, name) for name in ("001", "002"))
        there.profile(server.url, name="there", app_key='"2"')
        assert pay(there).code == 0
        assert pay(here).code == 0
        closed = here.run("report", "--close", "--yes", "--json")
        assert closed.code == 0
        (told,) = closed.json["unreached_paid"]
        assert (told["merchant"], told["payments"]) == ("2", 1)


@pytest.fixture
def own_database() -> Iterator[Database]:
    """A server that a test may kill without being in anybody's way."""
    with Database() as one:
        yield one


def test_away_before_sending_nothing_is_sent(own_database: Database, tmp_path: Path) -> None:
    """31, with clear words, and the gateway hears nothing."""
    with FaultServer(answer()) as platform:
        one = till(tmp_path, own_database.url(), platform.url, "till-a")
        assert pay(one).code == 0
        own_database.kill()
        ran = pay(one, checkout="222")
        assert (ran.code, ran.json["error"]["code"]) == (31, "journal_away")
        assert ran.json["error"]["hint"]
        assert len(platform.requests) == 1
        own_database.start()
        assert pay(one, checkout="222").code == 0


@pytest.mark.parametrize("back", [False, True], ids=["for long", "for a moment"])
def test_away_between_send_and_record(own_database: Database, tmp_path: Path, back: bool) -> None:
    """Killed while the answer travels: the verdict is told all the same, with a warning when it
    could not be recorded; the row then reads unknown until a retry settles it.
    """

    def kill_then_answer(talk: Talk) -> None:
        if talk.read_request():
            own_database.restart() if back else own_database.kill()
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAID), PAID))

    with FaultServer(kill_then_answer, answer()) as platform:
        url = own_database.url()
        one = till(tmp_path, url, platform.url, "till-a", timeout="{total: 60}")
        ran = pay(one)
        assert (ran.code, ran.json["outcome"]) == (0, "success")
        recorded = [w.partition(":")[0] for w in ran.json["warnings"]]
        if back:
            assert recorded == []
            assert one.run("pending", "--json").json["payments"] == []
        else:
            assert recorded == ["not_recorded"]
            own_database.start()
            (opened,) = one.run("pending", "--json").json["payments"]
            assert opened["outcome"] == "unknown"
            end_leases(own_database, url)
            settled = one.run("retry", "--all", "--json").json["payments"]
            assert [p["outcome"] for p in settled] == ["success"]
            first, second = (parse_qs(body) for body in platform.bodies())
            assert first[b"pay_request"] == second[b"pay_request"]


def test_a_restart_between_two_payments_is_not_noticed(own_database: Database) -> None:
    """A till that stays open all day goes on after the database was restarted."""
    journal = PostgresJournal(own_database.url(), try_s=5)
    begun = begin(journal, new())
    own_database.restart()
    assert finish(journal, begun, Event.PAID).standing.paid
    own_database.restart()
    assert journal.payment("r-0000001") is not None
    assert begin(journal, new("r-0000002")).tries == 1
    journal.close()


# ── leases ───────────────────────────────────────────────────────────────────────────────────


def stolen(journal: PostgresJournal, other: PostgresJournal, end: Callable[[], None]) -> Payment:
    """A payment that `journal` sends and, its lease being over, `other` sends too."""
    begun = begin(journal, new())
    end()
    second = begin(other, begun)
    assert second.tries == 2
    return begun


def close(journal: PostgresJournal, payment: Payment, event: Event) -> Payment:
    """Record an answer as a payment does: by the row as it is now."""

    def work(tx: Transaction) -> Payment:
        current = tx.payment(payment.request_id)
        assert current is not None
        end = TryEnd(event, 2000, 200)
        return tx.finish_try(current, end, advance(current.standing, event), Verdict(2), ())

    return journal.transact(work)


def test_who_lost_the_lease_changes_nothing(
    database: Database, url: str, journal: PostgresJournal, other: PostgresJournal
) -> None:
    """An answer that comes after another till has begun a try of its own is kept with its try, and
    the payment stays the other's.
    """
    begun = stolen(journal, other, lambda: end_leases(database, url))
    late = close(journal, begun, Event.FAILED)
    assert (late.open, late.standing.state, late.tries) == (True, State.SENDING, 2)
    assert journal.payment(begun.request_id) == late
    first, second = journal.tries_of(late)
    assert first.end is not None
    assert (first.end.event, second.end) == (Event.FAILED, None)
    assert close(other, begun, Event.PAID).standing.state is State.SUCCESS


def test_a_proof_of_payment_counts_whoever_brings_it(
    database: Database, url: str, journal: PostgresJournal, other: PostgresJournal
) -> None:
    """Paid is paid, even from a till that lost its lease; what the other hears cannot undo it."""
    begun = stolen(journal, other, lambda: end_leases(database, url))
    assert close(journal, begun, Event.PAID).standing.state is State.SUCCESS
    with pytest.raises(AssertionError, match="closed"):
        close(other, begun, Event.FAILED)


def test_a_live_process_keeps_its_payment_for_longer_than_a_lease(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is renewed as long as the process lives, without the payment's thread doing it."""
    monkeypatch.setattr(postgres_module, "LEASE_MARGIN_S", 0.3)
    journal, other = PostgresJournal(url, try_s=0), PostgresJournal(url, try_s=5)
    payment = begin(journal, new())
    ((first,),) = database.execute("SELECT expires_at FROM claims", url)
    later = f"SELECT 1 FROM claims WHERE expires_at > '{first}'::timestamptz + INTERVAL '1 second'"
    while not database.execute(later, url):
        pass
    assert other.transact(lambda tx: tx.hold(payment)) is False
    journal.close()
    assert other.transact(lambda tx: tx.hold(payment)) is True
    other.close()


def test_a_timeout_longer_than_a_lease_is_refused(url: str, tmp_path: Path) -> None:
    """A try that may take longer than any lease is a configuration error; nothing is sent."""
    with pytest.raises(ConfigError):
        PostgresJournal(url, try_s=301)
    with FaultServer(answer()) as platform:
        one = till(tmp_path, url, platform.url, "till-a", timeout="{total: 301}")
        ran = pay(one)
        assert (ran.code, ran.json["error"]["code"]) == (3, "timeout")
        assert platform.requests == []


# ── what is read at one moment and written at another ────────────────────────────────────────


def test_a_payment_in_between_is_seen(journal: PostgresJournal, other: PostgresJournal) -> None:
    """Between a till's look at a checkout and its own row another till pays it, start to end: the
    first looks again, and sees it, although nothing is open any more.
    """
    seen: list[list[str]] = []

    def work(tx: PostgresJournal) -> None:
        seen.append([p.request_id for p in tx.payments_of(CHECKOUT)])
        if len(seen) == 1:
            finish(other, begin(other, new("r-others-1")), Event.PAID)
            tx.insert(new("r-mine-001"))

    journal.transact(work)
    assert seen == [[], ["r-others-1"]]
    assert journal.payment("r-mine-001") is None


def test_a_try_in_between_is_seen(journal: PostgresJournal, other: PostgresJournal) -> None:
    """Between a till's look at an open payment and its own try another till tries it: the first
    looks again before it sends.
    """
    opened = finish(journal, begin(journal, new()), Event.READ_TIMEOUT)
    seen: list[int] = []

    def work(tx: PostgresJournal) -> Payment:
        current = tx.payment(opened.request_id)
        assert current is not None
        seen.append(current.tries)
        if len(seen) == 1:
            finish(other, begin(other, opened), Event.CUT)
        assert tx.hold(current)
        return tx.start_try(current, WHO, 5)

    assert journal.transact(work).tries == 3
    assert seen == [1, 2]


def test_a_payment_that_closes_during_the_count_is_not_in_the_shift(
    journal: PostgresJournal, other: PostgresJournal
) -> None:
    """A shift holds the very payments that were summed for it."""
    merchant = CHECKOUT.merchant
    begun = begin(other, new("r-late-01", CHECKOUT._replace(checkout_id="late")))
    finish(journal, begin(journal, new()), Event.PAID)
    counted: list[int] = []

    def work(tx: PostgresJournal) -> None:
        which = Filter(merchant=merchant, shift=0)
        counted.append(sum(cell.n for cell in tx.sums(which) if cell.standing.paid))
        if len(counted) == 1:
            finish(other, begun, Event.PAID)
        tx.close_shift(merchant, Shift(1, "{}", ""))

    journal.transact(work)
    in_shift = list(journal.history(Filter(merchant=merchant, shift=1)))
    assert len(in_shift) == counted[-1]


def test_two_that_change_one_row_both_happen(
    journal: PostgresJournal, other: PostgresJournal
) -> None:
    """A transaction that the server gives up for another's sake runs again."""
    done = finish(journal, begin(journal, new()), Event.PAID)
    runs: list[int] = []

    def work(tx: PostgresJournal) -> int:
        tx.payment(done.request_id)
        runs.append(1)
        if len(runs) == 1:
            other.transact(lambda tx: tx.count_print(done, "store"))
        return tx.count_print(done, "store")

    assert journal.transact(work) == 2
    assert len(runs) == 2


def test_it_does_not_try_for_ever(
    journal: PostgresJournal, other: PostgresJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody else is quicker every time, posctl gives up with an error, in bounded time."""
    monkeypatch.setattr(postgres_link, "RETRY_S", 0.2)
    done = finish(journal, begin(journal, new()), Event.PAID)

    def work(tx: PostgresJournal) -> int:
        tx.payment(done.request_id)
        other.transact(lambda tx: tx.count_print(done, "store"))
        return tx.count_print(done, "store")

    with pytest.raises(JournalError) as caught:
        journal.transact(work)
    assert caught.value.code == "journal_locked"


# ── schema ───────────────────────────────────────────────────────────────────────────────────


def test_an_addition_is_safe_with_old_and_new_side_by_side(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the tills of a chain are brought up to date, the old ones go on, started anew too."""
    old_schema = postgres_link.MIGRATIONS
    running = PostgresJournal(url, try_s=5)
    begun = begin(running, new())
    monkeypatch.setattr(
        postgres_link, "MIGRATIONS", (*old_schema, "ALTER TABLE payments ADD COLUMN more TEXT;")
    )
    newer = PostgresJournal(url, try_s=5)
    begin(newer, new("r-newer-01", CHECKOUT._replace(checkout_id="newer")))
    assert finish(running, begun, Event.PAID).standing.paid
    monkeypatch.setattr(postgres_link, "MIGRATIONS", old_schema)
    older = PostgresJournal(url, try_s=5)
    begin(older, new("r-older-01", CHECKOUT._replace(checkout_id="older")))
    assert len(list(older.open_payments(CHECKOUT.merchant))) == 2
    for one in (running, newer, older):
        one.close()


class Killed(BaseException):
    """As SIGKILL: nothing that posctl does about errors is done."""


def shape(database: Database, url: str) -> list[Any]:
    """Columns, indexes and constraints of a journal, and its version."""
    here = "=current_schema()"
    return [
        database.execute(
            f"""SELECT table_name, column_name, data_type, is_nullable, column_default IS NULL
                FROM information_schema.columns WHERE table_schema{here} ORDER BY 1, 2""",
            url,
        ),
        database.execute(
            f"""SELECT indexname, replace(indexdef, current_schema() || '.', '')
                FROM pg_indexes WHERE schemaname{here} ORDER BY 1""",
            url,
        ),
        database.execute("SELECT * FROM posctl_schema", url),
        database.execute("SELECT count(*) FROM whole", url),
    ]


@pytest.mark.parametrize("since", [0, 1], ids=["from nothing", "from 0.1"])
def test_a_migration_that_died_after_any_step_is_gone_on_with(
    database: Database, monkeypatch: pytest.MonkeyPatch, since: int
) -> None:
    """Killed after its first step, the next one after its seventh, and so on, each step done twice:
    in the end there are the same tables.
    """
    whole, url = database.url(), database.url()
    PostgresJournal(whole, 5).close()
    with monkeypatch.context() as at, closing(Link(url)) as link:
        at.setattr(postgres_link, "MIGRATIONS", postgres_link.MIGRATIONS[:since])
        link.bring_up_to_date()
    step, done = Link._step, 0

    def killed_after(most: int) -> Callable[..., None]:
        def stepped(self: Link, *args: Any) -> None:
            nonlocal done
            step(self, *args)
            if not args[1].startswith("UPDATE posctl_schema"):  # who died there knows no more
                step(self, *args)
            done += 1
            if done == most:
                raise Killed

        return stepped

    for most in count(1, 6):
        done = 0
        monkeypatch.setattr(Link, "_step", killed_after(most))
        link = Link(url)
        try:
            link.bring_up_to_date()
        except Killed:
            # What its `finally` did would not have been done: a lease that ends by itself.
            database.execute(
                "INSERT INTO migrating VALUES (1, 'dead', now()) ON CONFLICT DO NOTHING", url
            )
        else:
            assert most > len(postgres_link.MIGRATIONS)
            break
        finally:
            link.close()
    assert shape(database, url) == shape(database, whole)


def test_a_migration_at_another_till_is_waited_for(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds it under way waits, and then says that the journal is locked; it goes on when the
    lease of one that died has ended.
    """
    monkeypatch.setattr(postgres_link, "MIGRATING_S", 0.0)
    database.execute(postgres_link._MIGRATING, url)
    database.execute("INSERT INTO migrating VALUES (1, 'other', now() + INTERVAL '1 hour')", url)
    with pytest.raises(JournalError) as caught:
        PostgresJournal(url, 5)
    assert caught.value.code == "journal_locked"
    database.execute("UPDATE migrating SET expires_at=now()", url)
    PostgresJournal(url, 5).close()
    assert database.execute("SELECT * FROM migrating", url) == []


def test_a_schema_that_it_cannot_serve_is_refused(database: Database, url: str) -> None:
    """Of a newer posctl that changed more than it added, an older one keeps its hands off."""
    PostgresJournal(url, try_s=5).close()
    database.execute("UPDATE posctl_schema SET version=9, oldest=9", url)
    with pytest.raises(JournalError) as caught:
        PostgresJournal(url, try_s=5)
    assert caught.value.code == "journal_newer"


def test_a_name_that_is_taken_for_a_moment(database: Database, url: str) -> None:
    """While another till makes the tables, the name may be seen as that of a type, before it is one
    of a table: posctl looks again, and a name that stays taken is somebody else's.
    """
    database.execute("CREATE DOMAIN posctl_schema AS TEXT", url)
    with pytest.raises(JournalError) as caught:
        PostgresJournal(url, try_s=5)
    assert caught.value.code == "journal_foreign"


def test_somebody_elses_tables_are_refused(database: Database, url: str) -> None:
    """And not touched."""
    database.execute("CREATE TABLE payments (mine TEXT)", url)
    with pytest.raises(JournalError) as caught:
        PostgresJournal(url, try_s=5)
    assert caught.value.code == "journal_foreign"
    assert database.execute("SELECT * FROM payments", url) == []


# ── what cannot be used ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda u: u + "%20-cdefault_transaction_read_only%3Don", "journal_unwritable"),
        (lambda u: u.replace("/postgres?", "/nowhere?"), "journal_away"),
        (lambda u: u.replace("postgres@", "nobody-such@"), "journal_away"),
        (lambda u: u + "&sslmode=require", "journal_away"),
    ],
    ids=["a standby", "no such database", "no such user", "TLS that the server has not"],
)
def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    url: str, tmp_path: Path, change: Callable[[str], str], code: str
) -> None:
    """31 and a hint, and the gateway hears nothing; TLS is not done without when it is required."""
    PostgresJournal(url, try_s=5).close()
    with FaultServer(answer()) as platform:
        one = till(tmp_path, change(url), platform.url, "till-a")
        ran = pay(one)
        assert (ran.code, ran.json["error"]["code"]) == (31, code), ran
        assert ran.json["error"]["hint"]
        assert platform.requests == []


def test_a_database_that_cannot_hold_chinese_is_refused(database: Database) -> None:
    """A name that cannot be written would be noticed only after the money moved."""
    database.execute(
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    where = database.url("public").replace("/postgres?", "/ascii?")
    with pytest.raises(JournalError) as caught:
        PostgresJournal(where, try_s=5)
    assert caught.value.code == "journal_encoding"


@pytest.mark.parametrize("url", ["postgresql://h/d?nonsense=1", "postgresql://u:p@[::1/d"])
def test_a_url_that_is_none_is_a_configuration_error(url: str, tmp_path: Path) -> None:
    """3, and nothing of a password in it is repeated."""
    one = till(tmp_path, url.replace("u:p@", "u:hunter22@"), "https://gw", "till-a")
    ran = one.run("pending", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (3, "journal")
    assert "hunter22" not in ran.out + ran.err


def test_without_the_driver_it_says_what_to_install(url: str, shop: Shop) -> None:
    """A configuration error with the very command; a journal in a file needs no driver."""
    code = (
        "import importlib.util as u, posctl.__main__ as m; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'psycopg' else found(name, *a)\n"
        "m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--profile", "training", "pending"],
        env=shop.env | {"POSCTL_JOURNAL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert 'pip install "posctl[postgres]"' in done.stderr


def test_a_journal_in_a_file_loads_nothing_of_it(shop: Shop) -> None:
    """Whoever has one machine pays nothing for the many."""
    words = [sys.executable, "-X", "importtime", "-m", "posctl", "--profile", "training"]
    done = subprocess.run(
        [*words, "pay", "--fee", "100", "--checkout", "111"],
        env=shop.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sqlite3" in done.stderr
    assert "psycopg" not in done.stderr
    assert "posctl.journal.postgres" not in done.stderr


# ── secrets ──────────────────────────────────────────────────────────────────────────────────


SECRET_URLS = {
    "user": "postgresql://till:hunter22@127.0.0.1:1/d",
    "unquoted": "postgresql://till:hunter22/p@ss@127.0.0.1:1/d",
    "query": "postgresql://till@127.0.0.1:1/d?password=hunter22",
    "other": "postgres://127.0.0.1:1/d?sslmode=prefer&sslpassword=hunter22&user=till",
}


@pytest.mark.parametrize("url", SECRET_URLS.values(), ids=SECRET_URLS)
def test_a_password_is_never_shown(url: str, shop: Shop) -> None:
    """Not by an error, not by `config show`, `doctor`, `--debug`, nor where two places clash."""
    assert "hunter22" not in masked_url(url)
    shop.profile("https://gw")
    path = shop.home / "config.yaml"
    path.write_text(f"journal: {url}x\n" + path.read_text())
    shop.env["POSCTL_JOURNAL"] = url
    for words in (["config", "show"], ["pending", "--debug"], ["doctor"], ["pending", "--json"]):
        ran = shop.run("--profile", "training", *words)
        assert "hunter22" not in ran.out + ran.err, words
        assert "p@ss" not in ran.out + ran.err, words


@pytest.mark.parametrize("url", SECRET_URLS.values(), ids=SECRET_URLS)
def test_a_configuration_with_a_password_is_private(url: str, shop: Shop) -> None:
    """As with any other secret in it: 3 when others can read it."""
    shop.profile("https://gw", secret=None, secret_env="S")
    del shop.env["POSCTL_JOURNAL"]
    path = shop.home / "config.yaml"
    path.write_text(f"journal: {url}\n" + path.read_text())
    path.chmod(0o644)
    ran = shop.run("config", "show")
    assert ran.code == 3
    assert "chmod 600" in ran.err
    assert "hunter22" not in ran.err
    path.chmod(0o600)
    assert shop.run("config", "show").code == 0


def test_a_journal_without_a_password_is_no_secret(shop: Shop) -> None:
    """It may stand in a file that everybody reads; the password is in .pgpass or the service."""
    shop.profile("https://gw", secret=None, secret_env="S")
    path = shop.home / "config.yaml"
    path.write_text("journal: postgresql://till@db/posctl\n" + path.read_text())
    path.chmod(0o644)
    assert shop.run("config", "show").code == 0


def test_the_password_comes_from_pgpass_or_the_environment(
    database: Database, tmp_path: Path
) -> None:
    """What libpq reads, posctl uses: here the service file names the place, the URL only it."""
    url = database.url()
    schema = url.rpartition("%3D")[2]
    service = tmp_path / "services"
    service.write_text(
        f"[chain]\nhost=127.0.0.1\nport={database.port}\nuser=postgres\ndbname=postgres\n"
        f"options=-csearch_path={schema}\n"
    )
    with FaultServer(answer()) as platform:
        one = till(
            tmp_path, "postgresql://?service=chain", platform.url, "till-a", app_key="training"
        )
        one.env["PGSERVICEFILE"] = str(service)
        assert pay(one).code == 0
    assert database.execute("SELECT count(*) FROM payments", url) == [(1,)]


# ── the rest of posctl ───────────────────────────────────────────────────────────────────────


def test_training_stays_on_its_machine(url: str, shop: Shop) -> None:
    """A training payment goes into the shared journal; its gateway remembers beside the usual
    journal, and nothing is written to a file named like a URL.
    """
    shop.env["POSCTL_JOURNAL"] = url
    ran = shop.run("--profile", "training", "pay", "--fee", "100", "--checkout", "1", "--json")
    assert ran.code == 0
    assert [path.name for path in shop.home.rglob("training.db")] == ["training.db"]
    assert not [path for path in shop.home.rglob("*") if "postgres" in str(path)]
    assert shop.run("--profile", "training", "history", "--json").json["payments"]


@pytest.mark.parametrize(
    "words", [["check"], ["backup", "b.db"], ["restore", "b.db"], ["prune", "--older-than", "30"]]
)
def test_care_of_a_database_is_left_to_its_own_tools(
    url: str, shop: Shop, words: list[str]
) -> None:
    """`journal check`, `backup`, `restore` and `prune` say so, and do nothing."""
    shop.env["POSCTL_JOURNAL"] = url
    if words[0] == "prune":
        words = [*words, "--export", "x.jsonl"]
    ran = shop.run("--profile", "training", "journal", *words, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "journal_is_a_database")
    assert list(shop.home.iterdir()) == []


def test_doctor_looks_at_a_database(own_database: Database, shop: Shop) -> None:
    """Whether it is reached, how many payments it holds; 31 when it is away."""
    shop.env["POSCTL_JOURNAL"] = own_database.url()

    def journal() -> Any:
        ran = shop.run("--profile", "training", "doctor", "--json")
        (check,) = [one for one in ran.json["checks"] if one["name"] == "journal"]
        return ran.code, check["status"]

    assert journal() == (0, "good")
    shop.run("--profile", "training", "pay", "--fee", "100", "--checkout", "1")
    assert journal() == (0, "good")
    own_database.kill()
    assert journal() == (31, "bad")
    own_database.start()


def test_what_is_claimed_ahead_and_not_sent_is_free_again(
    journal: PostgresJournal, other: PostgresJournal
) -> None:
    """A chunk is claimed at once: what another process holds stays its own, what is closed is not
    claimed, and what is not sent in the end is anybody's as soon as that is committed.
    """
    places = [CHECKOUT._replace(checkout_id=f"c-{n}") for n in range(4)]
    mine, theirs, closed, left = (
        begin(journal, new(f"r-{n:07d}", place)) for n, place in enumerate(places)
    )
    finish(journal, closed, Event.PAID)
    journal.let_go(mine, left)
    ids = [one.request_id for one in (mine, theirs, closed, left)]

    def sends_one(tx: Transaction) -> list[bool]:
        tx.ahead(Ahead(ids, to_send=True))
        held = [tx.hold(one) for one in (mine, theirs)]
        tx.start_try(mine, WHO, 2000)
        return held

    assert other.transact(sends_one) == [True, False]
    assert journal.transact(lambda tx: [tx.hold(one) for one in (theirs, left)]) == [True, True]
    assert not journal.transact(lambda tx: tx.hold(mine))
    other.let_go(mine)
    assert journal.transact(lambda tx: tx.hold(mine))


def prepared(journal: PostgresJournal) -> int:
    """How many statements the server keeps planned for this connection."""
    counted = "SELECT count(*) FROM pg_prepared_statements"
    (count,) = journal.transact(lambda tx: tx._link.execute(counted).fetchone()) or (0,)
    return int(count)


def pay_for(journal: PostgresJournal, *names: str) -> None:
    """Payments of these ids, each of a checkout of its own, in four messages each."""
    for name in names:
        checkout = CHECKOUT._replace(checkout_id=name)
        finish(journal, begin(journal, new(name, checkout=checkout)), Event.PAID)


def test_statements_are_planned_once_for_a_connection(journal: PostgresJournal) -> None:
    """However many payments there are; over half of a payment's time would be planning."""
    pay_for(journal, "a", "b")
    kept = prepared(journal)
    assert kept > 5
    pay_for(journal, "c", "d", "e")
    assert prepared(journal) == kept


def test_what_is_prepared_no_more_costs_no_payment(journal: PostgresJournal) -> None:
    """Something between has reset the server's process: the connection is made anew, and nothing
    is prepared any more.
    """
    pay_for(journal, "a")
    db = journal._link._db
    assert db is not None
    db.pgconn.exec_(b"DEALLOCATE ALL")
    pay_for(journal, "b")
    assert journal._link._db is not db
    assert prepared(journal) == 0
    assert [one.request_id for one in journal.history(Filter())] == ["b", "a"]
