"""What storage does to a journal, for real: full, read-only, locked, gone, cut, flipped, old.

Whatever happens, nothing is sent that is not recorded, and nothing is charged again.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from conftest import NO_BYTECODE, Ran, Shop
from faultserver import PAID, FaultServer, answer, cut_after_reading

from posctl.training.ledger import charges

PAY = ("pay", "--json", "--fee", "100", "--checkout")
PENDING = PAID.replace(b'"result_status":1', b'"result_status":3')
FAILED = PAID.replace(b'"result_status":1', b'"result_status":2')
FILES = ("", "-wal", "-shm")


def asked(server: FaultServer) -> list[str]:
    """The request_ids that reached the gateway, in order."""
    forms = [parse_qs(body.decode()) for body in server.bodies()]
    return [json.loads(form["pay_request"][0])["request_id"] for form in forms]


def recorded(shop: Shop) -> dict[str, str]:
    """request_id → state of what the journal holds; {} when nothing can be read."""
    try:
        with closing(sqlite3.connect(shop.journal)) as db:
            return dict(db.execute("SELECT request_id, state FROM payments"))
    except sqlite3.Error:
        return {}


def refused(ran: Ran, server: FaultServer, *codes: str) -> None:
    """Exit 31 with words and a next step, and not even a connection."""
    assert ran.code == 31, ran
    error = ran.json["error"]
    assert error["kind"] == "journal"
    assert error["message"]
    assert error["hint"]
    assert not codes or error["code"] in codes, error
    assert server.connections == 0


# ── no room ──────────────────────────────────────────────────────────────────────────────────


def limit(size: int) -> Callable[[], None]:
    """No file of the process may be longer: to SQLite that is a full disk or a quota."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def run_limited(shop: Shop, size: int, *args: str) -> Ran:
    process = shop.start(*args, env=NO_BYTECODE, preexec_fn=limit(size))
    out, err = process.communicate(timeout=60)
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize("size", [0, 1, 4096, 20_000, 50_000])
def test_no_room_for_a_new_journal(shop: Shop, size: int) -> None:
    """Where the journal cannot be made, it is said (31), and no half of one is left."""
    shop.begun = True  # nobody has yet
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        assert run_limited(shop, size, "journal", "create").code == 31
        assert not shop.journal.exists()
        refused(shop.run(*PAY, "1"), server, "no_journal")
        assert shop.run("journal", "create").code == 0
        assert not list(shop.home.glob(".journal*"))
        assert shop.run(*PAY, "1").code == 0


def test_no_room_for_one_more_payment(shop: Shop) -> None:
    """However little may still be written: a payment that is sent is in the journal."""
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        assert shop.run(*PAY, "first").code == 0
        refusals = 0
        for size in range(0, 80_000, 4_096):
            connections = server.connections
            ran = run_limited(shop, size, *PAY, str(size))
            if ran.code == 31:
                refusals += 1
                assert server.connections == connections
            else:
                assert ran.code == 0, ran
                assert asked(server)[-1] in recorded(shop)
        assert refusals >= 2
        assert len(set(asked(server))) == len(asked(server))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 384 KB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=384k,mode=700", "tmpfs", str(place)]
    try:
        subprocess.run(mount, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root mounts a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> Path:
    """Fill a file system but for `leave` bytes."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    with ballast.open("r+b") as file:
        file.truncate(max(0, ballast.stat().st_size - leave))
    return ballast


def test_a_full_disk(shop: Shop, small_disk: Path) -> None:
    """With any few KB left on a real file system: refused (31) or recorded and paid."""
    shop.env["POSCTL_JOURNAL"] = str(small_disk / "journal.db")
    seen = set()
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        fill(small_disk)
        refused(shop.run(*PAY, "none"), server)
        (small_disk / "ballast").unlink()
        assert shop.run(*PAY, "first").code == 0
        for leave in range(0, 131_072, 16_384):
            connections = server.connections
            ballast = fill(small_disk, leave)
            ran = shop.run(*PAY, str(leave))
            ballast.unlink()
            seen.add(ran.code)
            assert ran.code in (0, 31), ran
            if ran.code == 31:
                assert ran.json["error"]["code"] in ("journal_full", "journal_failed")
                assert server.connections == connections
            else:
                with closing(sqlite3.connect(small_disk / "journal.db")) as db:
                    ids = [i for (i,) in db.execute("SELECT request_id FROM payments")]
                assert asked(server)[-1] in ids
    assert seen == {0, 31}


def test_a_backup_names_the_disk_that_is_full(shop: Shop, small_disk: Path) -> None:
    """A backup that finds no room says of which folder that is so, and leaves nothing there."""
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        assert shop.run(*PAY, "1").code == 0
        ballast = fill(small_disk, 8_192)
        ran = shop.run("journal", "backup", str(small_disk / "backup.db"), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (31, "copy_full")
    assert str(small_disk) in ran.json["error"]["message"]
    assert str(shop.journal) not in ran.err
    assert list(small_disk.iterdir()) == [ballast]


def fill_up(place: Path) -> None:
    fill(place)


@pytest.mark.parametrize(("body", "code"), [(PAID, 0), (FAILED, 21)])
def test_a_disk_that_fills_up_while_the_gateway_answers(
    shop: Shop, small_disk: Path, body: bytes, code: int
) -> None:
    """What cannot be recorded is told with a warning, never as "not charged"; the row stays open,
    and the same command asks about it under its own id when there is room again.
    """
    shop.env["POSCTL_JOURNAL"] = str(small_disk / "journal.db")
    with FaultServer(answer(body), on_first_byte=lambda: fill_up(small_disk)) as server:
        shop.profile(server.url)
        ran = shop.run(*PAY, "1")
        (small_disk / "ballast").unlink()
        assert ran.code == code, ran
        assert [warning.split(":")[0] for warning in ran.json["warnings"]] == ["not_recorded"]
        server.on_first_byte = lambda: None
        again = shop.run(*PAY, "1")
        assert again.json["resumed"] is True
        assert set(asked(server)) == {ran.json["request_id"]}


# ── no right to write ────────────────────────────────────────────────────────────────────────


def test_a_read_only_file_system(shop: Shop, small_disk: Path) -> None:
    """Mounted read-only, with a journal or without: refused, nothing sent."""
    shop.env["POSCTL_JOURNAL"] = str(small_disk / "journal.db")
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        with FaultServer(answer()) as other:
            shop.profile(other.url)
            assert shop.run(*PAY, "1").code == 0
        shop.profile(server.url)
        subprocess.run(remount, check=True)
        refused(shop.run(*PAY, "2"), server, "journal_unwritable")
        shop.env["POSCTL_JOURNAL"] = str(small_disk / "new.db")
        refused(shop.run(*PAY, "2"), server, "no_journal")
        assert shop.run("journal", "create", "--json").json["error"]["code"] == "journal_unwritable"


AS_SOMEBODY = """
import contextlib, importlib, os, pkgutil, sys
import posctl
for module in pkgutil.walk_packages(posctl.__path__, "posctl."):
    if not module.name.endswith(("__main__", "posctl.windows")):
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
import encodings.ascii, encodings.idna, encodings.latin_1, encodings.utf_8_sig
import platformdirs, requests, stringprep
user = int(sys.argv.pop(1))
if user:
    os.setgid(user)
    os.setuid(user)
from posctl.cli.app import run
sys.exit(run(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr))
"""
SOMEBODY = 54_321 if os.geteuid() == 0 else 0  # root may write everywhere; 0 stays who it is


@pytest.fixture
def somebodys() -> Iterator[Shop]:
    """A machine whose user is not root, and may be kept out of files."""
    home = Path(tempfile.mkdtemp(prefix="posctl-storage-"))
    env = {"HOME": str(home), "POSCTL_JOURNAL": str(home / "state" / "journal.db")}
    shop = Shop(home, {"PATH": os.environ["PATH"], **env})
    shop.profile("http://127.0.0.1:1/")
    yield shop
    for folder, _folders, _files in os.walk(home):
        Path(folder).chmod(0o700)
    shutil.rmtree(home)


def as_somebody(shop: Shop, *args: str) -> Ran:
    if SOMEBODY:
        for name in (shop.home, *shop.home.rglob("*")):
            os.chown(name, SOMEBODY, SOMEBODY)
    done = subprocess.run(
        [sys.executable, "-c", AS_SOMEBODY, str(SOMEBODY), *args],
        env=shop.env,
        cwd=shop.home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("state/journal.db", 0o400),
        ("state/journal.db", 0o000),
        ("state", 0o500),
        ("state", 0o000),
        ("state/journal.db.held", 0o000),
    ],
)
def test_no_permission(somebodys: Shop, name: str, mode: int) -> None:
    """A journal, its folder or its lock file that may not be written: refused, nothing sent."""
    with FaultServer(answer()) as first, FaultServer(answer()) as server:
        somebodys.profile(first.url)
        assert as_somebody(somebodys, *PAY, "1").code == 0
        somebodys.profile(server.url)
        (somebodys.home / name).chmod(mode)
        refused(as_somebody(somebodys, *PAY, "2"), server, "journal_unwritable")


def test_no_permission_to_make_one(somebodys: Shop) -> None:
    """A folder where no journal can be made: `journal create` says so (31)."""
    shutil.rmtree(somebodys.home / "state")
    (somebodys.home / "state").mkdir(mode=0o500)
    ran = as_somebody(somebodys, "journal", "create", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (31, "journal_unwritable")


# ── locked ───────────────────────────────────────────────────────────────────────────────────

LOCKER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
db.execute("ROLLBACK")
"""


def test_locked_by_another_process_while_the_gateway_answers(shop: Shop) -> None:
    """Locked for too long when the answer is in: the verdict is told with a warning, and the row
    stays open. (Locked before the payment: `test_contract.py`.)
    """
    lockers: list[subprocess.Popen[str]] = []

    def lock() -> None:
        if not lockers:
            locker = subprocess.Popen(
                [sys.executable, "-c", LOCKER, str(shop.journal)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert locker.stdout is not None
            assert locker.stdout.readline() == "locked\n"
            lockers.append(locker)

    with FaultServer(answer(), on_first_byte=lock) as server:
        shop.profile(server.url)
        ran = shop.run(*PAY, "1")
        assert ran.code == 0
        assert [warning.split(":")[0] for warning in ran.json["warnings"]] == ["not_recorded"]
        lockers[0].communicate("\n")
        assert recorded(shop) == {ran.json["request_id"]: "sending"}
        again = shop.run(*PAY, "1")
        assert (again.code, again.json["resumed"]) == (0, True)
        assert set(asked(server)) == {ran.json["request_id"]}


# ── gone while posctl runs ───────────────────────────────────────────────────────────────────


def _delete(shop: Shop) -> None:
    for tail in FILES:
        Path(f"{shop.journal}{tail}").unlink(missing_ok=True)


def _swap(shop: Shop) -> None:
    for tail in FILES:
        with suppress(FileNotFoundError):
            Path(f"{shop.journal}{tail}").rename(shop.home / f"aside{tail}")
    with closing(sqlite3.connect(shop.journal)) as db:
        db.execute("CREATE TABLE theirs (x)")


VANISHED: dict[str, Callable[[Shop], object]] = {
    "deleted": _delete,
    "only its file deleted": lambda shop: shop.journal.unlink(),
    "emptied": lambda shop: os.truncate(shop.journal, 0),
    "replaced": _swap,
}


@pytest.mark.parametrize("how", VANISHED)
def test_gone_while_the_gateway_answers(shop: Shop, how: str) -> None:
    """The verdict is told with a warning, and after that nothing is paid into nowhere (31)."""
    done: list[object] = []

    def once() -> None:
        if not done:
            done.append(VANISHED[how](shop))

    with FaultServer(answer(), on_first_byte=once) as server:
        shop.profile(server.url)
        ran = shop.run(*PAY, "1")
        assert ran.code == 0, ran
        assert [warning.split(":")[0] for warning in ran.json["warnings"]] == ["not_recorded"]
        connections = server.connections
        for command in (PAY, ("retry", "--json", "--last", "--yes"), ("pending", "--json")):
            args = (*command, "1") if command is PAY else command
            assert shop.run(*args).code == 31
        assert server.connections == connections


def test_gone_while_it_waits(shop: Shop) -> None:
    """`--wait` does not ask again about a payment whose row is gone: one request, still open."""
    with FaultServer(answer(PENDING), on_first_byte=lambda: _delete(shop)) as server:
        shop.profile(server.url)
        ran = shop.run(*PAY, "1", "--wait", "30")
        assert ran.code == 20, ran
        assert len(server.requests) == 1


# ── cut and flipped ──────────────────────────────────────────────────────────────────────────


class Image:
    """A machine that was switched off: checkout 1 paid, checkout 2 unknown, its last writes still
    in the `-wal`, as after a power cut.
    """

    def __init__(self, shop: Shop, server: FaultServer) -> None:
        self.shop = shop
        self.server = server
        self.files: dict[str, bytes] = {}
        server.then(answer(), cut_after_reading)
        assert shop.run(*PAY, "1").code == 0
        with closing(sqlite3.connect(shop.journal)) as reader:
            reader.execute("SELECT * FROM payments").fetchone()  # keeps the `-wal`
            assert shop.run(*PAY, "2").code == 21
            for name in ("journal.db", "journal.db-wal", "journal.db.held"):
                self.files[name] = (shop.home / name).read_bytes()
        self.paid, self.unknown = asked(server)
        server.then(answer())

    def put_back(self, **changed: bytes) -> None:
        """The files as they were, but for those that are given: `journal_db_wal`, …"""
        (self.shop.home / "journal.db-shm").unlink(missing_ok=True)
        for name, content in self.files.items():
            given = changed.get(name.replace(".", "_").replace("-", "_"), content)
            (self.shop.home / name).write_bytes(given)

    def pays_nothing_twice(self, what: str) -> tuple[int, int]:
        """Run both payments again: at most the unknown one is asked about, under its own id."""
        before = len(self.server.requests)
        codes = []
        for checkout in ("1", "2"):
            ran = self.shop.run(*PAY, checkout)
            codes.append(ran.code)
            assert "Traceback" not in ran.err
        new = asked(self.server)[before:]
        assert new in ([], [self.unknown]), (what, codes, new)
        assert (codes[1] == 0) == bool(new), (what, codes, new)
        assert codes[0] in (0, 30, 31), (what, codes)  # 0: told again, nothing was sent
        assert codes[1] in (0, 30, 31), (what, codes)
        return codes[0], codes[1]


@pytest.fixture
def image(shop: Shop) -> Iterator[Image]:
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        yield Image(shop, server)


def test_after_a_power_cut_all_is_there(image: Image) -> None:
    """With its `-wal` the journal is whole: paid stays paid, unknown is asked about."""
    image.put_back()
    assert image.pays_nothing_twice("whole") == (30, 0)


def test_cut_at_any_length(image: Image) -> None:
    """A journal that was cut short is refused wherever it was cut."""
    whole = image.files["journal.db"]
    for length in (0, 1, 99, 100, 4095, *range(4096, len(whole), 8192), len(whole) - 1):
        image.put_back(journal_db=whole[:length])
        image.pays_nothing_twice(f"cut at {length}")


def test_a_wal_cut_at_any_length(image: Image) -> None:
    """The last writes, lost: what stands beside the journal knows that there was more (31)."""
    wal = image.files["journal.db-wal"]
    seen = set()
    for length in (0, 1, 32, 33, *range(4152, len(wal), 4120 * 3), len(wal) - 1):
        image.put_back(journal_db_wal=wal[:length])
        seen.add(image.pays_nothing_twice(f"-wal cut at {length}"))
    assert (31, 31) in seen


def flipped(raw: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[at] ^= 1 << bit
    return bytes(changed)


def test_flipped_bits_in_the_wal(image: Image) -> None:
    """SQLite's own checksums drop what was flipped there; what is missing then is noticed."""
    wal = image.files["journal.db-wal"]
    for at in range(0, len(wal), len(wal) // 12):
        image.put_back(journal_db_wal=flipped(wal, at, at % 8))
        image.pays_nothing_twice(f"-wal flipped at {at}")


def settle(image: Image) -> bytes:
    """The same machine, switched off properly: all of it in one file."""
    image.put_back()
    with closing(sqlite3.connect(image.shop.journal)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = image.shop.journal.read_bytes()
    image.files |= {"journal.db": whole, "journal.db-wal": b""}
    return whole


def test_flipped_bits_in_the_journal(image: Image) -> None:
    """Wherever a bit is flipped: refused, or harmless. No paid checkout is paid again, no open
    payment is sent under another id or with another payload.
    """
    whole = settle(image)
    used = [at for at, byte in enumerate(whole) if byte]
    words = (b"store-1http", b'"pay_fee":100', b"success", b"unknown", image.paid.encode())
    chosen = [0, 18, 28, 60, 68, *used[:: len(used) // 20]]
    chosen += [whole.index(word) + 3 for word in words]
    payload = image.server.bodies()[1]
    for at in chosen:
        image.put_back(journal_db=flipped(whole, at, at % 7))
        image.pays_nothing_twice(f"flipped at {at}")
        sent = image.server.bodies()[-1]
        assert pay_request(sent) == pay_request(payload) or sent == image.server.bodies()[0]


def pay_request(form: bytes) -> str:
    return parse_qs(form.decode())["pay_request"][0]


def test_flipped_bits_in_the_index_of_checkouts(image: Image) -> None:
    """The index that finds a checkout's payments: damaged, it hides none of the latest."""
    whole = settle(image)
    with closing(sqlite3.connect(image.shop.journal)) as db:
        (root,) = db.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name='by_checkout'"
        ).fetchone()
    page = range((root - 1) * 4096, root * 4096)
    for at in [at for at in page if whole[at]][::4]:
        image.put_back(journal_db=flipped(whole, at, at % 8))
        image.pays_nothing_twice(f"index flipped at {at}")


# ── an old backup ────────────────────────────────────────────────────────────────────────────


def test_a_request_id_that_the_restored_journal_does_not_know(shop: Shop) -> None:
    """The journal was lost, and an old backup is restored: a script that repeats its own request_id
    is answered for the payment of then, which the gateway remembers: charged once.
    """
    command = ("--profile", "training", *PAY)
    mine = ("--request-id", "order-7.attempt-1")
    assert shop.run(*command, "1").code == 0
    assert shop.run("journal", "backup", "b.db").code == 0
    assert shop.run(*command, "7", *mine).code == 0
    for lost in shop.home.glob("journal.db*"):
        lost.unlink()
    assert shop.run("journal", "restore", "b.db", "--yes").code == 0
    again = shop.run(*command, "7", *mine)
    assert (again.code, again.json["resumed"]) == (0, False)
    assert [charge.pay_fee for charge in charges(shop.home / "training.db")] == [100, 100]
