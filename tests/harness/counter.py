"""A person at a real pseudo-terminal, who types when the screen says something."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import pyte
from forks import start_on_terminal
from pty_run import screen_text

LIMIT_S = 30.0
SGR = re.compile(r"\x1b\[[0-9;]*m")


class Counter:
    """Runs `command` on a terminal of its own.

    `see` waits for words that came since something was last typed; `text` is the whole screen, with
    what scrolled away, as a person would see it.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        columns: int = 80,
        cwd: Path | None = None,
    ) -> None:
        self.home = cwd
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._slave = os.dup(slave)  # how it was left is looked at when the command has ended
        full = {"TERM": "xterm-256color", **env}
        self.process = start_on_terminal(command, full, cwd, (slave, slave, slave))
        os.close(slave)
        self._screen = pyte.Screen(columns, 1000)
        self._screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as when its window is closed."""
        for fd in (self._slave, self._master):
            if fd >= 0:
                os.close(fd)
        self._slave = self._master = -1

    @property
    def left_over(self) -> bytes:
        """What was typed that the command has not read."""
        mode = termios.tcgetattr(self._slave)
        mode[3] &= ~termios.ICANON
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 0, 0
        termios.tcsetattr(self._slave, termios.TCSANOW, mode)
        return os.read(self._slave, 4096)

    @property
    def text(self) -> str:
        return screen_text(self._screen)

    @property
    def widest(self) -> int:
        """Cells of the widest line."""
        return max(
            sum(max(0, pyte.screens.wcwidth(c)) for c in line) for line in self.text.split("\n")
        )

    @property
    def echoes(self) -> bool:
        """Whether the terminal is as it was before: it echoes what is typed."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    @property
    def news(self) -> str:
        """What came since something was last typed, without colours."""
        return SGR.sub("", self.raw[self._seen :].decode(errors="replace"))

    def see(self, *words: str) -> None:
        """Read until all these words have come."""
        deadline = time.monotonic() + LIMIT_S
        while not all(word in self.news for word in words):
            assert self._read(deadline), f"never said: {words} in\n{self.text}"

    def see_in_words(self, words: str) -> None:
        """Read until these words have come, wherever the terminal's edge breaks them."""
        deadline = time.monotonic() + LIMIT_S
        while re.sub(r"\s", "", words) not in re.sub(r"\s", "", self.news):
            assert self._read(deadline), f"never said: {words} in\n{self.text}"

    def see_at_last(self, *words: str) -> None:
        """Read until all these words have come, since the beginning."""
        self._seen = 0
        self.see(*words)

    def type(self, keys: str, encoding: str = "utf-8") -> None:
        self._seen = len(self.raw)
        os.write(self._master, keys.encode(encoding))

    def lean_on(self, key: str, until: Callable[[], bool]) -> None:
        """Hold `key`, as fast as a keyboard repeats it, until something is the case."""
        deadline = time.monotonic() + LIMIT_S
        while not until():
            assert time.monotonic() < deadline, f"held {key} in vain in\n{self.text}"
            self.type(key)
            self._read(time.monotonic() + 0.02)

    def end(self) -> int:
        """Read to the end of the command; its exit code."""
        os.close(self._slave)
        self._slave = -1
        deadline = time.monotonic() + LIMIT_S
        while self._read(deadline):
            pass
        exit_code: int = self.process.wait(LIMIT_S)
        return exit_code

    def signal(self, number: signal.Signals) -> None:
        self._seen = len(self.raw)
        self.process.send_signal(number)

    def _read(self, deadline: float) -> bool:
        ready, _w, _x = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            piece = os.read(self._master, 65536) if ready else b""
        except OSError:  # EIO: nobody has the other end open any more
            piece = b""
        self.raw += piece
        self._stream.feed(piece)
        return bool(piece)
