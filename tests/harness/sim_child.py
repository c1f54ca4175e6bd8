"""posctl's processes for the simulator: one process imports posctl, and forks for every run.

    python sim_child.py FD

FD is a SOCK_SEQPACKET socket. Each message is one run as JSON, with four file descriptors: stdin,
stdout, stderr, and a pipe for reports. The answers are `{"run": n, "pid": …}` at once and
`{"run": n, "status": …}` (as of waitpid) when it has ended. Every run is a process of its own, with
its own files, connections and signals; only the interpreter's start and the imports are saved.

Before `posctl.cli.app.run` is called, a run may be given:

- a clock that is off, and a `sleep` that passes at once;
- a resolver that leads elsewhere, and a loopback address of its own, so that the gateway can tell
  the runs apart;
- points at which something happens to it (`sim_schedule.POINTS`): the places where posctl writes,
  sends or reads;
- one of the deliberate bugs, `BUGS`, that the checker has to find.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import gc
import hashlib
import importlib
import io
import json
import os
import re
import resource
import select
import signal
import socket
import sqlite3
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from seams import patch

from posctl import files
from posctl.cli import app as cli
from posctl.cli.run import new_request_id
from posctl.config import profile
from posctl.gateway import client as gateway
from posctl.gateway import connection as wire
from posctl.gateway import exchange, judge
from posctl.journal import backup as care
from posctl.journal import companion, sqlite, sqlite_file, unite
from posctl.journal import copy as journal_copy
from posctl.money import admit, codes, outcome
from posctl.money.record import Merchant
from posctl.paying import desk, row
from posctl.paying import pay as payment
from posctl.screen import screen, streams

_COMMANDS = "pay retry pending show checkout history status resolve batch journal"
for _name in _COMMANDS.split():
    importlib.import_module(f"posctl.cli.commands.{_name}")
for _name in (
    "posctl.paying.many",
    "posctl.batch.file",
    "posctl.paying.retries",
    "posctl.config.profiles",
    "yaml",
):
    importlib.import_module(_name)

_SIGNALS = {
    "kill": signal.SIGKILL,
    "int": signal.SIGINT,
    "int_twice": signal.SIGINT,
    "term": signal.SIGTERM,
}
_getpid = os.getpid  # what posctl is told may be another


class Points:
    """What happens where: `armed` are (point, the n-th passage, action)."""

    def __init__(
        self, armed: Sequence[Sequence[Any]], report: int, journal: Path, night: Path
    ) -> None:
        self._armed = [(str(point), int(nth), str(action)) for point, nth, action in armed]
        self._report = report
        self._journal = journal
        self._night = night  # who falls asleep sleeps while it is locked
        self._passed: dict[str, int] = {}
        self._kept: list[sqlite3.Connection] = []
        self.clock_s = 0.0
        self.asleep_s = 0.0
        self.db: sqlite3.Connection | None = None

    def is_next(self, point: str) -> bool:
        """Whether something happens at the next passage."""
        nth = self._passed.get(point, 0) + 1
        return any((point, nth) == armed[:2] for armed in self._armed)

    def reach(self, point: str) -> None:
        self._passed[point] = nth = self._passed.get(point, 0) + 1
        for armed_point, armed_nth, action in self._armed:
            if (armed_point, armed_nth) == (point, nth):
                os.write(self._report, f"{point} {action}\n".encode())
                self._act(action)

    def _act(self, action: str) -> None:
        name = action.partition(":")[0]
        if name in _SIGNALS:
            os.kill(_getpid(), _SIGNALS[name])
            if name == "int_twice":
                threading.Timer(0.01, os.kill, (_getpid(), signal.SIGINT)).start()
        else:
            self._harm(name, action)

    def _harm(self, name: str, action: str) -> None:
        """Something happens to the disk or the clock."""
        match name:
            case "full":
                sys.dont_write_bytecode = True  # half a module could be imported by nobody
                _limit(resource.RLIMIT_FSIZE, self._room(action))
            case "lock":
                self._lock()
            case "move":
                self._move()
            case "pages":
                assert self.db
                (pages,) = self.db.execute("PRAGMA page_count").fetchone()
                self.db.execute(f"PRAGMA max_page_count={pages}")
            case "nofile":
                lowest_free = os.dup(2)
                os.close(lowest_free)
                _limit(resource.RLIMIT_NOFILE, lowest_free)
            case "clock":
                self.clock_s += float(action.partition(":")[2])
            case "sleep":
                self._sleep(float(action.partition(":")[2]))
            case other:
                raise ValueError(other)

    def _sleep(self, seconds: float) -> None:
        """The lid is closed; when it opens, every clock but the monotonic one has gone on."""
        with suppress(FileNotFoundError), self._night.open() as night:
            fcntl.flock(night, fcntl.LOCK_SH)
        self.clock_s += seconds
        self.asleep_s += seconds

    def _room(self, action: str) -> int:
        """Up to which size a file may grow: none at all, or so many bytes past the `-wal`."""
        spare = action.partition(":")[2]
        if not spare:
            return 0
        with suppress(FileNotFoundError):
            return self._journal.with_name(self._journal.name + "-wal").stat().st_size + int(spare)
        return int(spare)

    def _move(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            path = self._journal.with_name(self._journal.name + suffix)
            with suppress(FileNotFoundError):
                path.rename(self._journal.with_name(self._journal.name + ".moved" + suffix))

    def _lock(self) -> None:
        """Another program holds the journal from here on."""
        other = sqlite3.connect(self._journal, isolation_level=None, timeout=1)
        with suppress(sqlite3.OperationalError):  # a neighbour was quicker: as good
            other.execute("BEGIN IMMEDIATE")
        self._kept.append(other)


def _limit(which: int, soft: int) -> None:
    resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))


# ── the points ───────────────────────────────────────────────────────────────────────────────


class Db:
    """posctl's connection to its journal, with points around what it commits."""

    def __init__(self, db: sqlite3.Connection, points: Points) -> None:
        self._db = db
        self._points = points
        self._kind: str | None = None
        self.late_commit = False  # the bug "commit_after_send"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, values: Any = ()) -> Any:
        if sql == "COMMIT":
            return self._commit()
        if sql == "BEGIN IMMEDIATE":
            self._points.db = self._db
            self._points.reach("begin.before")
        kind = _kind(sql)
        if kind == "forget":
            return self._between("forget.before", lambda: self._db.execute(sql), "forget.after")
        self._kind = kind or self._kind
        return self._db.execute(sql, values)

    def executemany(self, sql: str, values: Any) -> Any:
        if "told=1" in sql:
            self._kind = "told"
        return self._db.executemany(sql, values)

    def _commit(self) -> Any:
        kind, self._kind = self._kind, None
        if kind is None:
            return self._db.execute("COMMIT")
        if kind == "told":
            return self._between("told.before", lambda: self._db.execute("COMMIT"), "told.after")
        if kind == "begin" and self.late_commit:
            return None
        return self._between(
            f"{kind}.before_commit", lambda: self._db.execute("COMMIT"), f"{kind}.after_commit"
        )

    def _between(self, before: str, what: Callable[[], Any], after: str) -> Any:
        self._points.reach(before)
        done = what()
        self._points.reach(after)
        return done


def _kind(sql: str) -> str | None:
    """Which step of a payment a statement belongs to."""
    words = " ".join(sql.split())
    if words.startswith("INSERT INTO tries"):
        return "status" if "'status'" in words else "begin"
    if words.startswith("UPDATE tries SET event"):
        return "record"
    if words.startswith("UPDATE payments SET resolved_by"):
        return "resolve"
    return "forget" if "wal_checkpoint" in words else None


class _Sends(threading.local):
    """How many pieces of its request this thread has sent."""

    count = 0
    received = 0


def install_points(points: Points) -> list[Db]:
    """Put the points where they belong; the list will hold the journal's connection."""
    connections: list[Db] = []
    _watch_journal(points, connections)
    _watch_wire(points)
    _watch_screen(points)
    return connections


def _watch_journal(points: Points, connections: list[Db]) -> None:
    connect = sqlite_file.connect

    def connected(*args: Any) -> Db:
        connections.append(Db(connect(*args), points))
        return connections[-1]

    patch(sqlite_file, "connect", connected)
    place = files.place_file

    def placed(*args: Any) -> None:
        points.reach("create.before")
        place(*args)
        points.reach("create.after")

    patch(sqlite_file, "place_file", placed)


def _watch_wire(points: Points) -> None:
    sends = _Sends()
    post = gateway.Gateway.post

    def posted(self: Any, form: bytes, sent: exchange.Sent) -> exchange.Exchange:
        sends.count = sends.received = 0
        points.reach("post.before")
        answered = post(self, form, sent)
        points.reach("post.after")
        return answered

    patch(gateway.Gateway, "post", posted)
    getresponse = wire.Connection.getresponse

    def got(self: Any) -> Any:
        points.reach("send.after")
        return getresponse(self)

    patch(wire.Connection, "getresponse", got)
    receive = wire._receive

    def received(*args: Any) -> int:
        count = receive(*args)
        if not wire.here.flight.connecting:
            sends.received += 1
            if sends.received == 1:
                points.reach("read.first")
        return count

    patch(wire, "_receive", received)
    for owner, sendall in (
        (wire._Socket, wire._Socket.sendall),
        (wire._TLSSocket, ssl.SSLSocket.sendall),
    ):
        patch(owner, "sendall", _sending(sendall, sends, points))


def _watch_screen(points: Points) -> None:
    show = screen.Screen.show

    def shown(self: Any, view: Any) -> bool:
        points.reach("print.before")
        printed = show(self, view)
        points.reach("print.after")
        return printed

    patch(screen.Screen, "show", shown)
    write = streams.write

    def written(stream: Any, text: str) -> bool:
        if stream is sys.stdout and points.is_next("print.middle"):
            write(stream, text[: len(text) // 2])
            text = text[len(text) // 2 :]
        if stream is sys.stdout:
            points.reach("print.middle")
        return write(stream, text)

    patch(streams, "write", written)


def _sending(sendall: Callable[..., None], sends: _Sends, points: Points) -> Callable[..., None]:
    """`sendall` with points before and after the first byte, and in the middle of the body."""

    def send(self: Any, data: bytes, *args: Any) -> None:
        if not wire.here.flight.connecting:  # else it is the CONNECT to a proxy
            sends.count += 1
        if sends.count != 1:  # the whole request leaves in one write, the first
            sendall(self, data, *args)
            return
        points.reach("first_byte.before")
        gone = 0
        body = data.index(b"\r\n\r\n") + 4
        for point, cut in (("first_byte.after", 1), ("send.middle", (body + len(data)) // 2)):
            if points.is_next(point):
                sendall(self, data[gone:cut], *args)
                gone = cut
            points.reach(point)
        sendall(self, data[gone:], *args)

    return send


# ── the deliberate bugs ──────────────────────────────────────────────────────────────────────


def new_uuid_on_retry(_connections: list[Db]) -> None:
    """A retry makes itself a new request_id."""
    form_of = desk.form_of

    def form(paid: Any, at: Any) -> bytes:
        if paid.tries > 1:
            wire_text = paid.pay_request.replace(paid.request_id, new_request_id())
            paid = paid._replace(pay_request=wire_text)
        return form_of(paid, at)

    patch(desk, "form_of", form)


def commit_after_send(connections: list[Db]) -> None:
    """The row and its try are committed only when the answer is there."""
    post = gateway.Gateway.post
    connect = sqlite_file.connect

    def connected(*args: Any) -> Any:
        db = connect(*args)
        connections[-1].late_commit = True
        return db

    def posted(self: Any, form: bytes, sent: exchange.Sent) -> exchange.Exchange:
        answered = post(self, form, sent)
        if connections[-1].in_transaction:
            connections[-1]._db.execute("COMMIT")
        return answered

    patch(sqlite_file, "connect", connected)
    patch(gateway.Gateway, "post", posted)


def timeout_is_failure(_connections: list[Db]) -> None:
    """A read timeout is taken for "not charged"."""
    outcome.EVENT_TABLE[outcome.Event.READ_TIMEOUT] = outcome.Outcome.NOT_SENT
    outcome.EVENT_TABLE[outcome.Event.DEADLINE] = outcome.Outcome.NOT_SENT


def failure_closes_unknown(_connections: list[Db]) -> None:
    """A definite failure closes a payment that an earlier try left unknown."""
    advance = outcome.advance

    def forgetful(
        standing: outcome.Standing, event: outcome.Event, *, own_id: bool = False
    ) -> outcome.Standing:
        if standing.open and standing.state is not outcome.State.CONFLICT:
            standing = outcome.Standing(standing.state)
        return advance(standing, event, own_id=own_id)

    patch(outcome, "advance", forgetful)


WORDS_OF_0_1 = (
    r"used|duplicate|exist|paid|has_success|重[复複]|已[经經]?[被]?(?:使用|存在|支付|付款|扣款)"
)


def refusal_by_words(_connections: list[Db]) -> None:
    """The rule of 0.1: a failure closes what is unknown, unless its words are on a list."""
    read = judge.read_event

    def listed(reply: Any, *args: Any, **more: Any) -> outcome.Event:
        event = read(reply, *args, **more)
        if event not in outcome.REFUSALS or not hasattr(reply, "model"):
            return event
        said = (reply.text("result_code"), reply.text("result_message"))
        words = " | ".join(text for text in said if text).lower()
        return event if re.search(WORDS_OF_0_1, words) else outcome.Event.DECLINED

    patch(judge, "read_event", listed)


def redirect_followed(_connections: list[Db]) -> None:
    """A redirect is followed, as most clients do: 301 to 303 by GET, 307 and 308 by POST."""
    send = gateway.Gateway._send

    def followed(self: Any, form: bytes) -> Any:
        raw = send(self, form)
        if raw.status not in (301, 302, 303, 307, 308):
            return raw
        raw.close()
        wire.here.flight.sent.may_have_left = False
        moved = raw.headers["Location"]
        if raw.status < 307:
            return self._pool().urlopen(
                "GET", moved, retries=False, redirect=False, preload_content=False
            )
        self._target = moved
        return send(self, form)

    patch(gateway.Gateway, "_send", followed)


def resolved_resent(_connections: list[Db]) -> None:
    """`retry` sends a payment again that a person has closed."""
    retry = payment.retry

    def resend(paid: Any, at: Any, *args: Any, **kwargs: Any) -> Any:
        if paid.standing.state is outcome.State.RESOLVED:
            at.gateway.post(desk.form_of(paid, at), exchange.Sent())
        return retry(paid, at, *args, **kwargs)

    patch(payment, "retry", resend)


def lease_for_ever(_connections: list[Db]) -> None:
    """Who sends a payment is a mark in a file, and stays there when its process dies."""

    def mark(journal: Any, seq: int) -> Path:
        return Path(f"{journal._path}.lease.{seq}")

    def hold(self: Any, paid: Any) -> bool:
        try:
            mark(self, paid.seq).touch(exist_ok=paid.seq in self._held)
        except FileExistsError:
            return False
        self._held.add(paid.seq)
        return True

    def let_go(self: Any, *payments: Any) -> None:
        for paid in payments:
            if paid.seq in self._held:
                self._held.discard(paid.seq)
                mark(self, paid.seq).unlink(missing_ok=True)

    patch(sqlite.SqliteJournal, "hold", hold)
    patch(sqlite.SqliteJournal, "let_go", let_go)


def payload_from_flags(_connections: list[Db]) -> None:
    """A resumed payment is sent with what the command line says now."""
    pay = payment.pay
    form_of = desk.form_of
    orders: list[Any] = []

    def paying(order: Any, *args: Any, **kwargs: Any) -> Any:
        orders.append(order)
        return pay(order, *args, **kwargs)

    def form(paid: Any, at: Any) -> bytes:
        if orders:
            paid = paid._replace(pay_request=orders[-1].wire(paid.request_id))
        return form_of(paid, at)

    patch(payment, "pay", paying)
    patch(desk, "form_of", form)


def hold_for_everyone(_connections: list[Db]) -> None:
    """Two processes may send one payment at once."""

    def hold(self: Any, paid: Any) -> bool:
        self._held.add(paid.seq)
        return True

    def let_go(self: Any, *payments: Any) -> None:
        self._held -= {paid.seq for paid in payments}

    patch(sqlite.SqliteJournal, "hold", hold)
    patch(sqlite.SqliteJournal, "let_go", let_go)


def told_too_early(_connections: list[Db]) -> None:
    """An outcome counts as told although nobody has seen it; the next part is then let through."""
    telling_module = importlib.import_module("posctl.cli.tell")
    tell = telling_module.tell

    def telling(result: Any, command: str, run: Any) -> Any:
        if result.payment is not None and not result.payment.open:
            run.journal().mark_told([result.payment.request_id])
        return tell(result, command, run)

    patch(telling_module, "tell", telling)


def codes_kept(_connections: list[Db]) -> None:
    """The payment code stays in the journal when the payment closes."""
    patch(codes, "masked", lambda text: text)


def late_resend(_connections: list[Db]) -> None:
    """However old a payment is, it is sent again."""
    patch(admit, "may_resend", lambda *_args, **_kwargs: None)


def identity_by_url(_connections: list[Db]) -> None:
    """A payment is its gateway's: under another spelling of the address it is not found."""
    by_url = property(lambda self: Merchant(self.live, self.gateway))
    patch(profile.Profile, "merchant", by_url)


def session_ignored(_connections: list[Db]) -> None:
    """All sellers of one app are taken for one."""
    patch(profile.Profile, "merchant", property(lambda self: Merchant(self.live, self.app_key)))


def no_last_look(_connections: list[Db]) -> None:
    """What was begun is sent, however long ago that was."""
    patch(admit, "may_leave", lambda *_args: True)


def status_by_old_news(_connections: list[Db]) -> None:
    """What a status says counts for whatever was tried since it was asked."""
    asking = importlib.import_module("posctl.paying.status")
    record = asking.record_status

    def recorded(asked_of: Any, asked: Any, started_ms: int, desk: Any, **more: bool) -> Any:
        newest = desk.journal.payment(asked_of.request_id) or asked_of
        return record(newest, asked, started_ms, desk, **more)

    patch(asking, "record_status", recorded)


def status_beside_a_sender(_connections: list[Db]) -> None:
    """What a status says counts though the payment was on its way when it was asked."""
    patch(row, "is_being_sent", lambda *_args: False)


def batch_id_by_bytes(_connections: list[Db]) -> None:
    """A line of a batch is known by the bytes of its file."""
    batch = importlib.import_module("posctl.batch.file")
    read, says = batch.read_batch, batch._says
    files: list[bytes] = []

    def reading(raw: bytes, *args: Any, **more: Any) -> Any:
        files.append(raw)
        return read(raw, *args, **more)

    patch(batch, "read_batch", reading)
    patch(batch, "_says", lambda *args: says(*args) + hashlib.sha256(files[-1]).hexdigest())


def _look(change: Callable[..., tuple[Any, Any]]) -> None:
    """What is looked at in every transaction is what `change` makes of the marks and machine."""
    refuse = sqlite_file.refuse_unless_whole

    def looking(path: Path, whole: Any, marks: Any, here: Any) -> None:
        refuse(path, whole, *change(marks, here))

    patch(sqlite_file, "refuse_unless_whole", looking)


def companion_not_looked_at(_connections: list[Db]) -> None:
    """Whatever stands beside the journal, it is taken for the one and the latest."""
    _look(lambda _marks, here: ((), here))


def clone_allowed(_connections: list[Db]) -> None:
    """A journal may be of any machine."""
    _look(lambda marks, _here: (marks, None))


def note_not_looked_at(_connections: list[Db]) -> None:
    """Nothing beside the configuration tells how far the journal has come."""
    patch(sqlite_file, "notes_of", lambda *_args: [])


def link_allowed(_connections: list[Db]) -> None:
    """A journal may have a second name."""
    patch(sqlite_file, "drop_draft", lambda *_args: True)


def silent_new_journal(_connections: list[Db]) -> None:
    """Where there is no journal a new one is begun without a word."""
    init = sqlite.SqliteJournal.__init__

    def begun(self: Any, path: Path, **more: Any) -> None:
        init(self, path, **{**more, "begin": True})

    patch(sqlite.SqliteJournal, "__init__", begun)


def restore_forgets(_connections: list[Db]) -> None:
    """The backup takes the journal's place, and what is open in it may be sent."""
    patch(care, "_is_usable", lambda _path: False)
    patch(care, "leave_to_person", lambda *_args: unite.Outlook())


def restored_may_send(_connections: list[Db]) -> None:
    """What is open in a backup that is put back is not left to a person."""
    patch(unite, "_FOR_PERSON", "UPDATE main.payments SET for_person=for_person WHERE ? > 9")


def copy_not_sealed(_connections: list[Db]) -> None:
    """A journal that was copied goes on as before."""
    patch(journal_copy.Side, "seal", lambda *_args: None)


def code_pays_twice(_connections: list[Db]) -> None:
    """Nothing is known of the codes that other payments carry."""
    patch(row, "_code_hash", lambda *_args: None)


def alarm_ignored(_connections: list[Db]) -> None:
    """A checkout is paid although the platform spoke against its record."""
    patch(sqlite.SqliteJournal, "alarmed", lambda *_args: None)


def correction_ignored(_connections: list[Db]) -> None:
    """A payment stands as it was closed by hand, whatever was corrected since."""
    select = sqlite.SqliteJournal._select

    def as_closed(journal: Any, *args: Any) -> Any:
        return (one.as_booked for one in select(journal, *args))

    patch(sqlite.SqliteJournal, "_select", as_closed)


def merchant_forgotten(_connections: list[Db]) -> None:
    """Nobody remembers for which merchant a profile has paid."""
    patch(sqlite.SqliteJournal, "last_merchant", lambda *_args: None)


BUGS: Mapping[str, Callable[[list[Db]], None]] = {
    bug.__name__: bug
    for bug in (
        new_uuid_on_retry,
        commit_after_send,
        timeout_is_failure,
        failure_closes_unknown,
        refusal_by_words,
        redirect_followed,
        resolved_resent,
        lease_for_ever,
        payload_from_flags,
        hold_for_everyone,
        told_too_early,
        codes_kept,
        late_resend,
        identity_by_url,
        session_ignored,
        no_last_look,
        status_by_old_news,
        status_beside_a_sender,
        batch_id_by_bytes,
        companion_not_looked_at,
        clone_allowed,
        note_not_looked_at,
        link_allowed,
        silent_new_journal,
        restore_forgets,
        restored_may_send,
        copy_not_sealed,
        code_pays_twice,
        alarm_ignored,
        correction_ignored,
        merchant_forgotten,
    )
}


# ── one run ──────────────────────────────────────────────────────────────────────────────────


def become(spec: Mapping[str, Any], report: int) -> int:
    """Be posctl, as `spec` says; returns the exit code."""
    os.environ.clear()
    os.environ.update(spec["env"])
    os.chdir(spec["cwd"])
    sys.argv = ["posctl", *spec["argv"]]
    sys.stdin = _stream(0, "r")
    sys.stdout = _stream(1, "w")
    sys.stderr = _stream(2, "w")
    journal, night = Path(spec["env"]["POSCTL_JOURNAL"]), Path(spec["night"])
    points = Points(spec["points"], report, journal, night)
    connections = install_points(points)
    _install_clock(spec["clock_s"], points)
    _install_network(spec["address"], spec["resolver"])
    if spec["busy_s"] is not None:
        patch(sqlite_file, "BUSY_S", spec["busy_s"])
    if spec["pid"] is not None:  # as in a container, where every run has the same
        pid = spec["pid"]
        patch(os, "getpid", lambda: pid)
    if spec["bug"]:
        BUGS[spec["bug"]](connections)
    if spec["readonly"]:
        _obey_modes()
    if "SIM_MACHINE" in os.environ:
        patch(companion, "MACHINE_ID", Path(os.environ["SIM_MACHINE"]))
    points.reach("start")
    code = cli.run(spec["argv"], os.environ, sys.stdin, sys.stdout, sys.stderr)
    points.reach("exit.before")
    return code


def _stream(fd: int, mode: str) -> Any:
    """A standard stream as the interpreter makes it."""
    raw = io.FileIO(fd, mode, closefd=False)
    if mode == "r":
        return io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="strict")


def _install_clock(offset_s: float, points: Points) -> None:
    """Time is off by `offset_s` and by what points add; sleeping takes no time."""
    real_time, real_monotonic = time.time, time.monotonic
    slept = [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds

    patch(time, "time", lambda: real_time() + offset_s + points.clock_s + slept[0])
    patch(time, "monotonic", lambda: real_monotonic() + slept[0])
    patch(time, "sleep", sleep)
    clock = time.clock_gettime
    patch(time, "clock_gettime", lambda which: clock(which) + points.asleep_s)


def _install_network(address: str, resolver: str | list[list[Any]] | None) -> None:
    """Send from `address`; resolve every name as `resolver` says, None being the truth."""
    connect = wire._Socket.connect

    def connecting(self: Any, target: Any) -> None:
        if target[0].startswith("127."):
            self.bind((address, 0))
        connect(self, target)

    patch(wire._Socket, "connect", connecting)
    if resolver is None:
        return

    def resolve(_host: str, port: int, _family: int, _kind: int, _proto: int, flags: int) -> Any:
        if isinstance(resolver, str):
            if resolver == "dns_hang" and not flags:
                threading.Event().wait()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        places = [(host, at or port) for host, at in resolver]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    def resolve_lazily(host: str, port: int, *args: int) -> Any:
        return resolve(host, port, *(*args, 0, 0, 0, 0)[:4])

    patch(socket, "getaddrinfo", resolve_lazily)


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _obey_modes() -> None:
    """Make root obey the modes of files, like anybody: without any capability."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = _CapHeader(0x20080522, 0)
    nothing = (_CapData * 2)()
    if libc.capset(ctypes.byref(header), ctypes.byref(nothing)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


# ── the zygote ───────────────────────────────────────────────────────────────────────────────


_STRIKES = {signal.SIGINT, signal.SIGTERM}


def serve(control: socket.socket) -> None:
    """Fork for each message until the other end is closed."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    runs: dict[int, int] = {}
    _warm_up()
    gc.collect()
    gc.freeze()
    while True:
        ready = select.select([control.fileno(), wake], [], [])[0]
        if wake in ready:
            with suppress(BlockingIOError):
                os.read(wake, 4096)
            _reap(control, runs)
        if control.fileno() in ready:
            message, fds, _flags, _address = socket.recv_fds(control, 1 << 18, 4)
            if not message:
                return
            spec = json.loads(message)
            signal.pthread_sigmask(signal.SIG_BLOCK, _STRIKES)  # not before the child is ready
            pid = os.fork()
            if pid == 0:
                _child(spec, fds, (control.fileno(), wake, woken))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STRIKES)
            runs[pid] = spec["run"]
            for fd in fds:
                os.close(fd)
            control.send(json.dumps({"run": spec["run"], "pid": pid}).encode())
            _reap(control, runs)


def _warm_up() -> None:
    """Before the forks: what waits for its first use is imported, and the command line, which is
    built anew for each process and the same each time, is built once.
    """
    patch(cli, "_app", functools.cache(cli._app))
    get_command = cli.Root.get_command
    built: dict[str, Any] = {}

    def get_once(self: Any, ctx: Any, name: str) -> Any:
        if name not in built:
            built[name] = get_command(self, ctx, name)
        return built[name]

    patch(cli.Root, "get_command", get_once)
    nobody = io.StringIO()
    pay = ["--profile", "training", "pay", "--fee", "1", "--checkout", "1", "--json", "--dry-run"]
    for argv in (pay, ["retry", "-h"], ["resolve", "-h"], ["pending", "-h"], ["status", "-h"]):
        with redirect_stdout(nobody):
            cli.run(argv, {"HOME": "/nonexistent"}, None, nobody, nobody)


def _reap(control: socket.socket, runs: dict[int, int]) -> None:
    while runs:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        control.send(json.dumps({"run": runs.pop(pid), "status": status}).encode())


def _child(spec: Mapping[str, Any], fds: list[int], inherited: Sequence[int]) -> None:
    """The forked process, to its end."""
    code = 99
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for fd in inherited:
            os.close(fd)
        for number, fd in enumerate(fds[:3]):
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STRIKES)
            code = become(spec, fds[3])
        except KeyboardInterrupt:  # as the interpreter ends then
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(_getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001  the harness's own mistakes: exit 99 says so
        with suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    with suppress(BrokenPipeError, ConnectionResetError):
        serve(socket.socket(fileno=int(sys.argv[1])))
