"""The man page and the completion files, made of the command table: docs/man.

python tests/harness/man_page.py     # writes them; tests/whole/test_man.py holds them to the table
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from posctl.cli.app import COMMANDS, _app
from posctl.cli.commands.completion import _SCRIPTS
from posctl.messages import use_language
from posctl.money.outcome import Exit

FOLDER = Path(__file__).parents[2] / "docs" / "man"
_FILES = {"bash": "posctl", "zsh": "_posctl", "fish": "posctl.fish"}  # where shells look for them


def files() -> dict[str, str]:
    """Each file's name in docs/man, and what is in it."""
    use_language("en")
    return {"posctl.1": man_page()} | {
        f"{shell}/{name}": _SCRIPTS[shell] for shell, name in _FILES.items()
    }


def man_page() -> str:
    """posctl.1, in the macros of man(7)."""
    root = _app()
    context = typer.Context(root, info_name="posctl")
    lines = [
        '.TH POSCTL 1 "" "posctl" "User Commands"',
        ".SH NAME",
        f"posctl \\- {_text(root.help)}",
        ".SH SYNOPSIS",
        ".B posctl\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]...",
        ".SH DESCRIPTION",
        "Every command explains itself: \\fBposctl help\\fR \\fICOMMAND\\fR.",
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        command = root.get_command(context, name)
        lines += _command(f"posctl {name}", command)
        for inner, sub in getattr(command, "commands", {}).items():
            lines += _command(f"posctl {name} {inner}", sub)
    lines += [".SH EXIT STATUS", *(f".TP\n{int(code)}\n{code.name.lower()}" for code in Exit)]
    lines += ["What each means: \\fBposctl explain\\fR \\fICODE\\fR."]
    return "\n".join(lines) + "\n"


def _command(path: str, command: Any) -> Iterator[str]:
    yield f".SS {_text(path)}"
    yield _text(command.help)
    yield from _options(command, own=True)
    for line in (command.epilog or "").splitlines():
        yield f".PP\n.nf\n\\fB{_text(line)}\\fR\n.fi"


def _options(command: Any, *, own: bool = False) -> Iterator[str]:
    shared = {"--help", "--profile", "--config", "--json", "--format", "--field", "--quiet"}
    shared |= {"--lang", "--no-color", "--debug"}
    for param in command.params:
        if param.param_type_name != "option" or param.hidden or (own and shared & {*param.opts}):
            continue
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in param.opts)
        value = "" if param.is_flag else f" \\fI{_text(param.metavar or 'TEXT')}\\fR"
        yield f".TP\n{names}{value}\n{_text(param.help or '')}"


def _text(words: str) -> str:
    """`words` as troff takes them: hyphens that are minus signs, nothing at a line's begin."""
    escaped = " ".join(words.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    for name, text in files().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
