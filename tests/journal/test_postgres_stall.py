"""A database that takes bytes and does not answer, or answers less than it seems to.

TCP never gives up on a peer that acknowledges and is silent: a frozen server, a full pooler, a
COMMIT that waits for its standby.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import parse_qs

import psycopg
import pytest
from conftest import Shop
from faultserver import PAID, FaultServer, answer
from pgserver import Database, Faulty, Silent
from test_events import Counter
from test_journal_contract import begin, new
from test_postgres import till

from posctl.errors import JournalError
from posctl.journal import Transaction, postgres_link
from posctl.journal.postgres import PostgresJournal
from posctl.money.outcome import Event, advance
from posctl.money.record import Checkout, NewPayment, Payment, TryEnd, Verdict


@pytest.fixture
def silent(database: Database) -> Iterator[Silent]:
    with Silent(database.port) as one:
        yield one


@pytest.fixture
def counter(
    shop: Shop, database: Database, silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Counter]:
    """A till whose database is behind `silent`, and that is patient for a second."""
    monkeypatch.setattr(postgres_link, "ANSWER_S", 1.0)
    monkeypatch.setattr(postgres_link, "RETRY_S", 1.0)
    with FaultServer(answer(PAID)) as server, closing(Counter(shop, server)) as one:
        one.journal.close()
        url = database.url().replace(f":{database.port}", f":{silent.port}")
        setattr(one, "journal", PostgresJournal(url, 5))  # noqa: B010  as good as a file's
        yield one


BEFORE_SENDING = {
    "BEGIN": (b"BEGIN", 1, "till"),
    "the answer to BEGIN": (b"BEGIN", 1, "database"),
    "the first COMMIT": (b"COMMIT", 1, "till"),
    "the answer to the first COMMIT": (b"COMMIT", 1, "database"),
}


@pytest.mark.parametrize("swallowed", BEFORE_SENDING)
def test_silent_before_sending(counter: Counter, silent: Silent, swallowed: str) -> None:
    """Nothing is sent, and that is told, in seconds."""
    silent.arm(*BEFORE_SENDING[swallowed])
    with pytest.raises(JournalError) as caught:
        counter.pay(PAID)
    assert silent.is_silent.is_set()
    assert caught.value.code == "journal_away"
    assert "no answer" in str(caught.value)
    assert counter.server.requests == []


AFTER_SENDING = {
    "all after the first COMMIT": (b"BEGIN", 2, "till"),
    "the second COMMIT": (b"COMMIT", 2, "till"),
    "the answer to the second COMMIT": (b"COMMIT", 2, "database"),
}


@pytest.mark.parametrize("swallowed", AFTER_SENDING)
def test_silent_after_sending(counter: Counter, silent: Silent, swallowed: str) -> None:
    """The verdict is known, and told, with a warning that it could not be recorded."""
    silent.arm(*AFTER_SENDING[swallowed])
    with suppress(JournalError):  # that it was told cannot be noted either
        counter.pay(PAID)
    told = counter.told
    assert (told["outcome"], len(counter.server.requests)) == ("success", 1)
    assert any("record" in warning for warning in told["warnings"])


@pytest.fixture
def faulty(database: Database) -> Iterator[Faulty]:
    with Faulty(database.port) as one:
        yield one


KINDS = ("swallowed", "answer swallowed", "cut", "answer cut", "answer late")
MESSAGES = {
    "the first read": (b"BEGIN", 1),
    "the first COMMIT": (b"COMMIT", 1),
    "the second read": (b"BEGIN", 2),
    "the second COMMIT": (b"COMMIT", 2),
    "that it was told": (b"NOT told", 1),
}
BEFORE = ("the first read", "the first COMMIT")


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("message", MESSAGES)
def test_the_partition_matrix(
    shop: Shop,
    database: Database,
    faulty: Faulty,
    monkeypatch: pytest.MonkeyPatch,
    message: str,
    kind: str,
) -> None:
    """Each message of a payment, and its answer, lost or late in each way. What is not sure to be
    recorded is not sent; a verdict that is known is told; the same command again settles the
    payment under the same request_id, or says that it is paid.
    """
    monkeypatch.setattr(postgres_link, "ANSWER_S", 1.0)
    monkeypatch.setattr(postgres_link, "AWAY_ANSWER_S", 0.5)
    monkeypatch.setattr(postgres_link, "RETRY_S", 1.0)
    url = database.url()
    with FaultServer(answer(PAID)) as server, closing(Counter(shop, server)) as one:
        one.journal.close()
        through = url.replace(f":{database.port}", f":{faulty.port}")
        setattr(one, "journal", PostgresJournal(through, 5))  # noqa: B010  as good as a file's
        faulty.fault(*MESSAGES[message], kind)
        refused = None
        try:
            one.pay(PAID)
        except JournalError as error:
            refused = error
        assert faulty.is_silent.is_set(), "the fault was never met"
        runs_again = kind.endswith("cut") and message == "the first read"
        sent = message not in BEFORE or kind == "answer late" or runs_again
        assert len(server.requests) == sent
        if sent:
            assert one.told["outcome"] == "success"
        else:
            assert refused is not None
            assert refused.code == "journal_away"
        faulty.mend()
        one.journal.close()
        setattr(one, "journal", PostgresJournal(url, 5))  # noqa: B010  as above
        database.execute("DELETE FROM claims", url)
        assert one.pay(PAID)["outcome"] in ("success", "blocked")  # which says that it is paid
        assert len({parse_qs(body)[b"pay_request"][0] for body in server.bodies()}) == 1
        assert database.execute("SELECT count(*), bool_and(paid) FROM payments", url) == [(1, True)]


def test_silent_to_a_process(database: Database, silent: Silent, tmp_path: Path) -> None:
    """A real `pay` whose database falls silent while the request is on its way ends by itself, and
    tells its verdict.
    """
    with FaultServer(answer(PAID)) as server:
        url = database.url().replace(f":{database.port}", f":{silent.port}")
        one = till(tmp_path, url, server.url, "till-a")
        assert one.run("pay", "--fee", "1", "--checkout", "110", "--json").code == 0
        silent.arm(b"BEGIN", 2, "till")
        ran = one.run("pay", "--fee", "100", "--checkout", "111", "--json")
        assert (ran.code, ran.json["outcome"]) == (0, "success")
        assert any("record" in warning for warning in ran.json["warnings"])
        assert len(server.requests) == 2


FREED = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event='SyncRep'"


def until_commits_wait(server: Database) -> None:
    """A new setting reaches each process of a server in its own time."""
    waits = threading.Event()

    def write() -> None:
        while not waits.is_set():
            server.execute(
                "CREATE TABLE IF NOT EXISTS written (); INSERT INTO written DEFAULT VALUES"
            )

    writing = threading.Thread(target=write)
    writing.start()
    while not server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event='SyncRep'"):
        pass
    waits.set()
    while writing.is_alive():
        server.execute(FREED)
        writing.join(0.05)


def test_a_commit_that_came_with_a_warning_sends_nothing(shop: Shop, own_server: Database) -> None:
    """The standby is gone, and somebody frees the till by cancelling its wait: "committed locally",
    the server says, and a failover would lose the row. Nothing is sent.
    """
    with FaultServer(answer(PAID)) as server, closing(Counter(shop, server)) as one:
        one.journal.close()
        setattr(one, "journal", PostgresJournal(own_server.url(), 5))  # noqa: B010  as a file's
        own_server.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        own_server.execute("SELECT pg_reload_conf()")
        until_commits_wait(own_server)
        ends: list[object] = []

        def pay() -> None:
            try:
                ends.append(one.pay(PAID))
            except JournalError as error:
                ends.append(error)

        paying = threading.Thread(target=pay)
        paying.start()
        while paying.is_alive() and not own_server.execute(FREED):
            paying.join(0.05)
        paying.join(60)
        own_server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        own_server.execute("SELECT pg_reload_conf()")
        (end,) = ends
        assert isinstance(end, JournalError)
        assert end.code == "journal_away"
        assert server.requests == []


def test_a_row_that_is_locked_for_longer_than_an_answer_may_take(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for it looks again and again, and records; he is not hung up on at COMMIT, after
    which nobody would know.
    """
    monkeypatch.setattr(postgres_link, "ANSWER_S", 1.0)
    monkeypatch.setattr(postgres_link, "LOCK_S", 0.2)
    url = database.url()
    with closing(PostgresJournal(url, 5)) as journal:
        payment = begin(journal, new())

        def close(tx: Transaction) -> None:
            current = tx.payment(payment.request_id)
            assert current is not None
            paid = advance(current.standing, Event.PAID)
            tx.finish_try(current, TryEnd(Event.PAID, 1002), paid, Verdict(1, 0), ())

        with psycopg.connect(url) as locker:
            locker.execute("SELECT 1 FROM payments FOR UPDATE")
            ended = threading.Thread(target=lambda: journal.transact(close))
            ended.start()
            locker.execute("SELECT pg_sleep(1.6)")
        ended.join()
        assert [one.standing.paid for one in journal.payments_of(payment.checkout)] == [True]


@pytest.fixture
def own_server() -> Iterator[Database]:
    with Database() as one:
        yield one


def test_every_transaction_is_durable_and_nothing_outlives_it(database: Database) -> None:
    """A server with synchronous_commit = off: it is on in each transaction, and off after it, as
    behind a pooler the next one may be somebody else's.
    """
    url = f"{database.url()}%20-csynchronous_commit%3Doff"
    with closing(PostgresJournal(url, 5)) as journal:

        def setting(_tx: object = None) -> str:
            return str(journal._link.execute("SHOW synchronous_commit").fetchone()[0])  # type: ignore[index]

        assert journal.transact(setting) == "on"
        assert setting() == "off"


def test_a_schema_that_the_connection_does_not_reach_is_refused(database: Database) -> None:
    """As where a pooler drops the URL's options: stores never share tables by mistake."""
    url = database.url("not_there")
    with pytest.raises(JournalError) as caught:
        PostgresJournal(url, 5)
    assert caught.value.code == "journal_schema"


def _begun(tx: Transaction, made: NewPayment) -> Payment:
    payment = tx.insert(made)
    assert tx.hold(payment)
    return payment


def test_a_claim_that_could_not_be_given_back_ends(database: Database) -> None:
    """Its release was lost; that the till holds another payment keeps only that one."""
    with closing(PostgresJournal(database.url(), 5)) as journal:
        held = []
        for n in range(2):
            made = new(
                f"r-{n}", Checkout(live=True, merchant_name="m", shop_id="1", checkout_id=f"{n}")
            )
            held.append(journal.transact(lambda tx, made=made: _begun(tx, made)))  # type: ignore[misc]
        journal._held.discard(held[0].seq)  # as `let_go` does; the database did not hear of it
        ends = "SELECT seq, expires_at FROM claims ORDER BY seq"
        before = journal._link.execute(ends).fetchall()
        journal.renew()
        after = journal._link.execute(ends).fetchall()
        assert [old == now for old, now in zip(before, after, strict=True)] == [True, False]
