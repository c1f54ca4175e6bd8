"""The worldly ways of real platforms, through the real commands: words that prove nothing, answers
that are another payment's, damaged texts, figures of answers that charged nobody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Ran, Shop
from counter import Counter
from merciless import Members, Merciless, paid, told
from pty_run import pty_run

CODE = "281234567890123456"
USED = {"result_code": "ACQ.PAYMENT_AUTH_CODE_INVALID", "result_message": "支付授权码无效"}


@pytest.fixture
def gateway(shop: Shop) -> Iterator[Merciless]:
    """A merciless gateway, and the profile that points at it."""
    with Merciless() as server:
        shop.profile(server.url)
        yield server


def failed(**model: Any) -> bytes:
    """`result_status` 2, with these members."""
    return told({"result_status": 2, **model})


def pay(shop: Shop, *more: str, checkout: str = "c1") -> Ran:
    return shop.run("pay", "--fee", "100", "--checkout", checkout, "--json", *more)


# ── answers that are another payment's ───────────────────────────────────────────────────────


class Crossed(Merciless):
    """From its second request on, one connection gets each time the answer before, as from a
    balancer that lost count: it is one answer late for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._late: asyncio.Transport | None = None
        self._answered: dict[asyncio.Transport, bytes] = {}

    def _answer(self, transport: asyncio.Transport, members: Members) -> None:
        own, before = paid(members), self._answered.get(transport)
        self._answered[transport] = own
        if before is not None and self._late in (None, transport):
            self._late = transport
            own = before
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(own) + own)


@pytest.fixture
def crossed(shop: Shop) -> Iterator[Crossed]:
    with Crossed() as server:
        shop.profile(server.url)
        yield server


def _check_crossed(results: list[Members], shop: Shop) -> None:
    """Whoever is told "paid" is told so by an answer of his own; of the late connection one answer
    is a conflict, and what else came over it before it was closed is believed no more.
    """
    wrong = [one for one in results if one["outcome"] != "success"]
    right = [one for one in results if one["outcome"] == "success"]
    for one in right:
        assert one["payment_order_id"] == f"V-{one['request_id']}"
    assert [one["outcome"] for one in wrong].count("conflict") == 1
    assert {one["outcome"] for one in wrong} <= {"conflict", "unknown"}
    assert all(one["payment_order_id"] is None for one in wrong)
    assert len(wrong) < 10
    again = shop.run("retry", "--all", "--json").json["payments"]
    assert {one["outcome"] for one in again} <= {"success", "blocked"}  # the conflict
    for one in again:
        assert one["payment_order_id"] in (f"V-{one['request_id']}", None)


def test_a_late_connection_is_closed_within_a_batch(shop: Shop, crossed: Crossed) -> None:
    """An answer that is another line's is a conflict of that line; its connection is not used
    again, so that the lines after it are paid, each by an answer of its own.
    """
    lines = [{"checkout_id": f"c{n}", "pay_fee": 100 + n} for n in range(600)]
    (shop.home / "o.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = shop.run("batch", "o.jsonl", "--json")
    assert ran.code == 22
    results = (shop.home / "o.jsonl.results.jsonl").read_text().splitlines()
    _check_crossed([json.loads(one) for one in results], shop)


def test_a_late_connection_is_closed_within_a_sweep(shop: Shop, crossed: Crossed) -> None:
    """The same of `retry --all`: no payment is closed by what is said of another one."""
    crossed.hold_at = 0  # so that all stay open
    lines = [{"checkout_id": f"c{n}", "pay_fee": 100 + n} for n in range(300)]
    (shop.home / "o.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    shop.profile(crossed.url, timeout="{connect: 2, read: 0.2, total: 0.5}")
    assert shop.run("batch", "o.jsonl", "--json").code == 21
    crossed.forget_held()
    crossed.hold_at = None
    shop.profile(crossed.url)
    ran = shop.run("retry", "--all", "--json")
    assert ran.code == 22
    _check_crossed(ran.json["payments"], shop)


# ── words that prove nothing ─────────────────────────────────────────────────────────────────


def _opened(shop: Shop, gateway: Merciless) -> str:
    """The request_id of a payment that was charged and got no answer."""
    gateway.answer = lambda _members: None
    ran = pay(shop)
    assert (ran.code, ran.json["outcome"]) == (21, "unknown")
    return str(ran.json["request_id"])


def test_a_profiles_decline_code_closes_what_is_unknown(shop: Shop, gateway: Merciless) -> None:
    """A platform's own word for "declined" closes an unknown payment once `decline_codes` has it,
    and leaves it open as long as it has not.
    """
    request_id = _opened(shop, gateway)
    gateway.answer = lambda _members: failed(result_code="HM_4711", result_message="sorry")
    still = shop.run("retry", request_id, "--json")
    assert (still.code, still.json["outcome"]) == (21, "unknown")
    assert "HM_4711" in still.json["error"]["message"]
    assert "does not prove" in still.json["error"]["hint"]
    shop.profile(gateway.url, decline_codes="[HM_4712, HM_4711]")
    closed = shop.run("retry", request_id, "--json")
    assert (closed.code, closed.json["outcome"]) == (10, "fail")
    assert closed.json["request_id"] == request_id


@pytest.mark.parametrize("value", ["HM_4711", "[余额不足]", "[HM 4711]", "[[A]]", "{A: B}"])
def test_bad_decline_codes_are_a_configuration_error(
    shop: Shop, gateway: Merciless, value: str
) -> None:
    """Anything but a list of codes is refused with its line, and nothing is sent."""
    shop.profile(gateway.url, decline_codes=value)
    ran = pay(shop)
    assert ran.code == 3
    text = (shop.home / "config.yaml").read_text().splitlines()
    line = next(n for n, one in enumerate(text, 1) if "decline_codes" in one)
    assert f"line {line}" in ran.json["error"]["message"]
    assert not gateway.requests


def test_the_till_tells_what_a_refusal_proves_once(shop: Shop, gateway: Merciless) -> None:
    """The till says what the platform said, that it proves nothing, and the way out, once; while it
    goes on asking by itself it does not say it again.
    """
    gateway.answer = lambda _members: None
    with Counter([*shop.command, "till"], shop.env, 80, shop.home) as till:
        till.see("Amount")
        till.type("1\r")
        till.see("Checkout")
        till.type("c1\r")
        till.see("scan the payment code")
        till.type(f"{CODE}\r")
        till.see("▲ UNKNOWN", "Back to this one: r 1")
        gateway.answer = lambda _members: failed(**USED)
        till.see("支付授权码无效", "does not prove", "s 1 asks the platform", "c 1 closes it")
        asked = len(gateway.requests)
        gateway.wait_for(lambda: len(gateway.requests) >= asked + 2)
        gateway.answer = paid
        till.see("√ PAID")
        assert till.text.count("支付授权码无效") == 1
        assert till.text.count("▲ UNKNOWN") == 2
        till.type("q\r")
        assert till.end() == 0
    assert len(gateway.charges) == 1


def _open_at_the_till(till: Counter, gateway: Merciless) -> None:
    """One customer whose payment was charged, got no answer, and is then refused as used."""
    gateway.answer = lambda _members: None
    for words, typed in (("Amount", "1\r"), ("Checkout", "c1\r"), ("scan", f"{CODE}\r")):
        till.see(words)
        till.type(typed)
    till.see("▲ UNKNOWN")
    gateway.answer = lambda _members: failed(**USED)
    till.see("支付授权码无效", "c 1 closes it on evidence")


@pytest.mark.parametrize(("verdict", "outcome"), [("paid", "success"), ("not-paid", "fail")])
def test_the_till_closes_on_a_persons_word(
    shop: Shop, gateway: Merciless, verdict: str, outcome: str
) -> None:
    """`c 1` asks for the verdict, the evidence and a yes; anything else closes nothing, and the
    till goes on asking. The record says who, and why.
    """
    with Counter([*shop.command, "till"], shop.env, 80, shop.home) as till:
        _open_at_the_till(till, gateway)
        till.type("\r")
        till.see("Amount")
        till.type("c 9\r")
        till.see("There is no open payment with this number", "Amount")
        steps = "What shows it", "Close it by hand as"
        for answers in (("\x1b",), (f"{verdict}\r", "\x1b"), (f"{verdict}\r", "seen\r", "n\r")):
            _begin_to_close(till)
            for typed, words in zip(answers, (*steps, "Nothing was closed"), strict=False):
                till.type(typed)
                till.see("Cancelled" if typed == "\x1b" else words)
            till.see("Amount")
        _begin_to_close(till)
        till.type("perhaps\r")
        till.see("Paid? 1 yes")
        till.type(f"{verdict}\r")
        till.see("What shows it")
        till.type(f"{CODE}\r")
        till.see("That was a code")
        till.type("shown on her phone\r")
        till.see("Close it by hand as")
        asked = len(gateway.requests)
        till.type("y\r")
        till.see("It was closed by hand" if outcome == "fail" else "√ PAID", "Amount")
        till.type("q\r")
        assert till.end() == 0
        assert CODE not in till.text
    assert len(gateway.requests) == asked
    shown = shop.run("history", "--json").json["payments"][0]
    assert (shown["state"], shown["outcome"]) == ("resolved", outcome)
    assert shown["resolved_note"] == "shown on her phone"
    assert shown["resolved_by"].startswith("123, ")


def _begin_to_close(till: Counter) -> None:
    till.type("c 1\r")
    till.see("Paid? 1 yes")


# What the repeat of a charged training payment is told, and what it comes to.
PRACTICE = {
    19: ("ACQ.PAYMENT_AUTH_CODE_INVALID", 21, "unknown"),
    20: ("ORDERPAID", 21, "unknown"),
    21: ("USERPAYING", 21, "unknown"),
    22: ("ACQ.SYSTEM_ERROR", 21, "unknown"),
    23: (None, 22, "conflict"),
}


@pytest.mark.parametrize("number", PRACTICE)
def test_the_way_out_can_be_practised(trained: Callable[..., Ran], number: int) -> None:
    """A training payment that was charged and is then told a refusal stays open, whatever the
    words; the platform's own word for it says the truth, and a person closes it.
    """
    code, exit_code, outcome = PRACTICE[number]
    again = ("pay", "--fee", "100", "--checkout", "c1", "--code-stdin", "--json")
    first = trained(*again, stdin=f"2800000000000000{number}")
    assert (first.code, first.json["outcome"]) == (21, "unknown")
    request_id = first.json["request_id"]
    told_so = trained("retry", request_id, "--json")
    assert (told_so.code, told_so.json["outcome"]) == (exit_code, outcome)
    assert code is None or code in told_so.json["error"]["message"]
    assert "pay again" not in told_so.json["error"]["hint"]
    once_more = trained(*again, stdin=f"2800000000000000{number}")
    if outcome == "conflict":
        assert once_more.code == 30
    else:
        assert once_more.json["request_id"] == request_id
    assert trained("status", request_id, "--json").json["status_word"] == "SUCCESS"
    closed = trained("resolve", request_id, "--as", "paid", "--note", "her phone says so")
    assert closed.code == 0
    assert trained("report", "--json").json["fee"] == 100


# ── damaged texts ────────────────────────────────────────────────────────────────────────────

_PAID_AS = (
    '{"alibaba_pos_order_pay_response":{"result":{"model":{"result_status":%s,"remaining_fee":%s,'
    '"current_pay_fee":100.0,"result_message":"%s"},"is_success":true}}}'
)
DAMAGED = {
    "control characters": (_PAID_AS % ("1", "0", "a\tb\nc\x01")).encode(),
    "cut inside a character": (_PAID_AS % ("1", "0", "付款成功")).encode().replace(b'\x9f"', b'"'),
    "GBK": (_PAID_AS % ("1", "0", "付款成功")).encode("gbk"),
    "fractions": (_PAID_AS % ("1.0", "0.0", "ok")).encode(),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_text_hides_no_payment(shop: Shop, gateway: Merciless, name: str) -> None:
    """A plain verdict is read whatever became of the words beside it: paid, and nothing is due."""
    assert (name == "fractions") or DAMAGED[name] != (_PAID_AS % ("1", "0", "付款成功")).encode()
    gateway.answer = lambda _members: DAMAGED[name]
    ran = pay(shop)
    assert (ran.code, ran.json["outcome"]) == (0, "success")
    assert (ran.json["remaining_fee"], ran.json["current_pay_fee"]) == (0, 100)
    assert not any(character < " " for character in ran.out.rstrip("\n"))


# ── figures of answers that charged nobody ───────────────────────────────────────────────────


def test_what_a_pending_answer_said_of_money_counts_nowhere(shop: Shop, gateway: Merciless) -> None:
    """A pending answer's `current_pay_fee` and `remaining_fee` are in no report, shift, receipt or
    checkout, however the payment is closed later.
    """
    gateway.answer = lambda _members: told(
        {"result_status": 3, "current_pay_fee": 0, "remaining_fee": 100}
    )
    request_id = pay(shop).json["request_id"]
    closed = shop.run("resolve", request_id, "--as", "paid", "--note", "shown on the phone")
    assert closed.code == 0
    report = shop.run("report", "--json").json
    shift = shop.run("report", "--close", "--yes", "--json").json
    for one in (report, shift):
        assert (one["paid"], one["fee"]) == (1, 100)
    checkout = shop.run("checkout", "c1", "--json").json
    assert checkout["paid_fee"] == 100
    receipt = shop.run("receipt", request_id)
    assert receipt.code == 0
    assert "￥1.00" in receipt.out
    assert "￥0.00" not in receipt.out


@pytest.mark.parametrize(
    ("lang", "due"), [("en", ("FULLY PAID", "STILL DUE")), ("zh", ("已付清", "还需支付"))]
)
@pytest.mark.parametrize("remaining_fee", [0, 50])
def test_a_failed_payment_states_nothing_due(
    shop: Shop, gateway: Merciless, lang: str, due: tuple[str, ...], remaining_fee: int
) -> None:
    """On a terminal, by `pay` and at the till: "failed" and nothing of what is due beside it."""
    gateway.charge = lambda _members: False
    gateway.answer = lambda _members: failed(remaining_fee=remaining_fee, result_message="余额不足")
    env = shop.env | {"POSCTL_LANG": lang}
    shown = pty_run([*shop.command, "pay", "--fee", "100", "--checkout", "c1"], env=env)
    assert shown.exit_code == 10
    assert "余额不足" in shown.text
    assert not any(words in shown.text for words in due)
    with Counter([*shop.command, "till"], env, 80, shop.home) as till:
        for typed in ("1\r", "c2\r", f"{CODE}\r"):
            till.see(": " if lang == "en" else "：")
            till.type(typed)
        till.see("余额不足", "(Enter: " if lang == "en" else "（回车：")
        assert not any(words in till.text for words in due)
        till.type("q\r")
        assert till.end() == 0
