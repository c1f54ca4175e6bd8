"""A payment code pays once: whatever the checkout, the command and the till."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from threading import Barrier, Thread
from typing import Any

import pytest
from conftest import Ran, Shop
from merciless import Merciless, paid, told
from pgserver import Database

from posctl.money.codes import on_training_sheet
from posctl.training.scenarios import SCENARIOS

CODE, OTHER = "283456789012345678", "130123456789012345"


@pytest.fixture
def gateway(shop: Shop) -> Iterator[Merciless]:
    """A merciless gateway, and the profile that points at it."""
    with Merciless() as server:
        shop.profile(server.url)
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def tills(request: pytest.FixtureRequest, shop: Shop) -> Shop:
    """A machine whose journal is a file, or a database for many tills."""
    if request.param == "postgres":
        database: Database = request.getfixturevalue("database")
        shop.env["POSCTL_JOURNAL"] = database.url()
    return shop


def pay(shop: Shop, checkout: str, code: str = CODE, *more: str, fee: str = "100") -> Ran:
    words = ("--fee", fee, "--checkout", checkout, "--code-stdin", "--json", *more)
    return shop.run("pay", *words, stdin=code)


def assert_used(ran: Ran) -> None:
    assert (ran.code, ran.json["error"]["code"]) == (30, "code_used"), ran


def sql(shop: Shop, statement: str, *values: object) -> list[Any]:
    with closing(sqlite3.connect(shop.journal)) as db, db:
        return db.execute(statement, values).fetchall()


def test_a_code_that_paid_pays_nothing_else(tills: Shop, gateway: Merciless) -> None:
    """The code of a payment that was just paid is refused on every other checkout, also with
    --another; a fresh one pays. The paid checkout itself says first that it is paid.
    """
    assert pay(tills, "c1").code == 0
    refused = pay(tills, "c2")
    assert_used(refused)
    told = refused.json  # about the checkout that was asked for: nothing of it is paid
    assert (told["checkout_id"], told["remaining_fee"]) == ("c2", None)
    assert_used(pay(tills, "c2", CODE, "--another", fee="5"))
    assert_used(pay(tills, "c1", CODE, "--another"))
    assert pay(tills, "c1").json["error"]["code"] == "already_paid"
    assert len(gateway.requests) == 1
    assert pay(tills, "c2", OTHER).code == 0


def test_a_code_at_an_open_payment_pays_nothing_else(tills: Shop, gateway: Merciless) -> None:
    """The code of a payment that is open is refused elsewhere, and resumes that payment; when it
    closes without a charge, the code is free.
    """
    gateway.answer = lambda _members: told({"result_status": 3})
    assert pay(tills, "c1").code == 20
    assert_used(pay(tills, "c2"))
    gateway.answer = lambda _members: told({"result_status": 2, "result_code": "NO_MONEY"})
    assert pay(tills, "c1").json["resumed"] is True
    gateway.answer = paid
    assert pay(tills, "c2").code == 0


def test_ten_minutes_later_a_code_is_nobodys(shop: Shop, gateway: Merciless) -> None:
    """Up to 10 minutes after it paid a code is refused, later no more."""
    assert pay(shop, "c1").code == 0
    sql(shop, "UPDATE payments SET closed_ms=closed_ms-590000")
    assert_used(pay(shop, "c2"))
    sql(shop, "UPDATE payments SET closed_ms=closed_ms-20000")
    assert pay(shop, "c2").code == 0
    assert_used(pay(shop, "c3"))


def test_only_a_wallets_code_is_used_up(shop: Shop, gateway: Merciless) -> None:
    """An account pays as often as it is sent."""
    for checkout in ("c1", "c2"):
        assert pay(shop, checkout, "customer@example.com").code == 0


def test_the_code_is_kept_as_a_keyed_hash(shop: Shop, gateway: Merciless) -> None:
    """The journal keeps no code of a closed payment, and another journal hashes it otherwise."""
    hashes = set()
    for name in ("a.db", "b.db"):
        shop.env["POSCTL_JOURNAL"] = str(shop.home / name)
        assert shop.run("journal", "create").code == 0
        assert pay(shop, "c1").code == 0
        with closing(sqlite3.connect(shop.home / name)) as db:
            hashes |= set(db.execute("SELECT code_hash FROM payments").fetchall())
    files = b"".join(file.read_bytes() for file in shop.home.glob("*.db*"))
    assert len(hashes) == 2
    assert CODE.encode() not in files


def test_a_file_names_the_code_too(shop: Shop, gateway: Merciless) -> None:
    """A used code is refused wherever it comes from: a request file, a batch."""
    assert pay(shop, "c1").code == 0
    one = f'{{"pay_fee":100,"checkout_id":"c2","channel_account":"{CODE}"}}'
    (shop.home / "one.json").write_text(one)
    assert_used(shop.run("pay", "--file", "one.json", "--json"))
    assert shop.run("batch", "one.json", "--another").code == 30
    assert len(gateway.requests) == 1


def test_two_tills_at_once_use_it_once(tills: Shop, gateway: Merciless) -> None:
    """Many tills that scan one code at the same moment for different checkouts: one sends."""
    assert pay(tills, "c0", OTHER).code == 0  # the journal is there
    gateway.requests.clear()
    ready, codes = Barrier(6), list[int]()

    def till(number: int) -> None:
        process = tills.start(
            *("pay", "--fee", "100", "--checkout", f"c{number}", "--code-stdin"),
            stdin=subprocess.PIPE,
        )
        ready.wait()
        process.communicate(CODE.encode(), timeout=60)
        codes.append(process.returncode)

    threads = [Thread(target=till, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [0, *[30] * 5]
    assert len(gateway.requests) == 1


def test_the_codes_of_the_training_sheet_are_scanned_again(shop: Shop) -> None:
    """In training every code of the sheet pays again and again; any other pays once."""
    assert all(on_training_sheet(scenario.code) for scenario in SCENARIOS)
    profile = ("--profile", "training")
    for checkout in ("c1", "c2"):
        assert pay(shop, checkout, SCENARIOS[0].code, *profile).code == 0
    assert pay(shop, "c3", CODE, *profile).code == 0
    assert_used(pay(shop, "c4", CODE, *profile))
