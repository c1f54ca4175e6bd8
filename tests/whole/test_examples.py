"""The examples page works as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Ran, Shop

from posctl.config.example import example_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "examples.md").read_text()
PAID, CUT_AFTER, FOREVER, FAIL, PARTIAL = (f"28{n:016d}" for n in (1, 9, 13, 3, 2))


@pytest.fixture
def shell(shop: Shop) -> Shop:
    """A machine with posctl on its PATH, in training, and every script of the page on disk."""
    (shop.home / "posctl").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m posctl "$@"\n')
    (shop.home / "posctl").chmod(0o755)
    shop.env |= {"POSCTL_PROFILE": "training", "PATH": f"{shop.home}:{shop.env['PATH']}"}
    for script in re.findall(r"```sh\n(#!/bin/sh\n# (\w+\.sh).*?)```", PAGE, re.DOTALL):
        (shop.home / script[1]).write_text(script[0])
    return shop


def sh(shell: Shop, *words: str, stdin: str = "") -> Ran:
    done = subprocess.run(
        ["sh", *words],
        input=stdin,
        env=shell.env,
        cwd=shell.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def test_take_says_what_is_left_and_charges_once(shell: Shop) -> None:
    """`take.sh` pays, tells the rest, and may be run again: the same payment is told again."""
    first = sh(shell, "take.sh", "77", "100", stdin=PARTIAL)
    assert (first.code, "still due: 23 fen" in first.err) == (0, True), first
    again = sh(shell, "take.sh", "77", "100", stdin=PARTIAL)
    assert again.code == 0
    assert again.json["resumed"] is True


def test_take_tells_no_from_maybe(shell: Shop) -> None:
    """A refusal and an open payment leave with different codes and words."""
    assert sh(shell, "take.sh", "a", "100", stdin=FAIL).code == 1
    script = shell.home / "take.sh"
    script.write_text(script.read_text().replace("--wait 60", "--wait 1"))
    pending = sh(shell, "take.sh", "b", "100", stdin=FOREVER)
    assert (pending.code, "never charge again" in pending.err) == (2, True)


def test_take_again_after_a_no(shell: Shop) -> None:
    """After a no, and for a second part of the same amount, another attempt is another payment."""
    assert sh(shell, "take.sh", "a", "100", stdin=FAIL).code == 1
    assert "used up" in sh(shell, "take.sh", "a", "100", stdin=PAID).err
    assert sh(shell, "take.sh", "a", "100", "2", stdin=PAID).json["tries"] == 1


# What the README's script says of an exit code, in English and in Chinese.
SAID = {
    0: ("paid", "已付款"),
    10: ("not charged", "未扣款"),
    21: ("open: the same command", "待确认：可重新运行同一命令"),
    30: ("nothing was sent: the checkout", "没有发送任何请求：这一单"),
    1: ("take it as open", "按待确认处理"),
}


@pytest.mark.parametrize("code", SAID)
@pytest.mark.parametrize("page", ["README.md", "docs/README.zh.md"])
def test_the_readme_s_script_survives_set_e(shell: Shop, page: str, code: int) -> None:
    """Under `set -e` the script of both READMEs reaches its `case` for every exit code, and takes 1
    for "may have been charged".
    """
    found = re.search(
        r"```sh\n(rc=0\nposctl pay .*?esac\n)```", (ROOT / page).read_text(), re.DOTALL
    )
    assert found
    (shell.home / "posctl").write_text(f"#!/bin/sh\nexit {code}\n")
    ran = sh(shell, "-c", f"set -eu\ncheckout=1 id=2\n{found[1]}")
    said = SAID[code][page != "README.md"]
    assert (ran.code, said in ran.out) == (0, True), ran
    assert ("nothing was sent" in ran.out or "没有发送任何请求" in ran.out) == (code == 30)


def test_take_promises_nothing_of_exit_code_1(shell: Shop) -> None:
    """`take.sh` reaches its `case` under `set -e`, and takes 1 for an open payment."""
    (shell.home / "posctl").write_text("#!/bin/sh\nexit 1\n")
    ran = sh(shell, "-e", "take.sh", "a", "100")
    assert (ran.code, "never charge again" in ran.err) == (2, True), ran


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_take_promises_nothing_of_a_killed_posctl(shell: Shop, signal: str) -> None:
    """A posctl that was killed leaves with a code of no table: the payment may be open."""
    slow = shell.home / "posctl"
    slow.write_text(f"#!/bin/sh\nkill -{signal} $$\n")
    assert "never charge again" in sh(shell, "take.sh", "a", "100", stdin=PAID).err


def test_close_refuses_while_something_is_open(shell: Shop) -> None:
    """`close.sh` settles what it can and refuses while a payment is open."""
    shell.run("pay", "--fee", "1", "--checkout", "1", "--code-stdin", stdin=CUT_AFTER)
    closed = sh(shell, "close.sh")
    assert (closed.code, "shift: 1" in closed.out) == (0, True)
    shell.run("pay", "--fee", "1", "--checkout", "2", "--code-stdin", stdin=FOREVER)
    refused = sh(shell, "close.sh")
    assert (refused.code, "cannot be closed" in refused.err) == (1, True)


def test_watch_counts_what_is_open(shell: Shop) -> None:
    """`watch.sh` is one line and an exit code."""
    assert sh(shell, "watch.sh").out == "OK nothing open\n"
    shell.run("pay", "--fee", "1", "--checkout", "2", "--code-stdin", stdin=FOREVER)
    warned = sh(shell, "watch.sh")
    assert (warned.code, warned.out) == (1, "WARNING 1 open\n")
    shell.journal.write_bytes(b"no journal at all, but longer than its header" * 100)
    blind = sh(shell, "watch.sh")
    assert (blind.code, blind.out) == (2, "CRITICAL exit code 31\n")


def test_the_cron_line_of_the_page_is_that_of_the_package() -> None:
    """What the page shows is what `posctl config example posctl-retry.cron` prints."""
    shown = re.search(r"^\* \* \* \* \* .*retry --due.*$", PAGE, re.MULTILINE)
    assert shown
    assert shown[0] in example_text("posctl-retry.cron").splitlines()


def test_the_line_that_backs_up_keeps_thirty(shell: Shop) -> None:
    """The cron line of docs/operations.md adds today's checked copy and removes the oldest."""
    page = (ROOT / "docs" / "operations.md").read_text()
    line = re.search(r"^30 3 \* \* \* (.*)$", page, re.MULTILINE)
    assert line
    command = line[1].replace("/opt/posctl/bin/posctl", "posctl").replace(r"\%", "%")
    folder = shell.home / "backup"
    folder.mkdir()
    for day in range(31):
        copy = folder / f"journal-old{day}.db"
        copy.write_text("")
        os.utime(copy, (day, day))
    assert sh(shell, "take.sh", "77", "100", stdin=PAID).code == 0
    assert sh(shell, "-c", command) == Ran(0, "", "")
    kept = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime)
    assert len(kept) == 30
    assert kept[-1].read_bytes()[:6] == b"SQLite"
    assert kept[0].name == "journal-old2.db"
