"""How the tests start posctl: nothing it says tells a fork from an interpreter of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from conftest import Shop
from forks import ONE_IN, POSCTL, REAL, may_fork, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")

PAY = ("--profile", "training", "pay", "--fee", "100", "--checkout", "7")
SCANNED = (*PAY, "--code-stdin")
NEW_EACH_TIME = re.compile(
    rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?i:training)-[0-9a-f]{16}"
    rb"|\d{4}-\d\d-\d\d[T ][\d:.]+Z?|\d\d:\d\d(?::\d\d)?|\"\w*_ms\":\d+"
)
"""A request_id, the training gateway's own ids, times."""


class Row(NamedTuple):
    """One command line, and the exit code that it ends with."""

    words: tuple[str, ...]
    code: int
    stdin: bytes = b""
    env: Mapping[str, str] = {}


ROWS = {
    "success": Row((*PAY, "--format", "text"), 0),
    "success, JSON, code from a pipe": Row((*SCANNED, "--json"), 0, b"280000000000000001\r\n"),
    "failed": Row(SCANNED, 10, b"280000000000000003"),
    "pending, JSON": Row((*SCANNED, "--wait", "0.1", "--json"), 20, b"280000000000000013"),
    "a pipe that is not UTF-8": Row(SCANNED, 2, b"\xff\xfe"),
    "usage": Row(("pay", "--fee", "x"), 2),
    "usage, JSON": Row(("pay", "--fee", "x", "--json"), 2),
    "an argument that is not UTF-8": Row((*PAY, "--order", "\udcff"), 2),
    "no configuration": Row(("pay", "--fee", "100", "--checkout", "7"), 3),
    "help": Row(("pay", "-h"), 0),
    "help in Chinese": Row(("pay", "-h", "--lang", "zh"), 0),
    "Chinese by the locale": Row((*PAY, "--format", "text"), 0, env={"LC_ALL": "zh_CN.GB18030"}),
    "a list": Row(("--profile", "training", "history", "--format", "csv"), 0),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_fork_says_what_an_interpreter_of_its_own_says(shop: Shop, row: Row) -> None:
    """The same exit code and the same bytes on stdout and stderr."""
    env = shop.env | dict(row.env)
    forked = run(row.words, env, shop.home, row.stdin, 60)
    for one in shop.home.iterdir():  # the same machine on its first day
        shutil.rmtree(one) if one.is_dir() else one.unlink()
    own = subprocess.run(
        [*POSCTL, *row.words],
        input=row.stdin,
        env=env,
        cwd=shop.home,
        capture_output=True,
        check=False,
    )
    assert (own.returncode, own.stdout + own.stderr != b"") == (row.code, True), own
    assert forked[0] == own.returncode
    for said, meant in ((forked[1], own.stdout), (forked[2], own.stderr)):
        assert NEW_EACH_TIME.sub(b"_", said) == NEW_EACH_TIME.sub(b"_", meant)


UTF8 = {"PYTHONUTF8": "1"}
SHORT = [*POSCTL, "pending"]


@pytest.mark.parametrize(
    ("command", "env", "may"),
    [
        (SHORT, UTF8, True),
        (SHORT, UTF8 | {"LC_ALL": "zh_CN.GB18030", "TZ": "UTC"}, True),
        (SHORT, UTF8 | {"PYTHONPATH": "/given"}, False),
        (SHORT, UTF8 | REAL, False),
        (SHORT, UTF8 | {"PYTHONIOENCODING": "utf-8"}, False),
        (SHORT, {"PYTHONUTF8": "0"}, False),
        (SHORT, {}, False),
        (["/usr/bin/python3", "-m", "posctl", "pending"], UTF8, False),
        ([sys.executable, "-c", "pass"], UTF8, False),
        ([*SHORT, "x" * 10_000], UTF8, False),
    ],
)
def test_what_the_interpreter_would_notice_has_one_of_its_own(
    command: list[str], env: dict[str, str], may: bool
) -> None:
    """Another program, another environment for the interpreter, a very long command line."""
    assert may_fork(command, env) is may


def test_one_command_line_in_fifty_has_an_interpreter_of_its_own() -> None:
    """By its words, so that the same test does the same each time."""
    own = sum(not may_fork([*POSCTL, "show", str(n)], UTF8) for n in range(100 * ONE_IN))
    assert 80 <= own <= 120
