"""What must be known of a command line before it is parsed: the language of the first error, how to
tell it, and what not to repeat in it. The only look at the arguments beside the parser's.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from posctl.money.codes import codes_typed

_VALUES = ("--lang", "--field", "--profile", "--config", "--format")  # global, and take one
_FLAGS = ("--json", "--quiet", "--debug")


class Early(NamedTuple):
    """The global options as far as an error message needs them, in any place before `--`, right or
    wrong; `codes` are what looks like payment codes, anywhere.
    """

    command: str | None
    json: bool
    quiet: bool
    debug: bool
    lang: str | None
    format: str | None
    field: str | None
    codes: tuple[str, ...]


def look_early(argv: Sequence[str], commands: Collection[str]) -> Early:
    """`argv` is what stands behind `posctl`. An option's value is no command."""
    found: dict[str, str] = {}
    command: str | None = None
    words = iter(argv)
    for word in words:
        if word == "--":
            command = command or next(words, "")
            break
        name, equals, value = word.partition("=")
        if word in _FLAGS:
            found[word] = ""
        elif name in _VALUES:
            found[name] = value if equals else next(words, "")
        elif command is None and not word.startswith("-"):
            command = word
    return Early(
        command=command if command in commands else None,
        json="--json" in found,
        quiet="--quiet" in found,
        debug="--debug" in found,
        lang=found.get("--lang"),
        format=found.get("--format"),
        field=found.get("--field"),
        codes=codes_typed(argv),
    )
