"""Command lines as they can be typed into the shell at hand, for the profile and the configuration
posctl was called with.

Sources: POSIX.1-2017 2.2 (sh); "Everyone quotes command line arguments the wrong way", Microsoft,
2011 (cmd.exe and how a program takes its line apart); about_Quoting_Rules and about_Parsing,
Microsoft (PowerShell).
"""

import os
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from posctl.hint import Hint, Say, Type, without_code


class Shell(Enum):
    """Whose rules hold. PowerShell hands words with `"` on rightly only since 7.3."""

    SH = "sh"
    CMD = "cmd"
    WINDOWS_POWERSHELL = "powershell"  # 5.1, which comes with Windows
    POWERSHELL = "pwsh"  # 7


class Called(NamedTuple):
    """How this run was called: what `posctl pending` must say again to be about the same."""

    shell: Shell = Shell.SH
    argv: tuple[str, ...] = ()  # without a payment code
    profile: str | None = None  # as given with --profile
    config: str | None = None  # as given with --config


class _Now:
    """The call in progress; like the language, it is the same for all that is said."""

    called = Called()


def use_shell(shell: Shell, argv: Sequence[str]) -> None:
    """A run begins: `argv` is what was typed behind `posctl`."""
    _Now.called = Called(shell, without_code(argv))


def use_globals(profile: str | None, config: str | None) -> None:
    """What --profile and --config said."""
    _Now.called = _Now.called._replace(profile=profile, config=config)


def same_command() -> Type:
    """What was typed, to be typed again."""
    return Type(_Now.called.argv)


def shell_at_hand(os_name: str, environ: Mapping[str, str]) -> Shell:
    """The shell that posctl was called from, as far as `os.name` and the environment tell.

    PowerShell alone puts the user's own modules on PSModulePath, the nearest shell's first.
    """
    if os_name != "nt" or "MSYSTEM" in environ:  # Git Bash
        return Shell.SH
    for folder in environ.get("PSModulePath", "").lower().split(";"):
        if folder.rstrip("\\").endswith(r"\documents\windowspowershell\modules"):
            return Shell.WINDOWS_POWERSHELL
        if folder.rstrip("\\").endswith(r"\documents\powershell\modules"):
            return Shell.POWERSHELL
    return Shell.CMD


# ── one word, one line ───────────────────────────────────────────────────────────────────────

_BARE = {
    Shell.SH: r"[\w@%+=:,./-]+",
    Shell.CMD: r"[\w+:./\\-]+",
    # Windows PowerShell breaks a bare -a.b or -a:b in two.
    Shell.WINDOWS_POWERSHELL: r"(?!-.*[.:])[\w+:./\\-]+",
    Shell.POWERSHELL: r"(?!-.*[.:])[\w+:./\\-]+",
}
# What double quotes hold together in all of these shells alike.
_SAME_EVERYWHERE = r'[^"“”„$`\\%!\x00-\x1f\x7f]+'


def command_line(words: Sequence[str], shell: Shell) -> str:
    """`words` as one line that `shell` takes apart into them again."""
    return " ".join(_quoted(word, shell) for word in words)


def _quoted(word: str, shell: Shell) -> str:
    if re.fullmatch(_BARE[shell], word, re.ASCII):
        return word
    if re.fullmatch(_SAME_EVERYWHERE, word):
        return f'"{word}"'
    match shell:
        case Shell.SH:
            return quote(word)
        case Shell.CMD:
            return _for_cmd(word)
        case Shell.WINDOWS_POWERSHELL:
            return _for_powershell(_for_program(word) if word else '""')
        case Shell.POWERSHELL:
            return _for_powershell(word)


def _for_program(word: str) -> str:
    """`word` as a Windows program wants it between double quotes, which 5.1 sets by itself, and
    only around white space.
    """
    word = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return re.sub(r"(\\+)$", r"\1\1", word) if re.search(r"\s", word) else word


def _for_cmd(word: str) -> str:
    """A quote or a % inside would end the quoting or name a variable; then a caret stands before
    each sign that cmd.exe reads, the quotes included.
    """
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    line = '"' + re.sub(r"(\\+)$", r"\1\1", inner) + '"'
    return re.sub(r'([()%!^"<>&|])', r"^\1", line) if re.search(r'["%!]', word) else line


def _for_powershell(word: str) -> str:
    return "'" + re.sub("['‘’‚‛]", r"\g<0>\g<0>", word) + "'"


# ── whose files are ──────────────────────────────────────────────────────────────────────────


ON_WINDOWS = os.name == "nt"


def keep_others_out(path: Path, mode: str = "600") -> Type:
    """What takes `path` out of other users' reach: `mode` is chmod's; on Windows the list of those
    who may is this user alone.
    """
    if not ON_WINDOWS:
        return Type((mode, str(path)), program="chmod")
    user = os.environ.get("USERNAME") or "*S-1-3-4"  # the file's owner
    rights = f"{user}:(OI)(CI)F" if path.is_dir() else f"{user}:F"
    return Type((str(path), "/inheritance:r", "/grant:r", rights), program="icacls")


# ── what to type, what to say ────────────────────────────────────────────────────────────────

# Commands that mean the same whatever the profile, or the configuration.
_ANY_PROFILE = frozenset({"config", "init", "journal", "training", "explain", "completion"})
_ANY_CONFIG = frozenset({"explain", "completion"})


def line_of(command: Type) -> str:
    """`command` as it is typed now: one that was called with a profile or a configuration is about
    another one's payments without it.
    """
    if command.program != "posctl":
        return command_line((command.program, *command.args), _Now.called.shell)
    called, args = _Now.called, command.args
    name = next((word for word in args[_globals_in(args) :]), "")
    before: list[str] = []
    if called.config is not None and name not in _ANY_CONFIG and not _given("--config", args):
        before += ["--config", called.config]
    if called.profile is not None and name not in _ANY_PROFILE and not _given("--profile", args):
        before += ["--profile", called.profile]
    return command_line(("posctl", *before, *args), called.shell)


def _globals_in(args: Sequence[str]) -> int:
    """How many words stand before the command's name in what posctl says to type."""
    return 2 if args[:1] == ("--profile",) else 0


def _given(option: str, args: Sequence[str]) -> bool:
    return any(word == option or word.startswith(f"{option}=") for word in args)


def lines_of(hint: Hint) -> list[str]:
    """Each sentence and each command, a line of its own."""
    return [part.text if isinstance(part, Say) else line_of(part) for part in hint]


def as_text(hint: Hint) -> str:
    """A hint as JSON and plain lines have it."""
    return "\n".join(lines_of(hint))
