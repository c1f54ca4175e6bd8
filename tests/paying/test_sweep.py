"""Many open payments in one sweep: each told once and whole, however many, in little memory."""

from __future__ import annotations

import gc
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from conftest import Shop
from faultserver import (
    PAID,
    Behaviour,
    FaultServer,
    Talk,
    answer,
    cut_after_reading,
    refusing_port,
    reset_after_reading,
    reset_before_reading,
    truncated_chunked,
    truncated_length,
)
from hypothesis import given
from hypothesis import strategies as st
from merciless import Merciless
from pty_run import pty_run
from test_journal_contract import new

from posctl.cli.run import new_request_id
from posctl.cli.several import Several
from posctl.config.profiles import load
from posctl.gateway.client import Gateway
from posctl.journal.sqlite import SqliteJournal
from posctl.money.outcome import Event, advance
from posctl.money.record import Checkout, Payment, TryEnd, Verdict, Who
from posctl.money.result import RESULT_KEYS, Result
from posctl.paying.desk import Desk
from posctl.paying.many import WORKERS, Watch
from posctl.paying.retries import Sweep, sweep
from posctl.screen.packed import Records

PENDING = PAID.replace(b'"result_status":1', b'"result_status":3')
MANY = 300  # more than are packed together, and more than are on their way at once


def request_id(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-000000000000"


def open_many(shop: Shop, url: str, count: int, *, ago_s: int = 0) -> None:
    """So many payments whose answer was awaited in vain."""
    shop.profile(url, timeout="{connect: 30, read: 30, total: 60}")  # threads may start slowly
    now_ms = int(time.time() - ago_s) * 1000

    def fill(tx: SqliteJournal) -> None:
        for number in range(count):
            payment = tx.insert(
                new(
                    request_id(number),
                    Checkout(True, "12345678", "1", f"c{number}"),
                    now_ms,
                    operator_id="王芳",
                    pay_request=json.dumps({"request_id": request_id(number), "pay_fee": 100}),
                )
            )
            tx.hold(payment)
            payment = tx.start_try(payment, Who("till", 1, "001", "王芳"), now_ms)
            end = TryEnd(Event.READ_TIMEOUT, now_ms)
            tx.finish_try(payment, end, advance(payment.standing, end.event), Verdict(), ())
            tx.let_go(payment)

    with closing(SqliteJournal(shop.journal)) as journal:
        journal.transact(fill)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_each_of_many_is_told_once_in_json(shop: Shop, encoding: str) -> None:
    """`retry --all --json` tells hundreds of payments on one line, each once and with every key
    that `retry` of one has, in whatever the reader's encoding can say; then all count as told.
    """
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        ran = shop.run("retry", "--all", "--json", env={"PYTHONIOENCODING": encoding})
        with closing(sqlite3.connect(shop.journal)) as db:
            untold = db.execute("SELECT count(*) FROM payments WHERE NOT told").fetchone()
        assert untold == (0,)
        one = shop.run("retry", request_id(0), "--json").json
    told = ran.json["payments"]
    assert (ran.code, ran.json["exit_code"], ran.json["error"]) == (0, 0, None)
    assert sorted(payment["request_id"] for payment in told) == list(map(request_id, range(MANY)))
    assert {tuple(payment) for payment in told} == {tuple(one)[2:]}, "but posctl and command"
    assert {payment["operator_id"] for payment in told} == {"王芳"}
    assert ran.out.isascii() == (encoding == "ascii")
    assert list(ran.json) == [
        *("posctl", "command", "exit_code", "at", "payments", "unreached", "error")
    ]


def test_each_of_many_is_told_once_in_lines(shop: Shop) -> None:
    """Piped, hundreds of payments are told as numbered lines."""
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        ran = shop.run("retry", "--all")
    lines = dict(line.split(": ", 1) for line in ran.out.splitlines() if ": " in line)
    ids = {lines[f"payments.{number}.request_id"] for number in range(1, MANY + 1)}
    assert ids == set(map(request_id, range(MANY)))
    assert f"payments.{MANY + 1}.request_id" not in lines
    assert next(iter(lines)) == "posctl"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("exit_code", "0"),
        (f"payments.{MANY}.outcome", "success"),
        (f"payments.{MANY + 1}.outcome", ""),
        ("payments.0.outcome", ""),
    ],
)
def test_one_value_of_many(shop: Shop, field: str, value: str) -> None:
    """`--field` finds one payment among hundreds, and nothing behind the last."""
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        assert shop.run("retry", "--all", "--field", field).out == f"{value}\n"


def test_all_of_many_as_one_value(shop: Shop) -> None:
    """`--field payments` is all of them, as JSON."""
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        told = json.loads(shop.run("retry", "--all", "--field", "payments").out)
    assert len(told) == MANY
    assert {payment["outcome"] for payment in told} == {"success"}


@pytest.mark.parametrize("columns", [80, 40])
def test_each_of_many_is_drawn_once(shop: Shop, columns: int) -> None:
    """On a terminal hundreds of payments are one table with one head, and the sum below it."""
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        shown = pty_run(
            [*shop.command, "retry", "--all"], columns=columns, rows=3 * MANY, env=shop.env
        )
    assert shown.exit_code == 0
    for number in range(MANY):
        assert shown.text.count(request_id(number)) == 1
    assert shown.text.count("LIVE · real money") == 1
    last = shown.text.rstrip().splitlines()[-1]
    assert last.strip() == f"√ PAID {MANY}"


def told_of(shop: Shop) -> tuple[int, int]:
    """How many payments are paid, and how many outcomes the journal takes for told."""
    with closing(sqlite3.connect(shop.journal)) as db:
        found = db.execute(
            "SELECT count(*) FILTER (WHERE paid), sum(told) FROM payments"
        ).fetchone()
    return found[0], found[1]


def test_what_was_written_out_counts_as_told(shop: Shop) -> None:
    """Hundreds of outcomes count as told once they were written out, and the open ones do not."""
    with FaultServer(*[answer(PENDING)] * 10, answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        assert shop.run("retry", "--all", "--json").code == 20
    assert told_of(shop) == (MANY - 10, MANY - 10)


@pytest.mark.parametrize("reader", ["full disk", "gone", "went away"])
@pytest.mark.parametrize("form", ["--json", "--no-color"])
def test_what_was_not_written_out_stays_untold(shop: Shop, reader: str, form: str) -> None:
    """What found no room, or a reader who went away, in the middle of the list: not one outcome
    counts as told, so that the next same `pay` tells it first.
    """
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        mine, theirs = os.pipe()
        if reader == "gone":
            os.close(mine)
        with Path("/dev/full").open("wb") as full:
            stdout = full if reader == "full disk" else theirs
            process = shop.start("retry", "--all", form, stdout=stdout)
        os.close(theirs)
        if reader == "went away":  # a pipe holds 65,536 bytes, and the list is longer
            assert os.read(mine, 1000)
        if reader != "gone":
            os.close(mine)
        process.communicate()
    assert process.returncode == 0
    assert told_of(shop) == (MANY, 0)


def test_what_cron_settled_stays_untold(shop: Shop) -> None:
    """Nobody reads what `retry --due` prints: the next same `pay` tells it."""
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY, ago_s=600)
        assert shop.run("retry", "--due", "--json").code == 0
    assert told_of(shop) == (MANY, 0)


def test_ctrl_c_tells_every_payment_as_it_stands(shop: Shop) -> None:
    """After Ctrl-C what is on its way is recorded, nothing new is sent, and all are told: 21."""
    with Merciless() as gateway:
        open_many(shop, gateway.url, MANY)
        gateway.hold_at = 0
        process = shop.start("retry", "--all", "--json")
        gateway.wait_for(lambda: gateway.held >= 64)
        process.send_signal(signal.SIGINT)
        assert b"Stopping" in process.stderr.readline()
        gateway.let_go()
        out, _err = process.communicate()
    data = json.loads(out)
    outcomes = Counter(payment["outcome"] for payment in data["payments"])
    ids = sorted(payment["request_id"] for payment in data["payments"])
    assert (process.returncode, ids) == (21, list(map(request_id, range(MANY))))
    assert outcomes.keys() == {"success", "unknown"}
    assert told_of(shop) == (outcomes["success"], outcomes["success"])
    assert 64 <= outcomes["success"] == len(gateway.charges) <= 128


@pytest.mark.parametrize(
    ("command", "what", "code"),
    [
        ("retry", "journal gone", 21),
        ("retry", "Ctrl-C", 21),
        ("batch", "journal gone", 21),
        ("batch", "Ctrl-C", 12),
    ],
)
def test_what_a_rate_limit_turned_away_was_sent(
    shop: Shop, command: str, what: str, code: int
) -> None:
    """When the journal goes, or somebody stops the run, while a payment waits to be sent again, it
    is still told, and the exit code is none that says that nothing was sent (31, 130).
    """
    limited = {"code": 7, "sub_msg": "This ban will last for 1 more seconds"}
    with FaultServer(answer(json.dumps({"error_response": limited}).encode())) as server:
        open_many(shop, server.url, 1)
        (shop.home / "orders.jsonl").write_text('{"checkout_id": "new", "pay_fee": 100}\n')
        words = {"retry": ("retry", "--all"), "batch": ("batch", "orders.jsonl")}[command]
        process = shop.start(*words, "--json")
        deadline = time.monotonic() + 30
        while not limits_of(shop) and time.monotonic() < deadline:
            os.sched_yield()
        if what == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        else:
            shop.journal.rename(shop.home / "gone.db")
        out, _err = process.communicate()
    data = json.loads(out)
    assert len(server.requests) == 1
    assert (process.returncode, data["exit_code"]) == (code, code)
    assert (data["error"] is None) == (what == "Ctrl-C")
    if command == "retry":
        (told,) = data["payments"]
        assert (told["request_id"], told["outcome"]) == (request_id(0), "unknown")
    else:
        assert (data["not_tried"], data["outcomes"]["rejected"]["count"]) == (0, 1)


def limits_of(shop: Shop) -> int:
    """How many tries are recorded that a rate limit turned away."""
    with closing(sqlite3.connect(shop.journal)) as db:
        (count,) = db.execute("SELECT count(*) FROM tries WHERE code = '7'").fetchone()
    return int(count)


def test_the_head_is_that_of_whose_money_it_is(shop: Shop) -> None:
    """Live payments that another profile was asked to retry are not told under its name."""
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, 2)
        words = ["--profile", "training", "retry", request_id(0), request_id(1)]
        shown = pty_run([*shop.command, *words], env=shop.env)
        assert server.connections == 0
    assert shown.exit_code == 30
    assert "LIVE · real money · store-1" in shown.text
    assert "TRAINING" not in shown.text


def test_a_bug_in_telling_stops_no_sweep(shop: Shop) -> None:
    """A result that cannot be put into JSON is one that is not told, and said so: the others are
    sent, recorded and told, and the exit code is theirs all the same.
    """
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, MANY)
        bug = (
            "import posctl.cli.several as s; real = s.result_json\n"
            "def broken(result, *words, **how):\n"
            f"    if result.payment.request_id == {request_id(7)!r}: raise MemoryError\n"
            "    return real(result, *words, **how)\n"
            "s.result_json = broken; import posctl.__main__ as m; m.main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", bug, "retry", "--all", "--json"],
            env=shop.env,
            cwd=shop.home,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0
    assert b"MemoryError" in done.stderr
    told = {payment["request_id"] for payment in json.loads(done.stdout)["payments"]}
    assert told == set(map(request_id, range(MANY))) - {request_id(7)}
    assert told_of(shop) == (MANY, MANY - 1), "the one that was not told is told by the next pay"


def test_a_payment_that_vanished_stops_a_sweep(shop: Shop) -> None:
    """A row that is gone from the journal stops a sweep; what it was about is said, with all that
    was on its way.
    """
    last, removed = request_id(MANY - 1), threading.Event()

    def remove_the_last(talk: Talk) -> None:
        with closing(sqlite3.connect(shop.journal, timeout=10)) as db, db:
            for table in ("tries", "payments"):
                db.execute(
                    f"DELETE FROM {table} WHERE seq = "
                    "(SELECT seq FROM payments WHERE request_id = ?)",
                    (last,),
                )
        removed.set()
        answer(PAID)(talk)

    def wait_for_it(talk: Talk) -> None:
        removed.wait(10)
        answer(PAID)(talk)

    with FaultServer(remove_the_last, wait_for_it) as server:
        open_many(shop, server.url, MANY)
        ran = shop.run("retry", "--all", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (21, "journal_replaced")
    assert last in ran.json["error"]["message"]
    told = [payment["request_id"] for payment in ran.json["payments"]]
    assert len(set(told)) == len(told) >= 64
    with closing(sqlite3.connect(shop.journal)) as db:
        paid = db.execute("SELECT count(*) FROM payments WHERE state = 'success'").fetchone()
    assert paid == (len(told),), "what was told is what was recorded"


# ── kept small ───────────────────────────────────────────────────────────────────────────────

texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


def test_a_sweep_holds_no_payment_that_is_done(shop: Shop) -> None:
    """What waits and what is done is held as ids and packed JSON: no payment, no result of it."""
    count = 2 * MANY
    with FaultServer(answer(PAID)) as server:
        open_many(shop, server.url, count)
        profile = load(None, None, shop.env).profile
        how: Any = {"timeout": profile.timeout, "proxy": None, "ca": None, "environ": {}}
        gateway = Gateway(profile.gateway, monotonic=time.monotonic, **how)
        with closing(SqliteJournal(shop.journal)) as journal, closing(gateway):
            desk = Desk(
                *(profile, "helloworld", journal, gateway, lambda *_: Who("till", 1, "1", "2")),
                *(time.time, time.monotonic, new_request_id, nullcontext),
            )
            several = Several(profile)
            most = 0
            for result in sweep(
                [request_id(number) for number in range(count)],
                Sweep(desk, frozenset(), False, Watch(time.monotonic, lambda: None)),
            ):
                several.add(result)
                if len(several.payments) % 50 == 0:
                    most = max(most, _alive())
    assert len(several.payments) == count
    assert 0 < most <= 2 * WORKERS, "those on their way, and a group that has just arrived"


# `python -m posctl` to its end, then what the collector found on the way and finds now.
LEFT_BEHIND = """
import gc, json, os, runpy, sys
gc.set_debug(gc.DEBUG_SAVEALL)
def leave(code):
    running = gc.isenabled()
    gc.collect()
    kinds = ("frame", "traceback")
    left = [type(one).__name__ for one in gc.garbage
            if isinstance(one, BaseException) or type(one).__name__ in kinds]
    sys.stdout.flush()
    sys.stderr.write(json.dumps([code, running, len(left), sorted(set(left))]))
    sys.stderr.flush()
    leave_now(0)
leave_now, os._exit = os._exit, leave
sys.argv[0] = "posctl"
runpy.run_module("posctl", run_name="__main__")
"""
GATEWAYS: dict[str, tuple[Behaviour, int]] = {
    "pays": (answer(PAID), 0),
    "cuts": (cut_after_reading, 21),
    "resets": (reset_after_reading, 21),
    "resets before it reads": (reset_before_reading, 21),
    "truncates": (truncated_length, 21),
    "breaks its chunks": (truncated_chunked, 21),
}


def left_behind(shop: Shop, url: str) -> list[Any]:
    """The exit code of a sweep over 40 payments, whether the collector was running, and how many
    frames, tracebacks and exceptions only a collector could free.
    """
    open_many(shop, url, 40)
    done = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND, "retry", "--all", "--json"],
        env=shop.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert len(json.loads(done.stdout)["payments"]) == 40
    found: list[Any] = json.loads(done.stderr)
    return found


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_failed_exchange_leaves_nothing_for_the_collector(shop: Shop, gateway: str) -> None:
    """However an exchange ends, no frame and no exception stays in a cycle, with the signed form
    and the payment code in it; and while a command runs, so does the collector.
    """
    behaviour, code = GATEWAYS[gateway]
    with FaultServer(behaviour) as server:
        assert left_behind(shop, server.url) == [code, True, 0, []]


def test_a_refused_connection_leaves_nothing_for_the_collector(shop: Shop) -> None:
    """The same of a gateway that nobody listens for."""
    with refusing_port() as port:
        url = f"http://127.0.0.1:{port}/router/rest"
        assert left_behind(shop, url) == [21, True, 0, []]


def _alive() -> int:
    return sum(isinstance(one, (Payment, Result)) for one in gc.get_objects()) // 2


@given(st.lists(st.dictionaries(texts, values, max_size=3), max_size=6), st.integers(1, 3))
def test_records_come_back_as_they_were(records: list[dict[str, Any]], times: int) -> None:
    """Whatever JSON can say comes back from a pack of records, in order, as often as one likes."""
    long = {"long": "=" * 40_000}
    every = [one for record in records for one in (record, long)] * times
    kept = Records()
    for record in every:
        kept.add(record)
    assert len(kept) == len(every)
    for _ in range(2):
        assert list(kept) == every


def test_ten_thousand_results_are_kept_in_two_megabytes() -> None:
    """What a sweep has to tell stays small: 10,000 results of a kilobyte each take under 2 MB."""
    one = shape_of_a_result()
    tracemalloc.start()
    try:
        kept = Records()
        for number in range(10_000):
            kept.add(one | {"request_id": request_id(number), "trace_id": f"{number * 7919:032x}"})
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(json.dumps(one)) > 800
    assert held < 2_000_000
    assert peak < 3_000_000


def shape_of_a_result() -> dict[str, Any]:
    return {name: f"{name} of a payment" for name in RESULT_KEYS}
