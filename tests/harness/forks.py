"""`python -m posctl` without the interpreter's start: a process has imported it, and forks.

The start and the imports are most of a short run. So each process of pytest has one that has
imported all of posctl, and a command is a fork of that: a process of its own, with its own pid,
files, terminal and signals, which calls `posctl.__main__.main` as `python -m posctl` does.

One command line in fifty has an interpreter of its own all the same, and so has each with an
environment that the interpreter would look into, and what a test starts with `Shop.start`. What is
about the start is in tests/cli/test_start_up.py and test_light.py.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import traceback
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

REAL = {"PYTHONHASHSEED": "random"}
"""In an environment: an interpreter of its own for each command."""
ONE_IN = 50
POSCTL = (sys.executable, "-m", "posctl")
_STRIKES = {signal.SIGINT, signal.SIGTERM}


class Forked:
    """As much of a `subprocess.Popen` as the tests use."""

    def __init__(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: str | os.PathLike[str] | None,
        fds: Sequence[int],
        *,
        terminal: bool = False,
        host: str | None = None,
    ) -> None:
        self.returncode: int | None = None
        read, write = os.pipe()
        self._told = os.fdopen(read, "rb", buffering=0)
        spec = {
            "argv": list(words),
            "env": dict(env),
            "cwd": os.fspath(cwd or Path.cwd()),
            "umask": _umask(),
            "terminal": terminal,
            "host": host,
        }
        try:
            _parent().send(spec, [*fds, write])
        finally:
            os.close(write)
        self.pid = int(self._told.read(16))

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or the signal that killed it, as a negative number."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("posctl", timeout or 0.0)
            with self._told:
                self.returncode = os.waitstatus_to_exitcode(int(self._told.read(16)))
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def may_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether `command` is posctl's, and its interpreter may be another's fork."""
    words = "\0".join(command[len(POSCTL) :])
    return (
        sys.platform == "linux"
        and tuple(command[: len(POSCTL)]) == POSCTL
        and {name: env[name] for name in env if name.startswith("PYTHON")} == {"PYTHONUTF8": "1"}
        and len(words) < 10_000
        and zlib.crc32(words.encode(errors="surrogatepass")) % ONE_IN != 0
    )


def start_on_terminal(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None,
    fds: tuple[int, int, int],
) -> Forked | subprocess.Popen[bytes]:
    """`command` with a terminal of its own as stdin, so that Ctrl-C reaches it."""
    if may_fork(command, env):
        return Forked(command[len(POSCTL) :], env, cwd, fds, terminal=True)
    stdin, stdout, stderr = fds
    return subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(env),
        cwd=cwd,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  one ioctl, no locks
    )


def run(
    words: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    stdin: bytes,
    limit_s: float,
    host: str | None = None,
) -> tuple[int, bytes, bytes]:
    """Posctl to its end, on a machine of that name: the exit code, and what it printed."""
    pipes = [os.pipe() for _n in range(3)]
    (theirs, mine), (out, out_theirs), (err, err_theirs) = pipes
    process = None
    try:
        process = Forked(words, env, cwd, (theirs, out_theirs, err_theirs), host=host)
    finally:
        for fd in (theirs, out_theirs, err_theirs):
            os.close(fd)
    try:
        said = _talk(mine, stdin, (out, err), time.monotonic() + limit_s)
        return process.wait(limit_s), said[out], said[err]
    finally:
        process.kill()
        process.wait()
        os.close(out)
        os.close(err)


def _talk(write: int, stdin: bytes, reads: Sequence[int], deadline: float) -> dict[int, bytes]:
    """Give it `stdin`, and read to the end what it prints."""
    said = dict.fromkeys(reads, b"")
    left = set(reads)
    os.set_blocking(write, False)
    rest = memoryview(stdin or b"")
    writing = True
    try:
        while left:
            if writing and not rest:
                os.close(write)
                writing = False
            wait_s = max(0.0, deadline - time.monotonic())
            ready, to_write, _x = select.select(left, [write] if writing else [], [], wait_s)
            if not ready and not to_write:
                raise subprocess.TimeoutExpired("posctl", wait_s)
            if to_write:
                try:
                    rest = rest[os.write(write, rest[:65536]) :]
                except BrokenPipeError:
                    rest = rest[:0]
            for fd in ready:
                piece = os.read(fd, 65536)
                said[fd] += piece
                if not piece:
                    left.remove(fd)
    finally:
        if writing:
            os.close(write)
    return said


def _umask() -> int:
    """The umask of this process, which only a change of it tells otherwise."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    raise RuntimeError("no umask in /proc/self/status")


# ── the parent ───────────────────────────────────────────────────────────────────────────────


class _Parent:
    """The process that forks, seen from pytest's."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={**os.environ, "PYTHONUTF8": "1"},
            )
        atexit.register(self.close)

    def send(self, spec: Mapping[str, Any], fds: Sequence[int]) -> None:
        socket.send_fds(self._control, [json.dumps(spec).encode()], list(fds))

    def close(self) -> None:
        self._control.close()
        self._process.wait()


_parents: list[_Parent] = []


def _parent() -> _Parent:
    if not _parents:
        _parents.append(_Parent())
    return _parents[0]


def _serve(control: socket.socket) -> None:
    """Fork for each message until the other end is closed."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    runs: dict[int, int] = {}
    while True:
        ready = select.select([control.fileno(), wake], [], [])[0]
        if wake in ready:
            with suppress(BlockingIOError):
                os.read(wake, 4096)
        if control.fileno() in ready:
            message, fds, _flags, _address = socket.recv_fds(control, 1 << 18, 4)
            if not message:
                return
            signal.pthread_sigmask(signal.SIG_BLOCK, _STRIKES)  # not before the child is ready
            pid = os.fork()
            if pid == 0:
                _child(json.loads(message), fds, (control.fileno(), wake, woken, *runs.values()))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STRIKES)
            runs[pid] = fds.pop()
            for fd in fds:
                os.close(fd)
            _tell(runs[pid], pid)
        while runs:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _tell(runs[pid], status)
            os.close(runs.pop(pid))


def _tell(fd: int, number: int) -> None:
    """Sixteen bytes, which a pipe takes as one; nobody may wait for them any more."""
    with suppress(BrokenPipeError):
        os.write(fd, b"%16d" % number)


def _child(spec: Mapping[str, Any], fds: list[int], inherited: Sequence[int]) -> None:
    """The forked process, to its end."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for fd in (*inherited, fds.pop()):
            os.close(fd)
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
            os.close(fd)
        if spec["terminal"]:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if spec["host"]:
            socket.gethostname = lambda: spec["host"]
        os.umask(spec["umask"])
        os.chdir(spec["cwd"])
        os.environ.clear()
        os.environ.update(spec["env"])
        time.tzset()
        sys.argv = ["posctl", *spec["argv"]]
        sys.stdin = _stream(0, "r", "surrogateescape")
        sys.stdout = _stream(1, "w", "surrogateescape")
        sys.stderr = _stream(2, "w", "backslashreplace")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STRIKES)
        main = importlib.import_module("posctl.__main__").main
        main()
    except BaseException:  # noqa: BLE001  the harness's own mistakes: exit 99 says so
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(99)


def _stream(fd: int, mode: str, errors: str) -> io.TextIOWrapper:
    """A standard stream as the interpreter makes it in its UTF-8 mode."""
    raw = io.FileIO(fd, mode, closefd=False)
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    lines = raw.isatty() or fd == 2
    return io.TextIOWrapper(buffer, "utf-8", errors, line_buffering=lines)


def _import_all() -> None:
    """As `posctl.__main__` does it, then what waits for its first use. Not the commands: they speak
    the run's language as soon as they are imported.
    """
    with importlib.import_module("posctl.startup").light_imports():
        importlib.import_module("posctl.cli.app")
    for one in pkgutil.walk_packages(importlib.import_module("posctl").__path__, "posctl."):
        if one.name != "posctl.windows" and not one.name.startswith("posctl.cli.commands."):
            importlib.import_module(one.name)
    for name in ("platformdirs", "encodings.utf_8_sig"):  # a sixth of a short command
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, which is not posctl's
    _import_all()
    with suppress(BrokenPipeError, ConnectionResetError):
        _serve(socket.socket(fileno=int(sys.argv[1])))
