"""The journal: durable, whole or not there, honest about its limits, forgetful of codes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from private import is_private
from test_journal_contract import CHECKOUT, CODE, begin, finish, new

from posctl.errors import JournalError
from posctl.journal import sqlite_file
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import MIGRATIONS
from posctl.money.outcome import Event, resolve


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_it_is_made_whole_private_and_in_one_step(path: Path) -> None:
    """A new journal is 0600 in a 0700 folder, and its draft leaves nothing behind."""
    SqliteJournal(path).close()
    assert is_private(path)
    assert is_private(path.parent)
    assert {p.name for p in path.parent.iterdir()} == {"journal.db", "journal.db.held"}


def test_twenty_processes_make_one_journal(path: Path) -> None:
    """Tills that start together on a new machine end up with the same journal."""
    script = (
        "import sys; from pathlib import Path; from posctl.journal.sqlite import SqliteJournal;"
        "SqliteJournal(Path(sys.argv[1])).close()"
    )
    tills = [subprocess.Popen([sys.executable, "-B", "-c", script, str(path)]) for _ in range(20)]
    assert [till.wait() for till in tills] == [0] * 20
    SqliteJournal(path).close()
    assert {p.name for p in path.parent.iterdir()} == {"journal.db", "journal.db.held"}


def test_a_till_that_comes_between_is_no_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one till looks for the first journal, another makes it and pays: nothing is gone."""
    exists = sqlite_file.is_begun

    def somebody_comes_between(wanted: Path) -> bool:
        found = exists(wanted)
        if not found:
            monkeypatch.undo()
            other = SqliteJournal(path)
            begin(other, new())
            other.close()
        return found

    monkeypatch.setattr("posctl.journal.sqlite.is_begun", somebody_comes_between)
    journal = SqliteJournal(path)
    assert len(list(journal.open_payments(CHECKOUT.merchant))) == 1
    journal.close()


@pytest.mark.parametrize("merchant", [CHECKOUT.merchant_name, "another"])
def test_a_row_that_comes_between_is_no_damage(path: Path, merchant: str) -> None:
    """While one till reads a checkout, another pays it: the journal is not taken for damaged."""
    theirs = SqliteJournal(path)
    ours = SqliteJournal(path)
    read = 0

    def somebody_pays(statement: str) -> None:
        nonlocal read
        read += statement.startswith("SELECT")
        if statement.startswith("SELECT") and read == 2:
            begin(theirs, new("r-theirs", CHECKOUT._replace(merchant_name=merchant)))

    ours._db.set_trace_callback(somebody_pays)
    assert ours.payments_of(CHECKOUT) is not None
    ours.close()
    theirs.close()
    assert read == 2


def files(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(path.parent.iterdir()) if p.is_file())


@pytest.mark.parametrize("event", [Event.PAID, Event.FAILED, Event.REFUSED, Event.GATEWAY_REFUSED])
def test_a_closed_payments_code_is_gone_from_every_byte(path: Path, event: Event) -> None:
    """While the payment is open its code is kept for the retry; closed, no file holds it."""
    journal = SqliteJournal(path)
    others = [new(f"r-other-{i}", CHECKOUT._replace(checkout_id=f"c{i}")) for i in range(30)]
    for other in others:
        finish(journal, begin(journal, other), Event.PAID)
    begun = begin(journal, new("r-0000002"))
    assert CODE.encode() in files(path)
    done = finish(journal, begun, event)
    journal.forget_codes()
    assert CODE.encode() not in files(path)
    assert "283456******5678" in done.pay_request
    journal.close()
    assert CODE.encode() not in files(path)


def test_a_reader_puts_the_erasing_off(path: Path) -> None:
    """While somebody reads, the journal says that the codes are still there; later they go."""
    journal = SqliteJournal(path)
    with closing(sqlite3.connect(path)) as reader:
        finish(journal, begin(journal, new()), Event.PAID)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM payments").fetchone()
        finish(
            journal,
            begin(journal, new("r-0000002", CHECKOUT._replace(checkout_id="c2"))),
            Event.PAID,
        )
        assert not journal.forget_codes()
        assert CODE.encode() in files(path)
    assert journal.forget_codes()
    assert CODE.encode() not in files(path)
    journal.close()


def test_resolving_erases_the_code_too(path: Path) -> None:
    """A payment closed by a person keeps who, when and why, and no code."""
    journal = SqliteJournal(path)
    begun = begin(journal, new())
    standing = resolve(begun.standing, paid=True)
    done = journal.transact(lambda tx: tx.resolve(begun, standing, "me@till", "saw the receipt", 5))
    journal.forget_codes()
    assert (done.resolved_by, done.resolved_note, done.closed_ms) == (
        "me@till",
        "saw the receipt",
        5,
    )
    assert CODE.encode() not in files(path)
    journal.close()


def refused(path: Path) -> JournalError:
    with pytest.raises(JournalError) as caught:
        journal = SqliteJournal(path)
        try:
            begin(journal, new("r-another"))
        finally:
            journal.close()
    assert caught.value.hint
    return caught.value


def broken(path: Path) -> Path:
    SqliteJournal(path).close()
    return path


def test_an_empty_file_is_refused_and_stays(path: Path) -> None:
    """0 bytes are lost payments, not a new journal."""
    path.parent.mkdir()
    path.touch()
    assert refused(path).code == "journal_empty"
    assert path.stat().st_size == 0


def test_foreign_newer_corrupt_and_misplaced_files_are_refused(path: Path) -> None:
    """Somebody else's database, a newer posctl's, a damaged one, a folder, a link: none is used."""
    path.parent.mkdir()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    assert refused(path).code == "journal_foreign"
    path.unlink()

    with closing(sqlite3.connect(broken(path))) as db, db:
        db.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    assert refused(path).code == "journal_newer"
    path.unlink()

    path.write_bytes(b"not a database at all" * 100)
    before = path.read_bytes()
    assert refused(path).code == "journal_corrupt"
    assert path.read_bytes() == before
    path.unlink()

    path.mkdir()
    assert refused(path).code == "journal_not_a_file"
    path.rmdir()

    (path.parent / "real.db").symlink_to(path)
    path.symlink_to(path.parent / "elsewhere.db")
    assert refused(path).code == "journal_not_a_file"


def test_flipped_bytes_are_noticed(path: Path) -> None:
    """Damage in the middle is refused when it is met, not written over."""
    journal = SqliteJournal(path)
    for i in range(200):
        finish(
            journal,
            begin(journal, new(f"r-{i:07}", CHECKOUT._replace(checkout_id=str(i)))),
            Event.PAID,
        )
    journal.close()
    raw = bytearray(path.read_bytes())
    raw[4096:] = bytes(byte ^ 0x55 for byte in raw[4096:])
    path.write_bytes(raw)
    assert refused(path).code == "journal_corrupt"


def test_a_journal_that_is_swapped_while_in_use_is_noticed(path: Path) -> None:
    """Removed, replaced or emptied under us: what is written there nobody will read."""
    for harm in ("remove", "replace", "empty"):
        journal = SqliteJournal(path)
        if harm == "empty":
            os.truncate(path, 0)
        else:
            path.unlink()
            if harm == "replace":
                SqliteJournal(path).close()
        with pytest.raises(JournalError) as caught:
            begin(journal, new("r-0000009"))
        assert caught.value.code in ("journal_replaced", "journal_corrupt")
        journal.close()
        for leftover in path.parent.iterdir():
            leftover.unlink()


def test_a_full_disk_is_refused(path: Path) -> None:
    """When the file cannot grow, the payment is not begun."""
    SqliteJournal(path).close()
    script = (
        "import resource, signal, sys; sys.path[:0] = sys.argv[2].split(':');"
        "from pathlib import Path; import test_journal as t;"
        "journal = t.SqliteJournal(Path(sys.argv[1]));"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "from posctl.errors import JournalError\n"
        "try:\n t.begin(journal, t.new())\n"
        "except JournalError as e:\n print(e.code)"
    )
    rooms = Path(__file__).parents
    tests = f"{rooms[0]}:{rooms[1]}:{rooms[1] / 'harness'}"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), tests], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("journal_full", "journal_failed", "journal_unwritable")
    with closing(SqliteJournal(path)) as journal:
        assert journal.payment("r-0000001") is None
