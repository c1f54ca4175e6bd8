"""A shared journal is one, whole and the latest for every till that has used it, or it is refused.

Each test has a database of its own: only a whole database can be set back in time.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from conftest import Shop
from faultserver import PAID, FaultServer, answer
from merciless import Merciless, paid, told
from pgserver import Between, Database
from test_events import Counter
from test_journal_contract import end_leases
from test_postgres import Till, till

from posctl.journal import postgres_link
from posctl.journal.postgres import PostgresJournal

PAY = ("pay", "--json", "--fee", "100", "--checkout")
_NAMES = count(1)


class Kept:
    """A database that can be set back to what it was at `keep`."""

    def __init__(self, server: Database) -> None:
        self._server, self._name = server, f"whole_{next(_NAMES)}"
        self.host = "127.0.0.1"
        self._do(f"CREATE DATABASE {self._name}")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{self.host}:{self._server.port}/{self._name}"

    def keep(self) -> None:
        self._do(f"CREATE DATABASE {self._name}_old TEMPLATE {self._name}")

    def set_back(self) -> None:
        """As a recovery to a point in time, or a standby that lags and takes over."""
        self._do(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._do(f"ALTER DATABASE {self._name}_old RENAME TO {self._name}")

    def execute(self, statement: str) -> list[Any]:
        return self._server.execute(statement, self.url)

    def _do(self, statement: str) -> None:
        self._server.execute(statement)


@pytest.fixture
def gateway() -> Iterator[Merciless]:
    with Merciless() as one:
        yield one


@pytest.fixture
def kept(database: Database) -> Kept:
    return Kept(database)


@pytest.fixture
def one(kept: Kept, gateway: Merciless, tmp_path: Path) -> Till:
    """A till with an open payment on 111, whose answer was lost, when the database was kept; since
    then somebody resolved it, and the customer paid on 111 again.
    """
    one = till(tmp_path, kept.url, gateway.url, "till-a")
    gateway.answer = lambda _members: None
    assert one.run(*PAY, "111").code == 21
    gateway.answer = paid
    kept.keep()
    (opened,) = one.run("pending", "--json").json["payments"]
    ran = one.run("resolve", opened["request_id"], "--as", "not-paid", "--note", "seen", "--json")
    assert ran.code in (0, 10)
    assert one.run(*PAY, "111").code == 0
    return one


def words(request_id: str = "") -> tuple[tuple[str, ...], ...]:
    return (
        ("retry", "--all"),
        ("retry", "--due"),
        ("pay", "--fee", "100", "--checkout", "111"),
        ("pay", "--fee", "100", "--checkout", "333"),
        ("status", "--checkout", "111"),
        ("pending", "--check"),
        ("history",),
        ("report", "--close", "--note", "n"),
        ("journal", "create"),
        *([("resolve", request_id, "--as", "paid", "--note", "n")] if request_id else []),
    )


def refused(one: Shop, gateway: Merciless, code: str, request_id: str = "") -> None:
    """Every command ends with 31 and `code`, and none sends anything."""
    before = len(gateway.requests)
    for each in words(request_id):
        ran = one.run(*each, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (31, code), (each, ran)
    assert len(gateway.requests) == before


def test_a_database_set_back_sends_nothing(kept: Kept, one: Till, gateway: Merciless) -> None:
    """The open payment of before is there again, and nobody charges its customer a second time."""
    kept.set_back()
    ((request_id,),) = kept.execute("SELECT request_id FROM payments")
    refused(one, gateway, "journal_older", request_id)
    (journal,) = [
        check for check in one.run("doctor", "--json").json["checks"] if check["name"] == "journal"
    ]
    assert journal["status"] == "bad"
    hint = one.run(*PAY, "111").json["error"]["hint"]
    assert "posctl" in hint
    assert "journal adopt" in hint


def test_the_lost_payments_are_named(kept: Kept, one: Till, gateway: Merciless) -> None:
    """Every payment that this till saw recorded and the database forgot, as it was last seen: five
    in the error, all before `journal adopt` asks, and none that the database still has.
    """
    lost = {one.run(*PAY, f"lost-{n}").json["request_id"]: f"lost-{n}" for n in range(6)}
    again = one.run("checkout", "111", "--json").json["payments"]
    before = {payment["request_id"]: "111" for payment in again}
    kept.set_back()
    said = one.run(*PAY, "111").json["error"]["hint"]
    assert [name in said for name in lost.values()] == [False, *[True] * 5]
    assert all(request_id in said for request_id in list(lost)[1:])
    asked = one.run("journal", "adopt", "--json")
    assert asked.code == 2
    assert {each["request_id"]: each["checkout_id"] for each in asked.json["lost"]} == lost | before
    by_outcome = [(each["pay_fee"], each["paid"]) for each in asked.json["lost"]]
    assert sorted(by_outcome) == [(100, False), *[(100, True)] * 7]
    assert all(request_id in asked.err for request_id in lost | before)


def test_a_lower_number_that_was_acknowledged_later_is_missed(
    kept: Kept, gateway: Merciless, tmp_path: Path
) -> None:
    """Two tills on one machine: what the database lost is not the highest that the machine saw."""
    one = till(tmp_path, kept.url, gateway.url, "till-a")
    assert one.run(*PAY, "111").code == 0
    assert one.run(*PAY, "222").code == 0
    kept.execute("DELETE FROM payments WHERE checkout_id='111'")
    refused(one, gateway, "journal_older")


def test_a_correction_by_another_till_is_no_loss(
    kept: Kept, gateway: Merciless, tmp_path: Path
) -> None:
    """What this till closed last is corrected in the back office: it goes on, and a database that
    lost the correction is refused where it was made.
    """
    one, office = (till(tmp_path, kept.url, gateway.url, name) for name in ("till-a", "office"))
    gateway.answer = lambda _members: None
    request_id = one.run(*PAY, "111").json["request_id"]
    word = ("resolve", request_id, "--note", "seen", "--json", "--as")
    assert one.run(*word, "not-paid").code in (0, 10)
    kept.keep()
    assert office.run(*word, "paid", "--correct").code in (0, 10)
    gateway.answer = paid
    assert one.run(*PAY, "222").code == 0
    kept.set_back()
    refused(office, gateway, "journal_older")


def test_what_only_closed_since_is_missed_too(
    kept: Kept, gateway: Merciless, tmp_path: Path
) -> None:
    """No payment was begun since: that one was closed is enough."""
    one = till(tmp_path, kept.url, gateway.url, "till-a")
    gateway.answer = lambda _members: None
    assert one.run(*PAY, "111").code == 21
    kept.keep()
    (opened,) = one.run("pending", "--json").json["payments"]
    one.run("resolve", opened["request_id"], "--as", "not-paid", "--note", "seen")
    kept.set_back()
    refused(one, gateway, "journal_older", opened["request_id"])


def test_others_that_go_on_hide_nothing(
    kept: Kept, one: Till, gateway: Merciless, tmp_path: Path
) -> None:
    """A till that was off meanwhile goes on with the older database, until as many payments were
    taken as before: the one that knows of others is refused all the same.
    """
    kept.set_back()
    other = till(tmp_path, kept.url, gateway.url, "till-b")
    for n in range(5):
        assert other.run(*PAY, f"other-{n}").code == 0
    refused(one, gateway, "journal_older")


def test_another_address_is_no_other_journal(kept: Kept, one: Till, gateway: Merciless) -> None:
    """The database is set back, and then named by another host, user and sslmode."""
    kept.set_back()
    kept.host = "localhost"
    one.env["POSCTL_JOURNAL"] = kept.url + "?sslmode=prefer"
    ran = one.run("retry", "--all", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_older")


def test_a_rotated_password_is_no_other_address(kept: Kept, one: Till, gateway: Merciless) -> None:
    """Who names the same database in another way goes on, and still misses what it lacks."""
    one.env["POSCTL_JOURNAL"] = kept.url.replace("postgres@", "postgres:new@") + "?sslmode=prefer"
    assert one.run(*PAY, "222").code == 0
    kept.set_back()
    refused(one, gateway, "journal_older")


def test_another_database_at_this_address(
    database: Database, kept: Kept, one: Till, gateway: Merciless
) -> None:
    """Somebody put an empty journal in its place."""
    kept.set_back()
    kept.execute("DROP SCHEMA public CASCADE")
    kept.execute("CREATE SCHEMA public")
    PostgresJournal(kept.url, 5).close()
    refused(one, gateway, "journal_other")


def test_a_tills_first_day_is_no_alarm(
    kept: Kept, one: Till, gateway: Merciless, tmp_path: Path
) -> None:
    """A till that never used the journal begins with what it finds."""
    new = till(tmp_path, kept.url, gateway.url, "till-b")
    assert new.run(*PAY, "222").code == 0


def test_a_till_that_can_keep_no_note_goes_on(
    kept: Kept, gateway: Merciless, tmp_path: Path
) -> None:
    """A till without a folder of its own takes payments; it is guarded by the others alone."""
    one = till(tmp_path, kept.url, gateway.url, "till-a")
    shutil.rmtree(one.home / ".local", ignore_errors=True)
    (one.home / ".local").write_text("no folder")
    assert one.run(*PAY, "111").code == 0


def test_adopting_leaves_what_is_open_to_a_person(
    kept: Kept, one: Till, gateway: Merciless, tmp_path: Path
) -> None:
    """`journal adopt` names what may be charged again and asks. Then payments are taken, nobody
    sends by itself what was open; every other till is told once, and leaves what is open since.
    """
    other = till(tmp_path, kept.url, gateway.url, "till-b")
    assert other.run(*PAY, "222").code == 0
    kept.set_back()
    asked = one.run("journal", "adopt", "--json")
    assert (asked.code, asked.json["error"]["code"], asked.json["open"]) == (2, "not_adopted", 1)
    assert "111" in asked.err
    refused(one, gateway, "journal_older")
    assert one.run("journal", "adopt", "--yes", "--json").code == 0
    before = len(gateway.requests)
    again = one.run(*PAY, "111")
    assert (again.code, again.json["error"]["code"]) == (30, "restored")
    for sweep in ("--all", "--due"):
        one.run("retry", sweep, "--json")
    assert len(gateway.requests) == before
    gateway.answer = lambda _members: None
    opened = one.run(*PAY, "555")
    assert opened.code == 21
    gateway.answer = paid
    refused(other, gateway, "journal_other")
    assert other.run("journal", "adopt", "--yes", "--json").code == 0
    end_leases_of(kept)
    one.run("retry", "--all", "--json")
    assert other.run("show", opened.json["request_id"], "--json").json["payment"]["outcome"] == (
        "success"
    )


def end_leases_of(kept: Kept) -> None:
    kept.execute("UPDATE claims SET expires_at = now() - INTERVAL '1 second'")


def test_a_sealed_database_is_adopted_on_purpose(
    kept: Kept, one: Till, gateway: Merciless, tmp_path: Path
) -> None:
    """After `journal copy` every command on the database ends with 31 and the way back."""
    copied = one.run("journal", "copy", kept.url, str(tmp_path / "moved.db"), "--json")
    assert copied.code == 0, copied
    refused(one, gateway, "journal_moved")
    assert "journal adopt" in one.run(*PAY, "111").json["error"]["hint"]
    assert one.run("journal", "adopt", "--yes", "--json").code == 0
    assert one.run(*PAY, "222").code == 0


REFUSAL = {
    "result_status": 2,
    "result_code": "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "result_message": "no",
    "is_success": True,
}
ANSWERS: dict[str, tuple[Callable[[Any], bytes], int]] = {
    "paid": (paid, 0),
    "not charged": (lambda _members: told(REFUSAL), 21),
}


@pytest.mark.parametrize(("says", "code"), ANSWERS.values(), ids=ANSWERS)
def test_set_back_while_the_answer_travels(
    kept: Kept, one: Till, gateway: Merciless, says: Callable[[Any], bytes], code: int
) -> None:
    """What the platform said is told, never 31; "not charged" counts for nothing unrecorded."""
    gateway.answer, gateway.hold_at = says, len(gateway.charges)
    before = len(gateway.requests)
    run = one.start(*PAY, "444")
    with gateway.changed:
        assert gateway.changed.wait_for(lambda: len(gateway.requests) > before, timeout=20)
    kept.set_back()
    gateway.let_go()
    said = json.loads(run.communicate(timeout=60)[0])
    assert said["exit_code"] == run.returncode == code, said
    assert [w.partition(":")[0] for w in said["warnings"]] == ["not_recorded"]


# ── the acknowledgement of COMMIT ────────────────────────────────────────────────────────────


class Held(Between):
    """Holds back what the database says to the first COMMIT until `release`."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.held, self._go_on = threading.Event(), threading.Event()

    def release(self) -> None:
        self._go_on.set()

    def asked(self, data: bytes) -> bool:
        if b"COMMIT" in data:
            self.held.set()
        return True

    def told(self) -> bool:
        if self.held.is_set():
            self._go_on.wait(60)
        return True


def test_an_acknowledgement_that_comes_late_sends_nothing(
    database: Database,
    kept: Kept,
    shop: Shop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """COMMIT is done and its acknowledgement held; the lease ends, another till finds the payment,
    closes it as not paid and takes another one. Then the acknowledgement arrives.
    """
    monkeypatch.setattr(postgres_link, "ANSWER_S", 600.0)  # as for a machine that sleeps meanwhile
    with (
        FaultServer(answer(PAID)) as server,
        closing(Counter(shop, server)) as late,
        Held(database.port) as proxy,
    ):
        other = till(tmp_path, kept.url, server.url, "till-b")
        late.journal.close()
        through = kept.url.replace(f":{database.port}", f":{proxy.port}")
        setattr(late, "journal", PostgresJournal(through, 5))  # noqa: B010  as good as a file's
        said: list[dict[str, Any]] = []
        paying = threading.Thread(target=lambda: said.append(late.pay(PAID)))
        paying.start()
        assert proxy.held.wait(30)
        while not (opened := other.run("pending", "--json").json["payments"]):
            pass  # COMMIT is on its way to the server
        held = other.run(
            "resolve", opened[0]["request_id"], "--as", "not-paid", "--note", "n", "--json"
        )
        assert (held.code, held.json["error"]["code"]) == (30, "held")
        end_leases(database, kept.url)
        closed = other.run("resolve", opened[0]["request_id"], "--as", "not-paid", "--note", "n")
        assert closed.code in (0, 10)
        assert other.run(*PAY, "111").code == 0
        assert len(server.requests) == 1
        late.now_s += 40  # longer than the lease of a till whose try takes 5 s
        proxy.release()
        paying.join(60)
        assert len(server.requests) == 1
        assert said[0]["outcome"] != "success"
