"""A payment is found by what a person has: an amount, about when, any id that stands anywhere."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from conftest import Ran, Shop
from merciless import Merciless, told
from pty_run import pty_run

LOST = f"28{9:016d}"
Training = Callable[..., Ran]


def pay(trained: Training, checkout: str, *more: str, fee: str = "5800", **how: Any) -> Any:
    return trained("pay", "--json", "--fee", fee, "--checkout", checkout, *more, **how).json


def found(trained: Training, *args: str) -> list[str]:
    """The checkouts that `history` lists."""
    ran = trained("history", *args, "--json")
    assert ran.code == 0, ran
    return [one["checkout_id"] for one in ran.json["payments"]]


def test_any_id_names_a_payment(trained: Training) -> None:
    """In every command that takes one: posctl's own, the platform's, the wallet's."""
    paid = pay(trained, "a")
    pay(trained, "b")
    for command in ("show", "status", "retry", "receipt", "history"):
        for name in ("request_id", "payment_order_id", "channel_order_id"):
            ran = trained(
                command, *(["--id"] if command == "history" else []), paid[name], "--json"
            )
            data = ran.json
            one = data["payment"] if "payment" in data else (data.get("payments") or [data])[0]
            assert one["request_id"] == paid["request_id"], (command, name, ran)


def test_the_beginning_of_a_request_id_is_enough(trained: Training) -> None:
    """Six characters or more, in capitals and without hyphens too; five are none (2)."""
    request_id = pay(trained, "a")["request_id"]
    for name in (request_id[:6], request_id[:8], request_id[:13].upper().replace("-", "")):
        assert trained("show", name, "--field", "payment.request_id").out.strip() == request_id
    assert trained("show", request_id[:5]).code == 2
    shown = trained("show", request_id[:7] + "~", "--json")
    assert (shown.code, shown.json["error"]["code"]) == (2, "unknown_payment")


def test_what_names_several_does_nothing(trained: Training) -> None:
    """They are listed with what tells them apart, and nothing is done (2); a whole request_id that
    another one begins with is its own.
    """
    for n, name in enumerate(("order-77", "order-77-b", "order-78")):
        pay(trained, f"c{n}", "--request-id", name)
    ran = trained("retry", "order-7", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "several")
    for word in ("order-77-b", "order-78", "￥58.00", "checkout c0"):
        assert word in ran.json["error"]["hint"]
    assert trained("resolve", "order-7", "--as", "paid", "--note", "x").code == 2
    assert trained("show", "order-77", "--field", "payment.checkout_id").out.strip() == "c0"


def test_a_code_scanned_where_an_id_belongs_is_not_repeated(trained: Training) -> None:
    """It names no payment, and is masked in what is said."""
    code = "281234567890123456"
    pay(trained, "a")
    for command in ("show", "status", "retry", "receipt"):
        ran = trained(command, code)
        assert ran.code == 2
        assert code not in ran.out + ran.err


def test_58_yuan_at_about_three(trained: Training, shop: Shop) -> None:
    """Amount and hours in one command find the complaint; fen or yuan, as it comes."""
    for checkout, fee, at in (
        ("a", "5800", "14:58"),
        ("b", "5800", "17:04"),
        ("c", "590", "15:01"),
    ):
        pay(trained, checkout, fee=fee)
        with closing(sqlite3.connect(shop.journal)) as db, db:
            db.execute(
                """UPDATE payments SET created_ms=1000*CAST(strftime('%s', '2026-11-26 ' || ?)
                   AS INTEGER) WHERE checkout_id=?""",
                (at, checkout),
            )
    shop.env["TZ"] = "UTC"
    about = ("--day", "2026/11/26", "--since", "14:30", "--until", "15:30")
    assert found(trained, "--fee", "58.00", *about) == ["a"]
    assert found(trained, "--fee", "5800") == ["b", "a"]
    assert found(trained, "--fee", "￥5.9") == ["c"]
    assert found(trained, *about) == ["c", "a"]
    assert found(trained, "--since", "2026-11-26 15:00", "--until", "2026-11-26T16:00") == ["c"]
    for wrong in ("58,00", "5.800", "-1", "58元6", "281234567890123456"):
        ran = trained("history", "--fee", wrong)
        assert ran.code == 2
        assert "281234567890123456" not in ran.err


def test_an_outcome_by_the_words_of_the_screen(trained: Training) -> None:
    """In both languages, whichever is on, and as the API and a shop say it."""
    pay(trained, "a")
    pay(trained, "b", "--code-stdin", stdin=LOST)
    for checkouts, words in (
        (["a"], ("成功", "paid", "PAID", "已付款", "success")),
        (["b"], ("open", "未决", "unknown", "结果未知")),
        ([], ("fail", "失败", "not_sent", "not sent")),
    ):
        for word in words:
            assert found(trained, "--outcome", word, "--lang", "zh") == checkouts, word


def test_a_word_that_is_no_outcome_is_refused(trained: Training) -> None:
    """With those there are (2)."""
    ran = trained("history", "--outcome", "blocked")
    assert ran.code == 2
    assert "open" in ran.err


def test_a_list_is_one_line_a_payment_in_80_columns(trained: Training, shop: Shop) -> None:
    """In Chinese, with shop, till and operator where there is more than one; its short ids name
    their payments.
    """
    request_id = pay(trained, "111")["request_id"]
    pay(trained, "222", "--machine", "002", "--operator", "9")
    command = [*shop.command, "--profile", "training", "history", "--lang", "zh"]
    text = pty_run(command, env=shop.env, cwd=shop.home).text
    lines = [line for line in text.splitlines() if "￥58.00" in line]
    assert len(lines) == 2
    assert "002" in lines[0]
    assert "收银机" in text
    assert "门店" not in text
    assert lines[1].split()[-1] == request_id[:8]
    assert trained("show", lines[1].split()[-1]).code == 0


def test_the_payments_in_a_spreadsheet(trained: Training, shop: Shop) -> None:
    """One row each, heads in the language in use, times of this machine, yuan; what is digits and
    no number keeps its zeros and its end; all of them, not the latest 50.
    """
    paid = pay(trained, "007", "--machine", "002")
    pay(trained, "b", "--code-stdin", stdin=LOST)
    ran = trained("history", "--csv", "p.csv", "--lang", "zh")
    assert ran.code == 0
    head, lost, first = csv.reader(io.StringIO((shop.home / "p.csv").read_text("utf-8-sig")))
    assert head[:4] == ["开始", "结果", "金额（元）", "实收（元）"]
    row = dict(zip(head, first, strict=True))
    assert (row["金额（元）"], row["实收（元）"]) == ("58.00", "58.00")
    assert row["收银机"] == "002\t"
    assert row["channel_order_id"].rstrip("\t") == paid["channel_order_id"]
    assert dict(zip(head, lost, strict=True))["实收（元）"] == ""
    printed = trained("history", "--csv", "-", "--lang", "zh")
    assert printed.out.lstrip("\ufeff").startswith('"开始"')
    assert trained("history", "--csv", "-", "--json").code == 2
    assert trained("history", "--csv", "no/such/p.csv").code == 2


def test_the_latest_by_status(trained: Training) -> None:
    """`status --last` asks about the latest payment of this till."""
    request_id = pay(trained, "a")["request_id"]
    ran = trained("status", "--last", "--json")
    assert ran.json["payment"]["request_id"] == request_id
    assert trained("status", "--last", request_id).code == 2


def test_the_latest_is_never_taken_for_an_open_one(trained: Training) -> None:
    """After a lost answer and one more sale `retry --last` tells nobody "paid": it asks which (2)
    and names both.
    """
    lost = pay(trained, "a", "--code-stdin", stdin=LOST)["request_id"]
    sold = pay(trained, "b")["request_id"]
    ran = trained("retry", "--last", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "which")
    assert f"retry {lost}" in ran.json["error"]["hint"]
    assert f"show {sold}" in ran.json["error"]["hint"]


def test_the_latest_of_one_till_is_not_anothers(shop: Shop) -> None:
    """Two tills' profiles on one journal: `receipt --last` of each prints its own."""
    with Merciless() as gateway:
        gateway.answer = lambda _members: told({"result_status": 1, "remaining_fee": 0})
        ids = {}
        for n in (2, 1):
            shop.profile(
                gateway.url,
                f"t{n}",
                defaults=f'{{shop_id: "1", operator_id: "1", machine_id: "00{n}", buyer_id: 1, '
                "source: s, merchant_code: M}",
            )
            ids[n] = pay(shop.run, f"c{n}", fee="1")["request_id"]
            (shop.home / "config.yaml").rename(shop.home / f"c{n}.yaml")
        for n in (1, 2):
            shop.env["POSCTL_CONFIG"] = str(shop.home / f"c{n}.yaml")
            assert shop.run("receipt", "--last", "--json").json["payment"]["request_id"] == ids[n]


def test_a_fee_that_finds_nothing_says_what_it_meant(trained: Training) -> None:
    """58 are fen: whoever meant yuan is told, and so is nobody who typed a point."""
    trained("pay", "--fee", "5800", "--checkout", "1")
    missed = trained("history", "--fee", "58")
    found = trained("history", "--fee", "58.00")
    assert "--fee 58.00" in missed.err
    assert "--fee" not in found.err


def test_a_checkout_typed_for_an_id_lists_its_open_payment(trained: Training) -> None:
    """Short or long, the checkout's open payment is listed, or all of them; nothing is done."""
    pay = ("pay", "--fee", "100", "--code-stdin", "--json", "--checkout")
    open_id = trained(*pay, "301", stdin="280000000000000009").json["request_id"]
    paid_id = trained(*pay, "20260101", stdin="280000000000000001").json["request_id"]
    closing = ("--as", "paid", "--note", "seen", "--yes", "--json")
    for name, one in (("301", open_id), ("20260101", paid_id)):
        ran = trained("resolve", name, *closing)
        assert ran.code == 2
        assert one in ran.json["error"]["hint"]
    assert "checkout" not in trained("resolve", "302", *closing).json["error"]["message"]
    assert trained("show", open_id, "--json").json["payment"]["outcome"] == "unknown"


@pytest.mark.parametrize(
    "words",
    [("history",), ("pending",), ("checkout", "9"), ("report", "--list")],
    ids=lambda words: words[0],
)
def test_an_empty_list_in_a_pipe_says_so_on_stderr(
    trained: Training, words: tuple[str, ...]
) -> None:
    """What programs read stays bare; --quiet and --json say nothing besides."""
    said = re.compile("No payments|Nothing is open|No shift was closed")
    assert said.search(trained(*words).err)
    assert not said.search(trained(*words).out)
    assert not said.search(trained(*words, "--quiet").err)
    assert not said.search(trained(*words, "--json").err)
