"""How many keys each scene at the counter takes, counted while it is played on a real terminal.

    python tests/harness/keys.py                     # writes the table into docs/counter.md
    python tests/harness/keys.py --before FOLDER     # what 0.1 took: FOLDER is a tree of then

A scan is counted by itself. What had to be typed as a command, because the till could not do it, is
counted as typed, an id of 36 characters included.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from counter import Counter
from tables import with_table

PAGE = Path(__file__).parents[2] / "docs" / "counter.md"
BEGIN, END = "<!-- keys: begin -->\n", "<!-- keys: end -->\n"
PAID, REST, REFUSED, SLOW, TORN, SPLIT = (f"28{n:016d}" for n in (1, 2, 3, 4, 14, 5800))
BOTTLE = "6901028075831"
AN_ID = "x" * 36


class Count(NamedTuple):
    """Keys that were typed, and scans."""

    keys: int
    scans: int

    def __str__(self) -> str:
        scans = {0: "", 1: " + scan"}.get(self.scans, f" + {self.scans} scans")
        return f"{self.keys}{scans}"


class Hand:
    """Somebody at a till, whose keys are counted."""

    def __init__(self, till: Counter) -> None:
        self._till = till
        self._keys = self._scans = 0

    def line(self, text: str, *until: str) -> None:
        """Type a line and Enter, and read until these words have come."""
        self._keys += len(text) + 1
        self._till.type(f"{text}\r")
        self._till.see(*until)

    def scan(self, code: str, *until: str) -> None:
        self._scans += 1
        self._till.type(f"{code}\r")
        self._till.see(*until)

    def scanned(self) -> None:
        """A scan outside the till."""
        self._scans += 1

    def command(self, line: str) -> None:
        """A command line that had to be typed outside the till."""
        self._keys += len(line) + 1

    def sell(self, amount: str, checkout: str, code: str, *until: str) -> None:
        self.line(amount, "Checkout")
        self.line(checkout, "scan the payment code")
        self.scan(code, *until)

    def count(self) -> Count:
        """What was counted since the last count."""
        counted = Count(self._keys, self._scans)
        self._keys = self._scans = 0
        return counted


def _paid(hand: Hand) -> None:
    hand.sell("12.50", "201", PAID, "FULLY PAID", "Amount")


def _refused(hand: Hand) -> None:
    hand.sell("30", "202", REFUSED, "FAILED", "Amount")
    hand.count()
    hand.scan(PAID, "FULLY PAID", "Amount")


def _refused_before(hand: Hand) -> None:
    hand.sell("30", "202", REFUSED, "FAILED", "Amount")
    hand.count()
    hand.line("", "scan the payment code")
    hand.scan(PAID, "FULLY PAID", "Amount")


def _split(hand: Hand) -> None:
    hand.sell("30", "203", SPLIT, "STILL DUE", "Amount")
    hand.line("+", "203: Amount")
    hand.scan(PAID, "FULLY PAID", "Amount")


def _split_before(hand: Hand) -> None:
    hand.sell("30", "203", REST, "STILL DUE", "Amount")
    hand.line("", "scan the payment code")
    hand.scan(PAID, "FULLY PAID", "Amount")


def _come_back(hand: Hand) -> None:
    hand.sell("8", "204", SLOW, "again in")
    hand.count()
    hand.line("", "Amount")
    hand.line("r 1", "PAID", "Amount")


def _by_hand(hand: Hand) -> None:
    hand.sell("9", "205", TORN, "CONFLICT", "Amount")
    hand.count()
    hand.line("c 2", "Paid? 1 yes")
    hand.line("2", "What shows it")
    hand.line("left", "[y/n]")
    hand.line("y", "by hand", "Amount")


def _by_hand_before(hand: Hand) -> None:
    hand.command("q")
    hand.command("posctl pending")
    hand.command(f'posctl resolve {AN_ID} --as not-paid --note "left"')
    hand.command("posctl till")


def _paid_again(hand: Hand) -> None:
    hand.line("12.50", "Checkout")
    hand.line("201", "BLOCKED", "Amount")


def _paid_again_before(hand: Hand) -> None:
    hand.sell("12.50", "201", PAID, "BLOCKED", "Amount")


def _bottle(hand: Hand) -> None:
    hand.line("5", "Checkout")
    hand.line("206", "scan the payment code")
    hand.scan(BOTTLE, "not a payment code", "scan the payment code")
    hand.scan(PAID, "FULLY PAID", "Amount")


def _later(hand: Hand) -> None:
    hand.sell("30", "207", SPLIT, "STILL DUE", "Amount")
    hand.sell("5", "208", PAID, "FULLY PAID", "Amount")
    hand.count()
    hand.line("+", "207: Amount")
    hand.scan(PAID, "FULLY PAID", "Amount")


def _later_before(hand: Hand) -> None:
    hand.command("q")
    hand.command("posctl pay --shop 1 --checkout 001-20261127-225620 --fee 2800 --scan")
    hand.scanned()
    hand.command("posctl till")


def _operator(hand: Hand) -> None:
    hand.line("w", "Operator: ")
    hand.line("124", "Operator 124", "Amount")


def _operator_before(hand: Hand) -> None:
    hand.command("q")
    hand.command("posctl till --operator 124")


def _receipt(hand: Hand) -> None:
    hand.line("p 2", "PAYMENT RECEIPT", "Amount")


def _receipt_before(hand: Hand) -> None:
    hand.command("q")
    hand.command("posctl history")
    hand.command(f"posctl receipt {AN_ID}")
    hand.command("posctl till")


def _close(hand: Hand) -> None:
    hand.line("z", "for good?")
    hand.line("y", "Z REPORT", "Amount")


def _close_before(hand: Hand) -> None:
    for line in ("q", "posctl report --close", "y", "posctl till"):
        hand.command(line)


class Scene(NamedTuple):
    """`before` is how it was done; None where 0.1 had another answer, which is then said."""

    name: str
    now: Callable[[Hand], None]
    before: Callable[[Hand], None] | None
    said: str = ""


SCENES = (
    Scene("a customer pays: amount, checkout, scan", _paid, _paid),
    Scene("refused; the customer shows a fresh code", _refused, _refused_before),
    Scene("two phones pay one checkout", _split, _split_before),
    Scene("pending: serve the next customer, come back", _come_back, _come_back),
    Scene("the customer has left: close it by hand", _by_hand, _by_hand_before),
    Scene("a checkout that is paid is typed again", _paid_again, _paid_again_before),
    Scene("a bottle is scanned, then the code", _bottle, None, "sent as a payment code"),
    Scene("a rest, after another customer", _later, _later_before),
    Scene("another operator", _operator, _operator_before),
    Scene("the receipt before the last", _receipt, _receipt_before),
    Scene("close the shift", _close, _close_before),
)
# Played on the tree of before 28 November 2026 (873f606) by `--before`.
BEFORE = (
    *(Count(10, 1), Count(1, 1), Count(8, 2), Count(5, 0), Count(109, 0), Count(10, 1)),
    *(None, Count(83, 1), Count(29, 0), Count(81, 0), Count(38, 0)),
)


def played(scenes: list[Callable[[Hand], None] | None], tree: Path | None = None) -> list[str]:
    """What each scene takes, one after the other at one till in training."""
    with tempfile.TemporaryDirectory() as home:
        env = {"PATH": os.environ["PATH"], "HOME": home, "POSCTL_LANG": "en"}
        command = [sys.executable, "-m", "posctl", "--profile", "training", "till"]
        if tree is not None:
            command = ["env", f"PYTHONPATH={tree}", *command]
        with Counter(command, env, cwd=Path(home)) as till:
            till.see("Amount")
            hand = Hand(till)
            counted = []
            for scene in scenes:
                if scene is not None:
                    scene(hand)
                counted.append(str(hand.count()))
    return counted


def table(now: list[str]) -> str:
    """The table of docs/counter.md."""
    lines = ["| scene | keys in 0.1 | keys now |", "|---|---|---|"]
    for scene, before, count in zip(SCENES, BEFORE, now, strict=True):
        lines.append(f"| {scene.name} | {scene.said if before is None else before} | {count} |")
    return "\n".join(lines) + "\n"


def written(page: str, now: list[str]) -> str:
    """`page` with the table of this state of the code."""
    return with_table(page, BEGIN, table(now), END)


def main(args: list[str]) -> None:
    if args[:1] == ["--before"]:
        for scene, count in zip(
            SCENES, played([one.before for one in SCENES], Path(args[1]).resolve()), strict=True
        ):
            sys.stdout.write(f"{scene.name}: {count}\n")
        return
    PAGE.write_text(written(PAGE.read_text(), played([one.now for one in SCENES])))


if __name__ == "__main__":
    main(sys.argv[1:])
