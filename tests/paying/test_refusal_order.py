"""What is mistyped (2) is told before what is not set up (3), and that before the journal (31)."""

from __future__ import annotations

import pytest
from conftest import Shop

MISTYPED: dict[str, tuple[str, ...]] = {
    "pay, a fee": ("pay", "--shop", "1", "--fee", "abc", "--checkout", "1"),
    "pay, a shop": ("pay", "--shop", "one", "--fee", "100", "--checkout", "1"),
    "pay, a wait": ("pay", "--fee", "100", "--checkout", "1", "--wait", "long"),
    "pay, a file": ("pay", "--file", "nowhere.json"),
    "pay, a member": ("pay", "--file", "member.json"),
    "retry, an id": ("retry", "not an id"),
    "retry, two ids": ("retry", "order-0001", "not an id"),
    "retry, a wait": ("retry", "--last", "--wait", "0"),
    "status, an id": ("status", "not an id"),
    "status, a checkout": ("status", "--checkout", "not an id"),
    "status, a shop": ("status", "--checkout", "1", "--shop", "one"),
    "resolve, an id": ("resolve", "not an id", "--as", "paid", "--note", "seen"),
    "resolve, a word": ("resolve", "order-0001", "--as", "perhaps", "--note", "seen"),
    "resolve, a note": ("resolve", "order-0001", "--as", "paid"),
    "history, a day": ("history", "--day", "someday"),
    "history, an outcome": ("history", "--outcome", "good"),
    "history, a limit": ("history", "--limit", "0"),
    "report, a day": ("report", "--day", "someday"),
    "report, a moment": ("report", "--since", "2026-01-01T99"),
    "report, a shift": ("report", "--shift", "0"),
    "report, a table": ("report", "--by", "weather"),
    "batch, a file": ("batch", "nowhere.jsonl"),
    "receipt, an id": ("receipt", "not an id"),
    "receipt, a width": ("receipt", "--last", "--width", "33"),
    "checkout, an option": ("checkout", "1", "--shops", "1"),
    "show, an id": ("show", "not an id"),
}
FINE: dict[str, tuple[str, ...]] = {
    "pay": ("pay", "--shop", "1", "--fee", "100", "--checkout", "1"),
    "retry": ("retry", "order-0001"),
    "retry, two": ("retry", "order-0001", "order-0002"),
    "status": ("status", "--checkout", "1"),
    "resolve": ("resolve", "order-0001", "--as", "paid", "--note", "seen"),
    "history": ("history",),
    "report": ("report", "--shift", "1"),
    "batch": ("batch", "orders.jsonl"),
    "receipt": ("receipt", "order-0001"),
    "checkout": ("checkout", "1"),
    "show": ("show", "order-0001"),
}


def without(shop: Shop, what: str) -> None:
    """A machine without a configuration, or with one and without the journal."""
    (shop.home / "member.json").write_text('{"pay_fee": -1, "checkout_id": "1"}')
    (shop.home / "orders.jsonl").write_text('{"checkout_id": "1", "pay_fee": 100}\n')
    if what == "journal":
        shop.begun = True  # none is made
        shop.profile("https://127.0.0.1:9/router/rest")


@pytest.mark.parametrize("missing", ["configuration", "journal"])
@pytest.mark.parametrize("words", MISTYPED.values(), ids=MISTYPED)
def test_what_is_mistyped_is_told_first(shop: Shop, words: tuple[str, ...], missing: str) -> None:
    """2, whatever else is missing on this machine."""
    without(shop, missing)
    ran = shop.run(*words, "--json")
    assert (ran.code, ran.json["error"]["kind"]) == (2, "usage")


@pytest.mark.parametrize(("missing", "code"), [("configuration", 3), ("journal", 31)])
@pytest.mark.parametrize("words", FINE.values(), ids=FINE)
def test_what_is_missing_is_told_of_what_is_typed_well(
    shop: Shop, words: tuple[str, ...], missing: str, code: int
) -> None:
    """The configuration before the journal that it names: 3, then 31."""
    without(shop, missing)
    assert shop.run(*words, "--json").code == code
