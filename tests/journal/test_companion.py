"""A journal is one, whole and the latest, or it sends nothing (31)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import Shop
from merciless import Merciless, paid

from posctl.errors import JournalError
from posctl.journal import companion as companion_module
from posctl.journal.companion import Companion, Mark, line_of, mark_in
from posctl.journal.health import health
from posctl.journal.sqlite import SqliteJournal
from posctl.journal.sqlite_file import held_path
from posctl.shell import as_text

PAY = ("pay", "--json", "--fee", "100", "--checkout")
PARTS = ("", "-wal", "-shm")


@pytest.fixture
def gateway() -> Iterator[Merciless]:
    with Merciless() as one:
        yield one


@pytest.fixture
def counter(shop: Shop, gateway: Merciless) -> Shop:
    """A till with one open payment, whose first answer was lost, and one that is paid."""
    shop.profile(gateway.url)
    gateway.answer = lambda _members: None
    assert shop.run(*PAY, "111").code == 21
    gateway.answer = paid
    assert shop.run(*PAY, "222").code == 0
    return shop


def keep(shop: Shop, name: str) -> None:
    """A copy of the journal's files, but for what stands beside it."""
    for part in PARTS:
        with suppress(FileNotFoundError):
            shutil.copy2(f"{shop.journal}{part}", shop.home / f"{name}{part}")


def put_back(shop: Shop, name: str) -> None:
    for part in PARTS:
        Path(f"{shop.journal}{part}").unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.copy2(shop.home / f"{name}{part}", f"{shop.journal}{part}")


WORDS = (
    ("retry", "--all"),
    ("retry", "--due"),
    ("pay", "--fee", "100", "--checkout", "111"),
    ("pay", "--fee", "100", "--checkout", "333"),
    ("pending", "--check"),
    ("history",),
    ("checkout", "111"),
    ("report", "--close", "--note", "n"),
    ("journal", "check"),
)


def refused(shop: Shop, gateway: Merciless, code: str) -> None:
    """Every command ends with 31 and `code`, and none sends anything."""
    before = len(gateway.requests)
    for words in WORDS:
        ran = shop.run(*words, "--json")
        assert ran.code == 31, (words, ran)
        if words[0] != "journal":
            assert ran.json["error"]["code"] == code, (words, ran)
    assert len(gateway.requests) == before


def test_an_older_journal_sends_nothing(counter: Shop, gateway: Merciless) -> None:
    """The journal of before a payment was closed is put back; no new payment need tell of it."""
    keep(counter, "old.db")
    (opened,) = counter.run("pending", "--json").json["payments"]
    closed = counter.run(
        "resolve", opened["request_id"], "--as", "not-paid", "--note", "seen", "--json"
    )
    assert closed.code in (0, 10)
    put_back(counter, "old.db")
    refused(counter, gateway, "journal_older")


def test_a_journal_without_its_companion_sends_nothing(counter: Shop, gateway: Merciless) -> None:
    """What stands beside the journal was taken for a stale lock file, and removed."""
    held_path(counter.journal).unlink()
    refused(counter, gateway, "journal_unguarded")


def test_an_emptied_companion_is_no_companion(counter: Shop, gateway: Merciless) -> None:
    """Cut to nothing it says nothing, and so nothing is sent."""
    os.truncate(held_path(counter.journal), 0)
    refused(counter, gateway, "journal_unguarded")


def test_threads_share_the_file(tmp_path: Path) -> None:
    """All threads of a process use one descriptor: whatever the others lock, read and write, each
    finds a whole line at the beginning of the file, and it is the only one.
    """
    path = tmp_path / "journal.db.held"
    seen: list[Mark | None] = []

    def use(number: int) -> None:
        for reached in range(200):
            beside.lock(number)
            beside.raise_to(Mark("one", reached))
            seen.append(beside.read())
            beside.unlock(number)

    with closing(Companion(path, make=True)) as beside:
        beside.write(Mark("one", 0))
        threads = [threading.Thread(target=use, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {mark.id for mark in seen if mark} == {"one"}
        assert None not in seen
        assert beside.size() == len(line_of(Mark("one", 0)))


def test_another_journal_sends_nothing(counter: Shop, gateway: Merciless) -> None:
    """A journal that this machine never used stands in the place of its own."""
    with closing(SqliteJournal(counter.home / "other.db")):
        pass
    put_back(counter, "other.db")
    ran = counter.run(*PAY, "111")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_other")


def test_a_whole_state_folder_put_back_sends_nothing(counter: Shop, gateway: Merciless) -> None:
    """The journal and what stands beside it are both of yesterday; the note beside the
    configuration is not.
    """
    keep(counter, "old.db")
    shutil.copy2(held_path(counter.journal), counter.home / "old.db.held")
    (opened,) = counter.run("pending", "--json").json["payments"]
    counter.run("resolve", opened["request_id"], "--as", "not-paid", "--note", "seen")
    put_back(counter, "old.db")
    shutil.copy2(counter.home / "old.db.held", held_path(counter.journal))
    before = len(gateway.requests)
    for words in WORDS[:-1]:
        ran = counter.run(*words, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (31, "journal_older"), words
    assert len(gateway.requests) == before
    assert counter.run("journal", "adopt", "--yes").code == 0
    assert counter.run(*PAY, "555").code == 0


def test_a_hard_link_is_a_second_journal(counter: Shop, gateway: Merciless) -> None:
    """By two names there are two logs, and neither knows what the other has paid."""
    (counter.home / "b").mkdir()
    os.link(counter.journal, counter.home / "b" / "journal.db")
    ran = counter.run(*PAY, "111")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_linked")
    assert len(gateway.requests) == 2


def test_a_companion_removed_under_a_payment_holds_others_off(
    counter: Shop, gateway: Merciless
) -> None:
    """While one till waits for its answer, nobody else gets at the payment: the lock is gone with
    the file, and its absence is noticed instead.
    """
    gateway.hold_at = len(gateway.charges)
    first = counter.start(*PAY, "444")
    with gateway.changed:
        assert gateway.changed.wait_for(lambda: len(gateway.requests) == 3, timeout=20)
    held_path(counter.journal).unlink()
    for words in ((*PAY, "444"), ("retry", "--all", "--json")):
        ran = counter.run(*words)
        assert (ran.code, ran.json["error"]["code"]) == (31, "journal_unguarded")
    first.kill()
    first.communicate()
    assert len(gateway.requests) == 3


def test_a_clone_sends_nothing_elsewhere(
    counter: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole state folder was copied onto another machine."""
    elsewhere = tmp_path / "machine-id"
    elsewhere.write_text("another machine\n")
    with closing(SqliteJournal(counter.journal)):
        pass
    monkeypatch.setattr(companion_module, "MACHINE_ID", elsewhere)
    if not Path("/etc/machine-id").exists():
        pytest.skip("this machine has no id, so none is kept")
    with pytest.raises(JournalError) as told:
        SqliteJournal(counter.journal)
    assert told.value.code == "journal_elsewhere"


def _of_another(held: Path) -> None:
    held.write_bytes(line_of(Mark("another", 99)))


TAKE: dict[str, Callable[[Shop], None]] = {
    "its companion is gone": lambda shop: held_path(shop.journal).unlink(),
    "its companion is another's": lambda shop: _of_another(held_path(shop.journal)),
}


@pytest.mark.parametrize("lose", TAKE.values(), ids=TAKE)
def test_an_adopted_journal_leaves_what_is_open_to_a_person(
    counter: Shop, gateway: Merciless, lose: Callable[[Shop], None]
) -> None:
    """`journal adopt` says what may be charged again and asks; then new payments are taken, and
    what was open is sent by nobody without a yes.
    """
    lose(counter)
    assert counter.run(*PAY, "111").code == 31
    asked = counter.run("journal", "adopt", "--json")
    assert (asked.code, asked.json["error"]["code"], asked.json["open"]) == (2, "not_adopted", 1)
    assert "111" in asked.err
    assert counter.run("journal", "adopt", "--yes", "--json").code == 0
    before = len(gateway.requests)
    again = counter.run(*PAY, "111")
    assert (again.code, again.json["error"]["code"]) == (30, "restored")
    counter.run("retry", "--all", "--json")
    counter.run("retry", "--due", "--json")
    assert len(gateway.requests) == before
    assert counter.run(*PAY, "555").code == 0
    assert counter.run("retry", again.json["blocked_by"], "--yes", "--json").code == 0


def test_a_restored_backup_sends_nothing_by_itself(counter: Shop, gateway: Merciless) -> None:
    """A payment that was closed since the backup comes back open, for a person: no sweep and no
    same `pay` charges the customer again.
    """
    backup = str(counter.home / "backup.db")
    assert counter.run("journal", "backup", backup).code == 0
    (opened,) = counter.run("pending", "--json").json["payments"]
    counter.run("resolve", opened["request_id"], "--as", "not-paid", "--note", "seen")
    assert counter.run(*PAY, "111").code == 0
    assert counter.run("journal", "restore", backup, "--yes").code == 0
    before = len(gateway.requests)
    for words in (("retry", "--all"), ("retry", "--due"), PAY[:1] + PAY[2:] + ("111",)):
        counter.run(*words, "--json")
    assert len(gateway.requests) == before


def test_a_sealed_journal_can_be_backed_up_and_not_pruned(
    counter: Shop, gateway: Merciless, tmp_path: Path
) -> None:
    """What was moved may still be read; nothing is deleted from it, nor from one that lacks what
    stands beside it.
    """
    prune = ("journal", "prune", "--older-than", "30", "--export", "x.jsonl", "--json")
    assert counter.run("journal", "copy", str(counter.journal), str(tmp_path / "to.db")).code == 0
    assert counter.run("journal", "backup", str(tmp_path / "backup.db")).code == 0
    ran = counter.run(*prune)
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_moved")
    assert counter.run("journal", "adopt", "--yes").code == 0
    assert counter.run(*prune).code == 0
    held_path(counter.journal).unlink()
    ran = counter.run(*prune)
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_unguarded")


def test_a_line_says_all_or_nothing() -> None:
    """Half of a line, or one that was changed, is none; a person can read a whole one."""
    mark = Mark("7c1f", 12, 9)
    line = line_of(mark)
    assert mark_in(line) == mark
    assert b"NEVER DELETE" in line
    assert mark_in(line[: len(line) // 2]) is None
    assert mark_in(line.replace(b"012 ", b"013 ")) is None


def test_a_companion_never_goes_back(tmp_path: Path) -> None:
    """Who comes late with a smaller count changes nothing."""
    with closing(Companion(tmp_path / "journal.db.held", make=True)) as one:
        one.write(Mark("a", 5, 3))
        one.raise_to(Mark("a", 4, 9))
        assert one.read() == Mark("a", 5, 3)
        one.raise_to(Mark("a", 6, 2))
        assert one.read() == Mark("a", 6, 3)
        one.raise_to(Mark("b", 7, 7))
        assert one.read() == Mark("a", 6, 3)


# ── mounted alone, and of another owner ──────────────────────────────────────────────────────


def test_a_journal_mounted_as_a_single_file_sends_nothing(
    counter: Shop, gateway: Merciless
) -> None:
    """A container's volume of the file alone: SQLite's log and the locks are not in it, even when
    what stands beside the journal was put there too.
    """
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    allowed = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    if allowed.returncode:
        pytest.skip(f"no mounts of one's own here: {allowed.stderr.decode().strip()}")
    volume = counter.home / "volume" / "journal.db"
    volume.parent.mkdir()
    volume.touch()
    shutil.copy2(held_path(counter.journal), held_path(volume))
    before = len(gateway.requests)
    for words in ((*PAY, "111"), ("retry", "--all", "--json"), ("pending", "--json")):
        mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        ran = subprocess.run(
            [
                *("unshare", "-rm", "sh", "-c", mount, "sh", str(counter.journal), str(volume)),
                *(*counter.command, *words),
            ],
            env=counter.env | {"POSCTL_JOURNAL": str(volume)},
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 31, ran
        assert json.loads(ran.stdout)["error"]["code"] == "journal_mounted"
    assert len(gateway.requests) == before


TILL = 65534  # a user that is not root


def owners(shop: Shop) -> dict[str, int]:
    return {path.name: path.stat().st_uid for path in shop.home.glob("journal.db*")}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_roots_look_does_not_lock_the_till_out(counter: Shop) -> None:
    """Whatever root does with another user's journal, its files stay that user's."""
    for path in counter.home.glob("journal.db*"):
        os.chown(path, TILL, TILL)
    for words in (("pending",), ("retry", "--due"), ("pay", "--fee", "100", "--checkout", "333")):
        counter.run(*words)
        assert set(owners(counter).values()) == {TILL}, words
    assert held_path(counter.journal).name in owners(counter)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_what_root_puts_beside_a_journal_is_its_owners(shop: Shop, gateway: Merciless) -> None:
    """Before the first payment the companion may be made anew: by root, for the journal's owner."""
    shop.profile(gateway.url)
    for path in shop.home.glob("journal.db*"):
        os.chown(path, TILL, TILL)
    held_path(shop.journal).unlink()
    assert shop.run("pending").code == 0
    assert owners(shop)[held_path(shop.journal).name] == TILL


@pytest.fixture
def shut_out() -> Iterator[Path]:
    """A journal of this user's, whose companion this user may not open."""
    with tempfile.TemporaryDirectory() as folder:  # one that another user can enter
        Path(folder).chmod(0o755)
        path = Path(folder) / "till" / "journal.db"
        path.parent.mkdir()
        with closing(SqliteJournal(path)):
            pass
        if os.geteuid():
            held_path(path).chmod(0)
            yield path
            return
        for one in (path.parent, path):
            os.chown(one, TILL, TILL)
        os.seteuid(TILL)
        try:
            yield path
        finally:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="no owners of files")
@pytest.mark.parametrize("use", [SqliteJournal, health], ids=["a payment", "the doctor"])
def test_a_companion_of_another_owner_is_named(
    shut_out: Path, use: Callable[[Path], object]
) -> None:
    """The message says which file cannot be opened, and how it is given back."""
    with pytest.raises(JournalError) as told:
        use(shut_out)
    assert told.value.code == "journal_unwritable"
    assert f"{held_path(shut_out)} of the journal cannot be used: Permission denied" in str(
        told.value.message
    )
    assert f"chown --reference={shut_out} {held_path(shut_out)}" in as_text(told.value.hint)
