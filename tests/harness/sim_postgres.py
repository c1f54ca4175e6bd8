"""The simulator over PostgreSQL: three hosts share one journal, and its server dies, too.

    python tests/harness/sim_postgres.py --seed 17
    python tests/harness/sim_postgres.py --seeds 0:1000

Schedules, gateway and invariants are the simulator's. Where it looks into a journal's file this
looks into the database; where it breaks a file or its disk, the server is away for that run. Now
and then the server is killed with -9 while a gateway answers: for a moment, so that posctl comes
through, or until the run has told what it knows. A process's lease ends as soon as it is dead,
which on the wall's clock takes half a minute.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import psycopg
import sim_check
import sim_child
import sim_gateway
import sim_machine
import simulator
from pgserver import Database
from seams import patch
from sim_gateway import Places, Row, Snapshot
from sim_machine import Machine, Payment, Run, Zygote
from sim_schedule import How, Key, Step

from posctl.journal import postgres, postgres_link

HOSTS = 3
SKEWS_S = (0.0, 2.0, -2.0)  # the hosts' clocks are nearly right; what more there is the steps add
UP_S = 30.0  # so long a look into the database waits for it
FALLS = 0.04  # of all answers, so many meet a server that dies

SERVER: list[Database] = []  # this worker's


class Place:
    """A journal in a schema of its own, as much of a Path as the simulator asks for."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __str__(self) -> str:
        return self.url

    @property
    def parent(self) -> Folder:
        return Folder(self)

    def exists(self) -> bool:
        return bool(rows(self, "SELECT to_regclass('posctl_schema') IS NOT NULL")[0][0])


class Folder(NamedTuple):
    """What a settled journal holds, table by table."""

    place: Place

    def exists(self) -> bool:
        return self.place.exists()

    def iterdir(self) -> Iterator[Table]:
        return iter(Table(self.place, name) for name in ("payments", "tries", "alarms"))


class Table(NamedTuple):
    place: Place
    name: str

    def read_bytes(self) -> bytes:
        return repr(rows(self.place, f"SELECT * FROM {self.name}")).encode()


def rows(place: Place, statement: str, values: Iterable[Any] = ()) -> list[Any]:
    """One statement, once the server is up."""
    given_up_s = time.monotonic() + UP_S
    while True:
        try:
            with psycopg.connect(place.url, autocommit=True) as db:
                return db.execute(statement.encode(), list(values)).fetchall()
        except psycopg.OperationalError:
            if time.monotonic() > given_up_s:
                raise
            threading.Event().wait(0.02)


class Reader(NamedTuple):
    """A connection of the checker's."""

    place: Place

    def execute(self, statement: str, values: Iterable[Any] = ()) -> list[Any]:
        return rows(self.place, statement.replace("?", "%s"), values)

    def close(self) -> None:
        """Nothing is kept."""


def read_payments(place: Place) -> dict[str, Payment]:
    """As `sim_machine.read_payments`."""
    if not place.exists():
        return {}
    found = rows(
        place,
        """SELECT request_id, checkout_id, order_id, pay_fee, state,
             coalesce(corrected, paid)::int, closed_ms IS NULL, tries, coalesce(closed_ms, 0)
           FROM payments""",
    )
    return {
        rid: Payment(rid, Key(checkout_id, order_id, fee), *rest)
        for rid, checkout_id, order_id, fee, *rest in found
    }


def read_journal(place: Place) -> Snapshot:
    """As `sim_gateway.read_journal`."""
    found = rows(
        place,
        """SELECT request_id, state, tries,
             EXISTS (SELECT 1 FROM tries t WHERE t.seq = p.seq AND n = p.tries
                     AND event IS NULL AND kind = 'pay'),
             pay_request, closed_ms IS NULL, shop_id, checkout_id
           FROM payments p""",
    )
    return {
        request_id: Row(state, tries, running, wire, is_open, (shop, checkout))
        for request_id, state, tries, running, wire, is_open, shop, checkout in found
    }


class Hosts(Machine):
    """Three machines with one journal, and the server it is on."""

    def __init__(self, folder: Path, zygote: Zygote, places: Places, bug: str | None) -> None:
        super().__init__(folder, zygote, places, bug)
        self.server = SERVER[0]
        self.journal = Place(self.server.url())  # type: ignore[assignment]  # see Place
        self._env["POSCTL_JOURNAL"] = str(self.journal)
        self.falls = random.Random(folder.name.partition("-")[0])
        self.kills = 0
        self.fell = self.is_down = self.calm = False
        self._falling = threading.Lock()

    def start(self, *argv: str, **how: Any) -> Run:
        host = len(self.runs) % HOSTS
        self._env |= {"SIM_HOST": f"host-{host}", "SIM_RETRY_S": str(self.falls.choice((0.2, 10)))}
        clock_s, self.clock_s = self.clock_s, self.clock_s + SKEWS_S[host]
        try:
            return super().start(*argv, **how)
        finally:
            self.clock_s = clock_s

    def strike(self, address: str, moment: str) -> None:
        super().strike(address, moment)
        with self._falling:
            if moment == "parsed" and not self.calm and self.falls.random() < FALLS:
                self.fall(for_long=self.falls.random() < 0.5)

    def fall(self, *, for_long: bool) -> None:
        """The server dies, and comes back at once or when the runs have ended."""
        self.fell = True
        if not self.is_down:
            self.server.kill()
            self.kills += 1
            self.is_down = True
        if not for_long:
            self.rise()

    def rise(self) -> None:
        if self.is_down:
            self.server.start()
            self.is_down = False

    def finish(self, runs: Iterable[Run], leave: int = 0) -> None:
        super().finish(runs, leave)
        with self._falling:
            self.rise()
        if not leave and Place.exists(self.journal):  # type: ignore[arg-type]  # see above
            rows(
                self.journal,  # type: ignore[arg-type]  # see above
                "UPDATE claims SET expires_at = now() - INTERVAL '1 second' RETURNING seq",
            )


class Play(simulator.Play):
    """A schedule in which the server fails instead of the disk."""

    machine: Hosts

    def play(self) -> list[sim_check.Violation]:
        try:
            return super().play()
        finally:
            self.counts["action server_killed"] += self.machine.kills
            schema = str(self.machine.journal).rpartition("%3D")[2]
            self.machine.server.execute(f"DROP SCHEMA {schema} CASCADE")

    def _settle(self) -> None:
        self.machine.calm = True
        super()._settle()

    def _finish(self, runs: list[Run]) -> None:
        super()._finish(runs)
        self.machine.fell = False

    @property
    def _broken(self) -> bool:
        """Whether exit 31 may be right."""
        return self.machine.fell

    @_broken.setter
    def _broken(self, _value: bool) -> None:
        """The simulator says it of files."""

    def _possible(self, how: How) -> How:
        """No disk of ours is in it."""
        return replace(how, armed=(), readonly=False) if how.harms_the_disk else how

    def _do_broken(self, step: Step) -> None:
        part = self._pick(self._next_parts(), step)
        if part is None:
            return
        with self.machine._falling:
            self.machine.fall(for_long=True)
        words, code = self.pay_words(part)
        run = self._run(*words, code=code)
        self.counts["broken away"] += 1
        if run.code != 31:
            self.blame(5, f"with a database that is away, pay ended with {run.code}")


class ForkServer(Zygote):
    """The zygote of this file: with psycopg, a hostname of its own, points in transactions."""

    def __enter__(self) -> Self:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd="/",
                env={**os.environ, "PYTHONUTF8": "1"},
            )
        return self


# ── in the child ─────────────────────────────────────────────────────────────────────────────

_KINDS = (
    ("'status'", "status"),
    ("INSERT INTO tries", "begin"),
    ("UPDATE tries SET event", "record"),
    ("resolved_by=%s", "resolve"),
)


def watch_database(points: sim_child.Points, _connections: list[sim_child.Db]) -> None:
    """The points of `sim_schedule.POINTS` where a journal in a database has them."""
    kinds: list[str] = []
    link = postgres_link.Link
    execute, once, commit, migrate = link._execute, link._once, link._commit, link._migrate
    forget, told = postgres.PostgresJournal.forget_codes, postgres.PostgresJournal.mark_told

    def executed(self: Any, statement: str, values: Any) -> Any:
        kinds.extend([kind for mark, kind in _KINDS if mark in statement][:1])
        return execute(self, statement, values)

    def begun(self: Any, step: Callable[[], Any]) -> Any:
        kinds.clear()
        points.reach("begin.before")
        return once(self, step)

    def committed(self: Any, db: Any) -> None:
        if kinds:
            points.reach(f"{kinds[-1]}.before_commit")
        commit(self, db)
        if kinds:
            points.reach(f"{kinds[-1]}.after_commit")

    def between(before: str, what: Callable[..., Any], after: str) -> Callable[..., Any]:
        def passed(*args: Any) -> Any:
            points.reach(before)
            done = what(*args)
            points.reach(after)
            return done

        return passed

    patch(link, "_execute", executed)
    patch(link, "_once", begun)
    patch(link, "_commit", committed)
    patch(link, "_migrate", between("create.before", migrate, "create.after"))
    journal = postgres.PostgresJournal
    patch(journal, "forget_codes", between("forget.before", forget, "forget.after"))
    patch(journal, "mark_told", between("told.before", told, "told.after"))


def hold_for_everyone(_connections: list[sim_child.Db]) -> None:
    """Two processes may send one payment at once, on whatever host."""

    def hold(self: Any, paid: Any) -> bool:
        self._claimed.add(paid.seq)
        return True

    patch(postgres.PostgresJournal, "hold", hold)


class RealTime(NamedTuple):
    """The wall's clock, for who waits for a database: in a run, sleeping takes no time."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def be_child(fd: int) -> None:
    """Serve runs of posctl, as `sim_child` does."""
    become = sim_child.become

    def become_host(spec: Mapping[str, Any], report: int) -> int:
        patch(socket, "gethostname", lambda: spec["env"]["SIM_HOST"])
        patch(postgres_link, "RETRY_S", float(spec["env"]["SIM_RETRY_S"]))
        return become(spec, report)

    patch(postgres_link, "time", RealTime())
    patch(sim_child, "become", become_host)
    patch(sim_child, "BUGS", {**sim_child.BUGS, "hold_for_everyone": hold_for_everyone})
    patch(sim_child, "_watch_journal", watch_database)
    with suppress(BrokenPipeError, ConnectionResetError):
        sim_child.serve(socket.socket(fileno=fd))


def install() -> None:
    """Let the simulator look into a database."""
    for module in (simulator, sim_check, sim_machine):
        patch(module, "read_payments", read_payments)
        patch(module, "open_readonly", Reader)
    patch(sim_gateway, "read_journal", read_journal)
    patch(simulator, "Machine", Hosts)
    patch(simulator, "Play", Play)
    patch(simulator, "Zygote", ForkServer)
    patch(simulator, "__file__", __file__)


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        be_child(int(sys.argv[2]))
        return 0
    install()
    if "--seeds" in sys.argv:
        return simulator.main()
    with Database() as server:
        SERVER.append(server)
        return simulator.main()


if __name__ == "__main__":
    sys.exit(main())
