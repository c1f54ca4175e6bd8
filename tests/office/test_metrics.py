"""What a monitoring system is told, and what is told to `notify_command`."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Ran, Shop

from posctl.money.outcome import Outcome
from posctl.office.metrics import OPEN, SETTLED, OfMerchant, metrics_text

Training = Callable[..., Ran]
PENDING = "280000000000000013"  # pending for as long as it is asked
FAMILY = re.compile(r"# (?:HELP posctl_[a-z_]+ [!-~ ]+|TYPE posctl_[a-z_]+ (?:gauge|counter))")
SAMPLE = re.compile(r'posctl_[a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? -?[0-9]+')


def values(text: str) -> dict[str, int]:
    """The samples of an exposition, by name and labels; every line is a well-formed one."""
    lines = text.splitlines()
    assert all(FAMILY.fullmatch(one) or SAMPLE.fullmatch(one) for one in lines), text
    samples = (one.rpartition(" ") for one in lines if not one.startswith("#"))
    return {name: int(value) for name, _blank, value in samples}


def label(name: str, outcome: str) -> str:
    return f'posctl_{name}{{merchant="training",live="0",outcome="{outcome}"}}'


def of_training(name: str) -> str:
    return f'posctl_{name}{{merchant="training",live="0"}}'


def older(shop: Shop, minutes: int) -> None:
    """Every payment of the journal was begun so much earlier."""
    with closing(sqlite3.connect(shop.journal)) as db, db:
        db.execute("UPDATE payments SET created_ms=created_ms-?", (minutes * 60_000,))


def test_every_sample_is_well_formed_whatever_the_merchants_name() -> None:
    """Quotes, backslashes and line ends in a name are escaped; a time that never came is left
    out.
    """
    one = OfMerchant(
        name='a"b\\c\nd',
        live=True,
        open=dict.fromkeys(OPEN, 1),
        open_fen=300,
        oldest_open_s=61,
        alarms=2,
        settled={Outcome.SUCCESS: 5},
        taken_fen=500,
        last_success_s=None,
        last_sweep_s=7,
    )
    found = values(metrics_text([one], 4096))
    assert found['posctl_open_fen{merchant="a\\"b\\\\c\\nd",live="1"}'] == 300
    assert not any(name.startswith("posctl_last_success") for name in found)
    assert found["posctl_journal_bytes"] == 4096
    assert sum(name.startswith("posctl_payments_total") for name in found) == len(SETTLED)


def test_metrics_tell_what_is_open_what_was_settled_and_when_a_sweep_ran(
    shop: Shop, trained: Training
) -> None:
    """Open payments with their age and sum, the money of today, the last success and the last
    sweep: each as the journal has it.
    """
    trained("pay", "--fee", "100", "--checkout", "1")
    trained("pay", "--fee", "30", "--checkout", "2", "--code-stdin", stdin=PENDING)
    before = values(trained("metrics").out)
    older(shop, 20)
    trained("retry", "--due")
    after = values(trained("metrics").out)
    assert before[label("open_payments", "pending")] == 1
    assert before[of_training("open_fen")] == 30
    assert before[label("payments_total", "success")] == 1
    assert before[of_training("taken_fen_total")] == 100
    assert of_training("last_sweep_timestamp_seconds") not in before
    assert 1200 <= after[of_training("oldest_open_seconds")] < 1500
    assert after[of_training("last_sweep_timestamp_seconds")] > 0
    assert after["posctl_journal_bytes"] > 0


def notified(shop: Shop) -> list[dict[str, object]]:
    path = shop.home / "told.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def told(shop: Shop) -> Callable[[str], None]:
    """Make `notify_command` a program that appends its stdin to a file, then does `then`."""

    def make(then: str = "") -> None:
        program = shop.home / "tell.py"
        target = str(shop.home / "told.jsonl")
        program.write_text(
            f"import sys\nopen({target!r}, 'ab').write(sys.stdin.buffer.read())\n"
            f"print('noise')\n{then}\n"
        )
        path = shop.home / "config.yaml"
        command = json.dumps([sys.executable, str(program)])
        path.write_text(f"profiles:\n  training:\n    notify_command: {command}\n")
        path.chmod(0o600)
        shop.env["POSCTL_CONFIG"] = str(path)

    return make


def test_a_payment_past_fifteen_minutes_is_told_once(
    shop: Shop, trained: Training, told: Callable[[str], None]
) -> None:
    """`retry --due` gives it to `notify_command` when it will not be resent any more, not before
    and never twice; what the command prints stays out of the result.
    """
    told("")
    trained("pay", "--fee", "30", "--checkout", "2", "--code-stdin", stdin=PENDING)
    trained("retry", "--due")
    assert notified(shop) == []
    older(shop, 16)
    first = trained("retry", "--due", "--json")
    trained("retry", "--due")
    assert first.json["command"] == "retry"
    (one,) = notified(shop)
    assert one["event"] == "waiting"
    assert one["payment"]["checkout_id"] == "2"  # type: ignore[index]  # an object
    assert one["alarm"] is None


def test_a_command_that_fails_is_asked_again(
    shop: Shop, trained: Training, told: Callable[[str], None]
) -> None:
    """A hook that ends with another code than 0 changes no exit code, is told of on stderr, and
    hears of the payment again at the next sweep.
    """
    told("sys.exit(7)")
    trained("pay", "--fee", "30", "--checkout", "2", "--code-stdin", stdin=PENDING)
    older(shop, 16)
    first = trained("retry", "--due")
    told("")
    second = trained("retry", "--due")
    assert (first.code, second.code) == (0, 0)
    assert "notify_command" in first.err
    assert "notify_command" not in second.err
    assert len(notified(shop)) == 2


def test_a_program_that_is_not_there_holds_nothing_up(shop: Shop, trained: Training) -> None:
    """`retry --due` ends as without it, and says what is wrong."""
    path = Path(shop.home / "config.yaml")
    path.write_text("profiles:\n  training:\n    notify_command: [/nowhere/tell]\n")
    path.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(path)
    trained("pay", "--fee", "30", "--checkout", "2", "--code-stdin", stdin=PENDING)
    older(shop, 16)
    swept = trained("retry", "--due")
    assert swept.code == 0
    assert "notify_command" in swept.err


@pytest.mark.parametrize("value", ["/bin/true", "[]", '[""]', "{a: b}"])
def test_what_is_no_list_of_words_is_refused(shop: Shop, trained: Training, value: str) -> None:
    """A command in one text would be cut apart by nobody's rules: 3, with the line."""
    path = Path(shop.home / "config.yaml")
    path.write_text(f"profiles:\n  training:\n    notify_command: {value}\n")
    path.chmod(0o600)
    shop.env["POSCTL_CONFIG"] = str(path)
    refused = trained("config", "check")
    assert refused.code == 3
    assert "line 3" in refused.err
