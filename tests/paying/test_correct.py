"""A word given by mistake is corrected: a new entry, and nothing that was closed is touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from conftest import Ran, Shop
from pty_run import pty_run

LOST = f"28{9:016d}"  # charged, and the answer is lost
Training = Callable[..., Ran]


def lost(trained: Training, checkout: str, fee: str = "6600") -> str:
    """A payment that is open; its request_id."""
    args = ("pay", "--json", "--fee", fee, "--checkout", checkout, "--code-stdin")
    ran = trained(*args, stdin=LOST)
    assert ran.code == 21
    return str(ran.json["request_id"])


def closed(trained: Training, checkout: str, word: str, fee: str = "6600") -> str:
    """A payment that a person has closed with this word; its request_id."""
    request_id = lost(trained, checkout, fee)
    assert trained("resolve", request_id, "--as", word, "--note", "mistaken").code == 0
    return request_id


def correct(trained: Training, request_id: str, word: str, *more: str) -> Ran:
    args = ("resolve", request_id, "--correct", "--as", word, "--note", "looked again", "--json")
    return trained(*args, *more)


def taken(trained: Training, *which: str) -> tuple[int, int, list[int]]:
    """How many are paid, what was taken, and the corrections, in fen."""
    data = trained("report", *which, "--json").json
    for name in ("shop", "operator", "till", "channel", "day", "hour"):
        assert sum(line["fee"] for line in data["by"][name]) == data["fee"], name
        assert sum(line["count"] for line in data["by"][name]) == data["paid"], name
    return data["paid"], data["fee"], [one["fee"] for one in data["corrections"]]


def test_a_closed_shift_stays_and_the_running_one_carries_the_difference(
    trained: Training, shop: Shop
) -> None:
    """The closed shift keeps its sum and stays valid; the difference is in the running one's
    `fee`, listed, and then in the shift that is closed over it.
    """
    request_id = closed(trained, "a", "paid")
    assert trained("report", "--close").code == 0
    ran = correct(trained, request_id, "not-paid")
    assert ran.code == 0
    payment = ran.json["payment"]
    assert (payment["outcome"], payment["state"], payment["corrected"]) == (
        *("fail", "resolved"),
        True,
    )
    (entry,) = ran.json["corrections"]
    assert (entry["as"], entry["fee"], entry["note"]) == ("not-paid", -6600, "looked again")
    assert entry["by"]
    assert taken(trained, "--shift", "1") == (1, 6600, [])
    assert taken(trained) == (-1, -6600, [-6600])
    assert taken(trained, "--day", "today") == (0, 0, [-6600])
    assert trained("report", "--verify").code == 0
    assert taken(trained, "--close") == (-1, -6600, [-6600])
    assert taken(trained) == (0, 0, [])
    assert taken(trained, "--shift", "2") == (-1, -6600, [-6600])
    assert trained("report", "--verify").code == 0
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE corrections SET note='something else'")
    assert trained("report", "--verify").code == 31


def test_a_day_that_is_over_stays_and_the_day_of_the_correction_has_it(
    trained: Training, shop: Shop
) -> None:
    """By date as by shift: what was summed up stays, and the difference counts when it was made."""
    request_id = closed(trained, "a", "paid")
    day_ms = 86_400_000
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute(
            "UPDATE payments SET created_ms=created_ms-?, closed_ms=closed_ms-?", [day_ms] * 2
        )
    assert taken(trained, "--day", "yesterday") == (1, 6600, [])
    assert correct(trained, request_id, "not-paid").code == 0
    assert taken(trained, "--day", "yesterday") == (1, 6600, [])
    assert taken(trained, "--day", "today") == (-1, -6600, [-6600])
    assert taken(trained, "--since", "yesterday") == (0, 0, [-6600])
    page = trained("report", "--day", "yesterday", "--details", "--csv", "-").out
    assert "PAID (corrected)" in page


def test_everything_reads_the_payment_as_it_was_corrected(trained: Training) -> None:
    """`history`, `checkout`, `retry`, `receipt` and the next `pay` go by the latest word; `show`
    has every word.
    """
    request_id = closed(trained, "a", "not-paid")
    assert correct(trained, request_id, "paid").code == 0
    listed = trained("history", "--outcome", "success", "--json").json["payments"]
    assert [one["request_id"] for one in listed] == [request_id]
    assert trained("history", "--outcome", "fail", "--json").json["payments"] == []
    assert trained("checkout", "a", "--json").json["paid_fee"] == 6600
    assert trained("retry", request_id).code == 0
    paper = trained("receipt", request_id, "--copy", "store").out
    assert "Corrected" in paper
    assert "looked again" in paper
    refused = trained("pay", "--fee", "6600", "--checkout", "a", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (30, "already_paid")
    shown = trained("show", request_id, "--json").json
    assert shown["payment"]["resolved_note"] == "mistaken"
    assert [one["note"] for one in shown["corrections"]] == ["looked again"]
    assert trained("journal", "check").code == 0


def test_a_correction_is_corrected(trained: Training) -> None:
    """Every word is kept, and together they come to what the last one says."""
    request_id = closed(trained, "a", "paid")
    assert correct(trained, request_id, "not-paid").code == 0
    assert correct(trained, request_id, "paid").code == 0
    assert taken(trained) == (1, 6600, [-6600, 6600])
    assert trained("report", "--close").code == 0
    assert trained("report", "--verify").code == 0
    assert correct(trained, request_id, "not-paid").code == 0
    assert taken(trained) == (-1, -6600, [-6600])
    assert trained("report", "--verify").code == 0
    assert trained("receipt", request_id).code == 2, "nothing was paid"


@pytest.mark.parametrize(
    ("begin", "args", "code"),
    [
        (closed, ("--correct", "--as", "paid"), "so_already"),
        (closed, ("--as", "not-paid"), "closed"),
        (closed, ("--as", "paid"), "closed"),
        (lost, ("--correct", "--as", "paid"), "open"),
        (closed, ("--correct",), "bad_as"),
        (closed, ("--correct", "--acknowledge"), "which"),
        (closed, ("--correct", "--as", "Paid"), "bad_as"),
    ],
)
def test_what_a_person_gets_wrong_changes_nothing(
    trained: Training, begin: Callable[..., str], args: tuple[str, ...], code: str
) -> None:
    """The same word again, a payment that is open, words left out or both: 2, and what to type."""
    request_id = begin(trained, "a", "paid") if begin is closed else begin(trained, "a")
    before = trained("show", request_id, "--json").json["payment"]
    ran = trained("resolve", request_id, *args, "--note", "looked again", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)
    assert trained("show", request_id, "--json").json["payment"] == before


def test_what_the_platform_said_is_not_corrected(trained: Training) -> None:
    """A payment that an answer closed is no person's word (2); how money is given back is said."""
    paid = trained("pay", "--fee", "100", "--checkout", "a", "--json").json["request_id"]
    ran = correct(trained, paid, "not-paid")
    assert (ran.code, ran.json["error"]["code"]) == (2, "not_by_hand")
    assert "explain refund" in ran.json["error"]["hint"]


def test_closing_it_the_other_way_tells_how_to_correct(trained: Training) -> None:
    """Who runs `resolve` once more, the other way, is given the command for it."""
    request_id = closed(trained, "a", "paid")
    ran = trained("resolve", request_id, "--as", "not-paid", "--note", "wrong one", "--json")
    assert ran.code == 2
    assert f"resolve {request_id} --correct --as not-paid" in ran.json["error"]["hint"]


def test_closing_it_so_again_tells_how_to_correct(trained: Training) -> None:
    """Whoever repeats a wrong closing reads how to take it back, and who answers for it."""
    request_id = closed(trained, "a", "paid")
    ran = trained("resolve", request_id, "--as", "paid", "--note", "again", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, "closed")
    assert f"resolve {request_id} --correct --as not-paid" in ran.json["error"]["hint"]
    shown = trained("show", request_id, "--json").json["payment"]
    assert shown["resolved_by"].startswith("123, ")
    assert trained("report", "--close", "--json").json["closed_by"].startswith("123, ")


def test_two_who_correct_at_once_correct_once(trained: Training, shop: Shop) -> None:
    """The second finds it as he wanted it (2): the difference is booked once."""
    request_id = closed(trained, "a", "paid")
    args = ("resolve", request_id, "--correct", "--as", "not-paid", "--note", "looked again")
    both = [shop.start("--profile", "training", *args) for _n in range(2)]
    codes = sorted(process.wait(timeout=60) for process in both)
    for process in both:
        process.communicate()
    assert codes == [0, 2]
    assert taken(trained) == (0, 0, [-6600])


def test_on_a_terminal_it_asks_with_what_is_known(trained: Training, shop: Shop) -> None:
    """Amount, checkout, time, tries and the last of them stand in sight; no changes nothing (30),
    yes does.
    """
    request_id = closed(trained, "a", "paid")
    args = ("resolve", request_id, "--correct", "--as", "not-paid", "--note", "looked again")
    command = [*shop.command, "--profile", "training", *args]
    no = pty_run(command, env=shop.env, cwd=shop.home, answers=[("[y/N]", "n\r")])
    assert no.exit_code == 30
    text = " ".join(no.text.split())
    assert "Checkout a, ￥66.00, begun " in text
    assert "Tried once, " in text
    assert "Correct it to not paid? [y/N]" in text
    assert taken(trained) == (1, 6600, [])
    yes = pty_run(command, env=shop.env, cwd=shop.home, answers=[("[y/N]", "y\r")])
    assert yes.exit_code == 0
    assert "Corrected to not paid" in yes.text
    assert taken(trained) == (0, 0, [-6600])
    report = [*shop.command, "--profile", "training", "report"]
    screen = pty_run(report, env=shop.env, cwd=shop.home)
    assert "CORRECTIONS: 1, −￥66.00" in screen.text


def test_a_correction_answers_the_alarm_that_said_so(trained: Training, shop: Shop) -> None:
    """The platform's "paid" about a payment closed as not paid is silent once the record agrees;
    until then it blocks the close.
    """
    (shop.home / "c.yaml").write_text("profiles: {training: {status_words: {SUCCESS: success}}}\n")
    (shop.home / "c.yaml").chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(shop.home / "c.yaml")
    request_id = closed(trained, "a", "not-paid")
    assert trained("status", request_id).code == 22
    assert trained("report", "--close").code == 30
    assert correct(trained, request_id, "paid").code == 0
    assert trained("pending", "--check").code == 0
    assert trained("report", "--close").code == 0


def test_a_restore_keeps_what_was_corrected_since(trained: Training, shop: Shop) -> None:
    """A backup from before the correction takes nothing of it away, and one from after brings it
    back.
    """
    request_id = closed(trained, "a", "not-paid")
    assert trained("journal", "backup", "before.db").code == 0
    assert correct(trained, request_id, "paid").code == 0
    assert trained("journal", "backup", "after.db").code == 0
    shown = _said(trained, request_id)
    assert trained("journal", "restore", "before.db", "--yes").code == 0
    assert _said(trained, request_id) == shown
    shop.journal.unlink()
    assert trained("journal", "restore", "after.db", "--yes").code == 0
    assert _said(trained, request_id) == shown
    assert trained("journal", "check").code == 0


def _said(trained: Training, request_id: str) -> Any:
    shown = trained("show", request_id, "--json").json
    return shown["payment"], shown["corrections"]


def test_a_corrected_payment_is_not_pruned(trained: Training, shop: Shop) -> None:
    """A later shift rests on it, so it stays in the journal, and that shift valid."""
    request_id = closed(trained, "a", "paid")
    closed(trained, "b", "paid")
    assert trained("report", "--close").code == 0
    assert correct(trained, request_id, "not-paid").code == 0
    assert trained("report", "--close").code == 0
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE payments SET closed_ms=closed_ms-40*86400000")
    ran = trained("journal", "prune", "--older-than", "30", "--export", "old.jsonl", "--json")
    assert (ran.code, ran.json["payments"], ran.json["kept"]) == (0, 1, 1)
    assert trained("show", request_id).code == 0
