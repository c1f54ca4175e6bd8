"""What the screen says to type: whole, for the shell at hand, and about what it was called for."""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Shop
from hypothesis import example, given, settings
from hypothesis import strategies as st
from merciless import Members, Merciless, paid, told
from pty_run import pty_run
from rich.console import Console

from posctl import shell as shell_module
from posctl.cli.app import COMMANDS
from posctl.errors import UsageError
from posctl.hint import Say, Type
from posctl.messages import N_, _, use_language
from posctl.screen.brush import Canvas, draw_hint
from posctl.shell import (
    Shell,
    as_text,
    command_line,
    keep_others_out,
    line_of,
    same_command,
    shell_at_hand,
    use_globals,
    use_shell,
)

POWERSHELLS = (Shell.WINDOWS_POWERSHELL, Shell.POWERSHELL)
UNKNOWN = "75626abc-452d-486e-970d-e65e12fc1456"  # nobody's request_id
looks = pytest.mark.parametrize(
    ("lang", "columns"), [("en", 80), ("en", 40), ("zh", 80), ("zh", 40)]
)


def drawn(hint: tuple[Say | Type, ...], columns: int) -> list[str]:
    """The lines that a terminal of `columns` is given; it breaks what is longer at its edge."""
    out = io.StringIO()
    canvas = Canvas(Console(file=out, width=columns))
    draw_hint(canvas, hint)
    canvas.show()
    return out.getvalue().splitlines()


# ── whole, and typed ─────────────────────────────────────────────────────────────────────────


@looks
def test_every_command_is_drawn_whole(lang: str, columns: int) -> None:
    """Whatever its name and the width: one line of its own, broken by the terminal's edge alone."""
    use_language(lang)
    path = "/a folder/" + "long/" * 20
    for name in COMMANDS:
        command = Type((name, path, "--note", "…"))
        lines = drawn((Say(_("See what to do:")), command), columns)
        assert lines[1:] == [f' posctl {name} "{path}" --note "…"']


@pytest.fixture
def typed(shop: Shop) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Types a line into sh, where `posctl` is this posctl."""
    folder = shop.home / "bin"
    folder.mkdir()
    (folder / "posctl").write_text(f'#!/bin/sh\nexec {command_line(shop.command, Shell.SH)} "$@"\n')
    (folder / "posctl").chmod(0o755)
    env = {**shop.env, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}

    def run(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line],
            cwd=shop.home,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_drawn_runs(
    name: str, typed: Callable[[str], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """The line as it is on the screen, with the profile and configuration it was called with,
    is taken by a shell and by posctl.
    """
    use_globals("training", str(tmp_path / "it's my $HOME.yaml"))
    (line,) = drawn((Type((name, "-h")),), 40)
    done = typed(line)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"posctl {name}" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_about_what_posctl_was_called_for(name: str) -> None:
    """With the profile and the configuration, in their order, unless the command has no use for
    them or names its own.
    """
    use_globals("store-2", "my.yaml")
    about_profile = {"config", "init", "journal", "training", "explain", "completion"}
    config = "" if name in ("explain", "completion") else " --config my.yaml"
    profile = "" if name in about_profile else " --profile store-2"
    assert line_of(Type((name,))) == f"posctl{config}{profile} {name}"
    own = Type(("--profile", "training", name))
    assert line_of(own) == f"posctl{config} --profile training {name}"


def test_json_has_the_same_command_as_the_screen(shop: Shop) -> None:
    """`error.hint` is text: what to say and what to type, a line each."""
    ran = shop.run("--profile", "training", "show", UNKNOWN, "--json")
    assert ran.json["error"]["hint"] == ("List payments with:\nposctl --profile training history")
    assert "  → posctl --profile training history\n" in ran.err


# ── the same command ─────────────────────────────────────────────────────────────────────────


def test_the_same_command_is_what_was_typed() -> None:
    """Every word, in its order, and no profile or configuration twice."""
    argv = ("--config", "a b.yaml", "batch", "o.jsonl", "--profile=x", "--out", "d.jsonl")
    use_shell(Shell.SH, argv)
    use_globals("x", "a b.yaml")
    assert line_of(same_command()) == (
        'posctl --config "a b.yaml" batch o.jsonl --profile=x --out d.jsonl'
    )


@pytest.mark.parametrize(
    ("argv", "again"),
    [
        (("pay", "--code", "280000000000000001", "--fee", "1"), "posctl pay --scan --fee 1"),
        (("pay", "--code=280000000000000001"), "posctl pay --scan"),
        (("pay", "--code"), "posctl pay --scan"),
        (("pay", "--code-stdin", "--code-source", "x"), "posctl pay --code-stdin --code-source x"),
        (("show", "--", "--code"), "posctl show -- --code"),
    ],
)
def test_the_same_command_holds_no_payment_code(argv: tuple[str, ...], again: str) -> None:
    """A code that was typed is to be scanned again, and never shown."""
    use_shell(Shell.SH, argv)
    assert line_of(same_command()) == again


def test_batch_says_the_very_same_command(
    shop: Shop, gateway: Merciless, typed: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    """`--out` and `--another` are in it; typed, it goes on with the same results file."""
    gateway.answer = lambda m: None if m["checkout_id"] == "c1" else paid(m)
    lines = [f'{{"checkout_id": "c{n}", "pay_fee": 100, "shop_id": 1}}' for n in range(2)]
    (shop.home / "the orders.jsonl").write_text("\n".join(lines))
    args = ["batch", "the orders.jsonl", "--out", "done.jsonl", "--another"]
    shown = pty_run([*shop.command, *args], columns=40, env=shop.env, cwd=shop.home)
    assert shown.exit_code == 21, shown.text
    command = 'posctl batch "the orders.jsonl" --out done.jsonl --another'
    assert f" {command}" in shown.flow
    gateway.answer = paid
    assert typed(command).returncode == 0
    assert not list(shop.home.glob("*.results.jsonl"))


# ── nobody rewrites what others say ──────────────────────────────────────────────────────────

THEIRS = "see posctl pay manual"


@pytest.fixture
def gateway(shop: Shop) -> Iterator[Merciless]:
    with Merciless() as server:
        shop.profile(server.url)
        yield server


def test_the_platforms_words_stay_as_they_are(shop: Shop, gateway: Merciless) -> None:
    """They are no command, however much they look like one: on a terminal, as lines, as JSON."""
    failed: Members = {"result_status": 2, "result_code": "X", "result_message": THEIRS}
    gateway.answer = lambda _members: told(failed)
    args = ["--profile", "store-1", "pay", "--fee", "100", "--code", "280000000000000001"]
    shown = pty_run(
        [*shop.command, *args, "--checkout", "c1"], columns=80, env=shop.env, cwd=shop.home
    )
    assert THEIRS in shown.text
    ran = shop.run(*args, "--checkout", "c2", "--json")
    assert THEIRS in ran.json["error"]["message"]
    assert THEIRS in ran.err
    assert "store-1 pay manual" not in shown.text + ran.out + ran.err


def test_an_error_may_have_sentences_alone() -> None:
    """Text is a hint of sentences; a command in it is none to be typed."""
    error = UsageError("x", "message", "One.\nposctl pay manual")
    assert error.hint == (Say("One."), Say("posctl pay manual"))
    use_globals("store-1", None)
    assert as_text(error.hint) == "One.\nposctl pay manual"
    assert as_text((Say(N_("One.")), Type(("pay",)))) == "One.\nposctl --profile store-1 pay"


# ── one line for each shell ──────────────────────────────────────────────────────────────────

WORDS = [
    "",
    "plain",
    "two words",
    "it's",
    'say "hi"',
    "100%",
    "%PATH%",
    "$HOME `id`",
    "a&b|c<d>e^f(g)",
    "C:\\a folder\\",
    "\\\\server\\share",
    'end\\"',
    "你好",
    "…",
    "!x",
    "--out=done.jsonl",
    "-a.b",
    "‘curly’ “quotes”",
    "#x;y",
    "@x,y",
    "~",
    "*",
]
words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12) | st.text(
    "\\\"'% ^&$!`a", max_size=8
)


@settings(max_examples=30, deadline=None)
@given(st.lists(words, min_size=1, max_size=4))
@example(WORDS)
def test_sh_takes_a_line_apart_into_its_words(wanted: list[str]) -> None:
    """Whatever the words hold."""
    line = command_line(["printf", "%s\\0", *wanted], Shell.SH)
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == wanted


def _after_cmd(line: str) -> str:
    """What cmd.exe hands on to a program: carets taken, `"` between which they mean nothing. No
    sign that it acts upon may be left.
    """
    out, quoted, signs = "", False, iter(line)
    for sign in signs:
        if sign == "^" and not quoted:
            out += next(signs)
            continue
        assert sign != "%", "names a variable, in quotes too"
        assert quoted or sign not in "&|<>()", "is acted upon"
        quoted ^= sign == '"'
        out += sign
    return out


def _argv(line: str) -> list[str]:
    """How a Windows program takes its line apart (CommandLineToArgvW, the C runtime)."""
    argv: list[str] = []
    word, quoted, begun = "", False, False
    for slashes, sign in re.findall(r"(\\*)([^\\]|$)", line, re.DOTALL):
        if sign == '"':
            word += "\\" * (len(slashes) // 2)
            if len(slashes) % 2:
                word += '"'
            else:
                quoted = not quoted
            begun = True
            continue
        word, begun = word + slashes, begun or bool(slashes)
        if sign in (" ", "") and not quoted:
            if begun:
                argv.append(word)
            word, begun = "", False
        else:
            word, begun = word + sign, True
    assert not quoted
    return argv


@given(st.lists(words, min_size=1, max_size=4))
@example(WORDS)
def test_cmd_hands_every_word_on(wanted: list[str]) -> None:
    """Neither cmd.exe nor the program's own reading of the line changes a word."""
    assert _argv(_after_cmd(command_line(wanted, Shell.CMD))) == wanted


def test_what_keeps_others_out_is_the_systems_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On Windows the rights of others are taken away by icacls, which knows no modes."""
    folder = tmp_path / "a b"
    folder.mkdir()
    monkeypatch.setattr(shell_module, "ON_WINDOWS", False)
    assert keep_others_out(folder, "o-w") == Type(("o-w", str(folder)), program="chmod")
    monkeypatch.setattr(shell_module, "ON_WINDOWS", True)
    monkeypatch.setenv("USERNAME", "till")
    words = (str(folder), "/inheritance:r", "/grant:r", "till:(OI)(CI)F")
    assert keep_others_out(folder) == Type(words, program="icacls")


def _powershell_words(line: str) -> list[str]:
    """The words as PowerShell reads them: '…' with doubled quotes, "…" with nothing to expand, or
    bare.
    """
    found = []
    parts = r"""'((?:[^'‘’‚‛]|(['‘’‚‛])\2)*)'|"([^"“”„$`]*)"|([^\s'"$`@#,;(){}|&<>]+)"""
    for match in re.finditer(rf"(?:{parts})(?: |$)", line):
        single, _quote, double, bare = match.groups()
        if single is not None:
            single = re.sub(r"(['‘’‚‛])\1", r"\1", single)
        assert not (bare and re.match(r"-.*[.:]", bare)), "5.1 breaks it in two"
        found.append(next(text for text in (single, double, bare) if text is not None))
    assert "".join(f" {m.group()}" for m in re.finditer(rf"(?:{parts})", line))[1:] == line
    return found


def _handed_on(word: str) -> str:
    """How Windows PowerShell puts a word into a program's line: in quotes for white space alone."""
    return f'"{word}"' if re.search(r"\s", word) else word


@given(st.lists(words, min_size=1, max_size=4))
@example(WORDS)
def test_powershell_hands_every_word_on(wanted: list[str]) -> None:
    """7 hands words on as they are; 5.1 leaves quotes inside them, and empty words, to the line."""
    assert _powershell_words(command_line(wanted, Shell.POWERSHELL)) == wanted
    old = _powershell_words(command_line(wanted, Shell.WINDOWS_POWERSHELL))
    by_program = _argv(" ".join(map(_handed_on, old)))
    assert by_program == wanted


@pytest.mark.parametrize(
    ("word", "sh", "cmd", "powershell", "pwsh"),
    [
        ("orders.jsonl", *["orders.jsonl"] * 4),
        ("my orders.jsonl", *['"my orders.jsonl"'] * 4),
        ("…", *['"…"'] * 4),
        ("it's", *['"it\'s"'] * 4),
        (r"C:\a b", r"'C:\a b'", r'"C:\a b"', r"'C:\a b'", r"'C:\a b'"),
        ("$5", "'$5'", '"$5"', "'$5'", "'$5'"),
        ("100%", "100%", '^"100^%^"', "'100%'", "'100%'"),
        ('a "b"', "'a \"b\"'", r'^"a \^"b\^"^"', "'a \\\"b\\\"'", "'a \"b\"'"),
        ("", "''", '""', "'\"\"'", "''"),
        ("--out=x.csv", "--out=x.csv", *['"--out=x.csv"'] * 3),
    ],
)
def test_how_a_word_is_written(word: str, sh: str, cmd: str, powershell: str, pwsh: str) -> None:
    """As bare as it can be; between the same quotes in all shells where these do."""
    assert [command_line([word], shell) for shell in Shell] == [sh, cmd, powershell, pwsh]


MACHINE = r"C:\Program Files\WindowsPowerShell\Modules;C:\Windows\system32\WindowsPowerShell\v1.0"


@pytest.mark.parametrize(
    ("os_name", "environ", "shell"),
    [
        ("posix", {}, Shell.SH),
        ("posix", {"PSModulePath": r"C:\Users\x\Documents\PowerShell\Modules"}, Shell.SH),
        ("nt", {"ComSpec": r"C:\Windows\system32\cmd.exe"}, Shell.CMD),
        ("nt", {"PSModulePath": MACHINE}, Shell.CMD),
        (
            "nt",
            {"PSModulePath": rf"C:\Users\x\Documents\WindowsPowerShell\Modules;{MACHINE}"},
            Shell.WINDOWS_POWERSHELL,
        ),
        (
            "nt",
            {"PSModulePath": rf"C:\Users\x\OneDrive\Documents\PowerShell\Modules;{MACHINE}"},
            Shell.POWERSHELL,
        ),
        ("nt", {"MSYSTEM": "MINGW64", "PSModulePath": MACHINE}, Shell.SH),
    ],
)
def test_which_shell_is_at_hand(os_name: str, environ: dict[str, str], shell: Shell) -> None:
    """Sh but on Windows; there PowerShell shows itself by the user's own modules."""
    assert shell_at_hand(os_name, environ) is shell
