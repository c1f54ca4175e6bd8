"""What a shell may put in place of a half-typed word: commands, options, names, open payments.

The command line is read from the commands themselves, so a new command or option is completed as
soon as it exists; what kind of value it takes is told by its metavar.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from posctl.config.example import EXAMPLES
from posctl.errors import PosctlError
from posctl.journal.place import is_database
from posctl.messages import LANGUAGES, _
from posctl.money.order import yuan
from posctl.money.outcome import Outcome, outcome_of

MAX_IDS = 100  # nobody reads more
FILES = ":files"  # to the shell: complete a file's name, as you do


class Candidate(NamedTuple):
    """A word, and what it is; shells that can show both do."""

    word: str
    about: str = ""


class _Line(NamedTuple):
    """What the words before the current one say. `waiting` is the option that lacks its value."""

    command: Any
    name: str
    waiting: Any
    positional: tuple[str, ...]
    given: Mapping[str, str]  # option → value, "" for a flag


def complete(
    words: Sequence[str], root: Any, context: Any, environ: Mapping[str, str]
) -> list[Candidate]:
    """Candidates for the last of `words`, which follow `posctl` on the command line.

    `[Candidate(FILES)]` asks the shell for names of files. Nothing is changed or created.
    """
    *before, current = _joined(words) or [""]
    split = bool(words) and current != words[-1]  # bash: `--profile`, `=`, `st`
    line = _read(before, root, context)
    if line is None:
        return []
    option, equals, value = current.partition("=")
    if line.waiting is not None:
        found = _values(line.waiting, line, environ)
    elif equals and option.startswith("-"):
        param = _options(line.command).get(option)
        found = _values(param, line, environ) if param is not None else iter(())
        prefix = "" if split else f"{option}="
        matching = (one for one in found if one.word.startswith(value))
        return [one._replace(word=prefix + one.word) for one in matching]
    elif current.startswith("-"):
        found = _option_names(line)
    elif hasattr(line.command, "commands"):
        found = (Candidate(*one) for one in line.command.summaries().items())
    else:
        found = _argument_values(line, environ)
    return [one for one in found if one.word.startswith(current) or one.word == FILES]


def _joined(words: Sequence[str]) -> list[str]:
    """`words` with what bash has split at "=" in one piece again."""
    joined: list[str] = []
    for i, word in enumerate(words):
        after_equals = i > 0 and words[i - 1] == "=" and joined[-1].startswith("--")
        if joined and (after_equals or (word == "=" and joined[-1].startswith("--"))):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _read(before: Sequence[str], root: Any, context: Any) -> _Line | None:
    """The line up to the current word; None when it names a command that does not exist."""
    command, name = root, ""
    waiting = None
    positional: list[str] = []
    given: dict[str, str] = {}
    for word in before:
        if waiting is not None:
            given[waiting.opts[0]] = word
            waiting = None
        elif word.startswith("-") and word != "-":
            option, equals, value = word.partition("=")
            param = _options(command).get(option)
            given[param.opts[0] if param else option] = value
            if param is not None and not param.is_flag and not equals:
                waiting = param
        elif command is root and word == "help":
            continue  # what follows is a command's name, as without it
        elif hasattr(command, "commands"):
            command, name = command.get_command(context, word), word
            if command is None:
                return None
        else:
            positional.append(word)
    return _Line(command, name, waiting, tuple(positional), given)


def _options(command: Any) -> dict[str, Any]:
    """Every spelling of every option of a command."""
    params = [param for param in command.params if param.param_type_name == "option"]
    return {spelling: param for param in params for spelling in param.opts}


def _option_names(line: _Line) -> Iterator[Candidate]:
    """The options that were not given yet."""
    for param in dict.fromkeys(_options(line.command).values()):
        name = max(param.opts, key=len)
        if not param.hidden and param.opts[0] not in line.given:
            yield Candidate(name, param.help or "")
    yield Candidate("--help", _("Show this help."))


def _argument_values(line: _Line, environ: Mapping[str, str]) -> Iterator[Candidate]:
    arguments = [param for param in line.command.params if param.param_type_name == "argument"]
    for place, param in enumerate(arguments):
        if param.nargs == -1 or place == len(line.positional):
            found = _values(param, line, environ)
            yield from (one for one in found if one.word not in line.positional)
            return


# ── values ───────────────────────────────────────────────────────────────────────────────────

# Only these are about open payments.
_ABOUT_OPEN = frozenset({"retry", "show", "resolve", "status"})

_WORDS = {"LANG": LANGUAGES, "DAY": ("today", "yesterday"), "EXAMPLE": EXAMPLES}


def _values(param: Any, line: _Line, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """What an option or an argument may be, by its metavar."""
    kind = (param.metavar or "").strip("[]…")
    if kind in ("PATH", "FILE") or kind.startswith("FILE|"):
        yield Candidate(FILES)
    elif kind == "REQUEST_ID" or (kind == "ID" and param.param_type_name == "argument"):
        if line.name in _ABOUT_OPEN:
            yield from _open_payments(line, environ)
    elif kind == "CODE":
        yield from _codes()
    elif param.opts[0] == "--profile":
        yield from _profiles(line, environ)
    elif kind in _WORDS:
        yield from map(Candidate, _WORDS[kind])
    elif kind == "OUTCOME":
        yield from (Candidate(one) for one in Outcome if one is not Outcome.BLOCKED)
    elif "|" in kind:
        yield from map(Candidate, kind.split("|"))


def _profiles(line: _Line, environ: Mapping[str, str]) -> Iterator[Candidate]:
    from posctl.config.profiles import read

    for name, profile in read(line.given.get("--config"), environ).profiles.items():
        yield Candidate(name, profile.gateway)


def _codes() -> Iterator[Candidate]:
    from posctl.help.explain import everything

    for entry in everything():
        if not entry.code.isdecimal() and entry.code.isascii():
            yield Candidate(entry.code, entry.title)


def _open_payments(line: _Line, environ: Mapping[str, str]) -> Iterator[Candidate]:
    """The open payments of the profile in use, the latest first."""
    from posctl.config.profiles import load
    from posctl.journal.health import JournalReader

    loaded = load(line.given.get("--config"), line.given.get("--profile"), environ)
    merchant = loaded.profile.merchant
    if is_database(loaded.journal):  # too far away for a Tab
        return
    try:
        with closing(JournalReader(Path(loaded.journal))) as journal:
            payments = list(journal.open_payments(merchant))
    except PosctlError:  # there is none yet, or none that can be read
        return
    for payment in payments[: -MAX_IDS - 1 : -1]:
        outcome = outcome_of(payment.standing)
        about = f"￥{yuan(payment.pay_fee)} {payment.checkout.checkout_id} {outcome}"
        yield Candidate(payment.request_id, about)
