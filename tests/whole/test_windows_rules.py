"""What Windows forbids is not done: seen on POSIX, by its rules for files that are open."""

from __future__ import annotations

import getpass
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import windows_rules
from conftest import Ran, Shop

from posctl.paying.by_hand import person

LINES = "checkout_id,pay_fee\n" + "".join(f"{n},100\n" for n in range(1, 9))
Posctl = Callable[..., Ran]


@pytest.fixture
def posctl(shop: Shop, tmp_path: Path) -> Iterator[Posctl]:
    """`posctl --profile training …` by the rules; none is broken until the test ends."""
    broken = tmp_path / "broken"
    env = shop.env | {"WINDOWS_RULES_BROKEN": str(broken)}

    def run(*args: str, stdin: str = "") -> Ran:
        command = [sys.executable, windows_rules.__file__, "--profile", "training", *args]
        done = subprocess.run(
            command, env=env, cwd=shop.home, input=stdin.encode(), capture_output=True, check=False
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    yield run
    assert not broken.exists(), broken.read_text()


def pay(posctl: Posctl, checkout: str = "111") -> Ran:
    ran = posctl("pay", "--fee", "100", "--checkout", checkout, "--json")
    assert ran.code == 0, ran
    return ran


def test_the_rules_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules notice each thing that Windows refuses, or the tests below prove nothing."""
    broken, one, other = tmp_path / "broken", tmp_path / "one", tmp_path / "other"
    monkeypatch.setenv("WINDOWS_RULES_BROKEN", str(broken))
    one.touch()
    other.touch()
    with one.open("rb") as opened:
        for forbidden in (
            lambda: windows_rules.synced(opened.fileno()),
            lambda: windows_rules.guarded(os.unlink, overwrites=False)(one),
            lambda: windows_rules.guarded(os.replace, overwrites=True)(other, one),
            lambda: windows_rules.guarded(os.rename, overwrites=False)(one, tmp_path / "new"),
        ):
            with pytest.raises(OSError, match=r"cannot access|Bad file"):
                forbidden()
    with pytest.raises(FileExistsError):
        windows_rules.guarded(os.rename, overwrites=False)(one, other)
    assert len(broken.read_text().splitlines()) == 4


def test_a_user_whom_nothing_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who closes a payment by hand is "?" where neither a variable nor a list names the user."""

    def nobody() -> str:
        raise ModuleNotFoundError("pwd")  # as on Windows

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert person().startswith("?@")


def test_a_payment_and_its_journal(posctl: Posctl, shop: Shop) -> None:
    """The journal is made, used, checked, backed up and pruned; only files of its own stay."""
    pay(posctl)
    for command in (("history",), ("journal", "check"), ("journal", "backup", "kept.db")):
        assert posctl(*command, "--json").code == 0
    assert posctl("journal", "backup", "kept.db").code == 2  # it overwrites nothing
    assert posctl("report", "--html", "page.html").code == 0
    assert not list(shop.home.glob(".*.new"))


def test_two_that_make_the_journal_together(posctl: Posctl, shop: Shop, tmp_path: Path) -> None:
    """Who comes second uses the journal of the first, which has it open, and leaves no draft."""
    env = shop.env | {"WINDOWS_RULES_BROKEN": str(tmp_path / "broken")}
    runs = [
        subprocess.Popen(
            [
                *(sys.executable, windows_rules.__file__, "--profile", "training", "pay", "--json"),
                *("--fee", "100", "--checkout", str(n)),
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    told = [(*run.communicate(timeout=60), run.returncode) for run in runs]
    assert [code for _out, _err, code in told] == [0, 0, 0], told
    assert shop.recorded == 3
    assert not list(shop.home.glob(".*.new"))


def test_a_batch_leaves_its_results_in_order(posctl: Posctl, shop: Shop) -> None:
    """The results are put in order, or deleted when nothing was sent, once they are closed."""
    (shop.home / "orders.csv").write_text(LINES)
    results = shop.home / "orders.csv.results.jsonl"
    results.write_bytes(b"")
    for _again in range(2):
        assert posctl("batch", "orders.csv", "--json").code == 0
        order = [json.loads(line)["line"] for line in results.read_text().splitlines()]
        assert order == [*range(2, 10)]


def test_restore_beside_who_has_the_journal_open(posctl: Posctl, shop: Shop) -> None:
    """A damaged journal that a till has open is not moved aside: that it is in use is said; once
    nobody has it the same command puts the backup in its place.
    """
    pay(posctl)
    assert posctl("journal", "backup", "kept.db").code == 0
    with shop.journal.open("r+b") as held:
        held.write(b"\0" * 4096)
        held.flush()
        refused = posctl("journal", "restore", "kept.db", "--yes", "--json")
        assert refused.code == 31, refused
        assert refused.json["error"]["code"] == "journal_locked"
    (shop.home / "broken").unlink()
    assert posctl("journal", "restore", "kept.db", "--yes").code == 0
    with closing(sqlite3.connect(shop.journal)) as db:
        assert db.execute("SELECT count(*) FROM payments").fetchone() == (1,)
