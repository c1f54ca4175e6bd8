"""Lists and sums of one shop, one operator, one till."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Ran, Shop
from merciless import Merciless

CUT_AFTER = f"28{9:016d}"

Training = Callable[..., Ran]


@pytest.fixture
def three(trained: Training) -> Training:
    """Three payments, each of another shop, operator and till; the third is open."""
    for n in "123":
        words = ("--shop", n, "--operator", f"op-{n}", "--machine", f"till-{n}")
        code = ("--code-stdin",) if n == "3" else ()
        trained("pay", "--fee", f"{n}00", "--checkout", n, *words, *code, stdin=CUT_AFTER)
    return trained


NARROW = [("--shop", "{}"), ("--operator", "op-{}"), ("--machine", "till-{}")]


@pytest.mark.parametrize(("option", "value"), NARROW)
def test_a_report_of_one(three: Training, option: str, value: str) -> None:
    """A day's report of one shop, operator or till sums up its payments alone, and says so."""

    def report(n: int, *more: str) -> Ran:
        return three("report", "--day", "today", option, value.format(n), *more)

    told: Any = report(2, "--json").json
    assert (told["paid"], told["fee"], told["open"]) == (1, 200, 0)
    name = {"--shop": "shop_id", "--operator": "operator_id", "--machine": "machine_id"}[option]
    assert told[name] == value.format(2)
    told = report(3, "--json").json
    assert (told["paid"], told["open"], len(told["open_payments"])) == (0, 1, 1)
    told = report(4, "--json").json
    assert (told["paid"], told["open"]) == (0, 0)
    page = report(2, "--html", "-").out
    assert f"REPORT · {name} {value.format(2)}" in page
    lines = report(2, "--csv", "-").out.removeprefix("\ufeff").splitlines()
    head = {"--shop": "Only shop", "--operator": "Only operator", "--machine": "Only till"}[option]
    assert {row[head].strip() for row in csv.DictReader(lines)} == {value.format(2)}


def test_the_head_names_the_profile_that_asks(shop: Shop) -> None:
    """A list may hold payments of several profiles of one merchant; its head is the one asked."""
    with Merciless() as gateway:
        shop.profile(gateway.url)
        config = shop.home / "config.yaml"
        (_default, _profiles, *own) = config.read_text().splitlines(keepends=True)
        config.write_text(config.read_text() + "".join(own).replace("store-1", "store-2"))
        for name in ("store-1", "store-2"):
            ran = shop.run("--profile", name, "pay", "--fee", "100", "--checkout", name)
            assert ran.code == 0, ran
        for name in ("store-1", "store-2"):
            listed = shop.run("--profile", name, "history", "--format", "text").out
            assert listed.splitlines()[0].endswith(name)


def test_history_says_that_there_are_more(three: Training) -> None:
    """What `history` leaves out for its --limit is said, to people and to scripts."""
    whole = three("history", "--limit", "3", "--json")
    assert (len(whole.json["payments"]), whole.json["more"], "more" in whole.err) == (
        3,
        False,
        False,
    )
    cut = three("history", "--limit", "2", "--json")
    assert (len(cut.json["payments"]), cut.json["more"]) == (2, True)
    assert "These are the latest 2, and there are more" in cut.err


def test_a_shift_is_never_narrowed(three: Training, shop: Shop) -> None:
    """A shift is the merchant's whole: only a span of time can be narrowed."""
    for words in ([], ["--close", "--yes"], ["--shift", "1"], ["--verify"]):
        ran = three("report", "--machine", "till-1", *words, "--json")
        assert (ran.code, ran.json["error"]["code"]) == (2, "only_of_a_span")
        assert " report --day today --machine till-1" in ran.json["error"]["hint"]
    assert three("report", "--json").json["machine_id"] is None


@pytest.mark.parametrize(("option", "value"), NARROW)
def test_what_is_open_of_one(three: Training, option: str, value: str) -> None:
    """`pending` of one shop, operator or till shows, and checks, its open payments alone."""
    (opened,) = three("pending", option, value.format(3), "--json").json["payments"]
    assert opened["checkout_id"] == "3"
    assert three("pending", "--check", option, value.format(3)).code == 20
    assert three("pending", option, value.format(2), "--json").json["payments"] == []
    assert three("pending", "--check", option, value.format(2)).code == 0
