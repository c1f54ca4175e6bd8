"""Help in every way people ask for it, and words of other programs."""

from __future__ import annotations

import pytest
from conftest import Shop
from rich.cells import cell_len

from posctl.cli.app import COMMANDS, _app
from posctl.cli.slips import _MEANT, _OPTIONS, meant
from posctl.hint import Say, Type


@pytest.mark.parametrize("words", [(), ("pay",), ("journal",), ("journal", "backup"), ("help",)])
def test_help_is_the_help_of_the_option(shop: Shop, words: tuple[str, ...]) -> None:
    """`posctl help COMMAND` prints what `posctl COMMAND -h` prints, in both languages."""
    for lang in ("en", "zh"):
        asked = shop.run("--lang", lang, "help", *words)
        assert (asked.code, asked.err) == (0, "")
        assert asked.out == shop.run("--lang", lang, *words, "-h").out
    told = shop.run("help", *words, "--json")
    assert told.json["text"] + "\n" == shop.run(*words, "-h").out


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (("help", "jorunal"), "posctl journal"),
        (("help", "journal", "chek"), "posctl journal check"),
        (("help", "pay", "fee"), "posctl pay -h"),
        (("list",), "posctl history"),
        (("version",), "posctl --version"),
        (("backup",), "posctl journal backup"),
        (("config", "get"), "posctl config show"),
        (("收款",), "posctl pay"),
        (("refund",), "posctl explain refund"),
    ],
)
def test_a_word_that_is_no_command_leads_to_one(
    shop: Shop, words: tuple[str, ...], typed: str
) -> None:
    """A slip and a word of another program are refused (2), and what to type is named."""
    ran = shop.run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert typed in [line.removeprefix("  → ") for line in ran.err.splitlines()]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("history", "--from", "2026-01-01"), "--since"),
        (("report", "--to", "2026-01-01"), "--until"),
        (("history", "--date", "2026-01-01"), "--day"),
        (("pay", "--amount", "1"), "--fee"),
        (("pay", "--chekout", "1"), "--checkout"),
    ],
)
def test_an_option_of_other_programs_leads_to_one(
    shop: Shop, words: tuple[str, ...], named: str
) -> None:
    """What is no option here but elsewhere is refused (2), and the one that is meant is named."""
    ran = shop.run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert f"Did you mean {named}?" in ran.err


def test_every_option_that_may_be_meant_is_one() -> None:
    """No word of other programs leads to an option that no command has, or is itself one."""
    root = _app()
    groups = [root.get_command(None, name) for name in COMMANDS]
    commands = [
        one for group in groups for one in (group, *getattr(group, "commands", {}).values())
    ]
    known = {name for one in commands for param in one.params for name in param.opts}
    assert {one for ours in _OPTIONS.values() for one in ours} <= known
    assert not set(_OPTIONS) & known


def test_what_may_be_meant_exists() -> None:
    """Every command line that a foreign word leads to begins with a command; no word is one."""
    root = _app()
    for word, lines in _MEANT.items():
        *group, last = word.split()
        names = list(root.get_command(None, group[0]).commands) if group else list(COMMANDS)
        assert last not in names, word
        hint = meant(last, names, " ".join(("posctl", *group)))
        assert hint is not None
        said, *typed = hint
        assert isinstance(said, Say)
        assert len(typed) == len(lines)
        for one in typed:
            assert isinstance(one, Type)
            name, *rest = one.args if one.args[0] != "--profile" else one.args[2:]
            if name != "--version":
                commands = getattr(root.get_command(None, name), "commands", None)
                assert commands is None or rest[0] in commands, one


def test_help_is_completed(shop: Shop) -> None:
    """Behind `help` stand the commands, and those of a group."""
    words = ("completion", "words", "--", "help")
    assert shop.run(*words, "pen").out.startswith("pending\t")
    assert shop.run(*words, "journal", "ba").out.startswith("backup\t")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("columns", [40, 80])
def test_help_is_as_wide_as_the_terminal(shop: Shop, lang: str, columns: int) -> None:
    """No line is wider, Chinese counted as two columns, but an example, which is to be copied."""
    for words in (("help",), ("pay", "-h"), ("journal", "-h"), ("training", "-h")):
        told = shop.run("--lang", lang, *words, env={"COLUMNS": str(columns)})
        lines = [line for line in told.out.splitlines() if not line.startswith("  posctl ")]
        assert len(lines) > 20
        assert [line for line in lines if cell_len(line) > columns and "| posctl" not in line] == []
