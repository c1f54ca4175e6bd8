"""Keyboard and scanner at a terminal: what they type, as it comes and without echo.

A scanner is a keyboard that types fast. What comes without a pause between is read as one piece,
so that a code can be told from digits typed by hand before any of it is on the screen. Ctrl-C,
Ctrl-Z and Ctrl-S arrive as characters: nothing typed at a till stops it half-way.

No prompt library does this: they echo a key as it comes, keep what was typed in a history, and give
lines. What they are good at, editing, completing and colouring a line, a till has no use for.
"""

from __future__ import annotations

import codecs
import os
import sys
import time
from contextlib import suppress
from typing import Self, TextIO

PAUSE_S = 0.05  # so long nothing comes, and a piece is complete; scanners take 20 ms at most
PIECE_S = 0.8  # a longer one is no scan: somebody leans on a key, and payments wait
_MOST = 4096  # bytes of one piece
_ENDS = ("\r", "\n", "\x03")

if sys.platform == "win32":
    import msvcrt
    import threading

    from posctl.windows import console_as_before, console_for_till

    class Keyboard:
        """The console's keyboard; `with` it, typing is not echoed."""

        def __init__(self, _stream: TextIO) -> None:
            self._woken = threading.Event()

        def __enter__(self) -> Self:
            self._before = console_for_till()
            return self

        def __exit__(self, *_: object) -> None:
            console_as_before(self._before)

        def wake(self) -> None:
            """Let `read` return, from any thread."""
            self._woken.set()

        def read(self, timeout_s: float | None) -> str | None:
            """What was typed; "" when it was woken or the time is up, None when nobody is there."""
            end_s = None if timeout_s is None else time.monotonic() + timeout_s
            while not msvcrt.kbhit():
                if self._woken.wait(0.02) or (end_s is not None and time.monotonic() >= end_s):
                    self._woken.clear()
                    return ""
            typed, over_s = "", time.monotonic() + PIECE_S
            while msvcrt.kbhit() or (not self._woken.wait(PAUSE_S) and msvcrt.kbhit()):
                key = msvcrt.getwch()
                if key in ("\x00", "\xe0"):  # an arrow or a function key is two
                    msvcrt.getwch()
                else:
                    typed += key
                if typed.endswith(_ENDS) or time.monotonic() >= over_s:
                    break
            return typed

else:
    import select
    import termios

    class Keyboard:
        """The terminal behind `stream`; `with` it, typing is not echoed. Raises OSError."""

        def __init__(self, stream: TextIO) -> None:
            self._fd = stream.fileno()
            encoding = stream.encoding or "utf-8"  # the terminal's, as for what is written
            self._decode = codecs.getincrementaldecoder(encoding)("replace").decode
            self._wake_in, self._wake_out = -1, -1

        def __enter__(self) -> Self:
            try:
                self._before = termios.tcgetattr(self._fd)
            except termios.error as error:
                raise OSError(*error.args) from None
            mode = termios.tcgetattr(self._fd)
            mode[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR | termios.IXON)
            mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
            mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._fd, termios.TCSADRAIN, mode)
            self._wake_in, self._wake_out = os.pipe()
            os.set_blocking(self._wake_out, False)
            return self

        def __exit__(self, *_: object) -> None:
            with suppress(termios.error):  # the terminal may be gone
                # What was typed and not read is dropped: a scanned code is no command of a shell's.
                termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)

        def wake(self) -> None:
            """Let `read` return, from any thread."""
            with suppress(OSError):  # it is full: `read` will return anyway
                os.write(self._wake_out, b"!")

        def read(self, timeout_s: float | None) -> str | None:
            """What was typed; "" when it was woken or the time is up, None when nobody is there."""
            ready, _w, _x = select.select([self._fd, self._wake_in], [], [], timeout_s)
            if self._wake_in in ready:
                os.read(self._wake_in, _MOST)
            if self._fd not in ready:
                return ""
            typed, over_s = "", time.monotonic() + PIECE_S
            while len(typed) < _MOST and time.monotonic() < over_s:
                try:
                    piece = os.read(self._fd, 256)
                except OSError:
                    return None
                if not piece:
                    return None
                typed += self._decode(piece)
                if typed.endswith(_ENDS) or not select.select([self._fd], [], [], PAUSE_S)[0]:
                    break
            return typed
