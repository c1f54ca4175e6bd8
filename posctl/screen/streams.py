"""Streams that take whatever is written, and say whether it went out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from posctl.money.codes import without_codes

if TYPE_CHECKING:
    pass


_IN_ASCII = {
    "√": "+", "×": "x", "…": "...", "●": "*", "▲": "!", "→": "->", "·": "-", "￥": "CNY ",
    "�": "?",
}  # fmt: skip


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """What a stream's encoding lacks: something like it, or else an escape."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101  registered for writing only
    found = error.object[error.start : error.end]
    escaped = (
        _IN_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in found
    )
    return "".join(escaped), error.end


def take_any_text(stream: TextIO | None) -> None:
    """Let `stream` write what its encoding lacks in ASCII, instead of failing."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None and getattr(stream, "errors", None) != "posctl_ascii":
        try:
            reconfigure(errors="posctl_ascii")
        except (OSError, ValueError):  # it flushes first; a closed or full stream stays as it is
            return


_PIECE = 65_536  # characters


def write(stream: TextIO | None, text: str) -> bool:
    """Write and flush; False when that fails."""
    if stream is None:
        return False
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):  # a full disk, a closed pipe, a closed file
        return False
    return True


def write_pieces(stream: TextIO | None, texts: Iterable[str]) -> bool:
    """Write what may be long, piece by piece; what is short goes out in one."""
    waiting, size = [], 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= _PIECE:
            if not write(stream, "".join(waiting)):
                return False
            waiting, size = [], 0
    return not waiting or write(stream, "".join(waiting))


def is_pipe(stream: TextIO) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # closed, or no file
        return False


def is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def width_of(stream: TextIO) -> int | None:
    """The terminal's columns, at least 20; None lets Rich find out."""
    from os import get_terminal_size

    try:
        columns = get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return None
    return max(20, columns) if columns else None


class Discreet:
    """A stream with payment codes masked in what is written to it; else it is the stream."""

    def __init__(self, stream: TextIO, codes: tuple[str, ...]) -> None:
        self._stream = stream
        self._codes = codes

    def write(self, text: str) -> int:
        self._stream.write(without_codes(text, self._codes))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def speaks_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"
