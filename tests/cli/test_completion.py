"""`posctl completion`: what shells complete, asked of posctl and of real shells."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import Ran, Shop
from hypothesis import example, given
from hypothesis import strategies as st
from pty_run import pty_run
from typer import Context

from posctl.cli.app import COMMANDS, _app
from posctl.cli.complete import FILES, complete
from posctl.errors import ConfigError
from posctl.journal.sqlite import SqliteJournal

CUT = "280000000000000009"  # the training gateway's: the outcome is unknown


def shell(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(name) is None, reason=f"no {name} here")


def asked(shop: Shop, *words: str) -> list[str]:
    """The candidates for the last of `words`, without what they are."""
    ran = shop.run("completion", "words", "--", *words)
    assert (ran.code, ran.err) == (0, ""), ran
    return [line.partition("\t")[0] for line in ran.out.splitlines()]


@pytest.fixture
def installed(shop: Shop, tmp_path: Path) -> Shop:
    """That machine with `posctl` on its PATH, as shells call it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "posctl"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m posctl "$@"\n')
    script.chmod(0o755)
    shop.env["PATH"] = f"{folder}:{shop.env['PATH']}"
    return shop


def opened(trained: Callable[..., Ran], checkout: str) -> str:
    """An open training payment; its request_id."""
    ran = trained(
        "pay", "--fee", "100", "--checkout", checkout, "--code-stdin", "--json", stdin=CUT
    )
    assert ran.code == 21, ran
    return str(ran.json["request_id"])


# ── what posctl answers ──────────────────────────────────────────────────────────────────────


def test_every_command_is_completed(shop: Shop) -> None:
    """An empty word completes to all commands, each with what it does; a begun one to its like."""
    assert asked(shop, "") == list(COMMANDS)
    assert asked(shop, "pen") == ["pending"]
    assert asked(shop, "config", "") == ["show", "check", "path", "list", "use", "example"]
    ran = shop.run("completion", "words", "--", "expl")
    assert ran.out == "explain\tSay what a code means, and what to do.\n"


def test_options_are_completed_once(shop: Shop) -> None:
    """A command's own options and the global ones, but none that was given already."""
    assert asked(shop, "pay", "--f") == ["--fee", "--file", "--format", "--field"]
    assert asked(shop, "pay", "--fee", "100", "--f") == ["--file", "--format", "--field"]
    assert asked(shop, "--fi") == ["--field"]
    assert "--help" in asked(shop, "config", "show", "--")


def test_an_options_value_is_no_command(shop: Shop) -> None:
    """The word behind an option with a value is its value, whatever it is called."""
    assert asked(shop, "--profile", "pay", "pen") == ["pending"]
    assert asked(shop, "pay", "--fee", "") == []
    assert asked(shop, "pay", "--checkout", "--fe") == []


def test_profiles_are_those_of_the_configuration(shop: Shop) -> None:
    """The names in the configuration, also in one that the line names, before and after."""
    shop.profile("https://eco.taobao.com/router/rest", name="store-7")
    assert asked(shop, "--profile", "") == ["store-7", "training"]
    assert asked(shop, "pay", "--profile", "st") == ["store-7"]
    assert asked(shop, "pay", "--profile=st") == ["--profile=store-7"]
    assert asked(shop, "pay", "--profile", "=", "st") == ["store-7"]  # as bash splits it
    assert asked(shop, "pay", "--profile", "=") == ["store-7", "training"]
    other = shop.home / "other.yaml"
    other.write_text((shop.home / "config.yaml").read_text().replace("store-7", "store-9"))
    other.chmod(0o600)
    assert asked(shop, "--config", str(other), "--profile", "s") == ["store-9"]


@pytest.mark.parametrize("command", ["retry", "show", "resolve", "status"])
def test_open_payments_are_completed(command: str, trained: Callable[..., Ran], shop: Shop) -> None:
    """The ids of open payments, the latest first, with amount, checkout and outcome."""
    trained("pay", "--fee", "100", "--checkout", "paid")
    first, second = opened(trained, "7"), opened(trained, "8")
    begun = ("--profile", "training", command)
    assert asked(shop, *begun, "") == [second, first]
    assert asked(shop, *begun, first[:30]) == [first]
    ran = shop.run("completion", "words", "--", *begun, second)
    assert ran.out == f"{second}\t￥1.00 8 unknown\n"
    if command == "retry":  # which takes several, and each once
        assert asked(shop, *begun, second, "") == [first]
    else:
        assert asked(shop, *begun, second, "") == []


def test_other_merchants_payments_are_not_offered(trained: Callable[..., Ran], shop: Shop) -> None:
    """A live profile does not complete the training gateway's payments."""
    opened(trained, "7")
    shop.profile("https://eco.taobao.com/router/rest")
    assert asked(shop, "retry", "") == []


def test_closed_choices_and_files(shop: Shop) -> None:
    """What a metavar lists is offered; where a file belongs the shell is asked for one."""
    assert asked(shop, "resolve", "x", "--as", "") == ["paid", "not-paid"]
    assert asked(shop, "pay", "--lang", "") == ["en", "zh"]
    assert "unknown" in asked(shop, "history", "--outcome", "u")
    assert asked(shop, "history", "--day", "t") == ["today"]
    assert asked(shop, "completion", "") == ["bash", "zsh", "fish", "powershell"]
    assert asked(shop, "config", "example", "c") == ["config.yaml"]
    assert asked(shop, "explain", "connection_c") == ["connection_cut"]
    assert asked(shop, "pay", "--file", "x") == [FILES]
    assert asked(shop, "--config", "") == [FILES]


# ── silent, and harmless ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words",
    [
        ("nothing-like-it", ""),
        ("config", "nothing-like-it", ""),
        ("pay", "--no-such-option", ""),
        ("--profile", "no-such-profile", "retry", ""),
        ("--config", "/no/such/file", "--profile", ""),
        ("retry", "", "--", ""),
        ("retry", "x" * 5000),
        ("\x1b[31m", "\n"),
    ],
)
def test_it_never_complains(words: tuple[str, ...], shop: Shop) -> None:
    """Whatever is half-typed, there is no word of complaint."""
    asked(shop, *words)


@pytest.mark.parametrize("damage", ["none", "empty", "garbage"])
def test_it_creates_and_breaks_nothing(damage: str, shop: Shop) -> None:
    """Without a journal none is made, and a broken one is left alone, silently."""
    if damage != "none":
        shop.journal.write_bytes(b"" if damage == "empty" else b"no journal" * 999)
    before = {path: path.read_bytes() for path in shop.home.iterdir()}
    assert asked(shop, "--profile", "training", "retry", "") == []
    assert {path: path.read_bytes() for path in shop.home.iterdir()} == before


def test_a_till_that_is_paying_is_not_in_its_way(trained: Callable[..., Ran], shop: Shop) -> None:
    """While a payment is written, the journal is read all the same."""
    open_id = opened(trained, "7")
    journal = SqliteJournal(shop.journal)
    try:
        found: list[list[str]] = []
        journal.transact(lambda _tx: found.append(asked(shop, "--profile", "training", "show", "")))
    finally:
        journal.close()
    assert found == [[open_id]]


ROOT = _app()
CONTEXT = Context(ROOT)
WORDS = st.sampled_from(
    [*COMMANDS, "--profile", "--json", "--fee", "=", "--", "-", "", "config", "show", "--lang=e"]
)


@example(["pay", "=", "--lang=e"])
@given(st.lists(st.one_of(WORDS, st.text(max_size=5)), max_size=6))
def test_no_half_typed_line_breaks_it(words: Sequence[str]) -> None:
    """For any words the answer is a list of words that carry on what was typed."""
    environ = {"POSCTL_CONFIG": "/no/such/config", "POSCTL_JOURNAL": "/no/such/journal"}
    try:
        found = complete(words, ROOT, CONTEXT, environ)
    except ConfigError:  # the configuration that is named there does not exist
        return
    typed = words[-1] if words else ""
    for one in found:
        begun = typed if "=" not in words[-2:] or typed.startswith("-") else typed.lstrip("=")
        assert one.word.startswith(begun) or one.word == FILES


# ── in real shells ───────────────────────────────────────────────────────────────────────────


def in_bash(shop: Shop, *words: str) -> list[str]:
    """What bash would offer for the last of `words`."""
    script = (
        'source <(posctl completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_posctl "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        env=shop.env,
        cwd=shop.home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout.split("\n")[:-1]


@shell("bash")
def test_bash_offers_what_posctl_answers(installed: Shop, trained: Callable[..., Ran]) -> None:
    """The function that bash calls fills in the words, without what they are."""
    open_id = opened(trained, "7")
    assert in_bash(installed, "posctl", "pay", "--f") == ["--fee", "--file", "--format", "--field"]
    assert in_bash(installed, "posctl", "--profile", "=", "tr") == ["training"]
    assert in_bash(installed, "posctl", "--profile", "training", "retry", "") == [open_id]
    assert in_bash(installed, "~/bin/posctl", "pen") == ["pending"]
    assert in_bash(installed, "/no/such/posctl", "pen") == [""]


def in_terminal(shop: Shop, command: list[str], load: str, home: Path) -> bytes:
    """What travelled when Tab was pressed for an option, its value and a file's name; that each
    of them was completed is a condition of typing on.
    """
    (home / "orders.json").touch()
    shown = pty_run(
        command,
        env=shop.env | {"TERM": "dumb", "LANG": "C.UTF-8"},
        cwd=home,
        answers=[
            ("READY>", f"{load}; PS1='SET''> '\n"),
            ("SET>", "posctl pay --prof\t"),
            ("pay --profile", "tr\t"),
            ("--profile training", "--file ord\t"),
            ("--file orders.json", "\x15exit\n"),
        ],
    )
    return shown.raw


@shell("bash")
def test_bash_completes_at_a_terminal(installed: Shop, tmp_path: Path) -> None:
    """Tab after Tab in a real bash: an option, a profile, a file."""
    rc = tmp_path / "rc"
    rc.write_text("PS1='READY> '\nbind 'set bell-style none'\n")
    command = ["bash", "--noprofile", "--rcfile", str(rc), "-i"]
    raw = in_terminal(installed, command, "source <(posctl completion bash)", tmp_path)
    assert b"ers.json" in raw


@shell("zsh")
def test_zsh_completes_at_a_terminal(installed: Shop, tmp_path: Path) -> None:
    """The same in a real zsh."""
    (tmp_path / ".zshrc").write_text("PS1='READY> '\nautoload -Uz compinit && compinit -u -D\n")
    installed.env["ZDOTDIR"] = str(tmp_path)
    raw = in_terminal(installed, ["zsh", "-i"], "source <(posctl completion zsh)", tmp_path)
    assert b"ers.json" in raw


@shell("fish")
def test_fish_offers_what_posctl_answers(installed: Shop, trained: Callable[..., Ran]) -> None:
    """Fish is told the words and what they are, files where a file belongs."""
    open_id = opened(trained, "7")
    (installed.home / "orders.json").touch()

    def offered(line: str) -> list[str]:
        ran = subprocess.run(
            ["fish", "--no-config", "-c", f"posctl completion fish | source; complete -C '{line}'"],
            env=installed.env,
            cwd=installed.home,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stderr == ""
        return ran.stdout.splitlines()

    assert offered("posctl expl") == ["explain\tSay what a code means, and what to do."]
    assert offered("posctl pay --profile=tr") == ["--profile=training\ttraining"]
    assert offered("posctl --profile training retry ") == [f"{open_id}\t￥1.00 7 unknown"]
    assert [line.split("\t")[0] for line in offered("posctl config ")] == [
        "show",
        "check",
        "path",
        "list",
        "use",
        "example",
    ]
    assert [line.split("\t")[0] for line in offered("posctl pay --file ord")] == ["orders.json"]


# No PowerShell is to be had here: held is that what its script asks is answered.
@pytest.mark.parametrize(
    ("kind", "words", "offered"),
    [
        ("next", [], list(COMMANDS)),
        ("words", ["pen"], ["pending"]),
        ("next", ["config"], ["show", "check", "path", "list", "use", "example"]),
        ("next", ["config", "show", "--config"], [FILES]),
        ("words", ["pay", "--profile", "tr"], ["training"]),
        ("words", ["pay", "--profile=tr"], ["--profile=training"]),
        ("next", ["pay", "--fee"], []),
    ],
)
def test_powershell_is_answered(
    kind: str, words: list[str], offered: list[str], shop: Shop
) -> None:
    """A word that is not begun is asked for as `next`: Windows PowerShell drops empty arguments."""
    ran = shop.run("completion", kind, "--", *words)
    assert (ran.code, ran.err) == (0, "")
    assert [one.partition("\t")[0] for one in ran.out.splitlines()] == offered


# ── the command itself ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "powershell"])
def test_the_script_is_printed_as_it_is(name: str, shop: Shop) -> None:
    """What is printed can be sourced; --json has it as text."""
    ran = shop.run("completion", name)
    assert ran.code == 0
    asks = "completion $kind '--' $words" if name == "powershell" else "completion words --"
    assert asks in ran.out
    assert shop.run("completion", name, "--json").json["script"].strip() == ran.out.strip()


@pytest.mark.parametrize("args", [(), ("tcsh",), ("bash", "x")])
def test_another_shell_is_a_usage_error(args: tuple[str, ...], shop: Shop) -> None:
    """Only the shells that there are scripts for."""
    ran = shop.run("completion", *args)
    assert ran.code == 2
    assert "bash, zsh, fish or powershell" in ran.err
    assert ran.out == ""


# ── typed wrong, and not completed ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("confg",), "config"),
        (("config", "shw"), "config show"),
        (("training", "rset"), "training reset"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_typo_names_the_nearest_command(
    words: tuple[str, ...], near: str, lang: str, shop: Shop
) -> None:
    """A wrong command, of posctl or of a group, is told in the user's language with the nearest."""
    ran = shop.run("--lang", lang, *words)
    assert ran.code == 2
    assert f"posctl {near}" in ran.err
    assert "No such command" not in ran.err
