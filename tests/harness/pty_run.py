"""Run a command on a real pseudo-terminal and read the screen that a person would see."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyte
from forks import start_on_terminal

LIMIT_S = 30.0  # a command that has not ended by then hangs


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command left behind. `text` is the screen line by line, `raw` what travelled."""

    exit_code: int
    text: str
    raw: bytes
    title: str
    cursor: tuple[int, int]  # column, row

    @property
    def flow(self) -> str:
        """The screen without line ends: what the terminal's edge broke is whole again."""
        return self.text.replace("\n", "")

    @property
    def widest(self) -> int:
        """Cells of the widest line."""
        return max(
            sum(max(0, pyte.screens.wcwidth(c)) for c in line) for line in self.text.split("\n")
        )


def pty_run(
    command: Sequence[str],
    *,
    columns: int = 80,
    rows: int = 200,
    env: Mapping[str, str] | None = None,
    answers: Sequence[tuple[str, str]] = (),
    cwd: str | os.PathLike[str] | None = None,
    stderr: int | None = None,
) -> Shown:
    r"""Run `command` with stdin, stdout and stderr on a terminal `columns` wide.

    `rows` of the screen are kept: more than a terminal has, so that nothing scrolls away.

    `answers` are pairs: once the first is on the screen, the second is typed ("\x03" is Ctrl-C).
    `stderr` may be a file descriptor, to keep it off the screen. `env` is the whole environment;
    TERM is xterm-256color unless it says otherwise.
    """
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    full = {"TERM": "xterm-256color", **(os.environ if env is None else env)}
    fds = (slave, slave, slave if stderr is None else stderr)
    process = start_on_terminal(command, full, cwd, fds)
    os.close(slave)
    screen = pyte.Screen(columns, rows)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.ByteStream(screen)
    raw = bytearray()
    waiting = list(answers)
    deadline = time.monotonic() + LIMIT_S
    try:
        while chunk := _read(master, deadline):
            raw += chunk
            stream.feed(chunk)
            if waiting and waiting[0][0] in screen_text(screen):
                os.write(master, waiting.pop(0)[1].encode())
        exit_code = process.wait(max(0.0, deadline - time.monotonic()))
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
    assert not waiting, f"never shown: {waiting[0][0]!r} in\n{screen_text(screen)}"
    return Shown(
        exit_code, screen_text(screen), bytes(raw), screen.title, (screen.cursor.x, screen.cursor.y)
    )


def _read(master: int, deadline: float) -> bytes:
    """Some bytes from the terminal, or b"" when the command has closed it."""
    ready, _w, _x = select.select([master], [], [], max(0.0, deadline - time.monotonic()))
    if not ready:
        raise TimeoutError("the command hangs")
    try:
        return os.read(master, 65536)
    except OSError:  # EIO: nobody has the other end open any more
        return b""


def screen_text(screen: pyte.Screen) -> str:
    """As `screen.display` has it, without blank ends; cells that nobody wrote are not looked at."""
    return "\n".join(_line(screen.buffer.get(y)) for y in range(screen.lines)).rstrip("\n")


def _line(row: Mapping[int, Any] | None) -> str:
    cells = []
    x, last = 0, max(row or (-1,))
    while row and x <= last:
        data = row[x].data
        cells.append(data)
        x += 2 if data and pyte.screens.wcwidth(data[0]) == 2 else 1
    return "".join(cells).rstrip()
