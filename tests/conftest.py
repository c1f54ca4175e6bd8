"""Shared by all tests: a home of their own, and posctl as a real process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from posctl.messages import use_language
from posctl.shell import Shell, use_globals, use_shell

# A shell starts its background jobs with Ctrl-C ignored, and every process of theirs inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if sys.platform == "linux":
    from forks import POSCTL, may_fork
    from forks import run as run_forked
elif sys.platform == "win32":
    from on_windows import (  # noqa: F401  hooks
        may_run_here,
        pytest_collection_modifyitems,
        pytest_ignore_collect,
        pytest_runtest_call,
        pytest_runtest_setup,
        pytest_terminal_summary,
    )
    from on_windows import run as run_here

if TYPE_CHECKING:
    from counter import Counter
    from pgserver import Database

# For a process whose files may not grow: it would leave half a compiled module, which then nobody
# could import, and no test would say why.
NO_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "1"}

# Two busy cores make single examples slow at random; the examples themselves are what counts.
settings.register_profile("posctl", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("posctl")


@pytest.fixture(autouse=True)
def nobody_called() -> None:
    """What an earlier test of this process called is forgotten: posctl ends with its process, and
    keeps the language and the call in it.
    """
    use_language("en")
    use_shell(Shell.SH, ())
    use_globals(None, None)


@dataclass(frozen=True)
class Ran:
    """How one run of posctl went."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        found: dict[str, Any] = json.loads(lines[0])
        return found


# Under Wine a loaded machine takes seconds for what takes none.
SLOWER = 10 if sys.platform == "win32" else 1
TIMEOUT = f"{{connect: {SLOWER * 2}, read: {SLOWER * 2}, total: {SLOWER * 5}}}"


def _text(said: bytes) -> str:
    return said.decode().replace(os.linesep, "\n")


@dataclass
class Shop:
    """A machine with posctl on it: a home, an environment, a journal."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)
    begun: bool = False
    started: list[Any] = field(default_factory=list)

    @property
    def journal(self) -> Path:
        return self.home / "journal.db"

    @property
    def recorded(self) -> int:
        """How many payments the journal holds; none where there is no journal."""
        if not self.journal.exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as db:
            (count,) = db.execute("SELECT count(*) FROM payments").fetchone()
            return int(count)

    @property
    def host(self) -> str | None:
        """The machine's name; None for that of the machine at hand."""
        return None

    @property
    def command(self) -> list[str]:
        """How posctl is called on this machine."""
        if self.host is None:
            return [sys.executable, "-m", "posctl"]
        start = f"import socket; socket.gethostname = lambda: {self.host!r}"
        return [sys.executable, "-c", f"{start}; import posctl.__main__ as m; m.main()"]

    def start(self, *args: str, env: Mapping[str, str] | None = None, **how: Any) -> Any:
        """Posctl as a process that runs on; the caller waits for it."""
        how.setdefault("stdin", subprocess.DEVNULL)
        how.setdefault("stdout", subprocess.PIPE)
        how.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen(
            [*self.command, *args],
            env=self.env | dict(env or {}),
            cwd=self.home,
            **how,
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        """What a test that failed or was skipped left running ends: else the next one is blamed."""
        for process in self.started:
            if process.returncode is None:
                with process:  # closes its pipes, waits for it
                    process.kill()

    def run(
        self,
        *args: str,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        limit_s: float = 60,
    ) -> Ran:
        """Posctl as a process, to its end."""
        given = stdin.encode() if isinstance(stdin, str) else stdin
        full = self.env | dict(env or {})
        if sys.platform == "linux" and may_fork([*POSCTL, *args], full):
            code, out, err = run_forked(
                args, full, self.home, given, limit_s=limit_s, host=self.host
            )
            return Ran(code, _text(out), _text(err))
        if sys.platform == "win32" and may_run_here(args, full):
            code, out, err = run_here(args, full, self.home, given, self.host)
            return Ran(code, _text(out), _text(err))
        process = self.start(*args, env=env, stdin=subprocess.PIPE)
        out, err = process.communicate(given, timeout=limit_s)
        return Ran(process.returncode, _text(out), _text(err))

    def profile(self, url: str, name: str = "store-1", **keys: Any) -> None:
        """A configuration with one profile that points at `url`."""
        lines = {
            "gateway": url,
            "app_key": "12345678",
            "secret": "helloworld",
            "timeout": TIMEOUT,
            "defaults": '{shop_id: "1", operator_id: "123", machine_id: "001", buyer_id: 1, '
            "source: hema, merchant_code: HM}",
        } | keys
        text = f"default_profile: {name}\nprofiles:\n  {name}:\n" + "".join(
            f"    {key}: {value}\n" for key, value in lines.items() if value is not None
        )
        path = self.home / "config.yaml"
        path.write_text(text)
        path.chmod(0o600)
        self.env["POSCTL_CONFIG"] = str(path)
        if lines["app_key"] != "training":
            self.begin_journal()

    def begin_journal(self) -> None:
        """As `posctl journal create` does on a machine's first day, and never again: what a test
        takes away stays away.
        """
        from posctl.errors import PosctlError  # noqa: PLC0415  as above
        from posctl.journal.open import begin_journal, note_of  # noqa: PLC0415  as above

        if not self.begun and "POSCTL_JOURNAL" in self.env:
            self.begun = True
            with suppress(PosctlError):  # what cannot be begun is for the command to refuse
                place = self.env["POSCTL_JOURNAL"]
                note = note_of(self.home / "config.yaml", place, self.env)
                begin_journal(place, 5, note)


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A PostgreSQL server for all tests of this worker."""
    from pgserver import Database  # noqa: PLC0415  only for those that need one

    with Database() as one:
        yield one


def _noon() -> str:
    """A zone where it is noon: the day of a test does not end while it runs."""
    return f"NOON{datetime.now(UTC).hour - 12}"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A machine with nothing on it but posctl."""
    kept = ("PATH", "SYSTEMROOT", "PYTHONPATH", "PYTHONPYCACHEPREFIX")  # the last for Windows
    keep = {name: os.environ[name] for name in kept if name in os.environ}
    env = keep | {
        "HOME": str(tmp_path),
        "POSCTL_JOURNAL": str(tmp_path / "journal.db"),
        "PYTHONUTF8": "1",
    }
    if sys.platform != "win32":  # it takes no such zone
        env["TZ"] = _noon()
    made = Shop(tmp_path, env)
    yield made
    made.end()


@pytest.fixture
def trained(shop: Shop) -> Callable[..., Ran]:
    """`posctl --profile training …` on that machine."""
    return lambda *args, **how: shop.run("--profile", "training", *args, **how)


@pytest.fixture
def counter(shop: Shop) -> Iterator[Callable[..., Counter]]:
    """`posctl … till …` on a terminal of its own."""
    from counter import Counter  # noqa: PLC0415  a terminal's emulator, for few tests

    opened: list[Counter] = []

    def open_counter(*args: str, columns: int = 80, lang: str = "en", **env: str) -> Counter:
        command = [*shop.command, *(args or ("till",))]
        env = shop.env | {"POSCTL_LANG": lang} | env
        opened.append(Counter(command, env, columns, shop.home))
        return opened[-1]

    yield open_counter
    for one in opened:
        one.__exit__()
