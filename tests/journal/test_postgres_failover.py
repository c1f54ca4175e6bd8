"""The primary is killed under tills at work and its standby promoted; a pooler stands between.

All of it in one command: `nox -s failover`. It tells the figures that docs/many-tills.md names.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from many_tills import Tills
from merciless import Merciless
from pgserver import Database, Pooler, Standby
from test_postgres import pay_for, prepared

from posctl.errors import JournalError
from posctl.journal.postgres import PostgresJournal

pytestmark = pytest.mark.long
TILLS = 8
pooled = pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="needs PgBouncer")


@pytest.fixture
def gateway() -> Iterator[Merciless]:
    with Merciless() as one:
        yield one


@pytest.fixture
def primary() -> Iterator[Database]:
    with Database() as one:
        yield one


@pytest.fixture
def standby(primary: Database) -> Iterator[Standby]:
    with Standby(primary) as one:
        yield one


def both(primary: Database, standby: Standby) -> str:
    hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
    return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"


def here(database: Database) -> str:
    return database.url("public")


def tell(what: str, tills: Tills, since_s: float = 0.0) -> None:
    words = dict(Counter(one.word for one in tills.told))
    warned = sum(bool(one.warnings) for one in tills.told)
    longest_s = max(one.took_s for one in tills.told)
    first = [one for one in tills.told if one.word == "success" and one.at_s >= since_s]
    again_s = min((one.at_s + one.took_s for one in first), default=since_s) - since_s
    print(  # noqa: T201  the figures are what the command is run for
        f"{what}: told {words}, {warned} with a warning, the longest took {longest_s:.1f} s; "
        f"the first paid {again_s:.1f} s after the kill"
    )


@pytest.mark.parametrize("later_s", [0, 14], ids=["at once", "14 s later"])
def test_a_synchronous_standby_takes_over(
    primary: Database, standby: Standby, gateway: Merciless, tmp_path: Path, later_s: int
) -> None:
    """Nothing is lost and nothing charged twice; the tills go on by themselves."""
    primary.execute("ALTER SYSTEM SET synchronous_standby_names='*'")
    primary.execute("SELECT pg_reload_conf()")
    with Tills(tmp_path, both(primary, standby), gateway, TILLS) as tills:
        tills.wait_for(5 * TILLS)
        primary.kill()
        killed_s = time.monotonic()
        while time.monotonic() < killed_s + later_s:
            time.sleep(0.1)
        standby.promote()
        tills.wait_for(5 * TILLS, since_s=time.monotonic())
        tills.stop()
    tills.settle(standby, here(standby))
    tell(f"synchronous, promoted after {later_s} s", tills, killed_s)
    assert tills.charged_twice() == []
    assert tills.not_in(standby, here(standby)) == set()
    assert {one.word for one in tills.told} <= {"success", "unknown", "journal_away", "blocked"}


def test_an_asynchronous_standby_that_lags_takes_over(
    primary: Database, standby: Standby, gateway: Merciless, tmp_path: Path
) -> None:
    """It lacks payments that were charged: each till that saw one stops, and together they name
    every one that was told as recorded. None of those checkouts is charged again.
    """
    with Tills(tmp_path, both(primary, standby), gateway, TILLS) as tills:
        tills.wait_for(3 * TILLS)
        standby.fall_behind()
        behind_s = time.monotonic()
        tills.wait_for(5 * TILLS, since_s=behind_s)
        primary.kill()
        killed_s = time.monotonic()
        standby.promote()
        tills.wait_for(TILLS, word="journal_older", since_s=killed_s)
        tills.stop()
    lost = tills.not_in(standby, here(standby))
    recorded = {one.request_id for one in tills.told if one.word == "success" and not one.warnings}
    tell(f"asynchronous, {len(lost)} lost", tills, killed_s)
    assert len(lost & recorded) > TILLS
    assert lost & recorded <= tills.named()
    assert tills.named() <= lost | recorded
    assert tills.charged_twice() == []


@pooled
def test_behind_a_pooler_its_server_is_killed(
    primary: Database, gateway: Merciless, tmp_path: Path
) -> None:
    """Eight tills over three connections of PgBouncer, each transaction over another one; the
    server dies and comes back. Nothing is lost, nothing charged twice.
    """
    with Pooler(primary, 3) as pooler, Tills(tmp_path, pooler.url, gateway, TILLS) as tills:
        tills.wait_for(5 * TILLS)
        primary.restart()
        back_s = time.monotonic()
        tills.wait_for(5 * TILLS, since_s=back_s)
        tills.stop()
        tills.settle(primary, here(primary))
    tell("PgBouncer, server restarted", tills, back_s)
    assert tills.charged_twice() == []
    assert tills.not_in(primary, here(primary)) == set()


@pooled
def test_behind_a_pooler_every_transaction_is_durable(primary: Database) -> None:
    """The server has synchronous_commit = off, and the next transaction may be over a connection
    that another till had.
    """
    primary.execute("ALTER SYSTEM SET synchronous_commit='off'")
    primary.execute("SELECT pg_reload_conf()")
    with Pooler(primary, 2) as pooler:
        journals = [PostgresJournal(pooler.url, 5) for _n in range(4)]
        try:
            for one in 5 * journals:
                said = one.transact(
                    lambda tx: tx._link.execute("SHOW synchronous_commit").fetchone()
                )
                assert said == ("on",)
        finally:
            for one in journals:
                one.close()


@pooled
def test_behind_a_pooler_a_schema_that_was_dropped_is_refused(primary: Database) -> None:
    """PgBouncer ignores `options`: stores that were to be apart never share tables."""
    with Pooler(primary, 2) as pooler:
        url = f"{pooler.url}?options=-csearch_path%3Dstore_12"
        with pytest.raises(JournalError) as caught, closing(PostgresJournal(url, 5)):
            pass
    assert caught.value.code == "journal_schema"


@pooled
@pytest.mark.parametrize("hides", [False, True])
def test_behind_a_pooler_nothing_is_prepared(primary: Database, hides: bool) -> None:
    """The next transaction may be over another connection, which does not know it, or knows another
    statement by that name: also where the pooler passes for the server itself at first.
    """
    with Pooler(primary, 2) as pooler:
        journals = [PostgresJournal(pooler.url, 5) for _n in range(4)]
        try:
            for one in journals:
                assert one._link._db is not None
                if hides:
                    one._link._db.prepare_threshold = sys.maxsize
            for n, one in enumerate(3 * journals):
                pay_for(one, f"{n}")
            assert [prepared(one) for one in 3 * journals] == 12 * [0]
        finally:
            for one in journals:
                one.close()
