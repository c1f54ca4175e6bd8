"""A machine with posctl on it: its configuration, its journal, its processes.

Processes come from the zygote (`sim_child.py`), or as `python -m posctl` when they should be slow
and beyond doubt.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from sim_gateway import APP_KEY, SECRET, Places
from sim_schedule import How, Key, Part

from posctl.journal.companion import machine
from posctl.journal.open import open_journal
from posctl.journal.sqlite_file import held_path

HERE = Path(__file__).resolve().parent
WATCHDOG_S = 40.0  # a run that takes longer hangs
CONSOLE = "127.0.0.1"
DEFAULTS = (
    '{shop_id: "1", operator_id: "123", machine_id: "001", buyer_id: 1, '
    "source: hema, merchant_code: HM}"
)
SELLER = "seller-2"  # a profile of the same app that another merchant owns
TIMEOUT = "{connect: 0.2, read: 0.3, total: 0.5}"


@dataclass(slots=True)
class Run:
    """One process of posctl's, and what became of it."""

    number: int
    argv: tuple[str, ...]
    how: How
    clock_s: float
    address: str
    codes: tuple[str, ...]
    kind: str = ""
    about: Part | None = None
    pid: int | None = None
    has_pid: threading.Event = field(default_factory=threading.Event)
    status: int | None = None  # as waitpid says
    out: str = ""
    err: str = ""
    reached: tuple[str, ...] = ()
    struck: bool = False
    hung: bool = False
    began_s: float = 0.0
    pipes: tuple[int, ...] = ()

    @property
    def code(self) -> int | None:
        """The exit code; None when a signal ended it."""
        assert self.status is not None
        return os.waitstatus_to_exitcode(self.status) if os.WIFEXITED(self.status) else None

    @property
    def killed(self) -> bool:
        return self.code is None

    @property
    def told(self) -> list[dict[str, Any]]:
        """The payments that were told on stdout, as far as it was written out whole."""
        if self.how.form == "json":
            data = self.data
            if not data or data.get("command") not in ("pay", "retry"):
                return []
            return list(data.get("payments", [data]))
        payments: dict[str, dict[str, Any]] = {}
        for line in self.out.splitlines(keepends=True):
            name, colon, value = line.partition(": ")
            several = re.fullmatch(r"payments\.(\d+)\.(\w+)", name)
            if colon and line.endswith("\n"):
                row, key = (several[1], several[2]) if several else ("", name)
                payments.setdefault(row, {})[key] = value[:-1]
        return [p for p in payments.values() if p.get("request_id") and p.get("pay_fee")]

    @property
    def data(self) -> dict[str, Any] | None:
        """The JSON object on stdout; None when there is none, or not all of it."""
        if self.how.form != "json" or not self.out.endswith("\n"):
            return None
        with suppress(ValueError):  # not one object on one line
            found: dict[str, Any] = json.loads(self.out)
            return found
        return None

    @property
    def error_code(self) -> str | None:
        error = (self.data or {}).get("error")
        return str(error["code"]) if isinstance(error, dict) else None

    def __str__(self) -> str:
        end = f"exit {self.code}" if self.code is not None else f"signal {self.status}"
        told = [f"{t.get('request_id')} {t.get('outcome')}" for t in self.told]
        told += [*(f"at {line}" for line in self.reached), self.error_code or ""]
        argv = " ".join(word if len(word) < 100 else word[:9] + "…" for word in self.argv)
        return f"run {self.number} posctl {argv} [{self.how}] → {end}; {', '.join(told)}"


class Zygote:
    """The process that becomes posctl again and again; see `sim_child.py`."""

    def __enter__(self) -> Self:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "sim_child.py"), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd="/",
                env={**os.environ, "PYTHONUTF8": "1"},
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.wait()

    def start(self, spec: Mapping[str, Any], fds: Sequence[int]) -> None:
        socket.send_fds(self._control, [json.dumps(spec).encode()], list(fds))

    def news(self, wait_s: float) -> dict[str, int] | None:
        """The next message; None when there was none for so long."""
        if not select.select([self._control], [], [], max(0.0, wait_s))[0]:
            return None
        message = self._control.recv(4096)
        if not message:
            raise RuntimeError("the zygote is gone")
        found: dict[str, int] = json.loads(message)
        return found


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says."""

    url: str
    sign_method: str
    ca: Path | None
    proxy: str
    timeout: str
    merchant: str | None
    session: str | None = None
    name: str = "store-1"
    app_key: str = APP_KEY

    def text(self) -> str:
        """The file, with a second seller's profile: the same app, another session."""
        owners = {self.name: (self.merchant, self.session), SELLER: (SELLER, f"{SELLER}/1")}
        lines = [f"default_profile: {self.name}", "profiles:"]
        for name, (merchant, session) in owners.items():
            lines += [
                f"  {name}:",
                f"    gateway: {self.url}",
                f'    app_key: "{self.app_key}"',
                f"    secret: {SECRET}",
                f"    sign_method: {self.sign_method}",
                f"    proxy: {self.proxy}",
                f"    timeout: {self.timeout}",
                "    status_words: {SUCCESS: success, FAIL: fail, WAIT: pending}",
                f"    defaults: {DEFAULTS}",
                *((f"    ca: {self.ca}",) if self.ca else ()),
                *((f"    merchant: {merchant}",) if merchant else ()),
                *((f"    session: {session}",) if session else ()),
            ]
        return "\n".join(lines) + "\n"


class Machine:
    """A folder with a configuration and a journal, and the runs of posctl in it."""

    def __init__(self, folder: Path, zygote: Zygote, places: Places, bug: str | None) -> None:
        self.folder = folder
        self.journal = folder / "state" / "journal.db"
        self.runs: list[Run] = []
        self.clock_s = 0.0
        self._begun = False  # the journal, as by `posctl journal create`
        self._zygote = zygote
        self._places = places
        self._bug = bug
        self._by_address: dict[str, Run] = {}
        self._night = folder / "night"
        self._console = CONSOLE
        self._consoles: dict[
            int, tuple[subprocess.Popen[bytes], threading.Timer | None, str | None]
        ] = {}
        self._env = {
            "HOME": str(folder),
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "POSCTL_CONFIG": str(folder / "config.yaml"),
            "POSCTL_JOURNAL": str(self.journal),
            "PYTHONUTF8": "1",
        }
        if machine() is None:  # this system has no id: let it have one, so that others differ
            self._env["SIM_MACHINE"] = str(folder / "machine-id")
            (folder / "machine-id").write_text("this machine\n")

    def configure(
        self,
        url: str,
        *,
        sign_method: str = "hmac-sha256",
        ca: Path | None = None,
        proxy: str = "none",
        timeout: str = TIMEOUT,
        merchant: str | None = None,
    ) -> None:
        self._settings = Settings(url, sign_method, ca, proxy, timeout, merchant)
        self.edit(session=f"{merchant}/1" if merchant else None)

    def edit(self, **changes: Any) -> None:
        """Somebody changes the configuration."""
        self._settings = replace(self._settings, **changes)
        path = self.folder / "config.yaml"
        path.write_text(self._settings.text())
        path.chmod(0o600)
        if not self._begun:
            self._begun = True
            open_journal(self._env["POSCTL_JOURNAL"], 5, begin=True).close()

    def use(self, journal: Path) -> None:
        """From now on the payments are in another journal."""
        self.journal = journal
        self._env["POSCTL_JOURNAL"] = str(journal)

    def idle(self) -> None:
        """Wait until nothing of the runs that ended is still on its way."""
        self._places.wait_until_idle()

    def alias(self, address: str) -> str:
        """Whose a connection from `address` is: processes from the shell all come from one."""
        return self._console if address == CONSOLE else address

    def strike(self, address: str, moment: str) -> None:
        """The gateway says what moment it is for the run at `address`."""
        run = self._by_address.get(address)
        if run is not None and run.how.moment == moment and not run.struck and run.status is None:
            run.struck = True
            if run.has_pid.wait(WATCHDOG_S) and run.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(run.pid, run.how.strike)

    def start(
        self,
        *argv: str,
        how: How | None = None,
        code: str | None = None,
        about: Part | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Run:
        """Start one process; `code` goes to its stdin, `env` to its environment."""
        how = how or How()
        number = len(self.runs)
        words = (*argv, "--json") if how.form == "json" else argv
        address = f"127.{1 + number // 250}.1.{1 + number % 250}"
        if how.console:
            self._console = address
        codes = (code,) if code else ()
        run = Run(number, words, how, self.clock_s, address, codes, argv[0], about)
        self.runs.append(run)
        self._by_address[address] = run
        run.began_s = time.monotonic()
        if how.readonly:
            self._set_modes(0o500, 0o400)
        if how.console:
            self._start_console(run, code)
            return run
        with ExitStack() as theirs:
            fds, run.pipes = _pipes(how, code, theirs)
            resolver = None if how.net is None else self._places.addresses(how.net)
            no_files = [("post.before", 1, "nofile")] if how.net == "no_files" else []
            spec = {
                "run": number,
                "argv": words,
                "env": {**self._env, **(env or {})},
                "cwd": str(self.folder),
                "night": str(self._night),
                "points": [*how.armed, *no_files],
                "clock_s": self.clock_s,
                "address": address,
                "resolver": resolver,
                "busy_s": how.busy_s,
                "pid": 7 if how.same_pid else None,
                "bug": self._bug,
                "readonly": how.readonly,
            }
            self._zygote.start(spec, fds)
        return run

    def run(self, *argv: str, **how: Any) -> Run:
        """One process, to its end."""
        run = self.start(*argv, **how)
        self.finish([run])
        return run

    def finish(self, runs: Iterable[Run], leave: int = 0) -> None:
        """Wait for `runs`, strike those whose time has come, read what they wrote.

        Returns when only `leave` of them are left; wait for those later.
        """
        for run in runs:
            if run.how.console:
                self._finish_console(run)
        waiting = {run.number: run for run in runs if run.status is None}
        while len(waiting) > leave:
            now = time.monotonic()
            strikes = [
                run.began_s + run.how.after_s
                for run in waiting.values()
                if run.how.after_s is not None and not run.struck
            ]
            news = self._zygote.news(min([*strikes, now + 1.0]) - now)
            if news is not None:
                run = self.runs[news["run"]]
                if "pid" in news:
                    run.pid = news["pid"]
                    run.has_pid.set()
                else:
                    waiting.pop(run.number, None)  # or somebody who is waited for later
                    self._ended(run, news["status"])
            self._strike_in_time(waiting.values())

    @contextmanager
    def night(self) -> Iterator[None]:
        """So long the processes that fall asleep do not wake up."""
        with self._night.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield
            self._night.unlink()

    def wait_until_asleep(self, run: Run) -> None:
        """Return when `run` sleeps, or has ended without."""
        *_, report = run.pipes
        if not select.select([report], [], [], WATCHDOG_S)[0]:
            raise RuntimeError(f"neither asleep nor ended: {run.argv}")

    def _strike_in_time(self, runs: Iterable[Run]) -> None:
        for run in runs:
            age_s = time.monotonic() - run.began_s
            due = run.how.after_s is not None and age_s >= run.how.after_s and not run.struck
            run.hung = run.hung or age_s > WATCHDOG_S
            if run.pid is not None and (due or run.hung):
                run.struck = True
                with suppress(ProcessLookupError):
                    os.kill(run.pid, signal.SIGKILL if run.hung else run.how.strike)

    def _ended(self, run: Run, status: int) -> None:
        run.status = status
        out, err, report = (_drain(fd) for fd in run.pipes)
        run.out, run.err = out.decode(), err.decode()
        run.reached = tuple(report.decode().splitlines())
        if run.how.readonly:
            self._set_modes(0o700, 0o600)
        if any(line.endswith(" move") for line in run.reached):
            self._move_back()
        if run.code == 99:
            raise RuntimeError(f"the harness failed in {run}:\n{run.err}")

    def _move_back(self) -> None:
        for suffix in ("-wal", "-shm", ""):
            moved = self.journal.with_name(self.journal.name + ".moved" + suffix)
            if moved.exists():
                moved.rename(self.journal.with_name(self.journal.name + suffix))

    def _set_modes(self, folder: int, files: int) -> None:
        self.journal.parent.mkdir(exist_ok=True, mode=0o700)
        self.journal.parent.chmod(0o700)
        for path in self.journal.parent.iterdir():
            path.chmod(files)
        self.journal.parent.chmod(folder)

    def _start_console(self, run: Run, code: str | None) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "posctl", *run.argv],
            env=self._env,
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        run.pid = process.pid
        run.has_pid.set()
        timer = None
        if run.how.after_s is not None:
            timer = threading.Timer(run.how.after_s, process.send_signal, (run.how.strike,))
            timer.start()
        self._consoles[run.number] = (process, timer, code)

    def _finish_console(self, run: Run) -> None:
        process, timer, code = self._consoles.pop(run.number)
        with suppress(BrokenPipeError):
            out, err = process.communicate((code or "").encode(), WATCHDOG_S)
            run.out, run.err = out.decode(), err.decode()
        if timer is not None:
            timer.cancel()
        code_ = process.wait()
        run.status = -code_ if code_ < 0 else code_ << 8


def _pipes(how: How, code: str | None, theirs: ExitStack) -> tuple[list[int], tuple[int, ...]]:
    """The child's stdin, stdout, stderr and report; our ends of the last three."""

    def pipe() -> tuple[int, int]:
        ours, child = os.pipe()
        theirs.callback(os.close, child)
        return ours, child

    if code is None:
        stdin = os.open("/dev/null", os.O_RDONLY)
    else:
        stdin, feed = os.pipe()
        os.write(feed, code.encode() + b"\n")
        os.close(feed)
    theirs.callback(os.close, stdin)
    out, stdout = pipe()
    err, stderr = pipe()
    report, told = pipe()
    if how.stdout == "full":
        stdout = os.open("/dev/full", os.O_WRONLY)
        theirs.callback(os.close, stdout)
    elif how.stdout == "closed":
        nobody, stdout = os.pipe()
        os.close(nobody)
        theirs.callback(os.close, stdout)
    return [stdin, stdout, stderr, told], (out, err, report)


def _drain(fd: int) -> bytes:
    pieces = []
    while piece := os.read(fd, 65536):
        pieces.append(piece)
    os.close(fd)
    return b"".join(pieces)


# ── the journal, read by SQL of our own ──────────────────────────────────────────────────────


class Payment(NamedTuple):
    """A row of the journal, read by the checker's own SQL."""

    request_id: str
    key: Key
    state: str
    paid: int | None
    open: bool
    tries: int
    closed_ms: int


def read_payments(journal: Path) -> dict[str, Payment]:
    """All rows by request_id; none when there is no journal yet."""
    if not journal.exists():
        return {}
    with closing(open_readonly(journal)) as db:
        rows = db.execute(
            """SELECT request_id, checkout_id, order_id, pay_fee, state, coalesce(corrected, paid),
                 closed_ms IS NULL,
                 tries, coalesce(closed_ms, 0) FROM payments"""
        ).fetchall()
    return {
        rid: Payment(rid, Key(checkout_id, order_id, fee), state, paid, bool(is_open), *rest)
        for rid, checkout_id, order_id, fee, state, paid, is_open, *rest in rows
    }


def open_readonly(journal: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(journal))}?mode=ro", uri=True, isolation_level=None)


@contextmanager
def broken_journal(journal: Path, kind: str) -> Iterator[None]:
    """For a while something else stands where the journal was."""
    aside = journal.parent.with_name("aside")
    journal.parent.rename(aside)
    journal.parent.mkdir(0o700)
    try:
        match kind:
            case "empty":
                journal.touch(0o600)
            case "folder":
                journal.mkdir()
            case "dangling":
                journal.symlink_to("nowhere")
            case "no_sqlite":
                journal.write_bytes(b"no journal at all\n" * 300)
            case _:
                shutil.copytree(aside, journal.parent, dirs_exist_ok=True)
                _spoil(journal, kind)
        yield
    finally:
        shutil.rmtree(journal.parent)
        aside.rename(journal.parent)


@contextmanager
def other_journal(journal: Path, kind: str, older: Path) -> Iterator[dict[str, str]]:
    """For a while the journal is not the one, whole and the latest; with what environment.

    `older` is a copy of its folder, of a while ago.
    """
    aside, away = (journal.parent.with_name(name) for name in ("aside", "away"))
    shutil.copytree(journal.parent, away)
    journal.parent.rename(aside)
    try:
        match kind:
            case "older" | "older_both" | "older_folder":
                put_older(journal, kind, older, aside)
                yield {}
            case "cloned":
                aside.rename(journal.parent)
                (away / "machine-id").write_text("another machine\n")
                shutil.copy2(journal.parent.with_name("config.yaml"), away)
                yield {
                    "HOME": str(away),
                    "POSCTL_CONFIG": str(away / "config.yaml"),
                    "POSCTL_JOURNAL": str(away / journal.name),
                    "SIM_MACHINE": str(away / "machine-id"),
                }
            case "other":
                journal.parent.mkdir(0o700)
                open_journal(str(journal), 5, begin=True).close()
                shutil.copy2(aside / held_path(journal).name, journal.parent)
                yield {}
            case _:
                shutil.copytree(aside, journal.parent)
                _harm_beside(journal, kind, away)
                yield {}
    finally:
        if aside.exists():
            shutil.rmtree(journal.parent)
            aside.rename(journal.parent)
        shutil.rmtree(away)


def put_older(journal: Path, kind: str, older: Path, newest: Path) -> None:
    """Put the journal of the folder `older` back, in whole or alone, beside what `newest` has."""
    if kind == "older_folder":
        shutil.copytree(older, journal.parent)
        return
    journal.parent.mkdir(0o700)
    for tail in ("", "-wal", "-shm"):
        if (there := older / (journal.name + tail)).exists():
            shutil.copy2(there, journal.parent)
    whose = older if kind == "older_both" else newest
    shutil.copy2(whose / held_path(journal).name, journal.parent)


def _harm_beside(journal: Path, kind: str, away: Path) -> None:
    match kind:
        case "no_companion":
            held_path(journal).unlink()
        case "cut_companion":
            os.truncate(held_path(journal), 0)
        case "linked":
            (away / "second.db").hardlink_to(journal)
        case other:
            raise ValueError(other)


def _spoil(journal: Path, kind: str) -> None:
    """One thing is wrong with the journal."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if kind == "newer":
            db.execute("PRAGMA user_version=99")
        elif kind == "foreign":
            db.execute("PRAGMA application_id=1")
    if kind == "damaged":
        raw = journal.read_bytes()
        journal.write_bytes(raw[:4096] + b"\xa5" * (len(raw) - 4096))
