"""What to do next, as data: sentences to read and commands to type. Nobody searches a sentence for
a command, and no text of the platform's is taken for one.

How a command is written for a shell is for `posctl.shell` to know.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias


class Say(NamedTuple):
    """A sentence in the user's language. `barred` is one that a bar on the screen shouts anyway."""

    text: str
    barred: bool = False


class Type(NamedTuple):
    """A command line to type: the words behind `program`, none of them quoted."""

    args: tuple[str, ...]
    program: str = "posctl"


Hint: TypeAlias = tuple[Say | Type, ...]


def said(hint: Hint | str) -> Hint:
    """A hint as it is; plain text as its sentences, one a line."""
    if isinstance(hint, str):
        return tuple(Say(line) for line in hint.splitlines())
    return hint


def without_code(argv: Sequence[str]) -> tuple[str, ...]:
    """The words of a command line as they may be shown: a payment code in them is left out, to be
    scanned again.
    """
    kept: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--code":
            next(words, None)
            kept.append("--scan")
        elif word.startswith("--code="):
            kept.append("--scan")
        elif word == "--":
            kept += [word, *words]
        else:
            kept.append(word)
    return tuple(kept)
