"""`posctl till`: a shift at the counter, on a real pseudo-terminal."""

from __future__ import annotations

import io
import itertools
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from conftest import Ran, Shop
from counter import LIMIT_S, Counter
from hypothesis import example, given
from hypothesis import strategies as st
from merciless import Members, Merciless, paid, refused, told
from rich.console import Console

from posctl.config.profile import TillKeys
from posctl.config.profiles import read as read_config
from posctl.money.outcome import Event
from posctl.money.record import StatusAnswer, TryEnd
from posctl.screen.brush import Canvas
from posctl.till.entry import Entry, Prompt
from posctl.till.open import Open, OpenPayments
from posctl.till.screen import _SOUNDING, draw_asked
from posctl.till.wishes import COMMANDS, Answer, Command, Keep, Note, Offer, Plain, Sale

CODE = "281234567890123456"
PENDING = told({"result_status": 3})
FAILED = told({"result_status": 2, "result_code": "NO_MONEY"})
OTHER_CODE = "289999999999999999"
looks = pytest.mark.parametrize(
    ("lang", "columns"), [("en", 80), ("en", 40), ("zh", 80), ("zh", 40)]
)


@pytest.fixture
def gateway(shop: Shop) -> Iterator[Merciless]:
    """A merciless gateway, and the profile that points at it."""
    with Merciless() as server:
        shop.profile(server.url)
        yield server


def fresh_code() -> str:
    """What the next customer shows: a code pays once."""
    return str(int(CODE) + next(_customers))


_customers = itertools.count(1)


def sell(at: Counter, amount: str, checkout: str, code: str = "") -> None:
    """One customer, up to the scan."""
    at.see("Amount")
    at.type(f"{amount}\r")
    at.see("Checkout")
    at.type(f"{checkout}\r")
    at.see("scan the payment code")
    at.type(code or f"{fresh_code()}\r")


def rows(shop: Shop) -> list[Any]:
    with closing(sqlite3.connect(shop.journal)) as db, db:
        found = db.execute("SELECT checkout_id, state, tries, told FROM payments ORDER BY seq")
        payments = found.fetchall()
    db.close()
    return payments


def files_of(shop: Shop) -> bytes:
    """Whatever the journal's files hold."""
    return b"".join(file.read_bytes() for file in shop.home.iterdir() if file.is_file())


def test_a_receipt_is_printed_as_the_printer_speaks(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """`p` gives the receipt to the profile's command: in GB18030, with feed, cut and drawer; a
    command that fails is told, and the till goes on.
    """
    out = shop.home / "paper"
    for command, done in ((f"cp /dev/stdin {out}", True), ("false", False)):
        receipt = f"{{printer: '{command}', escpos: true, feed: 2, drawer: true, header: 云朵}}"
        shop.profile(gateway.url, receipt=receipt)
        till = counter()
        sell(till, "1", command[:2])
        till.see("√ PAID", "Amount")
        till.type("p\r")
        till.see("PAYMENT RECEIPT" if done else "The printer's command failed", "Amount")
        till.type("q\r")
        assert till.end() == 0
    paper = out.read_bytes()
    assert paper.startswith(b"\x1b@\x1c&")
    assert paper.endswith(b"\n\n\n\x1dV\x42\x00\x1bp\x00\x19\xfa")
    assert "云朵".encode("gb18030") in paper


def test_what_was_corrected_has_no_receipt(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """A payment that a person closed as paid, and another corrected since, prints no receipt. Enter
    alone is no answer to the last question: what shows it would have to be typed again.
    """
    gateway.answer = lambda _members: told({"result_status": 1, "is_success": False})
    till = counter()
    sell(till, "1", "111")
    till.see("▲ CONFLICT", "Amount")
    for typed, words in (("c 1", "Paid? 1 yes"), ("1", "What shows it"), ("seen", "[y/n]")):
        till.type(f"{typed}\r")
        till.see("Checkout 111 · ￥1.00", words)
    till.type("\r")
    till.see("Type y or n.", "Close it by hand as PAID? [y/n]")
    till.type("y\r")
    till.see("√ PAID (by hand)", "Amount")
    till.type("p\r")
    till.see("PAYMENT RECEIPT", "Amount")
    payment = shop.run("history", "--json").json["payments"][0]["request_id"]
    corrected = ("--correct", "--as", "not-paid", "--note", "another's", "--yes")
    assert shop.run("resolve", payment, *corrected).code == 0
    till.type("p\r")
    till.see("counts as not paid", "Amount")
    till.type("q\r")
    assert till.end() == 0


def test_a_command_at_the_wrong_prompt_is_no_checkout_and_no_operator(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """`p` for a receipt, typed where a checkout is asked for, collects nothing under "p"; nor does
    anybody work as "w".
    """
    till = counter()
    till.type("1\r")
    till.see("Checkout: ")
    till.type("p\r")
    till.see("p is a command, not a checkout.")
    till.type("\x1b")
    till.see("Amount")
    till.type("w\r")
    till.see("Operator: ")
    till.type("w\r")
    till.see("w is a command, not an operator.")
    till.type("\x1b")
    till.see("Amount")
    sell(till, "2", "c2")
    till.type("q\r")
    assert till.end() == 0
    assert [(m["checkout_id"], m["operator_id"]) for m in gateway.requests] == [("c2", "123")]


def test_another_operator_takes_over(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """`w` changes who takes the payments from now on, without leaving the till; after a shift was
    closed the status line counts the running one; `p 2` is the receipt before the last.
    """
    till = counter()
    sell(till, "1", "c1")
    till.see("Today 1 · ￥1.00")
    till.type("w\r")
    till.see("Operator: ")
    till.type("124\r")
    till.see("Operator 124", "Amount")
    assert shop.run("report", "--close", "--yes").code == 0
    sell(till, "2", "c2")
    till.see("This shift 1 · ￥2.00", "Amount")
    assert [m["operator_id"] for m in gateway.requests] == ["123", "124"]
    till.type("p 2\r")
    till.see("PAYMENT RECEIPT", "￥1.00", "Amount")
    till.type("p 3\r")
    till.see("There is no payment 3 here: since yesterday 2 were paid.")
    till.type("q\r")
    assert till.end() == 0


def test_the_shift_is_closed_at_the_till(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """`z` closes the shift in the operator's name after a yes, and not while something is open."""
    gateway.answer = lambda m: PENDING if m["checkout_id"] == "slow" else paid(m)
    till = counter("till", "--operator", "77")
    sell(till, "12.50", "111")
    till.see("√ PAID", "Amount")
    sell(till, "3", "slow")
    till.see("again in")
    till.type("\r")
    till.see("Amount")
    till.type("z\r")
    till.see("1: … PENDING", "Settle what is open first", "Leave it open: q", "Amount")
    gateway.answer = paid
    till.type("r 1\r")
    till.see("√ PAID", "Amount")
    till.type("z\r")
    till.see("Shift 1 · 2 paid · ￥15.50", "Close the shift for good? [y/N]")
    till.type("\r")
    till.see("The shift was not closed.", "Amount")
    till.type("z\r")
    till.see("[y/N]")
    till.type("y\r")
    till.see("Z REPORT · shift 1", "￥15.50", "This shift 0 · ￥0.00", "Amount")
    till.type("q\r")
    assert till.end() == 0
    report = shop.run("report", "--shift", "1", "--json").json
    assert report["closed_by"].startswith("77, ")


def test_the_platform_is_asked_at_the_till(
    counter: Callable[..., Counter],
) -> None:
    """`s 1` asks what the platform calls an open payment, and nothing is paid by it."""
    till = counter("--profile", "training", "till")
    sell(till, "1", "1", "280000000000000004\r")
    till.see("If the customer has left: s 1 asks the platform")
    till.type("\r")
    till.see("Amount")
    till.type("s 7\r")
    till.see("There is no open payment with this number")
    till.type("s 1\r")
    till.see("Asking the platform", "The platform says: ")
    till.type("q\r")
    till.see("Leave all the same?")
    till.type("y\r")
    assert till.end() == 20


def test_the_platforms_word_counts_after_another_posctls_try(
    counter: Callable[..., Counter], shop: Shop
) -> None:
    """What another posctl has tried since the till last saw it is older than what `s` asks now; and
    what another posctl has closed since is told instead.
    """
    (shop.home / "c.yaml").write_text("profiles: {training: {status_words: {PENDING: fail}}}\n")
    (shop.home / "c.yaml").chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(shop.home / "c.yaml")
    till = counter("--profile", "training", "till")
    for number in ("1", "2"):
        sell(till, number, number, "280000000000000013\r")
        till.see("PENDING")
        till.type("\r")
        till.see("Amount")
        till.type(f"c {number}\r")  # the till does not ask by itself meanwhile
        till.see("Paid? 1 yes, 2 no")
        (request_id,) = (
            one["request_id"]
            for one in shop.run("--profile", "training", "pending", "--json").json["payments"]
        )
        done: tuple[str, ...] = ("retry", request_id)
        if number == "2":
            done = ("resolve", request_id, "--as", "not-paid", "--note", "seen", "--yes")
        assert shop.run("--profile", "training", *done).code in (0, 20)
        till.type("\x1b")
        till.see("Cancelled")
        till.type(f"s {number}\r")
        till.see("× FAILED", "Amount")
    assert [state for _id, state, *_more in rows(shop)] == ["fail", "resolved"]


def test_a_used_code_is_refused(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """The code of a customer who has just paid is refused for the next sale."""
    till = counter()
    sell(till, "1", "c1", f"{CODE}\r")
    till.see("√ PAID", "Amount")
    sell(till, "2", "c2", f"{CODE}\r")
    till.see("● BLOCKED", "This payment code was used already", "checkout c1")
    assert len(gateway.requests) == 1


# ── a shift ──────────────────────────────────────────────────────────────────────────────────


def test_customer_after_customer(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """Amount, checkout, scan, verdict, next customer; today's count and sum are always in sight."""
    till = counter()
    till.see("Today 0 · ￥0.00")
    sell(till, "12.50", "111")
    till.see("√ PAID", "￥12.50", "CHECKOUT FULLY PAID", "Today 1 · ￥12.50")
    sell(till, "3", "112")
    till.see("√ PAID", "￥3.00", "Today 2 · ￥15.50")
    till.type("q\r")
    assert till.end() == 0
    charged = [(m["checkout_id"], m["pay_fee"]) for m in gateway.charges.values()]
    assert charged == [("111", 1250), ("112", 300)]
    assert len({m["channel_account"] for m in gateway.charges.values()}) == 2


def test_codes_go_while_the_till_waits_to_leave(
    counter: Callable[..., Counter], gateway: Merciless, shop: Shop
) -> None:
    """A payment that closes while the till waits for another one leaves no code in the files."""
    gateway.hold_at = 0
    till = counter()
    for n, code in enumerate((CODE, OTHER_CODE), 1):
        sell(till, "1", f"c{n}", f"{code}\r")
        gateway.wait_for(lambda n=n: gateway.held == n)  # type: ignore[misc]  # bound at once
        till.type("\r")
    till.see("Amount")
    with closing(sqlite3.connect(shop.journal)) as other:  # else the last to close would erase it
        assert other.execute("SELECT count(*) FROM payments").fetchone() == (2,)
        till.type("q\r")
        till.see("Waiting for an answer")
        gateway._held.pop(0)
        gateway.let_go()
        till.see("FULLY PAID")
        till.type("x")  # ignored, but the line is drawn again: by then the codes are gone
        till.see("Waiting for an answer")
        kept = files_of(shop)
        till.type("\x03")
        assert till.end() == 21
    assert CODE.encode() in kept
    assert OTHER_CODE.encode() not in kept


@pytest.mark.parametrize("typed", ["", "\r"])
def test_codes_go_while_the_till_goes_on(
    counter: Callable[..., Counter], gateway: Merciless, shop: Shop, typed: str
) -> None:
    """A closed payment's code leaves the journal's files, typed on or not, and the till goes on."""
    till = counter()
    sell(till, "1", "111")
    till.see("FULLY PAID", "Amount")
    deadline = time.monotonic() + LIMIT_S
    while CODE.encode() in files_of(shop):
        assert time.monotonic() < deadline
        if typed:  # Enter without an amount does nothing, but somebody is at work
            till.type(typed)
            till.see("Amount")
    till.type("q\r")
    assert till.end() == 0


def test_a_held_key_keeps_no_code(
    counter: Callable[..., Counter], gateway: Merciless, shop: Shop
) -> None:
    """Whoever leans on a key after the scan stops neither the payment nor the erasing."""
    till = counter()
    till.see("Amount")
    till.type("1\r")
    till.see("Checkout")
    till.type("111\r")
    till.see("scan the payment code")
    till.type(CODE + "\r5")
    till.lean_on("5", lambda: bool(gateway.charges) and CODE.encode() not in files_of(shop))
    assert rows(shop)[0][1] == "success"


def test_a_killed_tills_code_goes_when_the_next_one_idles(
    counter: Callable[..., Counter], gateway: Merciless, shop: Shop
) -> None:
    """What a till could not erase any more, the next one erases before anything is typed."""
    till = counter()
    till.see("Amount")
    with closing(sqlite3.connect(shop.journal)) as reader:  # puts the erasing off
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM payments").fetchone()
        sell(till, "1", "111", f"{CODE}\r")
        till.see("FULLY PAID", "Amount")
        till.process.kill()
        till.process.wait()
        assert CODE.encode() in files_of(shop)
        after = counter()
        after.see("Amount")
        assert CODE.encode() in files_of(shop)
    deadline = time.monotonic() + LIMIT_S
    while CODE.encode() in files_of(shop):
        assert time.monotonic() < deadline


def test_the_connection_is_kept(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """All customers of a shift are served over one connection."""
    till = counter()
    for n in range(1, 6):
        sell(till, "1", f"c{n}")
        till.see(f"Today {n} ")
    till.type("q\r")
    assert till.end() == 0
    assert (len(gateway.charges), gateway.connections) == (5, 1)


@looks
@pytest.mark.parametrize("color", ["", "1"])
def test_every_screen_has_its_words(
    counter: Callable[..., Counter], gateway: Merciless, lang: str, columns: int, color: str
) -> None:
    """In both languages, wide and narrow, with and without colour, the words are all there."""
    words = {
        "en": ("Amount", "Checkout", "scan", "PENDING", "DO NOT CHARGE AGAIN", "▲ 1 open", "PAID"),
        "zh": (
            "金额",
            "单号",
            "扫付款码",
            "等待顾客在手机上确认",
            "请勿重复收款",
            "▲ 待确认 1 笔",
            "已付款",
        ),
    }
    amount, checkout, scan, pending, stop, status, paid_word = words[lang]
    gateway.answer = lambda _members: PENDING
    till = counter("--lang", lang, "till", columns=columns, NO_COLOR=color)
    till.see(amount)
    till.type("12.5\r")
    till.see(checkout)
    till.type("111\r")
    till.see(scan)
    till.type(f"{CODE}\r")
    till.see(pending, stop)
    gateway.answer = paid
    till.type("\r")
    till.see(status)
    till.type("r 1\r")
    till.see(paid_word, "12.50")
    till.type("?\r")
    till.see("Esc", "r 1")
    till.type("q\r")
    assert till.end() == 0
    assert till.widest <= columns
    assert (re.search(rb"\x1b\[[0-9;]*3[0-7]", till.raw) is None) == (color == "1")


def test_the_till_says_whose_it_is(counter: Callable[..., Counter], shop: Shop) -> None:
    """Training is said at the top and beside every count; the operator may be another one."""
    till = counter("--profile", "training", "till", "--operator", "77")
    till.see("▲ TRAINING", "Operator 77", "TRAINING   Today 0")
    sell(till, "1", "1", "280000000000000001\r")
    till.see("√ PAID", "TRAINING   Today 1")
    till.type("q\r")
    assert till.end() == 0
    with closing(sqlite3.connect(shop.journal)) as db, db:
        assert db.execute("SELECT operator_id FROM payments").fetchall() == [("77",)]
    db.close()


@pytest.mark.parametrize("args", [("till",), ("till", "--json"), ("till", "--field", "error")])
def test_without_a_terminal_it_is_refused(
    shop: Shop, gateway: Merciless, args: tuple[str, ...]
) -> None:
    """A pipe is no counter: exit 2, and where scripts should go instead."""
    ran: Ran = shop.run(*args, stdin="1\r1\r1\r")
    assert (ran.code, gateway.requests) == (2, [])
    assert "posctl batch" in ran.err
    assert not shop.recorded


# ── scanning ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", ""])
def test_a_scanner_may_end_as_it_likes(
    counter: Callable[..., Counter], gateway: Merciless, end: str
) -> None:
    """CR, LF, both or nothing: one payment each, and nothing of the end reaches the next prompt."""
    till = counter()
    for n in (1, 2):
        sell(till, "1", f"c{n}", fresh_code() + end)
        till.see("√ PAID", f"Today {n} ", "Amount")
    till.type("q\r")
    assert till.end() == 0
    assert len(gateway.requests) == 2
    assert "There is no" not in till.text


def test_a_terminal_may_speak_gbk(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """In a GBK terminal two Chinese checkouts are two."""
    till = counter(PYTHONIOENCODING="gbk")
    for checkout in ("你1", "好1"):
        till.see("Amount")
        till.type("1\r")
        till.see("Checkout")
        till.type(f"{checkout}\r", "gbk")
        till.see("scan the payment code")
        till.type(f"{fresh_code()}\r")
        till.see("PAID")
    assert [m["checkout_id"] for m in gateway.requests] == ["你1", "好1"]


def test_a_code_is_echoed_nowhere(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """Scanned where the amount, the checkout or the code belongs: no whole code on the screen."""
    till = counter()
    till.see("Amount")
    till.type(f"{CODE}\r")
    till.see("That was a code. First the amount")
    till.type("1\r")
    till.see("Checkout")
    till.type(f"{CODE}\r")
    till.see("First the checkout's number, then scan.", "Checkout: ")
    till.type("111\r")
    till.see("scan")
    till.type(f"{CODE}\r")
    till.see("281234******3456", "√ PAID", "Amount")
    till.type("q\r")
    assert till.end() == 0
    assert CODE[:7].encode() not in till.raw
    assert CODE[-5:].encode() not in till.raw
    assert len(gateway.charges) == 1


def test_the_terminal_is_left_as_it_was(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Nothing typed is echoed while the till runs, and the terminal echoes again afterwards."""
    till = counter()
    till.see("Amount")
    assert not till.echoes
    till.type("q\r")
    till.process.wait()
    assert till.echoes


def test_what_is_typed_after_leaving_reaches_no_shell(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A code that is scanned while the till leaves is dropped: the shell behind it gets none."""
    till = counter()
    till.see("Amount")
    till.type(f"q\r{CODE}\r")
    till.process.wait()
    assert till.left_over == b""


# ── what is open ─────────────────────────────────────────────────────────────────────────────


def test_the_next_customer_pays_while_one_is_pending(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A pending payment is counted down; Enter goes on to the next customer; its verdict comes
    meanwhile, under its own request_id, and nobody is charged twice.
    """
    gateway.answer = lambda m: PENDING if m["checkout_id"] == "slow" else paid(m)
    till = counter()
    sell(till, "12.50", "slow")
    till.see("… PENDING", "Back to this one: r 1", "again in", "Enter: next")
    till.type("\r")
    till.see("Today 0 · ￥0.00   ▲ 1 open · ￥12.50")
    sell(till, "3", "quick")
    till.see("√ PAID", "Today 1 · ￥3.00   ▲ 1 open · ￥12.50")
    gateway.answer = paid
    till.see(
        "not the customer in front of you: checkout slow", "√ PAID", "Today 2 · ￥15.50   ? help"
    )
    assert rows(till_shop(till))[0][1] == "success"
    till.type("q\r")
    assert till.end() == 0
    assert len(gateway.charges) == 2


def till_shop(till: Counter) -> Shop:
    """The machine that a till stands on."""
    assert till.home is not None
    return Shop(till.home)


def test_any_key_goes_on_and_is_not_lost(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A digit typed while a payment is watched begins the next amount."""
    gateway.answer = lambda m: PENDING if m["checkout_id"] == "slow" else paid(m)
    till = counter()
    sell(till, "1", "slow")
    till.see("again in")
    till.type("45\r")
    till.see("￥45.00\r\n", "Checkout")


def test_come_back_to_an_open_payment(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """`o` lists what is open by number; `r 2` comes back to the second and asks now."""
    gateway.answer = lambda _members: PENDING
    till = counter()
    for checkout in ("a", "b"):
        sell(till, "1", checkout)
        till.see("again in")
        till.type("\r")
    till.see("▲ 2 open · ￥2.00")
    till.type("o\r")
    till.see("1: … PENDING", "Checkout a", "2: … PENDING", "Checkout b")
    asked = len([m for m in gateway.requests if m["checkout_id"] == "b"])
    gateway.answer = lambda m: paid(m) if m["checkout_id"] == "b" else PENDING
    till.see("Amount")
    till.type("r 2\r")
    till.see("√ PAID", "Checkout    b", "▲ 1 open · ￥1.00")
    assert len([m for m in gateway.requests if m["checkout_id"] == "b"]) > asked
    till.type("r 7\r")
    till.see("There is no open payment with this number")
    till.type("q\r")
    till.see("1: … PENDING", "Leave all the same?")
    till.type("y\r")
    assert till.end() == 20, "one is open, and the exit code says so"


def test_asked_by_hand_it_is_told_even_when_nothing_changed(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """`r` of a payment that is still pending says so, and counts down again."""
    gateway.answer = lambda _members: PENDING
    till = counter()
    sell(till, "1", "a")
    till.see("again in")
    till.type("\r")
    till.see("Amount")
    till.type("r\r")
    till.see("… PENDING", "again in")


def test_an_unknown_payment_is_asked_about_by_itself(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A lost answer reads as unknown, then the till asks again under the same id: one charge."""
    gateway.answer = lambda _members: None
    till = counter()
    sell(till, "1", "111")
    till.see("▲ UNKNOWN", "DO NOT CHARGE AGAIN", "Back to this one: r 1")
    gateway.answer = paid
    till.see("√ PAID", "Today 1 ")
    till.type("q\r")
    assert till.end() == 0
    first, *again = gateway.requests
    assert again
    assert all(members == first for members in again)
    assert len(gateway.charges) == 1


def test_a_conflict_is_left_to_a_person(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A contradiction is never asked about again; the screen says how to close it by hand."""
    gateway.answer = lambda _members: told({"result_status": 1, "is_success": False})
    till = counter()
    sell(till, "1", "111")
    till.see("▲ CONFLICT", "Was the customer charged?", "c 1", "▲ 1 open", "Amount")
    till.type("q\r")
    till.see("Leave all the same?")
    till.type("\x03")
    assert till.end() == 22
    assert len(gateway.requests) == 1


# ── what comes after a verdict ───────────────────────────────────────────────────────────────


def test_the_rest_of_a_checkout_is_one_key_away(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """After a part, `+` takes the rest of that checkout; Enter alone never does."""
    rest = iter([300, 0])
    gateway.answer = lambda m: told(
        {"result_status": 1, "remaining_fee": next(rest), "current_pay_fee": m["pay_fee"]}
    )
    till = counter()
    sell(till, "2", "111")
    till.see("STILL DUE  ￥3.00", "(+: the rest, ￥3.00 · 111)")
    till.type(f"{fresh_code()}\r")
    till.see("To take the rest of ￥3.00 with it: +, then scan.")
    till.type("+\r")
    till.see("111: Amount, yuan (Enter or scan: ￥3.00)")
    till.type("\r")
    till.see("￥3.00 · scan")
    till.type(f"{fresh_code()}\r")
    till.see("CHECKOUT FULLY PAID", "Today 2 · ￥5.00")
    till.type("q\r")
    assert till.end() == 0
    assert [m["pay_fee"] for m in gateway.requests] == [200, 300]


def test_what_failed_may_be_tried_again(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """After a refusal Enter takes the same amount again, as a new payment with a fresh code."""
    gateway.charge = lambda _members: False
    gateway.answer = lambda _members: FAILED
    till = counter()
    sell(till, "2", "111")
    till.see("× FAILED", "The customer was not charged.", "(Enter: ￥2.00 · 111)")
    gateway.charge, gateway.answer = lambda _members: True, paid
    till.type("\r")
    till.see("scan")
    till.type("289999999999999999\r")
    till.see("√ PAID", "Today 1 ")
    first, second = gateway.requests
    assert first["request_id"] != second["request_id"]
    assert second["channel_account"] == "289999999999999999"
    till.type("q\r")
    assert till.end() == 0


def test_the_same_amount_again_is_a_question(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """The same part of a checkout within a minute is taken only after a yes."""
    gateway.answer = lambda _members: told({"result_status": 1, "remaining_fee": 500})
    till = counter()
    sell(till, "1", "111")
    till.see("STILL DUE", "Amount")
    sell(till, "1", "111")
    till.see("Checkout 111 · ￥1.00 was paid a moment ago.", "Take it once more? [y/N]")
    till.type("n\r")
    till.see("Nothing was sent.", "Amount")
    sell(till, "1", "111")
    till.see("Take it once more? [y/N]")
    till.type("y\r")
    till.see("√ PAID", "Today 2 ")
    assert len(gateway.charges) == 2


def test_what_is_paid_is_not_charged_again(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A checkout that is paid is told as soon as it is typed, before any scan; the till goes on."""
    till = counter()
    sell(till, "1", "111")
    till.see("√ PAID", "Amount")
    till.type("1\r")
    till.see("Checkout")
    till.type("111\r")
    till.see("● BLOCKED", "already paid", "Amount")
    assert len(gateway.requests) == 1
    till.type("q\r")
    assert till.end() == 0


def test_the_same_customer_again_is_resumed(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """The same amount and checkout again while it is open: the same payment, with its own code,
    and its verdict told once more.
    """
    gateway.answer = lambda _members: PENDING
    till = counter()
    sell(till, "1", "111", f"{CODE}\r")
    till.see("again in")
    till.type("\r")
    sell(till, "1", "111", "289999999999999999\r")
    till.see("was set aside", "… PENDING", "DO NOT CHARGE AGAIN", "again in")
    assert len({m["request_id"] for m in gateway.requests}) == 1
    assert {m["channel_account"] for m in gateway.requests} == {CODE}


@pytest.mark.parametrize(("hours", "words"), [(1, "again in"), (25, "close it here")])
def test_what_is_old_is_left_to_a_person(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless, hours: int, words: str
) -> None:
    """After 15 minutes only `r` asks; after a day a person has to find out and to close it."""
    gateway.answer = lambda _members: PENDING
    args = ("pay", "--fee", "100", "--checkout", "111", "--code-stdin")
    assert shop.run(*args, stdin=CODE).code == 20
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE payments SET created_ms = created_ms - ?", (hours * 3_600_000,))
    db.close()
    till = counter()
    till.see("1: … PENDING", "Amount")
    sell(till, "1", "112")
    till.see("PENDING", "again in")
    till.type("\r")
    till.see("Amount")
    till.type("r 1\r")
    till.see(words)
    asked = [m["checkout_id"] for m in gateway.requests]
    assert asked.count("111") == (2 if hours == 1 else 1)


def test_an_open_checkout_is_named_by_its_number(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Another amount on a checkout that is open is blocked, and the number to come back is said."""
    gateway.answer = lambda _members: PENDING
    till = counter()
    sell(till, "1", "111")
    till.see("again in")
    till.type("\r")
    sell(till, "2", "111")
    till.see("● BLOCKED", "DO NOT CHARGE AGAIN", "Back to this one: r 1")
    assert {m["pay_fee"] for m in gateway.requests} == {100}


# ── numbers, amounts, commands ───────────────────────────────────────────────────────────────


def test_the_till_numbers_the_checkouts_itself(
    shop: Shop, counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """With `checkout: number` nobody types one; each customer has a new one, the rest of a
    checkout keeps its own.
    """
    shop.profile(gateway.url, till="{checkout: number}")
    rest = iter([300, 0, 0])
    gateway.answer = lambda _members: told({"result_status": 1, "remaining_fee": next(rest)})
    till = counter()
    for n, keys in enumerate([("2\r",), ("+\r", "\r"), ("4\r",)], 1):
        for key in keys:
            till.see("Amount")
            till.type(key)
        till.see("scan the payment code")
        till.type(f"{fresh_code()}\r")
        till.see(f"Today {n} ")
    till.type("q\r")
    assert till.end() == 0
    first, second, third = (str(m["checkout_id"]) for m in gateway.requests)
    assert first == second != third
    assert first.startswith("001-2")


# ── the till that numbers: is it another customer? ───────────────────────────────────────────


def sell_numbered(at: Counter, amount: str, code: str = "") -> None:
    at.see("Amount")
    at.type(f"{amount}\r")
    at.see("scan the payment code")
    at.type(code or f"{fresh_code()}\r")


@pytest.fixture
def numbering(shop: Shop, gateway: Merciless, counter: Callable[..., Counter]) -> Counter:
    shop.profile(gateway.url, till="{checkout: number}")
    return counter()


@pytest.mark.parametrize("answer", [None, PENDING], ids=["lost", "pending"])
def test_an_open_amount_again_is_a_question(
    gateway: Merciless, numbering: Counter, answer: bytes | None
) -> None:
    """The amount of an open payment once more is sent only for another customer; who says no is
    back at the payment that there is.
    """
    till = numbering
    gateway.answer = lambda m: answer if m["pay_fee"] == 1250 else paid(m)
    sell_numbered(till, "12.50")
    till.see("again in")
    till.type("\r")
    sell_numbered(till, "12.50")
    till.see("￥12.50 is still open here", "Is this ANOTHER customer? [y/N]")
    till.type("n\r")
    till.see("Nothing was sent.", "DO NOT CHARGE AGAIN", "again in")
    assert len({m["checkout_id"] for m in gateway.requests}) == 1
    till.type("\r")
    sell_numbered(till, "12.50")
    till.see("Is this ANOTHER customer? [y/N]")
    till.type("y\r")
    till.see("Back to this one: r 2")
    assert len({m["checkout_id"] for m in gateway.requests}) == 2


def test_a_question_says_what_has_become_of_it(gateway: Merciless, numbering: Counter) -> None:
    """What is told while a question stands is in it: an open payment that was paid meanwhile."""
    till = numbering
    gateway.answer = lambda _members: PENDING
    sell_numbered(till, "12.50")
    till.see("again in")
    till.type("\r")
    sell_numbered(till, "12.50")
    till.see("▲ ￥12.50 is still open here: … PENDING", "Is this ANOTHER customer?")
    gateway.answer = paid
    till.see("√ PAID", "▲ ￥12.50 was paid here", "Is this ANOTHER customer?")
    assert "still open" not in till.news.partition("√ PAID")[2]


def test_a_question_outlasts_the_journal(
    shop: Shop, gateway: Merciless, numbering: Counter
) -> None:
    """A verdict that cannot be recorded while a question stands is told, the question stands on as
    it was asked, and the till goes on.
    """
    till = numbering
    gateway.answer = lambda _members: PENDING
    sell_numbered(till, "12.50")
    till.see("again in")
    till.type("\r")
    sell_numbered(till, "12.50")
    till.see("▲ ￥12.50 is still open here: … PENDING", "Is this ANOTHER customer?")

    def answer_unrecorded(members: Members) -> bytes:
        with closing(sqlite3.connect(shop.journal)) as db, db:
            db.execute("UPDATE payments SET pay_fee=1")  # damaged: no row agrees with itself
        return paid(members)

    gateway.answer = answer_unrecorded
    till.see("√ PAID", "▲ ￥12.50 is still open here", "Is this ANOTHER customer?")
    till.type("n\r")
    till.see("Nothing was sent.", "damaged", "posctl journal check", "Amount")


def test_a_young_open_payment_is_a_question(gateway: Merciless, numbering: Counter) -> None:
    """While a payment that is not a minute old is open, another amount is a question, too, until
    somebody has said that this is another customer; the very same amount is asked about again.
    """
    till = numbering
    gateway.answer = lambda m: None if m["pay_fee"] == 1250 else paid(m)
    sell_numbered(till, "12.50")
    till.see("again in")
    till.type("\r")
    sell_numbered(till, "3")
    till.see("￥12.50 is still open here", "Is this ANOTHER customer? [y/N]")
    till.type("y\r")
    till.see("√ PAID", "￥3.00")
    sell_numbered(till, "4")
    till.see("√ PAID", "￥4.00")
    sell_numbered(till, "12.50")
    till.see("￥12.50 is still open here", "Is this ANOTHER customer? [y/N]")


def test_the_same_paid_amount_is_a_question(gateway: Merciless, numbering: Counter) -> None:
    """The amount that was paid a moment ago is a question; its very code is refused outright;
    another amount is sold without a word.
    """
    till = numbering
    code = fresh_code()
    sell_numbered(till, "12.50", f"{code}\r")
    till.see("√ PAID", "Today 1")
    sell_numbered(till, "12.50", f"{code}\r")
    till.see("● BLOCKED", "This payment code was used already")
    sell_numbered(till, "12.50")
    till.see("￥12.50 was paid here", "Is this ANOTHER customer? [y/N]")
    till.type(f"{fresh_code()}\r")
    till.see("First answer: y or n.", "Is this ANOTHER customer? [y/N]")
    till.type("\r")
    till.see("Nothing was sent.", "√ PAID", "Amount")
    sell_numbered(till, "3")
    till.see("√ PAID", "Today 2")
    assert len(gateway.requests) == len(gateway.charges) == 2


def test_a_rest_is_never_the_next_customers(
    shop: Shop, gateway: Merciless, numbering: Counter, counter: Callable[..., Counter]
) -> None:
    """Enter, Enter and a scan after a part pays nothing; the rest stays in sight by number, also
    over another customer and a restart, until it is paid.
    """
    till = numbering
    rests = iter([2800, 0, 0])
    gateway.answer = lambda _m: told({"result_status": 1, "remaining_fee": next(rests)})
    sell_numbered(till, "30")
    till.see("STILL DUE", "1 part-paid · ￥28.00 due", "(+: the rest, ￥28.00")
    till.type("\r")
    till.see("Amount, yuan: ")
    till.type("\r")
    till.see("Amount, yuan: ")
    till.type(f"{fresh_code()}\r")
    till.see("That was a code. First the amount")
    sell_numbered(till, "5")
    till.see("√ PAID", "Today 2", "1 part-paid")
    till.type("q\r")
    till.see("+1: STILL DUE  ￥28.00", "1 part-paid · ￥28.00 due", "Leave all the same?")
    till.type("y\r")
    assert till.end() == 0
    again = counter()
    again.see(
        "+1: STILL DUE  ￥28.00", "￥30.00 paid", "To take what is still due: + and its number"
    )
    again.see("Amount")
    again.type("+ 2\r")
    again.see("There is no such part-paid checkout")
    again.type("+1\r")
    again.see("(Enter or scan: ￥28.00)")
    again.type("29\r")
    again.see("● BLOCKED", "Only ￥28.00", "(at most ￥28.00; +: all of it)")
    again.type("\r")
    again.see("Type the amount, at most ￥28.00", "all of it): ")
    again.type(f"{fresh_code()}\r")
    again.see("That was a code. First the amount")
    again.type("+\r")
    again.see("(Enter or scan: ￥28.00)")
    again.type(f"{fresh_code()}\r")
    again.see("FULLY PAID", "Today 3 · ￥63.00   ? help")
    assert [m["pay_fee"] for m in gateway.requests] == [3000, 500, 2800]
    assert gateway.requests[0]["checkout_id"] == gateway.requests[2]["checkout_id"]


def test_two_machines_may_both_be_till_001(
    shop: Shop, gateway: Merciless, numbering: Counter
) -> None:
    """The number of a checkout holds six digits by lot besides till, date and time."""
    sell_numbered(numbering, "1")
    numbering.see("√ PAID")
    assert re.fullmatch(r"001-\d{8}-\d{6}-[0-9a-f]{6}", gateway.requests[0]["checkout_id"])


@pytest.mark.parametrize(
    "typed", ["6901028075831", "https://qr.alipay.com/fkx12345", "302", "001-20261127-225620"]
)
def test_what_is_no_payment_code_is_not_sent(
    gateway: Merciless, numbering: Counter, typed: str
) -> None:
    """The barcode of a bottle, a web address, the number of a checkout: told, and asked again."""
    till = numbering
    till.see("Amount")
    till.type("1\r")
    till.see("scan")
    till.type(f"{typed}\r")
    till.see("not a payment code", "scan the payment code: ")
    assert gateway.requests == []
    till.type(f"{fresh_code()}\r")
    till.see("√ PAID")


def test_an_unknown_code_is_a_question(gateway: Merciless, numbering: Counter) -> None:
    """What may be another wallet's code is sent after a yes; a fresh scan is better than an answer,
    and so is no.
    """
    till = numbering
    till.see("Amount")
    till.type("1\r")
    till.see("scan")
    till.type("99999999999999999999\r")
    till.see("999999******9999 does not look like a payment code", "[y/N]")
    till.type(f"{fresh_code()}\r")
    till.see("√ PAID", "Amount")
    till.type("2\r")
    till.see("scan")
    till.type("99999999999999999999\r")
    till.see("[y/N]")
    till.type("\r")
    till.see("scan the payment code: ")
    till.type("99999999999999999999\r")
    till.see("[y/N]")
    till.type("y\r")
    till.see("√ PAID", "Today 2")
    assert len(gateway.requests) == 2


def test_amounts_in_fen(shop: Shop, counter: Callable[..., Counter], gateway: Merciless) -> None:
    """With `amount: fen` 1250 is ￥12.50, and 12.50 is refused."""
    shop.profile(gateway.url, till="{amount: fen}")
    till = counter()
    till.see("Amount, fen")
    till.type("12.50\r")
    till.see("The amount is in fen")
    sell(till, "1250", "1")
    till.see("Today 1 · ￥12.50")


@pytest.mark.parametrize(
    "amount", ["0", "0.00", "1.234", "1,234", "1,234.50", "-1", "1e3", "12.", "5000.01"]
)
def test_an_amount_that_is_none_is_refused(
    counter: Callable[..., Counter], gateway: Merciless, amount: str
) -> None:
    """What is no amount, or more than max_fee, is refused before a checkout is asked for."""
    till = counter()
    till.see("Amount")
    till.type(f"{amount}\r")
    till.see("mount", "Amount, yuan: ")
    assert "Checkout" not in till.news
    till.type("1.5\r")
    till.see("￥1.50", "Checkout")


def test_receipt_report_and_help(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """`p` prints the last receipt, `x` the report, `?` the help; words do as well as letters."""
    till = counter()
    till.see("Amount")
    till.type("p\r")
    till.see("Nothing was paid here today.")
    sell(till, "12.50", "111")
    till.see("Today 1 ")
    till.type("receipt\r")
    till.see("PAYMENT RECEIPT", "￥12.50", "Amount")
    till.type("p\r")
    till.see("REPRINT 1", "Amount")
    till.type("x\r")
    till.see("REPORT", "￥12.50", "Amount")
    till.type("help\r")
    till.see("leave the till", "Amount")
    till.type("bogus\r")
    till.see("There is no command bogus.")
    till.type("quit\r")
    assert till.end() == 0


# ── interrupted, killed, broken ──────────────────────────────────────────────────────────────


def test_ctrl_c_steps_back_and_then_leaves(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Ctrl-C drops the customer at the counter, nothing is sent; at an empty prompt it leaves."""
    till = counter()
    till.see("Amount")
    till.type("1\r111\r")
    till.see("scan")
    till.type("\x03")
    till.see("Cancelled. Nothing was sent.", "Amount")
    till.type("12")
    till.see("12")
    till.type("\x03")
    till.see("Amount, yuan: ")
    till.type("\x03")
    assert till.end() == 0
    assert gateway.requests == []


def test_ctrl_c_never_stops_a_payment_on_its_way(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """While the gateway thinks, Ctrl-C goes on to the next customer; leaving waits for the
    answer, and it is recorded and told.
    """
    gateway.hold_at = 0
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    till.see("Collecting")
    till.type("\x03")
    till.see("1 on its way", "Amount")
    till.type("q\r")
    till.see("Waiting for an answer")
    gateway.let_go()
    assert till.end() == 0
    assert "√ PAID" in till.news
    assert "▲ An earlier payment, not the customer in front of you" in till.news
    assert rows(shop) == [("111", "success", 1, 1)]


def test_what_is_on_its_way_is_listed_as_such(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """A first try without an answer is no unknown payment yet; the status line counts it once."""
    gateway.hold_at = 0
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    till.type("\r")
    till.see("1 on its way", "Amount")
    till.type("o\r")
    till.see("1: … collecting", "1 on its way", "Amount")
    assert "open" not in till.news
    assert "UNKNOWN" not in till.news
    gateway.let_go()
    till.see("√ PAID")


def test_whoever_goes_on_knows_where_the_payment_is(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Order and amount stand in the line that waits; Enter says by which number the payment is
    found, and its first verdict is told, though it had its number before. A failure after a lost
    answer contradicts no verdict.
    """
    gateway.hold_at, gateway.answer = 0, lambda _members: None
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    till.see("Checkout 111 · ￥1.00 · Collecting")
    till.type("\r")
    till.see("Checkout 111 · ￥1.00: no verdict yet", "Back to it: r 1", "1 on its way")
    gateway.let_go()
    till.see("▲ UNKNOWN", "▲ 1 open · ￥1.00", "Amount")
    gateway.charge, gateway.answer = lambda _members: False, lambda _members: FAILED
    till.type("r 1\r")
    till.see("▲ UNKNOWN", "answer to this try was a failure. (NO_MONEY)", "does not prove")
    assert "The payment failed" not in till.news


def test_who_worked_before_a_power_cut(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """The till that comes back asks whether the operator of the shift's last payment goes on."""
    with counter("till", "--operator", "77") as till:
        sell(till, "1", "111")
        till.see("√ PAID", "Amount")
    with counter() as again:
        again.see("Operator 77 took the last payment here.", "Is that you? [y/n]")
        again.type("y\r")
        again.see("Operator 77", "Amount")
        sell(again, "2", "112")
        again.see("√ PAID")
    with counter() as other:
        other.see("[y/n]")
        other.type("n\r")
        other.see("Then type who works here now.", "Operator: ")
        other.type("78\r")
        other.see("Operator 78", "Amount")
        other.type("3\r")
        other.see("Checkout: ")
    assert [m["operator_id"] for m in gateway.requests] == ["77", "77"]


def test_who_closes_it_as_not_paid_has_nobody_to_ask(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """What is closed by hand as not paid asks for no fresh code: the customer has left."""
    gateway.answer = lambda _members: told({"result_status": 1, "is_success": False})
    till = counter()
    sell(till, "1", "111")
    till.see("▲ CONFLICT", "Amount")
    for typed, words in (("c", "Paid? 1 yes"), ("2", "What shows it"), ("left", "[y/n]")):
        till.type(f"{typed}\r")
        till.see(words)
    till.type("y\r")
    till.see("× FAILED (by hand)", "By hand: not charged.", "It was closed by hand.", "Amount")
    assert "fresh" not in till.news


def test_what_a_person_called_not_paid_is_not_charged_again_without_a_question(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """She may have been wrong, or the customer has confirmed since; a command's letter is no
    evidence.
    """
    gateway.answer = lambda _members: PENDING
    till = counter()
    sell(till, "1", "111")
    till.see("again in")
    till.type("\r")
    till.see("Amount")
    gateway.answer = paid
    for typed, words in (
        *(("c", "Paid? 1 yes"), ("2", "What shows it"), ("q", "q is a command.")),
        *(("x", "x is a command."), ("-", "Say in a few words"), ("left", "[y/n]")),
    ):
        till.type(f"{typed}\r")
        till.see(words)
    till.type("y\r")
    till.see("× FAILED (by hand)", "Amount")
    sent_before = len(gateway.requests)
    for answer, then in (("\r", "Nothing was sent."), ("y\r", "scan the payment code")):
        till.type("1\r")
        till.see("Checkout: ")
        till.type("111\r")
        till.see("111 · ￥1.00 was closed by hand as NOT PAID", "Charge it all the same? [y/N]")
        till.type(answer)
        till.see(then)
    till.type(f"{fresh_code()}\r")
    till.see("√ PAID")
    assert len(gateway.requests) == sent_before + 1


def test_a_checkout_in_the_wrong_case_is_a_question(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Caps Lock makes no other checkout of one that is open or was paid here, without a yes."""
    gateway.answer = lambda m: PENDING if m["checkout_id"] == "A13" else paid(m)
    till = counter()
    sell(till, "1", "b7")
    till.see("√ PAID")
    sell(till, "2", "A13")
    till.see("again in")
    till.type("\r")
    for typed, named in (("B7", "Checkout b7 · ￥1.00 · √ PAID"), ("a13", "Checkout A13")):
        till.see("Amount")
        till.type("2\r")
        till.see("Checkout: ")
        till.type(f"{typed}\r")
        till.see("Only capitals tell it from another one here", named, "[y/N]")
        till.type("\r")
        till.see("Nothing was sent.")
    assert {m["checkout_id"] for m in gateway.requests} == {"b7", "A13"}


def test_what_became_of_a_checkout_is_asked_by_its_number(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """`p A1` tells each payment of that checkout and prints what was paid: a customer comes back,
    and thinks that she was charged twice.
    """
    gateway.answer = lambda m: FAILED if len(gateway.requests) == 1 else paid(m)
    till = counter()
    sell(till, "1", "A1")
    till.see("× FAILED")
    till.type(f"{fresh_code()}\r")
    till.see("√ PAID")
    till.type("p A1\r")
    till.see("A1 · ￥1.00 · × FAILED", "A1 · ￥1.00 · √ PAID", "PAYMENT RECEIPT", "Amount")
    till.type("p A2\r")
    till.see("Nothing was charged on checkout A2.", "Amount")
    till.type("p 0\r")
    till.see("There is no payment 0 here")


def test_plus_takes_the_rest_that_is_offered(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Not that of a checkout which became part-paid later; also when more than it was typed."""
    rest = {"111": iter([500, 400]), "112": iter([700])}
    gateway.answer = lambda m: told(
        {"result_status": 1, "remaining_fee": next(rest[m["checkout_id"]])}
    )
    till = counter()
    for checkout, fee in (("111", "2"), ("112", "2"), ("111", "1")):
        sell(till, fee, checkout)
        till.see("√ PAID", f"· {checkout}): ")
    till.type("+\r")
    till.see("111: Amount, yuan (Enter or scan: ￥4.00): ")
    till.type("\x1b")
    till.see("Amount, yuan: ")
    till.type("9\r")
    till.see("Checkout: ")
    till.type("111\r")
    till.see("Only ￥4.00 is still due", "111: Amount, yuan (at most ￥4.00; +: all of it): ")
    till.type("+\r")
    till.see("111: Amount, yuan (Enter or scan: ￥4.00): ")
    assert [m["pay_fee"] for m in gateway.requests] == [200, 200, 100]


def test_evidence_is_not_typed_twice(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """What another posctl tried while somebody typed her evidence is said, and the question stands
    with what she typed; a closed one says what it came to. No shell command is on the screen.
    """
    gateway.answer = lambda _members: PENDING
    till = counter()
    for checkout, then in (("111", PENDING), ("112", None)):
        gateway.answer = lambda _members: PENDING
        sell(till, "1", checkout)
        till.see("again in")
        till.type("\r")
        till.see("no verdict yet", "Amount")
        for typed, words in (("c", "Paid? 1"), ("2", "What shows it"), ("left", "[y/n]")):
            till.type(f"{typed}\r")
            till.see(f"Checkout {checkout} · ￥1.00", words)
        gateway.answer = (lambda _members: PENDING) if then else paid
        shop.run("retry", "--checkout", checkout)
        till.type("y\r")
        if then is None:
            till.see("It was settled meanwhile", "√ PAID", "Amount")
        else:
            till.see("tried once more meanwhile: … PENDING", "NOT PAID? [y/n]")
            till.type("y\r")
            till.see("× FAILED (by hand)", "Amount")
    till.type("q\r")
    assert till.end() == 0
    assert "posctl" not in till.text
    notes = [one["resolved_note"] for one in shop.run("history", "--json").json["payments"]]
    assert notes == [None, "left"]


def left_open(counter: Callable[..., Counter], shop: Shop, gateway: Merciless) -> Counter:
    """A till whose customer of checkout 111 has left, with a payment that is pending."""
    shop.profile(gateway.url, timeout="{connect: 5, read: 60, total: 90}")
    gateway.answer = lambda _members: PENDING
    till = counter()
    sell(till, "1", "111")
    till.see("again in")
    till.type("\r")
    till.see("no verdict yet", "Amount")
    return till


@contextmanager
def another_sends(shop: Shop, gateway: Merciless) -> Iterator[None]:
    """So long another posctl waits for the answer about checkout 111; then it is killed."""
    gateway.hold_at = 0
    retry = subprocess.Popen([*shop.command, "retry", "--checkout", "111"], env=shop.env)
    try:
        gateway.wait_for(lambda: gateway.held == 1)
        yield
        assert retry.poll() is None
    finally:
        retry.kill()
        retry.wait()


def test_nobody_is_asked_about_what_another_posctl_sends(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """What another process has on its way is not asked about: nobody can know what it comes to."""
    till = left_open(counter, shop, gateway)
    with another_sends(shop, gateway):
        till.type("c 1\r")
        till.see("The platform is being asked about it: wait for its verdict.", "Amount")


def test_nobody_closes_what_another_posctl_is_sending(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """A yes while another posctl has it on its way counts no more, nor once that one is killed: it
    may have charged since. The question stands, and is asked anew once nobody is sending.
    """
    till = left_open(counter, shop, gateway)
    for typed, words in (("c", "Paid? 1"), ("2", "What shows it"), ("left", "[y/n]")):
        till.type(f"{typed}\r")
        till.see(words)
    with another_sends(shop, gateway):
        till.type("y\r")
        till.see("being asked about it", "NOT PAID? [y/n]")
    till.type("y\r")
    till.see("tried once more meanwhile", "NOT PAID? [y/n]")
    assert shop.run("pending", "--check").code == 20
    till.type("y\r")
    till.see("× FAILED (by hand)", "Amount")


def test_the_shift_waits_for_another_till(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """`z` names till, order and amount of what is open elsewhere, and what to do there."""
    gateway.answer = lambda _members: PENDING
    pay = ("pay", "--fee", "3000", "--checkout", "77", "--machine", "002", "--code-stdin")
    assert shop.run(*pay, stdin=CODE).code == 20
    till = counter()
    till.see("Amount")
    till.type("z\r")
    till.see("Till 002: Checkout 77 · ￥30.00", "Settle it at that till first", "Amount")
    assert "[y/N]" not in till.news
    till.type("q\r")
    assert till.end() == 0
    assert "posctl" not in till.text


def test_leaving_with_a_rest_says_how_it_is_taken(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """Nothing is open and a rest is due: it is told at last, with the way to take it."""
    gateway.answer = lambda _members: told({"result_status": 1, "remaining_fee": 300})
    till = counter()
    sell(till, "2", "111")
    till.see("STILL DUE  ￥3.00", "Amount")
    till.type("q\r")
    till.see("STILL DUE  ￥3.00", "1 part-paid · ￥3.00 due", "Leave all the same? [y/N]")
    till.type("\r")
    till.see("The till goes on.", "Amount")
    till.type("\x03")  # asks as q does
    till.see("Leave all the same? [y/N]")
    till.type("\x03")
    assert till.end() == 0
    assert "open it again: +" in till.news


def test_part_paid_checkouts_stay_in_sight(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """`o`, `x`, `q` and the next till list what a checkout still needs by what the last success
    told; what was paid elsewhere meanwhile is listed no more.
    """
    rest = {"111": iter([500, 300, 0]), "112": iter([700])}
    gateway.answer = lambda m: told(
        {"result_status": 1, "remaining_fee": next(rest[m["checkout_id"]])}
    )
    till = counter()
    for checkout in ("111", "112"):
        sell(till, "2", checkout)
        till.see("√ PAID", "Amount")
    pay = ("pay", "--fee", "200", "--checkout", "111", "--another")
    assert shop.run(*pay).code == 0
    for key in ("o", "x"):
        till.type(f"{key}\r")
        till.see("+1: STILL DUE  ￥3.00", "+2: STILL DUE  ￥7.00", "2 part-paid · ￥10.00 due")
    assert shop.run(*pay).code == 0
    till.type("q\r")
    till.see("+2: STILL DUE  ￥7.00", "Leave all the same?")
    assert "+1" not in till.news
    till.type("y\r")
    assert till.end() == 0
    again = counter()
    again.see("+1: STILL DUE  ￥7.00", "Checkout 112", "1 part-paid · ￥7.00 due")


def test_a_rest_that_is_being_paid_is_offered_no_second_time(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """While a payment of a rest is open it is listed as that, not as due as well: two lines of the
    same money would be collected twice. Once it came to nothing, the rest is due again.
    """
    gateway.answer = lambda _members: told({"result_status": 1, "remaining_fee": 300})
    till = counter()
    sell(till, "2", "111")
    till.see("STILL DUE  ￥3.00", "Amount")
    gateway.answer = lambda _members: PENDING
    till.type("+\r")
    till.see("111: Amount")
    till.type("\r")
    till.see("scan")
    till.type(f"{fresh_code()}\r")
    till.see("again in")
    till.type("\r")
    till.see("1 open · ￥3.00", "Amount")
    till.type("o\r")
    till.see("1: … PENDING", "1 open · ￥3.00", "Amount")
    assert "STILL DUE" not in till.news
    assert "part-paid" not in till.news
    gateway.answer = lambda _members: FAILED
    till.type("r 1\r")
    till.see("FAILED", "1 part-paid · ￥3.00 due")


def test_who_insists_leaves_it_open(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """A second Ctrl-C leaves at once: exit 21, the payment open, and asked about next time."""
    gateway.hold_at = 0
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    till.type("\x03\x03")
    till.see("Waiting for an answer")
    till.type("\x03")
    assert till.end() == 21
    gateway.let_go()
    again = counter()
    again.see("1: ▲ UNKNOWN", "Checkout 111", "started anew, and so are these numbers")
    again.see("√ PAID", "Today 1 ")
    again.type("q\r")
    assert again.end() == 0
    assert len(gateway.charges) == 1


@pytest.mark.parametrize("how", ["hangup", "SIGTERM"])
def test_a_closed_terminal_leaves_a_true_record(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless, how: str
) -> None:
    """When the window is closed, or the machine shuts down, with a payment on its way, its answer
    is recorded; what could not be shown is told at the next start.
    """
    gateway.hold_at = 0
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    if how == "hangup":
        till.hang_up()
    else:
        till.signal(signal.SIGTERM)
        till.see("Waiting for an answer")
    gateway.let_go()
    code = till.process.wait(30) if how == "hangup" else till.end()
    assert code == 0
    assert rows(shop) == [("111", "success", 1, int(how == "SIGTERM"))]
    again = counter()
    again.see("Today 1 · ￥1.00")
    assert ("recorded earlier" in again.news) == (how == "hangup")
    again.type("q\r")
    assert again.end() == 0
    assert rows(shop) == [("111", "success", 1, 1)]
    assert len(gateway.charges) == 1


def test_a_killed_till_finds_what_was_open(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """After kill -9 with a payment on its way the next till lists it and asks: one charge."""
    gateway.hold_at = 0
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    till.process.kill()
    till.process.wait()
    gateway.forget_held()
    gateway.hold_at = None
    again = counter()
    again.see("1: ▲ UNKNOWN")
    again.see("√ PAID", "Today 1 ")
    again.type("q\r")
    assert again.end() == 0
    assert len(gateway.charges) == 1
    assert rows(shop) == [("111", "success", 2, 1)]


def test_a_journal_that_fails_sends_nothing(
    counter: Callable[..., Counter], shop: Shop, gateway: Merciless
) -> None:
    """When the journal cannot be written the till says so, sends nothing, and goes on later."""
    till = counter()
    till.see("Amount")
    shop.journal.rename(shop.home / "elsewhere")
    sell(till, "1", "111")
    till.see("was removed, replaced or emptied", "Amount")
    assert gateway.requests == []
    (shop.home / "elsewhere").rename(shop.journal)
    sell(till, "1", "112")
    till.see("√ PAID", "Today 1 ")
    till.type("q\r")
    assert till.end() == 0


def test_a_checkout_on_its_way_is_not_begun_twice(
    counter: Callable[..., Counter], gateway: Merciless
) -> None:
    """The same customer typed again while the first is on its way: nothing more is sent."""
    gateway.hold_at = 0
    till = counter()
    sell(till, "1", "111")
    gateway.wait_for(lambda: gateway.held == 1)
    till.type("\r")
    sell(till, "1", "111")
    till.see("is on its way: wait for its verdict")
    assert len(gateway.requests) == 1
    gateway.let_go()
    till.see("√ PAID")


def test_a_rate_limit_is_told(counter: Callable[..., Counter], gateway: Merciless) -> None:
    """A payment that a rate limit turned away was not charged, and may be tried again."""
    gateway.charge = lambda _members: False
    gateway.answer = lambda _members: refused(7, "This ban will last for 600 more seconds")
    till = counter()
    sell(till, "1", "111")
    till.see("× REFUSED", "The customer was not charged.", "(Enter: ￥1.00 · 111)")
    till.type("\r")
    till.see("scan")
    till.type(f"{CODE}\r")
    till.see("The gateway's rate limit lasts", "Nothing was sent.", "(Enter: ￥1.00 · 111)")
    assert len(gateway.requests) == 1


def test_leaving_names_the_profile(counter: Callable[..., Counter]) -> None:
    """Where a payment is left open, the command to type is about this profile's payments."""
    till = counter("--profile", "training", "till")
    sell(till, "1", "111", "280000000000000004\r")
    till.see("PENDING")
    till.type("\r")
    till.see("Amount")
    till.type("q\r")
    till.see("Leave all the same?")
    till.type("y\r")
    assert till.end() == 20
    assert "posctl --profile training pending" in till.news


# ── the dialogue, without a terminal ─────────────────────────────────────────────────────────


def entry(**keys: str) -> Entry:
    profile = read_config(None, {"HOME": "/nonexistent"}).profiles["training"]
    return Entry(profile._replace(till=TillKeys(**keys)))


def wishes(of: Entry, *pieces: str, now_s: float = 0.0) -> list[object]:
    return [wish for piece in pieces for wish in of.take(piece, now_s)]


def to_the_scan() -> Entry:
    one = entry()
    wishes(one, "1\r", "111\r")
    assert one.prompt is Prompt.CODE
    return one


def sent(code: str) -> Entry:
    """As the till grants it."""
    one = to_the_scan()
    for wish in one.take(f"{code}\r", 0.0):
        if isinstance(wish, Sale):
            one.fresh()
            one.watch()
    return one


codes = st.tuples(st.sampled_from(["25", "28", "30", "10", "15"]), st.integers(0, 10**16 - 1)).map(
    lambda parts: f"{parts[0]}{parts[1]:016d}"
)


@given(codes, st.sampled_from(["\r", "\n", "\r\n"]), st.lists(st.integers(1, 20), max_size=5))
@example("250000000000000000", "\r\n", [19, 19])  # a tick of the clock between the two
def test_a_scan_is_one_sale_however_it_is_cut(code: str, end: str, cuts: list[int]) -> None:
    """Whatever pieces a scan arrives in, and whatever ends it, it is one sale of that code."""
    one = to_the_scan()
    scan = code + end
    at = [0, *sorted(cuts), len(scan)]
    wished: list[object] = []
    for piece in (scan[a:b] for a, b in pairwise(at)):
        for wish in one.take(piece, 0.0):
            wished.append(wish)
            if isinstance(wish, Sale):
                one.watch()  # as the till does
        assert one.echo == ""
    assert [w for w in wished if not isinstance(w, Keep)] == [Sale(100, "111", code)]
    assert one.prompt is Prompt.WATCH, "no part of the end goes on to the next customer"
    assert code not in repr(wished)


@given(codes, st.sampled_from(["", "\r", "\n", "\r\n"]))
def test_a_code_out_of_turn_does_nothing(code: str, end: str) -> None:
    """Scanned once more while the verdict is waited for, or before the amount: it is dropped."""
    one = sent(code)
    assert wishes(one, code + end, now_s=9.0) == []
    assert one.prompt is Prompt.WATCH
    one.fresh()
    assert wishes(one, code + end) == [Note("That was a code. First the amount, then scan.")]
    assert one.echo == ""
    assert Keep("￥12.00") in wishes(one, "12\r")


@given(codes)
def test_a_silent_scanner_is_told_from_a_hand(code: str) -> None:
    """A code that came fast is complete after a moment; one typed by hand only with Enter."""
    fast = to_the_scan()
    assert wishes(fast, code, now_s=10.0) == []
    assert fast.scan_end_s < 11
    assert Sale(100, "111", code) in wishes(fast, "", now_s=fast.scan_end_s)
    slow = to_the_scan()
    for n, digit in enumerate(code):
        assert wishes(slow, digit, now_s=10.0 + n * 0.1) == []
    assert slow.scan_end_s == inf
    assert wishes(slow, "", now_s=1000.0) == []
    assert Sale(100, "111", code) in wishes(slow, "\r", now_s=1000.0)


@pytest.mark.parametrize("typed", ["0", "0.00", "5000.01", "99999999"])
def test_an_amount_in_yuan_is_refused_in_yuan(typed: str) -> None:
    """Who types yuan is told of yuan: a number of fen typed in its place would be a hundredfold."""
    found = wishes(entry(), f"{typed}\r")
    assert found == [Note("The amount is in yuan, from 0.01 to 5000.00. Help: ?")]


@given(st.integers(1, 500_000))
def test_yuan_and_fen_are_the_same_money(fen: int) -> None:
    """Every amount typed in yuan, with as many decimals as it has, is that many fen."""
    texts = {f"{fen // 100}.{fen % 100:02d}"}
    if fen % 10 == 0:
        texts.add(f"{fen // 100}.{fen % 100 // 10}")
    if fen % 100 == 0:
        texts.add(str(fen // 100))
    for keys, typed in [("yuan", text) for text in texts] + [("fen", str(fen))]:
        one = entry(amount=keys)
        wishes(one, f"{typed}\r", "111\r")
        assert wishes(one, f"{CODE}\r")[-1] == Sale(fen, "111", CODE)


words = st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=12)
keys = st.sampled_from(["\r", "\n", "\x1b", "\x03", "\x1b[A", "\x7f", "\x15", "1\r", "r 1\r", CODE])


@given(st.lists(words | keys))
@example(["1\r", CODE, CODE])
def test_no_typing_breaks_the_dialogue(pieces: list[str]) -> None:
    """Whatever is typed, the dialogue goes on, and echoes no code."""
    one = entry()
    for piece in pieces:
        for wish in one.take(piece, 0.0):
            if wish is Plain.NEXT:
                one.fresh()
            if isinstance(wish, (Sale, Answer)):
                one.fresh()
        assert CODE not in one.label + one.echo


def test_arrows_and_corrections() -> None:
    """Arrow keys do nothing, backspace and Ctrl-U take back, Esc goes one step back."""
    one = entry()
    assert wishes(one, "\x1b[A", "\x1bOB", "13\x7f2", "\x15", "12") == []
    assert one.echo == "12"
    wishes(one, "\r")
    assert one.prompt is Prompt.CHECKOUT
    assert wishes(one, "\x1b") == [Note("Cancelled. Nothing was sent."), Plain.NEXT]


def test_every_command_has_a_letter_and_a_word() -> None:
    """Letter or word, with a number or without."""
    for word, letter in COMMANDS.items():
        for typed in (word, letter, word.upper()):
            assert wishes(entry(), f"{typed}\r")[-1] == Command(letter, None)
    assert wishes(entry(), "r 12\r")[-1] == wishes(entry(), "r12\r")[-1] == Command("r", 12)
    assert wishes(entry(), "？\r")[-1] == Command("?", None)
    for typed in ("q 9\r", "q9\r", "z 1\r"):  # what takes no number is not done with one
        assert [type(wish) for wish in wishes(entry(), typed)] == [Note], typed


def test_a_rest_has_a_key_of_its_own() -> None:
    """Enter drops an offered rest, an amount is the next customer's; `+` has taken a rest as soon
    as the till grants it, and then Enter, an amount or a scan is about it.
    """
    for checkout in ("number", "ask"):
        one = entry(checkout=checkout)
        rest = Offer("111", 300, rest=True)
        one.offer = rest
        assert wishes(one, "\r") == []
        assert one.offer is None
        one.offer = rest
        wishes(one, "2\r", "\r")
        if checkout == "ask":
            assert one.prompt is Prompt.CHECKOUT, "Enter is no checkout"
            wishes(one, "112\r")
        number = "112" if checkout == "ask" else ""
        assert wishes(one, f"{CODE}\r")[-1] == Sale(200, number, CODE)
        one.fresh()
        one.offer = rest
        assert wishes(one, "+\r")[-1] == Command("+", None)
        for keys, fee in (("\r", 300), ("1\r", 100), ("", 300)):
            one.take_rest(rest)
            wishes(one, keys)
            assert wishes(one, f"{CODE}\r")[-1] == Sale(fee, "111", CODE)


def test_what_failed_is_scanned_at_once() -> None:
    """The fresh code of a customer whose payment came to nothing needs no Enter before it, for a
    minute; then, or after another amount, it is nobody's.
    """
    failed = Offer("111", 300, rest=False, scan_until_s=60.0)
    one = entry(checkout="number")
    one.offer = failed
    assert wishes(one, f"{CODE}\r", now_s=59.0)[-1] == Sale(300, "111", CODE)
    one.fresh()
    assert wishes(one, f"{CODE}\r", now_s=60.0) == [
        Note("That was a code. First the amount, then scan.")
    ]
    wishes(one, "\r")
    assert wishes(one, f"{CODE}\r")[-1] == Sale(300, "111", CODE)
    one.fresh()
    wishes(one, "2\r")
    assert wishes(one, f"{CODE}\r")[-1] == Sale(200, "", CODE), "the next customer's"


def test_what_failed_is_not_the_next_customers() -> None:
    """Esc, another amount and other business end the offer of what came to nothing: neither Enter
    nor a scan takes it then.
    """
    for keys in (("\r", "\x1b"), ("2\r", "\x1b"), ("2\r",), ("r 1\r",), ("p\r",), ("\x1b",)):
        one = entry()
        one.offer = Offer("111", 300, rest=False, scan_until_s=60.0)
        wishes(one, *keys)
        assert one.offer is None, keys
        one.fresh()
        wishes(one, "\r")
        assert not [wish for wish in wishes(one, f"{CODE}\r") if isinstance(wish, Sale)], keys


@pytest.mark.parametrize(
    "keys", [("8.50",), ("8,,5\r",), ("800000000\r",), ("8.50", "\x1b")], ids=repr
)
def test_a_scan_does_not_take_the_offer_once_another_amount_was_typed(
    keys: tuple[str, ...],
) -> None:
    """Typed without Enter, refused, or taken back with Esc: it was meant for the next customer."""
    one = entry()
    one.offer = Offer("111", 300, rest=False, scan_until_s=60.0)
    wishes(one, *keys)
    last = wishes(one, f"{CODE}\r")
    assert isinstance(last[-1], Note)
    assert not [wish for wish in last if isinstance(wish, Sale)]


@pytest.mark.parametrize("keys", [("5",), ("5,,0\r",)], ids=repr)
def test_a_scan_does_not_take_a_whole_rest_of_which_a_part_was_typed(keys: tuple[str, ...]) -> None:
    """The part must be entered first."""
    one = entry()
    one.take_rest(Offer("111", 5000, rest=True, scan_until_s=0.0))
    wishes(one, *keys)
    assert not [wish for wish in wishes(one, f"{CODE}\r") if isinstance(wish, Sale)]


def test_a_checkout_may_look_like_a_code() -> None:
    """An order number that looks like a payment code is the checkout after a yes, typed by hand;
    scanned it is a code, and the checkout is asked for again.
    """
    one = entry()
    noted = wishes(one, "1\r", f"{CODE}\r")[-1]
    assert isinstance(noted, Note)
    assert "payment code" in noted.text
    assert [one.prompt] == [Prompt.CHECKOUT]
    for second, digit in enumerate(CODE):
        wishes(one, digit, now_s=second)
    wishes(one, "\r", now_s=len(CODE))
    assert one.prompt is Prompt.CONFIRM
    wishes(one, "y\r")
    assert wishes(one, "289999999999999999\r")[-1] == Sale(100, CODE, "289999999999999999")


# What is typed at the wrong prompt, and what it is called there.
AT_THE_AMOUNT = {
    "6901028075831": "an article's barcode",
    "96385074": "an article's barcode",
    "https://x.cn/1": "an article's barcode",
    "退款": "gives no money back",
    "p 280000000000000001": "That was a code",
}
AT_THE_CHECKOUT = {
    "q": "q is a command",
    "p 2": "p 2 is a command",
    "a b": "no blank",
    "refund": "gives no money back",
}
AT_THE_CODE = {
    "": "Scan the customer's payment code. Esc",
    "q": "q is a command, not a payment code",
    "c 1": "c 1 is a command, not a payment code",
    "help": "help is a command, not a payment code",
    "302": "The scan: this is not a payment code: it is too short",
}


@pytest.mark.parametrize(
    ("before", "typed", "words"),
    [
        (before, typed, words)
        for before, table in (
            ((), AT_THE_AMOUNT),
            (("1\r",), AT_THE_CHECKOUT),
            (("1\r", "111\r"), AT_THE_CODE),
        )
        for typed, words in table.items()
    ],
)
def test_at_the_wrong_prompt_it_is_called_what_it_is(
    before: tuple[str, ...], typed: str, words: str
) -> None:
    """Commands, barcodes, nothing at all: told as such, and the prompt stays."""
    one = entry()
    wishes(one, *before)
    prompt = one.prompt
    (told_so,) = wishes(one, f"{typed}\r")
    assert isinstance(told_so, Note)
    assert words in told_so.text
    assert one.prompt is prompt


def test_a_short_number_typed_by_hand_was_not_scanned() -> None:
    """`302`, key by key, is what was typed."""
    one = to_the_scan()
    found = [w for second, key in enumerate("302\r") for w in wishes(one, key, now_s=10 + second)]
    assert "What was typed: this is not a payment code" in str(found)


def test_a_scan_while_a_verdict_is_waited_for_is_told() -> None:
    """But for the same code once more, which a scanner reads twice."""
    one = sent(CODE)
    assert wishes(one, f"{CODE}\r", now_s=1.0) == []
    assert wishes(one, f"{OTHER_CODE}\r", now_s=2.0) == [
        Note(
            "This scan was not used: a verdict is waited for. "
            "Another phone? The customer cancels the first payment there; then wait."
        )
    ]


def test_nothing_is_no_evidence() -> None:
    """Enter alone at a question for words says what is wanted."""
    one = entry()
    one.ask_words("What shows it: ", about="111", if_empty="Say it.")
    assert wishes(one, "\r") == [Note("Say it.")]
    assert (one.prompt, one.about) == (Prompt.WORDS, "111")


@pytest.mark.parametrize(
    ("word", "meaning", "said"),
    [
        ("SUCCESS", None, "not yet paid for certain"),
        ("succeeded", None, "not yet paid for certain"),
        ("PENDING", None, "Do not close it by hand yet"),
        ("INIT", "pending", "Do not close it by hand yet"),
        ("INIT", "given up", "The till asks no more by itself: r 1 asks."),
        ("FAIL", None, "does not prove that nobody was charged"),
        ("SUCCESS", "success", None),
        ("XYZ", None, "does not tell whether it was paid"),
    ],
)
def test_what_a_platform_calls_it_is_said_in_words(
    word: str, meaning: str | None, said: str | None
) -> None:
    """What it sounds like, what that is worth and what to do; its own word stands below. What the
    profile reads closes the payment, and says so itself. Where the till has stopped asking, it
    does not say that it goes on.
    """
    listed = Open(1, payment("a"), asks=1, next_s=5)
    if meaning == "given up":
        listed, meaning = listed._replace(next_s=inf), "pending"
    screen = io.StringIO()
    canvas = Canvas(Console(file=screen, width=200))
    end = TryEnd(event=Event.NO_VERDICT, finished_ms=0)
    draw_asked(canvas, StatusAnswer(end, word, meaning, None), payment("a"), listed)
    canvas.show()
    drawn = screen.getvalue()
    assert drawn.strip().startswith("Checkout a · ￥0.01")
    assert f"The platform says: {word}" in drawn
    sounds = [one for pair in _SOUNDING.values() for one in pair]
    found = [one for one in sounds if one.format(n=1) in drawn]
    assert (said in drawn) if said else found == []


def test_questions_come_less_often_and_keep_their_number() -> None:
    """An open payment keeps its number, is asked after 2 s, then every 5 s, then every 15 s; a
    rate limit is waited for; once closed it is gone.
    """
    some = OpenPayments()
    first, second = payment("a"), payment("b")
    some.put(first, 0.0)
    some.put(second, 0.0, ban_s=30)
    assert [one.number for one in some] == [1, 2]
    pauses = []
    now_s = 0.0
    for _ask in range(14):
        now_s = some.next_s(on_their_way={"b"})
        assert [p.request_id for p in some.due(now_s, {"b"})] == ["a"]
        before = now_s
        some.put(first, now_s)
        pauses.append(some.next_s({"b"}) - before)
    assert (pauses[:2], pauses[-1]) == ([5.0, 5.0], 15.0)
    assert some.next_s({"a"}) == 30.0
    some.put(first._replace(closed_ms=1), now_s)
    assert [one.number for one in some] == [2]
    some.put(payment("c"), now_s)
    assert [one.number for one in some] == [2, 3]


def payment(request_id: str) -> Any:
    from posctl.money.outcome import Doubt, Standing, State  # noqa: PLC0415
    from posctl.money.record import Checkout, Payment, Verdict  # noqa: PLC0415  here alone

    members: Members = {
        "seq": 1,
        "request_id": request_id,
        "profile": "p",
        "gateway": "g",
        "app_key": "a",
    }
    members |= {"checkout": Checkout(True, "a", "1", request_id), "order_id": "1"}
    members |= dict.fromkeys(("operator_id", "machine_id", "pay_channel", "pay_request"), "1")
    members |= {"pay_fee": 1, "standing": Standing(State.PENDING, Doubt.PENDING)}
    members |= {"verdict": Verdict(), "warnings": (), "tries": 1, "told": False}
    members |= {"created_ms": 0, "updated_ms": 0, "closed_ms": None}
    return Payment(**members)
