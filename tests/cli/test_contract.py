"""What scripts rely on: the keys of every JSON object and every exit code, on every path."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Ran, Shop
from faultserver import FaultServer, answer, refusing_port

from posctl.money.outcome import EXIT_OF, Exit, Outcome

PAY_KEYS = {
    *("posctl", "command", "outcome", "exit_code", "profile", "live", "request_id", "shop_id"),
    *("checkout_id", "order_id", "pay_fee", "result_status", "remaining_fee", "current_pay_fee"),
    *("current_payment_channel", "payment_order_id", "channel_order_id", "result_code"),
    *("result_message", "trace_id", "tries", "resumed", "warnings", "error"),
}
ERROR_KEYS = {"kind", "code", "sub_code", "message", "hint"}
PAY = ("pay", "--fee", "100", "--checkout", "111", "--json")

Training = Callable[..., Ran]


def scripted(ran: Ran, command: str, code: int) -> dict[str, object]:
    """The one JSON object of a run, with what every object has."""
    data = ran.json
    assert ran.code == code, ran
    assert (data["posctl"], data["command"], data["exit_code"]) == (1, command, code)
    if data["error"] is not None:
        assert set(data["error"]) == ERROR_KEYS
        assert data["error"]["message"]
    return data


def test_exit_codes_are_those_of_the_contract() -> None:
    """The exit codes of outcomes.md, number by number."""
    text = (Path(__file__).parents[2] / "docs" / "outcomes.md").read_text()
    rows = re.findall(r"^\| (?:`(\w+)`|–) \| (\d+) \|", text, re.MULTILINE)
    assert len(rows) == 13
    for outcome, code in rows:
        if outcome:
            assert EXIT_OF[Outcome(outcome)] == int(code)
    assert {int(code) for _outcome, code in rows} == {int(code) for code in Exit}


def test_success_has_every_key(trained: Training) -> None:
    """A paid payment: every key of the contract, no error."""
    data = scripted(trained(*PAY), "pay", 0)
    assert set(data) >= PAY_KEYS
    assert (data["outcome"], data["error"], data["warnings"]) == ("success", None, [])


@pytest.mark.parametrize(
    ("code", "exit_code", "outcome"),
    [
        ("280000000000000003", 10, "fail"),
        ("280000000000000016", 12, "rejected"),
        ("280000000000000004", 20, "pending"),
        ("280000000000000009", 21, "unknown"),
        ("280000000000000014", 22, "conflict"),
    ],
)
def test_every_outcome_has_every_key(
    trained: Training, code: str, exit_code: int, outcome: str
) -> None:
    """Each outcome with its exit code; `error` is null for pending alone of these."""
    data = scripted(trained(*PAY, "--code-stdin", stdin=code), "pay", exit_code)
    assert set(data) >= PAY_KEYS
    assert data["outcome"] == outcome
    assert (data["error"] is None) == (outcome == "pending")
    assert (data["live"], data["checkout_id"], data["tries"]) == (False, "111", 1)


def test_not_sent_has_every_key(shop: Shop) -> None:
    """A request that never left: exit 11, every key, no tries at the gateway."""
    with refusing_port() as port:
        shop.profile(f"http://127.0.0.1:{port}/router/rest")
        data = scripted(shop.run(*PAY), "pay", 11)
    assert set(data) >= PAY_KEYS
    assert (data["outcome"], data["live"], data["profile"]) == ("not_sent", True, "store-1")


def test_blocked_has_every_key(trained: Training) -> None:
    """A blocked pay: exit 30, what was asked, no request_id of its own that could mislead."""
    trained(*PAY, "--code-stdin", stdin="280000000000000004")
    data = scripted(trained(*PAY, "--operator", "9"), "pay", 30)
    assert set(data) >= PAY_KEYS
    assert (data["outcome"], data["checkout_id"], data["pay_fee"]) == ("blocked", "111", 100)
    assert data["error"]


@pytest.mark.parametrize(
    "args",
    [
        ("--fee", "0"),
        ("--fee", "1", "--fee", "1"),
        ("--fe", "1"),
        ("--fee",),
        ("extra",),
        ("--fee", "1", "--wait", "soon"),
        ("--fee", "1", "--file", "/no/such/file"),
        ("--fee", "1", "--lang", "fr"),
    ],
)
def test_usage_errors_have_every_key(trained: Training, args: tuple[str, ...]) -> None:
    """Bad flags, values and files: exit 2, outcome null, every key, on the framework's path too."""
    data = scripted(trained("pay", "--json", "--checkout", "1", *args), "pay", 2)
    assert set(data) >= PAY_KEYS
    assert (data["outcome"], data["error"]["kind"]) == (None, "usage")  # type: ignore[index]  # it is a dict


def test_configuration_errors_have_every_key(shop: Shop) -> None:
    """No configuration, an unknown profile, a missing secret: exit 3, outcome null."""
    shop.env["POSCTL_CONFIG"] = str(shop.home / "none.yaml")
    assert set(scripted(shop.run(*PAY), "pay", 3)) >= PAY_KEYS
    with FaultServer(answer()) as server:
        shop.profile(server.url, secret=None, secret_env="NO_SUCH_SECRET")
        data = scripted(shop.run(*PAY), "pay", 3)
        assert set(data) >= PAY_KEYS
        assert data["outcome"] is None
        assert not server.connections
    assert not shop.recorded


def test_journal_errors_have_every_key(trained: Training, shop: Shop) -> None:
    """A journal that cannot be trusted: exit 31, outcome null, nothing sent."""
    shop.journal.write_bytes(b"")
    data = scripted(trained(*PAY), "pay", 31)
    assert set(data) >= PAY_KEYS
    assert data["outcome"] is None
    assert shop.journal.read_bytes() == b"", "never created over"


LISTS = {
    "pending": ("payments", "alarms"),
    "history": ("payments",),
    "checkout": ("checkout_id", "paid_fee", "remaining_fee", "payments"),
}


@pytest.mark.parametrize("command", LISTS)
def test_lists(trained: Training, command: str) -> None:
    """Lists hold payments with the keys of a payment."""
    trained(*PAY, "--code-stdin", stdin="280000000000000004")
    args = ("111",) if command == "checkout" else ()
    data = scripted(trained(command, *args, "--json"), command, 0)
    assert set(data) >= {"posctl", "command", *LISTS[command]}
    (payment,) = trained(command, *args, "--json").json["payments"]
    assert set(payment) >= PAY_KEYS - {"posctl", "command", "resumed", "warnings", "error"}


def test_show_has_payment_and_tries(trained: Training) -> None:
    """`show`: one payment with the keys of a payment, and its tries."""
    request_id = trained(*PAY).json["request_id"]
    data = scripted(trained("show", request_id, "--json"), "show", 0)
    assert set(data) >= {"payment", "tries"}


def test_retry_of_one_answers_as_pay_does(trained: Training) -> None:
    """`retry` of one id has pay's keys; of several, a list with the worst code."""
    trained(*PAY, "--code-stdin", stdin="280000000000000004")
    several = scripted(trained("retry", "--all", "--json"), "retry", 0)
    assert set(several) >= {"posctl", "command", "exit_code", "payments"}
    one = scripted(trained("retry", "--last", "--json"), "retry", 0)
    assert set(one) >= PAY_KEYS
    usage = scripted(trained("retry", "--json"), "retry", 2)
    assert usage["error"]


def test_unknown_commands_answer_in_json(shop: Shop) -> None:
    """Even a command that does not exist answers `--json` with an object."""
    data = shop.run("pya", "--json")
    assert data.code == 2
    assert data.json["error"]["kind"] == "usage"


# ── the journal refuses what it cannot trust ─────────────────────────────────────────────────


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA user_version = 999")
    db.close()


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE theirs (a)")
    db.close()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


SPOILED: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a database at all, and long enough " * 40),
    "truncated": lambda path: os.truncate(path, 1000),
    "newer schema": _newer,
    "foreign": _foreign,
    "a folder": _folder,
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_journal_stops_everything(shop: Shop, how: str) -> None:
    """0 bytes, foreign, newer, truncated or no file at all: exit 31, and no connection is made."""
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        assert shop.run(*PAY).code == 0
        sent = server.connections
        SPOILED[how](shop.journal)
        for name in ("journal.db-wal", "journal.db-shm"):
            (shop.home / name).unlink(missing_ok=True)
        data = scripted(shop.run(*PAY[:-1], "--json", "--another"), "pay", 31)
        assert data["error"]["kind"] == "journal"  # type: ignore[index]  # it is a dict
        assert server.connections == sent


def test_a_locked_journal_is_waited_for_then_refused(shop: Shop) -> None:
    """A journal that another process keeps locked counts as such after 10 s: exit 31."""
    with FaultServer(answer()) as server:
        shop.profile(server.url)
        assert shop.run(*PAY).code == 0
        sent = server.connections
        holder = sqlite3.connect(shop.journal, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        data = scripted(shop.run(*PAY[:-1], "--json", "--another"), "pay", 31)
        holder.execute("ROLLBACK")
        holder.close()
        assert "locked" in data["error"]["message"]  # type: ignore[index]  # it is a dict
        assert server.connections == sent


def test_the_journal_is_born_private(trained: Training, shop: Shop) -> None:
    """The journal, its side files and the training ledger are readable by their owner alone."""
    trained(*PAY)
    for file in shop.home.iterdir():
        if file.is_file():
            assert file.stat().st_mode & 0o077 == 0, file
