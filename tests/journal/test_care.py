"""Care of the journal: checked, backed up, restored and pruned while tills are working."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran, Shop
from faultserver import FaultServer, answer, cut_after_reading
from private import is_private

from posctl.errors import JournalError, UsageError
from posctl.journal import backup
from posctl.journal import prune as pruning
from posctl.journal.backup import back_up, outlook, restore
from posctl.journal.check import examine
from posctl.journal.health import JournalReader
from posctl.journal.prune import prune
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import highest_number
from posctl.money.outcome import Doubt, Event, State, advance, resolve
from posctl.money.record import Checkout, Filter, NewPayment, Payment, Shift, TryEnd, Verdict, Who

CODE = "283456789012345678"
PENDING = "280000000000000004"  # the training gateway's: the customer is confirming
PAY = ("pay", "--fee", "100", "--json", "--checkout")
DAY_MS = 24 * 3_600_000
NOW_MS = 1_767_250_800_000
CHECKOUT = Checkout(True, "12345678", "1", "111")
WHO = Who("till-host", 42, "001", "123")

Training = Callable[..., Ran]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def journal(path: Path) -> Any:
    opened = SqliteJournal(path)
    yield opened
    opened.close()


def begin(journal: SqliteJournal, checkout_id: str, age_days: int = 0, name: str = "") -> Payment:
    """A payment of some days ago, on its way; it is not held any more."""
    request_id = f"r-{name or checkout_id}-000000"
    at_ms = NOW_MS - age_days * DAY_MS
    new = NewPayment(
        request_id=request_id,
        profile="store-1",
        gateway="https://gw",
        app_key="12345678",
        checkout=CHECKOUT._replace(checkout_id=checkout_id),
        order_id=checkout_id,
        operator_id="123",
        machine_id="001",
        pay_channel="alipay_facepay_v2",
        pay_fee=100,
        pay_request=json.dumps({"request_id": request_id, "channel_account": CODE, "pay_fee": 100}),
        created_ms=at_ms,
    )

    def work(tx: SqliteJournal) -> Payment:
        row = tx.insert(new)
        assert tx.hold(row)
        return tx.start_try(row, WHO, at_ms)

    begun = journal.transact(work)
    journal.let_go(begun)
    return begun


def close(journal: SqliteJournal, payment: Payment, event: Event = Event.PAID) -> Payment:
    end = TryEnd(event, payment.created_ms, 200, message="=cmd|' /C calc'!A0")
    standing = advance(payment.standing, event)
    done = journal.transact(lambda tx: tx.finish_try(payment, end, standing, Verdict(1, 0), ()))
    journal.forget_codes()
    return done


def ids(path: Path) -> dict[str, str]:
    """request_id → state, of all payments."""
    opened = JournalReader(path)
    found = {p.request_id: p.standing.state.value for p in opened.history(Filter())}
    opened.close()
    return found


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(sql)


# ── check ────────────────────────────────────────────────────────────────────────────────────


def test_a_sound_journal_is_counted(trained: Training) -> None:
    """`journal check`: exit 0, how much is in it, nothing found."""
    trained(*PAY, "1")
    trained(*PAY, "2", "--code-stdin", stdin=PENDING)
    ran = trained("journal", "check", "--json")
    assert ran.code == 0
    data = ran.json
    assert (data["payments"], data["open"], data["tries"]) == (2, 1, 2)
    assert (data["findings"], data["error"]) == ([], None)
    assert "payments: 2" in trained("journal", "check").out


WRONG = {
    "contradiction": "UPDATE payments SET paid=0",
    "code_kept": "UPDATE payments SET pay_request=replace(pay_request, '******', '789012')",
    "tries": "UPDATE payments SET tries=2",
    "orphan": "INSERT INTO alarms (seq, at_ms, event, text) VALUES (99, 0, 'paid', 'x')",
    "damaged": "PRAGMA writable_schema=1;"
    "UPDATE sqlite_schema SET rootpage=2 WHERE name='by_created'",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(journal: SqliteJournal, path: Path, what: str) -> None:
    """Every promise of the journal that does not hold is found, by a word for scripts."""
    close(journal, begin(journal, "111"))
    assert examine(path).findings == ()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(WRONG[what])
        db.commit()
    assert what in {found.code for found in examine(path).findings}
    assert {str(found.text) for found in examine(path).findings}


def test_findings_exit_31(trained: Training, shop: Shop) -> None:
    """A journal that is not sound: exit 31, each finding in JSON, one in words on stderr."""
    trained(*PAY, "1")
    change(shop.journal, "UPDATE payments SET tries=7")
    ran = trained("journal", "check", "--json")
    assert ran.code == 31
    assert [found["code"] for found in ran.json["findings"]] == ["tries"]
    assert ran.json["error"]["kind"] == "journal"
    assert "7" in ran.err


def test_no_journal_is_made_to_be_checked(trained: Training, shop: Shop) -> None:
    """Where no journal is, there is nothing to check or copy, and none appears."""
    for args in (("check",), ("backup", "b.db"), ("prune", "--older-than", "9", "--export", "e")):
        ran = trained("journal", *args, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (31, "journal_missing")
    assert not shop.journal.exists()
    assert not (shop.home / "b.db").exists()


# ── back up ──────────────────────────────────────────────────────────────────────────────────


def test_a_backup_is_whole_private_and_alone(trained: Training, shop: Shop) -> None:
    """One file, 0600, checked, with all that was committed; nothing else is left behind."""
    trained(*PAY, "1")
    trained(*PAY, "2", "--code-stdin", stdin=PENDING)
    (shop.home / "safe").mkdir()
    ran = trained("journal", "backup", "safe/b.db", "--json")
    assert (ran.code, ran.json["payments"], ran.json["open"]) == (0, 2, 1)
    copy = shop.home / "safe" / "b.db"
    assert [file.name for file in copy.parent.iterdir()] == ["b.db"]
    assert is_private(copy)
    assert ids(copy) == ids(shop.journal)


def test_a_backup_overwrites_nothing(trained: Training, shop: Shop) -> None:
    """An existing file, a link, a folder that is not there: exit 2, and everything as it was."""
    trained(*PAY, "1")
    (shop.home / "there").write_text("mine")
    (shop.home / "link").symlink_to("nowhere")
    for name in ("there", "link", "no/such/folder", "journal.db"):
        ran = trained("journal", "backup", name, "--json")
        assert (ran.code, ran.json["error"]["kind"]) == (2, "usage")
        assert name in ran.json["error"]["message"]
    assert (shop.home / "there").read_text() == "mine"
    assert not (shop.home / "nowhere").exists()
    assert not [file for file in shop.home.iterdir() if file.name.endswith(".new")]


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(':')
import test_care as t
journal = t.SqliteJournal(Path(sys.argv[1]))
for number in range(10_000):
    payment = t.begin(journal, f"w-{number}")
    if number == 0:
        print("writing", flush=True)
    t.close(journal, payment)
"""


def test_a_backup_while_a_till_writes(journal: SqliteJournal, path: Path) -> None:
    """A copy made between two payments of a busy till is sound, and so is the journal."""
    rooms = Path(__file__).parents
    tests = f"{rooms[0]}:{rooms[1]}:{rooms[1] / 'harness'}"
    till = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), tests], stdout=subprocess.PIPE, text=True
    )
    assert till.stdout is not None
    try:
        assert till.stdout.readline() == "writing\n"
        for number in range(5):
            copy = back_up(path, path.with_name(f"{number}.db"))
            assert copy.payments > 0
            assert till.poll() is None
            assert examine(path).findings == ()
    finally:
        till.kill()
        till.communicate()


def test_an_unsound_journal_is_not_called_a_backup(journal: SqliteJournal, path: Path) -> None:
    """A copy that is not sound gets no name."""
    close(journal, begin(journal, "111"))
    change(path, "UPDATE payments SET tries=7")
    with pytest.raises(JournalError) as caught:
        back_up(path, path.with_name("b.db"))
    assert caught.value.code == "journal_unsound"
    assert not path.with_name("b.db").exists()


# ── restore ──────────────────────────────────────────────────────────────────────────────────


def test_what_only_a_person_knows_is_listed_first(trained: Training, shop: Shop) -> None:
    """A payment open in the backup and in the journal: named, and nothing changes without --yes;
    what came after the backup stays.
    """
    opened = trained(*PAY, "1", "--code-stdin", stdin=PENDING).json
    trained("journal", "backup", "b.db")
    second = trained(*PAY, "2").json
    before = ids(shop.journal)
    ran = trained("journal", "restore", "b.db", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "may_charge_again")
    assert [one["request_id"] for one in ran.json["for_person"]] == [opened["request_id"]]
    assert (ran.json["lost"], ran.json["carried_over"]) == ([], 1)
    assert opened["request_id"] in ran.err
    assert second["request_id"] not in ran.err
    assert ids(shop.journal) == before
    assert not marked(shop.journal)

    done = trained("journal", "restore", "b.db", "--yes", "--json")
    assert done.code == 0, done
    assert ids(shop.journal) == ids(Path(done.json["kept_aside"])) == before
    assert marked(shop.journal) == [opened["request_id"]]
    assert opened["request_id"] in done.err
    assert "resolve" in done.err


def marked(path: Path) -> list[str]:
    """The request_ids of the payments that only a person sends or closes."""
    opened = SqliteJournal(path)
    found = [p.request_id for p in opened.history(Filter()) if p.for_person]
    opened.close()
    return found


ANSWERS = {
    "retry --all": ("retry", "--all"),
    "retry --due": ("retry", "--due"),
    "the same pay": ("pay", "--fee", "100", "--checkout", "111"),
}


@pytest.mark.parametrize("lost", [False, True], ids=["beside its journal", "its journal is gone"])
@pytest.mark.parametrize("then", ANSWERS)
def test_a_restore_sends_nothing_that_a_person_had_closed(
    shop: Shop, then: str, lost: bool
) -> None:
    """Resolved as not paid, paid by another payment, then the backup from before is put back: no
    sweep, no cron and no same `pay` sends the first one again.
    """
    with FaultServer() as gateway:
        shop.profile(gateway.url)
        gateway.then(cut_after_reading, answer())
        first = shop.run(*PAY, "111").json["request_id"]
        for column in ("payments SET created_ms=created_ms", "tries SET finished_ms=finished_ms"):
            change(shop.journal, f"UPDATE {column}-60000")  # cron's turn has come
        assert shop.run("journal", "backup", "b.db").code == 0
        assert shop.run("resolve", first, "--as", "not-paid", "--note", "seen").code == 0
        assert shop.run(*PAY, "111").code == 0
        sent = len(gateway.bodies())
        assert sent == 2
        if lost:
            _delete_journal(shop.journal)
        done = shop.run("journal", "restore", "b.db", "--yes", "--json")
        assert done.code == 0, done
        ran = shop.run(*ANSWERS[then], "--json")
        assert len(gateway.bodies()) == sent
        if lost:
            assert [one["request_id"] for one in done.json["for_person"]] == [first]
            assert done.json["unknown"] == 1
            assert "1" in done.err
            if then == "the same pay":
                assert (ran.code, ran.json["error"]["code"]) == (30, "restored")
                assert f"resolve {first}" in ran.json["error"]["hint"]
        else:
            shown = shop.run("show", first, "--json").json
            assert shown["payment"]["state"] == "resolved", shown
            if then == "the same pay":
                assert ran.code in (0, 30)
                assert ran.json.get("error") is None or ran.json["error"]["code"] == "already_paid"


def test_a_backup_that_is_not_there(trained: Training, shop: Shop) -> None:
    """A backup's name that was misspelt is called that, and nothing is changed."""
    trained(*PAY, "1")
    before = ids(shop.journal)
    ran = trained("journal", "restore", "misspelt.db", "--yes", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (31, "no_backup")
    assert "misspelt.db" in ran.json["error"]["message"]
    assert ids(shop.journal) == before


@pytest.mark.parametrize(("lost", "numbers"), [(False, [1, 2, 3, 4]), (True, [1, 4])])
def test_numbers_go_on_after_a_restore(
    trained: Training, shop: Shop, lost: bool, numbers: list[int]
) -> None:
    """No number is given twice, and the journal is used again without complaint."""
    trained(*PAY, "1")
    trained("journal", "backup", "b.db")
    trained(*PAY, "2")
    trained(*PAY, "3")
    assert highest_number(shop.journal) == 3
    if lost:
        _delete_journal(shop.journal)
    assert trained("journal", "restore", "b.db", "--yes").code == 0
    assert trained("journal", "check").code == 0
    assert trained(*PAY, "4").code == 0
    with closing(sqlite3.connect(shop.journal)) as db:
        assert [n for (n,) in db.execute("SELECT seq FROM payments")] == numbers


def test_a_restore_that_loses_nothing_asks_nothing(trained: Training, shop: Shop) -> None:
    """A backup that knows everything is put back at once."""
    trained(*PAY, "1")
    trained("journal", "backup", "b.db")
    ran = trained("journal", "restore", "b.db", "--json")
    assert (ran.code, ran.json["lost"], ran.json["unknown"]) == (0, [], 0)
    assert ran.json["unknown_since"] is None
    assert trained("journal", "check").code == 0


def _delete_journal(path: Path) -> None:
    for tail in ("", "-wal", "-shm"):
        Path(f"{path}{tail}").unlink(missing_ok=True)


GONE: dict[str, Callable[[Path], object]] = {
    "deleted": _delete_journal,
    "emptied": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, 5000),
    "overwritten": lambda path: path.write_bytes(b"garbage" * 5000),
}


@pytest.mark.parametrize("how", GONE)
def test_a_lost_journal_is_restored(trained: Training, shop: Shop, how: str) -> None:
    """After deletion or damage nothing is paid (31) until a backup is back; the rest is kept."""
    paid = trained(*PAY, "1").json
    trained("journal", "backup", "b.db")
    GONE[how](shop.journal)
    damaged = shop.journal.read_bytes() if shop.journal.exists() else None
    assert trained(*PAY, "1").code == 31
    done = trained("journal", "restore", "b.db", "--json")
    assert done.code == 0, done
    if damaged is None:
        assert done.json["kept_aside"] is None
    else:
        assert Path(done.json["kept_aside"]).read_bytes() == damaged
    again = trained(*PAY, "1")
    assert (again.code, again.json["error"]["code"]) == (30, "already_paid")
    assert ids(shop.journal) == {paid["request_id"]: "success"}
    assert is_private(shop.journal)


def test_an_old_file_put_back_by_hand_is_noticed(trained: Training, shop: Shop) -> None:
    """A copy from before the last payment, copied over the journal: 31 at the next payment."""
    trained(*PAY, "1")
    trained("journal", "backup", "b.db")
    trained(*PAY, "2")
    _delete_journal(shop.journal)
    shop.journal.write_bytes((shop.home / "b.db").read_bytes())
    ran = trained(*PAY, "2")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_older")
    assert [f["code"] for f in trained("journal", "check", "--json").json["findings"]] == ["older"]
    ran = trained("journal", "restore", "b.db", "--json")
    assert (ran.code, ran.json["unknown"]) == (2, 1)
    assert trained("journal", "restore", "b.db", "--yes").code == 0
    assert trained(*PAY, "3").code == 0


def test_a_bad_backup_is_not_restored(trained: Training, shop: Shop) -> None:
    """Garbage, somebody else's database, a damaged or newer journal: 31, and all as it was."""
    trained(*PAY, "1")
    trained("journal", "backup", "b.db")
    good = (shop.home / "b.db").read_bytes()
    with closing(sqlite3.connect(shop.home / "theirs.db")) as db:
        db.execute("CREATE TABLE t (x)")
    (shop.home / "garbage.db").write_bytes(b"no database" * 500)
    (shop.home / "cut.db").write_bytes(good[: len(good) // 2])
    (shop.home / "newer.db").write_bytes(good)
    change(shop.home / "newer.db", "PRAGMA user_version=999")
    (shop.home / "unsound.db").write_bytes(good)
    change(shop.home / "unsound.db", "UPDATE payments SET paid=0")
    before = ids(shop.journal)
    for name in ("theirs", "garbage", "cut", "newer", "unsound", "none"):
        ran = trained("journal", "restore", f"{name}.db", "--yes", "--json")
        assert (ran.code, ran.json["error"]["kind"]) == (31, "journal"), ran
        assert f"{name}.db" in ran.json["error"]["message"]
    assert ids(shop.journal) == before
    assert trained("journal", "restore", "journal.db").code == 2


def test_what_was_on_its_way_is_unknown_after_a_restore(journal: SqliteJournal, path: Path) -> None:
    """A payment that the backup saw being sent may be paid by now: it is in doubt, for a person."""
    sent = begin(journal, "111")
    put_aside = path.with_name("b.db")
    back_up(path, put_aside)
    journal.close()
    _delete_journal(path)
    ahead = outlook(path, put_aside)
    assert [one.request_id for one in ahead.for_person] == [sent.request_id]
    restore(path, put_aside, ahead, time.time())
    again = SqliteJournal(path)
    found = again.payment(sent.request_id)
    again.close()
    assert found is not None
    assert (found.standing.state, found.standing.doubt) == (State.UNKNOWN, Doubt.UNKNOWN)
    assert found.for_person


def test_more_than_was_accepted_is_never_done(journal: SqliteJournal, path: Path) -> None:
    """A payment that came to be for a person while somebody looked at the list stops the restore,
    and everything is as it was.
    """
    begin(journal, "111")
    back_up(path, path.with_name("b.db"))
    before = sorted(file.name for file in path.parent.iterdir())
    shown = outlook(path, path.with_name("b.db"))
    with pytest.raises(UsageError) as caught:
        restore(path, path.with_name("b.db"), shown._replace(for_person=()), time.time())
    assert caught.value.code == "may_charge_again"
    assert not marked(path)
    assert sorted(file.name for file in path.parent.iterdir()) == before


def test_two_restores_within_a_second(journal: SqliteJournal, path: Path) -> None:
    """The journal before each is kept, under a name of its own."""
    begin(journal, "111")
    backup = path.with_name("b.db")
    back_up(path, backup)
    journal.close()
    now_s = time.time()
    kept = [restore(path, backup, outlook(path, backup), now_s).kept_aside for _n in range(3)]
    names = [one.name for one in kept if one]
    assert [name.removeprefix(names[0]) for name in names] == ["", "-2", "-3"]
    assert all(one.exists() for one in kept if one)


def put_back(path: Path, backup: Path, later_s: int = 0) -> None:
    restore(path, backup, outlook(path, backup), time.time() + later_s)
    assert examine(path).findings == ()


def row(path: Path, request_id: str) -> list[Any]:
    """All that is written of a payment but its number."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        (found,) = db.execute("SELECT * FROM payments WHERE request_id=?", (request_id,))
        parts = [dict(found)]
        for table in ("tries", "alarms", "prints"):
            hanging = db.execute(f"SELECT * FROM {table} WHERE seq=?", (found["seq"],))
            parts += [dict(one) for one in hanging]
    return [{k: v for k, v in part.items() if k not in ("seq", "id")} for part in parts]


def test_a_restore_keeps_all_that_the_journal_knows(journal: SqliteJournal, path: Path) -> None:
    """Closed since the backup, begun since, its alarms, prints and shifts: word for word as they
    were, whatever the backup says.
    """
    closed_later = begin(journal, "111")
    back_up(path, path.with_name("b.db"))
    closed = close(journal, closed_later)
    new = close(journal, begin(journal, "222"))
    still_open = begin(journal, "333")
    journal.transact(lambda tx: tx.raise_alarm(new, Event.FAILED, "and yet not", NOW_MS))
    journal.transact(lambda tx: tx.count_print(new, "customer"))
    journal.transact(lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, "{}", "h")))
    every = [closed.request_id, new.request_id, still_open.request_id]
    before = [row(path, one) for one in every]
    put_back(path, path.with_name("b.db"))
    assert [row(path, one) for one in every] == before
    assert journal.shifts(CHECKOUT.merchant) == [Shift(1, "{}", "h")]
    assert not marked(path)


def test_a_newer_backup_closes_what_an_older_journal_has_open(
    journal: SqliteJournal, path: Path
) -> None:
    """When an old copy was put in the journal's place, the backup is the newer: what it knows as
    closed is closed, in the shift it was counted in, and what it alone knows comes along.
    """
    opened = begin(journal, "111")
    back_up(path, path.with_name("old.db"))
    closed = close(journal, opened)
    new = close(journal, begin(journal, "222"))
    journal.transact(lambda tx: tx.count_print(new, "customer"))
    journal.transact(lambda tx: tx.raise_alarm(closed, Event.FAILED, "and yet not", NOW_MS))
    journal.transact(lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, "{}", "h")))
    before = [row(path, one.request_id) for one in (closed, new)]
    back_up(path, path.with_name("b.db"))
    journal.close()
    _delete_journal(path)
    path.with_name("old.db").rename(path)
    ahead = outlook(path, path.with_name("b.db"))
    assert (ahead.for_person, ahead.unknown) == ((), 0)
    put_back(path, path.with_name("b.db"))
    assert [row(path, one.request_id) for one in (closed, new)] == before


def test_a_newer_backup_tells_what_came_to_a_closed_payment(
    journal: SqliteJournal, path: Path
) -> None:
    """Closed in both, counted in a shift and spoken against since: an older journal takes over the
    shift's number and the alarm from the backup, and has each once.
    """
    closed = close(journal, begin(journal, "111"))
    back_up(path, path.with_name("old.db"))
    journal.transact(lambda tx: tx.raise_alarm(closed, Event.FAILED, "and yet not", NOW_MS))
    journal.transact(lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, "{}", "h")))
    before = row(path, closed.request_id)
    back_up(path, path.with_name("b.db"))
    journal.close()
    _delete_journal(path)
    path.with_name("old.db").rename(path)
    for again_s in (0, 9):
        put_back(path, path.with_name("b.db"), again_s)
        assert row(path, closed.request_id) == before


def test_of_an_older_journal_everything_open_is_for_a_person(
    journal: SqliteJournal, path: Path
) -> None:
    """When neither the journal nor the backup is the latest, nobody knows of any open payment."""
    back_up(path, path.with_name("b.db"))
    opened = begin(journal, "111")
    back_up(path, path.with_name("old.db"))
    begin(journal, "222")
    journal.close()
    _delete_journal(path)
    path.with_name("old.db").rename(path)
    ahead = outlook(path, path.with_name("b.db"))
    assert [one.request_id for one in ahead.for_person] == [opened.request_id]
    assert ahead.unknown == 1
    put_back(path, path.with_name("b.db"))
    assert marked(path) == [opened.request_id]


def test_two_histories_become_one(journal: SqliteJournal, path: Path) -> None:
    """A journal begun anew and the backup of the one before it: every payment of both is there,
    the older ones first, and of two open ones on a checkout the new one stands in its way.
    """
    first = close(journal, begin(journal, "111", 9))
    second = begin(journal, "222", 8)
    back_up(path, path.with_name("b.db"))
    journal.close()
    for tail in ("", "-wal", "-shm", ".held"):
        Path(f"{path}{tail}").unlink(missing_ok=True)
    anew = SqliteJournal(path)
    third = close(anew, begin(anew, "111", 1, name="third"))
    fourth = begin(anew, "222", 0, name="fourth")
    anew.transact(lambda tx: tx.count_print(third, "customer"))
    rows = {one.request_id: row(path, one.request_id) for one in (third, fourth)}
    put_back(path, path.with_name("b.db"))
    both = anew.payments_of(CHECKOUT)
    assert [p.request_id for p in both] == [first.request_id, third.request_id]
    assert marked(path) == [second.request_id]
    for request_id, before in rows.items():
        assert row(path, request_id) == before
    assert [len(anew.tries_of(one)) for one in both] == [1, 1]
    assert [p.request_id for p in anew.payments_of(fourth.checkout) if p.for_person] == marked(path)
    anew.close()


def test_two_records_of_one_payment_raise_an_alarm(journal: SqliteJournal, path: Path) -> None:
    """Closed as paid in the backup and as unpaid in the journal: the journal's record stays, and an
    alarm stands against it, once.
    """
    opened = begin(journal, "111")
    back_up(path, path.with_name("b.db"))
    backup.adopt(path.with_name("b.db"))
    other = SqliteJournal(path.with_name("b.db"))
    found = other.payment(opened.request_id)
    assert found is not None
    close(other, found)
    other.close()
    standing = resolve(opened.standing, paid=False)
    journal.transact(lambda tx: tx.resolve(opened, standing, "me", "seen", NOW_MS))
    for again_s in (0, 9):
        put_back(path, path.with_name("b.db"), again_s)
        (alarm,) = journal.alarms(CHECKOUT.merchant)
        assert (alarm.request_id, alarm.event) == (opened.request_id, Event.PAID)
        (kept,) = journal.payments_of(CHECKOUT)
        assert kept.standing == standing


def close_shift(journal: SqliteJournal, content: str) -> None:
    journal.transact(lambda tx: tx.close_shift(CHECKOUT.merchant, Shift(1, content, content)))


def test_shifts_that_differ_do_not_become_one_chain(journal: SqliteJournal, path: Path) -> None:
    """A shift of one number closed twice, each in its own journal, stops a restore."""
    back_up(path, path.with_name("b.db"))
    other = SqliteJournal(path.with_name("b.db"))
    for one, content in ((journal, "mine"), (other, "theirs")):
        close_shift(one, content)
    other.close()
    with pytest.raises(UsageError) as caught:
        put_back(path, path.with_name("b.db"))
    assert caught.value.code == "other_shift"


def test_a_restore_undoes_no_move(trained: Training, shop: Shop) -> None:
    """A journal that was copied elsewhere stays moved, whatever backup is put back."""
    trained(*PAY, "1")
    trained("journal", "backup", "b.db")
    change(shop.journal, "UPDATE whole SET moved_to='/srv/journal.db'")
    assert trained("journal", "restore", "b.db", "--yes").code == 0
    ran = trained(*PAY, "2")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_moved")


def test_a_damaged_row_comes_from_the_backup(journal: SqliteJournal, path: Path) -> None:
    """A row that contradicts itself is put back; one that the backup has not is named as lost."""
    known = close(journal, begin(journal, "111"))
    back_up(path, path.with_name("b.db"))
    good = row(path, known.request_id)
    new = close(journal, begin(journal, "222"))
    change(path, "UPDATE payments SET paid=0")
    ahead = outlook(path, path.with_name("b.db"))
    assert [one.request_id for one in ahead.lost] == [new.request_id]
    assert not ahead.sure
    put_back(path, path.with_name("b.db"))
    assert row(path, known.request_id) == good
    assert ids(path) == {known.request_id: "success"}


def test_a_machine_without_a_state_folder(trained: Training, shop: Shop) -> None:
    """A backup is put back on a new machine: its folder is made for the owner alone."""
    opened = trained(*PAY, "1", "--code-stdin", stdin=PENDING).json
    trained("journal", "backup", "b.db")
    shop.env["POSCTL_JOURNAL"] = str(shop.home / "new" / "state" / "journal.db")
    ran = trained("journal", "restore", "b.db", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "may_charge_again")
    done = trained("journal", "restore", "b.db", "--yes", "--json")
    assert (done.code, done.json["kept_aside"]) == (0, None)
    assert done.json["for_person"][0]["request_id"] == opened["request_id"]
    assert is_private(shop.home / "new" / "state")
    assert trained("retry", "--all", "--json").code != 31
    assert marked(shop.home / "new" / "state" / "journal.db") == [opened["request_id"]]


HOLDER = """
import sys
from pathlib import Path
from posctl.journal.sqlite import SqliteJournal
journal = SqliteJournal(Path(sys.argv[1]))
payment = journal.payment(sys.argv[2])
print(journal.transact(lambda tx: tx.hold(payment)), flush=True)
sys.stdin.read()
"""


def test_nothing_is_restored_while_a_payment_is_sent(trained: Training, shop: Shop) -> None:
    """A till that is sending holds the journal: exit 30, and nothing changes."""
    sent = trained(*PAY, "1", "--code-stdin", stdin=PENDING).json
    trained("journal", "backup", "b.db")
    till = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(shop.journal), sent["request_id"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert till.stdout is not None
        assert till.stdout.readline() == "True\n"
        ran = trained("journal", "restore", "b.db", "--yes", "--json")
        assert (ran.code, ran.json["error"]["code"]) == (30, "in_use")
    finally:
        till.kill()
        till.communicate()
    assert trained("journal", "restore", "b.db", "--yes").code == 0


# ── prune ────────────────────────────────────────────────────────────────────────────────────


def exported(path: Path, before_ms: int) -> list[str]:
    """Prune, and return the request_ids that were exported."""
    names: list[str] = []
    prune(path, before_ms, lambda closed: names.extend(one.payment.request_id for one in closed))
    return sorted(names)


def test_only_what_is_old_and_settled_goes(journal: SqliteJournal, path: Path) -> None:
    """Open payments stay, and so does every checkout with anything open, newer or alarming."""
    close(journal, begin(journal, "old", 30))
    begin(journal, "open", 30)
    close(journal, begin(journal, "new", 3))
    close(journal, begin(journal, "part", 30))
    close(journal, begin(journal, "part", 3, name="part2"))
    close(journal, begin(journal, "again", 30))
    begin(journal, "again", 29, name="again2")
    alarmed = close(journal, begin(journal, "alarm", 30), Event.FAILED)
    journal.transact(lambda tx: tx.raise_alarm(alarmed, Event.PAID, "paid after all", NOW_MS))
    before = NOW_MS - 10 * DAY_MS
    assert exported(path, before) == ["r-old-000000"]
    assert "r-old-000000" not in ids(path)
    assert len(ids(path)) == 7
    journal.transact(lambda tx: tx.acknowledge("r-alarm-000000", "me", NOW_MS))
    assert exported(path, before) == ["r-alarm-000000"]
    assert examine(path).findings == ()
    assert exported(path, before) == []


def test_payments_that_no_shift_has_counted_stay(journal: SqliteJournal, path: Path) -> None:
    """Where shifts are closed, a payment waits for the one it belongs to."""
    close(journal, begin(journal, "old", 30))
    change(path, "INSERT INTO shifts VALUES ('https://gw', '12345678', 1, '{}', '')")
    assert exported(path, NOW_MS) == []
    change(path, "UPDATE payments SET shift=1")
    assert exported(path, NOW_MS) == ["r-old-000000"]


def test_an_export_that_fails_deletes_nothing(journal: SqliteJournal, path: Path) -> None:
    """Nothing is deleted before it was written out whole."""
    for number in range(5):
        close(journal, begin(journal, str(number), 30))

    def full(closed: Any) -> None:
        next(closed)
        raise UsageError("bad_file", "no space")

    with pytest.raises(UsageError):
        prune(path, NOW_MS, full)
    assert len(ids(path)) == 5


def test_what_comes_in_after_the_export_keeps_its_checkout(
    journal: SqliteJournal, path: Path
) -> None:
    """A payment made on an old checkout while it is exported: the checkout stays whole."""
    close(journal, begin(journal, "111", 30))
    close(journal, begin(journal, "222", 30))

    def export(closed: Any) -> None:
        assert len(list(closed)) == 2
        begin(journal, "111", 0, name="late")

    assert prune(path, NOW_MS - DAY_MS, export).payments == 1
    assert sorted(ids(path)) == ["r-111-000000", "r-late-000000"]


def test_many_checkouts_go_in_several_steps(
    journal: SqliteJournal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout's payments go together, however they fall into the transactions."""
    monkeypatch.setattr(pruning, "CHUNK", 3)
    for number in range(10):
        for part in ("a", "b"):
            close(journal, begin(journal, str(number), 30, name=f"{number}{part}"))
    chunks: list[Any] = []
    delete = pruning._delete

    def watched(*how: Any) -> Any:
        chunks.append(how[1])
        return delete(*how)

    monkeypatch.setattr(pruning, "_delete", watched)
    written: list[Any] = []
    pruned = prune(path, NOW_MS, written.extend)
    assert len(chunks) > 2
    place = {one.payment.seq: one.payment.checkout for one in written}
    checkouts = [{place[number] for number in chunk} for chunk in chunks]
    assert sum(map(len, checkouts)) == 10, "no checkout is in two chunks"
    assert len(written) == 20
    assert (pruned.payments, pruned.tries, pruned.kept) == (20, 20, 0)
    assert pruned.free_bytes > 0
    assert ids(path) == {}


def test_prune_exports_then_deletes(trained: Training, shop: Shop) -> None:
    """`journal prune`: JSON Lines with every try, 0600, no payment code; then they are gone."""
    paid = trained(*PAY, "1", "--code-stdin", stdin="280000000000000001").json
    kept = trained(*PAY, "2").json
    change(
        shop.journal,
        "UPDATE payments SET closed_ms=closed_ms-2592000000 "
        f"WHERE request_id='{paid['request_id']}'",
    )
    ran = trained("journal", "prune", "--older-than", "20", "--export", "old.jsonl", "--json")
    assert ran.code == 0, ran
    assert (ran.json["payments"], ran.json["tries"], ran.json["kept"]) == (1, 1, 0)
    file = shop.home / "old.jsonl"
    assert is_private(file)
    (line,) = file.read_text().splitlines()
    one = json.loads(line)
    assert (one["request_id"], one["outcome"], len(one["tries"])) == (
        paid["request_id"],
        "success",
        1,
    )
    assert "280000000000000001" not in line
    assert ids(shop.journal) == {kept["request_id"]: "success"}
    again = trained("journal", "prune", "--older-than", "20", "--export", "more.jsonl", "--json")
    assert (again.code, again.json["payments"], again.json["export"]) == (0, 0, None)
    assert not (shop.home / "more.jsonl").exists()
    assert trained(*PAY, "2", "--request-id", kept["request_id"]).json["resumed"] is True


@pytest.mark.parametrize(
    "args",
    [
        ("--older-than", "6", "--export", "x"),
        ("--older-than", "99999", "--export", "x"),
        ("--older-than", "１０", "--export", "x"),
        ("--older-than", "9" * 5000, "--export", "x"),
        ("--export", "x"),
        ("--older-than", "30"),
        ("--older-than", "30", "--export", "journal.db"),
        ("--older-than", "30", "--export", "no/such/folder"),
    ],
)
def test_a_prune_that_cannot_be_meant(trained: Training, shop: Shop, args: tuple[str, ...]) -> None:
    """Too young, too old, no number, no file, a file that is there: exit 2, nothing deleted."""
    trained(*PAY, "1")
    change(shop.journal, "UPDATE payments SET closed_ms=1, created_ms=1")
    before = ids(shop.journal)
    ran = trained("journal", "prune", *args, "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (2, "usage")
    assert ids(shop.journal) == before
    assert not (shop.home / "x").exists()
