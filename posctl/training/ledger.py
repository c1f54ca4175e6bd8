"""What the training gateway remembers: payments, checkouts, charges, in one SQLite file.

The gateways inside several posctl processes share it, so every use is one immediate transaction
over a connection of its own: they wait for each other, and `reset` is safe at any time. It may lose
the last training payments when the power fails (`synchronous=OFF`), never when a process dies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from posctl.files import make_file, make_folder

_VERSION = 1
_BUSY_S = 10.0
_SCHEMA = (
    """CREATE TABLE payment (
        app_key TEXT, shop_id TEXT, request_id TEXT, checkout_id TEXT NOT NULL,
        digest BLOB NOT NULL, scenario INTEGER NOT NULL, payment_order_id TEXT NOT NULL,
        calls INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'INIT',
        PRIMARY KEY (app_key, shop_id, request_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX payment_by_checkout ON payment (app_key, shop_id, checkout_id)",
    """CREATE TABLE checkout (
        app_key TEXT, shop_id TEXT, checkout_id TEXT, total_fee INTEGER NOT NULL,
        PRIMARY KEY (app_key, shop_id, checkout_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE charge (
        id INTEGER PRIMARY KEY, app_key TEXT NOT NULL, shop_id TEXT NOT NULL,
        checkout_id TEXT NOT NULL, request_id TEXT NOT NULL, pay_fee INTEGER NOT NULL,
        charged_at_ms INTEGER NOT NULL, UNIQUE (app_key, shop_id, request_id)
    )""",
    "CREATE INDEX charge_by_checkout ON charge (app_key, shop_id, checkout_id)",
    f"PRAGMA user_version = {_VERSION}",
)


class LedgerError(Exception):
    """The ledger cannot be read or written; the text says why."""


class Key(NamedTuple):
    """A payment is known by all three: request_ids of two shops never meet."""

    app_key: str
    shop_id: str
    request_id: str


class Place(NamedTuple):
    """What a checkout is known by."""

    app_key: str
    shop_id: str
    checkout_id: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as it stands. `status` is INIT, PENDING, SUCCESS or FAIL; `digest` stands for the
    payload, whose code is never kept; `calls` counts how often it was asked for.
    """

    key: Key
    checkout_id: str
    digest: bytes
    scenario: int
    payment_order_id: str
    calls: int = 0
    status: str = "INIT"

    @property
    def place(self) -> Place:
        return Place(self.key.app_key, self.key.shop_id, self.checkout_id)


@dataclass(frozen=True, slots=True)
class Charge:
    """Money taken from the customer, were it real; `pay_fee` in fen."""

    app_key: str
    shop_id: str
    checkout_id: str
    request_id: str
    pay_fee: int
    charged_at_ms: int


class Ledger:
    """The ledger inside one transaction; see `ledger`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def payment(self, key: Key) -> Payment | None:
        row = self._connection.execute(
            "SELECT checkout_id, digest, scenario, payment_order_id, calls, status FROM payment"
            " WHERE app_key = ? AND shop_id = ? AND request_id = ?",
            key,
        ).fetchone()
        return Payment(key, *row) if row else None

    def add(self, payment: Payment) -> None:
        self._connection.execute(
            "INSERT INTO payment (app_key, shop_id, request_id, checkout_id, digest, scenario,"
            " payment_order_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                *payment.key,
                payment.checkout_id,
                payment.digest,
                payment.scenario,
                payment.payment_order_id,
            ),
        )

    def count_call(self, key: Key, status: str | None) -> None:
        """One call more; `status` is where the payment stands now, None for where it stood."""
        self._connection.execute(
            "UPDATE payment SET calls = calls + 1, status = coalesce(?, status)"
            " WHERE app_key = ? AND shop_id = ? AND request_id = ?",
            (status, *key),
        )

    def calls_on(self, place: Place, scenario: int) -> int:
        """How often this scenario was asked for on a checkout, under any request_id."""
        (calls,) = self._connection.execute(
            "SELECT coalesce(sum(calls), 0) FROM payment"
            " WHERE app_key = ? AND shop_id = ? AND checkout_id = ? AND scenario = ?",
            (*place, scenario),
        ).fetchone()
        return int(calls)

    def charge(self, payment: Payment, pay_fee: int, total_fee: int, now_ms: int) -> None:
        """Charge once; `total_fee` is the checkout's if this is the first charge on it."""
        self._connection.execute(
            "INSERT INTO checkout VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*payment.place, total_fee),
        )
        self._connection.execute(
            "INSERT INTO charge (app_key, shop_id, request_id, checkout_id, pay_fee, charged_at_ms)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*payment.key, payment.checkout_id, pay_fee, now_ms),
        )

    def remaining_fee(self, place: Place) -> int | None:
        """What the checkout still needs, in fen, at least 0; None before its first charge."""
        row = self._connection.execute(
            "SELECT total_fee FROM checkout WHERE app_key = ? AND shop_id = ? AND checkout_id = ?",
            place,
        ).fetchone()
        if row is None:
            return None
        fees = self._connection.execute(
            "SELECT pay_fee FROM charge WHERE app_key = ? AND shop_id = ? AND checkout_id = ?",
            place,
        ).fetchall()
        paid = sum(int(fee) for (fee,) in fees)
        return max(0, int(row[0]) - paid)

    def charges(self) -> list[Charge]:
        rows = self._connection.execute(
            "SELECT app_key, shop_id, checkout_id, request_id, pay_fee, charged_at_ms FROM charge"
            " ORDER BY id"
        ).fetchall()
        return [Charge(*row) for row in rows]

    def asked_for(self, place: Place) -> bool:
        """Whether any payment of the checkout was ever asked for."""
        row = self._connection.execute(
            "SELECT 1 FROM payment WHERE app_key = ? AND shop_id = ? AND checkout_id = ?", place
        ).fetchone()
        return row is not None


@contextmanager
def ledger(path: Path) -> Iterator[Ledger]:
    """The ledger at `path`, made if need be, in one transaction that nobody else interrupts.

    It is committed at the end, and rolled back by an exception. Raises LedgerError.
    """
    with _transaction(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _SCHEMA:
                connection.execute(statement)
        elif version != _VERSION:
            raise LedgerError("it was made by another version of posctl")
        yield Ledger(connection)


def charges(ledger_path: Path) -> list[Charge]:
    """Every charge, the oldest first; none where there is no ledger. Raises LedgerError."""
    if not ledger_path.exists():
        return []
    with ledger(ledger_path) as book:
        return book.charges()


def forget(ledger_path: Path) -> None:
    """Empty the ledger, whoever made it and whoever is using it. Raises LedgerError."""
    if not ledger_path.exists():
        return
    with _transaction(ledger_path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (name,) in tables.fetchall():
            connection.execute(f'DROP TABLE "{name}"')
        connection.execute("PRAGMA user_version = 0")


def _create(path: Path) -> None:
    """An empty file for its owner alone; SQLite's own would be 0644.

    Never for a file that is there: to close it would drop the locks that this process has on it.
    """
    make_folder(path.parent)
    with suppress(FileExistsError):
        make_file(path)


@contextmanager
def _transaction(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        _create(path)
        with closing(sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(str(error)) from error
