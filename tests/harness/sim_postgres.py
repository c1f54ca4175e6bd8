"""The simulator over PostgreSQL: three hosts share one journal, and what leads to it fails, too.

    python tests/harness/sim_postgres.py --seed 17
    python tests/harness/sim_postgres.py --seeds 0:1000
    python tests/harness/sim_postgres.py --hunt --seeds 0:300

Schedules, gateway and invariants are the simulator's. Where it looks into a journal's file this
looks into the database; where it breaks a file or its disk, the server is away for that run. Now
and then the server is killed with -9 while a gateway answers: for a moment, so that posctl comes
through, or until the run has told what it knows. It syncs no commit that does not ask for it. A
process's lease ends as soon as it is dead, which on the wall's clock takes half a minute.

Consecutive seeds take turns with the way to the server (`WAYS`): straight, through what swallows,
cuts and delays, through PgBouncer, through both; and with a standby, which takes over when the
server is killed. Each has a step of its own (`OF_WAY`).
"""

from __future__ import annotations

import importlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import psycopg
import sim_check
import sim_child
import sim_gateway
import sim_machine
import simulator
from pgserver import Database, Faulty, Pooler, Standby
from seams import patch
from sim_bugs import Known
from sim_gateway import Account, Fault, Places, Row, Snapshot
from sim_machine import Machine, Payment, Run, Zygote
from sim_schedule import CONSOLE_EVERY, How, Key, Schedule, Step

from posctl.journal import postgres, postgres_link, postgres_whole

HOSTS = 3
SKEWS_S = (0.0, 2.0, -2.0)  # the hosts' clocks are nearly right; what more there is the steps add
UP_S = 30.0  # so long a look into the database waits for it
FALLS = 0.04  # of all answers, so many meet a server that dies


# Seed by seed in turn. A failover costs some seconds: one seed in seven has one.
WAYS = ("straight", "stalls", "pooler", "stalls", "pooler stalls", "standby", "straight")
# What besides befalls a journal that is reached so, in turn.
OF_WAY: Mapping[str, tuple[str, ...]] = {
    "straight": ("banned", ""),
    "stalls": ("kept", ""),
    "pooler": ("apart", ""),
    "pooler stalls": ("apart", ""),
    "standby": ("freed", "lagging", ""),
}
STALLS = 0.4  # so many of the runs that may meet one do
STALLED = ("swallowed", "answer swallowed", "cut", "cut", "answer cut", "answer cut", "answer late")
MESSAGES = (b"BEGIN", b"BEGIN", b"COMMIT", b"COMMIT", b"INSERT INTO payments", b"NOT told")
# While a stall may come: seconds that posctl waits for an answer, for the next one, and looks.
PATIENT, HASTY = (10.0, 2.0, 0.5), (2.0, 0.5, 0.1)
POOL = 3


class Servers:
    """A worker's server, which a standby may follow and replace, and PgBouncer before it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.main: Database = self._stack.enter_context(Database())
        # What a transaction does not ask to be kept is lost when the server is killed.
        self.main.execute("ALTER SYSTEM SET synchronous_commit='off'")
        self.main.execute("ALTER SYSTEM SET wal_writer_delay='10s'")
        self.main.execute("SELECT pg_reload_conf()")
        self._pooler: tuple[Pooler, int] | None = None
        self._databases = 0

    def close(self) -> None:
        self._stack.close()

    def pooler(self) -> Pooler:
        if self._pooler is None or self._pooler[1] != self.main.port:
            pooler = self._stack.enter_context(Pooler(self.main, POOL))
            self._pooler = pooler, self.main.port
        return self._pooler[0]

    def standby(self) -> Standby:
        standby = Standby(self.main)
        self._stack.push(standby)
        return standby.__enter__()

    def fresh(self) -> str:
        """The name of a new database: a pooler drops what a URL says of schemas."""
        self._databases += 1
        name = f"sim_{self._databases}"
        self.main.execute(f"CREATE DATABASE {name}")
        return name


SERVERS: list[Servers] = []  # this worker's one


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
             pay_request, closed_ms IS NULL, shop_id, checkout_id, created_ms::FLOAT8 / 1000,
             (SELECT started_ms::FLOAT8 / 1000 FROM tries t WHERE t.seq = p.seq AND n = p.tries)
           FROM payments p""",
    )
    return {
        request_id: Row(state, tries, running, wire, is_open, (shop, checkout), *s)
        for request_id, state, tries, running, wire, is_open, shop, checkout, *s in found
    }


class Hosts(Machine):
    """Three machines with one journal, and the server it is on."""

    def __init__(self, folder: Path, zygote: Zygote, places: Places, bug: str | None) -> None:
        super().__init__(folder, zygote, places, bug)
        self.seed = int(folder.name.partition("-")[0])
        self.way = way_of(self.seed)
        self.servers = SERVERS[0]
        self.server = self.servers.main
        self.falls = random.Random(self.seed)
        self.stalls = random.Random(f"{self.seed} stalls")
        self.kills = 0
        self.fell = self.is_down = self.calm = False
        self.took: list[str] = []  # the stalls that were met
        self.standby: Standby | None = None
        self.weather: Faulty | None = None
        self._stack = ExitStack()
        self._falling = threading.Lock()
        self._lay_way()

    def _lay_way(self) -> None:
        """Set where the journal is, for posctl and for who looks after it."""
        if self.way == "standby":
            self.standby = self.servers.standby()
            self.follow("'*'")
            host, _, more = self.server.url().partition("@")[2].partition("/")
            hosts = f"{host},127.0.0.1:{self.standby.port}"
            url = f"postgresql://postgres@{hosts}/{more}&target_session_attrs=read-write"
            self.journal = Place(url)  # type: ignore[assignment]  # see Place
            self._env["POSCTL_JOURNAL"] = url
            return
        port = self.server.port
        base = f"postgresql://postgres@127.0.0.1:{port}/"
        if "pooler" in self.way:
            url = base + self.servers.fresh()
            port = self.servers.pooler().port
        else:
            url = self.server.url()
        self.journal = Place(url)  # type: ignore[assignment]  # see Place
        if "stalls" in self.way:
            self.weather = self._stack.enter_context(Faulty(port))
            port = self.weather.port
        self._env["POSCTL_JOURNAL"] = url.replace(f":{self.server.port}/", f":{port}/")

    def leave(self) -> None:
        """Nothing of this schedule is left on the server."""
        self.rise()
        self._stack.close()
        if self.standby is not None and self.standby is not self.server:
            self.follow("''")
            self.standby.__exit__()
        name = str(self.journal).rpartition("/")[2]
        if "pooler" in self.way:
            self.server.execute(f"DROP DATABASE {name} WITH (FORCE)")
        else:
            schema = name.partition("search_path%3D")[2].partition("&")[0]
            self.server.execute(f"DROP SCHEMA {schema} CASCADE")

    def follow(self, names: str) -> None:
        """Which standbys a commit waits for."""
        self.server.execute(f"ALTER SYSTEM SET synchronous_standby_names={names}")
        self.server.execute("SELECT pg_reload_conf()")

    def start(self, *argv: str, **how: Any) -> Run:
        host = len(self.runs) % HOSTS
        times_s = HASTY if self.weather else PATIENT
        self._env |= {
            "SIM_HOST": f"host-{host}",
            "SIM_RETRY_S": str(self.falls.choice((1, 10))),
            "SIM_ANSWER_S": ",".join(map(str, times_s)),
        }
        if argv[0] in ("retry", "status", "batch") or how.get("about") is not None:
            self._stall()
        clock_s, self.clock_s = self.clock_s, self.clock_s + SKEWS_S[host]
        try:
            return super().start(*argv, **how)
        finally:
            self.clock_s = clock_s

    def _stall(self) -> None:
        """Perhaps a message of what runs next does not come through, or its answer does not."""
        weather = self.weather
        if weather is None or weather.kind or self.calm or self.stalls.random() > STALLS:
            return
        word, nth = self.stalls.choice(MESSAGES), self.stalls.choice((1, 1, 2, 3))
        weather.fault(word, nth, self.stalls.choice(STALLED))
        self.fell = True

    def strike(self, address: str, moment: str) -> None:
        super().strike(address, moment)
        with self._falling:
            if moment == "parsed" and not self.calm and self.falls.random() < self._falls_at:
                self.fall(for_long=self.falls.random() < 0.5)

    @property
    def _falls_at(self) -> float:
        """How many of all answers meet a server that dies; a standby takes over once, and not
        before the step in which it should.
        """
        if self.standby is None or self.standby is self.server:
            return FALLS
        return 0.0 if own_step(self.seed) else 0.25

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
        """The server is there again, or its standby in its place."""
        if not self.is_down:
            return
        if self.standby is not None and self.standby is not self.server:
            self.standby.promote()
            self.server.__exit__()
            self.servers.main = self.server = self.standby
            self.took.append("failover")
        else:
            self.server.start()
        if "pooler" in self.way:
            rows(Place(self._through_pooler), "SELECT 1")  # it makes a pause after a refusal
        self.is_down = False

    @property
    def _through_pooler(self) -> str:
        there = str(self.journal)
        return there.replace(f":{self.server.port}/", f":{self.servers.pooler().port}/")

    def finish(self, runs: Iterable[Run], leave: int = 0) -> None:
        super().finish(runs, leave)
        with self._falling:
            self.rise()
        if leave:
            return
        if self.weather and self.weather.kind:
            if self.weather.is_silent.is_set():
                self.took.append(self.weather.kind)
            self.weather.mend()
        if Place.exists(self.journal):  # type: ignore[arg-type]  # see above
            rows(
                self.journal,  # type: ignore[arg-type]  # see above
                "UPDATE claims SET expires_at = now() - INTERVAL '1 second' RETURNING seq",
            )

    def claims_of(self, request_id: str) -> int:
        """How many leases run for a payment: 0 or 1."""
        found = rows(
            self.journal,  # type: ignore[arg-type]  # see above
            """SELECT count(*) FROM claims JOIN payments USING (seq)
               WHERE request_id=%s AND expires_at > clock_timestamp()""",
            (request_id,),
        )
        return int(found[0][0])

    def ended(self, request_ids: Iterable[str]) -> list[str]:
        """Of these, whose latest try has an answer."""
        found = rows(
            self.journal,  # type: ignore[arg-type]  # see above
            """SELECT request_id FROM payments JOIN tries USING (seq)
               WHERE request_id = ANY(%s) AND n=payments.tries AND event IS NOT NULL""",
            (list(request_ids),),
        )
        return [request_id for (request_id,) in found]


def way_of(seed: int) -> str:
    """How the journal of `seed` is reached. Processes from the shell know nothing of our haste."""
    way = WAYS[seed % len(WAYS)]
    if seed % CONSOLE_EVERY == CONSOLE_EVERY - 1:
        return "straight"
    return way if shutil.which("pgbouncer") else way.replace("pooler", "straight").split()[-1]


def _reached(machine: Hosts) -> int:
    """How many payments were begun and closed."""
    return simulator._reached(read_payments(machine.journal))  # type: ignore[arg-type]  # see Hosts


def own_step(seed: int) -> str:
    """What befalls the journal of `seed` besides."""
    among = OF_WAY[way_of(seed)]
    return (
        "" if seed % CONSOLE_EVERY == CONSOLE_EVERY - 1 else among[seed // len(WAYS) % len(among)]
    )


class Play(simulator.Play):
    """A schedule in which the server fails instead of the disk."""

    machine: Hosts

    def __init__(
        self, schedule: Schedule, folder: Path, zygote: Zygote, places: Places, bug: str | None
    ) -> None:
        self._loses_answers = self._is_expected = False
        seed = schedule.seed
        if own := own_step(seed):
            where = random.Random(f"{seed} way").randrange(1, len(schedule.steps) + 1)
            steps = list(schedule.steps)
            steps.insert(where, Step(own, seed % 1000))
            schedule = replace(schedule, steps=tuple(steps))
        super().__init__(schedule, folder, zygote, places, bug)

    def play(self) -> list[sim_check.Violation]:
        try:
            return super().play()
        finally:
            self.counts["action server_killed"] += self.machine.kills
            self.counts[f"way {self.machine.way.replace(' ', '_')}"] += 1
            for kind in self.machine.took:
                self.counts[f"stall {kind.replace(' ', '_')}"] += 1
            self.machine.leave()

    def _settle(self) -> None:
        self.machine.calm = True
        super()._settle()

    def _finish(self, runs: list[Run]) -> None:
        super()._finish(runs)
        self.machine.fell = False

    def _choose(self, account: Account) -> Fault:
        return Fault("cut") if self._loses_answers else super()._choose(account)

    @contextmanager
    def _calm(self) -> Iterator[None]:
        """The database does what it should."""
        before, self.machine.calm = self.machine.calm, True
        yield
        self.machine.calm = before

    def _is_refused(
        self, part: Any, payments: Sequence[str], codes: Any, invariant: int, **env: str
    ) -> None:
        with self._calm():  # else it is 31
            super()._is_refused(part, payments, codes, invariant, **env)

    def _do_asleep(self, step: Step) -> None:
        with self._calm():  # what is mended for the others would befall who sleeps
            super()._do_asleep(step)

    def _do_old_news(self, step: Step) -> None:
        with self._calm():  # as above
            super()._do_old_news(step)

    def _do_rebatch(self, step: Step) -> None:
        with self._calm():  # what was not recorded is rightly sent again
            super()._do_rebatch(step)

    @property
    def _broken(self) -> bool:
        """Whether exit 31 may be right."""
        return self._is_expected or self.machine.fell

    @_broken.setter
    def _broken(self, value: bool) -> None:
        """The simulator says it of files, and of what must be refused."""
        self._is_expected = value

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

    # ── what befalls a journal that is reached so ────────────────────────────────────────────

    def _do_banned(self, step: Step) -> None:
        """A sweep holds what it has begun back: nobody else sends that. When its lease has ended a
        person closes the payment and takes it anew.
        """
        with self._calm():
            part = self._leave_open(self._spare(step))
            begun = next((p for p in self._decided() if p.key == part.key), None)
            if begun is None:
                return
            how = How(armed=(("begin.after_commit", 1, "sleep:3600"),))
            with self.machine.night():
                sweep = self.machine.start("retry", "--all", "--yes", how=how)
                self.machine.wait_until_asleep(sweep)
                other = self._run("retry", begun.request_id)
                self.machine.clock_s += 3600
                self.world.clock_moved = True
                self._let_leases_end()
                for one in self._decided():
                    if one.request_id == begun.request_id:
                        self._resolve(one, How())
                        self._finish([self._start_pay(part, How())])
            self._finish([sweep])
            self.counts["people banned"] += bool(sweep.reached)
            if sweep.reached and self._sent(other):
                self.blame(6, f"run {other.number} sent what run {sweep.number} held")

    def _let_leases_end(self) -> None:
        rows(
            self.machine.journal,  # type: ignore[arg-type]  # see Hosts
            "UPDATE claims SET expires_at = now() - INTERVAL '1 second' RETURNING seq",
        )

    def _do_kept(self, step: Step) -> None:
        """A sweep could not give a payment back, and goes on with another: the first is free when
        its lease ends.
        """
        weather = self.machine.weather
        assert weather is not None
        with self._calm():
            parts = [self._leave_open(self._spare(step)) for _n in range(2)]
            keys = [part.key for part in parts]
            both = [p.request_id for p in self._decided() if p.key in keys]
            if len(both) < 2:
                return
            how = How(armed=(("post.before", 2, "sleep:1"),))
            self._loses_answers, weather.deaf_to = True, b"DELETE FROM claims WHERE seq"
            with self.machine.night():
                sweep = self.machine.start(
                    "retry", "--all", how=how, env={"SIM_MARGIN_S": "0.5", "SIM_RETRY_S": "0.2"}
                )
                self.machine.wait_until_asleep(sweep)
                given_up_s = time.monotonic() + 10
                while not (free := self.machine.ended(both)) and time.monotonic() < given_up_s:
                    threading.Event().wait(0.05)
                while free and self.machine.claims_of(free[0]) and time.monotonic() < given_up_s:
                    threading.Event().wait(0.05)
                weather.deaf_to, self._loses_answers = b"", False
                if free and sweep.status is None:
                    self.counts["people kept"] += 1
                    if self.machine.claims_of(free[0]):
                        self.blame(5, f"{free[0]} is held by who gave it up")
            self.machine.fell = True  # it may be late with what it records
            self._finish([sweep])

    def _do_apart(self, step: Step) -> None:
        """Another store's journal should be in a schema of its own, and PgBouncer drops that: its
        payments do not get among the first one's.
        """
        with self._calm():
            url = f"{self.machine._through_pooler}?options=-csearch_path%3Dstore_2"
            words, code = self.pay_words(self._spare(step))
            self.machine.fell = True
            run = self._run(*words, code=code, env={"POSCTL_JOURNAL": url})
            self.counts["people apart"] += 1
            if run.code != 31 or self._sent(run):
                self.blame(12, f"run {run.number} paid from another store's journal: {run.code}")

    def _has_follower(self) -> bool:
        standby = self.machine.standby
        return standby is not None and standby is not self.machine.server

    def _do_freed(self, step: Step) -> None:
        """The one synchronous standby stops receiving; somebody cancels a till's wait for it; then
        the server dies, and the standby takes over.
        """
        standby = self.machine.standby
        if standby is None or not self._has_follower():
            return
        part = self._pick(self._next_parts(), step) or self._spare(step)
        server, done = self.machine.server, threading.Event()

        def free() -> None:
            waits = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event='SyncRep'"
            while not done.wait(0.05):
                server.execute(waits)

        with self._calm():
            standby.fall_behind()
            freeing = threading.Thread(target=free)
            freeing.start()
            self.machine.fell = True
            self._finish([self._start_pay(part, How())])
            done.set()
            freeing.join()
            self.counts["people freed"] += 1
            with self.machine._falling:
                self.machine.fall(for_long=False)

    def _do_lagging(self, step: Step) -> None:
        """An asynchronous standby that lags takes over: what was told as recorded is gone, and
        nothing is sent until somebody knows it.
        """
        standby = self.machine.standby
        if standby is None or not self._has_follower():
            return
        with self._calm():
            self.machine.follow("''")
            standby.fall_behind()
            there = Place(standby.url(self._schema))
            before = _reached(self.machine)
            part = self._left_open(step)
            for _n in range(4):
                if _reached(self.machine) > before:
                    break
                self._finish([self._start_pay(part, How())])
            newest = read_payments(self.machine.journal)  # type: ignore[arg-type]  # see Hosts
            lost = newest.keys() - read_payments(there).keys()
            unknown = any(p.open and self._verdict(p) is None for p in newest.values())
            if _reached(self.machine) == before or (lost and unknown):
                self.machine.standby = None  # nobody could know yet what was lost
                standby.__exit__()
                return
            with self.machine._falling:
                self.machine.fall(for_long=False)
            known = read_payments(self.machine.journal)  # type: ignore[arg-type]  # see Hosts
            self.counts["people lagging"] += 1
            self._is_refused(part, list(newest)[-1:], (31,), 12)
            self._mourn(newest, known)
            self._go_on("adopt", "--yes")

    @property
    def _schema(self) -> str:
        return str(self.machine.journal).partition("search_path%3D")[2].partition("&")[0]


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
    ("resolved_by=v.resolved_by", "resolve"),
)


def watch_database(points: sim_child.Points, _connections: list[sim_child.Db]) -> None:
    """The points of `sim_schedule.POINTS` where a journal in a database has them."""
    kinds: list[str] = []
    link = postgres_link.Link
    execute, once, commit, migrate = link._execute, link._once, link._commit, link._migrate
    forget, told = postgres.PostgresJournal.forget_codes, postgres.PostgresJournal.mark_told

    def notice(statement: str) -> None:
        kinds.extend([kind for mark, kind in _KINDS if mark in statement][:1])

    def executed(self: Any, statement: str, values: Any) -> Any:
        notice(statement)
        return execute(self, statement, values)

    def begun(self: Any, step: Callable[[], Any]) -> Any:
        kinds.clear()
        points.reach("begin.before")
        return once(self, step)

    def committed(self: Any, db: Any) -> None:
        for one in (*self._later, *sorted(self._rows)):  # they go out with COMMIT
            notice(one.statement)
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


def no_deadline(_connections: list[sim_child.Db]) -> None:
    """A statement is waited for until it is answered."""

    @contextmanager
    def waits(*_args: Any) -> Iterator[None]:
        yield

    patch(postgres_link._Watch, "over", waits)


def warned_is_clean(_connections: list[sim_child.Db]) -> None:
    """A COMMIT that came with a warning is a COMMIT."""
    patch(postgres_link.Link, "_noticed", lambda *_args: None)


def no_look_after_ban(_connections: list[sim_child.Db]) -> None:
    """What the crew has held back is sent, however long ago it was begun."""
    many = importlib.import_module("posctl.paying.many")
    looks = many.looks_again

    def just_begun(payment: Any, _since_s: float, desk: Any) -> Any:
        return looks(payment._replace(updated_ms=desk.now_ms()), desk.uptime_s(), desk)

    patch(many, "looks_again", just_begun)


def durable_by_session(_connections: list[sim_child.Db]) -> None:
    """synchronous_commit is set for the connection, which behind a pooler the next transaction
    does not have.
    """
    local = {k: v for k, v in postgres_link._LOCAL.items() if k != "synchronous_commit"}
    patch(postgres_link, "_LOCAL", local)
    connect = postgres_link.Link._fit_connection

    def connected(self: Any) -> Any:
        made = connect(self)
        made[0].execute("SET synchronous_commit = 'on'")
        return made

    patch(postgres_link.Link, "_fit_connection", connected)


def schema_not_looked_at(_connections: list[sim_child.Db]) -> None:
    """Whatever schema the connection leads to, it is the right one."""
    patch(postgres_link, "_schema_of", lambda _conninfo: None)


def lost_time_unnoticed(_connections: list[sim_child.Db]) -> None:
    """Whatever the database has forgotten, it is whole and the latest."""
    patch(postgres_whole, "_checked", lambda _link, found, *_args: found)


OWN_BUGS: Mapping[str, Callable[[list[sim_child.Db]], None]] = {
    bug.__name__: bug
    for bug in (
        hold_for_everyone,
        no_deadline,
        warned_is_clean,
        no_look_after_ban,
        durable_by_session,
        schema_not_looked_at,
        lost_time_unnoticed,
    )
}
# As `sim_bugs.KNOWN`, over PostgreSQL.
KNOWN: Mapping[str, Known] = {
    bug: Known(seed, frozenset(invariants))
    for bug, seed, invariants in (
        ("hold_for_everyone", 0, (6,)),
        ("timeout_is_failure", 3, (1,)),
        ("no_deadline", 4, (5,)),
        ("warned_is_clean", 26, (1, 2)),
        ("no_look_after_ban", 0, (1, 2, 8)),
        ("durable_by_session", 2, (2, 4)),
        ("schema_not_looked_at", 2, (12,)),
        ("lost_time_unnoticed", 12, (12,)),
    )
}


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
        times_s = map(float, spec["env"]["SIM_ANSWER_S"].split(","))
        for name, time_s in zip(("ANSWER_S", "AWAY_ANSWER_S", "LOOK_S"), times_s, strict=True):
            patch(postgres_link, name, time_s)
        patch(postgres_link, "LOCK_S", postgres_link.ANSWER_S * 0.4)
        if margin_s := spec["env"].get("SIM_MARGIN_S"):
            patch(postgres, "LEASE_MARGIN_S", float(margin_s))
        return become(spec, report)

    patch(postgres_link, "time", RealTime())
    patch(sim_child, "become", become_host)
    patch(sim_child, "BUGS", {**sim_child.BUGS, **OWN_BUGS})
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
    patch(simulator, "KNOWN", KNOWN)
    patch(simulator, "missing", missing)


def missing(counts: Mapping[str, int]) -> list[str]:
    """What of a database's own did not come up."""
    wanted = [
        *(f"way {way.replace(' ', '_')}" for way in WAYS),
        *(f"people {own}" for among in OF_WAY.values() for own in among if own),
        *(f"stall {kind.replace(' ', '_')}" for kind in (*STALLED, "failover")),
        *(
            f"point {kind}.{when}_commit"
            for kind in ("begin", "record")
            for when in ("before", "after")
        ),
        "action server_killed",
    ]
    return [name for name in dict.fromkeys(wanted) if not counts.get(name)]


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        be_child(int(sys.argv[2]))
        return 0
    install()
    if "--seeds" in sys.argv and "--hunt" not in sys.argv:
        return simulator.main()
    SERVERS.append(Servers())
    try:
        return simulator.main()
    finally:
        SERVERS[0].close()


if __name__ == "__main__":
    sys.exit(main())
