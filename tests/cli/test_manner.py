"""How results are told: --format, --quiet, --field, and codes that were typed as arguments."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from conftest import Ran, Shop

Training = Callable[..., Ran]
CODE = "283456789012345678"


@pytest.fixture
def paid(trained: Training) -> Training:
    for n in (1, 2):
        trained("pay", "--fee", "100", "--checkout", str(n), "--json")
    return trained


LISTS = [("history",), ("pending",), ("checkout", "1"), ("report", "--day", "today")]


@pytest.mark.parametrize("command", LISTS)
def test_every_list_comes_in_four_formats(paid: Training, command: tuple[str, ...]) -> None:
    """Text is drawn as on a terminal, into a pipe too; keys, json and csv are for programs."""
    text = paid(*command, "--format", "text", env={"COLUMNS": "100"}).out
    keys = paid(*command, "--format", "keys").out
    data = json.loads(paid("--format", "json", *command).out)
    assert "\x1b" not in text
    assert "exit_code" not in text
    assert keys.startswith("posctl: 1\n")
    assert data["command"] == command[0]
    rows = list(csv.DictReader(io.StringIO(paid(*command, "--format=csv").out.lstrip("\ufeff"))))
    if command[0] in ("history", "checkout"):
        wanted = [one["request_id"] for one in data["payments"]]
        assert [row["request_id"] for row in rows] == wanted
        assert "￥1.00" in text


@pytest.mark.parametrize(
    "words",
    [
        ("history", "--format", "xml"),
        ("history", "--format", "text", "--json"),
        ("history", "--format", "csv", "--field", "payments"),
        ("doctor", "--format", "csv"),
        ("--format", "csv", "pay", "--fee", "1", "--checkout", "9"),
    ],
)
def test_what_cannot_be_told_so_is_refused(paid: Training, words: tuple[str, ...]) -> None:
    """An unknown format, two at once, and CSV of what is no list: 2, and nothing is done."""
    assert paid(*words).code == 2
    assert len(paid("history", "--json").json["payments"]) == 2


def test_quiet_leaves_results_and_errors(paid: Training) -> None:
    """--quiet takes the notes from stderr, on either side of the command, and nothing else."""
    for words in (("--quiet", "history", "--json"), ("history", "--json", "--quiet")):
        ran = paid(*words)
        assert (ran.code, ran.err) == (0, "")
        assert len(ran.json["payments"]) == 2
    ran = paid("show", "no-such-payment", "--quiet")
    assert ran.code == 2
    assert "Error" in ran.err
    cut = paid("history", "--limit", "1", "--format", "csv", "--quiet")
    assert "there are more" in cut.err, "a list that is cut short looks whole"
    assert "TRAINING" in paid("report").err
    assert paid("report", "--quiet").err == ""


def test_a_quiet_sweep_without_anything_due_says_nothing(paid: Training) -> None:
    """With --quiet `retry --due` prints nothing when nothing was due; else it says when it ran."""
    ran = paid("retry", "--due", "--json", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert paid("retry", "--due", "--json").json["at"].endswith("Z")


def test_the_version_comes_as_json(shop: Shop) -> None:
    """--version with --json or --format json, in whatever order, is one object."""
    for words in (("--version", "--json"), ("--json", "--version"), ("--version", "--format=json")):
        ran = shop.run(*words)
        assert (ran.code, ran.json["command"]) == (0, "version")


TYPED = [
    *(("show", CODE), ("retry", CODE), ("resolve", CODE, "--as", "paid", "--note", "x")),
    *(("status", CODE), ("receipt", CODE), ("checkout", CODE), ("explain", CODE)),
    *(("batch", CODE), ("reconcile", CODE), ("reconcile", f"{CODE}.csv")),
    ("--profile", CODE, "pay"),
    *(("history", "--day", CODE), ("history", "--outcome", CODE), ("pay", "--file", CODE)),
    *(("history", "--checkout", CODE), ("--config", f"/{CODE}.yaml", "history")),
    ("pay", "--fee", "1", "--checkout", CODE, "--dry-run"),
    ("pay", "--fee", "1", "--checkout", "1", "--order", CODE, "--dry-run"),
    *(("report", "--day", CODE), ("report", "--shift", CODE), ("journal", "restore", CODE)),
    *(("journal", "backup", f"{CODE}/x"), ("completion", CODE), ("config", "show", CODE)),
    *((CODE,), ("history", CODE), ("pending", "--shop", CODE), ("--lang", CODE, "history")),
    *(("show", f"]C0{CODE}"), ("show", CODE * 2), ("history", f"--{CODE}")),
    ("history", "--format", CODE),
]  # fmt: skip


@pytest.mark.parametrize("how", [(), ("--json",), ("--format", "text")])
@pytest.mark.parametrize("words", TYPED, ids=lambda words: " ".join(words)[:40])
def test_a_code_typed_as_an_argument_is_repeated_by_no_command(
    trained: Training, words: tuple[str, ...], how: tuple[str, ...]
) -> None:
    """Whatever a command says about an argument that looks like a payment code, it is masked."""
    if how and "--format" in words:
        how = ()
    ran = trained(*words, *how)
    assert CODE not in ran.out + ran.err
